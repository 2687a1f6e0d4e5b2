"""Architectures by published parameter counts, and how models are named and seeded."""

import random
import sys
import traceback
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import nn

from seepage.models import MODELS, build, named
from seepage.records import UserError


def size(model):
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    ("name", "shape", "classes", "expected"),
    [
        ("alexnet", (3, 32, 32), 100, 2_495_396),
        ("alexnet", (3, 64, 64), 23, 2_475_607),
        ("resnet18", (3, 32, 32), 100, 11_220_132),
        ("resnet18", (3, 64, 64), 23, 11_180_631),
        ("mlp", (1, 8, 8), 10, 65 * 128 + 129 * 10),
        ("cnn_mnist", (1, 28, 28), 10, 26 * 16 + 401 * 32 + 513 * 1000 + 1001 * 10),
        (
            "cnn_cifar",
            (3, 32, 32),
            10,
            28 * 32 + 289 * 32 + 289 * 64 + 577 * 64 + 4097 * 512 + 513 * 10,
        ),
    ],
)
def test_parameter_counts(name, shape, classes, expected):
    assert size(build(name, shape, classes, seed=0)) == expected


def test_the_counts_in_the_docstrings():
    from seepage.models.cnn import cnn_cifar, cnn_mnist

    assert f"{size(cnn_mnist((1, 28, 28), 10)):,}" in cnn_mnist.__doc__
    assert f"{size(cnn_cifar((3, 32, 32), 10)):,}" in cnn_cifar.__doc__


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("alexnet", [(3, 13, 13), (3, 32, 32), (1, 28, 30), (3, 64, 64)]),
        ("resnet18", [(3, 8, 8), (3, 32, 32), (1, 28, 30)]),
        ("cnn_mnist", [(1, 28, 28), (3, 32, 32), (1, 29, 35)]),
        ("cnn_cifar", [(3, 28, 28), (3, 32, 32), (1, 29, 35)]),
        ("mlp", [(5,), (1, 8, 8)]),
    ],
)
def test_one_row_of_logits_a_sample(name, shapes):
    for shape in shapes:
        model = build(name, shape, 7, seed=0)
        assert model(torch.randn(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("alexnet", (1, 8, 8)),
        ("alexnet", (3, 12, 32)),
        ("resnet18", (3, 4, 4)),
        ("cnn_mnist", (1, 8, 8)),
        ("cnn_cifar", (64,)),
    ],
)
def test_inputs_a_family_cannot_take(name, shape):
    with pytest.raises(UserError, match=f"model '{name}' needs images .* got inputs of shape"):
        build(name, shape, 10, seed=0)


def test_alexnet_positions_at_the_published_sizes():
    for side, expected in ((32, [8, 4, 4, 2, 2, 2, 2, 1]), (64, [16, 8, 8, 4, 4, 4, 4, 1])):
        x, sides = torch.zeros(1, 3, side, side), []
        for layer in build("alexnet", (3, side, side), 10, seed=0):
            x = layer(x)
            if isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AdaptiveMaxPool2d):
                sides.append(x.shape[2])
        assert sides == expected


