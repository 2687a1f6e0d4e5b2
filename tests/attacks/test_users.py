"""Attacks by declared labels, against one number at a time."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from synthetic_users import user_signals

from seepage.attacks import (
    ATTACKS,
    declared_label,
    declared_label_global,
    own_data_only,
    user_level_gan,
)
from seepage.attacks.users import label_is_declared, says_declared
from seepage.records import UserError

ANSWERS = {
    "generated_answer": user_level_gan,
    "global_answer": declared_label_global,
    "own_answer": own_data_only,
}
DECLARED = [[1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 0]]
GIVEN = [[0.1, 0.2, 0.3, 0.4], [0.6, 0.1, 0.2, 0.1], [0.1, 0.2, 0.7, 0.0]]


def small(**more):
    """Three clients, four classes (the last is nobody's), three records."""
    answers = {name: (("sample", "class"), np.array(GIVEN)) for name in ANSWERS}
    signals = {
        "declared": (("client", "class"), np.array(DECLARED, dtype=float)),
        "label": ("sample", np.array([1, 2, 3])),
    }
    return xr.Dataset(answers | signals | more, coords={"sample": [30, 10, 20]})


@pytest.mark.parametrize("name", ANSWERS)
def test_the_score_sums_over_the_declared_classes(name):
    attack = ANSWERS[name]
    np.testing.assert_allclose(attack(small(), 0), [0.3, 0.7, 0.3])
    np.testing.assert_allclose(attack(small(), 1), [0.5, 0.3, 0.9])
    np.testing.assert_allclose(attack(small(), 2), [0.3, 0.2, 0.7])


@pytest.mark.parametrize("name", ANSWERS)
def test_the_decision_is_that_of_the_predicted_class(name):
    decide = ATTACKS[ANSWERS[name].__name__].decide
    for target, expected in enumerate(
        ([False, True, False], [False, False, True], [False, False, True])
    ):
        np.testing.assert_array_equal(decide(small(), target), expected)


@pytest.mark.parametrize("name", ANSWERS)
def test_each_attack_reads_its_own_answers(name):
    signals = small()
    other = signals.copy()
    for answer in set(ANSWERS) - {name}:
        other[answer] = 1 - other[answer]
    assert ANSWERS[name](other, 0).identical(ANSWERS[name](signals, 0))
    other[name] = other[name] / 2
    np.testing.assert_allclose(ANSWERS[name](other, 0), ANSWERS[name](signals, 0) / 2)


def test_nothing_is_predicted_where_every_probability_is_0():
    nothing = small(global_answer=(("sample", "class"), np.zeros((3, 4))))
    assert not says_declared(nothing, 0, answer="global_answer").any()


def test_the_label_prior_by_hand():
    """Label 1 was declared by clients 0 and 1, label 2 by 1 and 2, label 3 by nobody."""
    np.testing.assert_allclose(declared_label(small(), 0), [0.5, 0, 0])
    np.testing.assert_allclose(declared_label(small(), 1), [0.5, 0.5, 0])
    np.testing.assert_allclose(declared_label(small(), 2), [0, 0.5, 0])
    np.testing.assert_array_equal(label_is_declared(small(), 1), [True, True, False])


def test_a_label_that_is_no_class_is_nobodys():
    everything = ("client", "class"), np.ones((3, 4))
    odd = small(label=("sample", [7, -1, 1]), declared=everything)
    np.testing.assert_allclose(declared_label(odd, 1), [0, 0, 1 / 3])


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_the_label_prior_is_a_probability_over_the_clients(seed):
    rng = np.random.default_rng(seed)
    declared = rng.integers(2, size=(4, 5))
    declared[:, 0] = 1
    label = rng.integers(5, size=20)
    signals = xr.Dataset(
        {"declared": (("client", "class"), declared), "label": ("sample", label)},
        coords={"sample": np.arange(20)},
    )
    total = sum(declared_label(signals, k) for k in range(4))
    np.testing.assert_allclose(total, declared.any(axis=0)[label])


@pytest.mark.parametrize("name", ["declared_label", *(a.__name__ for a in ANSWERS.values())])
def test_the_numbers_of_the_classes_do_not_matter(name):
    signals, _ = user_signals(3, leak=1.0)
    order = np.random.default_rng(0).permutation(signals.sizes["class"])
    turned = signals.isel({"class": order})
    attack = ATTACKS[name]
    np.testing.assert_allclose(attack(turned, 2), attack(signals, 2))
    np.testing.assert_array_equal(attack.decide(turned, 2), attack.decide(signals, 2))
    renamed = turned.assign_coords({"class": 50 + np.arange(len(order))})
    renamed["label"] = signals["label"].copy(data=50 + np.argsort(order)[signals["label"]])
    np.testing.assert_allclose(attack(renamed, 2), attack(signals, 2))
    np.testing.assert_array_equal(attack.decide(renamed, 2), attack.decide(signals, 2))


def test_with_disjoint_labels_the_label_is_all_there_is_to_know():
    signals, owner = user_signals(0, leak=1.0)
    for k in range(signals.sizes["client"]):
        marked = label_is_declared(signals, k).to_numpy()
        np.testing.assert_array_equal(marked[owner >= 0], (owner == k)[owner >= 0])


@pytest.mark.parametrize("attack", [declared_label, *ANSWERS.values()])
def test_a_target_that_declared_nothing_is_refused(attack):
    nothing = small()
    nothing["declared"] = nothing["declared"].where(nothing["declared"].client != 1, 0)
    with pytest.raises(UserError, match="client 1 declared no class"):
        attack(nothing, 1)
    missing = small()
    missing["declared"] = missing["declared"].where(missing["declared"].client != 1)
    with pytest.raises(UserError, match="client 1 declared no class"):
        attack(missing, 1)
    np.testing.assert_array_equal(attack(nothing, 0), attack(missing, 0))


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_in_rounds_or_of_clients_are_refused(name):
    for dim in ("round", "client"):
        spread = small()
        spread[name] = spread[name].expand_dims({dim: 3})
        with pytest.raises(UserError, match=f"{name!r} needs the dim"):
            ANSWERS[name](spread, 0)
    with pytest.raises(UserError, match="needs the dims sample and class"):
        ANSWERS[name](small(**{name: ("sample", np.ones(3))}), 0)


def test_gaps_and_wrong_shapes_are_refused():
    with pytest.raises(UserError, match="'label' has 1 missing"):
        declared_label(small(label=("sample", [0.0, np.nan, 1.0])), 0)
    with pytest.raises(UserError, match="'declared' needs the dims client and class"):
        declared_label(small(declared=("class", np.ones(4))), 0)
    with pytest.raises(UserError, match="no sample ids"):
        user_level_gan(small().drop_vars("sample"), 0)
