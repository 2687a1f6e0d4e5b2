"""How weights lie in memory changes no number beyond rounding, and nothing that is given back."""

import pytest
import torch
from torch import nn

from seepage.training import LocalTraining, Plan, train
from seepage.training.layout import linear_weights, own_copy
from seepage.training.optimizers import make_optimizer
from seepage.training.pace import Run

RULES = [
    LocalTraining(weight_decay=0.1),
    LocalTraining(momentum=0.9, weight_decay=0.1),
    LocalTraining(optimizer="adam", weight_decay=0.1),
    LocalTraining(optimizer="adamw", weight_decay=0.1),
]


@pytest.mark.parametrize("settings", RULES, ids=["sgd", "momentum", "adam", "adamw"])
def test_a_gradient_in_another_layout_moves_the_same_numbers(settings):
    rng = torch.Generator().manual_seed(0)
    gradients = [torch.randn(3, 4, 5, generator=rng) for _ in range(4)]
    leaves = {}
    for name in ("as it comes", "by column"):
        leaf = leaves[name] = torch.linspace(-1, 1, 60).reshape(3, 4, 5)
        optimizer = make_optimizer(settings)
        for number, gradient in enumerate(gradients):
            if name == "by column":
                gradient = gradient.mT.contiguous().mT
                assert gradient.stride() != leaf.stride()
            runs = (
                [Run(0, 2, 0.1, number + 1), Run(2, 3, 0.2, 1)] if number else [Run(0, 3, 0.1, 1)]
            )
            optimizer.step([leaf], [gradient], runs)
    assert torch.equal(leaves["as it comes"], leaves["by column"])


@pytest.mark.parametrize("plan", [Plan(kind="stacked", chunk=5), Plan(kind="one_by_one")], ids=str)
def test_weights_held_by_column_are_trained_as_a_plain_loop_would(
    samples, shards, start_of, plain_loop, plan
):
    with torch.random.fork_rng():
        torch.manual_seed(4)
        model = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 3))
    before = start_of(model)
    settings = LocalTraining(epochs=3, batch_size=8, momentum=0.9)
    arguments = {"learning_rate": 0.05, "seed": 5}
    trained = train(model, before, shards, samples, settings, plan=plan, **arguments)
    for k, rows in shards.items():
        plain = plain_loop(model, rows, samples, settings, member=k, **arguments)
        for name, value in trained[k].items():
            torch.testing.assert_close(value, plain[name], atol=1e-5, rtol=1e-5)
            assert value.is_contiguous()
    assert model[0].weight.is_contiguous()


def test_rows_that_fill_no_line_are_held_by_column():
    layers = nn.Sequential(
        nn.Linear(6, 32), nn.Linear(32, 32), nn.Linear(32, 3), nn.Conv1d(3, 16, 1)
    )
    own = own_copy(layers, channels_last=False)
    assert [layer.weight.is_contiguous() for layer in own] == [False, True, True, True]
    assert own[0].weight.mT.is_contiguous()
    assert torch.equal(own[0].weight, layers[0].weight)
    assert own[0].weight.requires_grad
    assert list(linear_weights(layers)) == ["0.weight", "1.weight", "2.weight"]
