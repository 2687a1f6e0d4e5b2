import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seepage.metrics import hypervolume, pareto_front
from seepage.records import UserError

STATED = [(0.65, 0.0), (0.62, 0.3), (0.60, 0.67)]
clouds = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=12)


def test_published_case():
    assert hypervolume(STATED) == pytest.approx(0.3776, abs=1e-12)
    assert hypervolume([(0.6, 0.67)]) == pytest.approx(0.132, abs=1e-12)


@given(clouds)
def test_hypervolume_counts_dominated_cells(points):
    cells = {(i, j) for x, y in points for i in range(x, 10) for j in range(y, 10)}
    scaled = np.array(points).reshape(-1, 2) / 10
    assert hypervolume(scaled) == pytest.approx(len(cells) / 100, abs=1e-12)
    assert hypervolume(np.array(points).reshape(-1, 2), (10, 10)) == len(cells)


@given(clouds)
def test_front_is_what_nobody_beats(points):
    def beaten(p):
        return any(q != p and q[0] <= p[0] and q[1] <= p[1] for q in points)

    expected = sorted({p for p in points if not beaten(p)})
    assert [tuple(p) for p in pareto_front(points)] == expected


def test_points_that_are_none_are_refused():
    with pytest.raises(UserError, match="shape"):
        pareto_front([1.0, 2.0])
    with pytest.raises(UserError, match="finite"):
        hypervolume([(0.1, np.nan)])
