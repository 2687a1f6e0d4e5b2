"""Attacks on arrays made elsewhere: a planted leak of known size, and every way to be wrong."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import norm

import seepage
from seepage.records import Truth, UserError

CLIENTS, EACH, HELD_OUT, ROUNDS = 6, 300, 1500, 5


@pytest.fixture
def planted():
    """Normal losses; a client's own samples are lower by ``shift`` in its model, in every round."""

    def make(shift, seed=0):
        rng = np.random.default_rng(seed)
        owner = np.concatenate([np.repeat(np.arange(CLIENTS), EACH), np.full(HELD_OUT, -1)])
        loss = rng.normal(size=(len(owner), ROUNDS, CLIENTS))
        loss -= shift * (owner[:, None, None] == np.arange(CLIENTS))
        ids = rng.permutation(10_000)[: len(owner)]
        coords = {"sample": ids, "round": np.arange(1, ROUNDS + 1), "client": np.arange(CLIENTS)}
        signals = xr.Dataset({"loss": (("sample", "round", "client"), loss)}, coords=coords)
        order = np.argsort(ids)
        return signals, Truth(ids=ids[order], owner=owner[order])

    return make


def pooled(result, name, block="held_out"):
    return next(
        r for r in result.results.attacks if (r.name, r.target, r.block) == (name, "all", block)
    )


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0])
def test_a_planted_leak_is_found_at_its_size(planted, shift):
    """One round of unit normal losses shifted by d has AUC Φ(d/√2); T rounds have Φ(d·√(T/2))."""
    result = seepage.attack_signals(*planted(shift))
    for name, rounds in (("blackbox_loss", 1), ("loss_series", ROUNDS)):
        row = pooled(result, name)
        truth = norm.cdf(shift * np.sqrt(rounds / 2))
        error = 4 * (row.auc_interval[1] - row.auc_interval[0]) / (2 * 1.96)
        assert row.auc == pytest.approx(truth, abs=error)
        assert error < 0.06


def test_placebos_of_a_leaking_run_are_at_chance(planted):
    result = seepage.attack_signals(*planted(2.0))
    assert pooled(result, "fedmia_loss").auc > 0.99
    assert result.results.blind.ok
    assert {row.name for row in result.results.blind.rows} == {"placebo"}


def test_clients_of_unequal_sizes_and_levels_do_not_become_a_leak():
    """Larger clients have lower losses on everything: no leak, and pooling must not make one."""
    rng = np.random.default_rng(5)
    sizes, level = [900, 300, 100, 50, 50], np.array([3.0, 1.0, 0.0, -1.0, -2.0])
    owner = np.concatenate([np.repeat(np.arange(5), sizes), np.full(600, -1)])
    loss = rng.normal(size=(len(owner), 5)) - level
    signals = xr.Dataset(
        {"loss": (("sample", "client"), loss)},
        coords={"sample": np.arange(len(owner)), "client": np.arange(5)},
    )
    truth = Truth(ids=np.arange(len(owner)), owner=owner)
    row = pooled(seepage.attack_signals(signals, truth, attacks=["loss_series"]), "loss_series")
    low, high = row.auc_interval
    assert low < 0.5 < high
    assert high - low < 0.08
    assert row.epsilon_lower_bound < 0.1


def test_only_held_out_records_bound_epsilon(planted):
    rows = seepage.attack_signals(*planted(2.0)).results.attacks
    assert {r.block for r in rows if r.epsilon_lower_bound is not None} == {"held_out"}
    assert pooled_bound(rows) > 1


def pooled_bound(rows):
    return max(r.epsilon_lower_bound for r in rows if (r.target, r.block) == ("all", "held_out"))


def test_rows_are_joined_by_id_not_by_position(planted):
    signals, truth = planted(1.0)
    rng = np.random.default_rng(1)
    shuffled = signals.isel(sample=rng.permutation(signals.sizes["sample"]))
    first, again = (seepage.attack_signals(s, truth) for s in (signals, shuffled))
    np.testing.assert_allclose(first.scores.score, again.scores.score, rtol=1e-12)


def test_attacks_that_the_arrays_do_not_allow_are_left_out(planted):
    signals, truth = planted(1.0)
    alone = signals.isel(client=0, drop=True)  # no client dim: the loss does not vary with it
    result = seepage.attack_signals(alone, truth, targets=[0, 0])
    assert {row.name for row in result.results.attacks} == {"blackbox_loss", "loss_series"}
    assert len(result.scores) == 2 * len(truth.ids)
    with pytest.raises(UserError, match="client"):
        seepage.attack_signals(alone, truth, attacks=["fedmia_loss"])


def test_only_samples_with_truth_count(planted):
    signals, truth = planted(1.0)
    keep = slice(0, None, 2)
    half = Truth(ids=truth.ids[keep], owner=truth.owner[keep])
    result = seepage.attack_signals(signals, half, attacks=["loss_series"], targets=[0])
    assert set(result.scores["sample"]) == set(half.ids)
    assert {row.target for row in result.results.attacks} == {0}


def test_wrong_requests_are_sentences(planted):
    signals, truth = planted(1.0)
    with pytest.raises(UserError, match="client 17 owns none"):
        seepage.attack_signals(signals, truth, targets=[17])
    with pytest.raises(UserError, match="cosine"):
        seepage.attack_signals(signals, truth, attacks=["fedmia_cosine"])
    with pytest.raises(UserError, match="no sample id in common"):
        seepage.attack_signals(signals.assign_coords(sample=signals.sample + 10**6), truth)
    with pytest.raises(UserError, match="no attack can run"):
        seepage.attack_signals(signals.rename(loss="zeal"), truth)
    one = Truth(ids=truth.ids, owner=np.zeros_like(truth.owner))
    with pytest.raises(UserError, match="same owner"):
        seepage.attack_signals(signals, one)
    nobody = Truth(ids=truth.ids, owner=np.full_like(truth.owner, -1))
    with pytest.raises(UserError, match="no client both owns samples"):
        seepage.attack_signals(signals, nobody)
    with pytest.raises(UserError, match=r"expected a list of names, such as \['loss_series'\]"):
        seepage.attack_signals(signals, truth, attacks="loss_series")
    with pytest.raises(UserError, match="did you mean lira_offline or lira_online"):
        seepage.attack_signals(signals, truth, attacks=["lira"])
    broken = signals.copy(deep=True)
    broken.loss[3, 2, 1] = np.nan
    with pytest.raises(UserError, match="NaN"):
        seepage.attack_signals(broken, truth)
