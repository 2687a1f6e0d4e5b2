"""Images like those of a training set, from a pair of convolutional networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seepage.models.dcgan import SMALLEST, discriminator, fresh, generator, noise
from seepage.records import UserError

BATCH, LEARNING_RATE, BETAS = 128, 2e-4, (0.5, 0.999)

BEYOND = 1e-3
"""How far a raw pixel may lie outside [0, 1] by rounding."""


def synthetic_images(raw: Tensor, count: int, *, epochs: int, rng: torch.Generator) -> Tensor:
    r"""Train a generator *G* against a discriminator *D* on ``raw``, and draw from it.

    .. math:: \max_D\ \mathbb E_x \ln \sigma(D(x)) + \mathbb E_z \ln(1 - \sigma(D(G(z)))), \qquad
        \max_G\ \mathbb E_z \ln \sigma(D(G(z))), \qquad z \sim \mathcal N(0, I_{100})

    by turns, one Adam step each a batch of 128 (step size 2e-4, β₁ = 0.5). Images lie in [-1, 1]
    inside. Both networks normalise by the statistics of the batch at hand, when images are drawn
    too. The same generator state gives the same images on the same device and threads.

    Args:
        raw: Images with pixels in [0, 1], shape ``(n, channels, h, w)``; *h* and *w* even and at
            least 8.
        count: Images to draw.
        epochs: Passes over ``raw``.
        rng: A CPU generator, for weights, orders and noise.

    Returns:
        Pixels in [0, 1], shape ``(count, channels, h, w)``, on the device of ``raw``.

    Raises:
        UserError: ``raw`` are no such images.

    References:
        | Unsupervised Representation Learning with Deep Convolutional Generative Adversarial
          Networks (Radford et al., 2016), https://arxiv.org/abs/1511.06434

    Differs from the paper in the sizes: its 64 × 64 pixels are one case among others here.
    """
    _check(raw)
    shape = tuple(raw.shape[1:])
    makes, tells = (fresh(net(*shape), raw.device, rng) for net in (generator, discriminator))
    _compete(makes, tells, raw * 2 - 1, epochs, rng)
    with torch.no_grad():
        parts = [makes(noise(BATCH, raw, rng)) for _ in range(-(-count // BATCH))]
        return (torch.cat(parts)[:count] + 1) / 2


def _compete(
    generator: nn.Module, discriminator: nn.Module, real: Tensor, epochs: int, rng: torch.Generator
) -> None:
    makes, tells = (
        torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, betas=BETAS)
        for network in (generator, discriminator)
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(real), generator=rng).split(BATCH):
            fake = generator(noise(len(rows), real, rng))
            scores = discriminator(real[rows.to(real.device)]), discriminator(fake.detach())
            _step(tells, _surprise(scores[0]) + _surprise(-scores[1]))
            _step(makes, _surprise(discriminator(fake)))


def _surprise(scores: Tensor) -> Tensor:
    """Mean of -ln σ(score)."""
    return nn.functional.softplus(-scores).mean()


def _step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


def _check(raw: Tensor) -> None:
    sides = tuple(raw.shape[2:])
    if raw.ndim != 4 or any(side % 2 or side < 2 * SMALLEST for side in sides):
        raise UserError(
            f"dmp.generator 'dcgan' makes images with even sides of at least {2 * SMALLEST} "
            f"pixels, got inputs of shape {tuple(raw.shape[1:])}; use another generator"
        )
    low, high = float(raw.min()), float(raw.max())
    if low < -BEYOND or high > 1 + BEYOND:
        raise UserError(
            "dmp.generator 'dcgan' needs pixels in [0, 1] before normalisation, got values from "
            f"{low:g} to {high:g}; scale the images, or use another generator"
        )
