"""The posterior of the source, against exponentials one at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic import dataset

from seepage.attacks import source_inference
from seepage.attacks.source_inference import is_likeliest, log_posterior
from seepage.records import UserError


def losses(seed=0, rounds=3, clients=4, n=6):
    return np.random.default_rng(seed).exponential(size=(rounds, clients, n))


def slow(loss, target):
    """Mean over the target's rounds of the log of its share; absent clients are NaN."""
    score = np.zeros(loss.shape[2])
    for j in range(loss.shape[2]):
        logs = []
        for t in range(loss.shape[0]):
            there = [k for k in range(loss.shape[1]) if not np.isnan(loss[t, k, 0])]
            if target in there and len(there) > 1:
                total = sum(np.exp(-loss[t, k, j]) for k in there)
                logs.append(np.log(np.exp(-loss[t, target, j]) / total))
        score[j] = np.mean(logs)
    return score


def absent(seed=0):
    loss = losses(seed, rounds=5)
    loss[0, 1], loss[1, 3] = np.nan, np.nan
    loss[2, 1:] = np.nan  # client 0 alone: nobody to compare with
    return loss


@pytest.mark.parametrize("loss", [losses(), absent()])
def test_it_matches_one_number_at_a_time(loss):
    for target in range(4):
        score = source_inference(dataset("loss", loss), target)
        np.testing.assert_allclose(score, slow(loss, target))


def test_by_hand():
    """e^-0 : e^-log 3 is 3 : 1."""
    found = dataset("loss", [[[0.0], [np.log(3)]]])
    np.testing.assert_allclose(np.exp(log_posterior(found)), [[0.75], [0.25]])


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_in_a_round_it_is_a_probability_over_the_clients(seed):
    found = np.exp(log_posterior(dataset("loss", losses(seed, rounds=1))))
    np.testing.assert_allclose(found.sum("client"), 1)


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.floats(-5, 5))
def test_what_all_clients_have_in_common_does_not_matter(seed, shift):
    loss = losses(seed)
    score = source_inference(dataset("loss", loss), 1)
    moved = source_inference(dataset("loss", loss + shift + losses(1, clients=1)), 1)
    np.testing.assert_allclose(moved, score, atol=1e-9)


def test_large_losses_do_not_overflow():
    found = dataset("loss", 1e4 + 1e3 * losses())
    score = source_inference(found, 0)
    assert np.isfinite(score).all()
    np.testing.assert_allclose(score, source_inference(dataset("loss", 1e3 * losses()), 0))


def test_with_everybody_there_the_lowest_mean_loss_is_likeliest():
    loss = losses(3, rounds=4, clients=5, n=200)
    best = loss.mean(axis=0).argmin(axis=0)
    for k in range(5):
        np.testing.assert_array_equal(is_likeliest(dataset("loss", loss), k), best == k)


def test_a_tie_is_nobodys():
    loss = np.ones((2, 3, 2))
    loss[:, 0, 0] = 0.5
    marked = np.stack([is_likeliest(dataset("loss", loss), k) for k in range(3)])
    np.testing.assert_array_equal(marked, [[True, False], [False, False], [False, False]])


def test_two_clients_are_enough():
    loss = losses(clients=2)
    difference = loss[0, 1] - loss[0, 0]
    score = source_inference(dataset("loss", loss[:1]), 0)
    np.testing.assert_allclose(score, -np.log1p(np.exp(-difference)))


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UserError, match="in no observed round did two clients"):
        source_inference(dataset("loss", losses(clients=1)), 0)
    loss = losses()
    loss[:, 2] = np.nan
    with pytest.raises(UserError, match="did client 2 and another one"):
        source_inference(dataset("loss", loss), 2)
    with pytest.raises(UserError, match="did client 2 and another one"):
        is_likeliest(dataset("loss", loss), 2)
    with pytest.raises(UserError, match="has no client dim"):
        source_inference(dataset("loss", np.ones((2, 3)), ("round", "sample")), 0)
    gap = losses()
    gap[1, 1, 1] = np.nan
    with pytest.raises(UserError, match="'loss' has 1 missing"):
        log_posterior(dataset("loss", gap))
