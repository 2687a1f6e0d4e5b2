"""DenseNet-BC by published sizes, a forward pass written out, and what it refuses."""

from math import prod, sqrt

import pytest
import torch
from torch import nn
from torch.nn import functional

from seepage.models import build
from seepage.models.densenet import densenet
from seepage.records import UserError
from seepage.states import running_statistics

SMALL = {"depth": 16, "growth": 3}


def size(model):
    return sum(p.numel() for p in model.parameters())


@pytest.fixture(scope="module")
def full():
    return build("densenet", (3, 32, 32), 10, seed=0)


@pytest.mark.parametrize("norm", ["group", "batch"])
@pytest.mark.parametrize(("classes", "expected"), [(10, 769_162), (100, 800_032)])
def test_parameter_counts(norm, classes, expected):
    """The count published for DenseNet-BC, depth 100, growth 12, is 0.8 M (Huang et al.)."""
    assert size(build("densenet", (3, 32, 32), classes, seed=0, norm=norm)) == expected
    assert f"{expected:,}" in densenet.__doc__


def test_the_positions_of_every_stage(full):
    """Multiplications say where the pooling is: 288 million an image of 32 × 32."""
    work, sides = [], []

    def count(layer, _, output):
        if isinstance(layer, nn.Conv2d | nn.Linear):
            work.append(layer.weight.numel() * prod(output.shape[2:]))
        if isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3):
            sides.append(output.shape[2])

    hooks = [layer.register_forward_hook(count) for layer in full.modules()]
    full(torch.zeros(1, 3, 32, 32))
    for hook in hooks:
        hook.remove()
    assert sides == [32] + [32] * 16 + [16] * 16 + [8] * 16
    stage = [
        sum((start + 12 * i) * 48 + 9 * 48 * 12 for i in range(16)) for start in (24, 108, 150)
    ]
    between = 216 * 108 * 1024 + 300 * 150 * 256
    by_hand = 27 * 24 * 1024 + stage[0] * 1024 + stage[1] * 256 + stage[2] * 64 + between + 3420
    assert sum(work) == by_hand
    assert round(sum(work) / 1e6) == 288


def test_one_hundred_layers_with_weights(full):
    assert sum(isinstance(layer, nn.Conv2d | nn.Linear) for layer in full.modules()) == 100


