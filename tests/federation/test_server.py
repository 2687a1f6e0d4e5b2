"""Weights, aggregation and the draw of clients."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from seepage.federation import aggregate, participants, weights

SIZES = st.dictionaries(st.integers(0, 50), st.integers(1, 10_000), min_size=1, max_size=12)


@settings(deadline=None, derandomize=True)
@given(SIZES)
def test_weights_are_shares_by_client_and_sum_to_one(sizes):
    share = weights(sizes)
    assert list(share) == sorted(sizes)
    assert sum(share.values()) == pytest.approx(1, abs=1e-12)
    total = sum(sizes.values())
    assert all(share[k] == pytest.approx(sizes[k] / total) for k in sizes)


@settings(deadline=None, derandomize=True)
@given(SIZES, st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing_bit_for_bit(sizes, order):
    rng = np.random.default_rng(len(sizes))
    # float64, in which the order of a sum shows
    uploads = {k: {"a": torch.from_numpy(rng.normal(size=50))} for k in sizes}
    turned = list(uploads)
    order.shuffle(turned)
    share = weights(sizes)
    one = aggregate(uploads, share)["a"]
    assert torch.equal(one, aggregate({k: uploads[k] for k in turned}, share)["a"])
    expected = sum(share[k] * uploads[k]["a"] for k in sizes)
    torch.testing.assert_close(one, expected, rtol=1e-12, atol=1e-14)


def test_small_terms_are_not_lost_beside_large_ones():
    # the mean of a thousand equal numbers is that number; a sum in float32 drifts
    uploads = {k: {"a": torch.full((3,), 0.1)} for k in range(1000)}
    mean = aggregate(uploads, weights(dict.fromkeys(range(1000), 1)))
    assert mean["a"].dtype == torch.float32
    assert torch.equal(mean["a"], torch.full((3,), 0.1))


def test_each_client_is_drawn_as_often_as_the_share_says():
    counts = np.zeros(10)
    for number in range(1, 2001):
        drawn = participants(10, 0.3, seed=3, round_number=number)
        assert len(set(drawn)) == 3
        assert drawn == sorted(drawn)
        counts[drawn] += 1
    deviation = np.sqrt(2000 * 0.3 * 0.7)
    assert np.abs(counts - 600).max() < 4 * deviation
    assert counts.std() > 0  # equal to a man would be no draw at all


def test_everyone_takes_part_by_default_and_someone_always_does():
    assert participants(4, 1.0, seed=0, round_number=1) == [0, 1, 2, 3]
    assert len(participants(4, 0.01, seed=0, round_number=1)) == 1
    assert participants(100, 0.1, seed=0, round_number=1) != participants(
        100, 0.1, seed=0, round_number=2
    )
