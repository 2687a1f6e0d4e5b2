from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from seepage.data import declared
from seepage.data.partition import apportion, dirichlet, disjoint_labels, iid, sizes
from seepage.records import UserError

laws = settings(deadline=None, derandomize=True, max_examples=60)
seeds = st.integers(0, 2**32 - 1)


def rng(seed):
    return np.random.default_rng(seed)


@st.composite
def pools(draw):
    """Labels of a whole data set, and the ids of it that may be dealt."""
    n = draw(st.integers(1, 200))
    source = rng(draw(seeds))
    labels = source.integers(0, draw(st.integers(1, 7)), n)
    keep = draw(st.integers(1, n))
    return source.permutation(n)[:keep], labels


def lawful(dealt, ids):
    """The laws of every partition: disjoint, eligible, sorted, nobody empty."""
    together = np.concatenate(dealt)
    assert len(np.unique(together)) == len(together)
    assert set(together) <= set(ids)
    for part in dealt:
        assert part.dtype == np.int64
        assert len(part)
        assert np.all(np.diff(part) > 0)
    return together


@laws
@given(pools(), st.integers(1, 12), seeds)
def test_iid_deals_out_all_evenly(pool, clients, seed):
    ids, _ = pool
    if clients > len(ids):
        with pytest.raises(UserError, match=f"{clients} clients cannot share {len(ids)} samples"):
            iid(ids, clients, None, rng(seed))
        return
    dealt = iid(ids, clients, None, rng(seed))
    assert set(lawful(dealt, ids)) == set(ids)
    counts = [len(part) for part in dealt]
    assert len(counts) == clients
    assert max(counts) - min(counts) <= 1


@laws
@given(pools(), st.integers(1, 12), st.integers(1, 30), seeds)
def test_iid_of_a_size_is_exact(pool, clients, size, seed):
    ids, _ = pool
    if clients * size > len(ids):
        with pytest.raises(UserError, match=f"{clients * size} samples together, but {len(ids)}"):
            iid(ids, clients, size, rng(seed))
        return
    dealt = iid(ids, clients, size, rng(seed))
    lawful(dealt, ids)
    assert [len(part) for part in dealt] == [size] * clients


def test_iid_is_uniform():
    """Each sample goes to each client equally often: chi-square, against its 99.9 % point."""
    n, clients, draws = 12, 3, 3_000
    hits = np.zeros((n, clients))
    source = rng(1)
    for _ in range(draws):
        for k, part in enumerate(iid(np.arange(n), clients, None, source)):
            hits[part, k] += 1
    expected = draws / clients
    statistic = ((hits - expected) ** 2 / expected).sum()
    assert statistic < 60  # about 22 degrees of freedom; 99.9 % point 48
    rotated = hits + np.outer(np.arange(n) % 3 - 1, [100, 0, -100])  # the wrong law fails
    assert ((rotated - expected) ** 2 / expected).sum() > 60


@laws
@given(pools(), st.lists(st.integers(1, 40), min_size=1, max_size=6), seeds)
def test_sizes_are_exact(pool, counts, seed):
    ids, _ = pool
    if sum(counts) > len(ids):
        with pytest.raises(UserError, match=f"{sum(counts)} samples together"):
            sizes(ids, counts, rng(seed))
        return
    dealt = sizes(ids, counts, rng(seed))
    lawful(dealt, ids)
    assert [len(part) for part in dealt] == counts


@pytest.mark.parametrize("counts", [[], [3, 0], [-1]])
def test_a_client_with_nothing_is_refused(counts):
    with pytest.raises(UserError, match="at least 1"):
        sizes(np.arange(10), counts, rng(0))


betas = st.sampled_from([1e-3, 0.1, 1.0, 10.0, 1e6])


@laws
@given(pools(), st.integers(1, 6), betas, st.integers(0, 5), seeds)
def test_dirichlet_complete_and_enough(pool, clients, beta, min_size, seed):
    ids, labels = pool
    if clients * max(min_size, 1) > len(ids):
        with pytest.raises(UserError, match=f"but {len(ids)} can be dealt"):
            dirichlet(ids, labels, clients, beta, min_size, rng(seed))
        return
    try:
        dealt = dirichlet(ids, labels, clients, beta, min_size, rng(seed))
    except UserError:
        assume(False)  # too uneven for the minimum; that message has a test of its own
        return
    assert set(lawful(dealt, ids)) == set(ids)
    assert min(len(part) for part in dealt) >= max(min_size, 1)


