"""The bottleneck of MID against its formulas, and where it sits in a model."""

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from gradients.oracle import assert_agrees, plain_gradients, random_updates
from seepage.audit import prepare
from seepage.defenses import mid
from seepage.defenses.mid import Bottleneck, code_of, divergence
from seepage.gradients import gradient_products
from seepage.models import build, defended
from seepage.protocols import Defense, Pass
from seepage.records import UserError
from seepage.study import build_study
from seepage.training import LocalTraining, Plan, train


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_standard_normal_code_tells_nothing():
    assert divergence(torch.zeros(3, 4), torch.ones(3, 4)).tolist() == [0.0, 0.0, 0.0]


def test_the_divergence_is_that_of_normal_distributions():
    mean, deviation = torch.randn(5, 3, generator=rng()), torch.rand(5, 3, generator=rng(1)) + 0.1
    normal = torch.distributions.Normal
    parts = torch.distributions.kl_divergence(normal(mean, deviation), normal(0.0, 1.0))
    torch.testing.assert_close(divergence(mean, deviation), parts.sum(1))
    # one number of mean 2 and deviation 1/2: (4 + 1/4 - 1)/2 + ln 2
    found = divergence(torch.tensor([[2.0]]), torch.tensor([[0.5]]))
    assert found.item() == pytest.approx(1.625 + np.log(2))


def softplus(x):
    return np.log1p(np.exp(x))


def test_the_loss_is_its_formula():
    logits = np.array([[1.0, -0.5, 0.2], [0.0, 2.0, -1.0]])
    targets = np.array([[1.0, 0.0, 0.0], [0.25, 0.0, 0.75]])
    encoded = np.array([[0.3, -1.2, 4.0, 6.0], [0.0, 0.7, 5.5, 2.0]])
    log_p = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    mean, sigma = encoded[:, :2], softplus(encoded[:, 2:] - 5)
    inner = 1 + 2 * np.log(sigma) - mean**2 - sigma**2
    expected = -(targets * log_p).sum(1) + 0.3 * -0.5 * inner.sum(1)
    passed = Pass(
        inputs=torch.zeros(2, 1),
        logits=torch.tensor(logits),
        hidden={"encoder": torch.tensor(encoded)},
    )
    found = mid(beta=0.3).inside(passed, torch.tensor(targets))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def lost(raw):
    """The loss and its gradient, of a code of mean 0 whose deviation has these encoder outputs."""
    encoded = torch.stack((torch.zeros_like(raw), raw), 1).requires_grad_()
    passed = Pass(
        inputs=torch.zeros(len(raw), 1),
        logits=torch.zeros(len(raw), 2),
        hidden={"encoder": encoded},
    )
    loss = mid(beta=0.3).inside(passed, torch.eye(2)[torch.zeros(len(raw), dtype=torch.int64)])
    loss.sum().backward()
    return loss.detach(), encoded.grad


def test_a_deviation_that_is_zero_by_rounding_has_a_finite_logarithm():
    raw = torch.tensor([-200.0, -110.0, -90.0, -16.0])  # softplus is 0 below about -104
    loss, slope = lost(raw)
    exact = raw.double().numpy() - 5
    log = np.where(exact < -30, exact, np.log(softplus(exact)))  # ln(ln(1 + e^t)) -> t
    expected = np.log(2) - 0.15 * (1 + 2 * log - np.exp(2 * log))
    np.testing.assert_allclose(loss.numpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(slope[:, 1].numpy(), -0.3, rtol=1e-6)


def test_ordinary_deviations_keep_every_bit():
    raw = 15 * torch.randn(500, generator=rng())
    raw = raw[raw > -14.9]
    loss, slope = lost(raw)
    encoded = torch.stack((torch.zeros_like(raw), raw), 1).requires_grad_()
    plain = torch.full((len(raw),), 2.0).log() + 0.3 * divergence(*code_of(encoded))
    plain.sum().backward()
    assert torch.equal(loss, plain.detach())
    assert torch.equal(slope, encoded.grad)


def test_noise_is_drawn_in_training_alone():
    layer, features = Bottleneck(5, 3), torch.randn(4, 5, generator=rng())
    mean, deviation = code_of(layer.encoder(features))
    expected = (layer.encoder.weight[:3] @ features.T).T + layer.encoder.bias[:3]
    torch.testing.assert_close(mean, expected)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        noisy = layer(features)
        torch.manual_seed(7)
        torch.testing.assert_close(noisy, mean + deviation * torch.randn(4, 3))
    assert (deviation < 0.05).all(), "a new code has hardly any noise"
    layer.eval()
    assert torch.equal(layer(features), mean)


def make(seed):
    return build("cnn_blocks", (1, 8, 8), 5, seed=seed, width=2)


def test_it_stands_before_the_last_layer_and_leaves_the_others():
    plain, narrow = make(3), defended(make, mid(beta=0.1).model, seed=3)
    assert narrow.blocks == plain.blocks
    bottleneck, last = narrow.classifier
    assert (bottleneck.encoder.in_features, bottleneck.encoder.out_features) == (32, 32)
    assert (last.in_features, last.out_features) == (16, 5)
    for (name, one), other in zip(
        plain.stages.named_parameters(), narrow.stages.parameters(), strict=True
    ):
        assert torch.equal(one, other), name
    assert defended(make, mid(beta=0.1, width=3).model, seed=3).classifier[1].in_features == 3
    again = defended(make, mid(beta=0.1).model, seed=3)
    assert torch.equal(again.classifier[1].weight, last.weight)


def test_the_model_that_it_is_given_stays_as_it_is():
    plain = make(3)
    mid(beta=0.1).model(plain)
    assert isinstance(plain.classifier, nn.Linear)


@pytest.mark.parametrize(
    ("model", "encoder"),
    [
        (nn.Linear(6, 3), "0.encoder"),
        (nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)), "2.0.encoder"),
        (nn.Sequential(nn.Sequential(nn.Linear(6, 1, bias=False))), "0.0.0.encoder"),
    ],
)
def test_wherever_the_last_layer_is(model, encoder):
    defense = mid(beta=0.1)
    narrow = defense.model(model)
    assert defense.reads(narrow) == (encoder,)
    given = [part for part in model.modules() if isinstance(part, nn.Linear)][-1]
    last = [part for part in narrow.modules() if isinstance(part, nn.Linear)][-1]
    assert (last.bias is None) == (given.bias is None)
    assert last.in_features == max(given.in_features // 2, 1)
    assert narrow(torch.randn(2, 6)).shape == (2, given.out_features)


def test_a_bottleneck_alone_is_read_too():
    assert mid(beta=0.1).reads(Bottleneck(3, 2)) == ("encoder",)


def test_what_it_cannot_narrow_or_read_is_said():
    with pytest.raises(UserError, match="this one has no linear layer"):
        mid(beta=0.1).model(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten()))
    with pytest.raises(UserError, match="the model has 0: train the model that"):
        mid(beta=0.1).reads(nn.Linear(2, 2))


