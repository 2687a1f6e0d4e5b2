"""Where a user may plug in. Each is a plain function or a frozen record of functions.

Nothing here runs anything: these types say what a callable receives and what it must return.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from seepage.records import AdversaryName

if TYPE_CHECKING:
    import torch
    import xarray as xr

    from seepage.records import IntArray, State
    from seepage.training.trainer import Trainer

    BatchHook = Callable[
        [torch.Tensor, torch.Tensor, torch.Generator], tuple[torch.Tensor, torch.Tensor]
    ]
    """``(inputs (b, ...), targets (b, C) probabilities, rng) -> (inputs, targets)``."""

    LossHook = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    """``(logits (b, C), targets (b, C)) -> per-sample loss (b,)``."""

    UpdateHook = Callable[[State, torch.Generator], State]
    """``(change of each parameter, rng) -> change``; the change is ``new - old``."""

    ResponseHook = Callable[[torch.Tensor, "Query"], torch.Tensor]
    """``(logits (n, C), query) -> logits (n, C)``, on every answer the final model gives."""

    Fit = Callable[[Trainer, int, IntArray], "Fitted"]
    """``(trainer, number of the model, rows it may learn from) -> what came of it``."""

    Score = Callable[[xr.Dataset, int], xr.DataArray]
    """``(signals, target client or model) -> score (sample,)``, higher for members."""


@dataclass(frozen=True, kw_only=True)
class Query:
    """What a response hook may use beside the logits it is to change.

    Attributes:
        inputs: What was asked, normalised, shape ``(n, ...)``.
        forward: ``inputs -> logits`` of the model behind the answer, with no hook.
        rng: CPU generator for what the answer draws; another one for every call.
        mean: Subtracted from raw inputs, one value a channel (one in all for tables).
        std: What they were divided by.
        kept: What the defense's ``fit`` kept for its answers, by name.
    """

    inputs: torch.Tensor
    forward: Callable[[torch.Tensor], torch.Tensor]
    rng: torch.Generator
    mean: tuple[float, ...]
    std: tuple[float, ...]
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class ClippedGradient:
    """Private gradients: every sample's is clipped, their sum is noised.

    Attributes:
        norm: Largest 2-norm *C* of a sample's gradient, > 0.
        sigma: Deviation of the Gaussian noise on the sum, in units of ``norm``, >= 0. None takes
            the least that keeps training within ``epsilon``, for the number of samples at hand.
        poisson: Whether every sample enters every batch by a coin of its own with probability
            ``batch_size / n``; else batches are cut from a shuffled order.
        epsilon: The budget that sets ``sigma`` where that is None.
        delta: The δ at which ε is told and the budget is kept.
        rounds: Calls of training that share the budget: the rounds of a federation.
    """

    norm: float
    sigma: float | None
    poisson: bool = True
    epsilon: float | None = None
    delta: float = 1e-5
    rounds: int = 1


@dataclass(frozen=True, kw_only=True)
class Fitted:
    """A model trained by a defense's own procedure.

    Attributes:
        state: Its parameters (and buffers, where the architecture has running statistics).
        kept: What the defense's ``respond`` needs later, by name; tensors that can be saved.
    """

    state: State
    kept: Mapping[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Defense:
    """What a defense does, at the places where it does it. None means: nothing there.

    Attributes:
        batch: On a client's mini-batch before the forward pass.
        loss: Instead of cross-entropy in local training.
        gradient: On each sample's gradient and on their sum, in local training.
        update: On a client's change of parameters before it leaves the client.
        server: On the aggregated change before the global model moves.
        respond: On every answer of the final model.
        fit: Instead of local training as a whole, where all members are in one place; it is
            built on the trainer's own training.
    """

    batch: BatchHook | None = None
    loss: LossHook | None = None
    gradient: ClippedGradient | None = None
    update: UpdateHook | None = None
    server: UpdateHook | None = None
    respond: ResponseHook | None = None
    fit: Fit | None = None


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
        over: What the signals are compared over: the ``client`` uploads of a federation, or the
            final answers of a ``model`` and of reference models.
        also: Names of what it reads besides where that is there, such as the records' ``input``.
        only_by_name: Left out unless a study names it: another's variant, kept for comparison.
    """

    score: Score
    adversary: AdversaryName
    needs: tuple[str, ...]
    summary: str
    paper: str
    over: Literal["client", "model"] = "client"
    also: tuple[str, ...] = ()
    only_by_name: bool = False

    def __call__(self, signals: xr.Dataset, target: int) -> xr.DataArray:
        return self.score(signals, target)
