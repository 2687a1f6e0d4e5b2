"""Clients clip, a trusted server adds the noise: central client-level differential privacy."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Literal

import torch

from seepage.defenses.perturbation import add_noise, check_noise, clipped
from seepage.protocols import Defense, NoisedUpdate
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import Turn
    from seepage.records import State

CLIP, WITHIN = "dp_fedavg/clip", "dp_fedavg/within"


def dp_fedavg(
    *,
    clip: float = 0.1,
    sigma: float = 1.0,
    quantile: float | Literal["fixed"] = 0.5,
    step: float = 0.2,
    count_noise: float | None = None,
    delta: float = 1e-5,
) -> Defense:
    r"""DP-FedAvg: clip every client's change to a norm that the server tells, noise their mean.

    .. math:: \bar\Delta = \sum_k w_k \Delta_k \min(1, C_t / \lVert \Delta_k \rVert_2)
        + \mathcal N\bigl(0, (z_\Delta C_t \max_k w_k)^2 I\bigr)

    over the round's n clients with aggregation weights w. The norm follows a quantile γ of the
    norms of their changes: each client says one bit b, whether its change was within C, and

    .. math:: C_{t+1} = C_t \exp(-\eta (\tilde b - \gamma)), \qquad
        \tilde b = \tfrac1n \Bigl( \sum_k b_k + \mathcal N(0, \sigma_b^2) \Bigr), \qquad
        z_\Delta = \bigl(\sigma^{-2} - (2 \sigma_b)^{-2}\bigr)^{-1/2}

    so that changes and bits together have the noise multiplier σ (a client that stays away, and
    counts as half a bit, moves the sum of bits by ½). With ``quantile="fixed"`` C stays, no bit is
    said and z_Δ = σ.

    It protects from everyone but the server, which sees every clipped change and every bit
    without noise; ε is told by the accountant.

    Guarantees:
        * bounded: what a client sends has 2-norm at most C_t, up to rounding;
        * unequal weights: one client moves the weighted mean by at most C · max w, and the noise
          is for that. With equal weights it is the σC / n of the papers; if one client has most
          of the data, it is nearly σC. Neighbors differ in one client's change, which becomes 0;
          weights and the number of clients are taken to be public;
        * ``clip=inf, sigma=0`` is no defense, bit for bit; ``sigma=0`` with a finite clip has no
          noise anywhere, unless ``count_noise`` is given.

    What another defense adds to a change after it was clipped is not bounded: joined by ``+``,
    this one comes last.

    Args:
        clip: C of the first round, > 0, in parameter units; ``inf`` does not clip, and then σ
            must be 0 and there is nothing to adapt.
        sigma: Noise multiplier σ ≥ 0.
        quantile: γ in (0, 1), the share of changes that should be within C; or ``"fixed"``.
        step: η > 0, the most that ln C moves in a round for each unit of share.
        count_noise: σ_b > σ/2, in clients; None takes the larger of n/20, as Andrew et al.
            recommend, and σ, with which z_Δ = 1.15 σ: for few clients n/20 would be too little.
        delta: δ in (0, 1), at which ε is told.

    Raises:
        UserError: An argument is out of range, or ``count_noise`` is given with a fixed norm.

    References:
        | Learning Differentially Private Recurrent Language Models (McMahan et al., 2018)
        | https://arxiv.org/abs/1710.06963
        | Differentially Private Learning with Adaptive Clipping (Andrew et al., 2021)
        | https://arxiv.org/abs/1905.03871

    Differs from the papers: they draw clients by coins and weigh them alike (or bound their
    weights), and divide by the expected number of clients; here it is the weighted mean of the
    clients that take part.
    """
    check_noise("dp_fedavg", clip, sigma, delta)
    adaptive = quantile != "fixed"
    if (adaptive and not 0 < quantile < 1) or not 0 < step < math.inf:
        raise UserError(
            f"dp_fedavg needs a quantile in (0, 1) or 'fixed', and a finite step > 0, got "
            f"{quantile!r} and {step}"
        )
    _check_count_noise(count_noise, sigma, adaptive)
    if clip == math.inf:
        return Defense()
    server = partial(_server, clip, sigma, quantile if adaptive else None, step, count_noise)
    return Defense(
        update=partial(_client, clip, adaptive),
        server=server if adaptive or sigma else None,
        noise=NoisedUpdate(
            clip=clip,
            sigma=sigma,
            where="server",
            adaptive=adaptive,
            delta=delta,
            kept=CLIP if adaptive else "",
            on_changes=partial(_on_changes, sigma, count_noise) if adaptive else None,
        ),
    )


def _check_count_noise(count_noise: float | None, sigma: float, adaptive: bool) -> None:
    if count_noise is None:
        return
    if not adaptive:
        raise UserError("dp_fedavg counts nothing with a fixed norm: leave out count_noise")
    enough = count_noise > sigma / 2 if sigma else count_noise >= 0
    if not enough or not count_noise < math.inf:
        raise UserError(
            f"dp_fedavg needs a finite count_noise above sigma/2 = {sigma / 2:g}, so that the "
            f"count alone does not use up the noise multiplier; got {count_noise}"
        )


def split_noise(sigma: float, clients: int, count_noise: float | None) -> tuple[float, float]:
    """Noise multiplier of the sum of changes, and deviation of the noise on the count of bits.

    Args:
        sigma: What both together have, ≥ 0.
        clients: How many take part in a round.
        count_noise: The latter, if it is given.
    """
    if count_noise is None:
        count_noise = max(clients / 20, sigma) if sigma else 0.0
    if not sigma:
        return 0.0, count_noise
    return sigma / math.sqrt(1 - (sigma / (2 * count_noise)) ** 2), count_noise


def _on_changes(sigma: float, count_noise: float | None, clients: int) -> float:
    return split_noise(sigma, clients, count_noise)[0]


def _client(clip: float, adaptive: bool, change: State, turn: Turn) -> State:
    bounded, within = clipped(change, float(turn.told.get(CLIP, clip)))
    if adaptive:
        turn.said[WITHIN] = torch.tensor(within)
    return bounded


def _server(
    clip: float,
    sigma: float,
    quantile: float | None,
    step: float,
    count_noise: float | None,
    change: State,
    turn: Turn,
) -> State:
    norm, clients = float(turn.kept.get(CLIP, clip)), len(turn.weights)
    if quantile is not None:
        sigma, count_noise = split_noise(sigma, clients, count_noise)
        within = sum(float(said[WITHIN]) for said in turn.heard.values())
        within += count_noise * float(torch.randn((), generator=turn.rng, dtype=torch.float64))
        moved = norm * math.exp(-step * (within / clients - quantile))
        turn.kept[CLIP] = torch.tensor(moved, dtype=torch.float64)
    return add_noise(change, sigma * norm * max(turn.weights.values()), turn.rng)
