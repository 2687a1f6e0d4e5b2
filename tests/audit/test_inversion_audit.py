"""An inversion from study to folder: what is written, that it goes on, and what it must show."""

import json
from types import SimpleNamespace

import jsonschema
import numpy as np
import pytest
import torch
from small_inversion import study

from seepage import invert, run
from seepage.audit import inversion_measure, prepare_inversion, redraw_report, run_inversion
from seepage.audit.inversion import public_images
from seepage.audit.inversion_sides import FEWEST, judging
from seepage.metrics.reconstruction import frechet_distance
from seepage.records import UserError
from seepage.results import InversionResults
from seepage.study import build_study

FIELDS = {
    "name",
    "round",
    "regularizer",
    "n",
    "top1",
    "top5",
    "restricted_top1",
    "random_baseline",
    "real_reference",
    "knn",
    "frechet",
    "precision",
    "recall",
    "density",
    "coverage",
    "diversity",
    "target_top1",
    "seconds",
}
"""What others read of a row."""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return invert(study(), out=tmp_path_factory.mktemp("inversion") / "run")


def test_every_method_round_and_regularizer_has_a_row(done):
    rows = done.results.inversions
    assert [(row.round, row.name, row.regularizer) for row in rows] == [
        (number, name, regularizer)
        for number in (0, 2)
        for name in ("gmi", "ked_mi", "vmi")
        for regularizer in ("none", "hsic")
    ]
    assert {row.n for row in rows} == {20}
    assert all(len(row.classes) == 5 for row in rows)


def test_what_is_written_is_what_others_read(done):
    raw = json.loads((done.folder / "results.json").read_text())
    assert raw["kind"] == "inversion"
    assert set(raw["inversions"][0]) >= FIELDS
    assert {"top1", "top5", "restricted_top1"} == set(raw["inversions"][0]["random_baseline"])
    assert InversionResults.model_validate(raw) == done.results
    jsonschema.validate(raw, InversionResults.model_json_schema(by_alias=True))
    assert (done.folder / "report.html").exists()
    sheets = {path.stem for path in (done.folder / "samples").glob("*.png")}
    assert sheets == {"dcgan", "inversion_gan-r00000", "inversion_gan-r00002", "wgan"}


def test_a_frechet_distance_needs_an_image_for_every_two_features(done):
    """Here 20 images and 64 features; shrunken, 2 of one Gaussian would be 110 from each other."""
    assert all(row.frechet is None for row in done.results.inversions)
    assert (done.results.frechet_images, done.results.shrunken_frechet) == (0, False)
    assert "Fréchet’s is over" not in (done.folder / "report.html").read_text()
    enough = study(attacks=["gmi"], regularizers=["none"], rounds=[2], per_label=7)
    results = invert(enough).results
    assert results.inversions[0].frechet > 0
    assert (results.frechet_images, results.shrunken_frechet) == (35, True)


@pytest.mark.parametrize("count", [2, 31, 32, 127, 128, 300])
def test_a_frechet_distance_that_is_given_is_the_one_that_it_was(count):
    rng = np.random.default_rng(0)
    real, made = rng.normal(size=(500, 64)), rng.normal(size=(count, 64))
    judge = SimpleNamespace(training=np.arange(500), features=real)
    found = inversion_measure._frechet(judge, made)
    if count < 32:
        assert found is None
    else:
        assert found == frechet_distance(made, real, shrink=count < 128)
    few = SimpleNamespace(training=np.arange(count), features=made)
    assert (inversion_measure._frechet(few, real) is None) == (count < 32)


def test_a_row_is_the_mean_of_its_classes(done):
    for row in done.results.inversions:
        for name in ("top1", "restricted_top1", "target_top1"):
            mean = np.mean([getattr(each, name) for each in row.classes])
            assert getattr(row, name) == pytest.approx(mean)
        assert row.top1 <= row.restricted_top1 + 1e-12
        assert row.top1 <= row.top5
        low, high = row.interval
        assert low <= row.restricted_top1 <= high