def test_resnet_stages():
    """Strides 1, 2, 2, 2, and no parameter besides convolutions, norms and the last layer."""
    model = build("resnet18", (3, 32, 32), 10, seed=0)
    x, sides = torch.zeros(1, 3, 32, 32), []
    for layer in model:
        x = layer(x)
        sides.append(tuple(x.shape[1:]))
    assert sides[3:11:2] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    assert sides[4:12:2] == [(64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]


def test_a_residual_block_adds_its_input():
    block = build("resnet18", (3, 8, 8), 10, seed=0)[3]
    nn.init.zeros_(block.second_norm.weight)
    x = torch.randn(2, 64, 4, 4)
    assert torch.equal(block(x), x.relu())


def test_hidden_widths():
    model = build("mlp", (4,), 3, seed=0, hidden=[8, 5])
    widths = [layer.out_features for layer in model if isinstance(layer, nn.Linear)]
    assert widths == [8, 5, 3]
    assert [type(layer).__name__ for layer in model].count("ReLU") == 2
    assert size(build("mlp", (4,), 3, seed=0, hidden=[])) == 15
    with pytest.raises(UserError, match="widths"):
        build("mlp", (4,), 3, seed=0, hidden=[0])


TABLES = {"hidden": [1024, 512, 256, 128], "activation": "tanh"}


@pytest.mark.parametrize(
    ("data", "features", "classes", "expected"),
    [
        ("purchase100", 600, 100, 1_317_348),
        ("texas100", 6169, 100, 7_020_004),
        ("location30", 446, 30, 1_150_622),
    ],
)
def test_the_network_for_tables_of_hamp(data, features, classes, expected):
    with torch.device("meta"):
        model = MODELS["mlp"]((features,), classes, **TABLES)
    assert size(model) == expected
    assert [type(layer) for layer in model] == [nn.Flatten, *([nn.Linear, nn.Tanh] * 4), nn.Linear]


def test_what_an_activation_computes():
    x = torch.randn(3, 2, 2, generator=torch.Generator().manual_seed(0))
    for name, act in (("relu", torch.relu), ("tanh", torch.tanh)):
        model = build("mlp", (2, 2), 3, seed=4, hidden=[5, 6], activation=name)
        w1, b1, w2, b2, w3, b3 = model.parameters()
        expected = act(act(x.flatten(1) @ w1.T + b1) @ w2.T + b2) @ w3.T + b3
        torch.testing.assert_close(model(x), expected)


def test_the_default_mlp_stays_as_it_was():
    """Its weights are torch's own draws, layer by layer, and an activation draws nothing."""
    with torch.random.fork_rng():
        torch.manual_seed(4)
        old = nn.Sequential(
            nn.Flatten(), nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)
        )
    for options in ({}, {"activation": "relu"}, {"activation": "tanh"}):
        new = build("mlp", (2, 2), 3, seed=4, hidden=[8, 5], **options)
        pairs = zip(old.state_dict().items(), new.state_dict().items(), strict=True)
        assert all(n == m and torch.equal(p, q) for (n, p), (m, q) in pairs)
        if options.get("activation") != "tanh":
            assert str(new) == str(old)


@pytest.mark.parametrize("activation", ["Tanh", "gelu", None, ["tanh"]])
def test_an_activation_it_does_not_have(activation):
    with pytest.raises(UserError, match="activation must be 'relu' or 'tanh', got"):
        build("mlp", (4,), 3, seed=0, activation=activation)


def weights(name, seed):
    model = build(name, (3, 32, 32), 5, seed=seed)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("name", sorted(MODELS))
def test_the_seed_alone_decides_the_weights(name):
    first = weights(name, 5)
    torch.manual_seed(123)
    assert torch.equal(first, weights(name, 5))
    assert not torch.equal(first, weights(name, 6))


def test_no_global_generator_is_moved(mine):
    def state():
        return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002

    before = state()
    build("mlp", (4,), 3, seed=0)
    build("mine_for_tests:noisy", (4,), 3, seed=0)
    assert state() == before


@pytest.fixture
def mine(monkeypatch):
    """A user's module of factories, three of which fail."""

    class Inherits(nn.Module):
        pass

    class Linear(nn.Linear):
        def __init__(self, *args, **options):
            super().__init__(*args, **options)

    def undefined(shape, classes):
        return nn.Linear(nowhere, classes)  # noqa: F821

    module = ModuleType("mine_for_tests")

    def net(input_shape, classes, *, width=3):
        return nn.Sequential(nn.Linear(input_shape[0], width), nn.Linear(width, classes))

    def noisy(input_shape, classes):
        layer = nn.Linear(input_shape[0], classes)
        nn.init.constant_(layer.weight, random.random() + np.random.rand())  # noqa: NPY002
        return layer

    module.net, module.noisy = net, noisy
    module.plain = lambda: nn.Linear(2, 2)
    module.number = lambda: 3
    module.greedy = lambda a, b, c: nn.Linear(2, 2)
    module.open_to_all = lambda shape, classes, **options: nn.Linear(*options["sides"])
    module.Inherits, module.Linear, module.undefined = Inherits, Linear, undefined
    module.refuses = lambda: list_of_shapes((0,))
    monkeypatch.setitem(sys.modules, "mine_for_tests", module)


