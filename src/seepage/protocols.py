"""Where a user may plug in. Each is a plain function or a frozen record of functions.

Nothing here runs anything: these types say what a callable receives and what it must return.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from seepage.records import AdversaryName

if TYPE_CHECKING:
    import torch
    import xarray as xr

    from seepage.records import State

    BatchHook = Callable[
        [torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]
    ]
    """``(inputs (b, ...), targets (b, C) probabilities, rng) -> (inputs, targets)``."""

    LossHook = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """``(logits (b, C), targets (b, C)) -> per-sample loss (b,)``."""

    UpdateHook = Callable[[State, torch.Generator], State]
    """``(change of each parameter, rng) -> change``; the change is ``new - old``."""

    ResponseHook = Callable[[torch.Tensor], torch.Tensor]
    """``logits (n, C) -> logits (n, C)``, on every answer the final model gives."""

    Score = Callable[[xr.Dataset, int], xr.DataArray]
    """``(signals, target client) -> score (sample,)``, higher for members."""


@dataclass(frozen=True, kw_only=True)
class Defense:
    """What a defense does, at the places where it does it. None means: nothing there.

    Attributes:
        batch: On a client's mini-batch before the forward pass.
        loss: Instead of cross-entropy in local training.
        update: On a client's change of parameters before it leaves the client.
        server: On the aggregated change before the global model moves.
        respond: On every answer of the final model.
    """

    batch: BatchHook | None = None
    loss: LossHook | None = None
    update: UpdateHook | None = None
    server: UpdateHook | None = None
    respond: ResponseHook | None = None


@dataclass(frozen=True, kw_only=True)
class Attack:
    """A membership score and what it takes.

    Attributes:
        score: ``(signals, target) -> DataArray`` over dim ``sample`` alone, higher for members.
            A pure function of its arguments: no truth, no randomness, no state.
        adversary: The weakest adversary who holds what it needs.
        needs: Names of the signals it reads.
        summary: One line for tables.
        paper: Where it comes from, with its year.
    """

    score: Score
    adversary: AdversaryName
    needs: tuple[str, ...]
    summary: str
    paper: str

    def __call__(self, signals: xr.Dataset, target: int) -> xr.DataArray:
        return self.score(signals, target)
