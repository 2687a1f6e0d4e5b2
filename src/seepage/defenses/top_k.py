"""Send only the largest changes, with a momentum that remembers the others."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from seepage.defenses.sparsification import largest, number_sent
from seepage.protocols import Defense
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import Turn
    from seepage.records import State


def top_k(*, keep: float = 0.1, momentum: float = 0.9) -> Defense:
    r"""Deep Gradient Compression: of the changes that have piled up, send the largest.

    Every client keeps a momentum *u* and a pile *v* of each large tensor, both 0 at first:

    .. math:: u \leftarrow m u + \Delta, \quad v \leftarrow v + u, \quad
        \text{sent: } v \odot M, \quad u \leftarrow u \odot (1 - M), \quad
        v \leftarrow v \odot (1 - M)

    with *M* the :math:`\lfloor k n \rfloor` elements of v of largest size; at equal size the first
    ones. So what waits is corrected for the momentum that it would have had (momentum correction),
    and what was sent has none left (momentum factor masking). Tensors of at most 1,000 elements
    are sent as they are.

    Guarantees:
        * exact: sent elements are those of v, bit for bit, and as many as said;
        * with m = 0 it is ``sparsification`` with feedback, bit for bit;
        * ``keep=1`` is no defense, bit for bit, whatever m: all is sent at once, and what was sent
          has no momentum.

    A change that waits r rounds grows to :math:`\sum_{i \le r} m^i` of itself, up to 1 / (1 − m)
    times: a rate that is stable without the defense may be too large with it.

    Args:
        keep: The share k in (0, 1] of a tensor that is sent.
        momentum: m in [0, 1), from one of the client's rounds to its next, beside the momentum of
            the optimizer within a round.

    Raises:
        UserError: An argument is out of range.

    References:
        | Deep Gradient Compression (Lin et al., 2018), https://arxiv.org/abs/1712.01887

    Differs from the paper: Δ is the change of a client's whole round, with the learning rate in
    it, where theirs is one gradient; no warm-up of k and no local gradient clipping.
    """
    if not 0 < keep <= 1 or not 0 <= momentum < 1:
        raise UserError(
            f"top_k needs keep in (0, 1] and momentum in [0, 1), got {keep} and {momentum}"
        )
    if keep == 1:
        return Defense()
    return Defense(update=partial(_compress, keep, momentum), sparse=True)


def _compress(keep: float, momentum: float, change: State, turn: Turn) -> State:
    sent: dict[str, torch.Tensor] = {}
    for name, value in change.items():
        count = number_sent(value, keep)
        if count == value.numel():
            sent[name] = value
            continue
        speed, pile = f"top_k/momentum/{name}", f"top_k/pile/{name}"
        u = v = value
        if speed in turn.kept:
            u = value + momentum * turn.kept[speed]
            v = u + turn.kept[pile]
        chosen = largest(v, count)
        sent[name] = torch.where(chosen, v, 0)
        turn.kept[speed] = torch.where(chosen, 0, u)
        turn.kept[pile] = torch.where(chosen, 0, v)
    return sent
