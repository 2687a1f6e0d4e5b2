"""Answers changed just enough to turn a membership classifier the other way."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional, init

from seepage._rng import torch_child
from seepage.protocols import Defense, Fitted
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import Query
    from seepage.records import IntArray
    from seepage.training.trainer import Trainer

HIDDEN = (256, 128, 64)
"""Widths of the hidden layers of the defender's classifier."""

BATCH = 256
"""Samples in a step of its training."""

FEWEST = 0.1
"""Public records that stand for non-members, as a share of the members: at least this many."""

UNDECIDED = 1e-5
"""An answer is left alone where the classifier is within this of one half."""

STEPS = 300
"""Most steps from the answer to one that turns the classifier."""

LENGTH = 0.1
"""The length of a step, in logits."""

LABEL_WEIGHT = 10.0
"""What a change of the label costs, in a unit of the classifier's logit per unit of logit."""

CLOSENESS = tuple(10.0**power for power in range(-1, 6))
"""What a change of the probabilities costs, round by round."""


def memguard(*, epochs: int = 400, learning_rate: float = 1e-3) -> Defense:
    r"""Train as undefended; then move every answer across the defender's own classifier.

    The defender trains a classifier g of her model's sorted probabilities, for members against
    public records. To answer with logits z, whose sorted probabilities are s, she minimizes

    .. math:: \lvert \operatorname{logit} g(\mathrm{softmax}\, z') \rvert
        + 10 \max(0, \max_{j \neq \ell} z'_j - z'_\ell)
        + c \lVert \mathrm{softmax}\, z' - s \rVert_1

    in steps of length 0.1 along the normalised gradient, until ℓ is the arg-max of z' and g is
    on the other side of 1/2, for at most 300 steps. From c = 0.1 on, each success is kept and the
    search starts again from z with ten times the c, to c = 10⁵; the first failure ends it. The
    answer is the last success; z itself if there is none, or where g is within 1e-5 of 1/2.

    Guarantees:
        * harmless: the label ℓ is kept; of tied logits ℓ is the lowest class number;
        * turned or untouched: g of an answer, which it reads in the order of s, is on the other
          side of 1/2, or the answer is z, bit for bit;
        * the trained model is the undefended one, bit for bit, and answers draw nothing.

    Args:
        epochs: Passes of g over its training data, at least 1.
        learning_rate: Of g, > 0.

    Raises:
        UserError: An argument is out of range; or, in training, there are fewer public records
            than a tenth of the members.

    References:
        | MemGuard: Defending against Black-Box Membership Inference Attacks via Adversarial
          Examples (Jia et al., 2019), https://arxiv.org/abs/1909.10594

    Differs from the paper, which releases the changed answer with a probability that keeps an
    expected distortion: this is the deterministic variant, which always does. It is also what the
    code released with HAMP (Chen & Pattabiraman, 2024) does, up to two things: there one
    classifier serves all reference models, here each model has its own, as each is audited; and
    members and public records, of which there may be more or fewer, weigh the same here.
    """
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise UserError(f"memguard needs a whole number of epochs >= 1, got {epochs!r}")
    if not 0 < learning_rate < float("inf"):
        raise UserError(f"memguard needs a finite learning_rate > 0, got {learning_rate}")
    return Defense(fit=partial(_fit, epochs, learning_rate), ready=_ready, respond=_respond)


def _ready(members: int, public: int) -> None:
    if public < max(1, FEWEST * members):
        raise UserError(
            f"memguard needs public records for non-members, at least {FEWEST:g} for each of the "
            f"{members} members, got {public}. Raise reference.public."
        )


def _fit(
    epochs: int, learning_rate: float, trainer: Trainer, number: int, rows: IntArray
) -> Fitted:
    _ready(len(rows), len(trainer.public))
    state = trainer.train({number: rows}, role="reference")[number]
    members, others = (
        _sorted(trainer.logits(state, trainer.samples.inputs[torch.as_tensor(part)]))[0].softmax(1)
        for part in (rows, trainer.public)
    )
    rng = torch_child(trainer.seed, "memguard", number)
    return Fitted(state=state, kept=_classifier(members, others, epochs, learning_rate, rng))


