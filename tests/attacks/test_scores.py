"""Attacks on one number of an answer: signs, known AUCs, thresholds against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, rankdata
from synthetic import auc
from synthetic_models import answers, held_against, measured

from seepage.attacks import (
    ATTACKS,
    calibrated_loss,
    confidence,
    correctness,
    correctness_per_class,
    entropy,
    label_only,
    loss,
    modified_entropy,
    rank,
)
from seepage.attacks.label_only import LENT
from seepage.attacks.per_class import best_threshold
from seepage.records import UserError

SIGNAL = {
    "confidence": ("confidence", 1),
    "loss": ("loss", -1),
    "entropy": ("entropy", -1),
    "modified_entropy": ("modified_entropy", -1),
    "correctness": ("correct", 1),
    "rank": ("rank", -1),
}


@pytest.fixture(scope="module")
def found():
    return answers(3, leak=1.5, records=150, queries=3)[0]


@pytest.mark.parametrize("name", SIGNAL)
def test_a_score_is_the_signal_with_its_sign_averaged_over_queries(name, found):
    signal, sign = SIGNAL[name]
    expected = sign * found[signal].sel(model=4).astype(float).mean("query")
    np.testing.assert_allclose(ATTACKS[name](found, 4), expected, rtol=1e-12)


def test_loss_and_confidence_have_one_roc_curve(found):
    one = found.isel(query=0)
    np.testing.assert_array_equal(
        rankdata(confidence(one.astype(float), 1)),
        rankdata(-one["loss"].sel(model=1).astype(float)),
    )


def test_the_gap_attack_has_the_auc_of_the_accuracies(found):
    one = found.isel(query=0)
    member = one["member"].sel(model=1).to_numpy()
    right = one["correct"].sel(model=1).to_numpy().astype(float)
    score = correctness(one, 1).to_numpy()
    expected = (1 + right[member].mean() - right[~member].mean()) / 2
    assert auc(score[member], score[~member]) == pytest.approx(expected, abs=1e-12)
    assert np.mean(score[member] > score[~member].max()) == 0.0


def test_a_sure_and_wrong_answer_is_the_least_like_a_member_for_modified_entropy_alone():
    logits = np.array([[8.0, 0, 0], [0, 0, 0], [0, 8.0, 0]])[None, :, None]
    found = answers(0, models=2, records=3, classes=3)[0].isel(model=[0])
    for name, values in measured(logits, np.zeros(3, dtype=int)).items():
        found[name] = (("model", "sample"), values[..., 0])
    assert np.argsort(modified_entropy(found, 0).to_numpy()).tolist() == [2, 1, 0]
    sure, even, wrong = entropy(found, 0).to_numpy()
    assert sure == pytest.approx(wrong)
    assert even == pytest.approx(-np.log(3))


def test_the_rank_survives_answers_in_the_same_order():
    rng = np.random.default_rng(0)
    label = rng.integers(6, size=40)
    raw = rng.normal(size=(2, 40, 1, 6))
    other = np.sort(rng.normal(size=raw.shape), axis=-1)
    modified = np.take_along_axis(other, np.argsort(np.argsort(raw)), axis=-1)
    found = answers(0, models=2, records=40)[0]
    scores = [
        rank(found.assign(rank=(("model", "sample"), measured(z, label)["rank"][..., 0])), 0)
        for z in (raw, modified)
    ]
    assert scores[0].identical(scores[1])
    assert set(np.unique(scores[0])) <= {-5.0, -4.0, -3.0, -2.0, -1.0, 0.0}


def balanced_accuracy(values, member, threshold):
    return (np.mean(values[member] >= threshold) + np.mean(values[~member] < threshold)) / 2


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=2, max_size=30))
def test_a_threshold_is_the_smallest_of_the_best(pairs):
    values, member = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs])
    if member.all() or not member.any():
        return
    tried = {v: balanced_accuracy(values, member, v) for v in values}
    best = max(tried.values())
    expected = min(v for v, accuracy in tried.items() if accuracy >= best - 1e-12)
    assert best_threshold(values, member) == expected


@pytest.mark.parametrize("name", sorted(set(SIGNAL) - {"rank"}))
def test_thresholds_of_classes_are_those_of_the_reference_models(name, found):
    signal, sign = SIGNAL[name]
    given = held_against(found, 2)
    score = ATTACKS[f"{name}_per_class"](given, 2)
    known = sign * given[signal].drop_sel(model=2).astype(float).mean("query")
    member = given["member"].drop_sel(model=2)
    for c in range(5):
        rows = (given["label"] == c).to_numpy()
        expected = best_threshold(
            known[:, rows].to_numpy().ravel(), member[:, rows].to_numpy().ravel()
        )
        difference = ATTACKS[name](given, 2)[rows] - score[rows]
        np.testing.assert_allclose(difference, expected, rtol=1e-6, atol=1e-12)


def test_thresholds_help_where_classes_differ(found):
    shift = 4.0 * found["label"]
    apart = held_against(found.assign(confidence=found["confidence"] + shift), 0)
    member = found["member"].sel(model=0).to_numpy()
    plain = confidence(apart, 0).to_numpy()
    aware = ATTACKS["confidence_per_class"](apart, 0).to_numpy()
    assert auc(plain[member], plain[~member]) < 0.6
    assert auc(aware[member], aware[~member]) > 0.7


def test_a_class_without_members_has_no_threshold(found):
    given = held_against(found, 0)
    nobody = given.assign(member=given["member"] & (given["label"] != 3))
    with pytest.raises(UserError, match="no member of class 3"):
        correctness_per_class(nobody, 0)
    all_in = given.assign(member=given["member"] | (given["label"] == 1))
    with pytest.raises(UserError, match="no non-member of class 1"):
        correctness_per_class(all_in, 0)


def test_a_loss_is_calibrated_by_the_models_without_the_record(found):
    given = held_against(found, 6)
    score = calibrated_loss(given, 6)
    losses, member = given["loss"].astype(float).mean("query"), given["member"]
    for record in given["sample"].to_numpy()[:20]:
        usual = [
            float(losses.sel(model=m, sample=record))
            for m in given["model"].to_numpy()
            if m != 6 and not member.sel(model=m, sample=record)
        ]
        own = float(losses.sel(model=6, sample=record))
        assert float(score.sel(sample=record)) == pytest.approx(np.mean(usual) - own, rel=1e-6)


def test_right_answers_alone_give_a_binomial_likelihood_ratio(found):
    given = held_against(found, 1)
    score = label_only(given, 1)
    others = given.drop_sel(model=1)
    rates = {}
    for side, kept in (("in", others["member"]), ("out", ~others["member"])):
        shares = others["correct"].astype(float).mean("query").where(kept)
        asked = kept.sum()
        population = (float(shares.sum()) + 1) / (float(asked) + 2)
        rates[side] = (shares.sum("model") + LENT * population) / (kept.sum("model") + LENT)
    right = given["correct"].sel(model=1).sum("query").to_numpy()
    expected = binom.logpmf(right, 3, rates["in"]) - binom.logpmf(right, 3, rates["out"])
    np.testing.assert_allclose(score, expected, rtol=1e-6, atol=1e-9)


def test_answers_that_are_always_right_leave_one_wrong_answer_finite(found):
    given = held_against(found, 1)
    always = given.assign(correct=given["correct"].where(given["model"] == 1, 1.0))
    assert np.isfinite(label_only(always, 1)).all()
    assert loss(always, 1).identical(loss(given, 1))
