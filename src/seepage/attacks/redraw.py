"""The released protocol's redraw of the non-members, kept to show what it does.

It is no attack. It exists so that anyone can see a leak appear where there is none.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.random import Generator

from seepage.records import HELD_OUT, IntArray, UserError


def redraw(signals: xr.Dataset, owner: IntArray, target: int, rng: Generator) -> xr.Dataset:
    """Signals in which every non-member is another sample in each round and for each client.

    The released code of FedMIA draws its non-members anew for every client and round and stacks
    the draws by position. A column then holds one sample throughout if it is a member, and many
    different samples of the same block (the held-out part, or one other client's data) if it is
    not. Averages over rounds shrink the spread of the non-members alone, which looks like a
    leak. Here the samples of each block are permuted instead of drawn from a larger pool, which
    has the same effect and needs no more data.

    Guarantees:
        * members are untouched;
        * the values of a block, in one round and client, are the same values in another order;
        * variables with the same dims are permuted alike.

    Args:
        signals: Signals over ``sample`` and any of ``round`` and ``client``.
        owner: Owner of each sample, in the order of ``signals``, shape ``(n,)``.
        target: The client whose samples are the members.
        rng: Draws the permutations.

    Returns:
        A new Dataset; ``signals`` is left as it was. No result computed from it is valid.

    Raises:
        UserError: ``owner`` does not have one entry a sample.

    References:
        | The released code of FedMIA (Zhu et al., 2025), commit 7ee1af2
    """
    n = signals.sizes["sample"]
    if owner.shape != (n,):
        raise UserError(f"owner needs one entry for each of {n} samples, got shape {owner.shape}.")
    blocks = [np.flatnonzero(owner == k) for k in np.unique(np.append(owner, HELD_OUT))]
    blocks = [block for block in blocks if len(block) and owner[block[0]] != target]
    seed = int(rng.integers(2**63))
    return signals.map(lambda measure: _permuted(measure, blocks, np.random.default_rng(seed)))


def _permuted(measure: xr.DataArray, blocks: list[IntArray], rng: Generator) -> xr.DataArray:
    if "sample" not in measure.dims:
        return measure
    fixed = measure.transpose(..., "sample")
    values = fixed.to_numpy().copy()
    for row in values.reshape(-1, values.shape[-1]):
        for block in blocks:
            row[block] = row[rng.permutation(block)]
    return fixed.copy(data=values).transpose(*measure.dims)
