"""Networks in blocks: their published layouts, and that they stand where federations need them."""

import copy
import pickle

import pytest
import torch
from torch import nn

from gradients.oracle import assert_agrees, plain_gradients, random_updates
from seepage.gradients import gradient_products
from seepage.models import build, defended
from seepage.models.cnn_blocks import cnn_blocks
from seepage.models.mcnn import mcnn
from seepage.models.vgg import vgg16
from seepage.records import UserError
from seepage.states import running_statistics


def size(model):
    return sum(p.numel() for p in model.parameters())


def outputs(model, shape):
    """Shapes of what the named blocks give for one image."""
    found = {}
    for name in model.blocks:
        part = model.get_submodule(name)
        part.register_forward_hook(lambda part, args, out, name=name: found.update({name: out}))
    with torch.no_grad():
        model(torch.randn(1, *shape))
    return [tuple(found[name].shape[1:]) for name in model.blocks]


# a convolution has k² c_in + 1 numbers an output, a norm 2; VGG16's convolutions with their norms
# have 14,723,136, as published for batch normalisation
@pytest.mark.parametrize(
    ("factory", "shape", "classes", "expected"),
    [
        (cnn_blocks, (1, 8, 8), 5, 12 * 16 + (144 + 3) * 32 + (288 + 3) * 64 + 257 * 5),
        (
            mcnn,
            (1, 32, 32),
            5,
            (49 + 3) * 64 + (64 * 25 + 3) * 128 + (128 * 25 + 3) * 256 + 257 * 5,
        ),
        (vgg16, (3, 64, 64), 1000, 14_723_136 + 2049 * 1000),
    ],
)
def test_parameter_counts(factory, shape, classes, expected):
    with torch.device("meta"):
        assert size(factory(shape, classes)) == expected
    assert f"{expected:,}" in " ".join(factory.__doc__.split())


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("cnn_blocks", (1, 8, 8), [(16, 4, 4), (32, 2, 2), (64, 2, 2)]),
        ("cnn_blocks", (3, 32, 30), [(16, 16, 15), (32, 8, 7), (64, 2, 2)]),
        ("mcnn", (1, 32, 32), [(64, 14, 14), (128, 5, 5), (256, 1, 1)]),
        ("mcnn", (1, 28, 28), [(64, 14, 14), (128, 5, 5), (256, 1, 1)]),
        ("mcnn", (1, 64, 40), [(64, 30, 18), (128, 13, 7), (256, 1, 1)]),
        (
            "vgg16",
            (3, 64, 64),
            [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2)],
        ),
        ("vgg16", (1, 32, 32), [(64, 16, 16), (128, 8, 8), (256, 4, 4), (512, 2, 2), (512, 1, 1)]),
    ],
)
def test_what_each_block_gives(name, shape, expected):
    model = build(name, shape, 7, seed=0)
    assert not running_statistics(model)
    assert outputs(model, shape) == expected
    assert model(torch.randn(2, *shape)).shape == (2, 7)


def test_mcnn_works_on_the_same_positions_with_either_padding():
    for side, sides in ((32, [28, 10, 1]), (28, [28, 10, 1])):
        model, found = build("mcnn", (1, side, side), 5, seed=0), []
        for layer in model.modules():
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(lambda _, args, out, f=found: f.append(out.shape[2]))
        model(torch.zeros(1, 1, side, side))
        assert found == sides


def test_every_convolution_is_normed_and_bent():
    kinds = [type(layer) for layer in build("vgg16", (3, 32, 32), 5, seed=0).stages[2]]
    assert kinds == [nn.Conv2d, nn.GroupNorm, nn.ReLU] * 3 + [nn.MaxPool2d]
    for name, shape in (("cnn_blocks", (1, 8, 8)), ("mcnn", (1, 28, 28))):
        for block in build(name, shape, 5, seed=0).stages:
            assert [type(layer) for layer in block][:3] == [nn.Conv2d, nn.GroupNorm, nn.LeakyReLU]
            assert block[2].negative_slope == 0.2


