"""Small samples and models for the tests of local training, and the loop they are held against."""

import copy
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from seepage._rng import torch_child


@pytest.fixture
def samples() -> SimpleNamespace:
    rng = torch.Generator().manual_seed(0)
    return SimpleNamespace(
        inputs=torch.randn(60, 6, generator=rng),
        labels=torch.randint(0, 3, (60,), generator=rng),
        classes=3,
    )


@pytest.fixture
def mlp() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))


@pytest.fixture
def shards() -> dict[int, torch.Tensor]:
    """Sizes 7, 16, 1, 19 and 8: one below a batch of 8, one of exactly two, ragged ones."""
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    return dict(enumerate(rows[:51].split([7, 16, 1, 19, 8])))


@pytest.fixture
def start_of() -> Callable[[nn.Module], dict[str, torch.Tensor]]:
    return lambda model: {n: p.detach().clone() for n, p in model.named_parameters()}


def optimizer_of(settings, parameters, rate):
    decay = {"lr": rate, "weight_decay": settings.weight_decay}
    if settings.optimizer == "sgd":
        return torch.optim.SGD(parameters, momentum=settings.momentum, **decay)
    return {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimizer](
        parameters, **decay
    )


def rates_of(settings, rate):
    """The step size of each epoch, by torch's own schedulers on an optimizer of nothing."""
    clock = torch.optim.SGD([torch.zeros(1)], lr=rate)
    scheduler = {
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(clock, factor=1.0),
        "milestones": lambda: torch.optim.lr_scheduler.MultiStepLR(
            clock, list(settings.milestones), gamma=settings.decay
        ),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(clock, settings.epochs + 1),
    }[settings.schedule]()
    for _ in range(settings.epochs):
        yield clock.param_groups[0]["lr"]
        clock.step()
        scheduler.step()


@pytest.fixture
def plain_loop():
    """What a person would write with ``torch.optim``, meeting the same batches."""

    def loop(
        model, rows, samples, settings, *, learning_rate, seed, member, number=1, validation=None
    ):
        model = copy.deepcopy(model)
        optimizer = optimizer_of(settings, model.parameters(), learning_rate)
        best, kept = -1.0, {}
        for epoch, rate in enumerate(rates_of(settings, learning_rate)):
            if settings.restart_each_epoch:
                optimizer = optimizer_of(settings, model.parameters(), rate)
            optimizer.param_groups[0]["lr"] = rate
            rng = torch_child(seed, "client", member, "round", number, "epoch", epoch)
            order = torch.randperm(len(rows), generator=rng)
            order = order if settings.shuffle else torch.arange(len(rows))
            model.train()
            for batch in rows[order].split(settings.batch_size):
                optimizer.zero_grad()
                nn.functional.cross_entropy(
                    model(samples.inputs[batch]), samples.labels[batch]
                ).backward()
                optimizer.step()
            if validation is not None:
                model.eval()
                right = model(validation.inputs).argmax(1) == validation.labels
                if right.double().mean() > best:
                    best, kept = right.double().mean(), copy.deepcopy(model.state_dict())
        return kept or {name: value.detach() for name, value in model.state_dict().items()}

    return loop
