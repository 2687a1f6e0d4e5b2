"""The signals of one round of a federation, as one labelled Dataset."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from torch import Tensor, nn

from seepage.records import Candidates, UserError, suggestion
from seepage.signals.adaptive import ADAPTIVE, Knowledge, adaptive
from seepage.signals.answers import (
    ANSWERS,
    Responder,
    answers,
    evaluating,
    losses,
    signals_of_answers,
)
from seepage.signals.arrays import check_state, dims_of, stored
from seepage.signals.gradient import (
    GradientProducts,
    Updates,
    cosine,
    gradient_difference,
    gradient_products,
    loaded,
)
from seepage.signals.output import OUTPUT

if TYPE_CHECKING:
    from seepage.records import State

GRADIENT: dict[str, Callable[[GradientProducts], Tensor]] = {
    "cosine": cosine,
    "gradient_difference": gradient_difference,
    "inner_product": lambda products: products.inner,
    "squared_gradient_norm": lambda products: products.squared_norm,
    "squared_update_norm": lambda products: products.update_squared_norm,
}


OF_THE_SUM = {"aggregate_loss": "loss", "aggregate_cosine": "cosine"}
"""Signals of the round's mean upload, and what each is called on a client's."""

MEASURED = tuple(sorted({*OUTPUT, *GRADIENT, *OF_THE_SUM, *ADAPTIVE}))
"""Names of the signals that :func:`measure` takes."""


def measure(
    model: nn.Module,
    *,
    start: State | None,
    uploads: Mapping[int, State],
    candidates: Candidates,
    names: Sequence[str],
    batch_size: int | None = None,
    respond: Responder | None = None,
    aggregate: State | None = None,
    knowledge: Knowledge | None = None,
) -> xr.Dataset:
    """The signals of one round: the answers of what clients sent, and gradients at the start.

    Output signals are those of every uploaded model on every candidate. Gradient signals are taken
    at ``start`` with ``u_k = start - uploads[k]``; a cosine is 0 where gradient or update is. Those
    of the sum are the same of ``aggregate``, which is one more model in the same passes. Adaptive
    ones are told in :mod:`seepage.signals.adaptive`. All in evaluation mode, with the running
    statistics that came with the parameters; other buffers are the template's own.

    Args:
        model: The architecture; its own weights and modes are as before when this returns.
        start: The global parameters the round began with; None where they are not known, and then
            no gradient signal can be asked for.
        uploads: Parameters by client id.
        candidates: Whom to ask about; moved to the model's device in batches.
        names: Names in :data:`MEASURED`; nothing else is computed.
        batch_size: Candidates in one pass; None chooses.
        respond: What a defense does to every answer before the adversary gets it; its draws are
            named by client and batch. Signals of the sum and adaptive ones are taken without it:
            who holds parameters asks them herself.
        aggregate: The weighted mean of the uploads; None where it is not seen.
        knowledge: Of the clients' defense; None where there is nothing to know.

    Returns:
        One variable a name, float32 (squared norms, inner products and differences float64), dims
        out of ``sample`` (coordinate: ids) and ``client`` (coordinate: client ids, ascending).

    Raises:
        UserError: An unknown name, no upload, a value that is not finite, or a signal without what
            it is taken of: ``start``, ``aggregate`` or ``knowledge``.
    """
    _check(names, start, uploads, aggregate, knowledge)
    sent = [uploads[client] for client in sorted(uploads)]
    for state in (*sent, *(each for each in (start, aggregate) if each is not None)):
        check_state(model, state)
    values: dict[str, np.ndarray] = {}
    with evaluating(model):
        values |= _outputs(model, uploads, candidates, names, batch_size or ANSWERS, respond)
        if "aggregate_loss" in names:
            assert aggregate is not None
            values["aggregate_loss"] = losses(model, aggregate, candidates, batch_size or ANSWERS)
        if start is not None:
            values |= _gradients(model, start, sent, aggregate, candidates, names, batch_size)
        if wanted := [name for name in names if name in ADAPTIVE]:
            assert start is not None
            assert knowledge is not None
            values |= adaptive(
                model,
                start=start,
                uploads=sent,
                candidates=candidates,
                names=wanted,
                knowledge=knowledge,
                batch_size=batch_size,
            )
    arrays = {name: (dims_of(name), stored(name, values[name])) for name in names}
    coords = {"sample": candidates.ids, "client": np.array(sorted(uploads))}
    return xr.Dataset(arrays, coords=coords)


def _check(
    names: Sequence[str],
    start: State | None,
    uploads: Mapping[int, State],
    aggregate: State | None,
    knowledge: Knowledge | None,
) -> None:
    of_gradients = {*GRADIENT, "aggregate_cosine", *ADAPTIVE}
    for name in names:
        if name not in MEASURED:
            raise UserError(
                f"no signal {name!r} is measured of uploads; {suggestion(name, MEASURED)}"
            )
        if name in of_gradients and start is None:
            raise UserError(
                f"signal {name!r} needs the global parameters the round started from, got none; "
                f"leave it out or give start"
            )
        if name in OF_THE_SUM and aggregate is None:
            raise UserError(
                f"signal {name!r} is one of the round's mean upload, which is not seen here; leave "
                f"it out or give aggregate"
            )
        if name in ADAPTIVE and knowledge is None:
            raise UserError(
                f"signal {name!r} is measured through a defense that acts on batches, on the loss "
                f"or on which coordinates are sent, and there is none; leave it out or give "
                f"knowledge"
            )
    if not uploads:
        raise UserError("signals need the parameters that at least one client sent, got none")


def _outputs(
    model: nn.Module,
    uploads: Mapping[int, State],
    candidates: Candidates,
    names: Sequence[str],
    batch_size: int,
    respond: Responder | None,
) -> dict[str, np.ndarray]:
    """Each signal ``(n, K)``: one model after the other, so that its weights stay in the cache."""
    names = [name for name in names if name in OUTPUT]
    columns: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for client in sorted(uploads) if names else ():
        logits = answers(
            model,
            uploads[client],
            candidates.inputs,
            respond=respond,
            batch_size=batch_size,
            path=("client", client),
        )
        for name, values in signals_of_answers(logits[None], candidates.labels, names).items():
            columns[name].append(values)
    return {name: np.stack(parts, 1) for name, parts in columns.items()}


def _gradients(
    model: nn.Module,
    start: State,
    sent: list[State],
    aggregate: State | None,
    candidates: Candidates,
    names: Sequence[str],
    batch_size: int | None,
) -> dict[str, np.ndarray]:
    """Gradient signals ``(n, K)``, and that of the sum ``(n,)``, in one pass."""
    of_clients = [name for name in names if name in GRADIENT]
    of_sum = [name for name in names if name == "aggregate_cosine"]
    if not of_clients and not of_sum:
        return {}
    clients = len(sent)
    with loaded(model, start):
        products = gradient_products(
            model,
            candidates.inputs,
            candidates.labels,
            Updates(
                model, start, [*sent, *([aggregate] if of_sum and aggregate is not None else [])]
            ),
            batch_size=batch_size,
        )
    own = GradientProducts(
        products.inner[:, :clients], products.squared_norm, products.update_squared_norm[:clients]
    )
    values = {name: GRADIENT[name](own) for name in of_clients}
    if of_sum:
        values["aggregate_cosine"] = cosine(products)[:, -1]
    return {name: value.cpu().numpy() for name, value in values.items()}
