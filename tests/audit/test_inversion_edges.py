"""Inversions of data that are not as one would wish: small classes, absent ones, shared images."""

import numpy as np
import pytest
import torch
from PIL import Image
from small_inversion import study

from seepage import invert
from seepage.audit import prepare_inversion
from seepage.audit.inversion_gradients import METHODS
from seepage.audit.inversion_measure import build_judge
from seepage.audit.inversion_sides import FEWEST, judging
from seepage.metrics import clopper_pearson
from seepage.records import Dataset, UserError
from seepage.study import build_study

ONE = {"attacks": ["gmi"], "regularizers": ["none"], "rounds": [2]}


def images(counts, *, scale=1.0, side=8):
    """Random images, ``counts[c]`` of class c, in an order of their own."""
    rng = np.random.default_rng(0)
    labels = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    pixels = scale * rng.random((len(labels), 1, side, side))
    return Dataset(
        name="random",
        inputs=torch.tensor(pixels, dtype=torch.float32),
        labels=torch.tensor(labels),
        classes=len(counts),
        n_train=None,
        mean=(0.0,),
        std=(1.0,),
        checksum="",
    )


def small(data=None, **inversion):
    settings = study(**ONE | {"public": {"labels": [2, 3]}} | inversion)
    settings["data"] = {"clients": 2, "held_out": 30} | (data or {})
    return settings


def test_public_people_with_a_single_picture_are_not_the_evaluators_to_know():
    result = invert(small(), data=images([40, 40, 30, 1]))
    assert result.results.known == ["0", "1", "2"]
    assert result.results.classes == ["0", "1"]


def test_private_people_with_too_few_pictures_are_left_out_by_name():
    result = invert(small(), data=images([40, FEWEST - 1, 30, 30, 40]))
    assert result.results.classes == ["0", "4"]
    (note,) = result.results.notes
    assert note == "1 of 5 classes has fewer than 5 pictures and was left out: 1."


def test_a_class_that_no_client_holds_is_not_reconstructed():
    absent = {"partition": "disjoint_labels", "clients": 2, "labels_per_client": 1}
    settings, data = small(absent, public={"labels": [3]}), images([60, 60, 60, 30])
    result = invert(settings, data=data)
    shown = {each.label for each in result.results.inversions[0].classes}
    (missing,) = {0, 1, 2} - shown
    said = f"No client holds a record of {missing}, which cannot be reconstructed."
    assert said in result.results.notes
    settings["inversion"]["labels"] = [missing]
    with pytest.raises(UserError, match="no client holds a record"):
        invert(settings, data=data)


def test_one_label_alone_is_held_against_its_own_class():
    """Real images of the other classes would make it look far from what is real."""
    prepared = prepare_inversion(build_study(study(**ONE, labels=[3])))
    rows, real, _ = judging(prepared.sides, prepared.split, 0)
    judge = build_judge(prepared, rows, real)
    labels = prepared.dataset.labels.numpy()
    assert set(judge.labels) == set(labels[judge.training]) == set(labels[judge.real]) == {3}
    assert len(judge.features) == len(judge.training)


def test_the_level_of_an_interval_is_the_studys():
    settings = study(**ONE) | {"metrics": {"confidence": 0.8}}
    (row,) = invert(settings).results.inversions
    assert row.interval == clopper_pearson(round(row.restricted_top1 * row.n), row.n, 0.8)


def test_an_upload_that_cannot_be_inverted_costs_no_finished_attack(monkeypatch):
    def refuse(*_):
        raise UserError("no second derivative")

    monkeypatch.setitem(METHODS, "gradient_inversion", refuse)
    result = invert(study(**ONE, gradients={"steps": 1}))
    assert len(result.results.inversions) == 1
    assert "gradient_inversion, round 1: no second derivative" in result.results.notes


def test_public_images_that_the_federation_holds_are_refused():
    with pytest.raises(UserError, match="are the federation's own"):
        invert(study(**ONE, public={"name": "digits"}))


@pytest.mark.parametrize("given", ["folder:{}", "{}"])
def test_a_folder_of_pictures_without_classes_may_be_public(tmp_path, given):
    """Of any size, in colour, one of them broken, some in a folder below."""
    rng = np.random.default_rng(0)
    (tmp_path / "below").mkdir()
    for i in range(40):
        pixels = rng.integers(0, 256, (9 + i % 3, 12, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / ("below" if i % 2 else ".") / f"{i}.png")
    (tmp_path / "broken.png").write_text("")
    name = given.format(tmp_path)
    result = invert(study(**ONE, public={"name": name, "options": {"size": 8}}))
    assert result.results.public == f"{name}; 40 images"
    assert any("1 picture could not be decoded" in note for note in result.results.notes)
    alone = {"data": {"name": given.format(tmp_path), "options": {"size": 8, "classes": False}}}
    with pytest.raises(UserError, match="has a single class"):
        invert(study(**ONE, public={"share": 0.5}) | alone)


@pytest.mark.parametrize("scale", [255.0, -1.0])
def test_pixels_that_are_none_are_refused(scale):
    with pytest.raises(UserError, match="pixels in"):
        invert(small(), data=images([40, 40, 30, 30], scale=scale))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (small(per_label=2, regularizers=["hsic"]), "at least 4"),
        (small(public={"labels": [2, 3], "attackers": 1, "per_attacker": 5}), "at least 8 images"),
        (small(public={"labels": [2, 3], "per_attacker": 500}), "there are 60 public ones"),
        (small(gradients={}) | {"federation": {"rounds": 2, "optimizer": "adam"}}, "by SGD"),
    ],
)
def test_what_would_fail_late_is_said_first(settings, message):
    with pytest.raises(UserError, match=message):
        prepare_inversion(build_study(settings), data=images([40, 40, 30, 30]))


def test_sides_that_cannot_be_drawn_are_refused_before_any_training():
    with pytest.raises(UserError, match="even sides"):
        prepare_inversion(build_study(small()), data=images([40, 40, 30, 30], side=9))


def test_a_share_of_every_class_may_be_public():
    result = invert(study(**ONE, public={"share": 0.3}))
    assert len(result.results.classes) == len(result.results.known) == 10
    assert "30% of digits" in result.results.public


@pytest.mark.parametrize("defense", ["none", "mid"])
def test_an_upload_is_inverted_to_the_same_numbers_again(defense):
    """A client of four records, one step each round: the server sees nearly all of them."""
    settings = small(
        {"partition": "sizes", "clients": 2, "sizes": [4, 60]}, gradients={"steps": 20}
    )
    settings["model"] = {"name": "mlp", "options": {"hidden": [32]}}
    if defense == "mid":
        settings["defense"] = {"name": "mid", "options": {"beta": 0.01}}
    rows = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        found = invert(settings, data=images([60, 60, 30, 30])).results.gradients
        rows.append([row.model_copy(update={"seconds": 0}) for row in found])
    assert rows[0] == rows[1]
    assert {row.name for row in rows[0]} >= {"gradient_inversion"}
    assert all(row.images == 4 for row in rows[0])
