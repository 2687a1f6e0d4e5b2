"""A generator that is told which class to draw, and how an insider keeps it between rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seepage.models import dcgan

if TYPE_CHECKING:
    from collections.abc import MutableMapping

FIRST = 16
"""Channels next to the image: a quarter of the published network's, as good here and faster."""

LEARNING_RATE, BETAS = 2e-4, (0.5, 0.999)
"""Of Adam, as for DCGAN (Radford et al., 2016)."""

AT_ONCE = 250
"""Images drawn in one pass: they are normalised by what is drawn with them."""


class Generator:
    """Images of chosen classes out of noise, and the optimizer that improves them.

    Args:
        classes: Classes it can be asked for.
        shape: Of an image, ``(channels, h, w)``; sides even and at least 8.
        device: Where it computes.
        rng: Draws its first weights.

    Raises:
        UserError: Such images cannot be made.
    """

    def __init__(
        self, classes: int, shape: tuple[int, ...], device: torch.device, rng: torch.Generator
    ) -> None:
        self.classes = classes
        made = dcgan.generator(*shape, more=classes, first=FIRST)
        self.network = dcgan.fresh(made, device, rng).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=LEARNING_RATE, betas=BETAS)

    def __call__(self, wanted: Tensor, rng: torch.Generator) -> Tensor:
        """Pixels in [0, 1], shape ``(n, channels, h, w)``, of the classes ``wanted`` ``(n,)``."""
        told = nn.functional.one_hot(wanted, self.classes).to(self._like)[..., None, None]
        code = torch.cat([dcgan.noise(len(wanted), told, rng), told], dim=1)
        return (self.network(code) + 1) / 2

    @torch.no_grad()
    def draw(self, wanted: Tensor, rng: torch.Generator) -> Tensor:
        """As a call, without gradients and in parts; classes of every part come mixed."""
        order = torch.randperm(len(wanted), generator=rng)
        parts = [self(wanted[rows.to(wanted.device)], rng) for rows in order.split(AT_ONCE)]
        return torch.cat(parts)[order.argsort().to(wanted.device)]

    @property
    def _like(self) -> Tensor:
        return next(self.network.parameters())

    def step(self, loss: Tensor) -> None:
        """One step of its optimizer."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()

    def save(self, kept: MutableMapping[str, Tensor]) -> None:
        """Put weights and the optimizer's moments under ``generator/…`` and ``adam/…``."""
        for name, value in self.network.named_parameters():
            kept[f"generator/{name}"] = value.detach().clone()
            for what, moment in self.optimizer.state[value].items():
                kept[f"adam/{what}/{name}"] = torch.as_tensor(moment).detach().clone()

    def load(self, kept: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`save` kept; from the first weights where that is nothing."""
        with torch.no_grad():
            for name, value in self.network.named_parameters():
                if f"generator/{name}" not in kept:
                    return
                value.copy_(kept[f"generator/{name}"])
                self.optimizer.state[value] = {
                    what: kept[f"adam/{what}/{name}"].clone()
                    for what in ("step", "exp_avg", "exp_avg_sq")
                }
