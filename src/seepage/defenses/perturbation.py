"""Clip what a client sends and add Gaussian noise: client-level differential privacy."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from seepage.protocols import Defense, NoisedUpdate
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import Turn
    from seepage.records import State


def perturbation(*, clip: float = 1.0, sigma: float = 0.0, delta: float = 1e-5) -> Defense:
    r"""Scale a client's change to norm at most C and add Gaussian noise of deviation σC.

    .. math:: \Delta \mapsto \Delta \cdot \min(1, C / \lVert \Delta \rVert_2)
        + \mathcal N(0, \sigma^2 C^2 I)

    The norm is over all tensors together. What is sent is private without trust in the server;
    ε is told by the accountant.

    Guarantees:
        * bounded: without noise the result has 2-norm at most C, up to rounding;
        * transparent: without noise a change within the bound is sent as it is, bit for bit;
        * aligned: clipping does not turn the change;
        * ``clip=inf, sigma=0`` is no defense, bit for bit.

    Args:
        clip: The bound C > 0 in parameter units; ``inf`` does not clip, and then σ must be 0.
        sigma: Noise multiplier σ ≥ 0.
        delta: δ in (0, 1), at which ε is told.

    Raises:
        UserError: An argument is out of range.

    References:
        | Learning Differentially Private Recurrent Language Models (McMahan et al., 2018)
        | https://arxiv.org/abs/1710.06963
        | FedMIA (Zhu et al., 2025), "gradient perturbation", https://arxiv.org/abs/2402.06289

    Differs from the papers: McMahan et al. add the noise on the server (``dp_fedavg``); here every
    client adds its own, which is what protects from the server. The FedMIA authors' released code
    does not clip: that is ``weight_noise``.
    """
    check_noise("perturbation", clip, sigma, delta)
    if clip == float("inf"):
        return Defense()
    return Defense(
        update=partial(_perturb, clip, sigma),
        noise=NoisedUpdate(clip=clip, sigma=sigma, where="client", delta=delta),
    )


def check_noise(name: str, clip: float, sigma: float, delta: float) -> None:
    """Refuse a bound, a noise multiplier or a δ out of range, and noise with no bound to scale it.

    Raises:
        UserError: One of them is.
    """
    if not clip > 0 or not 0 <= sigma < float("inf") or not 0 < delta < 1:
        raise UserError(
            f"{name} needs clip > 0, a finite sigma >= 0 and delta in (0, 1), got {clip}, {sigma} "
            f"and {delta}"
        )
    if clip == float("inf") and sigma:
        raise UserError(f"{name} scales its noise by clip, which must then be finite")


def _perturb(clip: float, sigma: float, change: State, turn: Turn) -> State:
    bounded, _ = clipped(change, clip)
    return add_noise(bounded, sigma * clip, turn.rng)


def clipped(change: State, clip: float) -> tuple[State, bool]:
    """``change`` scaled to 2-norm at most ``clip`` over all tensors, and whether it was within.

    What was within comes back as it is.
    """
    squares = [value.double().square().sum() for value in change.values()]
    norm = float(torch.stack(squares).sum().sqrt())
    if norm <= clip:
        return change, True
    return {name: value * (clip / norm) for name, value in change.items()}, False


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