def test_zero_is_no_defense_at_all():
    assert mid(beta=0.0) == mid(beta=0.0, width=3) == Defense()


@pytest.mark.parametrize(
    "wrong", [{"beta": -0.1}, {"beta": float("nan")}, {"beta": float("inf")}, {"width": 0}]
)
def test_strengths_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="mid needs"):
        mid(**{"beta": 0.1} | wrong)


def test_a_large_weight_drives_the_code_to_noise_and_it_travels():
    defense = pickle.loads(pickle.dumps(mid(beta=100.0)))
    model = defense.model(nn.Sequential(nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3)))
    data = SimpleNamespace(
        inputs=torch.randn(32, 6, generator=rng()), labels=torch.arange(32) % 3, classes=3
    )

    def told(state):
        encoded = []
        handle = model[2][0].encoder.register_forward_hook(lambda *x: encoded.append(x[2]))
        torch.func.functional_call(model, state, (data.inputs,))
        handle.remove()
        return float(divergence(*code_of(encoded[0])).detach().mean())

    start = {n: p.detach() for n, p in model.named_parameters()}
    after = train(
        model, start, {0: torch.arange(32)}, data, LocalTraining(epochs=200, batch_size=32),
        learning_rate=2e-3, seed=0, defense=defense, plan=Plan(kind="stacked", chunk=2),
    )[0]  # fmt: skip
    assert told(start) > 5
    assert told(after) < 0.05


def test_gradients_of_samples_are_those_of_the_mean_code():
    model = mid(beta=0.1).model(nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 3)))
    model = model.double().eval()
    inputs, labels = torch.randn(4, 6, generator=rng()).double(), torch.arange(4) % 3
    updates = random_updates(model, 2)
    products = gradient_products(model, inputs, labels, updates)
    assert_agrees(products, plain_gradients(model, inputs, labels), updates, 1e-9)


STUDY = {
    "data": {"name": "digits", "clients": 3, "per_client": 20, "held_out": 20},
    "model": {"name": "cnn_blocks", "options": {"width": 2}},
    "federation": {"rounds": 1, "batch_size": 10},
    "defense": {"name": "mid", "options": {"beta": 0.01}},
}
MANY = {
    "data": {"name": "digits", "clients": 1},
    "federation": {"rounds": 1, "batch_size": 10, "local_epochs": 2},
    "reference": {"models": 6, "records": 60, "public": 20},
    "attacks": {"names": ["loss"]},
}


def test_studies_train_the_narrow_model():
    prepared = prepare(build_study(STUDY))
    assert isinstance(prepared.model.classifier[0], Bottleneck)
    assert prepared.plan.kind != "stacked"
    plain = prepare(build_study(STUDY | {"defense": {"name": "none"}}))
    assert torch.equal(plain.model.stages[0][0].weight, prepared.model.stages[0][0].weight)
    assert prepared.knowledge is None


def test_black_box_studies_train_it_one_by_one():
    bench = prepare(build_study(STUDY | MANY)).bench
    assert bench.plan.kind == "one_by_one"
    assert isinstance(bench.network(1).classifier[0], Bottleneck)
    pickle.loads(pickle.dumps(bench.build))
    fitted = bench.fit([0, 1])
    assert "classifier.0.encoder.weight" in fitted[0].state
    one, other = (fitted[n].state["classifier.0.encoder.weight"] for n in (0, 1))
    assert not torch.equal(one, other)
    assert np.isfinite(bench.measure(0, fitted[0])["loss"]).all()
