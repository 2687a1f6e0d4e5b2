"""The comparison of defenses: presets as data, one table, resumable."""

import json

import pandas as pd
import pytest

from seepage.attacks import ATTACKS
from seepage.audit import RECIPES, resolve_suite, run_suite
from seepage.audit.recipes import laid_over, read_recipe
from seepage.audit.suite import PRESETS
from seepage.defenses import DEFENSES, build
from seepage.records import UserError
from seepage.results import SuiteResults

SUITES = [name for name in RECIPES if "suite" in read_recipe(name)]
SMALL = {
    "reference.models": 6,
    "reference.targets": [0, 1],
    "reference.records": 120,
    "reference.public": 60,
    "reference.validation": 20,
    "federation.local_epochs": 3,
    "attacks.names": ["loss", "rank", "rmia_online"],
}


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("scale", ["quick", "paper"])
@pytest.mark.parametrize(
    ("recipe", "dataset"), [(name, data) for name in SUITES for data in read_recipe(name)["suite"]]
)
def test_every_row_is_a_study_with_a_defense_that_can_be_built(recipe, dataset, scale, preset):
    suite = resolve_suite(recipe, scale=scale, dataset=dataset, preset=preset)
    assert next(iter(suite.studies)) == "none"
    for study in suite.studies.values():
        assert study.data.name == dataset
        assert study.reference.models == (16 if scale == "quick" else 128)
        build(study.defense.name, study.defense.options)


def test_the_quick_suite_runs_every_defense_of_the_comparison():
    wanted = {
        "hamp", "label_smoothing", "early_stopping", "advreg", "memguard", "dmp", "selena",
        "dp_sgd", "convex_concave", "none",
    }  # fmt: skip
    for dataset in ("location30", "digits"):
        suite = resolve_suite("hamp", dataset=dataset)
        assert {study.defense.name for study in suite.studies.values()} == wanted
    assert wanted <= set(DEFENSES)


def test_hamps_published_settings():
    """γ, α, step size and epochs by data set: train-all.sh of the released code."""
    published = {
        "purchase100": (0.8, 0.01, 0.5, 200, 32, 100),
        "texas100": (0.6, 0.01, 0.5, 100, 32, 100),
        "location30": (0.5, 0.001, 0.5, 100, 64, 30),
        "cifar10": (0.95, 0.001, 0.5, 200, 64, 10),
        "cifar100": (0.5, 0.005, 1.0, 200, 64, 100),
    }
    for dataset, (gamma, alpha, rate, epochs, batch, classes) in published.items():
        for preset in PRESETS:
            study = resolve_suite("hamp", scale="paper", dataset=dataset, preset=preset).studies[
                "hamp"
            ]
            local, options = study.federation, study.defense.options
            assert (local.local_epochs, local.batch_size) == (epochs, batch)
            assert (local.momentum, local.restart_each_epoch) == (0.99, True)
            scale = 1 if preset == "faithful" else classes
            assert options["gamma"] == gamma
            assert options["alpha"] == pytest.approx(alpha * scale)
            assert local.learning_rate == pytest.approx(rate / scale, rel=1e-4)
            assert local.weight_decay == pytest.approx(1e-5 * scale)
            assert local.shuffle == (preset == "fixed")
            assert local.keep == "best"


def test_options_of_another_defense_do_not_stay():
    base = {"defense": {"name": "hamp", "options": {"gamma": 0.5}}}
    over = {"defense": {"name": "label_smoothing", "options": {"smoothing": 0.1}}}
    assert laid_over(base, over)["defense"]["options"] == {"smoothing": 0.1}
    assert laid_over(base, {"defense": {"options": {"alpha": 1}}})["defense"] == {
        "name": "hamp",
        "options": {"gamma": 0.5, "alpha": 1},
    }


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"recipe": "digits"}, "compares no defenses"),
        ({"recipe": "hamp", "dataset": "mnist"}, "no data set of this recipe called 'mnist'"),
        ({"recipe": "hamp", "preset": "fixt"}, r"did you mean fixed\?"),
        ({"recipe": "hamp", "defenses": ["selina"]}, r"did you mean selena\?"),
        ({"recipe": "hamp", "scale": "big"}, "no scale of hamp called 'big'"),
    ],
)
def test_a_wrong_name_is_refused_before_any_work(asked, message):
    with pytest.raises(UserError, match=message):
        resolve_suite(**asked)


def small(defenses, **overrides):
    return resolve_suite("hamp", dataset="digits", defenses=defenses, overrides=SMALL | overrides)


def test_a_suite_is_one_table_and_goes_on_where_it_was(tmp_path, monkeypatch):
    told = []
    first = run_suite(
        small(["none", "early_stopping_10"]),
        out=tmp_path,
        progress=lambda label, stage, done, total: told.append((label, stage)),
    )
    assert [row.label for row in first.rows] == ["none"]  # ten epochs are more than three
    assert [failure.label for failure in first.failures] == ["early_stopping_10"]
    assert "at most" in first.failures[0].reason
    assert {label for label, _ in told} == {"none", "early_stopping_10"}


def test_files_of_a_suite(tmp_path, monkeypatch):
    from seepage.reference import Bench

    results = run_suite(small(["none", "label_smoothing", "hamp"]), out=tmp_path)
    read = json.loads((tmp_path / "results.json").read_text())
    assert read["kind"] == "suite"
    assert SuiteResults.model_validate(read) == results
    table = pd.read_csv(tmp_path / "suite.csv")
    assert len(table) == 3
    assert (tmp_path / "report.html").exists()
    for row in results.rows:
        assert (tmp_path / row.label / "results.json").exists()
        assert row.tpr.chosen in SMALL["attacks.names"]
        assert row.tpr.oracle_rate.value >= row.tpr.rate.value
    monkeypatch.setattr(Bench, "fit", lambda *_: pytest.fail("trained again"))
    again = run_suite(small(["none", "label_smoothing", "hamp"]), out=tmp_path)
    assert again.rows == results.rows


def test_the_faithful_preset_runs_the_released_forms_too():
    """Every attack over models, so that new ones are not forgotten here."""
    every = {name for name, attack in ATTACKS.items() if attack.over == "model"}
    for study in resolve_suite("hamp", preset="faithful").studies.values():
        assert set(study.attacks.names) == every
    for study in resolve_suite("hamp").studies.values():
        assert study.attacks.names is None
