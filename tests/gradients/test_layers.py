"""Every kind of layer against one backward pass per sample."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from gradients.oracle import assert_agrees, plain_gradients, random_updates
from seepage.gradients import bilinear, gradient_products
from seepage.gradients.layers import RULES, any_layer, rule_of
from seepage.records import UserError

CLASSES = 3


def check(model, inputs, clients=2, **options):
    """In float64, where the oracle itself has no rounding to speak of.

    Products of updates, and norms over the coordinates that sparse ones keep.
    """
    model = model.double()
    inputs = inputs.double() if inputs.is_floating_point() else inputs
    labels = torch.arange(len(inputs)) % CLASSES
    updates = random_updates(model, clients)
    products = gradient_products(model, inputs, labels, updates, **options)
    gradients = plain_gradients(model, inputs, labels)
    assert_agrees(products, gradients, updates, 1e-9)
    assert products.kept_squared_norm is None
    sparse = updates * (random_updates(model, clients, seed=1) > 0.3)
    kept = gradient_products(model, inputs, labels, sparse, kept=True, **options).kept_squared_norm
    expected = gradients.square() @ (sparse != 0).double().T
    torch.testing.assert_close(kept, expected, rtol=1e-9, atol=1e-12)


class Head(nn.Module):
    """Class scores out of anything, with no parameter: fixed random projections."""

    def forward(self, x):
        flat = x.flatten(1)
        rng = torch.Generator().manual_seed(1)
        return flat @ torch.randn(flat.shape[1], CLASSES, generator=rng).to(flat) / 8


small = st.integers(1, 3)

torch_warns = pytest.mark.filterwarnings(
    "ignore:Using padding='same' with even kernel", "ignore:There is a performance drop"
)
"""Torch tells of its own slow paths; both are taken on purpose here."""


@torch_warns
@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    kernel=st.tuples(small, small),
    stride=st.tuples(small, small),
    dilation=st.tuples(small, small),
    groups=small,
    bias=st.booleans(),
    wide=st.booleans(),
    clients=st.integers(1, 4),
    n=st.integers(1, 4),
)
def test_conv2d_of_any_shape(data, kernel, stride, dilation, groups, bias, wide, clients, n):
    padding = data.draw(
        st.one_of(st.just("valid"), st.just("same"), st.tuples(st.integers(0, 4), small))
    )
    stride = (1, 1) if padding == "same" else stride
    side = data.draw(st.tuples(st.integers(7, 14), st.integers(7, 14)))
    channels = groups * (16 if wide else 2)
    torch.manual_seed(0)
    layer = nn.Conv2d(
        channels, 2 * groups, kernel, stride, padding, dilation, groups=groups, bias=bias
    )
    check(nn.Sequential(layer, Head()), torch.randn(n, channels, *side), clients)


@settings(max_examples=30, deadline=None)
@given(
    middle=st.lists(st.integers(1, 5), max_size=2),
    width=st.integers(1, 40),
    bias=st.booleans(),
    clients=st.integers(1, 12),
    n=st.integers(1, 5),
)
def test_linear_with_any_axes_between(middle, width, bias, clients, n):
    torch.manual_seed(0)
    layer = nn.Linear(width, 4, bias=bias)
    check(nn.Sequential(layer, Head()), torch.randn(n, *middle, width), clients)


@pytest.mark.parametrize("padding_mode", ["reflect", "circular"])
def test_conv2d_with_other_padding_goes_through_vmap(padding_mode):
    layer = nn.Conv2d(2, 3, 3, padding=1, padding_mode=padding_mode)
    assert rule_of(layer) is any_layer
    check(nn.Sequential(layer, Head()), torch.randn(3, 2, 5, 6))


class Scaled(nn.Module):
    """A layer no rule knows, with a child of its own."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.rand(4) + 0.5)
        self.inner = nn.Linear(4, 4)

    def forward(self, x):
        return torch.tanh(self.inner(x) * self.scale)


class Two(nn.Module):
    """One parameter, two outputs."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.rand(4))

    def forward(self, x, *, twice):
        return x * self.w * (2 if twice else 1), {"sum": (x * self.w.square())}


class OfTwo(nn.Module):
    def __init__(self):
        super().__init__()
        self.two = Two()

    def forward(self, x):
        a, rest = self.two(x, twice=True)
        return Head()(a * rest["sum"])


def attention():
    class Attended(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x):
            return self.attention(x, x, x, need_weights=False)[0]

    return Attended()


class OneOfTwo(nn.Module):
    """Leaves an output of its layer unused."""

    def __init__(self):
        super().__init__()
        self.two = Two()

    def forward(self, x):
        return self.two(x, twice=False)[1]["sum"]


class Branching(nn.Module):
    """Decides by a number, which vmap cannot follow."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(4))

    def forward(self, x):
        return x * self.w if x.sum().item() > 0 else x * self.w.square()


LAYERS = {
    "group_norm": (lambda: nn.GroupNorm(2, 6), (6, 3, 4)),
    "group_norm_flat": (lambda: nn.GroupNorm(2, 6), (6, 4)),
    "group_norm_no_positions": (lambda: nn.GroupNorm(2, 6), (6,)),
    "layer_norm": (lambda: nn.LayerNorm(5), (3, 5)),
    "layer_norm_two_axes": (lambda: nn.LayerNorm([3, 5]), (2, 3, 5)),
    "layer_norm_no_bias": (lambda: nn.LayerNorm(5, bias=False), (3, 5)),
    "conv1d": (lambda: nn.Conv1d(3, 4, 3), (3, 8)),
    "conv3d": (lambda: nn.Conv3d(2, 2, 2), (2, 3, 3, 3)),
    "conv_transpose": (lambda: nn.ConvTranspose2d(3, 2, 2, stride=2), (3, 3, 3)),
    "prelu": (lambda: nn.PReLU(3), (3, 4)),
    "linear_many_places": (lambda: nn.Sequential(nn.Linear(4, 3), nn.Tanh()), (7, 4)),
    "own_parameters": (Scaled, (4,)),
    "keywords_and_two_outputs": (OfTwo, (4,)),
    "batch_norm_eval": (lambda: nn.BatchNorm2d(3).eval(), (3, 4, 4)),
    "weight_norm": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 3)),
        (4,),
    ),
    "one_output_of_two": (OneOfTwo, (4,)),
    "attention": (attention, (5, 8)),
}


