"""Blind scores: at chance where there is nothing to see, and off it where there is."""

import numpy as np
import pytest
from synthetic import auc

from seepage.attacks.blind import blind_input, blind_label, placebo, teaching_half
from seepage.records import UserError


def area(score, is_member):
    judged = ~np.isnan(score)
    return auc(score[judged & is_member], score[judged & ~is_member])


def halved(is_member, rng):
    return teaching_half(np.where(is_member, 0, -1), rng)


def no_signal(rng, n=200, d=5, classes=10):
    return rng.normal(size=(n, d)), rng.integers(0, classes, n), rng.permutation(n) < n // 2


@pytest.mark.parametrize("kind", ["label", "input"])
def test_no_signal_has_mean_one_half(kind):
    """Over repeats the mean AUC is 0.5, with the variance of as many independent records."""
    areas = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        inputs, labels, is_member = no_signal(rng)
        if kind == "label":
            score = blind_label(labels, is_member, halved(is_member, rng))
        else:
            score = blind_input(inputs, labels, is_member, halved(is_member, rng), rng)
        areas.append(area(score, is_member))
    error = np.std(areas) / np.sqrt(len(areas))
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * error)
    alone = np.sqrt((50 + 50 + 1) / (12 * 50 * 50))  # ranks of 50 against 50
    assert np.std(areas) < alone * (1 + 4 / np.sqrt(2 * len(areas)))


def test_label_prior_sees_a_label_shift():
    rng = np.random.default_rng(0)
    is_member = np.arange(4_000) < 2_000
    labels = np.where(is_member, rng.choice(3, 4_000, p=[0.6, 0.3, 0.1]), rng.integers(0, 3, 4_000))
    # the best score is the ratio itself: AUC by summing over pairs of labels
    p, q = np.array([0.6, 0.3, 0.1]), np.full(3, 1 / 3)
    ratio = p / q
    best = sum(
        p[a] * q[b] * (0.5 + 0.5 * np.sign(ratio[a] - ratio[b])) for a in range(3) for b in range(3)
    )
    assert area(blind_label(labels, is_member, halved(is_member, rng)), is_member) == pytest.approx(
        best, abs=0.035
    )


@pytest.mark.parametrize("kind", ["label", "input"])
def test_labels_dealt_out_evenly_are_at_chance(kind):
    """Each class has as many members as non-members: exactly nothing to see, and nothing seen."""
    labels, is_member = np.arange(400) % 10, np.arange(400) % 20 < 10
    areas = []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        if kind == "label":
            score = blind_label(labels, is_member, halved(is_member, rng))
        else:
            score = blind_input(
                labels[:, None] + rng.normal(size=(400, 4)),
                labels,
                is_member,
                halved(is_member, rng),
                rng,
            )
        areas.append(area(score, is_member))
    assert np.mean(areas) == pytest.approx(0.5, abs=4 * np.std(areas) / np.sqrt(len(areas)))


def test_input_classifier_sees_a_shift_within_classes():
    """Class means ten times the shift do not hide it."""
    rng = np.random.default_rng(1)
    is_member, labels = np.arange(1_000) < 500, rng.integers(0, 4, 1_000)
    inputs = 10 * rng.normal(size=(4, 3))[labels] + rng.normal(size=(1_000, 3))
    inputs[is_member] += 1.0
    assert (
        area(blind_input(inputs, labels, is_member, halved(is_member, rng), rng), is_member) > 0.85
    )


def test_disjoint_labels_are_told_apart():
    labels = np.repeat([3, 8], 50)
    assert area(blind_label(labels, labels == 3, np.arange(100) % 2 == 0), labels == 3) == 1.0


