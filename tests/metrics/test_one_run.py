"""The one-run bound: published values, the paper's sum term by term, laws, exact coverage."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom

from seepage.metrics import clopper_pearson, one_run_epsilon
from seepage.records import UserError


# The p-value of Steinke, Nasr and Jagielski (2023) solved for ε; m = 1000, 95 %.
@pytest.mark.parametrize(
    ("correct", "guesses", "delta", "stated"),
    [
        (50, 100, 0.0, 0.0),
        (80, 100, 0.0, 0.958),
        (95, 100, 0.0, 2.172),
        (95, 100, 1e-5, 2.165),
        (100, 100, 0.0, 3.493),
        (600, 1000, 0.0, 0.2975),
    ],
)
def test_published_values(correct, guesses, delta, stated):
    got = one_run_epsilon(correct, guesses, 1000, delta=delta)
    assert got == pytest.approx(stated, abs=5.1e-4)


@st.composite
def counts(draw):
    guesses = draw(st.integers(1, 60))
    return draw(st.integers(0, guesses)), guesses, guesses + draw(st.integers(0, 60))


deltas = st.sampled_from([0.0, 1e-6, 1e-4, 1e-3, 1e-2, 0.1])
levels = st.sampled_from([0.6, 0.9, 0.95, 0.99])


def paper_p(epsilon, some, delta):
    """The p-value as the paper sums it, one i after the other."""
    v, r, m = some
    q = expit(epsilon)
    best = tail = 0.0
    for i in range(1, v + 1):
        tail += binom.pmf(v - i, r, q)
        best = max(best, tail / i)
    return binom.sf(v - 1, r, q) + 2 * m * delta * best


@settings(max_examples=60)
@given(counts(), deltas, levels)
def test_p_is_below_the_error_up_to_the_bound_and_nowhere_above(some, delta, confidence):
    bound = one_run_epsilon(*some, delta=delta, confidence=confidence)
    for epsilon in (0.0, 0.3 * bound, bound - 1e-6):
        if 0 <= epsilon < bound:
            assert paper_p(epsilon, some, delta) < 1 - confidence
    for epsilon in (bound + 1e-6, bound + 0.1, bound + 1, 2 * bound + 3, 40.0):
        assert paper_p(epsilon, some, delta) >= 1 - confidence


@given(counts(), levels)
def test_pure_privacy_is_the_odds_of_an_exact_interval(some, confidence):
    lower = clopper_pearson(some[0], some[1], 2 * confidence - 1)[0]
    expected = max(logit(lower), 0.0)
    assert one_run_epsilon(*some, confidence=confidence) == pytest.approx(expected, abs=1e-9)


@given(st.integers(1, 10**6), levels)
def test_no_error_in_closed_form(guesses, confidence):
    """q ** r = error: the largest bound that r guesses can give."""
    right = (1 - confidence) ** (1 / guesses)
    got = one_run_epsilon(guesses, guesses, guesses, confidence=confidence)
    assert got == pytest.approx(max(np.log(right / -np.expm1(np.log(right))), 0), rel=1e-6)
    assert got <= max(np.log(guesses / np.log(1 / (1 - confidence))), 0) + 1e-6


@settings(max_examples=60)
@given(counts(), deltas, levels)
def test_monotone(some, delta, confidence):
    v, r, m = some
    bound = one_run_epsilon(v, r, m, delta=delta, confidence=confidence)
    assert bound >= 0
    if v < r:
        assert one_run_epsilon(v + 1, r, m, delta=delta, confidence=confidence) >= bound - 1e-12
    for worse in (
        one_run_epsilon(v, r, m + 7, delta=delta, confidence=confidence),
        one_run_epsilon(v, r, m, delta=2 * delta + 1e-7, confidence=confidence),
        one_run_epsilon(v, r, m, delta=delta, confidence=(1 + confidence) / 2),
    ):
        assert worse <= bound + 1e-12


def exceeds(true, right, guesses, canaries, delta):
    """Probability, exactly, that the bound lies above ``true`` where a guess is right so often."""
    bounds = np.array(
        [one_run_epsilon(v, guesses, canaries, delta=delta) for v in range(guesses + 1)]
    )
    return binom.pmf(np.arange(guesses + 1), guesses, right)[bounds > true].sum()


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0, 4.0])
@pytest.mark.parametrize("delta", [0.0, 1e-5, 0.01])
def test_valid_and_not_vacuous(epsilon, delta):
    """Every record's bit is told with odds e**ε, and outright with probability δ."""
    right = delta + (1 - delta) * expit(epsilon)
    assert exceeds(epsilon, right, 200, 200, delta) <= 0.05
    if epsilon >= 2 and delta < 0.01:
        assert exceeds(0.7 * epsilon, right, 200, 200, delta) > 0.8, "most of it is found out"


def test_the_wrong_epsilon_is_found_out():
    assert exceeds(1.0, expit(1.5), 200, 200, 0.0) > 0.8


def test_simulated_randomised_response():
    rng = np.random.default_rng(5)
    coins = rng.random((400, 150)) < 0.5
    told = np.where(rng.random(coins.shape) < expit(1.0), coins, ~coins)
    bounds = np.array([one_run_epsilon(int(v), 150, 150) for v in (told == coins).sum(1)])
    assert np.mean(bounds > 1.0) <= 0.05
    assert np.median(bounds) > 0.5


def test_nothing_guessed_shows_nothing():
    assert one_run_epsilon(0, 0, 0) == 0
    assert one_run_epsilon(0, 0, 10, delta=0.1) == 0
    assert one_run_epsilon(0, 9, 10) == 0
    assert one_run_epsilon(9, 9, 10, delta=0.1) == 0, "what δ explains is no sign of ε"


@pytest.mark.parametrize("impossible", [(-1, 5, 9), (6, 5, 9), (5, 10, 9), (float("nan"), 5, 9)])
def test_impossible_counts_are_refused(impossible):
    with pytest.raises(UserError, match="0 <= correct <= guesses <= canaries, got correct="):
        one_run_epsilon(*impossible)


def test_settings_outside_their_range_are_refused():
    with pytest.raises(UserError, match="delta"):
        one_run_epsilon(1, 1, 1, delta=1.0)
    with pytest.raises(UserError, match="confidence"):
        one_run_epsilon(1, 1, 1, confidence=1.0)
