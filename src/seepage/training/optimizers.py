"""The update rules of ``torch.optim.SGD`` and ``torch.optim.AdamW`` on lists of tensors, in place.

Elementwise, so the same code steps one model or a stack of models with a leading axis. Ours rather
than torch's because a stack shrinks: models that have finished must get no update, no momentum
and no weight decay, which is a narrower view of every buffer and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from seepage.training.local import LocalTraining

_torch: Any = torch  # the operations on lists that torch.optim itself uses have no public name


@torch.no_grad()
def add_all(sums: Sequence[Tensor], terms: Sequence[Tensor], *, alpha: float = 1.0) -> None:
    """``sums[i] += alpha · terms[i]`` in place, in the type of ``sums``."""
    _torch._foreach_add_(sums, terms, alpha=alpha)


class Sgd:
    r"""Stochastic gradient descent with momentum and L2 pull, as ``torch.optim.SGD`` computes it.

    .. math:: g \mathrel{+}= \lambda\theta,\quad v \leftarrow \mu v + g,\quad
        \theta \leftarrow \theta - \eta v \qquad (v = g \text{ in the first step})
    """

    def __init__(self, *, learning_rate: float, momentum: float, weight_decay: float) -> None:
        self.learning_rate = learning_rate
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.velocity: list[Tensor] = []

    def narrow(self, active: int) -> None:
        """Keep the buffers of the first ``active`` models of the stack."""
        self.velocity = [buffer[:active] for buffer in self.velocity]

    @torch.no_grad()
    def step(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """Move ``leaves`` in place."""
        if self.weight_decay:
            gradients = _torch._foreach_add(gradients, leaves, alpha=self.weight_decay)
        if self.momentum and self.velocity:
            _torch._foreach_mul_(self.velocity, self.momentum)
            add_all(self.velocity, gradients)
        elif self.momentum:
            self.velocity = [gradient.clone() for gradient in gradients]
        add_all(leaves, self.velocity or gradients, alpha=-self.learning_rate)


class AdamW:
    """Adam with decoupled weight decay, as ``torch.optim.AdamW`` computes it with its defaults.

    Moments decay by 0.9 and 0.999, ε is 1e-8. Every model of a stack that is still being trained
    has taken the same number of steps, so one step count corrects the bias of all.
    """

    def __init__(self, *, learning_rate: float, weight_decay: float) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.steps = 0
        self.first: list[Tensor] = []
        self.second: list[Tensor] = []

    def narrow(self, active: int) -> None:
        """Keep the buffers of the first ``active`` models of the stack."""
        self.first = [buffer[:active] for buffer in self.first]
        self.second = [buffer[:active] for buffer in self.second]

    @torch.no_grad()
    def step(self, leaves: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """Move ``leaves`` in place."""
        if not self.steps:
            self.first = [torch.zeros_like(leaf) for leaf in leaves]
            self.second = [torch.zeros_like(leaf) for leaf in leaves]
        self.steps += 1
        _torch._foreach_mul_(leaves, 1 - self.learning_rate * self.weight_decay)
        _torch._foreach_lerp_(self.first, gradients, 1 - 0.9)
        _torch._foreach_mul_(self.second, 0.999)
        _torch._foreach_addcmul_(self.second, gradients, gradients, 1 - 0.999)
        scale = _torch._foreach_sqrt(self.second)
        _torch._foreach_div_(scale, (1 - 0.999**self.steps) ** 0.5)
        _torch._foreach_add_(scale, 1e-8)
        rate = self.learning_rate / (1 - 0.9**self.steps)
        _torch._foreach_addcdiv_(leaves, self.first, scale, -rate)


def make_optimizer(settings: LocalTraining, learning_rate: float) -> Sgd | AdamW:
    """A fresh optimizer."""
    if settings.optimizer == "adamw":
        return AdamW(learning_rate=learning_rate, weight_decay=settings.weight_decay)
    return Sgd(
        learning_rate=learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
    )
