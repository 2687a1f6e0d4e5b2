"""Dealing samples out to clients.

Each function takes the ids that may be dealt and a generator, and returns one array of ids a
client. Guarantees, of all of them:

* disjoint: no id is given twice;
* eligible: every id given is one that could be dealt;
* sorted: each client's ids ascend;
* nobody empty: every client gets at least one sample, or a ``UserError`` says why not.

``labels`` is the class of every sample of the data set, indexed by id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from seepage.records import FloatArray, IntArray, UserError

TRIES = 1_000  # Dirichlet draws before giving up on the minimum size

Clients = list[IntArray]


def iid(ids: IntArray, clients: int, size: int | None, rng: np.random.Generator) -> Clients:
    """A uniform draw without replacement for each client.

    Args:
        ids: What may be dealt, unique.
        clients: Number of clients :math:`K`.
        size: Samples of each client; None deals out all, sizes differing by at most one.
        rng: Decides the draw.

    Raises:
        UserError: There are too few samples.

    Differs from FedMIA's released code only where ``size`` is None: there each client gets
    :math:`⌊n/K⌋` and the remainder is unused; here it is spread over the first clients.
    """
    n = len(ids)
    _require(clients >= 1, f"data.clients = {clients}: expected at least 1.")
    if size is None:
        counts = [n // clients + (k < n % clients) for k in range(clients)]
        _require(
            min(counts) >= 1, f"{clients} clients cannot share {n} samples. Use fewer clients."
        )
        return sizes(ids, counts, rng)
    return sizes(ids, [size] * clients, rng)


def sizes(ids: IntArray, sizes: Sequence[int], rng: np.random.Generator) -> Clients:
    """A uniform draw without replacement of ``sizes[k]`` samples for client ``k``.

    Raises:
        UserError: A size is below 1, or they add up to more samples than there are.
    """
    _require(len(sizes) >= 1, "data.clients: expected at least 1.")
    _require(
        min(sizes) >= 1, f"data.sizes: expected at least 1 for every client, got {min(sizes)}."
    )
    total = sum(sizes)
    _require(
        total <= len(ids),
        f"{len(sizes)} clients ask for {total} samples together, but {len(ids)} can be dealt. "
        f"Use fewer clients or smaller sizes, or hold out fewer.",
    )
    drawn = rng.permutation(ids)[:total]
    return _sorted(np.split(drawn, np.cumsum(sizes)[:-1]))


def dirichlet(
    ids: IntArray,
    labels: IntArray,
    clients: int,
    beta: float,
    min_size: int,
    rng: np.random.Generator,
    per_client: int | None = None,
) -> Clients:
    r"""Uneven shares of each class: small :math:`β` concentrates, large evens out.

    With ``per_client`` None, every class :math:`c` is shared out whole among the clients by

    .. math:: p_c \sim \operatorname{Dir}(β \mathbf 1_K)

    rounded by largest remainder; clients differ in size. The draw of all classes is repeated until
    every client has ``min_size``, at most ``TRIES`` times. With ``per_client`` = :math:`m` every
    client has :math:`m` samples, with class shares

    .. math:: q_k \sim \operatorname{Dir}(β\, C\, π)

    with :math:`π` the classes' shares of ``ids``; where a class runs out the rest is taken from
    the others in proportion, and ``min_size`` has no part.

    Guarantees:
        * complete: with ``per_client`` None, every id is dealt.
        * enough: with ``per_client`` None, every client has at least ``min_size`` (and one).
        * exact: with ``per_client``, every client has exactly that many.

    Args:
        ids: What may be dealt, unique.
        labels: Class of every sample, indexed by id.
        clients: Number of clients :math:`K`.
        beta: Concentration :math:`β > 0`.
        min_size: Fewest samples of a client.
        rng: Decides the draw.
        per_client: Samples of each client.

    Raises:
        UserError: ``min_size`` was not met in any of the draws, or there are too few samples.

    References:
        | FedMIA (CVPR 2025), section 4; the equal-size form: Measuring the Effects of
        | Non-Identical Data Distribution (Hsu et al., 2019), https://arxiv.org/abs/1909.06335

    Differs from FedMIA's released code: no remainder goes to the last client, and there is a
    minimum size; without one, :math:`β = 0.1` leaves clients too small for its own later draws.
    """
    _require(clients >= 1, f"data.clients = {clients}: expected at least 1.")
    _require(0 < beta < np.inf, f"data.beta = {beta}: expected a number above 0.")
    classes = [rng.permutation(ids[labels[ids] == c]) for c in np.unique(labels[ids])]
    supply = np.array([len(found) for found in classes], dtype=np.int64)
    if per_client is None:
        counts = _share_classes(supply, clients, beta, max(min_size, 1), rng)
    else:
        counts = _fill_clients(supply, clients, beta, per_client, rng)
    ends = np.cumsum(counts, axis=1)
    return _sorted(
        np.concatenate(
            [
                found[end[k] - count[k] : end[k]]
                for found, end, count in zip(classes, ends, counts, strict=True)
            ]
        )
        for k in range(clients)
    )


def _share_classes(
    supply: IntArray, clients: int, beta: float, min_size: int, rng: np.random.Generator
) -> IntArray:
    """Samples of each class for each client, ``(classes, clients)``; rows add up to ``supply``."""
    n, best = int(supply.sum()), 0
    _require(
        clients * min_size <= n,
        f"{clients} clients with at least {min_size} samples each need {clients * min_size}, but "
        f"{n} can be dealt. Use fewer clients or a smaller data.min_size.",
    )
    for _ in range(TRIES):
        shares = rng.dirichlet(np.full(clients, beta), size=len(supply))
        counts = np.stack([apportion(p, int(m)) for p, m in zip(shares, supply, strict=True)])
        smallest = int(counts.sum(axis=0).min())
        if smallest >= min_size:
            return counts
        best = max(best, smallest)
    raise UserError(
        f"data.min_size = {min_size} was not met in {TRIES} Dirichlet draws with data.beta = "
        f"{beta} and {clients} clients; the best draw left a client with {best} of {n}. Raise "
        f"data.beta, lower data.min_size, use fewer clients, or give data.per_client."
    )


def _fill_clients(
    supply: IntArray, clients: int, beta: float, size: int, rng: np.random.Generator
) -> IntArray:
    """As :func:`_share_classes`, but columns add up to ``size`` and rows stay within supply."""
    n = int(supply.sum())
    _require(size >= 1, f"data.per_client = {size}: expected at least 1.")
    _require(
        clients * size <= n,
        f"{clients} clients with {size} samples each need {clients * size}, but {n} can be dealt. "
        f"Use fewer clients or a smaller data.per_client.",
    )
    left, columns = supply.copy(), []
    for shares in rng.dirichlet(beta * len(supply) * supply / n, size=clients):
        column = np.zeros_like(supply)
        while (short := size - int(column.sum())) > 0:
            open_shares = np.where(left > column, shares, 0.0)
            if open_shares.sum() <= 0:  # all that this client wanted has run out
                open_shares = (left - column).astype(float)
            column += np.minimum(apportion(open_shares, short), left - column)
        left -= column
        columns.append(column)
    return np.stack(columns, axis=1)


def apportion(shares: FloatArray, total: int) -> IntArray:
    """Whole numbers in proportion to ``shares`` that add up to ``total``, by largest remainder.

    Each is within one of its exact quota, and the first of equal remainders comes first.
    """
    quotas = shares / shares.sum() * total
    counts = np.floor(quotas).astype(np.int64)
    order = np.argsort(counts - quotas, kind="stable")
    counts[order[: total - int(counts.sum())]] += 1
    return counts


def disjoint_labels(
    ids: IntArray,
    labels: IntArray,
    clients: int,
    labels_per_client: int | Sequence[int],
    size_per_label: int | None,
    rng: np.random.Generator,
    overlap: float = 0.0,
) -> Clients:
    r"""Each client holds classes of her own, and with ``overlap`` some that others hold as well.

    Of client *k*'s :math:`l_k` classes

    .. math:: c_k = \operatorname{round}(\mathrm{overlap} \cdot l_k)

    (halves to even) are the first :math:`c_k` of one list that all clients share, and the others
    are hers alone. So who has fewer common classes has some of those that others have.

    Args:
        ids: What may be dealt, unique.
        labels: Class of every sample, indexed by id.
        clients: Number of clients.
        labels_per_client: Classes of each client: a number, or one a client.
        size_per_label: Samples of each of her classes; None takes all, and shares those of a
            common class out among its holders, in numbers that differ by at most one.
        rng: Decides which classes go to whom, and which samples are taken.
        overlap: Share of a client's classes that are common ones, in [0, 1].

    Raises:
        UserError: There are too few classes, too few samples of one, or a number is out of range.
    """
    each = _numbers(labels_per_client, clients)
    _require(0 <= overlap <= 1, f"data.overlap = {overlap}: expected 0 to 1.")
    common = [round(overlap * number) for number in each]
    alone = [number - shared for number, shared in zip(each, common, strict=True)]
    classes, needed = np.unique(labels[ids]), sum(alone) + max(common)
    _require(
        needed <= len(classes),
        f"{clients} clients with {sum(alone)} labels of their own and {max(common)} in common need "
        f"{needed} labels, but there are {len(classes)}. Use fewer clients, a smaller "
        f"data.labels_per_client or a larger data.overlap.",
    )
    *held, shared = np.split(rng.permutation(classes)[:needed], np.cumsum(alone))
    parts = [
        [_some(ids[labels[ids] == c], size_per_label, int(c), rng) for c in own] for own in held
    ]
    for depth, c in enumerate(shared):
        holders = [k for k in range(clients) if common[k] > depth]
        dealt = _among(ids[labels[ids] == c], len(holders), size_per_label, int(c), rng)
        for k, part in zip(holders, dealt, strict=True):
            parts[k].append(part)
    return _sorted(np.concatenate(own) for own in parts)


def _numbers(labels_per_client: int | Sequence[int], clients: int) -> list[int]:
    """How many labels each client holds, at least 1."""
    _require(clients >= 1, f"data.clients = {clients}: expected at least 1.")
    several = isinstance(labels_per_client, Sequence)
    each = [*labels_per_client] if several else [labels_per_client] * clients
    _require(
        len(each) == clients,
        f"data.labels_per_client = {each}: expected one number for each of {clients} clients.",
    )
    _require(min(each) >= 1, f"data.labels_per_client: expected at least 1, got {min(each)}.")
    return each


def _some(found: IntArray, size: int | None, label: int, rng: np.random.Generator) -> IntArray:
    if size is None:
        return found
    _require_samples(found, 1, size, label)
    return rng.permutation(found)[:size]


def _among(
    found: IntArray, holders: int, size: int | None, label: int, rng: np.random.Generator
) -> list[IntArray]:
    """The samples of a common label: ``size`` for each of its holders, or all shared out."""
    _require_samples(found, holders, 1 if size is None else size, label)
    drawn = rng.permutation(found)
    return np.array_split(drawn if size is None else drawn[: holders * size], holders)


def _require_samples(found: IntArray, holders: int, size: int, label: int) -> None:
    _require(size >= 1, f"expected at least 1 sample for each label, got {size}.")
    many = f"{holders} times {size}" if holders > 1 else size
    _require(
        holders * size <= len(found),
        f"{many} samples of label {label} were asked for, but {len(found)} can be dealt. "
        f"Use fewer clients, or a smaller data.per_label, data.per_client or data.overlap.",
    )


def _sorted(parts: Iterable[IntArray]) -> Clients:
    return [np.sort(part).astype(np.int64) for part in parts]


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise UserError(message)