@laws
@given(pools(), st.integers(1, 6), betas, st.integers(1, 40), seeds)
def test_dirichlet_exact(pool, clients, beta, size, seed):
    ids, labels = pool
    if clients * size > len(ids):
        with pytest.raises(UserError, match=f"need {clients * size}, but {len(ids)}"):
            dirichlet(ids, labels, clients, beta, 10, rng(seed), per_client=size)
        return
    dealt = dirichlet(ids, labels, clients, beta, 10, rng(seed), per_client=size)
    lawful(dealt, ids)
    assert [len(part) for part in dealt] == [size] * clients


LABELS = np.repeat(np.arange(10), 1_000)


def shares(dealt):
    """The share of each label in each client, ``(clients, labels)``."""
    return np.stack([np.bincount(LABELS[part], minlength=10) / len(part) for part in dealt])


@pytest.mark.parametrize("per_client", [None, 600])
def test_dirichlet_evens_out(per_client):
    dealt = dirichlet(np.arange(10_000), LABELS, 10, 1e8, 1, rng(2), per_client)
    assert np.abs(shares(dealt) - 0.1).max() < 0.003
    assert all(abs(len(part) - (per_client or 1_000)) <= 10 for part in dealt)


def test_dirichlet_with_equal_sizes_follows_an_uneven_pool():
    ids = np.concatenate([np.arange(0, 1_000), np.arange(1_000, 1_200)])
    dealt = dirichlet(ids, LABELS, 5, 1e8, 1, rng(2), per_client=120)
    assert all(list(np.bincount(LABELS[part])) == [100, 20] for part in dealt)


@pytest.mark.parametrize("per_client", [None, 600])
def test_dirichlet_concentrates(per_client):
    def concentration(beta):
        dealt = dirichlet(np.arange(10_000), LABELS, 10, beta, 1, rng(3), per_client)
        return (shares(dealt) ** 2).sum(axis=1).mean()  # 1 where a client has one label

    assert concentration(0.05) > 2 * concentration(1.0) > 2 * concentration(1e4)


def test_dirichlet_shares_have_the_published_moments():
    """A share of Dir(β·1_K) has mean 1/K and variance (1/K)(1 - 1/K)/(Kβ + 1)."""
    clients, beta, source = 4, 0.5, rng(4)
    drawn = []
    for _ in range(400):
        dealt = dirichlet(np.arange(1_000), np.zeros(1_000, int), clients, beta, 1, source)
        drawn.append([len(part) / 1_000 for part in dealt])
    drawn = np.array(drawn)
    variance = 0.25 * 0.75 / (clients * beta + 1)
    # nobody may be empty: that cuts the smallest shares and moves the variance by under 5 %
    assert drawn.mean() == pytest.approx(0.25)
    assert drawn.var(axis=0).mean() == pytest.approx(variance, rel=0.15)
    assert drawn.var(axis=0).mean() != pytest.approx(
        0.25 * 0.75 / (clients * 2 * beta + 1), rel=0.15
    )


def test_dirichlet_gives_no_remainder_to_the_last():
    """FedMIA's code gives the rounding of every class to the last client; here it is shared."""
    labels = np.repeat(np.arange(200), 3)  # 3 samples a class: rounding is nearly all there is
    dealt = dirichlet(np.arange(600), labels, 10, 1e8, 1, rng(5))
    assert len(dealt[-1]) <= 2 * 600 / 10


def test_a_minimum_that_cannot_be_met_says_so():
    with pytest.raises(UserError, match="need 110, but 100 can be dealt"):
        dirichlet(np.arange(100), np.zeros(100, int), 10, 1.0, 11, rng(0))
    with pytest.raises(UserError, match=r"min_size = 10 was not met in 1000 Dirichlet draws"):
        dirichlet(np.arange(100), np.zeros(100, int), 10, 0.01, 10, rng(0))


@pytest.mark.parametrize("beta", [0.0, -1.0, float("inf"), float("nan")])
def test_a_wrong_beta_is_refused(beta):
    with pytest.raises(UserError, match=r"data\.beta"):
        dirichlet(np.arange(100), np.zeros(100, int), 2, beta, 1, rng(0))


