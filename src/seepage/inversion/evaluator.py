"""An independent classifier that says what a reconstruction shows.

A reconstruction is made to please the model under attack, so that model's verdict on it is worth
nothing. The evaluator has another architecture than the models of a federation, and learns from
records that nobody in it holds. Nothing may be chosen by its answers, neither images nor epochs
nor attacks: released code that keeps the epoch which the evaluator likes best reports the
evaluator's taste.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seepage._rng import child, child_seed
from seepage.models import build
from seepage.protocols import Defense
from seepage.records import Dataset, IntArray, UserError
from seepage.training import LocalTraining, Plan, cpu_threads, train

Float64Array = NDArray[np.float64]

FEATURES = 64
"""Units of the last hidden layer. Few, because a Fréchet distance needs samples for each."""

HELD_BACK = 5
"""One record in so many, of every class, is kept from training and measures the accuracy."""

STEPS, BATCH, FEWEST_EPOCHS = 800, 64, 5
"""Training takes about so many steps however many records there are, unless epochs get too few."""

LEARNING_RATE = 3e-3

SMALL = 16
"""Side of an image, in pixels, below which the first convolution keeps its size."""

GRID = 8
"""Most positions a side that the features are read from."""

ANSWERS = 4096
"""Inputs in one forward pass."""


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """A trained classifier and how good it is. Made by :func:`train_evaluator`.

    Inputs are normalised like the data set's, shape ``(n, ...)``. Answers come in its own
    evaluation mode: a record's do not depend on the others asked with it.

    Attributes:
        model: The layers up to the features, and the last one.
        classes: The class numbers it tells apart, ascending.
        accuracy: Share of the held-back records that it names rightly, in [0, 1].
        tested: How many these are.
        trained: How many records it learned from.
    """

    model: nn.Sequential
    classes: tuple[int, ...]
    accuracy: float
    tested: int
    trained: int

    def predict(self, inputs: Tensor) -> IntArray:
        """The likeliest class of each input, one of ``classes``, shape ``(n,)``."""
        return _named(self.model, self.classes, inputs)

    def probabilities(self, inputs: Tensor) -> Float64Array:
        """Softmax over ``classes``, shape ``(n, C)`` with all of the data set's: 0 for others."""
        logits = _logits(self.model, self.classes, inputs)
        return logits.double().softmax(1).cpu().numpy()

    def features(self, inputs: Tensor) -> Float64Array:
        """The last hidden layer after its activation, shape ``(n, 64)``."""
        return _forward(self.model[0], inputs).double().cpu().numpy()


def train_evaluator(
    dataset: Dataset,
    rows: IntArray | Sequence[int],
    *,
    seed: int,
    classes: Sequence[int] | None = None,
) -> Evaluator:
    """Train an independent classifier, and measure it on a fifth of its records.

    For images: two 3 × 3 convolutions of 24 and 48 channels with strides, each with group
    normalisation and SiLU, then 64 units; every batch is shifted at random by up to a fourteenth
    of the image. For other inputs: 128 and 64 units. Adam at 0.003 falling by a cosine, about 800
    batches of 64.

    Guarantees:
        * the same records and seed give the same evaluator, whatever the order of ``rows`` and
          the number of cores: it is too small to gain from a second one;
        * its accuracy is measured on records that it did not learn from, a fifth of every class;
        * nothing is chosen by that accuracy: the last epoch is kept, whatever it is.

    Args:
        dataset: Where the records are.
        rows: Records that nobody in the federation trains on; one named twice counts once.
        seed: The run's seed.
        classes: Class numbers to tell apart: records of others are left out, and an answer is
            always one of these. None: all of the data set's. An evaluator that knows classes
            which the attack cannot mean is the stricter one.

    Raises:
        UserError: A class or a row does not exist, or a class has fewer than 5 records.

    References:
        | The Secret Revealer: Generative Model-Inversion Attacks Against Deep Neural Networks
          (Zhang et al., 2020), https://arxiv.org/abs/1911.07135, judges reconstructions so.

    Differs from released code for model inversion, whose evaluators learn from the very records
    under attack, and some of which choose the attack's best epoch.
    """
    known = _known(dataset.classes, classes)
    own, held_back = _dealt(dataset, rows, known, child(seed, "evaluator", "rows"))
    shape, device = tuple(dataset.inputs.shape[1:]), dataset.inputs.device
    is_image = len(shape) == 3
    network = _convolutional if is_image else _dense
    model = build(network, shape, dataset.classes, seed=child_seed(seed, "evaluator", "model"))
    assert isinstance(model, nn.Sequential)
    model.to(device)
    epochs = max(FEWEST_EPOCHS, math.ceil(STEPS / math.ceil(len(own) / BATCH)))
    (state,) = train(
        model,
        dict(model.named_parameters()),
        {0: own},
        dataset,
        LocalTraining(epochs=epochs, batch_size=BATCH, optimizer="adam", schedule="cosine"),
        learning_rate=LEARNING_RATE,
        seed=seed,
        role="evaluator",
        plan=Plan(kind="one_by_one", channels_last=is_image),
        defense=Defense(batch=_shifts(dataset)) if is_image else None,
    ).values()
    model.load_state_dict(dict(state))
    at = torch.from_numpy(held_back).to(device)
    right = _named(model.eval(), known, dataset.inputs[at]) == dataset.labels[at].cpu().numpy()
    return Evaluator(
        model=model,
        classes=known,
        accuracy=float(right.mean()),
        tested=len(held_back),
        trained=len(own),
    )


