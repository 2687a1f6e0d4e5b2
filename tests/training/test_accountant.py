"""ε of clipped and noised gradients against published values, closed forms and laws."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from seepage.protocols import ClippedGradient, Defense
from seepage.records import UserError
from seepage.training import LocalTraining, claim, epsilon, noise_for, over_rounds

DELTA = 1e-5

# Training settings of HAMP's DP-SGD rows (Chen & Pattabiraman, NDSS 2024): records, batch, σ,
# epochs. Opacus samples with q = 1 / ceil(n / B) in as many steps an epoch. ε by Rényi moments of
# integer orders, by the conversion of Mironov (2017) and by that of Balle et al. (2020).
HAMP = [
    (18_000, 128, 1.7, 200, 4.006, 3.53),
    (13_500, 64, 1.44, 200, 4.012, 3.53),
    (1_350, 128, 2.91, 50, 4.026, 3.55),
]


def log_moment(q, sigma, order):
    """log E[(1 - q + q e^{L})^α] of a sampled Gaussian, by the binomial sum; α an integer."""
    terms = [
        math.log(math.comb(order, k))
        + k * math.log(q)
        + (order - k) * math.log1p(-q)
        + (k * k - k) / (2 * sigma**2)
        for k in range(order + 1)
    ]
    top = max(terms)
    return top + math.log(sum(math.exp(term - top) for term in terms))


def renyi_bounds(q, sigma, steps):
    classic, tight = [], []
    for order in range(2, 64):
        rdp = steps * log_moment(q, sigma, order) / (order - 1)
        classic.append(rdp - math.log(DELTA) / (order - 1))
        turn = math.log1p(-1 / order) - (math.log(DELTA) + math.log(order)) / (order - 1)
        tight.append(rdp + turn)
    return min(classic), min(tight)


@pytest.mark.parametrize(("n", "batch", "sigma", "epochs", "classic", "tight"), HAMP)
def test_published_settings_and_a_smaller_epsilon(n, batch, sigma, epochs, classic, tight):
    per_epoch = -(-n // batch)
    q, steps = 1 / per_epoch, epochs * per_epoch
    bounds = renyi_bounds(q, sigma, steps)
    assert bounds == pytest.approx((classic, tight), abs=0.006)
    ours = epsilon(sampling_rate=q, sigma=sigma, steps=steps, delta=DELTA)
    assert 3.2 < ours < bounds[1]


def test_the_value_of_the_library_for_a_thousand_steps():
    ours = epsilon(sampling_rate=0.01, sigma=1.0, steps=1000, delta=DELTA)
    assert ours == pytest.approx(1.8282, abs=1e-3)


def gaussian_epsilon(sigma, steps):
    """Exact ε of a composed Gaussian mechanism (Balle & Wang, 2018)."""
    mu = math.sqrt(steps) / sigma

    def delta(e):
        return norm.cdf(mu / 2 - e / mu) - math.exp(e) * norm.cdf(-mu / 2 - e / mu)

    return brentq(lambda e: delta(e) - DELTA, 0, 200)


@pytest.mark.parametrize(("sigma", "steps"), [(4.0, 20), (1.0, 1), (0.5, 3), (30.0, 5)])
def test_without_sampling_it_is_the_exact_gaussian_from_above(sigma, steps):
    exact = gaussian_epsilon(sigma, steps)
    ours = epsilon(sampling_rate=1.0, sigma=sigma, steps=steps, delta=DELTA)
    assert exact <= ours + 1e-6
    assert ours == pytest.approx(exact, rel=1e-3, abs=1e-3)


@settings(max_examples=8)
@given(st.floats(0.002, 0.3), st.floats(1.0, 5.0), st.integers(1, 300))
def test_epsilon_grows_with_sampling_and_steps_and_falls_with_noise(q, sigma, steps):
    base = epsilon(sampling_rate=q, sigma=sigma, steps=steps, delta=DELTA)
    slack = 1e-3
    assert base <= epsilon(sampling_rate=q * 1.5, sigma=sigma, steps=steps, delta=DELTA) + slack
    assert base <= epsilon(sampling_rate=q, sigma=sigma, steps=2 * steps, delta=DELTA) + slack
    assert base >= epsilon(sampling_rate=q, sigma=sigma * 1.5, steps=steps, delta=DELTA) - slack
    assert base >= epsilon(sampling_rate=q, sigma=sigma, steps=steps, delta=10 * DELTA) - slack
    assert base <= renyi_bounds(q, sigma, steps)[0]


def test_no_noise_is_no_bound_and_no_step_is_no_loss():
    assert epsilon(sampling_rate=0.1, sigma=0.0, steps=1) == math.inf
    assert epsilon(sampling_rate=0.1, sigma=0.0, steps=0) == 0
    assert 1e3 < epsilon(sampling_rate=0.01, sigma=0.05, steps=1000) < 1e6


@pytest.mark.parametrize("target", [0.5, 4.0, 50.0])
def test_the_noise_for_a_budget_is_enough_and_hardly_more(target):
    q, steps = 0.02, 500
    sigma = noise_for(target, DELTA, sampling_rate=q, steps=steps)
    assert epsilon(sampling_rate=q, sigma=sigma, steps=steps, delta=DELTA) <= target
    assert epsilon(sampling_rate=q, sigma=sigma / 1.002, steps=steps, delta=DELTA) > target


def test_a_claim_counts_steps_as_they_are_taken():
    local = LocalTraining(epochs=3, batch_size=32)
    private = ClippedGradient(norm=1.0, sigma=2.0)
    found = claim(private, local, 100)
    assert (found.steps, found.sampling, found.sigma) == (12, "Poisson, q = 0.32", 2.0)
    assert found.epsilon == epsilon(sampling_rate=0.32, sigma=2.0, steps=12)

    shuffled = claim(ClippedGradient(norm=1.0, sigma=2.0, poisson=False), local, 100)
    assert (shuffled.steps, shuffled.sampling) == (3, "once an epoch")
    assert shuffled.epsilon == epsilon(sampling_rate=1.0, sigma=2.0, steps=3)

    whole = claim(private, LocalTraining(full_gradient=True), 100)
    assert (whole.steps, whole.epsilon) == (1, epsilon(sampling_rate=1.0, sigma=2.0, steps=1))
    assert claim(private, LocalTraining(batch_size=64), 10).sampling == "Poisson, q = 1"
    assert claim(ClippedGradient(norm=1.0, sigma=0.0), local, 100).epsilon is None


def test_a_budget_is_shared_among_the_rounds():
    local = LocalTraining(epochs=2, batch_size=10)
    defense = Defense(gradient=ClippedGradient(norm=1.0, sigma=None, epsilon=3.0))
    once = claim(defense.gradient, local, 200)
    often = claim(over_rounds(defense, 5).gradient, local, 200)
    assert (once.steps, often.steps) == (40, 200)
    assert 2.9 < once.epsilon <= 3.0
    assert 2.9 < often.epsilon <= 3.0
    assert often.sigma > once.sigma
    assert over_rounds(Defense(), 5) == Defense()


def test_arguments_out_of_range_are_refused():
    for wrong in ({"sampling_rate": 0.0}, {"sigma": -1.0}, {"steps": -1}, {"delta": 0.0}):
        with pytest.raises(UserError, match="epsilon needs"):
            epsilon(**{"sampling_rate": 0.1, "sigma": 1.0, "steps": 1, "delta": DELTA} | wrong)
    with pytest.raises(UserError, match="positive and finite, got 0"):
        noise_for(0.0, DELTA, sampling_rate=0.1, steps=1)