@laws
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.integers(0, 500))
def test_apportion_is_within_one_of_the_quota(weights, total):
    weights = np.array(weights) + 1e-9
    counts = apportion(weights, total)
    quotas = weights / weights.sum() * total
    assert counts.sum() == total
    assert np.all(np.abs(counts - quotas) < 1 + 1e-6)


def test_apportion_by_hand():
    # quotas 4.5, 2.7, 1.8: floors 4, 2, 1; the two left go to .8 and .7
    assert apportion(np.array([0.5, 0.3, 0.2]), 9).tolist() == [4, 3, 2]


@laws
@given(pools(), st.integers(1, 4), st.integers(1, 3), st.none() | st.integers(1, 15), seeds)
def test_disjoint_labels(pool, clients, each, size, seed):
    ids, labels = pool
    held, counts = np.unique(labels[ids], return_counts=True)
    try:
        dealt = disjoint_labels(ids, labels, clients, each, size, rng(seed))
    except UserError:
        assert clients * each > len(held) or (size is not None and size > counts.min())
        return
    assert clients * each <= len(held)
    lawful(dealt, ids)
    classes = [set(labels[part]) for part in dealt]
    assert all(len(own) == each for own in classes)
    assert len(set.union(*classes)) == clients * each
    for part, own in zip(dealt, classes, strict=True):
        for c in own:
            there = int(counts[held == c][0])
            assert int((labels[part] == c).sum()) == (there if size is None else size)


def test_labels_go_to_anyone():
    """Over many draws every client gets every label."""
    seen = {
        (k, int(c))
        for seed in range(200)
        for k, part in enumerate(
            disjoint_labels(np.arange(40), np.arange(40) % 4, 2, 1, 1, rng(seed))
        )
        for c in part % 4
    }
    assert seen == {(k, c) for k in range(2) for c in range(4)}


def test_too_few_labels_are_named():
    with pytest.raises(UserError, match="need 20 labels, but there are 10"):
        disjoint_labels(np.arange(10_000), LABELS, 10, 2, None, rng(0))
    with pytest.raises(UserError, match="1001 samples of label"):
        disjoint_labels(np.arange(10_000), LABELS, 5, 2, 1_001, rng(0))


@pytest.mark.parametrize("clients", [0, -1])
def test_no_clients_are_refused(clients):
    for deal in (
        lambda: iid(np.arange(5), clients, None, rng(0)),
        lambda: dirichlet(np.arange(5), LABELS, clients, 1.0, 1, rng(0)),
        lambda: disjoint_labels(np.arange(5), LABELS, clients, 1, None, rng(0)),
    ):
        with pytest.raises(UserError, match="at least 1"):
            deal()


def apart(ids, labels, clients, each, size, source):
    """Labels of one's own, written out: one permutation of the classes, then one draw a class."""
    order, dealt = source.permutation(np.unique(labels[ids])), []
    for k in range(clients):
        parts = []
        for c in order[k * each : (k + 1) * each]:
            found = ids[labels[ids] == c]
            parts.append(found if size is None else source.permutation(found)[:size])
        dealt.append(np.sort(np.concatenate(parts)))
    return dealt


@laws
@given(pools(), st.integers(1, 4), st.integers(1, 3), st.none() | st.integers(1, 15), seeds)
def test_without_overlap_labels_are_dealt_as_ever(pool, clients, each, size, seed):
    """One number, or the same one for each client: the draws are those of labels apart."""
    ids, labels = pool
    try:
        dealt = disjoint_labels(ids, labels, clients, each, size, rng(seed))
    except UserError:
        assume(False)
        return
    listed = disjoint_labels(ids, labels, clients, [each] * clients, size, rng(seed), 0.0)
    expected = apart(ids, labels, clients, each, size, rng(seed))
    for given_, same, part in zip(dealt, listed, expected, strict=True):
        assert given_.tolist() == same.tolist() == part.tolist()


numbers = st.lists(st.integers(1, 4), min_size=1, max_size=4)
overlaps = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
COMMON = {
    (1, 0.25): 0, (1, 0.5): 0, (1, 0.75): 1, (2, 0.25): 0, (2, 0.5): 1, (2, 0.75): 2,
    (3, 0.25): 1, (3, 0.5): 2, (3, 0.75): 2, (4, 0.25): 1, (4, 0.5): 2, (4, 0.75): 3,
}  # fmt: skip
"""Common labels of a client, by its labels and the overlap; halves go to the even number."""


