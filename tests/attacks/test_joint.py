"""The joint attack against slow arithmetic, its own claims, and what it must not do."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import logsumexp
from synthetic import auc, signals

from seepage.attacks import fedmia_cosine, fedmia_joint
from seepage.attacks.joint import memory, residuals, trust
from seepage.records import UserError


def slow_residuals(cosine, squared_norm):
    """One number at a time; NaN rows are clients that were absent."""
    rounds, clients, n = cosine.shape
    excess = cosine - np.array([[row.mean() for row in one] for one in cosine])[:, :, None]
    for t in range(rounds):
        for j in range(n):
            excess[t, :, j] -= np.nanmean(excess[t, :, j])
        excess[t] /= np.sqrt(np.nanmean(excess[t] ** 2))
    level, variance = np.zeros((clients, n)), np.zeros((clients, n))
    for k in range(clients):
        there = ~np.isnan(excess[:, k, 0])
        for j in range(n):
            level[k, j] = np.average(excess[there, k, j], weights=squared_norm[there, j])
    for k in range(clients):
        others = np.delete(level, k, axis=0)
        variance[k] = others.var(axis=0, ddof=1)
    freedom = clients - 2
    lent = (4 * variance.mean() + freedom * variance) / (4 + freedom)
    z = np.empty((clients, n))
    for k in range(clients):
        z[k] = level[k] - np.delete(level, k, axis=0).mean(axis=0)
    return z / np.sqrt(lent * (1 + 1 / (clients - 1)))


@pytest.mark.parametrize("clients", [3, 4, 10])
def test_residuals_match_one_number_at_a_time(clients):
    rng = np.random.default_rng(0)
    cosine, norm = rng.normal(size=(4, clients, 12)), rng.exponential(size=(4, 12))
    np.testing.assert_allclose(residuals(cosine, norm), slow_residuals(cosine, norm), rtol=1e-9)


def test_residuals_leave_out_absent_clients():
    rng = np.random.default_rng(1)
    cosine, norm = rng.normal(size=(5, 6, 12)), rng.exponential(size=(5, 12))
    cosine[[0, 3], 2] = np.nan
    cosine[1, 5] = np.nan
    np.testing.assert_allclose(residuals(cosine, norm), slow_residuals(cosine, norm), rtol=1e-9)


def test_residuals_ignore_offsets_of_clients_and_of_samples():
    rng = np.random.default_rng(2)
    cosine, norm = rng.normal(size=(4, 5, 12)), rng.exponential(size=(4, 12))
    moved = 7 * (cosine + rng.normal(size=(4, 5, 1)) + rng.normal(size=(4, 1, 12)))
    np.testing.assert_allclose(residuals(moved, norm), residuals(cosine, norm), rtol=1e-9)


def test_a_sample_without_gradient_shows_nothing():
    norm = np.ones((3, 6))
    norm[:, 4] = 0
    shown = residuals(np.random.default_rng(3).normal(size=(3, 5, 6)), norm)
    np.testing.assert_array_equal(shown[:, 4], 0)
    np.testing.assert_array_equal(residuals(np.zeros((3, 5, 6)), norm), 0)


def test_memory_is_what_early_loss_does_not_foretell():
    rng = np.random.default_rng(4)
    early, extra = rng.exponential(size=500), rng.normal(size=500)
    foretold = 2 + 3 * early - 0.5 * early**2
    loss = np.stack([early, rng.normal(size=500), foretold - extra])
    design = np.stack([np.ones(500), early, early**2], axis=1)
    projected = extra - design @ np.linalg.solve(design.T @ design, design.T @ extra)
    np.testing.assert_allclose(memory(loss), projected / projected.std(), atol=1e-8)
    np.testing.assert_array_equal(memory(np.stack([early, foretold])), 0)


def test_one_round_has_no_memory():
    loss = np.random.default_rng(5).exponential(size=(1, 40))
    np.testing.assert_array_equal(memory(loss), 0)
    np.testing.assert_array_equal(memory(np.ones((6, 40))), 0)


def test_trust_is_the_shift_of_the_owned_where_that_is_known():
    rng = np.random.default_rng(6)
    probability = rng.random(200_000)
    owned = rng.random(200_000) < probability
    for shift, expected in ((0.6, 0.6), (-0.5, 0.0), (3.0, 1.0)):
        kept = rng.normal(size=200_000) + shift * owned
        assert trust(probability, kept) == pytest.approx(expected, abs=4 / np.sqrt(200_000 / 12))
    assert trust(np.full(10, 0.3), np.arange(10.0)) == 0


def test_the_score_is_the_log_odds_of_the_owners():
    found, _ = signals(3, leak=1.0)
    z = residuals(found["cosine"].to_numpy(), found["squared_gradient_norm"].to_numpy())
    m = memory(found["loss"].mean("client").to_numpy())
    clients = len(z)
    log_owner = np.log(0.5 / clients) + 1.5 * z - 1.5**2 / 2
    evidence = logsumexp(log_owner, axis=0)
    gamma = trust(np.exp(evidence) / (0.5 + np.exp(evidence)), m)
    log_owner += gamma * m - gamma**2 / 2
    nobody = np.full((1, z.shape[1]), np.log(0.5))
    joint = np.concatenate([log_owner, nobody])
    posterior = np.exp(joint - logsumexp(joint, axis=0))
    np.testing.assert_allclose(posterior.sum(axis=0), 1)
    for target in (0, 6):
        odds = posterior[target] / (1 - posterior[target])
        np.testing.assert_allclose(np.exp(fedmia_joint(found, target)), odds, rtol=1e-6)


def test_a_sample_that_is_clearly_another_clients_scores_lower():
    found, owner = signals(4, leak=1.5)
    score = fedmia_joint(found, 0).to_numpy()
    assert auc(score[owner > 0], score[owner == -1]) < 0.4
    assert auc(score[owner == 0], score[owner > 0]) > 0.95


def fading(seed, clients=8, own=60, held_out=400, rounds=12):
    """First-order cosines: an owner's own term is its gradient's norm, which fades as it learns."""
    rng = np.random.default_rng(seed)
    owner = np.concatenate([np.repeat(np.arange(clients), own), np.full(held_out, -1)])
    n, t = len(owner), np.arange(rounds)[:, None]
    norm = np.exp(rng.normal(size=n) * 0.5 - np.where(owner >= 0, 0.35, 0.15) * t)
    mine = owner == np.arange(clients)[:, None]
    taste = 0.5 * rng.normal(size=(clients, n))
    cosine = norm[:, None] * mine + taste + 0.5 * rng.normal(size=(rounds, clients, n))
    loss = np.broadcast_to(norm[:, None], cosine.shape) + 0.1 * rng.normal(size=cosine.shape)
    dims = ("round", "client", "sample")
    return xr.Dataset(
        {
            "cosine": (dims, 0.01 * cosine),
            "loss": (dims, loss),
            "squared_gradient_norm": (("round", "sample"), norm**2),
        },
        coords={"sample": np.arange(n), "client": np.arange(clients), "round": np.arange(rounds)},
    ), owner


def test_it_beats_a_mean_over_rounds_where_the_evidence_fades():
    gains = []
    for seed in range(5):
        found, owner = fading(seed)
        for target in (0, 5):
            areas = [
                auc(score[owner == target], score[owner != target])
                for score in (a(found, target).to_numpy() for a in (fedmia_joint, fedmia_cosine))
            ]
            gains.append(areas[0] - areas[1])
    assert np.mean(gains) > 0.05
    assert np.mean(gains) > 4 * np.std(gains) / np.sqrt(len(gains))


def test_a_client_absent_from_every_round_is_left_out():
    found, _ = signals(7, leak=1.0)
    absent = found.copy()
    for name in ("cosine", "loss"):
        absent[name] = found[name].where(found["client"] != 4)
    expected = fedmia_joint(found.drop_sel(client=4), 0)
    np.testing.assert_allclose(fedmia_joint(absent, 0), expected, rtol=1e-9)


def test_signals_of_different_rounds_are_joined_by_round():
    found, _ = signals(8, leak=1.0)
    torn = found.copy()
    torn["loss"] = found["loss"].where(found["round"] > 10)
    torn["cosine"] = found["cosine"].where(found["round"] < 60)
    expected = fedmia_joint(found.sel(round=[20, 30, 40, 50]), 2)
    np.testing.assert_allclose(fedmia_joint(torn, 2), expected, rtol=1e-9)
    torn["loss"] = found["loss"].where(found["round"] == 60)
    with pytest.raises(UserError, match="no round in common"):
        fedmia_joint(torn, 2)


def test_a_fixed_gradient_norm_serves_every_round():
    found, _ = signals(9, leak=1.0)
    once = found.copy()
    once["squared_gradient_norm"] = found["squared_gradient_norm"].isel(round=0, drop=True)
    spread = found.copy()
    spread["squared_gradient_norm"] = once["squared_gradient_norm"].expand_dims(
        round=found["round"]
    )
    np.testing.assert_allclose(fedmia_joint(once, 1), fedmia_joint(spread, 1))


@pytest.mark.parametrize("others", [2, 3])
def test_few_clients_are_enough(others):
    found, owner = signals(10, leak=2.0, clients=others + 1)
    score = fedmia_joint(found, 0).to_numpy()
    assert auc(score[owner == 0], score[owner != 0]) > 0.8
