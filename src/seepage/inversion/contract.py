"""What an inversion is given and what it gives back: one contract for every method.

Letters: *C* labels asked for, *n* reconstructions of each, *d* the length of a latent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import numpy as np

Kind = Literal["wgan", "inversion_gan", "dcgan"]
"""How a prior was trained: WGAN-GP, with a critic of C outputs that knows the target, or DCGAN."""

Regularizer = Callable[[Tensor, Tensor], Tensor]
"""``(images (g, b, c, h, w), latents (g, b, d)) -> weighted penalty of each group (g,)``.

Added to what is minimised. Groups do not touch each other; one of a single image has penalty 0.
"""


@dataclass(frozen=True, kw_only=True)
class Target:
    """The model under attack, white box: it takes pixels, is frozen and never moves.

    Attributes:
        model: In evaluation mode; its own input is normalised.
        classes: Outputs.
        shape: Of an image, ``(channels, h, w)``.
        mean: What was subtracted from raw pixels, one value a channel.
        std: What they were divided by.
    """

    model: nn.Module
    classes: int
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        self.model.eval().requires_grad_(False)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1] as the model's inputs."""
        mean, std = (pixels.new_tensor(v).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return (pixels - mean) / std

    def __call__(self, pixels: Tensor) -> Tensor:
        """Logits ``(n, classes)`` of pixels in [0, 1], with gradients to the pixels."""
        return self.model(self.normalised(pixels))

    def with_features(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits, and what the last linear layer reads: the penultimate features ``(n, f)``."""
        last = [layer for layer in self.model.modules() if isinstance(layer, nn.Linear)][-1]
        caught: list[Tensor] = []
        handle = last.register_forward_pre_hook(lambda _, given: caught.append(given[0]))
        try:
            logits = self(pixels)
        finally:
            handle.remove()
        return logits, caught[-1]

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.model.parameters()).device


@dataclass(frozen=True, kw_only=True)
class Prior:
    """What images look like, learned from public ones; frozen, in evaluation mode.

    Attributes:
        kind: How it was trained.
        generator: ``latents (n, d) -> pixels (n, c, h, w)`` in [0, 1].
        critic: ``pixels -> score (n,)`` (``wgan``, ``dcgan``: higher is more real) or
            ``(features (n, f), logits (n, C))`` (``inversion_gan``).
        latent: Length *d* of a latent.
    """

    kind: Kind
    generator: nn.Module
    critic: nn.Module
    latent: int

    def __post_init__(self) -> None:
        for network in (self.generator, self.critic):
            network.eval().requires_grad_(False)

    def noise(self, count: int, like: Tensor, rng: torch.Generator) -> Tensor:
        """Standard normal latents ``(count, d)`` of the type and on the device of ``like``."""
        return torch.randn(count, self.latent, generator=rng).to(like)


@dataclass(frozen=True, kw_only=True)
class Reconstructed:
    """What an inversion gives back, on the CPU; rows are label by label, each ``n_per_label``.

    Attributes:
        images: Pixels in [0, 1], float32, shape ``(C n, c, h, w)``.
        labels: The class each is to show, int64, shape ``(C n,)``.
        latents: What the generator made them of, float32, shape ``(C n, d)``.
        trace: What happened on the way, by name, one value a step: at least ``identity``, the
            mean cross-entropy of the target.
    """

    images: Tensor
    labels: Tensor
    latents: Tensor
    trace: Mapping[str, np.ndarray] = field(default_factory=dict)


class Inversion(Protocol):
    """A method of model inversion, in its own words: ``gmi``, ``ked_mi``, ``vmi`` …"""

    def __call__(
        self,
        target: Target,
        prior: Prior,
        labels: Tensor,
        n_per_label: int,
        regularizer: Regularizer | None,
        rng: torch.Generator,
    ) -> Reconstructed:
        """Reconstruct ``n_per_label`` images of each of ``labels`` (int64, shape ``(C,)``)."""
        ...


@dataclass(frozen=True, kw_only=True)
class Method:
    """An entry of the table of inversions.

    Attributes:
        invert: An :class:`Inversion`; its further keyword arguments are ``options``.
        prior: The kind of prior it draws with.
        summary: One line for tables.
        paper: Where it comes from, with its year.
        options: What each option means.
        group: The option that says how many images of a label a regularizer sees together; None
            where it sees all that are made.
    """

    invert: Callable[..., Reconstructed]
    prior: Kind
    summary: str
    paper: str
    options: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None
