"""Rows of attacks that ask whose record it is: the victim, and how often the decision was right."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import seepage
from attacks.synthetic_users import CLIENTS, user_signals
from seepage.attacks import ATTACKS
from seepage.audit.score import Scored, attack_rows, questions, score_attacks
from seepage.audit.victim import declared_classes
from seepage.records import Truth

ON_USERS = {name: attack for name, attack in ATTACKS.items() if attack.decide}
TARGETS = [1, 4]


def made(seed=0, leak=2.0):
    found, owner = user_signals(seed, leak=leak, own=20, held_out=30)
    return found, Truth(ids=found["sample"].to_numpy(), owner=owner)


def row_of(rows, name, target, block):
    return next(r for r in rows if (r.name, r.target, r.block) == (name, target, block))


def test_marks_are_the_attacks_own_decisions_in_the_order_of_the_truth():
    found, truth = made()
    shuffled = found.isel(sample=np.random.default_rng(0).permutation(found.sizes["sample"]))
    table = {name: ATTACKS[name] for name in (*ON_USERS, "loss_series")}
    for one in score_attacks(table, shuffled, truth, TARGETS):
        if one.name == "loss_series":
            assert one.marked is None
            continue
        assert one.marked.shape == one.values.shape
        assert one.marked.dtype == np.bool_
        for row, target in zip(one.marked, TARGETS, strict=True):
            expected = one.attack.decide(found, target)
            np.testing.assert_array_equal(row, expected)


def test_rates_by_hand():
    owner = np.array([0, 0, 0, 1, 1, -1, -1, -1])
    marked = np.array([[1, 1, 0, 1, 0, 0, 0, 1], [0, 1, 0, 1, 1, 0, 0, 0]], dtype=bool)
    values = np.random.default_rng(0).normal(size=marked.shape)
    truth = Truth(ids=np.arange(8), owner=owner)
    attack = ATTACKS["user_level_gan"]
    one = Scored(name="a", attack=attack, values=values, seconds=np.zeros(2), marked=marked)
    rows = attack_rows(
        [one, replace(one, name="b", marked=None)],
        list(questions(truth, [0, 1])),
        truth.ids,
        declared={0: [3, 1]},
    )
    expected = {
        (0, "mix"): (2 / 3, 2 / 5),
        (0, "held_out"): (2 / 3, 1 / 3),
        (0, "others"): (2 / 3, 1 / 2),
        (1, "mix"): (1, 1 / 6),
        (1, "held_out"): (1, 0),
        (1, "others"): (1, 1 / 3),
        ("all", "mix"): (4 / 5, 3 / 11),
        ("all", "held_out"): (4 / 5, 1 / 6),
        ("all", "others"): (4 / 5, 2 / 5),
    }
    assert len(rows) == 2 * len(expected)
    for (target, block), rates in expected.items():
        row = row_of(rows, "a", target, block)
        assert (row.paper_accuracy, row.false_alarms) == pytest.approx(rates)
        assert row.victim == (None if target == "all" else target)
        assert row.victim_labels == ([1, 3] if target == 0 else None)
    for row in rows:
        if row.name == "b":
            told = (row.victim, row.victim_labels, row.paper_accuracy, row.false_alarms)
            assert told == (None,) * 4


def test_declared_classes_are_read_by_number():
    found, _ = made()
    named = found.assign_coords({"class": found["class"] + 100, "client": found["client"] + 7})
    told = declared_classes(named)
    assert told == {7 + k: [100 + 2 * k, 101 + 2 * k] for k in range(CLIENTS)}
    bare = xr.Dataset({"declared": (("class", "client"), [[1, 0], [1, 0], [0, 1]])})
    assert declared_classes(bare) == {0: [0, 1], 1: [2]}
    assert declared_classes(found.drop_vars("declared")) == {}


def test_signals_made_elsewhere_give_rows_with_a_victim():
    found, truth = made()
    result = seepage.attack_signals(found, truth)
    rows = result.results.attacks
    assert set(ON_USERS) <= {row.name for row in rows}
    for name in ON_USERS:
        row = row_of(rows, name, 2, "held_out")
        assert (row.victim, row.victim_labels) == (2, [4, 5])
        assert row.paper_accuracy > row.false_alarms + 0.3
    plain = row_of(rows, "loss_series", 2, "held_out")
    assert (plain.victim, plain.paper_accuracy) == (None, None)
    label = row_of(rows, "declared_label", "all", "others")
    assert (label.victim, label.paper_accuracy, label.false_alarms) == (None, 1, 0)


def test_without_declarations_the_victim_is_named_and_its_labels_are_not():
    found, truth = made()
    result = seepage.attack_signals(found[["loss"]], truth, attacks=["source_inference"])
    row = row_of(result.results.attacks, "source_inference", 3, "mix")
    assert (row.victim, row.victim_labels) == (3, None)
    assert row.paper_accuracy > row.false_alarms