def list_of_shapes(shape):
    raise UserError(f"shape {shape} is too small")


def test_a_factory_itself():
    def mine(input_shape, classes, *, width):
        return nn.Sequential(nn.Linear(*input_shape, width), nn.Linear(width, classes))

    assert build(mine, (4,), 2, seed=0, width=9)[0].out_features == 9
    assert named(build) == "seepage.models:build"
    with pytest.raises(UserError, match=r"mine' has no option 'depth'; known here: width"):
        build(mine, (4,), 2, seed=0, depth=3)


def test_factories_of_the_user(mine):
    assert build("mine_for_tests:net", (4,), 2, seed=0, width=9)[0].out_features == 9
    assert build("mine_for_tests:plain", (4,), 2, seed=0).in_features == 2
    assert list(build("mine_for_tests:Inherits", (4,), 2, seed=0).parameters()) == []
    assert build("mine_for_tests:open_to_all", (4,), 2, seed=0, sides=(2, 3)).out_features == 3
    one, two = (build("mine_for_tests:noisy", (4,), 2, seed=8) for _ in range(2))
    assert torch.equal(one.weight, two.weight)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("resnet81", {}, "did you mean resnet18"),
        ("transformer", {}, "known here: alexnet"),
        ("mlp", {"hiden": [3]}, "no option 'hiden'; known here: hidden"),
        ("alexnet", {"width": 3}, "no option 'width'; it has no options"),
        ("no_such_module_here:net", {}, "cannot import"),
        (":net", {}, "cannot import"),
        ("mine_for_tests:nest", {}, "no callable 'nest'"),
        ("mine_for_tests:number", {}, "must return a torch.nn.Module, got int"),
        ("mine_for_tests:greedy", {}, "must take"),
        ("mine_for_tests:plain", {"width": 2}, "no option 'width'"),
        ("mine_for_tests:Linear", {}, r"TypeError: .*'out_features' \(test_models\.py, line \d+\)"),
        (
            "mine_for_tests:undefined",
            {},
            r"^model 'mine.*undefined' failed while .*NameError: name ",
        ),
        ("mine_for_tests:refuses", {}, r"^shape \(0,\) is too small$"),
    ],
)
def test_what_cannot_be_built_is_said(mine, name, options, words):
    with pytest.raises(UserError, match=words):
        build(name, (3, 32, 32), 10, seed=0, **options)


def test_an_error_of_the_users_is_placed_and_its_traceback_kept(mine):
    with pytest.raises(UserError) as refused:
        build("mine_for_tests:undefined", (4,), 2, seed=0)
    cause = refused.value.__cause__
    assert isinstance(cause, NameError)
    frames = traceback.extract_tb(cause.__traceback__)
    assert f"(test_models.py, line {frames[-1].lineno}). Mend it there." in str(refused.value)


def test_a_module_that_fails_on_import_is_named(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "half_written.py").write_text("x = 1\ny = x / 0\n")
    said = (
        r"half_written' failed while it was imported: ZeroDivisionError: .*half_written\.py, line 2"
    )
    with pytest.raises(UserError, match=said):
        build("half_written:net", (4,), 2, seed=0)


def test_an_error_in_a_model_of_the_table_is_not_the_users(monkeypatch):
    def broken(shape, classes):
        raise RuntimeError("ours")

    broken.__module__ = "seepage.models.mlp"
    monkeypatch.setitem(MODELS, "mlp", broken)
    with pytest.raises(RuntimeError, match="ours"):
        build("mlp", (4,), 2, seed=0)
