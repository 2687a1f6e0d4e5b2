r"""The noise really added to what was sent, recomputed from a round and what clients held before.

Clipping and noise make a change :math:`\Delta` into :math:`a \Delta + \mathcal N(0, s^2 I)` with
:math:`a = \min(1, C / \lVert \Delta \rVert)`. Both are found again by least squares,

.. math:: \hat a = \frac{\langle \Delta, \tilde\Delta \rangle}{\lVert \Delta \rVert^2},
    \qquad \hat s^2 = \frac{\lVert \tilde\Delta - \hat a \Delta \rVert^2}{P - 1},

where :math:`\hat a - a` is Gaussian with deviation :math:`s / \lVert \Delta \rVert` and
:math:`(P - 1)\, \hat s^2 / s^2` follows a chi-square law with P - 1 degrees of freedom. So noise of
the wrong size and a change that was not clipped are told apart, and the thousands of parameters of
a model leave little to chance. The server's noise is found in the same way, between the weighted
mean and what it made of it. The aggregation weights really used are the least-squares weights of
the clients' changes in the mean's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from scipy.special import gammainccinv, gammaincinv, ndtri

if TYPE_CHECKING:
    from seepage.protocols import NoisedUpdate
    from seepage.records import FloatArray, Round, State

BLOCK = 1 << 16
"""Parameters that are compared between all clients in one go, so that memory stays small."""

SINGULAR = 1e-10
"""Changes so nearly dependent leave their weights unknown: the least to the largest eigenvalue."""

ROUNDINGS = 10.0
"""Deviations of the rounding of parameters that a weight may be off."""

SLACK = 1e-3
"""Relative error of a weight that is no concern."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """One change before and after the defense, in numbers that a line of text can hold.

    Attributes:
        of: The client, or the server.
        clip: Norm *C* of the round.
        parameters: P.
        norm: 2-norm of the change before: a client's own, or the weighted mean's.
        factor: What it is configured to be multiplied by.
        factor_found: What it was multiplied by; 1 where it was 0.
        deviation: Configured deviation of the noise, in parameter units.
        deviation_found: The deviation found.
        rounding: Bound on the root mean square of what rounding adds.
        weight: Aggregation weight as configured; None for the server.
        weight_found: The weight found; None where the changes do not tell it.
        weight_error: How far off it may be by rounding alone.
    """

    of: int | Literal["server"]
    clip: float
    parameters: int
    norm: float
    factor: float
    factor_found: float
    deviation: float
    deviation_found: float
    rounding: float
    weight: float | None = None
    weight_found: float | None = None
    weight_error: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What random noise of the configured deviation stays in.

    Attributes:
        factor: Least and largest factor.
        deviation: Least and largest deviation.
    """

    factor: tuple[float, float]
    deviation: tuple[float, float]


def find_noise(what: Round, noise: NoisedUpdate, told: State) -> list[Found]:
    """What clipping, noise and aggregation did in a round: a row a client, then the server's.

    Args:
        what: The round, with the uploads as they were before and after the defense.
        noise: What the defense promises. It must be all that acts on updates.
        told: What the server kept from the round before, where an adaptive norm stands.

    Returns:
        The clients in ascending order, and the server where it is the one to add noise.
    """
    clip = float(told[noise.kept]) if noise.kept in told else noise.clip
    central = noise.where == "server"
    deviation = clip * (noise.on_changes(len(what.weights)) if noise.on_changes else noise.sigma)
    weights = _weights(what, what.aggregate if central else what.after)
    rows = []
    for client in sorted(what.uploads):
        row = _compare(what.start, what.raw_uploads[client], what.uploads[client])
        found, error = weights.get(client, (None, 0.0))
        rows.append(
            Found(
                of=client,
                clip=clip,
                factor=min(1.0, clip / row["norm"]) if row["norm"] else 1.0,
                deviation=0.0 if central else deviation,
                weight=what.weights[client],
                weight_found=found,
                weight_error=error,
                **row,
            )
        )
    if central:
        scale = deviation * max(what.weights.values())
        row = _compare(what.start, what.aggregate, what.after)
        rows.append(Found(of="server", clip=clip, factor=1.0, deviation=scale, **row))
    return rows


