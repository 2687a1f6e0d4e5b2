"""Norms of per-sample gradients of any loss against one backward pass per sample."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradients.oracle import plain_gradients_of
from seepage.gradients import Listener, per_sample_norms
from seepage.records import UserError

CLASSES = 4


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(2 * 64, 9), nn.Tanh(), nn.Linear(9, CLASSES))


def convolutions():
    return nn.Sequential(
        nn.Conv2d(2, 18, 3, padding=1),
        nn.GroupNorm(3, 18),
        nn.ReLU(inplace=True),
        nn.Conv2d(18, 6, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(54, CLASSES),
    )


class Unknown(nn.Module):
    """A layer that no rule knows."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 5))

    def forward(self, x):
        return (x @ self.weight.square()).tanh()


class Own(nn.Module):
    """Such a layer, and one that is called twice."""

    def __init__(self):
        super().__init__()
        self.own = Unknown()
        self.twice = nn.Linear(5, 5)
        self.norm = nn.LayerNorm(5)
        self.last = nn.Linear(5 * 16, CLASSES)

    def forward(self, x):
        rows = x.flatten(1, 2)
        return self.last(self.norm(self.twice(self.twice(self.own(rows)).tanh())).flatten(1))


def cross_entropy(logits, targets):
    return functional.cross_entropy(logits, targets, reduction="none")


def confident(logits, targets):
    """Cross-entropy less a reward for entropy."""
    logs = logits.log_softmax(1)
    return cross_entropy(logits, targets) + 0.3 * (logs.exp() * logs).sum(1)


def square(logits, targets):
    return (logits - targets).square().sum(1)


MODELS = {"mlp": mlp, "convolutions": convolutions, "own": Own}


@pytest.fixture
def samples():
    rng = torch.Generator().manual_seed(0)
    inputs = torch.randn(7, 2, 8, 8, generator=rng, dtype=torch.float64)
    targets = torch.rand(7, CLASSES, generator=rng, dtype=torch.float64)
    return inputs, targets / targets.sum(1, keepdim=True)


def model_of(name):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return MODELS[name]().double()


@pytest.mark.parametrize("loss", [cross_entropy, confident, square], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", MODELS)
def test_norms_of_any_loss_agree_with_one_backward_pass_per_sample(name, loss, samples):
    model = model_of(name)
    norms = per_sample_norms(model, *samples, loss)
    plain = plain_gradients_of(model, *samples, loss).square().sum(1)
    assert plain.min() > 0
    torch.testing.assert_close(norms, plain, rtol=1e-9, atol=0)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_the_size_of_micro_batches_does_not_matter(batch_size, samples):
    model = model_of("convolutions")
    norms = per_sample_norms(model, *samples, confident, batch_size=batch_size)
    torch.testing.assert_close(norms, per_sample_norms(model, *samples, confident))


@pytest.mark.parametrize("name", MODELS)
def test_a_listener_serves_the_norms_and_the_backward_pass_after_them(name, samples):
    model, (inputs, targets) = model_of(name), samples
    listener = Listener(model, inputs[:2])
    plain = plain_gradients_of(model, inputs, targets, square)
    for _ in range(2):  # the second time as the first
        losses, norms = listener(lambda: square(model(inputs), targets))
        torch.testing.assert_close(norms, plain.square().sum(1), rtol=1e-9, atol=0)
        gradients = torch.autograd.grad(losses, list(model.parameters()), torch.ones(7).double())
        total = torch.cat([g.flatten() for g in gradients])
        torch.testing.assert_close(total, plain.sum(0))
    assert not any(module._forward_hooks for module in model.modules())


def test_a_listener_hears_the_pass_that_dropout_made():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        model = nn.Sequential(nn.Linear(6, 40), nn.Dropout(0.5), nn.Linear(40, CLASSES)).eval()
        inputs, targets = torch.randn(5, 6), torch.eye(CLASSES)[[0, 1, 2, 3, 0]]
        listener = Listener(model, inputs[:2])
        model.train()
        losses, norms = listener(lambda: square(model(inputs), targets))
    each = [
        torch.autograd.grad(loss, list(model.parameters()), retain_graph=True) for loss in losses
    ]
    plain = torch.stack([sum(g.double().square().sum() for g in gradients) for gradients in each])
    torch.testing.assert_close(norms, plain, rtol=1e-5, atol=0)


def test_frozen_layers_are_left_out(samples):
    model = model_of("convolutions")
    model[0].requires_grad_(False)
    norms = per_sample_norms(model, *samples, square)
    plain = plain_gradients_of(model, *samples, square).square().sum(1)
    torch.testing.assert_close(norms, plain, rtol=1e-9, atol=0)
    listener = Listener(model, samples[0][:2])
    heard = listener(lambda: square(model(samples[0]), samples[1]))[1]
    torch.testing.assert_close(heard, plain, rtol=1e-9, atol=0)


def test_an_embedding_that_is_looked_up_twice():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Sequential(nn.Embedding(6, 3), nn.Flatten(), nn.Linear(12, CLASSES)).double()
    inputs = torch.tensor([[0, 1, 1, 5], [2, 2, 2, 2], [5, 4, 3, 2]])
    targets = torch.eye(CLASSES, dtype=torch.float64)[:3]
    norms = per_sample_norms(model, inputs, targets, square)
    plain = plain_gradients_of(model, inputs, targets, square).square().sum(1)
    torch.testing.assert_close(norms, plain, rtol=1e-9, atol=0)


def test_what_is_wrong_is_named(samples):
    model, (inputs, targets) = model_of("mlp"), samples
    with pytest.raises(UserError, match="one target for each"):
        per_sample_norms(model, inputs, targets[:-1], square)
    with pytest.raises(UserError, match=r"one number a sample, shape \(7,\), got \(\)"):
        per_sample_norms(model, inputs, targets, lambda x, y: square(x, y).mean())
    mixing = nn.Sequential(nn.Flatten(), nn.Linear(128, 4), nn.BatchNorm1d(4)).double()
    with pytest.raises(UserError, match="BatchNorm1d"):
        per_sample_norms(mixing, inputs, targets, square)
