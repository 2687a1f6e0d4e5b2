"""Images like those of a training set, from a pair of convolutional networks."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from seepage.records import UserError

NOISE = 100
"""Length of the noise an image is made from."""

WIDTH, WIDEST = 64, 512
"""Channels next to the image, doubled with every halving of its sides, and the most there are."""

SMALLEST = 4
"""Sides are halved as long as they are even and no side gets shorter than this."""

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
    generator, discriminator = (
        _fresh(network, raw.device, rng) for network in networks(*raw.shape[1:])
    )
    _compete(generator, discriminator, raw * 2 - 1, epochs, rng)
    with torch.no_grad():
        parts = [generator(_noise(BATCH, raw, rng)) for _ in range(-(-count // BATCH))]
        return (torch.cat(parts)[:count] + 1) / 2


def networks(channels: int, height: int, width: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Generator and discriminator for such images, on the meta device: shapes without values.

    The generator makes an image of ``(100, 1, 1)`` numbers, the discriminator one number of it.
    """
    sides = [(height, width)]
    while all(side % 2 == 0 and side >= 2 * SMALLEST for side in sides[-1]):
        sides.append((sides[-1][0] // 2, sides[-1][1] // 2))
    widths = [min(WIDTH * 2**depth, WIDEST) for depth in range(len(sides) - 1)]
    with torch.device("meta"):
        up = [nn.ConvTranspose2d(NOISE, widths[-1], sides[-1], bias=False), *_up(widths[-1])]
        down = [nn.Conv2d(channels, widths[0], 4, 2, 1), nn.LeakyReLU(0.2)]
        for near, far in pairwise(widths):
            up[3:3] = [nn.ConvTranspose2d(far, near, 4, 2, 1, bias=False), *_up(near)]
            down += [nn.Conv2d(near, far, 4, 2, 1, bias=False), _norm(far), nn.LeakyReLU(0.2)]
        up += [nn.ConvTranspose2d(widths[0], channels, 4, 2, 1), nn.Tanh()]
        return nn.Sequential(*up), nn.Sequential(*down, nn.Conv2d(widths[-1], 1, sides[-1]))


def _up(width: int) -> list[nn.Module]:
    return [_norm(width), nn.ReLU()]


def _norm(width: int) -> nn.Module:
    return nn.BatchNorm2d(width, track_running_stats=False)


def _fresh(network: nn.Sequential, device: torch.device, rng: torch.Generator) -> nn.Sequential:
    """With weights from N(0, 0.02²), around 1 in normalisation layers, and biases of 0."""
    made = network.to_empty(device=device)
    with torch.no_grad():
        for layer in made:
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
                drawn = 0.02 * torch.randn(layer.weight.shape, generator=rng)
                layer.weight.copy_(drawn + isinstance(layer, nn.BatchNorm2d))
                if layer.bias is not None:
                    layer.bias.zero_()
    return made


def _compete(
    generator: nn.Module, discriminator: nn.Module, real: Tensor, epochs: int, rng: torch.Generator
) -> None:
    makes, tells = (
        torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, betas=BETAS)
        for network in (generator, discriminator)
    )
    for _ in range(epochs):
        for rows in torch.randperm(len(real), generator=rng).split(BATCH):
            fake = generator(_noise(len(rows), real, rng))
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


def _noise(count: int, like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.randn(count, NOISE, 1, 1, generator=rng).to(like)


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