def _known(count: int, classes: Sequence[int] | None) -> tuple[int, ...]:
    known = tuple(sorted(set(range(count) if classes is None else map(int, classes))))
    if len(known) < 2 or known[0] < 0 or known[-1] >= count:
        raise UserError(
            f"an evaluator tells at least two classes apart, numbered 0 to {count - 1}; got "
            f"{list(known)}. Name others, or leave classes out."
        )
    return known


def _dealt(
    dataset: Dataset,
    rows: IntArray | Sequence[int],
    known: tuple[int, ...],
    rng: np.random.Generator,
) -> tuple[IntArray, IntArray]:
    """Rows to learn from and rows held back, each ascending."""
    unique = np.unique(np.asarray(rows, dtype=np.int64))
    if len(unique) and not 0 <= unique[0] <= unique[-1] < len(dataset):
        raise UserError(
            f"an evaluator's rows must be among the {len(dataset)} of {dataset.name}, got "
            f"{unique[0]} to {unique[-1]}. A row is a sample's id."
        )
    labels = dataset.labels.cpu().numpy()[unique]
    held_back = []
    for label in known:
        of_class = unique[labels == label]
        if len(of_class) < HELD_BACK:
            raise UserError(
                f"an evaluator needs at least {HELD_BACK} records of every class, got "
                f"{len(of_class)} of class {label}. Hand it more records that nobody trains on, or "
                "name fewer classes."
            )
        held_back.append(rng.permutation(of_class)[: len(of_class) // HELD_BACK])
    test = np.sort(np.concatenate(held_back))
    return np.setdiff1d(unique[np.isin(labels, known)], test), test


def _convolutional(input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    channels, height, width = input_shape
    stride = 2 if min(height, width) >= SMALL else 1
    down, across = (min(GRID, math.ceil(side / stride / 2)) for side in (height, width))
    body = nn.Sequential(
        nn.Conv2d(channels, 24, 3, stride=stride, padding=1),
        nn.GroupNorm(4, 24),
        nn.SiLU(),
        nn.Conv2d(24, 48, 3, stride=2, padding=1),
        nn.GroupNorm(8, 48),
        nn.SiLU(),
        nn.AdaptiveAvgPool2d((down, across)),  # as they are, up to 8 positions a side
        nn.Flatten(),
        nn.Linear(48 * down * across, FEATURES),
        nn.SiLU(),
    )
    return nn.Sequential(body, nn.Linear(FEATURES, classes))


def _dense(input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    body = nn.Sequential(
        nn.Flatten(),
        nn.Linear(math.prod(input_shape), 128),
        nn.LayerNorm(128),
        nn.SiLU(),
        nn.Linear(128, FEATURES),
        nn.SiLU(),
    )
    return nn.Sequential(body, nn.Linear(FEATURES, classes))


def _shifts(dataset: Dataset) -> partial[tuple[Tensor, Tensor]]:
    """Shifts of the data set's images; what comes in from outside is black."""
    most = max(1, min(dataset.inputs.shape[2:]) // 14)
    black = tuple(-mean / std for mean, std in zip(dataset.mean, dataset.std, strict=True))
    return partial(_shifted, most, black)


def _shifted(
    most: int, black: tuple[float, ...], inputs: Tensor, targets: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor]:
    """The whole batch by one draw: over epochs an image meets many, and a slice costs nothing."""
    down, right = torch.randint(2 * most + 1, (2,), generator=rng).tolist()
    height, width = inputs.shape[2:]
    outside = inputs.new_tensor(black).view(-1, 1, 1)
    framed = nn.functional.pad(inputs - outside, [most] * 4) + outside
    return framed[:, :, down : down + height, right : right + width], targets


def _forward(part: nn.Module, inputs: Tensor) -> Tensor:
    with torch.no_grad(), cpu_threads(1):
        return torch.cat([part(some) for some in inputs.split(ANSWERS)])


def _logits(model: nn.Module, known: tuple[int, ...], inputs: Tensor) -> Tensor:
    """Logits of all classes, -inf for those it does not know."""
    logits = _forward(model, inputs)
    unknown = torch.ones(logits.shape[1], dtype=torch.bool, device=logits.device)
    unknown[list(known)] = False
    return logits.masked_fill(unknown, -math.inf)


def _named(model: nn.Module, known: tuple[int, ...], inputs: Tensor) -> IntArray:
    return _logits(model, known, inputs).argmax(1).cpu().numpy()
