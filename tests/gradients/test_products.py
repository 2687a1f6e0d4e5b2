"""Promises of ``gradient_products`` that are not about one layer."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradients.oracle import assert_agrees, plain_gradients, plain_gradients_of, random_updates
from seepage.records import UserError
from seepage.signals import (
    GradientProducts,
    cosine,
    gradient_difference,
    gradient_products,
)


def conv_net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 16, 3, padding=1),
        nn.GroupNorm(4, 16),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 20, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(20 * 16, 5),
    )


@pytest.fixture
def net():
    return conv_net()


@pytest.fixture
def samples():
    rng = torch.Generator().manual_seed(3)
    return torch.randn(11, 2, 8, 8, generator=rng), torch.arange(11) % 5


def test_softmax_regression_in_closed_form():
    """‖g‖² = ‖p - onehot‖² (‖x‖² + 1), and ⟨g, u⟩ from the same two vectors."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).double()
    x, y = torch.randn(9, 3, 4, dtype=torch.float64), torch.arange(9) % 4
    updates = random_updates(model, 3)
    products = gradient_products(model, x, y, updates)
    error = model(x).softmax(1) - functional.one_hot(y, 4)
    squared = error.square().sum(1) * (x.square().sum((1, 2)) + 1)
    torch.testing.assert_close(products.squared_norm, squared.detach())
    weight, bias = updates.split([48, 4], 1)
    inner = torch.einsum("no,ni,koi->nk", error, x.flatten(1), weight.view(3, 4, 12))
    torch.testing.assert_close(products.inner, (inner + error @ bias.T).detach())


def test_published_formulas_of_the_derived_signals():
    u = torch.tensor([[0.3, -0.1, 0.2, 0.0]], dtype=torch.float64)
    g = torch.tensor([[3, -1, 2, 0], [0, 2, 1, 0], [-1, 0, 0, 2]], dtype=torch.float64)
    products = GradientProducts(g @ u.T, g.square().sum(1), u.square().sum(1))
    expected = torch.tensor([1, 0, -0.358569], dtype=torch.float64)
    torch.testing.assert_close(cosine(products)[:, 0], expected, rtol=0, atol=1e-6)
    by_definition = u.square().sum() - (u - g).square().sum(1)
    difference = gradient_difference(products)[:, 0]
    torch.testing.assert_close(difference, by_definition)
    torch.testing.assert_close(difference, torch.tensor([-11.2, -5, -5.6], dtype=torch.float64))


def test_the_cosine_of_nothing_is_zero():
    zero = torch.zeros(2, 1, dtype=torch.float64)
    products = GradientProducts(zero, torch.tensor([0.0, 4.0]).double(), torch.zeros(1).double())
    assert cosine(products).tolist() == [[0.0], [0.0]]


def test_one_step_of_full_batch_descent_is_an_update(net, samples):
    """u = η·mean g, so the members' mean inner product is ‖u‖²/η, and positive."""
    x, y = samples
    rate = 0.1
    mean = plain_gradients(net, x, y).mean(0)
    products = gradient_products(net, x, y, (rate * mean).float()[None])
    squared = products.update_squared_norm
    assert squared.item() > 0
    torch.testing.assert_close(products.inner.mean(0), squared / rate, rtol=1e-5, atol=0)


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100, None])
def test_agrees_with_the_oracle_in_any_batch_size(net, samples, batch_size):
    x, y = samples  # 11 samples: a last short batch for 4
    updates = random_updates(net, 4)
    products = gradient_products(net, x, y, updates, batch_size=batch_size)
    assert_agrees(products, plain_gradients(net, x, y), updates, 1e-5)


def test_three_ways_to_give_updates_are_one(net, samples):
    updates = random_updates(net, 3)
    sizes = [p.numel() for p in net.parameters()]
    names = [name for name, _ in net.named_parameters()]
    shapes = [p.shape for p in net.parameters()]
    stacked = {
        name: part.reshape(3, *shape)
        for name, part, shape in zip(names, updates.split(sizes, 1), shapes, strict=True)
    }
    each = [{name: tensor[k] for name, tensor in stacked.items()} for k in range(3)]
    ways = (updates, stacked, each)
    results = [gradient_products(net, *samples, form, kept=True) for form in ways]
    for other in results[1:]:
        for left, right in zip(results[0], other, strict=True):
            assert torch.equal(left, right)


