r"""What an adversary who knows a client's defense measures: a record as the client trained on it.

A client that mixes, augments or smooths its records, or has a loss of its own, does not take the
gradient of a record's cross-entropy, so measures of that look in the wrong place. The adversary
knows the code and its settings, not what the client drew; she pushes the candidates through it
with draws of her own and takes the mean over *M* of them.

.. math:: g_{jm} = \nabla_w\, \ell_\mathrm{def}(h_m(x_j), y'_{jm}; w),\qquad
    c_{jk} = \frac{\sum_m \langle g_{jm}, u_k\rangle}
    {\sqrt{M \sum_m \lVert g_{jm}\rVert_{S_k}^2}\;\lVert u_k\rVert}

with the batch hook *h* and the loss of the defense. :math:`S_k` is the set of coordinates that
client *k* sent, where its defense sends few, else all of them.

Differs from the cosine of the mean gradient: its norm would need the gradients themselves, or the
products of all pairs of draws, and these engines form neither. Dividing by the root mean square
instead shrinks :math:`c` by how much the draws scatter, and leaves it a cosine where they do not:
*M* = 1, or a defense that draws nothing. By Cauchy and Schwarz it lies in [-1, 1].

Knowing the defense and measuring through it is the adaptive evaluation that Tramèr et al., On
adaptive attacks to adversarial example defenses (2020), ask of every defense.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from seepage._rng import torch_child
from seepage.signals.answers import ANSWERS, answers
from seepage.signals.gradient import Updates, gradient_products, loaded, ratio

if TYPE_CHECKING:
    from seepage.protocols import BatchHook, Defense, LossHook
    from seepage.records import Candidates, State

ADAPTIVE = ("adaptive_cosine", "adaptive_loss", "adaptive_squared_gradient_norm")
"""The signals that need :class:`Knowledge`."""


@dataclass(frozen=True, kw_only=True)
class Knowledge:
    """What is known of a client's defense, and how often its draws are imitated.

    Attributes:
        batch: Its hook on mini-batches, or None.
        loss: Its loss, or None for cross-entropy. It gets float64, and each sample's loss may
            depend on that sample alone.
        sparse: Whether a client sends a few coordinates and 0 for the others.
        draws: Times *M* that the candidates are passed through ``batch``, >= 1.
        seed: The adversary's seed; draws come from ``(seed, "adaptive", round, draw)``.
        batch_size: Records in a mini-batch of the federation.
        classes: Number of classes.
        round_number: The round that is measured, from 1; parts its draws from those of others.
    """

    batch: BatchHook | None = None
    loss: LossHook | None = None
    sparse: bool = False
    draws: int = 4
    seed: int
    batch_size: int
    classes: int
    round_number: int = 1

    @staticmethod
    def exists(defense: Defense) -> bool:
        """Whether knowing a defense shows a way to measure that is not the plain one.

        What acts on updates alone and sends all of them (noise, rounding, clipping) does not: the
        plain signals are already measured on what it sends.
        """
        return defense.batch is not None or defense.loss is not None or defense.sparse

    def passes(self, candidates: Candidates) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and targets ``(n, C)`` of each draw, in the candidates' order.

        Candidates go through the hook in batches of a shuffled order: the partners of a mixture
        are other candidates, since the client's own records are what the adversary is after.
        Without a hook there is nothing to draw, and one pass is all.
        """
        targets = functional.one_hot(candidates.labels, self.classes).to(torch.float32)
        if self.batch is None:
            yield candidates.inputs, targets
            return
        for draw in range(self.draws):
            rng = torch_child(self.seed, "adaptive", self.round_number, draw)
            yield _through(self.batch, candidates.inputs, targets, self.batch_size, rng)

    def losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each sample, float64: a sure model's float32 losses are mostly 0."""
        loss = self.loss or partial(functional.cross_entropy, reduction="none")
        return loss(logits.double(), targets.double())


def _through(
    hook: BatchHook, inputs: Tensor, targets: Tensor, batch_size: int, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """All samples through ``hook``, batch by batch; each row stays its own sample's."""
    new_inputs, new_targets = torch.empty_like(inputs), torch.empty_like(targets)
    order = torch.randperm(len(inputs), generator=rng).to(inputs.device)
    for rows in order.split(batch_size):
        new_inputs[rows], new_targets[rows] = hook(inputs[rows], targets[rows], rng)
    return new_inputs, new_targets


def adaptive(
    model: nn.Module,
    *,
    start: State,
    uploads: Sequence[State],
    candidates: Candidates,
    names: Sequence[str],
    knowledge: Knowledge,
    batch_size: int | None = None,
) -> dict[str, np.ndarray]:
    """The adaptive signals of one round, see the equations above.

    Loss and gradients are taken on the same draws. The model is used in the mode it is in.

    Args:
        model: The architecture; its weights are as before when this returns.
        start: The global parameters the round began with.
        uploads: What K clients sent.
        candidates: Whom to ask about.
        names: Names in :data:`ADAPTIVE`.
        knowledge: Of the defense.
        batch_size: Candidates in one pass; None chooses.

    Returns:
        By name, float64: ``adaptive_cosine`` in [-1, 1] and ``adaptive_loss`` of shape ``(n, K)``,
        ``adaptive_squared_gradient_norm`` of shape ``(n,)``.
    """
    sums: dict[str, Tensor] = {}
    draws = 0
    for passed in knowledge.passes(candidates):
        draws += 1
        measured: dict[str, Tensor] = {}
        if "adaptive_loss" in names:
            measured |= _losses(model, uploads, *passed, knowledge, batch_size)
        if set(names) - {"adaptive_loss"}:
            measured |= _products(model, start, uploads, *passed, knowledge, batch_size)
        sums = {name: value + sums[name] if sums else value for name, value in measured.items()}
    found: dict[str, Tensor] = {}
    if "adaptive_loss" in names:
        found["adaptive_loss"] = sums["loss"] / draws
    if "adaptive_squared_gradient_norm" in names:
        found["adaptive_squared_gradient_norm"] = sums["norm"] / draws
    if "adaptive_cosine" in names:
        # u is the same in every draw, and so is its norm: their sum is M times it
        norms = (draws * sums["sent"]).sqrt() * (sums["update"] / draws).sqrt()
        found["adaptive_cosine"] = ratio(sums["inner"], norms)
    return {name: values.cpu().numpy() for name, values in found.items()}


def _losses(
    model: nn.Module,
    uploads: Sequence[State],
    inputs: Tensor,
    targets: Tensor,
    knowledge: Knowledge,
    batch_size: int | None,
) -> dict[str, Tensor]:
    """The loss of every upload on one draw, ``(n, K)``."""
    columns = []
    for upload in uploads:
        logits = answers(model, upload, inputs, respond=None, batch_size=batch_size or ANSWERS)
        columns.append(knowledge.losses(logits, targets.to(logits.device)))
    return {"loss": torch.stack(columns, 1)}


def _products(
    model: nn.Module,
    start: State,
    uploads: Sequence[State],
    inputs: Tensor,
    targets: Tensor,
    knowledge: Knowledge,
    batch_size: int | None,
) -> dict[str, Tensor]:
    """Inner products and norms of one draw's gradients."""
    with loaded(model, start):
        products = gradient_products(
            model,
            inputs,
            targets,
            Updates(model, start, uploads),
            loss=knowledge.losses,
            kept=knowledge.sparse,
            batch_size=batch_size,
        )
    kept = products.kept_squared_norm
    return {
        "inner": products.inner,
        "norm": products.squared_norm,
        "sent": products.squared_norm[:, None] if kept is None else kept,
        "update": products.update_squared_norm,
    }
