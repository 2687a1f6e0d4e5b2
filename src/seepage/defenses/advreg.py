"""A classifier trained against an opponent who tells its members by its answers."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seepage._rng import torch_child
from seepage.protocols import Defense, Fitted
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.records import IntArray
    from seepage.training.local import Samples
    from seepage.training.trainer import Trainer


def advreg(
    *,
    alpha: float = 1.0,
    attack_steps: int = 5,
    attack_learning_rate: float = 1e-4,
    width: int = 1024,
    spread: float = 0.0,
) -> Defense:
    r"""Train the classifier *f* and an opponent *h*, who guesses membership, against each other.

    .. math:: \min_h\ \mathbb E_{D} \big(h(f(x), y) - 1\big)^2 + \mathbb E_{D'} h(f(x), y)^2,
        \qquad \min_f\ \mathbb E_{D} \big[\ell(f(x), y) + \alpha \big(h(f(x), y) -
        \tfrac12\big)\big]

    with members *D* and reference records *D'*, the study's public ones, which the classifier is
    not trained on. Before every batch of the classifier the opponent takes ``attack_steps`` steps
    of Adam, each on half a batch of members and half a batch of reference records, with the
    classifier in evaluation mode. Both halves run through shuffled orders of their own: every
    record is met equally often, up to one time. The classifier is trained as the study says, and
    as the undefended model of the same number would be: same start, same batches.

    Guarantees:
        * apart: a step of one player moves no parameter of the other;
        * neutral: α = 0 gives the undefended model, up to rounding.

    Args:
        alpha: Weight α ≥ 0 of the opponent's guess.
        attack_steps: The opponent's steps before every batch, at least 1.
        attack_learning_rate: The opponent's step size, > 0.
        width: Width of the opponent's first layer, a multiple of 16; the others follow from it
            (:class:`Opponent`).
        spread: Deviation of the opponent's first weights, ≥ 0; the published 0.01 leaves it
            undecided for a while. 0 takes √(2 / inputs) in each layer, with which it plays at once.

    Raises:
        UserError: An option is out of range; in training, there are no public records.

    References:
        | Machine Learning with Membership Privacy using Adversarial Regularization (Nasr et al.,
          2018), https://arxiv.org/abs/1807.05852

    Differs from the paper, whose opponent maximizes the likelihood and whose classifier minimizes
    α ln h: squares and h itself are what released codes train. Those codes show the opponent only
    some of the members, in a fixed order, give it up to 26 steps for every batch, and start it
    from weights of deviation 0.01 (``spread``), which leave it undecided for its first 250 steps
    (on Location30; narrower ones for good). With ``spread = 0`` it plays from the first batch, and
    published α of 3 to 10 are far too strong: with 1,350 members of Location30, an MLP of widths
    256 and 128, and an opponent of width 256, accuracy on others fell from 64 % to 58, 48 and 35 %
    with α = 0.3, 1 and 3, and the loss still told members with an AUC of 0.81 to 0.82 (0.81
    undefended; one seed).
    """
    if not 0 <= alpha < float("inf") or not 0 < attack_learning_rate < float("inf"):
        raise UserError(
            "advreg needs a finite alpha >= 0 and attack_learning_rate > 0, got "
            f"{alpha} and {attack_learning_rate}"
        )
    if not 0 <= spread < float("inf"):
        raise UserError(f"advreg needs a finite spread >= 0, got {spread}")
    if attack_steps < 1 or width < 16 or width % 16:
        raise UserError(
            "advreg needs attack_steps of at least 1 and a width that is a multiple of 16, got "
            f"{attack_steps} and {width}"
        )
    fit = partial(_fit, alpha, attack_steps, attack_learning_rate, width, spread)
    return Defense(fit=fit, ready=_ready)


def _ready(members: int, public: int) -> None:
    if not public:
        raise UserError(
            "advreg needs reference records that are in no model: set reference.public to how "
            "many, at best as many as a model has members"
        )


def _fit(
    alpha: float,
    attack_steps: int,
    attack_learning_rate: float,
    width: int,
    spread: float,
    trainer: Trainer,
    number: int,
    rows: IntArray,
) -> Fitted:
    _ready(len(rows), len(trainer.public))
    game = Game(
        Opponent(trainer.samples.classes, width, spread),
        trainer.samples,
        torch.as_tensor(rows),
        torch.as_tensor(trainer.public),
        half=max(1, trainer.settings.batch_size // 2),
        learning_rate=attack_learning_rate,
        seed=(trainer.seed, number),
    )
    trained = replace(trainer, model=game.facing(trainer.model, attack_steps)).train(
        {number: rows}, role="reference", defense=Defense(loss=partial(game.loss, alpha))
    )
    return Fitted(state=trained[number])


class Opponent(nn.Module):
    """The inference model *h*: from logits and one-hot labels to a chance of membership.

    With width w and C classes: logits C → w → w/2 → w/16, labels C → w/8 → w/16, both together
    w/8 → w/2 → w/4 → w/8 → w/16 → 1; ReLU between, sigmoid at the end. Weights are on the meta
    device until :meth:`begin`.
    """

    def __init__(self, classes: int, width: int, spread: float = 0.0) -> None:
        super().__init__()
        self.spread = spread
        few = width // 16
        with torch.device("meta"):
            self.of_logits = _layers(classes, width, width // 2, few)
            self.of_labels = _layers(classes, width // 8, few)
            together = _layers(width // 8, width // 2, width // 4, width // 8, few)
            self.together = nn.Sequential(*together, nn.Linear(few, 1), nn.Sigmoid())

    def begin(self, device: torch.device, rng: torch.Generator) -> None:
        """Weights drawn on the CPU, with deviation ``spread`` or √(2 / inputs), and biases of 0."""
        self.to_empty(device=device)
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.Linear):
                    drawn = torch.randn(layer.weight.shape, generator=rng)
                    layer.weight.copy_(drawn * (self.spread or (2 / layer.in_features) ** 0.5))
                    layer.bias.zero_()

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        both = torch.cat([self.of_logits(logits), self.of_labels(labels)], 1)
        return self.together(both).squeeze(1)


def _layers(*widths: int) -> nn.Sequential:
    pairs = pairwise(widths)
    return nn.Sequential(*[layer for a, b in pairs for layer in (nn.Linear(a, b), nn.ReLU())])


class Game:
    """The opponent, what it learns from, and what it costs the classifier."""

    def __init__(
        self,
        opponent: Opponent,
        samples: Samples,
        members: Tensor,
        reference: Tensor,
        *,
        half: int,
        learning_rate: float,
        seed: tuple[int, int],
    ) -> None:
        first, number = seed
        rngs = {
            use: torch_child(first, "advreg", number, use) for use in ("h", "members", "reference")
        }
        opponent.begin(samples.inputs.device, rngs["h"])
        self.opponent = opponent
        self.samples = samples
        self.optimizer = torch.optim.Adam(opponent.parameters(), lr=learning_rate)
        self.members = endless(members, half, rngs["members"])
        self.reference = endless(reference, half, rngs["reference"])

    def loss(self, alpha: float, logits: Tensor, targets: Tensor) -> Tensor:
        """The classifier's loss of each sample, ``(b,)``, from probabilities ``(b, C)``."""
        losses = nn.functional.cross_entropy(logits, targets, reduction="none")
        return losses + alpha * (self.opponent(logits, targets) - 0.5)

    def facing(self, model: nn.Module, steps: int) -> nn.Module:
        """A copy of ``model`` that the opponent takes ``steps`` steps against before each batch.

        Whatever trains the copy, or a copy of it, calls it once for every batch in training mode:
        that is when the opponent learns, from the parameters of that moment.
        """

        def learn(module: nn.Module, _: object) -> None:
            # a plain function, so that copies of the model share one opponent
            if module.training:
                module.eval()
                for _step in range(steps):
                    self.attack(module)
                module.train()

        watched = copy.deepcopy(model)
        watched.register_forward_pre_hook(learn)
        return watched

    def attack(self, classifier: nn.Module) -> None:
        """One step of the opponent; the classifier's parameters and their gradients stay."""
        rows = torch.cat([next(self.members), next(self.reference)])
        labels = nn.functional.one_hot(self.samples.labels[rows], self.samples.classes).float()
        with torch.no_grad():
            logits = classifier(self.samples.inputs[rows])
        truth = torch.zeros(len(rows)).to(logits)
        truth[: len(rows) // 2] = 1
        self.optimizer.zero_grad()
        nn.functional.mse_loss(self.opponent(logits, labels), truth).backward()
        self.optimizer.step()


def endless(rows: Tensor, size: int, rng: torch.Generator) -> Iterator[Tensor]:
    """Batches of ``size``, cut from one shuffled order of ``rows`` after the other."""
    left = rows[:0]
    while True:
        while len(left) < size:
            left = torch.cat([left, rows[torch.randperm(len(rows), generator=rng)]])
        yield left[:size]
        left = left[size:]