def _sorted(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Each row from its largest logit down, and the class numbers in that order."""
    values, order = logits.sort(dim=1, descending=True, stable=True)
    return values, order


def _classifier(
    members: Tensor, others: Tensor, epochs: int, learning_rate: float, rng: torch.Generator
) -> dict[str, Tensor]:
    """Parameters of g, trained by SGD on the binary cross-entropy; both sides weigh the same."""
    inputs = torch.cat([members, others])
    count, (m, o) = len(inputs), (len(members), len(others))
    truth = (torch.arange(count) < m).to(inputs)
    weight = torch.where(truth > 0, count / (2 * m), count / (2 * o))
    parameters = _start(inputs.shape[1], rng, inputs.device)
    optimizer = torch.optim.SGD(parameters.values(), lr=learning_rate)
    for _ in range(epochs):
        order = torch.randperm(count, generator=rng).to(inputs.device)
        for batch in order.split(BATCH):
            optimizer.zero_grad()
            logits = _score(parameters, inputs[batch])
            functional.binary_cross_entropy_with_logits(
                logits, truth[batch], weight=weight[batch]
            ).backward()
            optimizer.step()
    return {name: value.detach() for name, value in parameters.items()}


def _start(classes: int, rng: torch.Generator, device: torch.device) -> dict[str, Tensor]:
    parameters = {}
    for layer, (wide, out) in enumerate(pairwise((classes, *HIDDEN, 1))):
        weight = init.xavier_uniform_(torch.empty(out, wide), generator=rng).to(device)
        parameters[f"{layer}.weight"] = weight.requires_grad_()
        parameters[f"{layer}.bias"] = torch.zeros(out, device=device).requires_grad_()
    return parameters


def _score(parameters: Mapping[str, Tensor], probabilities: Tensor) -> Tensor:
    """The logit of g, shape ``(n,)``."""
    value = probabilities
    for layer in range(len(HIDDEN) + 1):
        value = functional.relu(value) if layer else value
        value = functional.linear(value, parameters[f"{layer}.weight"], parameters[f"{layer}.bias"])
    return value[:, 0]


def _respond(logits: Tensor, query: Query) -> Tensor:
    kept = {name: value.to(logits.device) for name, value in query.kept.items()}
    ordered, order = _sorted(logits.detach())
    answers = ordered.clone()
    score = _score(kept, ordered.softmax(1))
    left = ((score.sigmoid() - 0.5).abs() > UNDECIDED).nonzero()[:, 0]
    for closeness in CLOSENESS:
        done, turned = _turn(kept, ordered[left], score[left].sign(), closeness)
        left = left[done]
        answers[left] = turned
    return torch.empty_like(answers).scatter_(1, order, answers)


def _turn(
    kept: Mapping[str, Tensor], start: Tensor, side: Tensor, closeness: float
) -> tuple[Tensor, Tensor]:
    """One round for all rows at once: which of them turned, and what they came to.

    Rows have their label in front. A row that has turned leaves the computation.
    """
    found = start.clone()
    done = torch.zeros(len(start), dtype=torch.bool, device=start.device)
    rows = torch.arange(len(start), device=start.device)
    here, goal = start, start.softmax(1)
    for step in range(STEPS + 1):
        if not len(rows):
            break
        here = here.detach().requires_grad_()
        with torch.enable_grad():
            probabilities = here.softmax(1)
            score = _score(kept, probabilities)
            lead = here[:, 0] - here[:, 1:].amax(1)
            cost = score.abs() + LABEL_WEIGHT * (-lead).relu()
            cost = cost + closeness * (probabilities - goal).abs().sum(1)
        over = (score * side <= 0) & (lead > 0)
        found[rows[over]], done[rows[over]] = here.detach()[over], True
        if step == STEPS:
            break
        (slope,) = torch.autograd.grad(cost, here, torch.ones_like(cost))
        slope = LENGTH * functional.normalize(slope, dim=1)
        go = ~over
        here, rows = (here.detach() - slope)[go], rows[go]
        goal, side = goal[go], side[go]
    return done, found[done]