def test_nearest_real_images_are_ones_that_clients_train_on(done):
    prepared = prepare_inversion(build_study(study()))
    labels = prepared.dataset.labels.numpy()
    trained = set(np.concatenate(prepared.split.clients).tolist())
    for row in done.results.inversions:
        for each in row.classes:
            assert set(each.nearest) <= trained
            assert set(labels[each.nearest]) == {each.label}


def test_the_page_can_be_drawn_again(done):
    before = (done.folder / "report.html").read_text()
    (done.folder / "report.html").unlink()
    redraw_report(done.folder)
    assert (done.folder / "report.html").read_text() == before


def test_an_interrupted_run_goes_on_to_the_same_numbers(done, tmp_path):
    def stop(stage, count, total):
        if stage == "inversions" and count == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        invert(study(), out=tmp_path / "run", progress=stop)
    assert not (tmp_path / "run" / "results.json").exists()
    again = invert(study(), out=tmp_path / "run")
    assert without_seconds(again.results) == without_seconds(done.results)
    assert any(row.reused for row in again.results.priors)
    nothing_done = []
    invert(study(), out=tmp_path / "run", progress=lambda *what: nothing_done.append(what))
    assert nothing_done == []


def without_seconds(results):
    raw = results.model_dump()
    raw.pop("seconds")
    for row in [*raw["inversions"], *raw["priors"]]:
        row.pop("seconds")
        row.pop("reused", None)
    return raw


def test_a_weight_of_nothing_changes_nothing():
    settings = study(attacks=["gmi"], rounds=[2])
    settings["inversion"]["options"] |= {"hsic": {"weight": 0.0}}
    made = invert(settings).made
    one, other = made["gmi", 2, "none"][0], made["gmi", 2, "hsic"][0]
    assert torch.equal(one.images, other.images)


def test_repeats_have_draws_of_their_own_and_a_spread():
    result = invert(study(attacks=["gmi"], regularizers=["none"], rounds=[2], repeats=2))
    one, other = result.made["gmi", 2, "none"]
    assert not torch.equal(one.latents, other.latents)
    (row,) = result.results.inversions
    assert row.n == 40
    assert row.deviation["knn"] > 0


def test_some_labels_alone_can_be_asked_for():
    result = invert(study(attacks=["gmi"], regularizers=["none"], rounds=[2], labels=[3, 1]))
    assert [each.label for each in result.results.inversions[0].classes] == [1, 3]
    with pytest.raises(UserError, match="no private class 5"):
        invert(study(labels=[5]))


def test_nobody_sees_what_is_not_theirs():
    """Clients, real images and the evaluator's records do not overlap, and the public is public."""
    prepared = prepare_inversion(build_study(study()))
    rows, real, note = judging(prepared.sides, prepared.split, 0)
    parts = prepared.sides
    trained = parts.of_private[np.concatenate(prepared.split.clients)]
    assert note is None
    assert not set(rows) & set(trained)
    assert not set(rows) & set(parts.of_private[real])
    assert set(parts.of_public) <= set(rows)
    labels = parts.known.labels.numpy()
    assert set(labels[parts.of_private]) == set(range(5))
    assert set(labels[parts.of_public]) == set(range(5, 10))
    assert parts.public.shape == (len(parts.of_public), 1, 8, 8)
    assert 0 <= parts.public.min() < parts.public.max() <= 1


def test_where_little_is_held_out_the_page_says_who_taught_the_evaluator():
    settings = study()
    settings["data"]["held_out"] = 3 * FEWEST
    prepared = prepare_inversion(build_study(settings))
    _, _, note = judging(prepared.sides, prepared.split, 0)
    assert "clients train on" in note


