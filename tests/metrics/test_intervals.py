import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import bdtr, ndtr, ndtri

from seepage.metrics import auc, auc_interval, clopper_pearson
from seepage.metrics.intervals import auc_variance, clusters, placements
from seepage.records import UserError

side = st.lists(st.integers(-3, 3), min_size=2, max_size=20).map(lambda v: np.array(v, float))


@given(st.integers(1, 60), st.integers(0, 60), st.sampled_from([0.5, 0.95, 0.9975]))
def test_clopper_pearson_inverts_the_binomial_tails(n, k, confidence):
    k = min(k, n)
    low, high = clopper_pearson(k, n, confidence)
    tail = (1 - confidence) / 2
    assert low == 0 if k == 0 else 1 - bdtr(k - 1, n, low) == pytest.approx(tail, rel=1e-6)
    assert high == 1 if k == n else bdtr(k, n, high) == pytest.approx(tail, rel=1e-6)


@given(st.integers(1, 60), st.floats(0, 1))
def test_clopper_pearson_symmetric_and_between_whole_counts(n, share):
    k = share * n
    low, high = clopper_pearson(k, n)
    mirrored = clopper_pearson(n - k, n)
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]), abs=1e-9)
    floor, ceiling = clopper_pearson(np.floor(k), n), clopper_pearson(np.ceil(k), n)
    assert floor[0] - 1e-12 <= low <= ceiling[0] + 1e-12
    assert floor[1] - 1e-12 <= high <= ceiling[1] + 1e-12


def test_clopper_pearson_covers():
    for n, p in ((5, 0.1), (30, 0.5), (100, 0.01)):
        mass = np.diff([0.0, *bdtr(np.arange(n + 1), n, p)])
        inside = [low <= p <= high for low, high in (clopper_pearson(k, n) for k in range(n + 1))]
        assert mass @ inside >= 0.95


@pytest.mark.parametrize(
    ("k", "n", "confidence"), [(3, 2, 0.9), (-1, 2, 0.9), (0, 0, 0.9), (1, 2, 95)]
)
def test_clopper_pearson_refuses(k, n, confidence):
    with pytest.raises(UserError):
        clopper_pearson(k, n, confidence)


@given(side, side)
def test_placements_match_comparing_every_pair(members, nonmembers):
    wins = (members[:, None] > nonmembers) + 0.5 * (members[:, None] == nonmembers)
    of_member, of_nonmember = placements(members, nonmembers)
    np.testing.assert_allclose(of_member, wins.mean(1), atol=1e-12)
    np.testing.assert_allclose(of_nonmember, wins.mean(0), atol=1e-12)


def delong(members, nonmembers):
    wins = (members[:, None] > nonmembers) + 0.5 * (members[:, None] == nonmembers)
    return wins.mean(1).var(ddof=1) / len(members) + wins.mean(0).var(ddof=1) / len(nonmembers)


def obuchowski(members, nonmembers, member_ids, nonmember_ids):
    """The 1997 formulas, one record at a time: S10 / m + S01 / n + 2 S11 / (m n)."""
    m, n = len(members), len(nonmembers)
    wins = (members[:, None] > nonmembers) + 0.5 * (members[:, None] == nonmembers)
    s10 = s01 = s11 = 0.0
    everyone = sorted({*member_ids, *nonmember_ids})
    for one in everyone:
        rows, columns = member_ids == one, nonmember_ids == one
        a = wins.mean(1)[rows].sum() - rows.sum() * wins.mean()
        b = wins.mean(0)[columns].sum() - columns.sum() * wins.mean()
        s10, s01, s11 = s10 + a * a, s01 + b * b, s11 + a * b
    i1, i0, i = len({*member_ids}), len({*nonmember_ids}), len(everyone)
    s10, s01, s11 = s10 * i1 / (i1 - 1) / m, s01 * i0 / (i0 - 1) / n, s11 * i / (i - 1)
    return s10 / m + s01 / n + 2 * s11 / (m * n)


@given(side, side)
def test_distinct_records_give_delong(members, nonmembers):
    m, n = len(members), len(nonmembers)
    alone = auc_variance(members, nonmembers, *clusters(None, None, m, n))
    assert alone == pytest.approx(delong(members, nonmembers), abs=1e-14)
    ids = clusters(np.arange(m) * 7, -1 - np.arange(n), m, n)
    assert auc_variance(members, nonmembers, *ids) == pytest.approx(alone, abs=1e-15)
    plain = auc_interval(members, nonmembers)
    named = auc_interval(
        members, nonmembers, member_ids=np.arange(m), nonmember_ids=m + np.arange(n)
    )
    assert named == plain


@given(side, side, st.randoms(use_true_random=False))
def test_repeated_records_match_the_formula(members, nonmembers, random):
    member_ids = np.array([0, 1, *(random.randrange(6) for _ in members[2:])])
    nonmember_ids = np.array([3, 4, *(random.randrange(6) for _ in nonmembers[2:])])
    of = clusters(member_ids, nonmember_ids, len(members), len(nonmembers))
    expected = obuchowski(members, nonmembers, member_ids, nonmember_ids)
    got = auc_variance(members, nonmembers, *of)
    assert got == pytest.approx(max(0.0, expected), abs=1e-12)


def pooled(rng, owners, targets, difficulty, shift):
    """Scores of every record against every target, with a part all targets share."""
    n = len(owners)
    scores = np.sqrt(difficulty) * rng.normal(size=n) + np.sqrt(1 - difficulty) * rng.normal(
        size=(targets, n)
    )
    member = owners == np.arange(targets)[:, None]
    ids = np.broadcast_to(np.arange(n), member.shape)
    scores = scores + shift * member
    return scores[member], scores[~member], ids[member], ids[~member]


