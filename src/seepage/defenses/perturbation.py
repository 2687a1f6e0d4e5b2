"""Clip what a client sends and add Gaussian noise: client-level differential privacy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from seepage.protocols import Defense
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import Turn
    from seepage.records import State


def perturbation(*, clip: float = 1.0, sigma: float = 0.0) -> Defense:
    r"""Scale a client's change to norm at most C and add Gaussian noise of deviation σC.

    .. math:: \Delta \mapsto \Delta \cdot \min(1, C / \lVert \Delta \rVert_2)
        + \mathcal N(0, \sigma^2 C^2 I)

    The norm is over all tensors together.

    Guarantees:
        * bounded: without noise the result has 2-norm at most C, up to rounding;
        * transparent: without noise a change within the bound is sent as it is, bit for bit;
        * aligned: clipping does not turn the change.

    Args:
        clip: The bound C > 0 in parameter units; ``inf`` does not clip, and then σ must be 0.
        sigma: Noise multiplier σ ≥ 0.

    Raises:
        UserError: An argument is out of range.

    References:
        | Learning Differentially Private Recurrent Language Models (McMahan et al., 2018)
        | https://arxiv.org/abs/1710.06963
        | FedMIA (Zhu et al., 2025), "gradient perturbation", https://arxiv.org/abs/2402.06289

    Differs from the papers: McMahan et al. add the noise on the server, to the average; here every
    client adds its own, which is what protects from the server. No ε is computed. The FedMIA
    authors' released code does not clip: that is ``weight_noise``.
    """
    if not clip > 0 or not 0 <= sigma < float("inf"):
        raise UserError(
            f"perturbation needs clip > 0 and a finite sigma >= 0, got {clip} and {sigma}"
        )
    if clip == float("inf"):
        if sigma:
            raise UserError("perturbation scales its noise by clip, which must then be finite")
        return Defense()
    return Defense(update=partial(_perturb, clip, sigma))


def _perturb(clip: float, sigma: float, change: State, turn: Turn) -> State:
    squares = [value.double().square().sum() for value in change.values()]
    norm = float(torch.stack(squares).sum().sqrt())
    if norm > clip:
        change = {name: value * (clip / norm) for name, value in change.items()}
    return add_noise(change, sigma * clip, turn.rng)


def add_noise(change: State, deviation: float, rng: torch.Generator) -> State:
    """``change`` with independent Gaussian noise on every parameter; as it is if there is none.

    Drawn on the CPU, so that the noise does not depend on the device.
    """
    if not deviation:
        return change
    return {
        name: value
        + deviation * torch.randn(value.shape, generator=rng, dtype=value.dtype).to(value.device)
        for name, value in change.items()
    }
