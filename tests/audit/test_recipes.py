"""Recipes resolve to checked studies; later settings are laid over earlier ones."""

import pytest

from seepage.audit import RECIPES, parse_setting, resolve
from seepage.audit.recipes import read_recipe
from seepage.records import UserError


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_every_recipe_is_a_study_at_each_scale(name, scale, monkeypatch, tmp_path):
    recipe = read_recipe(name)
    if scale not in recipe["scale"]:
        assert name in {"digits", "overfit"}  # these show something, and reproduce no paper
        return
    monkeypatch.delenv("SEEPAGE_DATA", raising=False)
    study = resolve(recipe=name, scale=scale, data_root=tmp_path)
    assert study.name == (name if scale == "quick" else f"{name}-{scale}")
    assert recipe["summary"]


def test_fedmia_paper_is_the_papers_setting():
    study = resolve(recipe="fedmia", scale="paper")
    settings = study.federation
    assert (study.data.name, study.data.clients, study.model.name) == ("cifar100", 10, "alexnet")
    assert (settings.rounds, settings.local_epochs, settings.batch_size) == (300, 1, 100)
    assert (settings.learning_rate, settings.momentum, settings.weight_decay) == (0.1, 0.9, 5e-4)
    assert study.observed_rounds == list(range(10, 301, 10))
    assert study.candidates.targets == [0]
    assert (study.candidates.held_out, study.candidates.others) == (1000, 1000)


def test_settings_are_laid_over_file_over_recipe(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("seed = 3\n[federation]\nrounds = 40\nlocal_epochs = 2\n")
    study = resolve(path, recipe="overfit", overrides={"federation.rounds": 50, "data.clients": 4})
    assert (study.seed, study.federation.rounds, study.federation.local_epochs) == (3, 50, 2)
    assert study.data.clients == 4


def test_no_recipe_and_no_file_is_the_default_recipe():
    assert resolve() == resolve(recipe="digits")
    assert resolve().data.name == "digits"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a.b=3", 3),
        ("a.b=0.5", 0.5),
        ("a.b=true", True),
        ("a.b=[1, 2]", [1, 2]),
        ("a.b=iid", "iid"),
    ],
)
def test_settings_are_toml_or_a_bare_word(text, value):
    assert parse_setting(text) == ("a.b", value)


def test_wrong_names_are_refused():
    with pytest.raises(UserError, match="did you mean fedmia"):
        resolve(recipe="fedmai")
    with pytest.raises(UserError, match="there is no scale of fedmia called 'papre'"):
        resolve(recipe="fedmia", scale="papre")
    with pytest.raises(UserError, match="expected section"):
        parse_setting("rounds")
