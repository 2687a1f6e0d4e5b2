"""A bench of tiny models on random tables."""

from functools import partial

import numpy as np
import torch

from seepage import models
from seepage.federation import settings_of
from seepage.protocols import Defense
from seepage.records import Dataset
from seepage.reference import Bench, Measuring, paired
from seepage.training import choose_plan

RECORDS = 60


def table(seed=0, records=RECORDS + 20):
    rng = np.random.default_rng(seed)
    inputs = torch.from_numpy(rng.integers(0, 2, (records, 12)).astype(np.float32))
    return Dataset(
        name="table",
        inputs=inputs,
        labels=torch.from_numpy(rng.integers(0, 3, records)),
        classes=3,
        n_train=None,
        mean=(0.0,),
        std=(1.0,),
        checksum="made up",
    )


def make_bench(*, count=6, defense=None, clients=1, plan="auto", seed=0, **settings):
    dataset = table()
    member = paired(count, RECORDS, seed=seed)
    ids = np.arange(RECORDS)
    shards = [np.array_split(ids[mine], clients) for mine in member]
    build = partial(models.build, "mlp", (12,), 3, hidden=[8])
    training = {"rounds": 1, "local_epochs": 3, "batch_size": 8, "learning_rate": 0.1}
    return Bench(
        build=build,
        dataset=dataset,
        shards=shards,
        settings=settings_of(**(training | settings)),
        defense=defense or Defense(),
        seed=seed,
        public=np.arange(RECORDS, RECORDS + 20),
        validation=np.arange(0),
        plan=choose_plan(build(seed=0), device="cpu", clients=count, requested=plan),
        keys=[f"key{seed}-{number}" for number in range(count)],
        measuring=Measuring(
            ids=np.arange(RECORDS + 20), names=("correct", "loss", "scaled_logit"), logits=True
        ),
    )
