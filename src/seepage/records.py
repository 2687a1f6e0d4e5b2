"""What crosses the border between two stages.

Free of torch at import: tensors are named in annotations only. Letters: *n* samples, *K*
clients, *P* parameters. A sample's id is its row in its :class:`Dataset`; every number about a
sample travels with that id, and rows are joined by id, never by position.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

    State = Mapping[str, torch.Tensor]
    """Parameters by name, as ``dict(module.named_parameters())`` orders them, and after them the
    running statistics of layers that keep them."""

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.floating]

HELD_OUT = -1
"""The owner of a sample that no client trained on."""

ANYONE = -1
"""The target of a score that says whether anyone trained on a sample."""

AdversaryName = Literal["server", "aggregate", "participant", "querier"]
Block = Literal["mix", "held_out", "others", "canaries"]


class UserError(ValueError):
    """Something only the user can mend: a wrong setting, a missing file, an impossible request.

    The message says what was expected, what came and what to do next. The command line prints it
    without a traceback and exits with status 2.
    """


def suggestion(name: str, known: Iterable[str]) -> str:
    """The end of a sentence about an unknown name: the nearest known one, or all there are."""
    known = list(known)
    near = get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"known here: {', '.join(known)}" if known else "there is none to choose from"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Samples held as tensors on one device.

    Attributes:
        name: The name it was asked for by.
        inputs: Normalised inputs, float32, shape ``(n, ...)``; images are ``(n, channels, h, w)``.
        labels: Class numbers, int64, shape ``(n,)``, in ``[0, classes)``.
        classes: Number of classes.
        n_train: Rows below this are the published training part and rows from it on the test
            part; None where the source has no split of its own.
        mean: What was subtracted, one value a channel (one value in all for tables).
        std: What it was divided by, like ``mean``: ``inputs = (raw - mean) / std``.
        checksum: SHA-256 of the raw arrays as parsed, so that a run names its data.
        class_names: One name a class, where the source has names.
        notes: What was skipped or changed on reading, one sentence each.
    """

    name: str
    inputs: torch.Tensor
    labels: torch.Tensor
    classes: int
    n_train: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    checksum: str
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def pixels(self, inputs: torch.Tensor) -> torch.Tensor:
        """Inputs ``(..., channels, h, w)`` of images as they were before normalisation."""
        return inputs * _by_channel(self.std, inputs) + _by_channel(self.mean, inputs)

    def normalised(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pixels ``(..., channels, h, w)`` as inputs."""
        return (pixels - _by_channel(self.mean, pixels)) / _by_channel(self.std, pixels)

    def to(self, device: torch.device | str) -> Dataset:
        """The same samples on ``device``."""
        return replace(self, inputs=self.inputs.to(device), labels=self.labels.to(device))


def _by_channel(values: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
    return like.new_tensor(values).view(-1, 1, 1)


@dataclass(frozen=True, kw_only=True)
class Split:
    """Who trains on what.

    Attributes:
        clients: Ids of each client's samples; sorted, disjoint, none empty.
        held_out: Ids no client trains on; sorted, disjoint from every client's.
    """

    clients: tuple[IntArray, ...]
    held_out: IntArray


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """The records an adversary asks about: all she may know of them, and no membership.

    Attributes:
        ids: Sample ids, shape ``(n,)``, unique, ascending.
        inputs: Normalised inputs, shape ``(n, ...)``.
        labels: Class numbers, shape ``(n,)``.
    """

    ids: IntArray
    inputs: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, kw_only=True)
class Truth:
    """Who trained on each candidate. Metrics see it; attacks never do.

    Attributes:
        ids: Sample ids, shape ``(n,)``, unique, ascending.
        owner: Client number, or ``HELD_OUT`` (-1), shape ``(n,)``.
    """

    ids: IntArray
    owner: IntArray

    def __post_init__(self) -> None:
        if self.ids.shape != self.owner.shape or self.ids.ndim != 1:
            raise ValueError(
                f"truth needs one owner per id, got shapes {self.ids.shape} and {self.owner.shape}"
            )
        if np.any(np.diff(self.ids) <= 0):
            raise ValueError("truth ids must be unique and ascending")


@dataclass(frozen=True, kw_only=True)
class Round:
    """One round of a federation, everything that was sent in it.

    Attributes:
        number: Round number, counting from 1.
        start: The global parameters every client received.
        uploads: What each client sent back, as parameters (after any client-side defense), by
            client id. Client *k*'s update is the pseudo-gradient ``start - uploads[k]``.
        weights: Aggregation weight by client id; they sum to 1.
        after: The global parameters after aggregation (and any server-side defense).
        learning_rate: The clients' step size in this round.
        raw_uploads: What each client would have sent with no client-side defense.
        aggregate: The weighted mean of the uploads, before any server-side defense.
        memory: What clients (``c003``), the ``server`` and an ``insider`` keep for their next
            turn, by name.
        dealt: What single clients received in place of ``start``, from a server that isolates
            them; they have no weight.
        statistics: Names in the states that are no parameters but running statistics.
    """

    number: int
    start: State
    uploads: Mapping[int, State]
    weights: Mapping[int, float]
    after: State
    learning_rate: float
    raw_uploads: Mapping[int, State]
    aggregate: State
    memory: Mapping[str, State] = field(default_factory=dict)
    dealt: Mapping[int, State] = field(default_factory=dict)
    statistics: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Pass:
    """One mini-batch on its way through the model, for a loss that looks inside.

    Attributes:
        inputs: Normalised inputs, shape ``(b, ...)``, after the batch hook.
        logits: Shape ``(b, C)``.
        hidden: Outputs of the submodules that the defense reads, by name, with gradients.
    """

    inputs: torch.Tensor
    logits: torch.Tensor
    hidden: Mapping[str, torch.Tensor]