@pytest.mark.parametrize(
    ("name", "shape", "norms"),
    [("cnn_blocks", (1, 8, 8), 3), ("mcnn", (1, 28, 28), 3), ("vgg16", (3, 32, 32), 13)],
)
def test_the_papers_norm_stands_in_the_same_places(name, shape, norms):
    """And has as many numbers: a scale and a shift for each channel."""
    ours, papers = (build(name, shape, 5, seed=0, norm=norm) for norm in ("group", "batch"))
    kinds = [[type(layer) for layer in model.modules()] for model in (ours, papers)]
    assert kinds[0].count(nn.GroupNorm) == norms
    assert kinds[1] == [nn.BatchNorm2d if k is nn.GroupNorm else k for k in kinds[0]]
    assert [p.shape for p in ours.parameters()] == [p.shape for p in papers.parameters()]
    with pytest.raises(UserError, match=f"{name}: norm must be 'group' or 'batch', got 'layer'"):
        build(name, shape, 5, seed=0, norm="layer")


def test_the_width_of_cnn_blocks():
    assert build("cnn_blocks", (1, 8, 8), 10, seed=0, width=32).classifier.in_features == 512
    assert outputs(build("cnn_blocks", (1, 8, 8), 2, seed=0, width=1), (1, 8, 8))[2] == (4, 2, 2)
    for wrong in (0, 1.5):
        with pytest.raises(UserError, match="cnn_blocks: width must be a whole number"):
            build("cnn_blocks", (1, 8, 8), 2, seed=0, width=wrong)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("cnn_blocks", (1, 7, 8)), ("mcnn", (1, 27, 28)), ("vgg16", (3, 31, 64)), ("vgg16", (64,))],
)
def test_inputs_a_family_cannot_take(name, shape):
    with pytest.raises(UserError, match=f"model '{name}' needs images .* got inputs of shape"):
        build(name, shape, 10, seed=0)


def test_the_names_of_blocks_travel():
    model = build("cnn_blocks", (1, 8, 8), 5, seed=0)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.blocks == model.blocks == ("stages.0", "stages.1", "stages.2")


@pytest.mark.parametrize(("name", "side"), [("cnn_blocks", 8), ("mcnn", 28)])
def test_gradients_of_samples_are_taken_of_them(name, side):
    model = build(name, (1, side, side), 3, seed=0).double()
    inputs = torch.randn(3, 1, side, side, generator=torch.Generator().manual_seed(0)).double()
    labels, updates = torch.arange(3), random_updates(model, 2)
    products = gradient_products(model, inputs, labels, updates)
    assert_agrees(products, plain_gradients(model, inputs, labels), updates, 1e-9)


def test_gradients_of_samples_are_taken_of_a_narrow_vgg16(monkeypatch):
    stages = ((2, 32), (2, 32), (3, 32), (3, 64), (3, 64))  # the same layers, fewer channels
    monkeypatch.setattr("seepage.models.vgg.STAGES", stages)
    model = build("vgg16", (3, 32, 32), 3, seed=0).double()
    inputs = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    labels, updates = torch.arange(2), random_updates(model, 2)
    products = gradient_products(model, inputs, labels, updates)
    assert_agrees(products, plain_gradients(model, inputs, labels), updates, 1e-9)


def drawing(model):
    return nn.Sequential(model, nn.Linear(2, 2))


def test_a_defense_changes_the_architecture_by_draws_of_its_own():
    def make(seed):
        return build("mlp", (4,), 2, seed=seed, hidden=[3])

    before = torch.get_rng_state()
    one, again, other = (defended(make, drawing, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one[1].weight, again[1].weight)
    assert not torch.equal(one[1].weight, other[1].weight)
    plain = defended(make, None, seed=1)
    for same in (make(1), one[0]):
        pairs = zip(plain.parameters(), same.parameters(), strict=True)
        assert all(torch.equal(p, q) for p, q in pairs)
