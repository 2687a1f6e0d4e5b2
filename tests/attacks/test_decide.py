"""The cut into two groups, against trying every cut."""

import numpy as np
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from seepage.attacks.decide import by_two_groups, two_groups


def scores(values):
    return xr.DataArray(
        np.asarray(values, dtype=float), dims="sample", coords={"sample": np.arange(len(values))}
    )


def within(values, marked):
    return sum(((part - part.mean()) ** 2).sum() for part in (values[marked], values[~marked]))


def every_cut(values):
    """Each way to have a lower and an upper group, both with someone in them."""
    return [values > cut for cut in np.unique(values)[:-1]]


integers = st.lists(st.integers(-30, 30), min_size=1, max_size=25)


@given(integers)
def test_no_cut_leaves_less_variance_within(values):
    values = np.array(values, dtype=float)
    marked = two_groups(scores(values)).to_numpy()
    cuts = every_cut(values)
    if not cuts:
        assert not marked.any()
        return
    assert any(np.array_equal(marked, cut) for cut in cuts)
    least = min(within(values, cut) for cut in cuts)
    assert within(values, marked) <= least + 1e-8


@given(integers, st.sampled_from([0.25, 2.0, 8.0]), st.integers(-50, 50))
def test_scale_shift_and_order_do_not_matter(values, scale, shift):
    marked = two_groups(scores(values)).to_numpy()
    moved = two_groups(scores(scale * (np.array(values) + shift))).to_numpy()
    values = np.array(values, dtype=float)
    if marked.any():  # of cuts that tie, rounding may choose another
        np.testing.assert_allclose(within(values, moved), within(values, marked), atol=1e-8)
    else:
        assert not moved.any()
    np.testing.assert_array_equal(two_groups(scores(values[::-1])).to_numpy(), marked[::-1])


def test_by_hand():
    np.testing.assert_array_equal(two_groups(scores([5, 0, 1, 6, 0.5])), [1, 0, 0, 1, 0])
    np.testing.assert_array_equal(two_groups(scores([3, 3, 3])), [0, 0, 0])
    np.testing.assert_array_equal(two_groups(scores([3])), [0])
    np.testing.assert_array_equal(two_groups(scores([0, 0, 0, 1])), [0, 0, 0, 1])


def test_of_equal_cuts_the_highest_is_taken():
    np.testing.assert_array_equal(two_groups(scores([0, 1, 2])), [0, 0, 1])


def test_far_groups_of_uneven_size_are_told_apart():
    rng = np.random.default_rng(0)
    member = rng.random(2000) < 0.2
    values = rng.normal(size=2000) + 8 * member
    np.testing.assert_array_equal(two_groups(scores(values)), member)


def test_a_decision_cuts_the_targets_own_score():
    signals = xr.Dataset({"a": (("client", "sample"), [[0, 9, 1], [7, 0, 8]])})
    decide = by_two_groups(signals, 1, score=lambda s, k: s["a"].sel(client=k).astype(float))
    np.testing.assert_array_equal(decide, [1, 0, 1])
