"""The update rules of ``torch.optim``'s SGD, Adam and AdamW on lists of tensors, in place.

Elementwise, so the same code steps one model or a stack of models with a leading axis. Ours rather
than torch's because a stack is uneven: models that have finished must get no update, no momentum
and no weight decay, and those with shorter epochs may be at another step size. Both are narrower
views of every tensor and nothing else. The rules themselves are torch's fused kernels, which pass
over the memory of a large model once where a list of operations passes over it several times.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from seepage.training.local import LocalTraining
from seepage.training.pace import Run

_torch: Any = torch  # the operations on lists that torch.optim itself uses have no public name

Tensors = Sequence[Tensor]
Rule = Callable[[Tensors, Tensors, Sequence[Tensors], Run], None]
"""``(leaves, gradients, buffers, run)``: move the leaves of one run, and its buffers, in place."""


@torch.no_grad()
def add_all(sums: Tensors, terms: Tensors, *, alpha: float = 1.0) -> None:
    """``sums[i] += alpha · terms[i]`` in place, in the type of ``sums``."""
    _torch._foreach_add_(sums, terms, alpha=alpha)


def sgd(
    leaves: Tensors,
    gradients: Tensors,
    buffers: Sequence[Tensors],
    run: Run,
    *,
    momentum: float,
    weight_decay: float,
) -> None:
    r"""Stochastic gradient descent with momentum and L2 pull, as ``torch.optim.SGD`` computes it.

    .. math:: g \mathrel{+}= \lambda\theta,\quad v \leftarrow \mu v + g,\quad
        \theta \leftarrow \theta - \eta v \qquad (v = g \text{ in the first step})
    """
    _torch._fused_sgd_(
        leaves,
        gradients,
        buffers[0] if buffers else [],
        weight_decay=weight_decay,
        momentum=momentum,
        lr=run.rate,
        dampening=0.0,
        nesterov=False,
        maximize=False,
        is_first_step=run.age == 1,
    )


def adam(
    leaves: Tensors,
    gradients: Tensors,
    buffers: Sequence[Tensors],
    run: Run,
    *,
    weight_decay: float,
    decoupled: bool,
) -> None:
    r"""Adam and AdamW, as ``torch.optim`` computes them with its defaults.

    .. math:: m \leftarrow 0.9\,m + 0.1\,g,\quad v \leftarrow 0.999\,v + 0.001\,g^2,\quad
        \theta \leftarrow \theta - \eta\, \frac{m / (1 - 0.9^t)}
        {\sqrt{v / (1 - 0.999^t)} + 10^{-8}}

    With *t* the steps since the moments were 0. The pull is added to the gradient, or, decoupled,
    shrinks the parameters by :math:`1 - \eta\lambda` first.
    """
    if run.age == 1:
        for moment in buffers:
            _torch._foreach_zero_(moment)
    first, second = buffers
    rule = _torch._fused_adamw_ if decoupled else _torch._fused_adam_
    rule(
        leaves,
        gradients,
        first,
        second,
        [],
        [torch.tensor(float(run.age), device=leaves[0].device)] * len(leaves),
        lr=run.rate,
        beta1=0.9,
        beta2=0.999,
        weight_decay=weight_decay,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )


@dataclass
class Optimizer:
    """A rule and the buffers it keeps for every leaf.

    Attributes:
        rule: How a run of models moves.
        kept: Buffers a leaf has: velocity, or two moments.
    """

    rule: Rule
    kept: int

    def __post_init__(self) -> None:
        self._buffers: list[list[Tensor]] = []

    def narrow(self, active: int) -> None:
        """Keep the buffers of the first ``active`` models of the stack."""
        self._buffers = [[buffer[:active] for buffer in kept] for kept in self._buffers]

    @torch.no_grad()
    def step(self, leaves: Tensors, gradients: Tensors, runs: Sequence[Run]) -> None:
        """Move ``leaves`` in place. A single run is all of them; of several, each is its rows."""
        orders = [_order(leaf) for leaf in leaves]
        leaves = [leaf.permute(order) for leaf, order in zip(leaves, orders, strict=True)]
        gradients = [g.permute(o).contiguous() for g, o in zip(gradients, orders, strict=True)]
        if not self._buffers:
            self._buffers = [[torch.empty_like(p) for p in leaves] for _ in range(self.kept)]
        if len(runs) == 1:
            self.rule(leaves, gradients, self._buffers, runs[0])
            return
        for run in runs:
            mine = slice(run.first, run.last)
            leaf, gradient, *buffers = (
                [tensor[mine] for tensor in tensors]
                for tensors in (leaves, gradients, *self._buffers)
            )
            self.rule(leaf, gradient, buffers, run)


def _order(leaf: Tensor) -> list[int]:
    """The axes as they lie in memory, the farthest apart first; a stack's models stay first.

    The fused kernels copy what is not contiguous in every step; seen in this order nothing is.
    """
    return sorted(range(leaf.dim()), key=leaf.stride, reverse=True)


def make_optimizer(settings: LocalTraining) -> Optimizer:
    """A fresh optimizer."""
    if settings.optimizer == "sgd":
        rule = partial(sgd, momentum=settings.momentum, weight_decay=settings.weight_decay)
        return Optimizer(rule, kept=1 if settings.momentum else 0)
    decoupled = settings.optimizer == "adamw"
    return Optimizer(partial(adam, weight_decay=settings.weight_decay, decoupled=decoupled), kept=2)