@torch_warns
@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    torch.manual_seed(0)
    make, shape = LAYERS[name]
    layer = make()
    with torch.no_grad():  # scales of 1 and shifts of 0 would hide mistakes
        for parameter in layer.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    check(nn.Sequential(layer, Head()), torch.randn(5, *shape), batch_size=2)


def test_a_layer_vmap_cannot_run_is_named():
    model = nn.Sequential(Branching(), Head())
    with pytest.raises(UserError, match="the layer Branching"):
        gradient_products(model, torch.randn(2, 4), torch.tensor([0, 1]), random_updates(model, 1))


@pytest.mark.parametrize("options", [{}, {"padding_idx": 1}, {"scale_grad_by_freq": True}])
def test_embedding_with_repeated_rows(options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(6, 4, **options), nn.Linear(4, 3), nn.Tanh(), Head())
    check(model, torch.tensor([[1, 1, 2, 5], [3, 3, 3, 3], [0, 1, 2, 3]]))


def test_every_rule_is_chosen_for_its_layer():
    layers = (
        nn.Conv2d(4, 4, 3),
        nn.Embedding(4, 4),
        nn.GroupNorm(2, 4),
        nn.LayerNorm(4),
        nn.Linear(4, 4),
    )
    assert {type(layer) for layer in layers} == set(RULES)
    assert all(rule_of(layer) is RULES[type(layer)][1] for layer in layers)


def test_a_subclass_may_compute_something_else():
    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    torch.manual_seed(0)
    assert rule_of(Doubled(4, 3)) is any_layer
    check(nn.Sequential(Doubled(4, 3), Head()), torch.randn(3, 4))


class Twice(nn.Module):
    """Calls a layer twice in one forward pass, the second time on other positions."""

    def __init__(self, layer, shrink=None):
        super().__init__()
        self.layer = layer
        self.shrink = shrink or nn.Identity()

    def forward(self, x):
        return torch.tanh(self.layer(self.shrink(torch.tanh(self.layer(x)))))


@pytest.mark.parametrize(
    ("layer", "shape", "shrink"),
    [
        (nn.Linear(4, 4), (4,), None),
        (nn.Linear(4, 4), (3, 4), None),
        (nn.Conv2d(16, 16, 3, padding=1), (16, 6, 6), nn.AvgPool2d(2)),
        (nn.Conv2d(2, 2, 3, padding=1), (2, 6, 6), nn.AvgPool2d(2)),
        (nn.GroupNorm(2, 4), (4, 6), nn.AvgPool1d(2)),
        (nn.LayerNorm(4), (3, 4), None),
        (nn.Conv1d(3, 3, 3, padding=1), (3, 6), nn.AvgPool1d(2)),
        (Scaled(), (4,), None),
    ],
)
def test_a_layer_called_twice_has_its_cross_terms(layer, shape, shrink):
    torch.manual_seed(0)
    check(nn.Sequential(Twice(layer, shrink), Head()), torch.randn(4, *shape))


def test_an_embedding_called_twice():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(5, 4)

        def forward(self, x):
            return torch.tanh(self.table(x[:, :2])).sum(1) * self.table(x[:, 2:]).sum(1)

    torch.manual_seed(0)
    check(nn.Sequential(Sum(), Head()), torch.tensor([[1, 1, 1, 2], [3, 0, 0, 0]]))


shape = st.integers(1, 9)


@settings(max_examples=60, deadline=None)
@given(n=shape, places=shape, outputs=shape, inputs=shape, clients=shape, block=st.integers(1, 60))
def test_all_forms_agree_whatever_the_block(n, places, outputs, inputs, clients, block):
    rng = torch.Generator().manual_seed(0)
    sizes = (n, places, inputs), (n, places, outputs), (clients, outputs, inputs)
    a, b, u = (torch.randn(size, generator=rng, dtype=torch.float64) for size in sizes)
    g = torch.einsum("nlo,nli->noi", b, a)
    inner = torch.einsum("noi,koi->nk", g, u)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bilinear, "BLOCK", block)
        patch.setattr(bilinear, "BLOCK_SAMPLES", 4)
        torch.testing.assert_close(bilinear.inner_by_kernel(a, b, u), inner)
        blocks = bilinear._by_blocks(a, b, u, norm=True)
    torch.testing.assert_close(blocks.inner, inner)
    torch.testing.assert_close(blocks.squared_norm, g.square().sum((1, 2)))
    gram = bilinear._squared_norm_by_gram(a, b)
    torch.testing.assert_close(gram, g.square().sum((1, 2)))
    chosen = bilinear.bilinear_products(a, b, u)
    torch.testing.assert_close(chosen.inner, inner)
    torch.testing.assert_close(chosen.squared_norm, g.square().sum((1, 2)))


def test_the_form_follows_the_count():
    assert bilinear.cost(1, 100, 256, 10).by_kernel  # one place: nothing to gain from forming g
    assert not bilinear.cost(4, 256, 256, 10).by_kernel
    assert bilinear.cost(4, 256, 256, 10).by_gram
    assert not bilinear.cost(1024, 64, 64, 10).by_gram
