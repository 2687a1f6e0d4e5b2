"""The signals of one round of a federation, as one labelled Dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
import xarray as xr
from torch import Tensor, nn

from seepage.records import Candidates, UserError, suggestion
from seepage.signals import SIGNALS
from seepage.signals.answers import ANSWERS, Responder, answers, evaluating, signals_of_answers
from seepage.signals.gradient import (
    GradientProducts,
    cosine,
    gradient_difference,
    gradient_products,
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


def measure(
    model: nn.Module,
    *,
    start: State | None,
    uploads: Mapping[int, State],
    candidates: Candidates,
    names: Sequence[str],
    batch_size: int | None = None,
    respond: Responder | None = None,
) -> xr.Dataset:
    """The signals of one round: the answers of what clients sent, and gradients at the start.

    Output signals are those of every uploaded model on every candidate. Gradient signals are taken
    at ``start`` with ``u_k = start - uploads[k]``; a cosine is 0 where gradient or update is. Both
    in evaluation mode; buffers (such as running means) are the template's own.

    Args:
        model: The architecture; its own weights and modes are as before when this returns.
        start: The global parameters the round began with; None where they are not known, and then
            no gradient signal can be asked for.
        uploads: Parameters by client id.
        candidates: Whom to ask about; moved to the model's device in batches.
        names: Names in :data:`~seepage.signals.SIGNALS`; nothing else is computed.
        batch_size: Candidates in one pass; None chooses.
        respond: What a defense does to every answer before the adversary gets it; its draws are
            named by client and batch.

    Returns:
        One variable a name, float32 (squared norms, inner products and differences float64), dims
        out of ``sample`` (coordinate: ids) and ``client`` (coordinate: client ids, ascending).

    Raises:
        UserError: An unknown name, no upload, or a gradient signal without ``start``.
    """
    _check(names, start, uploads)
    for sent in (*uploads.values(), *([] if start is None else [start])):
        _check_state(model, sent)
    clients = sorted(uploads)
    values: dict[str, np.ndarray] = {}
    with evaluating(model):
        if wanted := [name for name in names if name in OUTPUT]:
            values |= _outputs(
                model, uploads, clients, candidates, wanted, batch_size or ANSWERS, respond
            )
        if wanted := [name for name in names if name in GRADIENT]:
            assert start is not None
            with _loaded(model, start):
                products = gradient_products(
                    model,
                    candidates.inputs,
                    candidates.labels,
                    _Updates(start, [uploads[k] for k in clients]),
                    batch_size=batch_size,
                )
            values |= {name: GRADIENT[name](products).cpu().numpy() for name in wanted}
    arrays = {name: (_dims(name), _stored(name, values[name])) for name in names}
    return xr.Dataset(arrays, coords={"sample": candidates.ids, "client": np.array(clients)})


def _check(names: Sequence[str], start: State | None, uploads: Mapping[int, State]) -> None:
    for name in names:
        if name not in SIGNALS:
            raise UserError(f"no signal {name!r}; {suggestion(name, SIGNALS)}")
        if name in GRADIENT and start is None:
            raise UserError(
                f"signal {name!r} needs the global parameters the round started from, got none; "
                f"leave it out or give start"
            )
    if not uploads:
        raise UserError("signals need the parameters that at least one client sent, got none")


def _outputs(
    model: nn.Module,
    uploads: Mapping[int, State],
    clients: list[int],
    candidates: Candidates,
    names: list[str],
    batch_size: int,
    respond: Responder | None,
) -> dict[str, np.ndarray]:
    """Each signal ``(n, K)``: one model after the other, so that its weights stay in the cache."""
    columns: dict[str, list[np.ndarray]] = {name: [] for name in names}
    for client in clients:
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


def _check_state(model: nn.Module, state: State) -> None:
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    sent = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if odd := sorted(name for name in shapes | sent if shapes.get(name) != sent.get(name)):
        raise UserError(
            f"the parameters of a round must be those of the model: for {odd[0]!r} expected shape "
            f"{shapes.get(odd[0], 'no such name')}, got {sent.get(odd[0], 'no such name')}"
        )


@contextmanager
def _loaded(model: nn.Module, state: State) -> Iterator[None]:
    """Inside, the model has these parameters; after, its own."""
    parameters = dict(model.named_parameters())
    own = {name: parameter.data for name, parameter in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = state[name].to(own[name])
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = own[name]


class _Updates(Mapping[str, Tensor]):
    """``start - upload`` of every client, stacked, computed when a parameter is asked for."""

    def __init__(self, start: State, uploads: Sequence[State]) -> None:
        self.start, self.uploads = start, uploads

    def __getitem__(self, name: str) -> Tensor:
        return torch.stack([self.start[name] - upload[name] for upload in self.uploads])

    def __iter__(self) -> Iterator[str]:
        return iter(self.start)

    def __len__(self) -> int:
        return len(self.start)


def _dims(name: str) -> tuple[str, ...]:
    return tuple(dim for dim in SIGNALS[name].dims if dim != "round")


WIDE = frozenset(
    {"gradient_difference", "inner_product", "squared_gradient_norm", "squared_update_norm"}
)
"""Kept as float64: squares leave float32's range, differences lose its precision."""


def _stored(name: str, values: np.ndarray) -> np.ndarray:
    return values.astype(np.float64 if name in WIDE else np.float32)
