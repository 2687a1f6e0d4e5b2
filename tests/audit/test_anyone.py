"""Is the record anyone's? Attacks on sums and on single uploads, asked the same question."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

import seepage
from seepage import metrics
from seepage.attacks import ATTACKS
from seepage.records import Truth, UserError
from seepage.report import verdicts

CLIENTS, EACH, HELD_OUT, ROUNDS = 4, 200, 600, 3
ON_SUMS = [name for name, attack in ATTACKS.items() if attack.over == "round"]


def made(shift, seed=0, *, held_out=HELD_OUT):
    """Normal losses: an owner's own are lower by ``shift``, and everyone's in the sum."""
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.repeat(np.arange(CLIENTS), EACH), np.full(held_out, -1)])
    n = len(owner)
    loss = rng.normal(size=(n, ROUNDS, CLIENTS))
    loss -= shift * (owner[:, None, None] == np.arange(CLIENTS))
    summed = rng.normal(size=(n, ROUNDS)) - shift * (owner >= 0)[:, None]
    ids = rng.permutation(10_000)[:n]
    signals = xr.Dataset(
        {
            "loss": (("sample", "round", "client"), loss),
            "aggregate_loss": (("sample", "round"), summed),
        },
        coords={"sample": ids, "round": np.arange(1, ROUNDS + 1), "client": np.arange(CLIENTS)},
    )
    order = np.argsort(ids)
    return signals, Truth(ids=ids[order], owner=owner[order])


def on_anyone(result):
    return {row.name: row for row in result.results.attacks if row.target == "any"}


def pairwise(member, nonmember):
    return np.mean(member[:, None] > nonmember) + np.mean(member[:, None] == nonmember) / 2


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_a_leak_of_the_sum_is_found_at_its_size(shift):
    """The mean of T unit normal losses shifted by d has AUC Φ(d·√(T/2))."""
    row = on_anyone(seepage.attack_signals(*made(shift)))["aggregate_loss_series"]
    error = 4 * (row.auc_interval[1] - row.auc_interval[0]) / (2 * 1.96)
    assert row.auc == pytest.approx(norm.cdf(shift * np.sqrt(ROUNDS / 2)), abs=error)
    assert (row.n_members, row.n_nonmembers) == (CLIENTS * EACH, HELD_OUT)
    assert row.block == "held_out"


def test_an_attack_on_the_sum_has_that_one_row():
    rows = seepage.attack_signals(*made(1.0)).results.attacks
    assert [row.target for row in rows if row.name == "aggregate_loss_series"] == ["any"]
    assert {row.target for row in rows if row.name == "loss_series"} == {0, 1, 2, 3, "all", "any"}


@pytest.mark.parametrize("targets", [None, [2], [3, 0]])
def test_single_uploads_give_a_record_its_highest_score_over_all_clients(targets):
    signals, truth = made(0.8, seed=1)
    found = on_anyone(seepage.attack_signals(signals, truth, targets=targets))
    score = (-signals["loss"].mean("round")).max("client").sel(sample=truth.ids).to_numpy()
    member = truth.owner >= 0
    row = found["loss_series"]
    assert row.auc == pytest.approx(pairwise(score[member], score[~member]))
    assert (row.n_members, row.n_nonmembers) == (CLIENTS * EACH, HELD_OUT)
    bound = metrics.epsilon_lower_bound(score[member], score[~member], confidence=0.95)
    assert row.epsilon_lower_bound == pytest.approx(bound)


def test_a_client_that_cannot_be_attacked_gives_no_score():
    signals, truth = made(0.8, seed=2)
    absent = signals.copy()
    absent["loss"] = signals["loss"].where(signals["client"] != 1)
    some = truth.owner != 1
    known = Truth(ids=truth.ids[some], owner=truth.owner[some])
    row = on_anyone(seepage.attack_signals(absent, known, targets=[0]))["loss_series"]
    score = -signals["loss"].mean("round").sel(client=[0, 2, 3], sample=known.ids)
    score, member = score.max("client").to_numpy(), known.owner >= 0
    assert row.auc == pytest.approx(pairwise(score[member], score[~member]))


def test_nobody_asks_where_no_attack_is_on_the_sum():
    signals, truth = made(1.0)
    assert not on_anyone(seepage.attack_signals(signals.drop_vars("aggregate_loss"), truth))
    assert not on_anyone(seepage.attack_signals(signals, truth, attacks=["loss_series"]))


def test_without_records_that_nobody_has_there_is_nothing_to_tell():
    signals, truth = made(1.0, held_out=0)
    result = seepage.attack_signals(signals, truth)
    assert not on_anyone(result)
    assert "nobody trained on" in result.left_out["aggregate_loss_series"]
    with pytest.raises(UserError, match=r"'aggregate_loss_series'.* nobody trained on"):
        seepage.attack_signals(signals, truth, attacks=["loss_series", "aggregate_loss_series"])
    with pytest.raises(UserError, match="nobody trained on"):
        seepage.attack_signals(signals[["aggregate_loss"]], truth)


def test_the_sum_alone_is_enough():
    signals, truth = made(1.0, seed=3)
    result = seepage.attack_signals(signals[["aggregate_loss"]], truth)
    assert [row.target for row in result.results.attacks] == ["any"]
    (sentence,) = verdicts(result.results)
    assert "can tell whether anyone trained on a record" in sentence


def test_scores_of_sums_name_no_client():
    signals, truth = made(1.0)
    scores = seepage.attack_signals(signals, truth).scores
    summed = scores[scores["attack"] == "aggregate_loss_series"].set_index("sample")
    assert set(summed["target"]) == {-1}
    np.testing.assert_array_equal(summed.index, truth.ids)
    np.testing.assert_array_equal(summed["owner"], truth.owner)
    expected = -signals["aggregate_loss"].mean("round").sel(sample=truth.ids)
    np.testing.assert_allclose(summed["score"], expected)
    assert not (scores.loc[scores["attack"] == "loss_series", "target"] == -1).any()


def test_the_placebo_of_an_attack_on_the_sum_is_at_chance():
    result = seepage.attack_signals(*made(2.0))
    assert on_anyone(result)["aggregate_loss_series"].auc > 0.95
    (row,) = (row for row in result.results.blind.rows if row.of == "aggregate_loss_series")
    assert (row.name, row.target, row.block, row.ok) == ("placebo", "any", "held_out", True)
    assert row.n_members + row.n_nonmembers == HELD_OUT


def test_an_audit_asks_every_attack(tiny):
    result = seepage.run(tiny())
    found = on_anyone(result)
    assert set(ON_SUMS) < set(found)
    assert {row.name for row in result.results.attacks} == set(found)
    assert {(row.n_members, row.n_nonmembers) for row in found.values()} == {(120, 80)}
    highest = result.scores[result.scores["attack"] == "fedmia_joint"].groupby("sample").max()
    score, member = highest["score"].to_numpy(), highest["owner"].to_numpy() >= 0
    assert found["fedmia_joint"].auc == pytest.approx(pairwise(score[member], score[~member]))
    assert {row.of for row in result.results.blind.rows if row.target == "any"} == set(ON_SUMS)


def test_an_audit_of_the_sum_alone_has_a_report(tiny, tmp_path):
    result = seepage.run(tiny(attacks={"names": ON_SUMS}), out=tmp_path / "run")
    assert {row.target for row in result.results.attacks} == {"any"}
    assert "anyone" in str(result)
    page = (tmp_path / "run" / "report.html").read_text()
    assert "Against anyone" in page
    assert "What secure aggregation hides" not in page
