r"""What a client measures of a round from the inside, and a server of clients that it isolated.

A client holds the global parameters before and after a round and what it sent itself. Where the
server takes the plain weighted mean, subtracting its own share leaves the sum of the others':

.. math:: u = (\theta_\mathrm{start} - \theta_\mathrm{after})
    - \sum_{a \in A} w_a (\theta_\mathrm{start} - \theta_a) = \sum_{k \notin A} w_k u_k

with the insider's clients *A* and :math:`u_k = \theta_\mathrm{start} - \theta_k`. A server that
changes the mean (noise, clipping, a step size of its own) adds that change to *u*.

Source: Melis et al., "Exploiting Unintended Feature Leakage in Collaborative Learning" (2019), who
feed this difference to a classifier of properties; here it takes the place of an upload in the
measures of :mod:`seepage.signals.gradient`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from torch import nn

from seepage.records import UserError, suggestion
from seepage.signals.answers import ANSWERS, evaluating, losses
from seepage.signals.arrays import check_state, dims_of, stored
from seepage.signals.gradient import (
    GradientProducts,
    Updates,
    cosine,
    gradient_products,
    loaded,
    projection,
)

if TYPE_CHECKING:
    from seepage.records import Candidates, State

OF_OTHERS = {"others_cosine": cosine, "others_projection": projection}
"""Signals of the others' update, and the measure that each is."""

INSIDE = ("global_loss", *OF_OTHERS, "start_loss")
"""Names of the signals that :func:`inside` takes."""


def inside(
    model: nn.Module,
    *,
    start: State,
    after: State,
    own: Mapping[int, State],
    weights: Mapping[int, float],
    candidates: Candidates,
    names: Sequence[str],
    batch_size: int | None = None,
) -> xr.Dataset:
    """The signals of one round for one client, or for several that put together what they hold.

    Signals of the others are taken at ``start``, in evaluation mode, by one pass of gradients over
    the candidates. They are 0 where gradient or update is, and where the weights in ``own`` are
    all there is: then what the subtraction leaves is rounding alone. Without an upload of its own
    the whole mean is the others'.

    Args:
        model: The architecture; its own weights and modes are as before when this returns.
        start: The global parameters the round began with.
        after: The global parameters after it.
        own: What the insider's clients sent, by client id; those that took no part are left out.
        weights: Of these uploads in the round's mean; other clients' are not looked at.
        candidates: Whom to ask about; moved to the model's device in batches.
        names: Names in :data:`INSIDE`; nothing else is computed.
        batch_size: Candidates in one pass; None chooses.

    Returns:
        One variable a name over ``sample`` (coordinate: ids), float32. ``start_loss`` is NaN
        where there is no upload of its own: a round that it took no part in.

    Raises:
        UserError: An unknown name, parameters of another model, an upload without a weight, or a
            value that is not finite.
    """
    for name in names:
        if name not in INSIDE:
            raise UserError(f"an insider has no signal {name!r}; {suggestion(name, INSIDE)}")
    for state in (start, after, *own.values()):
        check_state(model, state)
    values: dict[str, np.ndarray] = {}
    if "global_loss" in names:
        values["global_loss"] = losses(model, after, candidates, batch_size or ANSWERS)
    if wanted := [name for name in names if name in OF_OTHERS]:
        left = _without(start, after, own, weights)
        products = _products(model, start, left, candidates, batch_size)
        values |= {name: OF_OTHERS[name](products)[:, 0].cpu().numpy() for name in wanted}
    if "start_loss" in names and own:
        values["start_loss"] = losses(model, start, candidates, batch_size or ANSWERS)
    absent = np.full(len(candidates.ids), np.nan, dtype=np.float32)
    arrays = {
        name: (dims_of(name), stored(name, values[name]) if name in values else absent)
        for name in names
    }
    return xr.Dataset(arrays, coords={"sample": candidates.ids})


def _without(
    start: State, after: State, own: Mapping[int, State], weights: Mapping[int, float]
) -> State:
    """What would have come after ``start`` had the insider sent ``start`` itself, in float64."""
    if missing := sorted(own.keys() - weights.keys()):
        raise UserError(
            f"the update of the others needs the weight of each upload of one's own, got none of "
            f"client {missing[0]}"
        )
    if own and math.isclose(sum(weights[k] for k in own), 1.0):
        return start
    left = {}
    for name, began in start.items():
        wide = began.double()
        shares = [weights[k] * (wide - own[k][name].double()) for k in sorted(own)]
        left[name] = sum(shares, after[name].double())
    return left


def _products(
    model: nn.Module, start: State, left: State, candidates: Candidates, batch_size: int | None
) -> GradientProducts:
    with evaluating(model), loaded(model, start):
        return gradient_products(
            model,
            candidates.inputs,
            candidates.labels,
            Updates(model, start, [left]),
            batch_size=batch_size,
        )


def dealt_loss(
    model: nn.Module,
    dealt: Mapping[int, State],
    clients: Sequence[int],
    candidates: Candidates,
    *,
    batch_size: int | None = None,
) -> xr.DataArray:
    """The cross-entropy of what a server gave single clients in place of the global parameters.

    Args:
        model: The architecture; its own weights and modes are as before when this returns.
        dealt: What clients were given, by client id.
        clients: The clients to tell of, in this order.
        candidates: Whom to ask about.
        batch_size: Candidates in one pass; None chooses.

    Returns:
        Over dims ``sample`` (coordinate: ids) and ``client``, in nat, float32; NaN for the clients
        that got the global parameters like everyone.

    Raises:
        UserError: Parameters of another model, or a value that is not finite.
    """
    values = np.full((len(candidates.ids), len(clients)), np.nan, dtype=np.float32)
    for column, client in enumerate(clients):
        if client in dealt:
            check_state(model, dealt[client])
            found = losses(model, dealt[client], candidates, batch_size or ANSWERS)
            values[:, column] = stored("dealt_loss", found)
    return xr.DataArray(
        values,
        dims=dims_of("dealt_loss"),
        coords={"sample": candidates.ids, "client": np.array(clients, dtype=np.int64)},
        name="dealt_loss",
    )