def test_a_sure_model_keeps_its_small_gradients():
    """Where 1 - p_y rounds to 0 in float32, the gradient does not."""
    model = nn.Linear(1, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[30.0], [0.0]]))
    one = torch.ones(1, 1)
    products = gradient_products(model, one, torch.tensor([0]), torch.ones(1, 2))
    expected = 2 * torch.tensor([30.0], dtype=torch.float64).neg().sigmoid().square()
    torch.testing.assert_close(products.squared_norm, expected, rtol=1e-5, atol=0)


def test_frozen_parameters_are_left_out(net, samples):
    updates = random_updates(net, 2)
    full = gradient_products(net, *samples, updates)
    net[0].requires_grad_(False)
    sizes = [p.numel() for p in net.parameters()]
    hidden = updates.clone()
    hidden[:, : sizes[0] + sizes[1]] = 0
    frozen = gradient_products(net, *samples, updates)
    torch.testing.assert_close(frozen.inner, gradient_products(net, *samples, hidden).inner)
    assert (frozen.squared_norm < full.squared_norm).all()
    torch.testing.assert_close(frozen.update_squared_norm, hidden.double().square().sum(1))


def state_of(model):
    return (
        {name: p.clone() for name, p in model.state_dict().items()},
        [m.training for m in model.modules()],
        [p.requires_grad for p in model.parameters()],
        [p.grad for p in model.parameters()],
        [len(m._forward_hooks) for m in model.modules()],
    )


def assert_untouched(before, model):
    after = state_of(model)
    assert all(torch.equal(before[0][name], after[0][name]) for name in before[0])
    assert before[1:] == after[1:]


def test_an_output_may_be_changed_in_place_right_after_the_first_layer():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))
    x, y, updates = torch.randn(5, 4), torch.arange(5) % 3, random_updates(model, 2)
    products = gradient_products(model, x, y, updates)
    assert_agrees(products, plain_gradients(model, x, y), updates, 1e-5)


def test_the_model_is_left_as_it_was(net, samples):
    net[2].eval()
    net[0].bias.requires_grad_(False)
    before = state_of(net)
    with torch.no_grad():
        gradient_products(net, *samples, random_updates(net, 2))
    assert_untouched(before, net)


def test_the_model_is_left_as_it_was_when_it_fails(net, samples):
    class Breaks(nn.Module):
        def forward(self, x):
            raise RuntimeError("broken")

    net.append(Breaks())
    before = state_of(net)
    with pytest.raises(RuntimeError, match="broken"):
        gradient_products(net, *samples, random_updates(net, 2))
    assert_untouched(before, net)


class Functional(nn.Module):
    """Uses a layer's weight without calling the layer."""

    def __init__(self):
        super().__init__()
        self.seen = nn.Linear(4, 4)
        self.unseen = nn.Linear(4, 3)

    def forward(self, x):
        return functional.linear(self.seen(x), self.unseen.weight, self.unseen.bias)


class Mixing(nn.Module):
    def forward(self, x):
        return x - x.mean(0)


class Hooked(nn.Linear):
    pass


def tied():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Linear(4, 3))
    model[2].weight = model[0].weight
    return model


class ChangesItsInput(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x):
        x = x * 1
        out = self.layer(x)
        x.zero_()
        return out


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Functional(), "cannot be told from its layers"),
        (nn.Sequential(nn.Linear(4, 5), Mixing(), nn.Linear(5, 3)), "cannot be told"),
        (nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 3)), "model.eval"),
        (nn.Sequential(nn.Linear(4, 5), nn.Dropout(0.5), nn.Linear(5, 3)), "model.eval"),
        (tied(), "tied weights"),
        (ChangesItsInput(), "in place"),
        (nn.Sequential(nn.Linear(4, 3), nn.Unflatten(1, (1, 3))), "shape \\(n, classes\\)"),
    ],
)
def test_what_cannot_be_told_is_refused(model, words):
    updates = random_updates(model, 2)
    with pytest.raises(UserError, match=words):
        gradient_products(model, torch.randn(4, 4), torch.tensor([0, 1, 2, 0]), updates)


