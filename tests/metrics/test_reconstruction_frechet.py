"""The Fréchet distance of Gaussians whose moments are known exactly."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import sqrtm
from sklearn.covariance import ledoit_wolf

from seepage.metrics.reconstruction import frechet_distance
from seepage.records import UserError

seeds = st.integers(0, 2**32 - 1)


def cloud(seed, n, d=4):
    return np.random.default_rng(seed).normal(size=(n, d))


def exact(seed, n, mean, deviations):
    """Samples whose mean and covariance (divisor n - 1) are those, not about those."""
    points = cloud(seed, n, len(mean))
    axes = np.linalg.qr(points - points.mean(0))[0]
    return np.sqrt(n - 1) * axes * deviations + mean


def test_diagonal_gaussians_have_a_closed_form():
    a = exact(0, 40, np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 0.5]))
    b = exact(1, 25, np.array([1.0, 0.0, 6.0]), np.array([3.0, 2.0, 0.0]))
    assert frechet_distance(a, b) == pytest.approx(4 + 9 + 4 + 0 + 0.25, rel=1e-12)


def test_one_feature():
    a, b = exact(0, 12, np.array([2.0]), np.array([3.0])), np.zeros((5, 1))
    assert frechet_distance(a, b) == pytest.approx(4 + 9, rel=1e-12)
    assert frechet_distance(np.zeros(5), np.ones(5)) == 1


@given(seeds)
def test_covariances_that_do_not_commute(seed):
    a, b = cloud(seed, 30) @ cloud(seed + 1, 4), cloud(seed + 2, 20) @ cloud(seed + 3, 4)
    one, other = np.cov(a.T), np.cov(b.T)
    cross = np.trace(sqrtm(one @ other)).real
    shift = np.sum((a.mean(0) - b.mean(0)) ** 2)
    expected = shift + np.trace(one) + np.trace(other) - 2 * cross
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@given(seeds, st.booleans(), st.floats(0, 10))
def test_translation_of_one_set_adds_its_square(seed, shrink, length):
    a, direction = cloud(seed, 30), np.array([0.6, 0.0, 0.8, 0.0])
    found = frechet_distance(a, a + length * direction, shrink=shrink)
    assert found == pytest.approx(length**2, abs=1e-10)


@given(seeds, st.booleans())
def test_itself_symmetry_and_rotation(seed, shrink):
    a, b = cloud(seed, 12), 2 * cloud(seed + 1, 30) + 1
    turn = np.linalg.qr(cloud(seed + 2, 4))[0]
    distance = frechet_distance(a, b, shrink=shrink)
    assert frechet_distance(a, a[::-1], shrink=shrink) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(b, a, shrink=shrink) == pytest.approx(distance, rel=1e-10)
    turned = frechet_distance(a @ turn + 5, b @ turn + 5, shrink=shrink)
    assert turned == pytest.approx(distance, rel=1e-9)
    assert distance > 0.1


def test_singular_covariances_leave_nothing_behind():
    flat = cloud(0, 200, 2) @ cloud(1, 2, 64)  # rank 2 of 64
    assert frechet_distance(flat, flat[::-1]) == pytest.approx(0, abs=1e-10)
    assert isinstance(frechet_distance(flat, cloud(2, 200, 64)), float)


@given(seeds, st.integers(3, 40))
def test_shrinkage_is_that_of_ledoit_and_wolf(seed, n):
    a, b = cloud(seed, n, 6) * np.arange(1, 7), cloud(seed + 1, 5, 6)
    (one, _), (other, _) = ledoit_wolf(a), ledoit_wolf(b)
    shift = np.sum((a.mean(0) - b.mean(0)) ** 2)
    cross = np.trace(sqrtm(one @ other)).real
    expected = shift + np.trace(one) + np.trace(other) - 2 * cross
    assert frechet_distance(a, b, shrink=True) == pytest.approx(expected, rel=1e-6)


def test_too_few_samples_are_refused():
    with pytest.raises(UserError, match="128 samples on each side, got 127 and 500"):
        frechet_distance(cloud(0, 127, 64), cloud(1, 500, 64))
    assert frechet_distance(cloud(0, 128, 64), cloud(1, 128, 64)) > 0
    assert frechet_distance(cloud(0, 2, 64), cloud(1, 500, 64), shrink=True) > 0
    with pytest.raises(UserError, match="at least 2 samples"):
        frechet_distance(cloud(0, 1, 64), cloud(1, 500, 64), shrink=True)
    with pytest.raises(UserError, match="NaN or infinite"):
        frechet_distance(np.full((9, 2), np.inf), cloud(0, 9, 2))