OWNERS = np.r_[np.repeat(np.arange(4), 25), np.full(60, -1)]


@pytest.mark.parametrize(("others", "low", "high"), [(True, 0.0, 0.9), (False, 1.1, 2.0)])
def test_repeated_records_match_a_bootstrap_of_records(others, low, high):
    """A record on both sides is its own control, so the AUC is surer than DeLong thinks; records
    that only repeat make it less sure."""
    rng = np.random.default_rng(11)
    members, nonmembers, member_ids, nonmember_ids = pooled(rng, OWNERS, 4, 0.7, 0.8)
    if not others:
        held_out = OWNERS[nonmember_ids] < 0
        nonmembers, nonmember_ids = nonmembers[held_out], nonmember_ids[held_out]
    draws = []
    for _ in range(800):
        times = np.bincount(rng.integers(160, size=160), minlength=160)
        one = np.repeat(members, times[member_ids]), np.repeat(nonmembers, times[nonmember_ids])
        draws.append(auc(*one))
    of = clusters(member_ids, nonmember_ids, len(members), len(nonmembers))
    ours = np.sqrt(auc_variance(members, nonmembers, *of))
    # 800 draws know the deviation to 2.5 % (one standard error); the formula is off by 1 / 100.
    assert ours == pytest.approx(np.std(draws), rel=0.1)
    assert low < ours / np.sqrt(delong(members, nonmembers)) < high


def test_pooled_interval_covers():
    rng = np.random.default_rng(12)
    truth = ndtr(0.8 / np.sqrt(2))
    inside = 0
    for _ in range(200):
        members, nonmembers, a, b = pooled(rng, OWNERS, 4, 0.9, 0.8)
        low, high = auc_interval(members, nonmembers, member_ids=a, nonmember_ids=b)
        inside += low <= truth <= high
    assert inside >= 181, "0.95 less 3 standard errors"


@pytest.mark.parametrize("area", [0.5, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("tied", [False, True])
def test_interval_covers(area, tied):
    """Small samples, 400 draws: 0.95 less 3 standard errors is 0.917."""
    rng = np.random.default_rng(13)
    shift = np.sqrt(2) * ndtri(area)
    cut = np.round if tied else np.asarray
    far = np.arange(-12, 13)
    mass = [np.diff(ndtr(np.r_[far - 0.5, 12.5] - mu)) for mu in (shift, 0.0)]
    truth = mass[0] @ (np.cumsum(mass[1]) - mass[1] / 2) if tied else area
    inside = 0
    for _ in range(400):
        low, high = auc_interval(cut(rng.normal(shift, 1, 20)), cut(rng.normal(0, 1, 20)))
        inside += low <= truth <= high
    assert inside / 400 >= 0.917


@given(side, side, st.sampled_from([0.8, 0.95, 0.9975]))
def test_interval_contains_mirrors_and_grows(members, nonmembers, confidence):
    low, high = auc_interval(members, nonmembers, confidence=confidence)
    assert 0 <= low <= auc(members, nonmembers) <= high <= 1
    assert high - low > 0
    swapped = auc_interval(nonmembers, members, confidence=confidence)
    assert (low, high) == pytest.approx((1 - swapped[1], 1 - swapped[0]), abs=1e-9)
    wider = auc_interval(members, nonmembers, confidence=(1 + confidence) / 2)
    assert wider[0] <= low
    assert wider[1] >= high


def test_interval_of_perfect_separation_solves_its_equation():
    low, high = auc_interval(np.arange(10) + 100.0, np.arange(10.0))
    assert high == 1
    spread = (1 - low) / (2 - low) + low / (1 + low)
    variance = low * (1 - low) * (1 + 9 * spread) / 100
    assert (1 - low) ** 2 == pytest.approx(ndtri(0.975) ** 2 * variance, rel=1e-9)
    assert 0.7 < low < 0.85


def test_one_record_a_side_has_an_interval():
    low, high = auc_interval([1.0], [0.0])
    assert low < 0.5
    assert high == 1


def test_ids_that_do_not_match_are_refused():
    with pytest.raises(UserError, match="one side alone"):
        auc_interval([1.0], [0.0], member_ids=[1])
    with pytest.raises(UserError, match="one id a score"):
        auc_interval([1.0], [0.0], member_ids=[1, 2], nonmember_ids=[3])
    with pytest.raises(UserError, match="confidence"):
        auc_interval([1.0], [0.0], confidence=1)


def test_interval_follows_the_spread_where_it_is_the_wider():
    rng = np.random.default_rng(14)
    members, nonmembers = rng.normal(1, 6, 15), rng.normal(0, 1, 150)
    area = auc(members, nonmembers)
    half = ndtri(0.975) * np.sqrt(delong(members, nonmembers)) / (area * (1 - area))
    odds = np.log(area / (1 - area)) + half * np.array([-1, 1])
    expected = 1 / (1 + np.exp(-odds))
    assert auc_interval(members, nonmembers) == pytest.approx(tuple(expected), abs=1e-12)


def test_copies_of_perfectly_separated_records_narrow_nothing():
    members, nonmembers, ids = np.ones(8), np.zeros(8), np.arange(8)
    copied = auc_interval(
        np.tile(members, 5),
        np.tile(nonmembers, 5),
        member_ids=np.tile(ids, 5),
        nonmember_ids=8 + np.tile(ids, 5),
    )
    assert copied == auc_interval(members, nonmembers)
