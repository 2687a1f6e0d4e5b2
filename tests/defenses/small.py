"""A small problem and its trainer, for defenses that train models of their own."""

from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import nn

from seepage.training.local import LocalTraining
from seepage.training.trainer import Softened, Trainer

CLASSES, WIDTH = 3, 16
POOL, PUBLIC, TEST = np.arange(160), np.arange(160, 220), np.arange(220, 400)


def bits(seed=0):
    """Three classes of 16 bits, each bit of a class's own pattern turned with chance 0.2."""
    rng = torch.Generator().manual_seed(seed)
    patterns = torch.randint(2, (CLASSES, WIDTH), generator=rng)
    labels = torch.randint(CLASSES, (400,), generator=rng)
    turned = torch.rand(400, WIDTH, generator=rng) < 0.2
    return Softened((patterns[labels] ^ turned.long()).float(), labels, CLASSES)


def network(*extra):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(8), nn.Tanh(), *extra, nn.Linear(8, 3))


def trainer_of(samples=None, *extra, mean=(0.0,), std=(1.0,), public=PUBLIC, seed=5, **settings):
    samples = samples or bits()
    model = network(*extra)
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model(samples.inputs[:2])
    return Trainer(
        model=model,
        start={n: p.detach().clone() for n, p in model.named_parameters()},
        samples=samples,
        settings=LocalTraining(**{"epochs": 6, "batch_size": 16} | settings),
        learning_rate=0.3,
        seed=seed,
        mean=mean,
        std=std,
        public=public,
    )


@dataclass(frozen=True, kw_only=True)
class Watched(Trainer):
    """Keeps what every training was asked for."""

    calls: list = field(default_factory=list)

    def train(self, shards, *, role, **given):
        self.calls.append({"shards": shards, "role": role, **given})
        return super().train(shards, role=role, **given)


def watched(trainer):
    return Watched(**{name: getattr(trainer, name) for name in Trainer.__dataclass_fields__})


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def accuracy(trainer, state, rows=TEST):
    data = trainer.samples
    answers = trainer.logits(state, data.inputs[rows]).argmax(1)
    return float((answers == data.labels[rows]).float().mean())


def check_own_draws(defense, trainer):
    """Fitted twice, after another model, and amid global draws: the same numbers, bit for bit."""
    before, first = torch.get_rng_state(), defense.fit(trainer, 3, POOL[:80]).state
    assert torch.equal(torch.get_rng_state(), before)
    defense.fit(trainer, 4, POOL[40:])
    with torch.random.fork_rng():
        torch.manual_seed(9)
        again = defense.fit(trainer, 3, POOL[:80]).state
    assert same(first, again)
    assert not same(first, defense.fit(replace(trainer, seed=6), 3, POOL[:80]).state)
