"""What the methods share: latents in groups, and the descent that is checked and traced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from seepage.inversion.contract import Prior, Reconstructed, Regularizer, Target
from seepage.records import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

Groups = Literal["class", "across"]
"""What a regularizer looks at together: the images of one label, or one image of every label."""

Terms = Mapping[str, Tensor]
"""Parts of a loss by name, each one number."""

DECODED = 1024
"""Latents in one pass of the generator, where there are no gradients."""


def check_asked(target: Target, labels: Tensor, n_per_label: int) -> None:
    """What every method asks of its arguments.

    Args:
        target: The model under attack.
        labels: Classes to show, shape ``(C,)``.
        n_per_label: Images of each.

    Raises:
        UserError: There is no label, one that the target does not know, or no image to make.
    """
    if labels.ndim != 1 or not len(labels):
        raise UserError(
            f"an inversion needs labels of shape (C,), C >= 1, got {tuple(labels.shape)}. Name at "
            "least one class."
        )
    wrong = labels[(labels < 0) | (labels >= target.classes)].tolist()
    if wrong:
        raise UserError(
            f"the model under attack knows the labels 0 to {target.classes - 1}, got {wrong[0]}. "
            "Ask for classes that it was trained on."
        )
    if n_per_label < 1:
        raise UserError(f"n_per_label must be at least 1, got {n_per_label}")


def grouped(values: Tensor, labels: int, groups: Groups) -> Tensor:
    """Rows that stand label by label ``(C b, ...)`` as groups.

    Returns:
        Shape ``(C, b, ...)`` for ``class``; ``(b, C, ...)`` for ``across``.

    Raises:
        UserError: Another word for ``groups``.
    """
    if groups not in ("class", "across"):
        raise UserError(f"groups must be 'class' or 'across', got {groups!r}")
    by_label = values.unflatten(0, (labels, -1))
    return by_label if groups == "class" else by_label.transpose(0, 1)


def penalty(
    regularizer: Regularizer | None, images: Tensor, latents: Tensor, labels: int, groups: Groups
) -> dict[str, Tensor]:
    """The mean penalty of the groups by its name; nothing without a regularizer."""
    images, latents = grouped(images, labels, groups), grouped(latents, labels, groups)
    return {} if regularizer is None else {"penalty": regularizer(images, latents).mean()}


def descend(
    method: str,
    optimizer: torch.optim.Optimizer,
    objective: Callable[[], tuple[Tensor, Terms]],
    steps: int,
    after: Callable[[], None] = lambda: None,
) -> dict[str, NDArray[np.float64]]:
    """Take ``steps`` steps of an optimizer down an objective.

    Args:
        method: Who asks, for the error message.
        optimizer: Holds what is moved.
        objective: What is minimised, one number, and the parts of it that are recorded.
        steps: How many.
        after: Done after each step, without gradients.

    Returns:
        Each part by name, shape ``(steps,)``: its value before every step.

    Raises:
        UserError: The objective is not finite.
    """
    seen: list[Terms] = []
    with torch.enable_grad():
        for step in range(steps):
            total, terms = objective()
            terms = {name: value.detach() for name, value in terms.items()}
            if not bool(total.isfinite()):
                raise UserError(_diverged(method, step, terms))
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            seen.append(terms)
            with torch.no_grad():
                after()
    return {name: torch.stack([t[name] for t in seen]).double().cpu().numpy() for name in seen[0]}


def _diverged(method: str, step: int, terms: Terms) -> str:
    wrong = [name for name, value in terms.items() if not bool(value.isfinite())]
    return (
        f"{method}: the loss is not finite at step {step + 1} "
        f"({' and '.join(wrong) or 'the sum of its parts'}). The latents ran away: lower "
        "learning_rate, or the weight of the regularizer if there is one; if it is the first "
        "step, the model under attack has weights that are not finite."
    )


@torch.no_grad()
def decoded(
    prior: Prior, latents: Tensor, labels: Tensor, trace: Mapping[str, NDArray[np.float64]]
) -> Reconstructed:
    """What the generator makes of latents ``(C n, d)`` that stand label by label."""
    images = torch.cat([prior.generator(some) for some in latents.split(DECODED)])
    return Reconstructed(
        images=images.float().cpu(),
        labels=labels.cpu().long().repeat_interleave(len(latents) // len(labels)),
        latents=latents.detach().float().cpu(),
        trace=trace,
    )
