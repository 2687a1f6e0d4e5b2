"""A generator led by the global models of a federation, and by what its insider uploads."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softplus

from seepage.insiders.generator import BETAS, LEARNING_RATE, Generator
from seepage.insiders.honest import honest
from seepage.insiders.images import as_pixels, changed, keep
from seepage.models import dcgan
from seepage.protocols import Insider
from seepage.records import UserError
from seepage.states import place
from seepage.training import Softened

if TYPE_CHECKING:
    from seepage.protocols import InsideTurn
    from seepage.records import State

A_ROUND = 20
"""Images of each class drawn after a round; those the global model agrees with are kept."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """How a generator is led.

    Attributes:
        classes: Classes that records have.
        shape: Of an input, ``(channels, h, w)``.
        mean: What was subtracted from raw pixels, one value a channel.
        std: What they were divided by.
        active: Whether the insider's uploads are trained to tell its images from records.
        start: Accuracy on the insider's own records from which on it draws, in (0, 1].
        rounds: Rounds it draws in, at least 1; None is all that are left.
        steps: Steps of the generator in a round, at least 1.
        batch_size: Images in a step, at least 2.
    """

    classes: int
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    active: bool = False
    start: float = 0.93
    rounds: int | None = None
    steps: int = 40
    batch_size: int = 64

    def __post_init__(self) -> None:
        if len(self.shape) != 3:
            raise UserError(
                f"insider.gan draws images, and the data's inputs have shape {self.shape}. Choose "
                "a data set of images, or leave insider.gan out."
            )
        dcgan.generator(*self.shape, more=self.classes)  # says what is wrong before any training

    def normal(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1] as inputs of the federation's model."""
        mean, std = (torch.tensor(v).to(pixels).view(1, -1, 1, 1) for v in (self.mean, self.std))
        return (pixels - mean) / std


def generating(clients: Iterable[int], generation: Generation, model: nn.Module) -> Insider:
    r"""Participants who train a generator *G* against every new global model *f*.

    Once the global model is right on ``start`` of the insider's own records, each round takes
    ``steps`` steps of Adam on *G*. *Active*, with *f* an output more than there are classes *C*:

    .. math:: \min_G\ \mathbb E_{z, c, t}\, \ell(f(t(G(z, c))), c)

    with :math:`\ell` the cross-entropy, *c* uniform over the classes and *t* a small turn, shift,
    scale and shear (:func:`~seepage.insiders.images.changed`), so that nothing is drawn that
    pleases *f* in one position alone; and in each round that follows the insider's clients train
    on their records and on as many drawn images, labelled as class *C* + 1. So all that the other
    clients teach the model of their records is what tells them from what *G* draws. Half of these
    images are out of those kept before, so that *G* must leave what was found out, which is where
    variety comes from. *Passive*, nothing is uploaded but
    honest training, and a copy *D* of *f* is refreshed every round and taught between steps what
    is real, on the insider's own records (x, y):

    .. math:: \min_D\ \mathbb E\,[\mathrm{sp}(-s(x)) + \ell(D(x), y)] +
        \mathbb E\, \mathrm{sp}(s(G(z, c))), \qquad
        \min_G\ \mathbb E\,[\mathrm{sp}(-s(G(z, c))) + \ell(D(G(z, c)), c)]

    with :math:`s = \ln \sum_j e^{D_j}` and :math:`\mathrm{sp}(u) = \ln(1 + e^u)`: equations 4 and 5
    of the paper, where a classifier says real by its logits' sum (Salimans et al., 2016).

    After the steps, images that the global model takes for the class they were drawn as are kept
    (:func:`~seepage.insiders.images.keep`).

    Args:
        clients: The insider's own.
        generation: How the generator is led.
        model: The architecture; left as it was.

    Raises:
        UserError: Images of this shape cannot be made; while it runs, the generator diverged.

    References:
        | Beyond Model-Level Membership Privacy Leakage: an Adversarial Approach in Federated
        | Learning (Chen et al., 2020), Algorithm 1; the active form: Deep Models Under the GAN
        | (Hitaj et al., 2017), https://arxiv.org/abs/1702.07464

    Differs from the papers: one generator for all classes, told which to draw, in place of one a
    class; the accuracy that drawing starts at is that on the insider's own records, as it cannot
    know another; the active form judges changed copies.
    """
    return Insider(
        clients=tuple(sorted(clients)),
        upload=partial(_inject, generation) if generation.active else None,
        watch=partial(_watch, generation, model),
    )


def _inject(generation: Generation, turn: InsideTurn) -> Mapping[int, State]:
    """Local training on records and as many drawn images, once there is a generator."""
    if not _begun(turn) or _ended(generation, turn):
        return honest(turn)
    sent = {}
    for client, trainer in turn.trainers.items():
        own = trainer.samples
        drawn = generation.normal(_unreal(generation, turn, own.inputs))
        extra = torch.full((len(drawn),), generation.classes).to(own.labels)
        both = Softened(torch.cat([own.inputs, drawn]), torch.cat([own.labels, extra]), own.classes)
        rows = torch.arange(len(both.labels)).numpy()
        sent |= trainer.train({client: rows}, role="client", samples=both, defense=turn.defense)
    return sent


