"""Images out of one client's upload, by search: find records that would have moved the model so.

The server is the adversary. It knows all of a round but the records: the model, the parameters
that the client began with and those it sent back, and how it trained.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy
from torch.nn.modules.dropout import _DropoutNd

from seepage.inversion.analytic import labels_of
from seepage.inversion.client_round import ClientRound
from seepage.inversion.contract import Target
from seepage.records import UserError

MILESTONES, DECAY = (3 / 8, 5 / 8, 7 / 8), 0.1
"""After these shares of the steps the step size is multiplied by the decay."""

TINY = 1e-30
"""Added to a squared norm, so that a retraced change of 0 has a gradient."""

REFUSALS = ("differentiate twice", "is not implemented", "does not require grad")
"""What torch says of a layer whose gradient has no gradient."""

ALONE = "more than 1 value per channel"
"""What it says of batch normalisation of a single sample."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How hard to search; the fields are those of a study's section ``inversion.gradients``.

    Attributes:
        restarts: Times it begins anew; the best by its own objective is kept.
        steps: Steps of each.
        total_variation: Weight α of the total variation of an image, >= 0.
        learning_rate: Step size in pixels.

    Raises:
        UserError: A number is out of range.
    """

    restarts: int = 1
    steps: int = 1000
    total_variation: float = 0.001
    learning_rate: float = 0.1

    def __post_init__(self) -> None:
        if self.restarts < 1 or self.steps < 1:
            raise UserError(
                "a gradient inversion needs at least 1 restart and 1 step, got "
                f"{self.restarts} and {self.steps}"
            )
        if not self.learning_rate > 0 or not 0 <= self.total_variation < float("inf"):
            raise UserError(
                "a gradient inversion needs a step size above 0 and a finite weight of the total "
                f"variation of at least 0, got {self.learning_rate} and {self.total_variation}"
            )


@dataclass(frozen=True, kw_only=True)
class Inverted:
    """What a search found, on the CPU. Its order says nothing: the client's is unknown.

    Attributes:
        images: Pixels in [0, 1], float32, shape ``(n, c, h, w)``.
        labels: The class that each was taken to have, int64, shape ``(n,)``.
        trace: The objective before each step of the restart that was kept, float64, ``(steps,)``.
        matched: One minus the cosine of the change that these images make and the upload's, in
            [0, 2]: 0 is the same direction.
    """

    images: Tensor
    labels: Tensor
    trace: NDArray[np.float64]
    matched: float


def gradient_inversion(
    target: Target,
    seen: ClientRound,
    search: Search,
    rng: torch.Generator,
    labels: Tensor | None = None,
) -> Inverted:
    r"""Search for the records that a client trained on.

    .. math:: \min_{x \in [0, 1]^{n \times c \times h \times w}}
        1 - \frac{\langle \Delta(x, y), \theta_0 - \theta_T \rangle}
        {\lVert \Delta(x, y) \rVert \, \lVert \theta_0 - \theta_T \rVert}
        + \frac{\alpha}{n} \sum_i \mathrm{TV}(x_i)

    :math:`\Delta(x, y)` is by how much the client's own local steps would have lowered the
    parameters had it held the images *x* with labels *y*: all of them are retraced, with their
    step sizes, momentum and weight decay, on mini-batches in a fixed order. After one step on all
    records it is a multiple of their gradient. TV is the mean absolute difference of vertical
    neighbors plus that of horizontal ones.

    Images start uniform in [0, 1]. Adam steps by the *sign* of the gradient and every step ends in
    [0, 1]; its step size falls tenfold after 3/8, 5/8 and 7/8 of the steps. Where an epoch has
    several mini-batches, labels are dealt to them anew in each restart. Restarts run one by one:
    on small networks all in one batch by ``vmap`` took 0.5 to 2 times as long on a CPU, most for
    few restarts, and it rules layers out.

    The network runs as in training, without what dropout and other layers draw, which the server
    does not know.

    Args:
        target: The architecture and how pixels are normalised; its own parameters are not read.
        seen: The client's round.
        search: How hard to search.
        rng: Draws the first images, the order of labels, and the noise of :func:`labels_of`.
        labels: The records' class numbers, shape ``(n,)``; None reads them off the upload.

    Raises:
        UserError: A layer has no second derivative; ``labels`` are not one for each record; or
            they cannot be read off the upload.

    References:
        | Inverting Gradients - How easy is it to break privacy in federated learning? (Geiping et
          al., 2020), https://arxiv.org/abs/2003.14053

    Differs from the paper's code: pixels are optimised, not normalised values, so a step has the
    same size in every channel; images start uniform, not normal; momentum and weight decay of the
    client are retraced too.
    """
    known = labels_of(target, seen, rng).labels if labels is None else labels
    if known.shape != (seen.met,):
        raise UserError(
            f"gradient_inversion needs one label for each of {seen.met} records, got shape "
            f"{tuple(known.shape)}. Pass class numbers, or None to read them off the upload."
        )
    found = [_restart(target, seen, search, rng, known) for _ in range(search.restarts)]
    return min(found, key=lambda each: each[0])[1]


def retraced(network: nn.Module, seen: ClientRound, inputs: Tensor, labels: Tensor) -> list[Tensor]:
    """By how much the round's local steps lower each parameter, with gradients to ``inputs``.

    Args:
        network: The architecture; its own parameters are not read.
        seen: The client's round; its upload is not read.
        inputs: Normalised inputs, shape ``(n, ...)``.
        labels: Class numbers, shape ``(n,)``.
    """
    names = [name for name, _ in network.named_parameters()]
    start = [seen.start[name].detach().to(inputs).requires_grad_() for name in names]
    pull, keep = seen.training.weight_decay, seen.training.momentum
    now: list[Tensor] = start
    velocity: list[Tensor] = []
    for step in seen.steps():
        placed = dict(zip(names, now, strict=True))
        logits = functional_call(network, placed, (inputs[step.rows],))
        loss = cross_entropy(logits, labels[step.rows])
        slopes = torch.autograd.grad(loss, now, create_graph=True, materialize_grads=True)
        if pull:
            slopes = [g + pull * p for g, p in zip(slopes, now, strict=True)]
        if keep and not step.fresh:
            slopes = [keep * v + g for v, g in zip(velocity, slopes, strict=True)]
        velocity = list(slopes)
        now = [p - step.rate * v for p, v in zip(now, velocity, strict=True)]
    return [before - after for before, after in zip(start, now, strict=True)]


def _restart(
    target: Target, seen: ClientRound, search: Search, rng: torch.Generator, labels: Tensor
) -> tuple[float, Inverted]:
    """One search from new images, and its objective at the end."""
    order = torch.randperm(len(labels), generator=rng)
    dealt = labels.cpu()[order].to(target.device)
    images = torch.rand(len(labels), *target.shape, generator=rng).to(target.device)
    images.requires_grad_()
    network = _as_in_training(target.model)
    change = seen.change()
    wanted = torch.cat([change[n].flatten() for n, _ in network.named_parameters()])
    wanted = (wanted / wanted.norm()).to(target.device)
    optimizer = torch.optim.Adam([images], lr=search.learning_rate)
    falls = [round(share * search.steps) for share in MILESTONES]
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, falls, DECAY)

    def measured() -> tuple[Tensor, Tensor]:
        made = retraced(network, seen, target.normalised(images), dealt)
        apart = 1 - _cosine(torch.cat([d.flatten() for d in made]), wanted)
        return apart, apart + search.total_variation * _total_variation(images)

    with _second_derivatives():
        measured()[1].backward()  # everywhere: towards the images alone torch passes a refusal by
    trace = np.empty(search.steps)
    for step in range(search.steps):
        _, objective = measured()
        (slope,) = torch.autograd.grad(objective, images)
        trace[step] = objective.item()
        images.grad = slope.sign()
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            images.clamp_(0, 1)
    apart, objective = (value.item() for value in measured())
    inverted = Inverted(
        images=images.detach().cpu(), labels=dealt.cpu(), trace=trace, matched=apart
    )
    return objective, inverted


def _as_in_training(model: nn.Module) -> nn.Module:
    """A copy that normalises batches as clients do; layers that draw let everything through."""
    network = copy.deepcopy(model).train()
    for layer in network.modules():
        if isinstance(layer, _DropoutNd) or getattr(layer, "draws", False):
            layer.eval()
    return network


def _cosine(made: Tensor, unit: Tensor) -> Tensor:
    return made @ unit / (made.square().sum() + TINY).sqrt()


def _total_variation(images: Tensor) -> Tensor:
    return images.diff(dim=-2).abs().mean() + images.diff(dim=-1).abs().mean()


@contextmanager
def _second_derivatives() -> Iterator[None]:
    """Inside, a layer that has none is the user's to mend."""
    try:
        yield
    except ValueError as error:
        if ALONE not in str(error):
            raise
        raise UserError(
            f"the client's round has a mini-batch that this model cannot be trained on ({error}). "
            "Choose a batch_size that does not leave 1 sample for the last batch, or GroupNorm."
        ) from error
    except RuntimeError as error:
        if not any(words in str(error) for words in REFUSALS):
            raise
        raise UserError(
            "a layer of this model has no second derivative, which an inversion of uploads needs "
            f"({error}). Write the layer in terms of torch's own operations, or leave the "
            "inversion of uploads out."
        ) from error
