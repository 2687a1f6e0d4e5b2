"""Train on a part of the data in every epoch."""

from __future__ import annotations

from seepage.protocols import Defense
from seepage.records import UserError


def sampling(*, share: float = 0.5) -> Defense:
    r"""Stop every local epoch after a share p of its mini-batches.

    .. math:: \text{mini-batches of an epoch: } \lfloor p \, \lceil n / B \rceil \rfloor

    Each epoch goes through a new order, so over the rounds all records are trained on, each less
    often; all of them stay members. Where a study does not shuffle, it is the same first records
    every time, and the others are members in name alone.

    Args:
        share: p in (0, 1]; 1 is no defense, bit for bit. It must leave every client at least one
            mini-batch.

    Raises:
        UserError: ``share`` is outside (0, 1]; when training starts, it leaves a client no
            mini-batch, or is below 1 with ``fedsgd``, which has none.

    References:
        | FedMIA (Zhu et al., 2025), "data sampling", https://arxiv.org/abs/2402.06289

    Differs from the FedMIA authors' released code, which trains on the whole epoch where p leaves
    less than one mini-batch.
    """
    if not 0 < share <= 1:
        raise UserError(f"sampling needs a share in (0, 1], got {share}")
    return Defense(share=share)
