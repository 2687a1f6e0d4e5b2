import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc, ndtr, ndtri

from seepage import metrics
from seepage.metrics.summary import rate_interval
from seepage.records import UserError

POINTS = (0.1, 0.01, 0.001, 0.0001)


def summary(members, nonmembers, member_ids=None, nonmember_ids=None, **options):
    m, n = len(members), len(nonmembers)
    return metrics.summarise(
        members,
        nonmembers,
        member_ids=np.arange(m) if member_ids is None else member_ids,
        nonmember_ids=m + np.arange(n) if nonmember_ids is None else nonmember_ids,
        **options,
    )


def test_fields_are_those_of_an_attack_row_in_plain_types():
    from seepage.results import AttackRow

    rng = np.random.default_rng(1)
    members, nonmembers = rng.normal(1, 1, 40), rng.normal(0, 1, 60)
    found = summary(members, nonmembers)
    said = {"name", "adversary", "target", "block", "seconds", "epsilon_lower_bound"}
    said |= {"victim", "victim_labels", "paper_accuracy", "false_alarms"}
    assert set(found) == set(AttackRow.model_fields) - said
    row = AttackRow(
        name="a",
        adversary="server",
        target="all",
        block="mix",
        seconds=0.0,
        epsilon_lower_bound=None,
        **found,
    )
    assert row.n_members == 40
    assert row.n_nonmembers == 60

    def plain(value):
        if isinstance(value, dict):
            return all(plain(v) for v in value.values())
        if isinstance(value, tuple):
            return all(plain(v) for v in value)
        return type(value) in (int, float, bool)

    assert plain(found)
    assert found["auc"] == metrics.auc(members, nonmembers)
    assert found["auc_interval"] == metrics.auc_interval(members, nonmembers)
    assert found["balanced_accuracy"] == metrics.balanced_accuracy(members, nonmembers)
    for table, of in (("tpr_at_fpr", metrics.tpr_at_fpr), ("tnr_at_fnr", metrics.tnr_at_fnr)):
        assert list(found[table]) == ["0.1", "0.01", "0.001", "0.0001"]
        for key, at in zip(found[table], POINTS, strict=True):
            assert found[table][key]["value"] == of(members, nonmembers, at)


def test_resolved_counts_distinct_records_of_the_side_that_sets_the_threshold():
    found = summary(np.arange(10.0), np.arange(200.0), nonmember_ids=10 + np.arange(200) % 100)
    assert [r["resolved"] for r in found["tpr_at_fpr"].values()] == [True, True, False, False]
    assert [r["resolved"] for r in found["tnr_at_fnr"].values()] == [True, False, False, False]


def test_copies_of_every_row_change_no_interval():
    """Rows that repeat a record exactly bring no knowledge, so they narrow nothing."""
    rng = np.random.default_rng(2)
    members, nonmembers = rng.normal(1, 1, 50), rng.normal(0, 1, 400)
    ids = np.arange(50), 50 + np.arange(400)
    once = summary(members, nonmembers, *ids)
    thrice = summary(*(np.tile(v, 3) for v in (members, nonmembers, *ids)))
    assert thrice["n_members"] == 150
    for table in ("tpr_at_fpr", "tnr_at_fnr"):
        assert thrice[table]["0.1"]["value"] == once[table]["0.1"]["value"]
        for key in once[table]:
            for kind in ("interval", "joint_interval"):
                assert thrice[table][key][kind] == pytest.approx(once[table][key][kind])
    assert thrice["auc_interval"] == pytest.approx(once["auc_interval"])


def test_a_rate_has_clopper_pearsons_interval_and_a_wider_joint_one():
    rng = np.random.default_rng(4)
    found = summary(rng.normal(1, 1, 300), rng.normal(0, 1, 500))
    for key, rate in found["tpr_at_fpr"].items():
        expected = metrics.clopper_pearson(round(rate["value"] * 300), 300)
        assert rate["interval"] == pytest.approx(expected), key
        low, high = rate["joint_interval"]
        assert low <= rate["interval"][0]
        assert high >= rate["interval"][1]


@pytest.mark.parametrize(("n", "at"), [(200, 0.1), (1000, 0.01), (500, 0.001)])
@pytest.mark.parametrize("tied", [False, True])
def test_rate_interval_coverage(n, at, tied):
    """The rate in the population, at the threshold the population has."""
    rng = np.random.default_rng(4)
    shift, step = 1.5, 0.5
    truth = 1 - ndtr(-ndtri(at) - shift)
    if tied:  # highest rate over the cuts between the steps
        cuts = (np.arange(-20, 20) + 0.5) * step
        truth = np.max(1 - ndtr(cuts[1 - ndtr(cuts) <= at] - shift))
    inside = 0
    for _ in range(300):
        members, nonmembers = rng.normal(shift, 1, n), rng.normal(0, 1, n)
        if tied:
            members, nonmembers = np.round(members / step), np.round(nonmembers / step)
        low, high = rate_interval(members, nonmembers, at, (n, n), 0.95)
        assert low <= metrics.tpr_at_fpr(members, nonmembers, at) <= high
        inside += low <= truth <= high
    assert inside / 300 >= 0.95


def test_rate_interval_is_useful_with_many_records_and_open_with_few():
    members, nonmembers = (ndtri((np.arange(20_000) + 0.5) / 20_000) + s for s in (1.5, 0.0))
    low, high = rate_interval(members, nonmembers, 0.01, (20_000, 20_000), 0.95)
    assert 0.17 < low < 0.204 < high < 0.24
    for n, shut in ((4000, False), (4800, True)):  # ln(80) / 0.001 = 4382
        low, _ = rate_interval(np.ones(50), np.linspace(-2, -1, n), 0.001, (50, n), 0.95)
        assert (low > 0) == shut


def test_rate_interval_keeps_its_ends_at_certainty():
    assert rate_interval(np.ones(5), np.zeros(5), 1.0, (5, 5), 0.95)[1] == 1
    assert rate_interval(np.zeros(5), np.ones(5), 0.001, (5, 5), 0.95)[0] == 0


def test_what_cannot_be_summarised_is_refused():
    with pytest.raises(UserError, match="empty"):
        summary([], [1.0])
    with pytest.raises(UserError, match="NaN"):
        summary([1.0], [np.nan])
    with pytest.raises(UserError, match="one id a score"):
        summary([1.0], [0.0], member_ids=[1, 2])
    with pytest.raises(UserError, match="confidence"):
        summary([1.0], [0.0], confidence=2)


@given(st.lists(st.integers(0, 12), min_size=60, max_size=60), st.sampled_from([0.1, 0.3]))
def test_rate_interval_ends_are_the_order_statistics(setting, at):
    """The false positive rate above rank c + 1 is Beta(c + 1, d - c): tried rank by rank."""
    judged, ranked, q = np.arange(14.0), sorted(setting, reverse=True), 0.05 / 4
    safe = [c for c in range(60) if betainc(c + 1, 60 - c, at) >= 1 - q]
    reached = [c for c in range(60) if betainc(c + 1, 60 - c, at) <= q]
    above = sum(score > ranked[safe[-1]] for score in judged) if safe else 0
    called = sum(score >= ranked[reached[0]] for score in judged)
    low = metrics.clopper_pearson(above, 14, 1 - 2 * q)[0]
    high = metrics.clopper_pearson(called, 14, 1 - 2 * q)[1]
    got = rate_interval(judged, np.array(setting, float), at, (14, 60), 0.95)
    assert got == pytest.approx((low, high), abs=1e-9)
