"""Who trains on what, and which samples nobody trains on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seepage._rng import child
from seepage.data import partition as deal
from seepage.records import Dataset, IntArray, Split, UserError

HELD_OUT_SHARE = 0.2
"""What is held out of a source without a test part where nothing says how much."""

PARTITIONS = ("iid", "dirichlet", "disjoint_labels", "sizes")


def split(
    dataset: Dataset,
    *,
    clients: int,
    partition: str = "iid",
    per_client: int | None = None,
    held_out: int | None = None,
    beta: float = 1.0,
    min_size: int = 10,
    labels_per_client: int | Sequence[int] = 2,
    per_label: int | None = None,
    overlap: float = 0.0,
    sizes: Sequence[int] | None = None,
    seed: int,
) -> Split:
    """Deal a data set's samples to clients and hold some out.

    Where the source has a published test part, clients are dealt from the training part and
    ``held_out`` samples are drawn from the test part (None: all of it). Where it has none,
    ``held_out`` samples are drawn from all first and clients are dealt from the rest. With
    ``held_out`` None, everything that ``per_client`` (with ``iid``) or ``sizes`` leave over is held
    out; the other partitions would leave over a biased rest, and sharing out all leaves none: then
    a share of ``HELD_OUT_SHARE`` is drawn first.

    Guarantees:
        * disjoint: no sample has two owners, and none held out has one;
        * published: with a published split, every client's ids are below ``n_train`` and every
          held-out id is not;
        * repeatable: the same arguments give the same split.

    Args:
        dataset: What is dealt.
        clients: Number of clients :math:`K`.
        partition: ``iid``, ``dirichlet``, ``disjoint_labels`` or ``sizes``, the functions of
            :mod:`seepage.data.partition`.
        per_client: Samples of each client; None shares out all there are. Under
            ``disjoint_labels`` as many of each of its labels.
        held_out: Samples nobody trains on.
        beta: Concentration, of ``dirichlet``.
        min_size: Fewest samples of a client, of ``dirichlet`` without ``per_client``.
        labels_per_client: Classes of each client, of ``disjoint_labels``: a number, or one a
            client.
        per_label: Samples of each of a client's classes, of ``disjoint_labels`` without
            ``per_client``; None shares out all there are.
        overlap: Share of each client's classes that all clients hold in common, in [0, 1], of
            ``disjoint_labels``.
        sizes: Samples of each client, of ``sizes``.
        seed: Decides every draw.

    Raises:
        UserError: The request cannot be met; the message names the setting to change.
    """
    if partition not in PARTITIONS:
        known = ", ".join(PARTITIONS)
        raise UserError(f"data.partition = {partition!r}: expected one of {known}.")
    if (partition == "sizes") != (sizes is not None):
        raise UserError("data.sizes goes with data.partition = 'sizes', and with no other.")
    if partition == "sizes" and (per_client is not None or len(sizes or ()) != clients):
        raise UserError(
            f"data.partition = 'sizes' needs {clients} data.sizes, one a client, and no "
            f"data.per_client; got {len(sizes or ())} sizes and per_client = {per_client}."
        )
    leaves_rest = partition == "sizes" or (partition == "iid" and per_client is not None)
    pool, kept = _pool(dataset, held_out, leaves_rest, child(seed, "data", "held_out"))
    dealt = deal_out(
        pool,
        dataset.labels.cpu().numpy(),
        child(seed, "data", "partition"),
        clients=clients,
        partition=partition,
        per_client=per_client,
        beta=beta,
        min_size=min_size,
        labels_per_client=labels_per_client,
        per_label=per_label,
        overlap=overlap,
        sizes=sizes,
    )
    return Split(clients=tuple(dealt), held_out=_rest(pool, dealt) if kept is None else kept)


def deal_out(
    pool: IntArray,
    labels: IntArray,
    rng: np.random.Generator,
    *,
    clients: int,
    partition: str,
    per_client: int | None,
    beta: float,
    min_size: int,
    labels_per_client: int | Sequence[int],
    per_label: int | None,
    overlap: float,
    sizes: Sequence[int] | None,
) -> list[IntArray]:
    """The samples of ``pool`` dealt to clients.

    ``labels`` are those of the whole data set, by id; ``rng`` is what is drawn from; the rest is as
    for :func:`split`.
    """
    if partition != "disjoint_labels" and (per_label is not None or overlap):
        raise UserError(
            f"data.per_label and data.overlap go with data.partition = 'disjoint_labels', and got "
            f"{partition!r}: set that, or leave them out."
        )
    if partition == "iid":
        return deal.iid(pool, clients, per_client, rng)
    if partition == "sizes":
        return deal.sizes(pool, sizes or (), rng)
    if partition == "dirichlet":
        return deal.dirichlet(pool, labels, clients, beta, min_size, rng, per_client)
    size = _size_per_label(per_client, per_label, labels_per_client)
    return deal.disjoint_labels(pool, labels, clients, labels_per_client, size, rng, overlap)


def _pool(
    dataset: Dataset, held_out: int | None, leaves_rest: bool, rng: np.random.Generator
) -> tuple[IntArray, IntArray | None]:
    """What clients are dealt from, and what is held out (None: whatever they leave over)."""
    n = len(dataset)
    if dataset.n_train is not None:
        pool, test = np.arange(dataset.n_train), np.arange(dataset.n_train, n)
        return pool, test if held_out is None else _draw(test, held_out, rng, "in the test part")
    everyone = np.arange(n)
    if held_out is None and leaves_rest:
        return everyone, None
    count = max(round(HELD_OUT_SHARE * n), 1) if held_out is None else held_out
    kept = _draw(everyone, count, rng, "in all")
    return np.setdiff1d(everyone, kept, assume_unique=True), kept


def _draw(ids: IntArray, count: int, rng: np.random.Generator, where: str) -> IntArray:
    if not 1 <= count <= len(ids):
        raise UserError(
            f"data.held_out = {count}: expected 1 to {len(ids)}, the samples there are {where}."
        )
    return np.sort(rng.permutation(ids)[:count])


def _rest(pool: IntArray, dealt: list[IntArray]) -> IntArray:
    rest = np.setdiff1d(pool, np.concatenate(dealt), assume_unique=True)
    if not len(rest):
        raise UserError(
            f"The clients take all {len(pool)} samples and none is held out, so there are no "
            f"non-members. Lower data.per_client or data.sizes, or set data.held_out."
        )
    return rest


def _size_per_label(
    per_client: int | None, per_label: int | None, labels_per_client: int | Sequence[int]
) -> int | None:
    if per_client is None:
        return per_label
    if per_label is not None:
        raise UserError(
            f"data.per_client = {per_client} and data.per_label = {per_label} each say how many "
            f"samples a client gets: leave one of them out."
        )
    if isinstance(labels_per_client, Sequence):
        raise UserError(
            f"data.per_client = {per_client} with one data.labels_per_client a client: expected "
            f"data.per_label, the samples of each label, in its place."
        )
    if labels_per_client < 1 or per_client % labels_per_client:
        raise UserError(
            f"data.per_client = {per_client}: expected a multiple of data.labels_per_client = "
            f"{labels_per_client}, so that a client has as many of each label."
        )
    return per_client // labels_per_client