def limits(found: Found, *, error: float) -> Limits:
    """Where factor and deviation lie by chance alone, each with probability ``1 - error``.

    Exact for Gaussian noise, and widened by a bound on what rounding does. A factor is judged by
    the noise that is there, where that is more than was configured.
    """
    half, freedom = error / 2, _freedom(found)
    low = math.sqrt(2 * gammaincinv(freedom / 2, half) / freedom) * found.deviation
    high = math.sqrt(2 * gammainccinv(freedom / 2, half) / freedom) * found.deviation
    reach = 0.0
    if found.norm:
        rounding = found.rounding * math.sqrt(found.parameters)
        # noise that is too large is one fault, not two
        scale = max(found.deviation, found.deviation_found)
        reach = (-float(ndtri(half)) * scale + rounding) / found.norm
    return Limits(
        factor=(found.factor - reach, found.factor + reach),
        deviation=(max(0.0, low - found.rounding), high + found.rounding),
    )


def right_weight(found: Found) -> bool:
    """Whether the weight found is the one configured, as far as the changes tell."""
    if found.weight is None or found.weight_found is None:
        return True
    return abs(found.weight_found - found.weight) <= found.weight_error + SLACK * found.weight


def _freedom(found: Found) -> int:
    return max(1, found.parameters - (found.norm > 0))


def _compare(start: State, before: State, after: State) -> dict[str, Any]:
    """What :class:`Found` says of the changes to ``before`` and to ``after`` alone."""
    names = sorted(start)  # a state that was read back has another order, and sums would round
    pairs = [
        ((before[n] - start[n].double()).flatten(), (after[n] - start[n].double()).flatten())
        for n in names
    ]
    square = sum(float(raw @ raw) for raw, _ in pairs)
    factor = sum(float(raw @ sent) for raw, sent in pairs) / square if square else 1.0
    rest = sum(float((sent - factor * raw).square().sum()) for raw, sent in pairs)
    parameters = sum(value.numel() for value in start.values())
    rounded = sum(_rounding(start[n], before[n], after[n]) for n in names)
    return {
        "parameters": parameters,
        "norm": math.sqrt(square),
        "factor_found": factor,
        "deviation_found": math.sqrt(rest / max(1, parameters - (square > 0))),
        "rounding": math.sqrt(rounded / parameters),
    }


def _rounding(*values: torch.Tensor) -> float:
    """Bound on the sum of squares of what rounding to the tensors' own type adds."""
    unit = torch.finfo(values[0].dtype).eps
    return float((unit * torch.stack([v.double().abs() for v in values]).sum(0)).square().sum())


def _weights(what: Round, mean: State) -> Mapping[int, tuple[float, float]]:
    """Weight of each client in ``mean`` with its error; empty where the changes do not tell."""
    clients = sorted(what.uploads)
    gram, cross = np.zeros((len(clients), len(clients))), np.zeros(len(clients))
    for changes, moved in _blocks(what, mean, clients):
        gram += (changes @ changes.T).cpu().numpy()
        cross += (changes @ moved).cpu().numpy()
    values, vectors = np.linalg.eigh(gram)
    if not values[0] > SINGULAR * values[-1]:
        return {}
    inverse: FloatArray = (vectors / values) @ vectors.T
    rounded = sum(_rounding(what.start[n], mean[n]) for n in sorted(mean))
    deviation = math.sqrt(rounded / sum(value.numel() for value in mean.values()))
    found, errors = inverse @ cross, ROUNDINGS * deviation * np.sqrt(np.diag(inverse))
    return {k: (float(found[i]), float(errors[i])) for i, k in enumerate(clients)}


def _blocks(
    what: Round, mean: State, clients: list[int]
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The changes of all clients, shape ``(K, block)``, and of the mean, a part at a time."""
    for name in sorted(what.start):
        flat = what.start[name].flatten()
        sent = [what.uploads[client][name].flatten() for client in clients]
        for first in range(0, flat.numel(), BLOCK):
            part = slice(first, first + BLOCK)
            base = flat[part].double()
            yield torch.stack([one[part] - base for one in sent]), mean[name].flatten()[part] - base
