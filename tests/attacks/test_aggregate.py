"""Attacks on the sum of a round, against slow arithmetic and their own claims."""

import numpy as np
import pytest
import xarray as xr
from synthetic import auc, dataset, signals
from test_joint import fading

from seepage.attacks import aggregate_cosine, aggregate_joint, aggregate_loss_series
from seepage.attacks.aggregate import filtered
from seepage.records import UserError

ROUNDS = ("round", "sample")


def summed(found):
    """What a server under secure aggregation measures where all clients weigh the same."""
    return xr.Dataset(
        {
            "aggregate_loss": found["loss"].mean("client"),
            "aggregate_cosine": found["cosine"].mean("client"),
            "squared_gradient_norm": found["squared_gradient_norm"],
        }
    )


def leftover(values, known):
    """By the normal equations, not by the solver of the package."""
    known = (known - known.mean()) / known.std()
    design = np.stack([np.ones(len(known)), known, known**2], axis=1)
    left = values - design @ np.linalg.solve(design.T @ design, design.T @ values)
    return (left - left.mean()) / left.std()


def slow_filtered(cosine, squared_norm):
    rounds, n = cosine.shape
    score = np.zeros(n)
    excess = [
        leftover(cosine[t], np.log(squared_norm[t] + 1e-12 * squared_norm[t].max()))
        for t in range(rounds)
    ]
    for j in range(n):
        size = np.sqrt(squared_norm[:, j])
        score[j] = sum(size[t] * excess[t][j] for t in range(rounds)) / np.sqrt((size**2).sum())
    return (score - score.mean()) / score.std()


def test_the_means_over_rounds_by_hand():
    loss = dataset("aggregate_loss", [[0.2, 1.5, 1.2], [0.1, 1.3, 1.0]], ROUNDS)
    np.testing.assert_allclose(aggregate_loss_series(loss, -1), [-0.15, -1.4, -1.1])
    cosine = dataset("aggregate_cosine", [[0.2, -0.1], [0.4, 0.3], [0.0, 0.1]], ROUNDS)
    np.testing.assert_allclose(aggregate_cosine(cosine, -1), [0.2, 0.1])


def test_a_signal_that_does_not_vary_over_rounds_is_one_reading():
    once = dataset("aggregate_loss", [0.3, 1.2], ("sample",))
    np.testing.assert_allclose(aggregate_loss_series(once, -1), [-0.3, -1.2])
    found, _ = signals(2, leak=1.0)
    fixed, spread = found.copy(), found.copy()
    fixed["squared_gradient_norm"] = found["squared_gradient_norm"].isel(round=0, drop=True)
    spread["squared_gradient_norm"] = fixed["squared_gradient_norm"].expand_dims(
        round=found["round"]
    )
    np.testing.assert_allclose(aggregate_joint(fixed, -1), aggregate_joint(spread, -1))


def test_the_filter_matches_one_number_at_a_time():
    rng = np.random.default_rng(0)
    cosine, norm = rng.normal(size=(4, 30)), rng.exponential(size=(4, 30))
    np.testing.assert_allclose(filtered(cosine, norm), slow_filtered(cosine, norm), atol=1e-9)


def test_what_the_size_of_the_gradient_foretells_is_no_evidence():
    rng = np.random.default_rng(1)
    cosine, norm = rng.normal(size=(4, 60)), rng.exponential(size=(4, 60)) + 0.1
    size = np.log(norm + 1e-12 * norm.max(axis=1, keepdims=True))
    curved = cosine + 3 - 2 * size + 0.5 * size**2
    np.testing.assert_allclose(filtered(curved, norm), filtered(cosine, norm), atol=1e-8)
    scale = rng.exponential(size=(4, 1)) + 0.1
    np.testing.assert_allclose(filtered(scale * cosine, norm), filtered(cosine, norm), atol=1e-9)


