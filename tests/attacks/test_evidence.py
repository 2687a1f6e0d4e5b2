"""What is read of a Dataset: absent clients are left out, gaps and wrong files are refused."""

import numpy as np
import pytest
from synthetic import dataset, signals
from synthetic_users import user_signals

from seepage.attacks import (
    ATTACKS,
    blackbox_loss,
    fedmia_cosine,
    fedmia_loss,
    grad_norm,
    loss_series,
)
from seepage.records import UserError


@pytest.fixture
def loss():
    return np.random.default_rng(3).normal(size=(5, 6, 8))


def test_rounds_without_the_target_are_skipped(loss):
    absent = loss.copy()
    absent[[1, 4], 2] = np.nan
    present = dataset("loss", loss).isel(round=[0, 2, 3])
    for attack in (blackbox_loss, loss_series, fedmia_loss):
        np.testing.assert_allclose(attack(dataset("loss", absent), 2), attack(present, 2))


def test_an_absent_other_is_left_out_of_that_round(loss):
    absent = loss.copy()
    absent[1:, 5] = np.nan
    score = fedmia_loss(dataset("loss", absent), 0)
    first = fedmia_loss(dataset("loss", loss).isel(round=[0]), 0)
    later = fedmia_loss(dataset("loss", loss[1:, :5]), 0)
    np.testing.assert_allclose(score, (first.to_numpy() + 4 * later.to_numpy()) / 5)


def test_a_round_with_one_other_is_left_out(loss):
    absent = loss.copy()
    absent[3, 2:] = np.nan
    expected = fedmia_loss(dataset("loss", loss).isel(round=[0, 1, 2, 4]), 0)
    np.testing.assert_allclose(fedmia_loss(dataset("loss", absent), 0), expected)


def test_a_round_measured_for_nobody_is_left_out():
    norms = np.array([[1.0, 2.0], [3.0, 4.0], [np.nan, np.nan]])
    score = grad_norm(dataset("squared_gradient_norm", norms, ("round", "sample")), 0)
    np.testing.assert_array_equal(score, [-3.0, -4.0])


def test_a_target_that_never_took_part_is_an_error(loss):
    loss[:, 4] = np.nan
    with pytest.raises(UserError, match="client 4 in any round"):
        loss_series(dataset("loss", loss), 4)
    with pytest.raises(UserError, match="in no observed round did client 4"):
        fedmia_loss(dataset("loss", loss), 4)


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_gap_is_named_with_count_and_place(loss, hole):
    loss[2, 1, [3, 5]] = hole
    with pytest.raises(UserError, match=r"'loss' has 2 missing .* first in round 2, client 1"):
        fedmia_loss(dataset("loss", loss), 0)
    with pytest.raises(UserError, match=r"'loss' has 2 missing .* first in round 2\."):
        loss_series(dataset("loss", loss), 1)
    assert loss_series(dataset("loss", loss), 0).notnull().all(), (
        "the target's own values are whole"
    )


def test_one_other_client_is_too_few(loss):
    with pytest.raises(UserError, match=r"1 client\(s\) besides the target; at least 2"):
        fedmia_loss(dataset("loss", loss[:, :2]), 0)
    assert fedmia_loss(dataset("loss", loss[:, :3]), 0).sizes == {"sample": 8}


def test_a_signal_of_one_model_cannot_be_compared(loss):
    with pytest.raises(UserError, match="has no client dim"):
        fedmia_cosine(dataset("cosine", loss[:, 0], ("round", "sample")), 0)


def test_wrong_files_are_refused(loss):
    with pytest.raises(UserError, match=r"no client 9; clients there are: 0, 1, 2, 3, 4, 5\."):
        loss_series(dataset("loss", loss), 9)
    with pytest.raises(UserError, match="needs the dim sample"):
        loss_series(dataset("loss", loss[:, :, 0], ("round", "client")), 0)
    with pytest.raises(UserError, match="needs the dim sample"):
        loss_series(dataset("loss", loss, ("round", "model", "sample")), 0)
    with pytest.raises(UserError, match="no sample ids"):
        loss_series(dataset("loss", loss).drop_vars("sample"), 0)
    twice = dataset("loss", loss).assign_coords(sample=[0, 1, 2, 3, 4, 5, 6, 6])
    with pytest.raises(UserError, match="sample 6 more than once"):
        loss_series(twice, 0)


def test_a_missing_signal_is_named_with_what_is_there(loss):
    with pytest.raises(UserError, match="needs the signal 'cosine'; signals there are: loss"):
        fedmia_cosine(dataset("loss", loss), 0)


@pytest.mark.parametrize("name", [n for n, a in ATTACKS.items() if a.over == "client"])
def test_axes_in_any_order_and_single_precision(name):
    found, _ = (user_signals if ATTACKS[name].decide else signals)(1, leak=1.0)
    expected = ATTACKS[name](found, 3)
    order = np.random.default_rng(0).permutation(found.sizes["round"])
    turned = found.transpose("sample", "client", "round", ...).isel(round=order)
    np.testing.assert_allclose(ATTACKS[name](turned, 3), expected, rtol=1e-9)
    single = ATTACKS[name](found.astype(np.float32), 3)
    assert single.dtype == np.float64
    np.testing.assert_allclose(single, expected, rtol=1e-3, atol=1e-3)