def test_attackers_pool_what_they_hold():
    pixels = torch.rand(50, 1, 8, 8)
    pooled, said = public_images(pixels, {"attackers": 3, "per_attacker": 10}, 0)
    assert len(pooled) == 30
    assert said == "3 attackers who pool: 30 images"
    (alone, _), (few, _) = (
        public_images(pixels, {"attackers": n, "per_attacker": 10}, 0) for n in (1, 3)
    )
    held = {image.numpy().tobytes() for image in few}
    assert {image.numpy().tobytes() for image in alone} < held
    with pytest.raises(UserError, match="there are 50 public ones"):
        public_images(pixels, {"attackers": 6, "per_attacker": 10}, 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (study(attacks=["gmy"]), "no method called 'gmy'"),
        (study(regularizers=["hsik"]), "hsik"),
        (study(options={"gmi": {"stebs": 3}}), "option of gmi"),
        (study(options={"plg": {}}), "no method or regularizer called 'plg'"),
        (study(gradients={"client": 2, "rounds": [3]}), "round 3 is after the last"),
        (study(rounds=[3]), "round 3 is after the last"),
        (study(public={"labels": [12]}), "12"),
        (study() | {"attacks": {"names": ["fedmia_loss"]}}, "audit of membership"),
        (study() | {"data": {"name": "location30"}}, "location30"),
    ],
)
def test_what_cannot_be_done_is_said_first(settings, message):
    with pytest.raises(UserError, match=message):
        invert(settings)


def test_each_kind_of_study_has_its_own_way_in():
    with pytest.raises(UserError, match=r"seepage\.invert"):
        run(study())
    with pytest.raises(UserError, match=r"seepage\.run"):
        invert({"name": "plain"})


def test_a_folder_of_another_run_is_left_alone(done):
    prepared = prepare_inversion(build_study(study() | {"seed": 1}))
    with pytest.raises(UserError, match="holds another run"):
        run_inversion(prepared, out=done.folder)


def test_a_folder_of_faces_runs_by_a_study_file_alone(tmp_path, monkeypatch):
    """Any sizes, grey and color, a broken file, people with one picture: all of it is said."""
    from PIL import Image
    from typer.testing import CliRunner

    from seepage.cli import app

    rng = np.random.default_rng(0)
    for person in range(8):
        folder = tmp_path / "faces" / f"person {person}"
        folder.mkdir(parents=True)
        for number in range(1 if person == 3 else 16):
            side = int(rng.integers(20, 60))
            pixels = rng.integers(0, 255, (side, side + 7, 3), dtype=np.uint8) // 2 + 15 * person
            picture = Image.fromarray(pixels)
            picture.convert("L" if number % 3 == 0 else "RGB").save(folder / f"{number}.png")
    (tmp_path / "faces" / "person 0" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "public.txt").write_text("# known to all\nperson 5\nperson 6\nperson 7\n")
    (tmp_path / "faces.toml").write_text(
        """
[data]
name = "folder:faces"
clients = 2
held_out = 30
options = { size = 16 }
[model]
name = "cnn_blocks"
options = { width = 4 }
[federation]
rounds = 1
batch_size = 8
[inversion]
attacks = ["gmi"]
per_label = 2
[inversion.public]
identities = "public.txt"
[inversion.prior]
latent = 4
width = 4
critic_width = 4
steps = 5
batch_size = 8
[inversion.options]
gmi = { steps = 3 }
"""
    )
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["audit", "faces.toml", "--out", "run"])
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert "broken.jpg" in said
    assert "person 3" in said
    raw = json.loads((tmp_path / "run" / "results.json").read_text())
    assert raw["classes"] == ["person 0", "person 1", "person 2", "person 4"]
    assert raw["known"][4:] == ["person 5", "person 6", "person 7"]
    assert any("broken.jpg" in note for note in raw["notes"])
    dry = CliRunner().invoke(app, ["audit", "faces.toml", "--dry-run"])
    assert dry.exit_code == 0, dry.output
    assert "3 public classes" in " ".join(dry.output.split())