@laws
@given(st.integers(5, 20), numbers, overlaps, st.none() | st.integers(1, 12), seeds)
def test_overlapping_labels(classes, each, overlap, size, seed):
    source = rng(seed)
    labels = source.integers(0, classes, 500)
    ids = source.permutation(500)[:400]
    held, counts = np.unique(labels[ids], return_counts=True)
    common = [COMMON.get((n, overlap), int(n * overlap)) for n in each]
    needed = sum(each) - sum(common) + max(common)
    try:
        dealt = disjoint_labels(ids, labels, len(each), each, size, rng(seed), overlap)
    except UserError:
        assert needed > len(held) or counts.min() < len(each) * (size or 1)
        return
    assert needed <= len(held)
    lawful(dealt, ids)
    having = [set(labels[part]) for part in dealt]
    assert [len(mine) for mine in having] == each
    assert len(set.union(*having)) == needed
    *others, most = sorted(range(len(each)), key=lambda k: common[k])
    shared = [having[k] & having[most] for k in others]  # the front of one list, ever longer
    assert [len(part) for part in shared] == [common[k] for k in others]
    assert all(first <= second for first, second in pairwise(shared))
    assert all(having[i] & having[k] <= having[most] for i, k in combinations(others, 2))
    for c in set.union(*having):
        amounts = [int((labels[part] == c).sum()) for part in dealt if c in labels[part]]
        if size is None:
            assert sum(amounts) == counts[held == c][0]
            assert max(amounts) - min(amounts) <= 1
        else:
            assert set(amounts) == {size}


def test_with_full_overlap_everyone_holds_the_same_labels():
    dealt = disjoint_labels(np.arange(10_000), LABELS, 5, 4, None, rng(1), 1.0)
    tables = [np.bincount(LABELS[part], minlength=10).tolist() for part in dealt]
    assert tables == [tables[0]] * 5
    assert sorted(tables[0]) == [0] * 6 + [200] * 4


def test_common_labels_come_from_the_front_of_one_list():
    """Of 8 and of 2 labels half is common: the one common label of the second is one of 4."""
    every = np.arange(4_000)
    dealt = disjoint_labels(every, np.repeat(np.arange(40), 100), 3, [8, 2, 8], 10, rng(2), 0.5)
    first, second, third = ({int(i) // 100 for i in part} for part in dealt)
    assert (len(first), len(second), len(third)) == (8, 2, 8)
    assert len(first & third) == 4
    assert len(first & second) == 1
    assert first & second < first & third
    assert first & second == second & third


def test_samples_of_a_common_label_go_to_anyone():
    seen = {
        (k, int(i))
        for seed in range(200)
        for k, part in enumerate(
            disjoint_labels(np.arange(4), np.zeros(4, int), 2, 1, 1, rng(seed), 1.0)
        )
        for i in part
    }
    assert seen == {(k, i) for k in range(2) for i in range(4)}


@pytest.mark.parametrize(
    ("each", "size", "overlap", "said"),
    [
        (4, None, 0.5, "10 labels of their own and 2 in common need 12 labels, but there are 10"),
        ([4] * 5, 1_000, 1.0, "5 times 1000 samples of label . were asked for, but 1000"),
        ([1, 2], None, 0.0, "expected one number for each of 5 clients"),
        ([1, 0, 1, 1, 1], None, 0.0, "labels_per_client: expected at least 1, got 0"),
        (2, 0, 1.0, "at least 1 sample for each label"),
        (2, None, -0.1, "data.overlap = -0.1: expected 0 to 1"),
        (2, None, float("nan"), "data.overlap = nan"),
    ],
)
def test_overlaps_that_cannot_be_met(each, size, overlap, said):
    with pytest.raises(UserError, match=said):
        disjoint_labels(np.arange(10_000), LABELS, 5, each, size, rng(0), overlap)


@laws
@given(pools(), st.integers(1, 4), seeds)
def test_what_is_declared_is_what_is_held(pool, clients, seed):
    ids, labels = pool
    assume(clients <= len(ids))
    dealt = iid(ids, clients, None, rng(seed))
    told = declared(labels, dealt, 9)
    assert told.dtype == bool
    assert told.shape == (clients, 9)
    for row, part in zip(told, dealt, strict=True):
        assert set(np.flatnonzero(row)) == set(labels[part])
