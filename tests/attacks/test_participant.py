"""Attacks on global models and by gradient ascent, against the means they stand for."""

import numpy as np
import pytest
import xarray as xr
from synthetic import dataset

from seepage.attacks import (
    global_loss_series,
    global_update_cosine,
    gradient_ascent,
    gradient_ascent_isolating,
)
from seepage.records import UserError

SEEN, EACH = ("round", "sample"), ("round", "client", "sample")
LOSS = np.array([[0.2, 1.5, 1.2], [0.1, 1.3, 1.0]])


def pair(first, second, dims=SEEN):
    return xr.merge([dataset(name, values, dims) for name, values in (first, second)])


def test_means_over_rounds_by_hand():
    np.testing.assert_allclose(
        global_loss_series(dataset("global_loss", LOSS, SEEN), 4), [-0.15, -1.4, -1.1]
    )
    np.testing.assert_allclose(
        global_update_cosine(dataset("others_cosine", LOSS, SEEN), 4), [0.15, 1.4, 1.1]
    )


@pytest.mark.parametrize("attack", [global_loss_series, global_update_cosine, gradient_ascent])
def test_the_target_is_not_looked_at_but_must_exist(attack):
    rng = np.random.default_rng(0)
    names = ("global_loss", "others_cosine", "start_loss")
    found = xr.merge([dataset(name, rng.normal(size=(4, 5)), SEEN) for name in names])
    found = found.assign_coords(client=[0, 1, 5])
    assert attack(found, 0).identical(attack(found, 5))
    with pytest.raises(UserError, match="no client 4"):
        attack(found, 4)


def test_the_fall_is_over_the_rounds_in_which_it_was_raised():
    raised = np.array([[3.0, 4.0, 5.0], [3.0, 5.0, 4.0]])
    found = pair(("start_loss", raised), ("global_loss", LOSS))
    np.testing.assert_allclose(gradient_ascent(found, 0), [2.85, 3.1, 3.4])


def test_rounds_without_the_insider_are_left_out():
    raised = np.array([[3.0, 4.0, 5.0], [np.nan] * 3])
    found = pair(("start_loss", raised), ("global_loss", LOSS))
    np.testing.assert_allclose(gradient_ascent(found, 0), [2.8, 2.5, 3.8])


def test_the_isolated_target_alone_counts():
    dealt, loss = np.full((2, 3, 3), np.nan), np.ones((2, 3, 3))
    dealt[1, 2] = [4.0, 5.0, 6.0]
    loss[1, 2] = [1.0, 3.0, 5.5]
    found = pair(("dealt_loss", dealt), ("loss", loss), EACH)
    np.testing.assert_allclose(gradient_ascent_isolating(found, 2), [-1.0, -3.0, -5.5])
    with pytest.raises(UserError, match="'dealt_loss' has no value for client 0"):
        gradient_ascent_isolating(found, 0)


def test_signals_without_a_common_round_are_refused():
    found = xr.merge(
        [
            dataset("start_loss", LOSS, SEEN),
            dataset("global_loss", LOSS, SEEN).assign_coords(round=[5, 6]),
        ],
        join="outer",
    )
    with pytest.raises(UserError, match="start_loss and global_loss of client 0 have no round"):
        gradient_ascent(found, 0)
