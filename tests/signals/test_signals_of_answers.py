"""What the one who asks is told: the model's own answers, and what a defense makes of them."""

import numpy as np
import pytest
import torch
from torch import nn

from seepage._rng import torch_child
from seepage.records import UserError
from seepage.signals import output
from seepage.signals.answers import Responder, answers, signals_of_answers
from seepage.signals.output import OUTPUT


def make(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    model.get_buffer("1.running_mean").add_(seed)
    return model.eval()


INPUTS = torch.randn(7, 1, 6, 6, generator=torch.Generator().manual_seed(0))


def parameters(model):
    return {name: p.detach().clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("batch_size", [512, 7, 3])
def test_answers_are_those_of_a_model_with_these_weights(batch_size):
    told = answers(make(9), make(1).state_dict(), INPUTS, respond=None, batch_size=batch_size)
    torch.testing.assert_close(told, make(1)(INPUTS).detach())
    assert not told.requires_grad


def test_buffers_that_a_state_lacks_are_the_models():
    expected = make(1)
    expected.get_buffer("1.running_mean").fill_(9)
    told = answers(make(9), parameters(make(1)), INPUTS, respond=None)
    torch.testing.assert_close(told, expected(INPUTS).detach())


def test_a_model_in_training_mode_answers_in_evaluation_mode_and_is_left_as_it_was():
    model = make(9).train()
    model[1].eval()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    modes, pointers = (
        [m.training for m in model.modules()],
        [p.data_ptr() for p in model.parameters()],
    )

    def ask(logits, query):
        assert not model.training
        return logits + query.forward(query.inputs)

    told = answers(model, make(1).state_dict(), INPUTS, respond=responder(ask))
    torch.testing.assert_close(told, 2 * make(1)(INPUTS).detach())
    assert modes == [m.training for m in model.modules()]
    assert pointers == [p.data_ptr() for p in model.parameters()]
    assert all(torch.equal(t, model.state_dict()[name]) for name, t in before.items())


def test_a_model_that_fails_is_left_as_it_was():
    model = make(9).train()
    with pytest.raises(RuntimeError):
        answers(model, make(1).state_dict(), INPUTS[..., :5], respond=None)
    assert all(m.training for m in model.modules())


def responder(hook, **settings):
    return Responder(**{"hook": hook, "mean": (0.5,), "std": (2.0,), "seed": 11} | settings)


def test_a_hook_is_told_all_it_may_use():
    seen = []

    def listen(logits, query):
        seen.append((logits, query))
        return torch.zeros_like(logits)

    kept = {"temperature": torch.tensor(3.0)}
    respond = responder(listen, kept=kept)
    state = make(1).state_dict()
    told = answers(make(9), state, INPUTS, respond=respond, batch_size=4, path=("model", 2))
    assert (told == 0).all()
    assert [len(logits) for logits, _ in seen] == [4, 3]
    for (logits, query), first in zip(seen, (0, 4), strict=True):
        assert torch.equal(query.inputs, INPUTS[first : first + 4])
        assert (query.mean, query.std, query.kept) == ((0.5,), (2.0,), kept)
        expected = torch_child(11, "respond", "model", 2, first)
        assert query.rng.initial_seed() == expected.initial_seed()
        torch.testing.assert_close(logits, make(1)(query.inputs).detach())


def test_a_hook_may_take_gradients_of_its_own():
    def to_the_mean(logits, query):
        with torch.enable_grad():
            moved = logits.clone().requires_grad_()
            (step,) = torch.autograd.grad((moved - logits.mean()).square().sum() / 2, moved)
        return logits - step

    told = answers(make(9), make(1).state_dict(), INPUTS, respond=responder(to_the_mean))
    torch.testing.assert_close(told, make(1)(INPUTS).detach().mean().expand(7, 3))


@pytest.mark.parametrize("queries", [1, 3])
def test_signals_are_those_of_each_query(queries):
    rng = torch.Generator().manual_seed(2)
    logits, labels = torch.randn(queries, 6, 4, generator=rng), torch.arange(6) % 4
    found = signals_of_answers(logits, labels, list(OUTPUT))
    assert list(found) == list(OUTPUT)
    for name, values in found.items():
        assert values.dtype == np.float32
        assert values.shape == ((6,) if queries == 1 else (6, queries))
        for query, column in enumerate(values.reshape(6, queries).T):
            np.testing.assert_allclose(column, OUTPUT[name](logits[query], labels), rtol=1e-4)


def test_signals_are_computed_in_float64():
    """Close logits on a high level: in float32 the log-sum-exp of 4096 keeps three decimals."""
    logits, labels = torch.tensor([[[4096.0, 4096.25, 4095.5]]]), torch.tensor([0])
    found = signals_of_answers(logits, labels, ["loss"])["loss"].item()
    expected = output.loss(logits[0].double() - 4096, labels).item()
    assert found == pytest.approx(expected, rel=1e-7)
    assert output.loss(logits[0], labels).item() != pytest.approx(expected, rel=1e-5)


def test_an_unknown_signal_is_refused():
    with pytest.raises(UserError, match="answers give no signal 'los'; did you mean loss"):
        signals_of_answers(torch.zeros(1, 2, 3), torch.zeros(2).long(), ["los"])