@pytest.mark.parametrize("change", ["mean", "spread"])
def test_input_classifier_sees_a_shift(change):
    rng = np.random.default_rng(1)
    is_member = np.arange(1_000) < 500
    inputs, labels = rng.normal(size=(1_000, 20)), rng.integers(0, 4, 1_000)
    if change == "mean":
        inputs[is_member] += 0.4
    else:
        inputs[is_member] *= 1.4
    assert (
        area(blind_input(inputs, labels, is_member, halved(is_member, rng), rng), is_member) > 0.8
    )


@pytest.mark.parametrize("shape", [(600, 1), (60, 500), (3_000, 70)])
def test_inputs_of_any_shape(shape):
    """More columns than rows, more rows than the components are found on, and constant columns."""
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=shape).astype(np.float32)
    inputs[:, 0] = 1.0
    is_member = np.arange(shape[0]) % 2 == 0
    score = blind_input(inputs, np.zeros(shape[0], int), is_member, halved(is_member, rng), rng)
    assert abs(area(score, is_member) - 0.5) < 4 * np.sqrt(2 / (3 * shape[0]))


def test_scores_are_ranks_among_the_judged():
    rng = np.random.default_rng(3)
    inputs, labels, is_member = no_signal(rng, n=100)
    teaches = halved(is_member, rng)
    score = blind_input(inputs, labels, is_member, teaches, rng)
    np.testing.assert_array_equal(np.isnan(score), teaches)
    np.testing.assert_allclose(np.sort(score[~teaches]), (np.arange(50) + 0.5) / 50)
    tied = blind_label(labels % 2, labels % 2 == 1, teaches)
    assert set(tied[~teaches]) == {np.mean(labels[~teaches] % 2 == 0) / 2} | {
        1 - np.mean(labels[~teaches] % 2 == 1) / 2
    }


def test_half_of_every_owner_teaches():
    owner = np.random.default_rng(0).permutation(np.repeat([-1, 0, 3], [41, 30, 7]))
    teaches = teaching_half(owner, np.random.default_rng(1))
    assert [int(teaches[owner == who].sum()) for who in (-1, 0, 3)] == [20, 15, 3]
    assert not np.array_equal(teaches, teaching_half(owner, np.random.default_rng(2)))


def test_the_same_generator_gives_the_same_scores():
    inputs, labels, is_member = no_signal(np.random.default_rng(4))
    teaches = halved(is_member, np.random.default_rng(6))
    once, again = (
        blind_input(inputs, labels, is_member, teaches, np.random.default_rng(5)) for _ in range(2)
    )
    np.testing.assert_array_equal(once, again)


def test_placebo_calls_half_of_the_held_out_members():
    owner = np.repeat([-1, 0, 1], [41, 30, 30])
    ids = np.random.default_rng(0).permutation(500)[:101]
    called = placebo(ids, owner, np.random.default_rng(1))
    assert called.sum() == 20
    assert (owner[called] == -1).all()
    order = np.random.default_rng(2).permutation(101)
    again = placebo(ids[order], owner[order], np.random.default_rng(1))
    np.testing.assert_array_equal(again, called[order])
    assert not np.array_equal(called, placebo(ids, owner, np.random.default_rng(3)))


def test_too_little_or_wrong_is_refused():
    rng, teaches = np.random.default_rng(0), np.arange(20) % 2 == 0
    few, half = np.arange(20) < 4, np.arange(20) < 9
    with pytest.raises(UserError, match="at least 5 members, got 2"):
        blind_label(np.zeros(20, int), few, teaches)
    with pytest.raises(UserError, match="at least 5 non-members, got 2"):
        blind_label(np.zeros(20, int), ~few, teaches)
    with pytest.raises(UserError, match="one shape"):
        blind_label(np.zeros(20, int), half[:19], teaches)
    with pytest.raises(UserError, match="shape"):
        blind_input(np.zeros((19, 2)), np.zeros(20, int), half, teaches, rng)
    with pytest.raises(UserError, match="NaN"):
        blind_input(np.full((20, 2), np.nan), np.zeros(20, int), half, teaches, rng)
