"""Which client holds a record: counts by hand, ties, chance, and who is compared."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binomtest

from seepage.audit.source import source
from seepage.records import Truth, UserError


def signals(loss, ids=None):
    loss = np.asarray(loss, dtype=float)
    loss = loss[None] if loss.ndim == 2 else loss
    return xr.Dataset(
        {"loss": (("round", "client", "sample"), loss)},
        coords={
            "client": np.arange(loss.shape[1]),
            "sample": np.arange(loss.shape[2]) if ids is None else ids,
        },
    )


def truth(*owner):
    return Truth(ids=np.arange(len(owner)), owner=np.array(owner))


def test_counts_by_hand():
    """Five records that a client holds, three of them nearest to its own model; one of nobody."""
    loss = [
        [0.1, 0.9, 0.3, 0.8, 0.2, 0.0],
        [0.5, 0.2, 0.1, 0.7, 0.9, 0.5],
        [0.6, 0.8, 0.9, 0.1, 0.4, 0.5],
    ]
    found = source(signals(loss), truth(0, 1, 0, 2, 2, -1))
    assert found.clients == [0, 1, 2]
    assert found.confusion == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
    assert (found.n, found.accuracy, found.chance) == (5, 3 / 5, 1 / 3)
    exact = binomtest(3, 5).proportion_ci(0.95, method="exact")
    assert found.interval == pytest.approx((exact.low, exact.high))
    wider = source(signals(loss), truth(0, 1, 0, 2, 2, -1), confidence=0.99)
    assert wider.interval[0] < found.interval[0]


def test_what_is_right_without_a_model_by_hand():
    """Three of five records are client 2's; label 0 is mostly client 0's, label 1 client 2's."""
    loss = np.ones((3, 3, 6))
    owners = truth(0, 0, 2, 2, 2, -1)
    assert source(signals(loss), owners).largest == 3 / 5
    assert source(signals(loss), owners).by_label is None
    assert source(signals(loss), owners, labels=np.array([0, 0, 0, 1, 1, 1])).by_label == 4 / 5


def test_losses_that_say_nothing_name_nobody():
    found = source(signals(np.ones((3, 4, 8))), truth(0, 1, 2, 3, 0, 1, 2, 3))
    assert (found.n, found.accuracy, found.chance) == (8, 0, 1 / 4)
    assert found.confusion == [[0] * 4] * 4


def test_a_tie_of_two_is_nobodys_though_one_of_them_holds_it():
    found = source(signals([[0.1, 0.1], [0.1, 0.5], [0.9, 0.9]]), truth(0, 0))
    assert (found.n, found.accuracy) == (2, 1 / 2)
    assert found.confusion == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]


def test_random_losses_are_chance():
    rng = np.random.default_rng(0)
    owner = rng.integers(4, size=4000)
    found = source(signals(rng.exponential(size=(3, 4, 4000))), truth(*owner))
    assert found.accuracy == pytest.approx(1 / 4, abs=4 * np.sqrt(3 / 16 / 4000))
    rows = np.array(found.confusion).sum(axis=1)
    np.testing.assert_array_equal(rows, np.bincount(owner))


def test_planted_losses_are_found():
    rng = np.random.default_rng(1)
    owner = rng.integers(4, size=200)
    loss = rng.exponential(size=(1, 4, 200)) + 20 * (owner != np.arange(4)[:, None])
    found = source(signals(loss), truth(*owner))
    assert found.accuracy == 1
    assert np.trace(found.confusion) == 200


def test_rows_are_joined_by_id():
    rng = np.random.default_rng(2)
    loss, owner = rng.exponential(size=(2, 3, 30)), rng.integers(-1, 3, size=30)
    expected = source(signals(loss), truth(*owner))
    order = rng.permutation(30)
    assert source(signals(loss[:, :, order], ids=order), truth(*owner)) == expected


def test_only_clients_that_can_be_compared_are():
    """Client 1 took part in no round, so its records are not asked about."""
    rng = np.random.default_rng(3)
    loss = rng.exponential(size=(2, 3, 6))
    loss[:, 1] = np.nan
    found = source(signals(loss), truth(0, 1, 2, 0, 1, 2))
    assert (found.clients, found.n, found.chance) == ([0, 2], 4, 1 / 2)
    np.testing.assert_array_equal(np.sum(found.confusion, axis=1), [2, 2])
    without = signals(loss).isel(client=[0, 2])
    assert source(without, truth(0, 1, 2, 0, 1, 2)) == found


def test_nobody_to_ask_about_is_none():
    rng = np.random.default_rng(4)
    loss = rng.exponential(size=(2, 3, 4))
    assert source(signals(loss), truth(-1, -1, 7, 9)) is None
    assert source(signals(loss).rename(loss="cosine"), truth(0, 1, 2, 0)) is None
    assert source(signals(loss).isel(client=0, drop=True), truth(0, 1, 2, 0)) is None
    assert source(signals(loss[:, :1]), truth(0, 0, 0, -1)) is None
    alone = loss.copy()
    alone[0, 1:], alone[1, :2] = np.nan, np.nan
    assert source(signals(alone), truth(0, 1, 2, 0)) is None


def test_gaps_are_refused():
    loss = np.ones((2, 3, 4))
    loss[1, 1, 1] = np.nan
    with pytest.raises(UserError, match="'loss' has 1 missing"):
        source(signals(loss), truth(0, 1, 2, 0))