def test_rounds_count_by_the_size_of_the_gradient():
    """The matched filter's gain: with signal a_t in unit noise it reaches √Σa², a mean Σa/√T."""
    rng = np.random.default_rng(2)
    size = np.array([1.0, 0.5, 0.25, 0.1, 0.05])[:, None]
    member = np.arange(40_000) < 20_000
    cosine = size * (member - 0.5) + rng.normal(size=(5, len(member)))
    norm = np.broadcast_to(size**2, cosine.shape)
    shown = filtered(cosine, norm)
    ahead = shown[member].mean() - shown[~member].mean()
    weighted, plain = np.sqrt((size**2).sum()), size.sum() / np.sqrt(5)
    weighted, plain = (d / np.sqrt(1 + d**2 / 4) for d in (weighted, plain))  # over all samples
    assert ahead == pytest.approx(weighted, abs=0.04)
    assert ahead > plain + 0.15


def test_samples_without_gradient_show_nothing():
    norm = np.ones((3, 40))
    norm[:, 4] = 0
    cosine = np.random.default_rng(3).normal(size=(3, 40))
    shown = filtered(cosine, norm)
    others = np.delete(filtered(cosine, norm), 4)
    raw = -others.sum()  # mean 0 over all: what sample 4 had is what centering made of 0
    assert shown[4] == pytest.approx(raw)
    np.testing.assert_array_equal(filtered(cosine, np.zeros((3, 40))), 0)
    np.testing.assert_array_equal(filtered(np.zeros((3, 40)), norm), 0)


def test_the_score_is_the_log_odds_of_the_model():
    found, _ = signals(4, leak=1.0)
    cosine, loss = (found[f"aggregate_{name}"].to_numpy() for name in ("cosine", "loss"))
    z = slow_filtered(cosine, found["squared_gradient_norm"].to_numpy())
    wrong = 1 - np.exp(-loss)
    m = -leftover(wrong[-1], wrong[0])  # a fifth of six rounds is one
    q = np.exp(z - 0.5) / (1 + np.exp(z - 0.5))
    gamma = np.clip(np.cov(m, q, bias=True)[0, 1] / q.var(), 0, 1)
    likelihood = np.exp(-((z - 1) ** 2) / 2 - (m - gamma) ** 2 / 2)
    nobody = np.exp(-(z**2) / 2 - m**2 / 2)
    np.testing.assert_allclose(np.exp(aggregate_joint(found, -1)), likelihood / nobody, rtol=1e-6)


def test_it_beats_both_means_where_the_evidence_fades():
    gains = []
    for seed in range(8):
        found, owner = fading(seed, clients=4, own=100)
        sums = summed(found)
        area = {
            a.__name__: auc(score[owner >= 0], score[owner == -1])
            for a in (aggregate_joint, aggregate_cosine, aggregate_loss_series)
            for score in [a(sums, -1).to_numpy()]
        }
        gains.append(area.pop("aggregate_joint") - max(area.values()))
    assert np.mean(gains) > 0.02
    assert np.mean(gains) > 4 * np.std(gains) / np.sqrt(len(gains))


def test_signals_of_different_rounds_are_joined_by_round():
    found, _ = signals(5, leak=1.0)
    cosine, rest = found[["aggregate_cosine"]], found[["aggregate_loss", "squared_gradient_norm"]]
    torn = cosine.isel(round=slice(2, None))
    expected = aggregate_joint(found.isel(round=slice(2, None)), -1)
    late = xr.merge([torn, rest.isel(round=slice(2, None))])
    np.testing.assert_allclose(aggregate_joint(late, -1), expected)
    with pytest.raises(UserError, match=r"'aggregate_cosine' has \d+ missing"):
        aggregate_joint(xr.merge([torn, rest], join="outer"), -1)


def test_rounds_are_put_in_order():
    sums = summed(fading(9, clients=4, own=100)[0])
    backwards = sums.isel(round=slice(None, None, -1))
    score = aggregate_joint(sums, -1)
    np.testing.assert_allclose(aggregate_joint(backwards, -1), score, rtol=1e-9)
    relabelled = backwards.assign_coords(round=sums["round"])  # the order does matter
    assert abs(aggregate_joint(relabelled, -1) - score).max() > 0.1


def test_one_round_is_enough():
    found, owner = signals(6, leak=2.0)
    score = aggregate_joint(found.isel(round=[0]), -1).to_numpy()
    assert auc(score[owner >= 0], score[owner == -1]) > 0.7
