"""A whole audit, end to end, on the embedded data."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

import seepage
from seepage import audit
from seepage.attacks import ATTACKS
from seepage.audit.inside import WHAT_IT_TAKES
from seepage.federation import participants
from seepage.observe import RunStore
from seepage.records import UserError
from seepage.results import Results

OVER_CLIENTS = [
    name
    for name, attack in ATTACKS.items()
    if attack.over == "client" and not attack.adapts and not set(attack.needs) & set(WHAT_IT_TAKES)
]
"""Those that need no insider."""
ON_SUMS = [name for name, attack in ATTACKS.items() if attack.over == "round"]

BLOCKS = {"mix", "held_out", "others"}


@pytest.fixture
def finished(tiny, tmp_path):
    return seepage.run(tiny(), out=tmp_path / "run")


def test_a_run_folder_holds_what_the_design_says(finished):
    folder = finished.folder
    here = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"manifest.json", "rounds.jsonl", "results.json", "scores.parquet"} <= here
    assert {"report.html", "signals/r00002.safetensors", "signals/r00004.safetensors"} <= here
    assert any(name.endswith(".pdf") for name in here)
    assert not [name for name in here if "partial" in name or name.endswith(".tmp")]


def test_results_have_a_row_for_every_attack_target_and_block(finished):
    rows = finished.results.attacks
    assert len(rows) == len(OVER_CLIENTS) * (5 * 3 + 1) + len(ON_SUMS)
    assert {row.name for row in rows} == {*OVER_CLIENTS, *ON_SUMS}
    assert {row.target for row in rows} == {0, 1, 2, 3, "all", "any"}
    assert {row.block for row in rows} == BLOCKS
    pooled = next(r for r in rows if r.target == "all" and r.block == "held_out")
    assert (pooled.n_members, pooled.n_nonmembers) == (120, 4 * 80)
    single = next(r for r in rows if r.target == 2 and r.block == "others")
    assert (single.n_members, single.n_nonmembers) == (30, 90)


def test_results_json_is_what_run_returned(finished):
    text = (finished.folder / "results.json").read_text()
    assert Results.model_validate_json(text) == finished.results
    assert json.loads(text)["schema"] == 1
    assert json.loads(text)["blind"]["ok"] is finished.results.blind.ok


def test_scores_have_one_row_a_sample_attack_and_target(finished):
    scores = pd.read_parquet(finished.folder / "scores.parquet")
    assert list(scores.columns) == ["sample", "attack", "target", "score", "owner"]
    assert len(scores) == (len(OVER_CLIENTS) * 4 + len(ON_SUMS)) * 200
    assert not scores.duplicated(["sample", "attack", "target"]).any()


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tiny):
    first, again = seepage.run(tiny()), seepage.run(tiny())
    xr.testing.assert_identical(first.signals, again.signals)
    pd.testing.assert_frame_equal(first.scores, again.scores)
    assert not np.array_equal(first.scores.score, seepage.run(tiny(seed=1)).scores.score)


def test_a_killed_run_goes_on_and_ends_with_the_same_numbers(tiny, tmp_path, finished, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(stage, done, total):
        if stage == "training" and done == 3:
            raise Killed

    with pytest.raises(Killed):
        seepage.run(tiny(), out=tmp_path / "killed", progress=kill)
    assert [line["round"] for line in RunStore(tmp_path / "killed").rounds()] == [2]
    seen = []
    again = seepage.run(tiny(), out=tmp_path / "killed", progress=lambda *what: seen.append(what))
    assert ("training", 2, 4) in seen
    assert ("training", 1, 4) not in seen
    xr.testing.assert_identical(again.signals, finished.signals)
    pd.testing.assert_frame_equal(again.scores, finished.scores)
    assert again.results.utility == finished.results.utility


def test_a_finished_run_is_read_not_repeated(tiny, finished):
    seen = []
    again = seepage.run(tiny(), out=finished.folder, progress=lambda *what: seen.append(what))
    assert not seen
    assert again.results == finished.results


class Net(torch.nn.Module):
    """A model whose behavior can change with no parameter changing."""

    def __init__(self, activation):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
        self.activation = activation

    def forward(self, inputs):
        return self.activation(self.layers(inputs))


class Other(Net):
    pass


def test_another_model_or_attack_does_not_reuse_a_result(tiny, tmp_path):
    study = tiny(model={"options": {}}, attacks={"names": ["loss_series"]})

    def relu():
        return Net(torch.relu)

    seepage.run(study, model=relu, out=tmp_path / "run")
    with pytest.raises(UserError, match="holds another run"):
        seepage.run(study, model=lambda: Other(torch.tanh), out=tmp_path / "run")
    table = seepage.attacks.ATTACKS["loss_series"]
    flipped = seepage.Attack(
        score=lambda signals, target: -table(signals, target),
        adversary="server",
        needs=("loss",),
        summary="upside down",
        paper="mine",
    )
    first, second = (
        seepage.run(study, model=relu, out=tmp_path / "run", attacks=own)
        for own in (None, {"loss_series": flipped})
    )
    np.testing.assert_allclose(first.scores.score, -second.scores.score)


def test_partial_participation_asks_about_those_who_took_part(tiny):
    result = seepage.run(tiny(federation={"participation": 0.75, "rounds": 6}))
    targets = {row.target for row in result.results.attacks} - {"all", "any"}
    assert targets == set(result.signals.client.to_numpy().tolist())
    assert not result.scores.score.isna().any()
    (alone,) = participants(4, 0.25, seed=0, round_number=2)
    absent = tiny(
        federation={"participation": 0.25, "rounds": 2},
        candidates={"targets": [(alone + 1) % 4]},
    )
    with pytest.raises(UserError, match="takes part in no observed round"):
        seepage.run(absent)


def test_attacks_that_two_clients_do_not_allow_are_left_out_or_refused(tiny):
    two = {"data": {"clients": 2}}
    result = seepage.run(tiny(**two))
    assert "fedmia_loss" not in {row.name for row in result.results.attacks}
    assert "loss_series" in {row.name for row in result.results.attacks}
    with pytest.raises(UserError, match="client"):
        seepage.run(tiny(**two, attacks={"names": ["fedmia_loss"]}))


def test_a_querier_sees_the_final_model_or_nothing(tiny, tmp_path):
    study = tiny(observe={"weights": "full", "rounds": [2]})
    seepage.run(study, out=tmp_path / "run")
    with pytest.raises(UserError, match="last round, 4, was not observed"):
        seepage.measure_trace(tmp_path / "run", signals=["loss"], adversary="querier")


def test_attacking_arrays_does_not_write_over_a_run(finished):
    with pytest.raises(UserError, match="holds an audit"):
        seepage.attack_signals(
            finished.folder, finished.folder / "truth.parquet", out=finished.folder
        )


def test_another_study_does_not_reuse_the_folder(tiny, finished):
    with pytest.raises(UserError, match="holds another run"):
        seepage.run(tiny(seed=1), out=finished.folder)


def test_signals_file_and_run_folder_give_the_same_scores(finished, tmp_path):
    audit.write_signals(tmp_path / "signals.npz", finished.signals)
    again = seepage.attack_signals(
        tmp_path / "signals.npz", finished.folder / "truth.parquet", out=tmp_path / "scored"
    )
    pd.testing.assert_frame_equal(again.scores, finished.scores)
    assert [r.auc for r in again.results.attacks] == [r.auc for r in finished.results.attacks]
    assert (tmp_path / "scored" / "report.html").exists()
    assert audit.redraw_report(tmp_path / "scored")


def test_signals_measured_later_equal_those_measured_while_training(tiny, tmp_path):
    result = seepage.run(tiny(observe={"weights": "full"}), out=tmp_path / "run")
    later = seepage.measure_trace(tmp_path / "run", signals=list(result.signals.data_vars))
    for name in result.signals.data_vars:
        np.testing.assert_allclose(later[name], result.signals[name], rtol=2e-4, atol=1e-5)


def test_who_sees_no_upload_measures_the_aggregate(tiny, tmp_path):
    seepage.run(tiny(observe={"weights": "full"}), out=tmp_path / "run")
    aggregate = seepage.measure_trace(tmp_path / "run", signals=["loss"], adversary="aggregate")
    assert aggregate.loss.dims == ("round", "sample")
    querier = seepage.measure_trace(tmp_path / "run", signals=["loss"], adversary="querier")
    np.testing.assert_allclose(querier.loss.sel(round=4), aggregate.loss.sel(round=4), rtol=1e-6)
    with pytest.raises(UserError, match="cannot measure cosine"):
        seepage.measure_trace(tmp_path / "run", signals=["cosine"], adversary="querier")


def test_your_own_model_data_and_attack(tiny):
    rng = torch.Generator().manual_seed(0)
    inputs, labels = torch.randn(300, 5, generator=rng), torch.arange(300) % 3

    def factory():
        return torch.nn.Linear(5, 3)

    mine = seepage.Attack(
        score=lambda signals, target: -signals.loss.sel(client=target).isel(round=0, drop=True),
        adversary="server",
        needs=("loss",),
        summary="loss in the first observed round",
        paper="mine",
    )
    result = seepage.run(
        tiny(attacks={"names": ["loss_series"]}, model={"options": {}}),
        data=(inputs, labels),
        model=factory,
        attacks={"first_loss": mine},
    )
    assert {row.name for row in result.results.attacks} == {"loss_series", "first_loss"}
    assert result.results.study["data"]["name"] == "data"
    assert result.results.study["model"]["name"].endswith("factory")


def test_redrawing_candidates_manufactures_leakage(tiny):
    study = {
        "federation": {"rounds": 20},
        "observe": {"every": 1},
        "attacks": {"names": ["loss_series"]},
    }
    honest = seepage.run(tiny(**study))
    redrawn = seepage.run(tiny(**study, candidates={"redraw_candidates": True}))

    def found(result):
        row = next(r for r in result.results.attacks if r.target == "all" and r.block == "held_out")
        return row.tpr_at_fpr["0.01"].value

    assert found(redrawn) > found(honest) + 0.1


def test_redrawn_candidates_are_not_asked_whether_they_are_anyones(tiny):
    names = {"attacks": {"names": ["loss_series", "aggregate_loss_series"]}}
    honest = seepage.run(tiny(**names))
    redrawn = seepage.run(tiny(**names, candidates={"redraw_candidates": True}))

    def anyone(result):
        return {r.name: r.auc for r in result.results.attacks if r.target == "any"}

    assert set(anyone(honest)) == {"loss_series", "aggregate_loss_series"}
    assert anyone(redrawn) == {k: v for k, v in anyone(honest).items() if k != "loss_series"}


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(63, 10)), "cannot take"),
        (lambda: torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 9)), "one logit a"),
        (torch.nn.Linear(64, 10), "pass the class"),
    ],
)
def test_a_model_that_does_not_fit_is_refused_before_training(tiny, tmp_path, model, message):
    with pytest.raises(UserError, match=message):
        seepage.run(tiny(model={"options": {}}), model=model, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_is_no_study_and_no_data_is_refused(tiny):
    with pytest.raises(UserError, match="got int"):
        seepage.run(3)
    with pytest.raises(UserError, match="got Tensor"):
        seepage.run(tiny(), data=torch.zeros(4, 3))


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"data": {"clients": 2000}}, "sample"),
        ({"data": {"name": "mnits"}}, "did you mean mnist"),
        ({"model": {"name": "mpl"}}, "did you mean mlp"),
        ({"defense": {"name": "mixupp"}}, "did you mean mixup"),
        ({"attacks": {"names": ["fedmia_los"]}}, "did you mean fedmia_loss"),
        ({"observe": {"signals": ["cosin"]}}, "did you mean cosine"),
        ({"compute": {"device": "cuda:99"}}, "not usable here"),
        ({"candidates": {"held_out": 1000}}, "there are only 80 records held out"),
        ({"metrics": {"fpr": [0.001]}}, "needs at least 1000 records"),
        ({"federation": {"algorithm": "fedsgd"}}, "epoch"),
        ({"federation": {"optimizer": "adamw", "momentum": 0.9}}, "momentum"),
        ({"federation": {"learning_rate": 1e30}}, r"client \d.*round 1|round 1.*client \d"),
    ],
)
def test_bad_input_is_a_sentence_and_leaves_nothing(tiny, tmp_path, sections, message):
    with pytest.raises(UserError, match=message):
        seepage.run(tiny(**sections), out=tmp_path / "run")
    assert not (tmp_path / "run" / "results.json").exists()
    assert not (tmp_path / "run" / "report.html").exists()
    assert not list(tmp_path.rglob("*.partial"))
