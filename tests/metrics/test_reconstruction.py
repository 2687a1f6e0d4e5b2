"""How near, how varied, how complete: brute force over pairs, and closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from seepage.metrics import neighbors
from seepage.metrics.reconstruction import (
    coverage,
    diversity,
    knn_distance,
    prdc,
    relative_diversity,
)
from seepage.records import UserError

seeds = st.integers(0, 2**32 - 1)


def cloud(seed, n, d=3):
    return np.random.default_rng(seed).normal(size=(n, d))


def squared(x, y):
    return float(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)))


def reach(points, k):
    """Squared distance of each point to the k-th nearest of the others."""
    return [
        sorted(squared(x, y) for j, y in enumerate(points) if j != i)[k - 1]
        for i, x in enumerate(points)
    ]


def brute_prdc(real, fake, k):
    in_real = [
        [squared(x, f) <= r for x, r in zip(real, reach(real, k), strict=True)] for f in fake
    ]
    in_fake = [
        [squared(x, f) <= r for f, r in zip(fake, reach(fake, k), strict=True)] for x in real
    ]
    return (
        np.mean([any(balls) for balls in in_real]),
        np.mean([any(balls) for balls in in_fake]),
        sum(sum(balls) for balls in in_real) / (k * len(fake)),
        np.mean([any(row[i] for row in in_real) for i in range(len(real))]),
    )


def brute_nearest(points, others, k):
    """Share of points in the ball of the nearest of others."""
    radii, hits = reach(others, k), 0
    for x in points:
        distances = [squared(x, y) for y in others]
        nearest = distances.index(min(distances))
        hits += distances[nearest] <= radii[nearest]
    return hits / len(points)


small = st.integers(1, 4).flatmap(
    lambda d: st.tuples(
        *[
            st.integers(4, 9).flatmap(
                lambda n: arrays(np.int64, (n, d), elements=st.integers(-3, 3))
            )
            for _ in range(2)
        ]
    )
)
"""Two sets on a grid, where copies and equal distances are common and sums are exact."""


@given(small, st.integers(1, 3))
def test_prdc_matches_brute_force(sets, k):
    real, fake = sets
    assert prdc(real, fake, k) == pytest.approx(brute_prdc(real, fake, k), abs=1e-12)
    nearest = prdc(real, fake, k, balls="nearest")
    assert nearest.precision == pytest.approx(brute_nearest(fake, real, k), abs=1e-12)
    assert nearest.recall == pytest.approx(brute_nearest(real, fake, k), abs=1e-12)


@given(small, st.integers(1, 3))
def test_the_nearest_ball_is_the_stricter_question(sets, k):
    standard, nearest = prdc(*sets, k), prdc(*sets, k, balls="nearest")
    assert nearest.precision <= standard.precision
    assert nearest.recall <= standard.recall
    assert nearest[2:] == standard[2:]


def test_a_point_may_lie_in_a_ball_that_is_not_of_its_nearest():
    real = np.array([[0.0], [0.1], [5.0], [15.0]])  # reaches .1, .1, 4.9 and 10
    fake = np.array([[1.0], [1.2]])  # nearest to 0.1, outside of its ball, inside that of 5
    assert prdc(real, fake, 1).precision == 1
    assert prdc(real, fake, 1, balls="nearest").precision == 0


@given(seeds, st.integers(5, 30), st.integers(1, 4), st.sampled_from(["all", "nearest"]))
def test_prdc_of_a_set_with_itself(seed, n, k, balls):
    points = cloud(seed, n)
    copy = points[np.random.default_rng(seed).permutation(n)]
    assert prdc(points, copy, k, balls=balls) == pytest.approx((1, 1, (k + 1) / k, 1), abs=1e-12)


def test_prdc_of_copies_beyond_k_still_covers_itself():
    points = np.repeat(cloud(0, 3), 4, axis=0)  # balls of radius 0
    assert prdc(points, points, 2) == (1, 1, 2, 1)


def test_prdc_of_sets_far_apart_is_zero():
    assert prdc(cloud(0, 20), cloud(1, 15) + 100, 5) == (0, 0, 0, 0)


def test_one_mode_is_precise_and_covers_little():
    real = np.concatenate([cloud(0, 30), cloud(1, 30) + 100])
    found = prdc(real, real[:30] + 1e-9, 3)
    assert found.precision == 1
    assert (found.recall, found.coverage) == (0.5, 0.5)


@given(seeds, st.integers(1, 4))
def test_prdc_does_not_see_shift_scale_or_rotation(seed, k):
    real, fake = cloud(seed, 25), cloud(seed + 1, 20)
    turn = np.linalg.qr(cloud(seed + 2, 3))[0]
    assert prdc(2.5 * real @ turn + 7, 2.5 * fake @ turn + 7, k) == prdc(real, fake, k)


@given(small, st.integers(1, 3))
def test_coverage_is_that_of_prdc(sets, k):
    real, fake = sets
    assert coverage(real, fake, k) == prdc(real, fake, k).coverage


def test_coverage_of_one_image():
    assert coverage([[0.0], [1.0], [5.0]], [[0.5]], 1) == pytest.approx(2 / 3)


@given(seeds, st.integers(1, 12), st.integers(1, 12))
def test_knn_distance_matches_brute_force(seed, m, n):
    fake, real = cloud(seed, m), cloud(seed + 1, n)
    found = knn_distance(fake, real)
    for f, distance, row in zip(fake, *found, strict=True):
        assert distance == pytest.approx(min(squared(f, x) for x in real), rel=1e-12)
        assert row == np.argmin([squared(f, x) for x in real])


def test_a_copy_is_at_distance_zero_exactly():
    images = 255 * cloud(0, 40, 64).reshape(40, 1, 8, 8)
    found = knn_distance(images[::-1], images)
    assert np.all(found.squared == 0)
    assert np.array_equal(found.row, np.arange(40)[::-1])
    assert knn_distance([[0.0]], [[1.0], [-1.0]]).row == 0  # the first of equals


def test_blocks_change_nothing(monkeypatch):
    real, fake = cloud(0, 23), cloud(1, 17)
    whole = prdc(real, fake, 3), diversity(real), knn_distance(fake, real)
    monkeypatch.setattr(neighbors, "BLOCK", 50)  # two rows at a time, and one left over
    cut = [block.shape for _, block in neighbors.squared_blocks(real, fake)]
    assert cut == [(2, 17)] * 11 + [(1, 17)]
    assert prdc(real, fake, 3) == whole[0]
    assert diversity(real) == pytest.approx(whole[1], rel=1e-14)
    assert all(map(np.array_equal, knn_distance(fake, real), whole[2]))


def test_diversity_closed_forms():
    assert diversity([[0, 0], [3, 4]]) == 5
    assert diversity(np.eye(7)) == pytest.approx(np.sqrt(2), rel=1e-14)
    assert diversity(np.arange(5.0)) == pytest.approx(2)  # gaps 1, 2, 3, 4 occur 4, 3, 2, 1 times
    assert diversity(np.full((6, 1, 8, 8), 0.3)) == 0


@given(seeds, st.integers(2, 12))
def test_diversity_is_the_mean_over_all_pairs(seed, n):
    images = cloud(seed, n, 8).reshape(n, 2, 2, 2)
    pairs = [np.linalg.norm(images[i] - images[j]) for i in range(n) for j in range(i)]
    assert diversity(images) == pytest.approx(np.mean(pairs), rel=1e-12)


def test_relative_diversity_is_a_ratio():
    real = cloud(0, 30)
    assert relative_diversity(real / 4 + 3, real) == pytest.approx(0.25, rel=1e-12)
    assert relative_diversity(np.zeros((5, 3)), real) == 0
    with pytest.raises(UserError, match="all alike"):
        relative_diversity(real, np.ones((4, 3)))


def test_what_cannot_be_measured_is_refused():
    real, fake = cloud(0, 5), cloud(1, 3)
    with pytest.raises(UserError, match="at least 4 reconstructed records, got 3"):
        prdc(real, fake, 3)
    with pytest.raises(UserError, match="at least 6 real records, got 5"):
        coverage(real, fake, 5)
    with pytest.raises(UserError, match="k >= 1"):
        prdc(real, fake, 0)
    for wrong in (2.5, 2.0, True, "2", None):
        for measure in (prdc, coverage):
            with pytest.raises(UserError, match="k must be a whole number of neighbors"):
                measure(real, real, wrong)
    assert coverage(real, real, np.int64(2)) == 1
    with pytest.raises(UserError, match="'all' or 'nearest', got 'some'"):
        prdc(real, fake, 1, balls="some")
    with pytest.raises(UserError, match="at least 2"):
        diversity(fake[:1])
    with pytest.raises(UserError, match="reconstructed records have 3 values and real records 2"):
        knn_distance(fake, real[:, :2])
    with pytest.raises(UserError, match="at least one record"):
        knn_distance(fake[:0], real)
    with pytest.raises(UserError, match="1 of 3 reconstructed records hold NaN"):
        knn_distance(np.where(fake == fake[1, 1], np.nan, fake), real)
