"""Models that ``gradient_products`` refuses: samples not first, tables that a pass changes."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from gradients.oracle import random_updates
from seepage.gradients import gradient_products, per_sample_norms
from seepage.records import UserError


class Patches(nn.Module):
    """Folds the two halves of a sample into the batch."""

    def __init__(self, patch):
        super().__init__()
        self.patch, self.last = patch, nn.Linear(6, 3)

    def forward(self, x):
        parts = x.reshape(-1, 2, 1, 1) if isinstance(self.patch, nn.Conv2d) else x.reshape(-1, 2)
        return self.last(torch.tanh(self.patch(parts)).reshape(len(x), -1))


class SequenceFirst(nn.Module):
    """As nn.TransformerEncoderLayer has it by default."""

    def __init__(self, layer):
        super().__init__()
        self.layer, self.last = layer, nn.Linear(1, 3)

    def forward(self, x):
        return self.last(self.layer(x.T.unsqueeze(2)).mean(0))


class LastState(nn.Module):
    """Reads the last hidden state, which has an axis of layers first."""

    def __init__(self):
        super().__init__()
        self.cell, self.last = nn.RNN(1, 2, batch_first=True), nn.Linear(2, 3)

    def forward(self, x):
        return self.last(self.cell(x.unsqueeze(2))[1][0])


class Looked(nn.Module):
    """Looks its numbers up in a table."""

    def __init__(self, table):
        super().__init__()
        self.table, self.last = table, nn.Linear(2, 3)

    def forward(self, x):
        found = self.table((x > 0).long())
        return self.last(found.mean(1) if found.ndim == 3 else found)


def refused(model, words, samples=4):
    x, y = torch.randn(samples, 4), torch.arange(samples) % 3
    with pytest.raises(UserError, match=words):
        gradient_products(model, x, y, random_updates(model, 2))
    with pytest.raises(UserError, match=words):
        per_sample_norms(model, x, y, functional.cross_entropy)


@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize(
    ("model", "words"),
    [
        (Patches(nn.Linear(2, 3)), "layer 'patch' gives .* do not come first"),
        (Patches(nn.Conv2d(2, 3, 1)), "layer 'patch' gives .* do not come first"),
        (SequenceFirst(nn.Linear(1, 1)), "layer 'layer' gives .* do not come first"),
        (
            SequenceFirst(nn.TransformerEncoderLayer(1, 1, 4, dropout=0.0)),
            "layer 'layer.self_attn' gives .* batch_first=True",
        ),
    ],
)
def test_a_layer_whose_samples_are_not_first_is_named(model, words, samples):
    refused(model, words, samples)


def test_so_is_one_with_the_shape_of_its_output():
    refused(LastState(), r"layer 'cell' gives an output of shape \(1, 2, 2\) for 2 samples")


@pytest.mark.parametrize("table", [nn.Embedding, nn.EmbeddingBag])
def test_a_table_with_sparse_gradients_is_named(table):
    refused(Looked(table(2, 2, sparse=True)), "layer 'table' .* sparse gradients")


@pytest.mark.parametrize("table", [nn.Embedding, nn.EmbeddingBag])
@pytest.mark.parametrize("training", [True, False])
def test_a_table_that_a_forward_pass_changes_is_refused_before_one(table, training):
    model = Looked(table(2, 2, max_norm=0.1)).train(training)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    refused(model, "layer 'table' .* max_norm")
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])
