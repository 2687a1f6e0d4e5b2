"""What is measured through a defense, against autograd on one sample at a time."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from gradients.oracle import plain_gradients_of
from seepage._rng import torch_child
from seepage.protocols import Defense
from seepage.records import Candidates
from seepage.signals.adaptive import ADAPTIVE, Knowledge
from seepage.signals.measure import measure

CLASSES, SAMPLES, SEED = 3, 7, 5


def mlp(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 6), nn.Tanh(), nn.Linear(6, CLASSES))


def cnn(seed):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.GroupNorm(2, 4),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3, stride=2),
        nn.Flatten(),
        nn.Linear(20, CLASSES),
    )


def mixing(inputs, targets, rng):
    """Each with the next one of a drawn order, by a drawn share; both soft targets and inputs."""
    order = torch.randperm(len(inputs), generator=rng)
    share = 0.6 + 0.3 * float(torch.rand((), generator=rng))
    return share * inputs + (1 - share) * inputs[order], (
        share * targets + (1 - share) * targets[order]
    )


def concave(logits, targets):
    """A loss that is negative where the model is sure."""
    entropy = functional.cross_entropy(logits, targets, reduction="none")
    return entropy / 2 - (-entropy).exp().exp() / 2


def cross_entropy(logits, targets):
    return functional.cross_entropy(logits, targets, reduction="none")


def parameters(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def round_of(make, sparse):
    start = parameters(make(0))
    uploads = {k: parameters(make(k + 1)) for k in (2, 4)}
    if sparse:
        rng = torch.Generator().manual_seed(8)
        for sent in uploads.values():
            for name, value in sent.items():
                kept = torch.rand(value.shape, generator=rng) < 0.3
                sent[name] = torch.where(kept, value, start[name])
    rng = torch.Generator().manual_seed(1)
    return {
        "model": make(99),
        "start": start,
        "uploads": uploads,
        "candidates": Candidates(
            ids=np.arange(20, 20 + SAMPLES),
            inputs=torch.randn(SAMPLES, 1, 6, 6, generator=rng),
            labels=torch.arange(SAMPLES) % CLASSES,
        ),
    }


def passed(candidates, batch, draw, batch_size, number):
    """One draw of the hook, batch by batch of a shuffled order, put back one by one."""
    targets = torch.eye(CLASSES)[candidates.labels]
    if batch is None:
        return candidates.inputs, targets
    rng = torch_child(SEED, "adaptive", number, draw)
    order = torch.randperm(SAMPLES, generator=rng).tolist()
    made = {}
    for first in range(0, SAMPLES, batch_size):
        rows = order[first : first + batch_size]
        for j, *of_j in zip(rows, *batch(candidates.inputs[rows], targets[rows], rng), strict=True):
            made[j] = of_j
    return tuple(torch.stack([made[j][part] for j in range(SAMPLES)]) for part in (0, 1))


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("loss", [None, concave])
@pytest.mark.parametrize("batch", [None, mixing])
@pytest.mark.parametrize("make", [mlp, cnn])
def test_against_one_backward_pass_a_sample_and_draw(make, batch, loss, sparse):
    held, draws = round_of(make, sparse), 3
    known = Knowledge(
        batch=batch,
        loss=loss,
        sparse=sparse,
        draws=draws,
        seed=SEED,
        batch_size=3,
        classes=CLASSES,
        round_number=2,
    )
    found = measure(**held, names=list(ADAPTIVE), knowledge=known, batch_size=4)
    taken = range(draws if batch else 1)
    passes = [passed(held["candidates"], batch, draw, 3, 2) for draw in taken]
    gradients = torch.stack(
        [plain_gradients_of(make(0), *each, loss or cross_entropy) for each in passes]
    )
    norm = gradients.square().sum(2).mean(0)
    np.testing.assert_allclose(found["adaptive_squared_gradient_norm"], norm, rtol=1e-4)
    for k, sent in held["uploads"].items():
        u = torch.cat([(held["start"][n] - sent[n]).flatten() for n in sent]).double()
        on = (u != 0).double() if sparse else torch.ones_like(u)
        root = ((gradients * on).square().sum(2).mean(0)).sqrt()
        cosine = (gradients.mean(0) @ u) / (root * u.norm())
        one = found.sel(client=k)
        np.testing.assert_allclose(one["adaptive_cosine"], cosine, rtol=1e-4, atol=1e-5)
        model = make(k + 1)
        model.load_state_dict(sent)
        losses = [(loss or cross_entropy)(model(x), y).detach() for x, y in passes]
        mean = torch.stack(losses).mean(0)
        np.testing.assert_allclose(one["adaptive_loss"], mean, rtol=1e-5, atol=1e-6)


def test_knowing_nothing_of_use_gives_the_plain_signals():
    """No hook, cross-entropy, everything sent: the adaptive signals are the plain ones."""
    held = round_of(cnn, sparse=False)
    known = Knowledge(seed=0, batch_size=3, classes=CLASSES)
    plain = ["cosine", "loss", "squared_gradient_norm"]
    found = measure(**held, names=[*plain, *ADAPTIVE], knowledge=known)
    for name in plain:
        np.testing.assert_allclose(found[f"adaptive_{name}"], found[name], rtol=2e-4, atol=1e-6)


def noisy(inputs, targets, rng):
    return inputs + torch.randn(inputs.shape, generator=rng), targets


def test_scattered_draws_shrink_the_cosine_and_never_leave_its_range():
    """Against the cosine of the mean gradient: ours is smaller by |mean| / root mean square."""
    held = round_of(mlp, sparse=False)
    known = Knowledge(batch=noisy, draws=6, seed=SEED, batch_size=7, classes=CLASSES)
    found = measure(**held, names=["adaptive_cosine"], knowledge=known)["adaptive_cosine"]
    passes = [passed(held["candidates"], noisy, draw, 7, 1) for draw in range(6)]
    gradients = torch.stack([plain_gradients_of(mlp(0), *each, cross_entropy) for each in passes])
    mean = gradients.mean(0)
    shrink = mean.norm(dim=1) / gradients.square().sum(2).mean(0).sqrt()
    assert shrink.max() < 0.99
    for k, sent in held["uploads"].items():
        u = torch.cat([(held["start"][n] - sent[n]).flatten() for n in sent]).double()
        expected = functional.cosine_similarity(mean, u[None]) * shrink
        np.testing.assert_allclose(found.sel(client=k), expected, rtol=1e-4, atol=1e-6)


def test_draws_are_named_by_seed_round_and_draw():
    held = round_of(mlp, sparse=False)

    def loss_of(**changes):
        known = {"seed": 0, "batch_size": 3, "classes": CLASSES, "draws": 2} | changes
        found = measure(**held, names=["adaptive_loss"], knowledge=Knowledge(batch=noisy, **known))
        return found["adaptive_loss"].values

    np.testing.assert_array_equal(loss_of(), loss_of())
    for other in ({"seed": 1}, {"round_number": 2}, {"draws": 3}):
        assert not np.allclose(loss_of(), loss_of(**other))


def test_what_a_defense_that_draws_nothing_costs():
    """One pass, whatever the number of draws."""
    rows = round_of(mlp, sparse=False)["candidates"]
    known = Knowledge(loss=concave, draws=9, seed=0, batch_size=3, classes=CLASSES)
    assert len(list(known.passes(rows))) == 1


def test_where_there_is_something_to_know():
    assert Knowledge.exists(Defense(batch=mixing))
    assert Knowledge.exists(Defense(loss=concave))
    assert Knowledge.exists(Defense(sparse=True))
    noise = Defense(update=lambda change, turn: change, respond=lambda logits, query: logits)
    assert not Knowledge.exists(noise)
    assert not Knowledge.exists(Defense(share=0.5))


def test_a_sure_model_has_a_loss_that_is_not_rounded_away():
    """Float32 cross-entropy of a margin of 20 is 0; the loss hook is handed float64."""
    known = Knowledge(seed=0, batch_size=1, classes=2, loss=cross_entropy)
    losses = known.losses(torch.tensor([[20.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    assert losses.item() == pytest.approx(math.exp(-20), rel=1e-6)
