"""A federation that learns by heart: inputs and labels drawn apart, so there is nothing else."""

import numpy as np
import torch
from torch import nn
from torch.func import functional_call

from seepage.federation import run, settings_of
from seepage.metrics.roc import auc
from seepage.records import Dataset, Split
from seepage.training import Plan

CLIENTS, EACH, HELD_OUT, WIDTH, CLASSES = 4, 20, 60, 100, 4
MEMBERS = CLIENTS * EACH
ASKED = np.arange(EACH, MEMBERS + HELD_OUT)
"""Candidates: all records but those of client 0, who may be the insider."""
OWNER = np.concatenate([np.repeat([1, 2, 3], EACH), np.full(HELD_OUT, -1)])
SPLIT = Split(
    clients=tuple(np.arange(MEMBERS).reshape(CLIENTS, EACH)),
    held_out=np.arange(MEMBERS, MEMBERS + HELD_OUT),
)
ONE = Plan(kind="one_by_one")
STACKED = Plan(kind="stacked", chunk=CLIENTS)


def records(seed=0):
    rng = torch.Generator().manual_seed(seed)
    count = MEMBERS + HELD_OUT
    return Dataset(
        name="made up",
        inputs=torch.randn(count, WIDTH, generator=rng),
        labels=torch.randint(CLASSES, (count,), generator=rng),
        classes=CLASSES,
        n_train=None,
        mean=(0.0,),
        std=(1.0,),
        checksum="",
    )


def network(seed=0, *extra):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(WIDTH, 32), nn.Tanh(), *extra, nn.Linear(32, CLASSES))


def federation(
    insider=None,
    *,
    seed=0,
    rounds=10,
    split=SPLIT,
    dataset=None,
    plan=ONE,
    participation=1.0,
    epochs=1,
    learning_rate=0.05,
    **more,
):
    """The rounds of the federation, in a list."""
    settings = settings_of(
        rounds=rounds,
        batch_size=10,
        local_epochs=epochs,
        learning_rate=learning_rate,
        participation=participation,
    )
    dataset = dataset or records(seed)
    model = network(seed)
    return list(run(model, dataset, split, settings, seed=seed, plan=plan, insider=insider, **more))


def losses(state, seed=0, dataset=None):
    """Cross-entropy of every candidate."""
    dataset, network_ = dataset or records(seed), network(seed)
    with torch.no_grad():
        answers = functional_call(network_, dict(state), (dataset.inputs[ASKED],))
        found = nn.functional.cross_entropy(answers, dataset.labels[ASKED], reduction="none")
    return found.double().numpy()


def told_apart(score, these, those):
    """The AUC, and its standard error where both are alike."""
    m, n = int(these.sum()), int(those.sum())
    return auc(score[these], score[those]), np.sqrt((m + n + 1) / (12 * m * n))


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def candidates(seed=0):
    dataset = records(seed)
    return dataset.inputs[ASKED], dataset.labels[ASKED]