def test_a_hook_that_changes_an_output_is_noticed():
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3))
    model[0].register_forward_hook(lambda module, args, out: 2 * out)
    with pytest.raises(UserError, match="cannot be told"):
        gradient_products(model, torch.randn(2, 4), torch.tensor([0, 1]), random_updates(model, 1))


def without(model, name):
    update = {key: torch.zeros_like(p) for key, p in model.named_parameters()}
    del update[name]
    return update


def test_wrong_updates_are_named(net, samples):
    whole = without(net, "0.bias") | {"0.bias": torch.zeros(16)}
    cases = [
        ([without(net, "0.bias")], "no tensor for parameter '0.bias'"),
        ([whole | {"0.biass": torch.zeros(1)}], "did you mean 0.bias"),
        ([whole, whole | {"0.bias": torch.zeros(3)}], "update 1: '0.bias' needs the shape"),
        (
            {name: torch.stack([t, t]) for name, t in whole.items()}
            | {"0.bias": torch.zeros(3, 16)},
            "needs the shape \\(2, 16\\)",
        ),
        (torch.zeros(2, 3), "needs the shape \\(K"),
        ([], "at least one update"),
    ]
    for updates, words in cases:
        with pytest.raises(UserError, match=words):
            gradient_products(net, *samples, updates)


def test_wrong_labels_and_batch_sizes_are_named(net, samples):
    x, y = samples
    updates = random_updates(net, 1)
    with pytest.raises(UserError, match="one label for each"):
        gradient_products(net, x, y[:-1], updates)
    with pytest.raises(UserError, match="labels must lie in \\[0, 5\\)"):
        gradient_products(net, x, y + 1, updates)
    with pytest.raises(UserError, match="batch_size"):
        gradient_products(net, x, y, updates, batch_size=0)


def squared_error(logits, targets):
    """A loss with targets that are no class numbers."""
    return (logits - targets).square().sum(1) / 2


def test_any_loss_of_logits_and_targets(net, samples):
    x, _ = samples
    targets = torch.randn(len(x), 5, generator=torch.Generator().manual_seed(4))
    updates = random_updates(net, 3)
    expected = plain_gradients_of(net, x, targets, squared_error)
    for batch_size in (None, 3):
        products = gradient_products(
            net, x, targets, updates, loss=squared_error, batch_size=batch_size
        )
        assert_agrees(products, expected, updates)


def test_cross_entropy_as_a_loss_is_the_one_that_is_built_in(net, samples):
    updates = random_updates(net, 3)

    def cross_entropy(logits, targets):
        return functional.cross_entropy(logits.double(), targets, reduction="none")

    ours = gradient_products(net, *samples, updates)
    given = gradient_products(net, *samples, updates, loss=cross_entropy)
    torch.testing.assert_close(given.inner, ours.inner, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(given.squared_norm, ours.squared_norm, rtol=1e-4, atol=0)


def test_a_loss_that_is_not_one_number_a_sample_is_refused(net, samples):
    with pytest.raises(UserError, match=r"one number a sample, shape \(11,\), got \(\)"):
        gradient_products(
            net, *samples, random_updates(net, 1), loss=lambda z, y: functional.cross_entropy(z, y)
        )


def test_kept_coordinates_of_a_network_in_any_micro_batch(net, samples):
    updates = random_updates(net, 3)
    updates[0] = 0
    updates[1, ::2] = 0
    expected = plain_gradients(net, *samples).square() @ (updates != 0).double().T
    for batch_size in (None, 4):
        kept = gradient_products(
            net, *samples, updates, kept=True, batch_size=batch_size
        ).kept_squared_norm
        torch.testing.assert_close(kept, expected, rtol=1e-4, atol=0)
    assert (kept[:, 0] == 0).all()


def test_kept_coordinates_leave_the_products_as_they_are(net, samples):
    updates = random_updates(net, 3)
    plain, more = (gradient_products(net, *samples, updates, kept=k) for k in (False, True))
    for left, right in zip(plain[:3], more[:3], strict=True):
        assert torch.equal(left, right)
