"""Noise that attacks are tried on has the shape, and the laws, of what will be measured."""

import numpy as np
import pytest
import xarray as xr

from seepage.audit.rehearsal import noise, noise_like
from seepage.protocols import Attack
from seepage.signals import EACH, SIGNALS

PRESENT = {2: [1, 5], 4: [1, 7], 9: [1, 5, 7]}
THERE = np.array([[True, True, False], [True, False, True], [True, True, True]])


def made(*needs, present=PRESENT):
    attack = Attack(
        score=lambda signals, target: signals["loss"], adversary="server", needs=needs,
        summary="", paper="",
    )  # fmt: skip
    return noise({"one": attack}, present)


def test_every_signal_has_its_dims_and_its_clients():
    signals = made(*SIGNALS)
    assert set(signals) == set(SIGNALS)
    for name, signal in SIGNALS.items():
        assert signals[name].dims == signal.dims
    assert signals.client.values.tolist() == [1, 5, 7]
    assert signals["round"].values.tolist() == [2, 4, 9]
    assert signals.sizes["class"] == 10


def test_who_took_no_part_is_missing():
    signals = made("dealt_loss", "loss", "squared_update_norm", "global_loss", "of_a_users_own")
    np.testing.assert_array_equal(signals["squared_update_norm"].notnull(), THERE)
    for name in ("loss", "dealt_loss", "of_a_users_own"):
        known = signals[name].notnull()
        assert known.dims == EACH
        np.testing.assert_array_equal(known, np.broadcast_to(THERE, known.shape))
    assert signals["global_loss"].notnull().all()


def test_weights_are_0_for_those_who_took_no_part_and_sum_to_1():
    weights = made("attendance")["attendance"]
    np.testing.assert_array_equal(weights > 0, THERE)
    np.testing.assert_allclose(weights.sum("client"), 1.0)


@pytest.mark.parametrize("clients", [1, 3, 10, 25])
def test_every_class_is_declared_once_and_every_client_declares(clients):
    declared = made("declared", present={1: range(clients)})["declared"]
    assert set(np.unique(declared)) <= {0, 1}
    assert (declared.sum("client") == 1).all()
    assert (declared.sum("class") >= 1).all()
    assert declared.sizes["class"] == max(10, clients)


def test_labels_are_declared_classes_and_answers_are_probabilities():
    names = ("generated_answer", "global_answer", "own_answer")
    signals = made("label", "declared", *names)
    assert signals["label"].dtype.kind == "i"
    assert set(signals["label"].values) == set(signals["class"].values)
    for name in names:
        np.testing.assert_allclose(signals[name].sum("class"), 1.0)
        assert (signals[name] > 0).all()
    xr.testing.assert_identical(signals, made("label", "declared", *names))


def test_noise_like_signals_keeps_what_is_known_and_nothing_that_was_measured():
    signals = made(*SIGNALS) + 1  # no draw of the same stream is the same
    again = noise_like(signals)
    for name in SIGNALS:
        assert again[name].dims == signals[name].dims
        same = name in ("attendance", "declared", "label")
        assert again[name].equals(signals[name]) == same
