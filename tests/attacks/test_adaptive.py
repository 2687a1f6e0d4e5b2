"""The twins of an adversary who knows the defense, against the attacks they are named after."""

import pytest
import xarray as xr

from attacks.synthetic import dataset, signals
from seepage.attacks import ATTACKS
from seepage.records import UserError

TWINS = [name for name, attack in ATTACKS.items() if attack.adapts]


def test_the_twins_there_are():
    assert TWINS == [
        "avg_cosine_adaptive",
        "fedmia_cosine_adaptive",
        "fedmia_joint_adaptive",
        "fedmia_loss_adaptive",
        "loss_series_adaptive",
    ]


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_is_the_plain_attack_on_the_adaptive_signals(name):
    found, _ = signals(3, leak=1.0)
    plain = ATTACKS[ATTACKS[name].adapts]
    moved = xr.Dataset({need: found[f"adaptive_{need}"] for need in plain.needs})
    xr.testing.assert_identical(ATTACKS[name](found, 2), plain(moved, 2))
    assert not ATTACKS[name](found, 2).equals(plain(found, 2))


def test_a_loss_below_zero_is_taken_as_it_is():
    """Convex-concave losses are negative where a model is sure."""
    found = dataset("adaptive_loss", [[[-2.0, 1.0]], [[0.0, 3.0]]])
    assert ATTACKS["loss_series_adaptive"](found, 0).values.tolist() == [1.0, -2.0]


@pytest.mark.parametrize("name", [name for name in TWINS if name.startswith("fedmia")])
def test_a_complaint_names_the_signal_that_is_there(name):
    found, _ = signals(0)
    need = ATTACKS[name].needs[0]
    with pytest.raises(UserError, match=f"'{need}' has 0 client"):
        ATTACKS[name](found.isel(client=[3]), 3)
    holed = found.copy()
    holed[need] = found[need].where((found["sample"] != 1007) | (found["client"] != 5))
    with pytest.raises(UserError, match=f"'{need}' has .* missing"):
        ATTACKS[name](holed, 3)
