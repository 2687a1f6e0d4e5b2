"""Planned assignments: balanced, independent, extensible."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from seepage.records import UserError
from seepage.reference import complement, paired, shuffled


@given(pairs=st.integers(1, 20), records=st.integers(2, 60), seed=st.integers(0, 5))
def test_each_record_is_in_exactly_half_of_the_models(pairs, records, seed):
    member = paired(2 * pairs, records, seed=seed)
    assert member.shape == (2 * pairs, records)
    np.testing.assert_array_equal(member.sum(0), pairs)


def test_leaving_a_pair_out_keeps_the_balance():
    member = paired(12, 101, seed=0)  # an odd number of records is no special case
    rest = np.delete(member, [4, 5], axis=0)
    np.testing.assert_array_equal(rest.sum(0), 5)


def test_more_models_leave_the_first_ones_alone():
    np.testing.assert_array_equal(paired(16, 50, seed=3)[:4], paired(4, 50, seed=3))
    assert (paired(4, 50, seed=3) != paired(4, 50, seed=4)).any()


def test_a_records_coins_are_fair_and_independent():
    member = paired(400, 500, seed=0)[::2]  # one of each pair
    sizes = member.sum(1)
    low, high = binom.ppf([1e-6, 1 - 1e-6], 500, 0.5)
    assert low <= sizes.min() <= sizes.max() <= high
    assert sizes.std() == pytest.approx(np.sqrt(125), rel=0.2)
    together = np.corrcoef(member[0], member[1])[0, 1]
    assert abs(together) < 4 / np.sqrt(500)


def test_models_come_in_complements():
    member = paired(6, 40, seed=1)
    assert [complement(member, s) for s in range(6)] == [1, 0, 3, 2, 5, 4]
    assert complement(np.delete(member, 1, axis=0), 0) is None


@pytest.mark.parametrize(("models", "records"), [(3, 10), (0, 10), (2, 1)])
def test_what_cannot_be_paired_is_refused(models, records):
    with pytest.raises(UserError, match="come in pairs"):
        paired(models, records, seed=0)


def test_the_released_assignment():
    """HAMP's shadow models: 128 over 2,700 records from NumPy's seed 0; sizes by its code."""
    draws = np.random.RandomState(0).uniform(size=(128, 2700))
    member = shuffled(draws)
    np.testing.assert_array_equal(member.sum(0), 64)
    assert (member.sum(1).min(), member.sum(1).max()) == (1275, 1412)
    np.testing.assert_array_equal(member, shuffled(draws))