def written_out(model, x, norm):
    """The paper's network with the model's tensors, in the order they are applied."""
    tensors = iter(model.parameters())
    statistics = iter([b for n, b in model.named_buffers() if "running" in n])

    def normed(x):
        scale, shift = next(tensors), next(tensors)
        if norm == "batch":
            return functional.batch_norm(x, next(statistics), next(statistics), scale, shift).relu()
        width = next(w for w in range(6, x.shape[1] + 1) if x.shape[1] % w == 0)
        parts = x.unflatten(1, (-1, width))
        var, mean = torch.var_mean(parts, (2, 3, 4), correction=0, keepdim=True)
        x = ((parts - mean) / (var + 1e-5).sqrt()).flatten(1, 2)
        return (x * scale[:, None, None] + shift[:, None, None]).relu()

    x = functional.conv2d(x, next(tensors), padding=1)
    for block in range(3):
        if block:
            x = functional.avg_pool2d(functional.conv2d(normed(x), next(tensors)), 2)
        for _ in range(2):
            inner = functional.conv2d(normed(x), next(tensors))
            x = torch.cat([x, functional.conv2d(normed(inner), next(tensors), padding=1)], 1)
    return functional.linear(normed(x).mean((2, 3)), next(tensors), next(tensors))


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_forward_in_evaluation_mode(norm):
    rng = torch.Generator().manual_seed(3)
    model = build("densenet", (2, 8, 12), 5, seed=1, norm=norm, **SMALL)
    with torch.no_grad():  # scales of 1, shifts of 0 and untouched statistics would hide mistakes
        for tensor in model.parameters():
            tensor += 0.1 * torch.randn(tensor.shape, generator=rng)
        for name, tensor in model.named_buffers():
            if "running" in name:
                tensor += torch.rand(tensor.shape, generator=rng)
        x = torch.randn(4, 2, 8, 12, generator=rng)
        answers = model.eval()(x)
        torch.testing.assert_close(answers, written_out(model, x, norm), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(answers[2:3], model(x[2:3]), rtol=1e-4, atol=1e-4)


def test_first_weights(full):
    """Convolutions N(0, 2 / (k² c_out)), norms 1 and 0, the last layer as torch does it."""
    for layer in full.modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.bias is None
            weights, count = layer.weight.detach(), layer.weight.numel()
            sigma = sqrt(2 / (prod(layer.kernel_size) * layer.out_channels))
            assert abs(weights.std() / sigma - 1) < 5 / sqrt(2 * count)
            assert abs(weights.mean() / sigma) < 5 / sqrt(count)
            assert count < 1000 or weights.abs().max() > 2.5 * sigma  # no uniform law
        if isinstance(layer, nn.GroupNorm):
            assert (layer.weight == 1).all()
            assert (layer.bias == 0).all()
    assert full[-1].weight.abs().max() <= 1 / sqrt(342)


def test_both_norms_start_from_the_same_weights():
    group, batch = (
        build("densenet", (3, 8, 8), 4, seed=9, norm=norm, **SMALL) for norm in ("group", "batch")
    )
    pairs = zip(group.named_parameters(), batch.named_parameters(), strict=True)
    assert all(n == m and torch.equal(p, q) for (n, p), (m, q) in pairs)


def test_groups_of_six_at_the_papers_growth(full):
    norms = [layer for layer in full.modules() if isinstance(layer, nn.GroupNorm)]
    assert len(norms) == 2 * 48 + 3
    assert {layer.num_channels // layer.num_groups for layer in norms} == {6}


@pytest.mark.parametrize("growth", [1, 5, 12, 16, 25])
def test_a_group_has_six_channels_at_least_or_all(growth):
    model = build("densenet", (3, 8, 8), 4, seed=0, depth=16, growth=growth)
    for layer in model.modules():
        if isinstance(layer, nn.GroupNorm):
            held = layer.num_channels // layer.num_groups
            assert held >= 6 or layer.num_groups == 1
            assert not [w for w in range(6, held) if layer.num_channels % w == 0]
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 4)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 28, 28), (3, 32, 64), (2, 12, 8)])
def test_sizes_that_divide(shape):
    model = build("densenet", shape, 7, seed=0, **SMALL)
    assert model(torch.randn(2, *shape)).shape == (2, 7)


def test_the_default_keeps_no_statistics_and_the_papers_norm_does():
    assert not running_statistics(build("densenet", (3, 8, 8), 4, seed=0, **SMALL))
    assert running_statistics(build("densenet", (3, 8, 8), 4, seed=0, norm="batch", **SMALL))


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((3, 30, 32), {}, r"at least 8 × 8 with sides that are multiples of 4, got .*30, 32"),
        ((3, 32, 34), {}, "multiples of 4"),
        ((3, 4, 8), {}, "at least 8 × 8"),
        ((64,), {}, r"needs images of shape .* got inputs of shape \(64,\)"),
        ((3, 32, 32), {"depth": 101}, r"6·n \+ 4 .*got 101"),
        ((3, 32, 32), {"depth": 4}, "depth must be .*got 4"),
        ((3, 32, 32), {"depth": 40.0}, "depth must be .*got 40.0"),
        ((3, 32, 32), {"growth": 0}, "growth must be .* at least 1, got 0"),
        ((3, 32, 32), {"growth": "12"}, "growth must be .* got '12'"),
        ((3, 32, 32), {"norm": "layer"}, "norm must be 'group' or 'batch', got 'layer'"),
        ((3, 32, 32), {"norm": ["batch"]}, "norm must be 'group' or 'batch'"),
        ((3, 32, 32), {"groth": 12}, "no option 'groth'; known here: depth, growth, norm"),
    ],
)
def test_what_is_refused(shape, options, words):
    with pytest.raises(UserError, match=words):
        build("densenet", shape, 10, seed=0, **options)
