"""Accuracy and loss, by hand and by one pass over everything."""

import pytest
import torch
from torch import nn

from seepage.federation import evaluate
from seepage.records import UserError


def test_accuracy_and_loss_by_hand():
    model, state = nn.Linear(2, 2), {"weight": torch.eye(2), "bias": torch.zeros(2)}
    inputs = torch.tensor([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]])
    accuracy, loss = evaluate(model, state, inputs, torch.tensor([0, 1, 1]))
    assert accuracy == pytest.approx(2 / 3)
    expected = torch.tensor([-2.0, -1.0, 3.0]).exp().log1p().sum() / 3
    assert loss == pytest.approx(float(expected), rel=1e-6)


def test_the_batch_size_changes_nothing(dataset, mlp):
    state = dict(mlp.named_parameters())
    whole = evaluate(mlp, state, dataset.inputs, dataset.labels)
    parts = evaluate(mlp, state, dataset.inputs, dataset.labels, batch_size=7)
    assert parts.accuracy == whole.accuracy
    assert parts.loss == pytest.approx(whole.loss, rel=1e-6)


def test_the_model_answers_as_in_use_and_is_left_as_it_was(dataset):
    model = nn.Sequential(nn.Linear(6, 3), nn.Dropout(0.9)).train()
    state = dict(model.named_parameters())
    first = evaluate(model, state, dataset.inputs, dataset.labels)
    assert first == evaluate(model, state, dataset.inputs, dataset.labels)
    assert model.training
    with pytest.raises(UserError, match="at least one sample"):
        evaluate(model, state, dataset.inputs[:0], dataset.labels[:0])