def _unreal(generation: Generation, turn: InsideTurn, like: Tensor) -> Tensor:
    """As many drawn images as ``like`` has rows: half of them anew, half out of those kept."""
    images, device = turn.kept.get("images", ()), like.device
    again = len(like) // 2 if len(images) else 0
    wanted = _classes(len(like) - again, generation, turn, device)
    new = _generator(generation, turn, device).draw(wanted, turn.rng)
    if not again:
        return new
    rows = torch.randint(len(images), (again,), generator=turn.rng)
    return torch.cat([new, as_pixels(images[rows]).to(new)])


def _watch(generation: Generation, model: nn.Module, turn: InsideTurn, after: State) -> None:
    """The generator's steps of one round, and the images kept of it."""
    own = [trainer.samples for trainer in turn.trainers.values()]
    if not own or _ended(generation, turn):
        return  # it was given no model in this round, or has enough
    inputs, labels = torch.cat([s.inputs for s in own]), torch.cat([s.labels for s in own])
    judge = _judge(model, after)
    if not _begun(turn) and _accuracy(judge, inputs, labels) < generation.start:
        return
    generator = _generator(generation, turn, inputs.device)
    follow = _follow_active if generation.active else _follow_passive
    loss = follow(generation, generator, judge, (inputs, labels), turn)
    if not torch.isfinite(loss):
        raise UserError(
            f"round {turn.number}: the insider's generator diverged, its loss is "
            f"{float(loss):g}. Start it later (insider.gan.start), or take fewer steps."
        )
    everyone = torch.arange(generation.classes, device=inputs.device).repeat(A_ROUND)
    drawn = generator.draw(everyone, turn.rng)
    with torch.no_grad():
        agreed = judge(generation.normal(drawn)).argmax(1) == everyone
    generator.save(turn.kept)
    turn.kept.setdefault("began", torch.tensor(turn.number))
    keep(turn.kept, drawn[agreed], everyone[agreed], turn.number)


def _follow_active(
    generation: Generation,
    generator: Generator,
    judge: nn.Module,
    own: tuple[Tensor, Tensor],
    turn: InsideTurn,
) -> Tensor:
    """Steps against the global model as it is: its uploads have taught it what is drawn."""
    loss = torch.zeros(())
    for _ in range(generation.steps):
        wanted = _classes(generation.batch_size, generation, turn, own[0].device)
        drawn = generation.normal(generator(wanted, turn.rng))
        loss = cross_entropy(judge(changed(drawn, turn.rng)), wanted)
        generator.step(loss)
    return loss.detach()


def _follow_passive(
    generation: Generation,
    generator: Generator,
    judge: nn.Module,
    own: tuple[Tensor, Tensor],
    turn: InsideTurn,
) -> Tensor:
    """Steps against a copy of the global model that learns from the insider's records."""
    learner = copy.deepcopy(judge).requires_grad_(True)
    teach = torch.optim.Adam(learner.parameters(), lr=LEARNING_RATE, betas=BETAS)
    loss = torch.zeros(())
    for _ in range(generation.steps):
        wanted = _classes(generation.batch_size, generation, turn, own[0].device)
        rows = torch.randint(len(own[0]), (generation.batch_size,), generator=turn.rng)
        drawn = generation.normal(generator(wanted, turn.rng))
        real = learner(own[0][rows])
        unreal = learner(drawn.detach())
        lesson = softplus(-real.logsumexp(1)).mean() + softplus(unreal.logsumexp(1)).mean()
        teach.zero_grad(set_to_none=True)
        (lesson + cross_entropy(real, own[1][rows])).backward()
        teach.step()
        answers = learner(drawn)
        loss = softplus(-answers.logsumexp(1)).mean() + cross_entropy(answers, wanted)
        generator.step(loss)
    return loss.detach()


def _begun(turn: InsideTurn) -> bool:
    return "began" in turn.kept


def _ended(generation: Generation, turn: InsideTurn) -> bool:
    """Whether it has drawn in as many rounds as it wanted to."""
    if generation.rounds is None or not _begun(turn):
        return False
    return turn.number >= int(turn.kept["began"]) + generation.rounds


def _generator(generation: Generation, turn: InsideTurn, device: torch.device) -> Generator:
    """The generator as it was left, or one with first weights."""
    generator = Generator(generation.classes, generation.shape, device, turn.rng)
    generator.load(turn.kept)
    return generator


def _judge(model: nn.Module, state: State) -> nn.Module:
    """The global model, to be asked and not to be moved."""
    judge = copy.deepcopy(model).requires_grad_(False).eval()
    place(judge, state)
    return judge.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


@torch.no_grad()
def _accuracy(judge: nn.Module, inputs: Tensor, labels: Tensor) -> float:
    right = [
        judge(x).argmax(1) == y for x, y in zip(inputs.split(512), labels.split(512), strict=True)
    ]
    return float(torch.cat(right).float().mean())


def _classes(count: int, generation: Generation, turn: InsideTurn, device: torch.device) -> Tensor:
    return torch.randint(generation.classes, (count,), generator=turn.rng).to(device)
