"""One round's signals as a Dataset, against the plain way for each."""

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn import functional

from gradients.oracle import plain_gradients
from seepage.records import Candidates, UserError
from seepage.signals import SIGNALS, gradient_products, output
from seepage.signals.adaptive import Knowledge
from seepage.signals.answers import Responder
from seepage.signals.inside import INSIDE
from seepage.signals.measure import GRADIENT, MEASURED, measure
from seepage.signals.output import OUTPUT
from seepage.states import state_of

CLIENTS = (7, 2, 4)
OF_CLIENTS = [*OUTPUT, *GRADIENT]


def make(seed):
    """A network that has seen batches of its own."""
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)
    )
    model(3 * torch.randn(8, 1, 6, 6) + seed)
    return model.eval()


def flat(state):
    """The parameters alone, one after the other."""
    return torch.cat([state[name].flatten() for name, _ in make(0).named_parameters()])


@pytest.fixture
def round_():
    """What one round holds, with a template that is none of its models."""
    rng = torch.Generator().manual_seed(0)
    return {
        "model": make(99),
        "start": state_of(make(0)),
        "uploads": {k: state_of(make(k)) for k in CLIENTS},
        "candidates": Candidates(
            ids=np.array([3, 8, 9, 20, 31]),
            inputs=torch.randn(5, 1, 6, 6, generator=rng),
            labels=torch.tensor([0, 1, 2, 1, 0]),
        ),
    }


@pytest.mark.parametrize("batch_size", [None, 2])
def test_every_signal_of_every_client(round_, batch_size):
    dataset = measure(**round_, names=OF_CLIENTS, batch_size=batch_size)
    x, y = round_["candidates"].inputs, round_["candidates"].labels
    gradients = plain_gradients(make(0), x, y)
    start = flat(round_["start"])
    for k in CLIENTS:
        logits, one = make(k)(x).detach(), dataset.sel(client=k)
        u = (start - flat(round_["uploads"][k])).double()
        expected = {
            "loss": functional.cross_entropy(logits, y, reduction="none"),
            "confidence": logits.softmax(1)[range(5), y],
            "margin": output.margin(logits, y),
            "entropy": output.entropy(logits, y),
            "scaled_logit": output.scaled_logit(logits, y),
            "modified_entropy": output.modified_entropy(logits, y),
            "correct": logits.argmax(1) == y,
            "rank": logits.argsort(1, descending=True).argsort(1)[range(5), y],
            "inner_product": gradients @ u,
            "cosine": functional.cosine_similarity(gradients, u[None]),
            "gradient_difference": u.square().sum() - (u - gradients).square().sum(1),
            "squared_gradient_norm": gradients.square().sum(1),
            "squared_update_norm": u.square().sum(),
        }
        assert expected.keys() == set(OF_CLIENTS)
        for name, values in expected.items():
            np.testing.assert_allclose(one[name], values.numpy(), rtol=2e-4, atol=1e-5)


def test_the_labels_of_the_arrays(round_):
    known = Knowledge(loss=lambda logits, y: logits[:, 0], seed=0, batch_size=2, classes=3)
    dataset = measure(**round_, names=MEASURED, aggregate=state_of(make(1)), knowledge=known)
    assert dataset.client.values.tolist() == [2, 4, 7]
    assert dataset.sample.values.tolist() == [3, 8, 9, 20, 31]
    for name in MEASURED:
        assert dataset[name].dims == tuple(dim for dim in SIGNALS[name].dims if dim != "round")
    assert dataset["loss"].dtype == np.float32
    assert dataset["inner_product"].dtype == np.float64


@pytest.mark.parametrize("batch_size", [None, 2])
def test_the_sum_is_measured_as_a_client_that_sent_it_would_be(round_, batch_size):
    """An upload of its own, of the plain mean of all: its loss and cosine, without a client."""
    uploads = round_["uploads"].values()
    mean = {name: sum(upload[name] for upload in uploads) / 3 for name in round_["start"]}
    names = ["aggregate_cosine", "aggregate_loss", "cosine", "loss", "squared_update_norm"]
    found = measure(**round_, names=names, aggregate=mean, batch_size=batch_size)
    alone = measure(**round_ | {"uploads": {0: mean}}, names=["cosine", "loss"])
    np.testing.assert_array_equal(found["aggregate_loss"], alone["loss"].isel(client=0))
    np.testing.assert_allclose(found["aggregate_cosine"], alone["cosine"].isel(client=0), rtol=1e-5)
    without = measure(**round_, names=["cosine", "loss", "squared_update_norm"])
    xr.testing.assert_allclose(found[list(without)], without, rtol=1e-5)
    assert not np.allclose(found["aggregate_cosine"], found["cosine"].mean("client"), rtol=1e-3)


def test_the_sum_takes_no_gradient_of_its_own(round_, monkeypatch):
    """One pass over the candidates for clients and sum together, and none for a loss."""
    passes = []

    def counted(*args, **options):
        passes.append(args)
        return gradient_products(*args, **options)

    monkeypatch.setattr("seepage.signals.measure.gradient_products", counted)
    sum_ = round_ | {"aggregate": state_of(make(1))}
    measure(**sum_, names=["aggregate_cosine", "aggregate_loss", "cosine", "loss"])
    assert len(passes) == 1
    measure(**sum_, names=["aggregate_loss"])
    assert len(passes) == 1


def test_a_client_that_sent_nothing_new_has_cosine_zero(round_):
    dataset = measure(**round_ | {"uploads": {0: round_["start"]}}, names=["cosine"])
    assert (dataset["cosine"] == 0).all()


def test_only_what_is_asked_for(round_, monkeypatch):
    monkeypatch.setattr("seepage.signals.measure.gradient_products", None)
    dataset = measure(**round_ | {"start": None}, names=["loss"])
    assert list(dataset) == ["loss"]


def test_the_template_is_left_as_it_was(round_):
    model = round_["model"].train()
    model[1].eval()
    before = {name: t.clone() for name, t in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    pointers = [p.data_ptr() for p in model.parameters()]
    measure(**round_, names=["loss", "cosine"])
    assert modes == [m.training for m in model.modules()]
    assert pointers == [p.data_ptr() for p in model.parameters()]
    assert all(torch.equal(t, model.state_dict()[name]) for name, t in before.items())


def test_a_template_in_training_mode_is_measured_in_evaluation_mode(round_):
    names = ["loss", "cosine"]
    expected = measure(**round_, names=names)
    round_["model"].train()
    for name, values in measure(**round_, names=names).items():
        np.testing.assert_array_equal(values, expected[name])


def test_a_defense_of_answers_is_seen_through_and_gradients_are_not(round_):
    """Halved logits halve the margin; what the server computes itself stays."""
    names = ["margin", "cosine"]
    plain = measure(**round_, names=names)
    halve = Responder(hook=lambda logits, query: logits / 2, mean=(0.0,), std=(1.0,), seed=0)
    defended = measure(**round_, names=names, respond=halve)
    np.testing.assert_allclose(defended["margin"], plain["margin"] / 2, rtol=1e-5)
    np.testing.assert_array_equal(defended["cosine"], plain["cosine"])


def test_every_client_and_batch_has_draws_of_its_own_and_always_the_same(round_):
    def noise(logits, query):
        drawn.append(torch.randn(logits.shape, generator=query.rng))
        return logits + drawn[-1]

    same = round_ | {"uploads": dict.fromkeys(CLIENTS, round_["start"])}
    respond = Responder(hook=noise, mean=(0.0,), std=(1.0,), seed=3)
    drawn = []
    first = measure(**same, names=["margin"], respond=respond, batch_size=2)
    assert len(drawn) == 9
    assert len({float(each[0, 0]) for each in drawn}) == 9
    xr.testing.assert_identical(
        measure(**same, names=["margin"], respond=respond, batch_size=2), first
    )
    alone = same | {"uploads": {4: round_["start"]}}
    again = measure(**alone, names=["margin"], respond=respond, batch_size=2)
    xr.testing.assert_identical(again, first.sel(client=[4]))


def test_the_table_and_the_functions_are_one_set():
    answers = {"generated_answer", "global_answer", "own_answer"}
    facts = {"attendance", "declared", "label"}
    assert SIGNALS.keys() == {*MEASURED, *INSIDE, "dealt_loss", *answers, *facts}
    assert list(SIGNALS) == sorted(SIGNALS)


@pytest.mark.parametrize(("name", "size"), [("loss", 1e30), ("cosine", float("inf"))])
def test_what_is_not_finite_is_refused_by_name(round_, name, size):
    weights = {n: size * torch.ones_like(p) for n, p in make(0).named_parameters()}
    huge = round_["uploads"][2] | weights
    round_["uploads"][2] = huge
    with pytest.raises(UserError, match=f"'{name}' is not finite.*training diverged"):
        measure(**round_, names=[name])


def test_what_cannot_be_measured_is_refused(round_):
    with pytest.raises(UserError, match="did you mean cosine"):
        measure(**round_, names=["cosin"])
    with pytest.raises(UserError, match="no signal 'start_loss' is measured of uploads"):
        measure(**round_, names=["start_loss"])
    with pytest.raises(UserError, match="started from"):
        measure(**round_ | {"start": None}, names=["cosine"])
    with pytest.raises(UserError, match="'aggregate_loss' is one of the round's mean upload"):
        measure(**round_, names=["loss", "aggregate_loss"])
    with pytest.raises(UserError, match="'adaptive_loss' is measured through a defense"):
        measure(**round_, names=["adaptive_loss"])
    with pytest.raises(UserError, match="at least one client"):
        measure(**round_ | {"uploads": {}}, names=["loss"])
    short = {name: t for name, t in round_["start"].items() if name != "0.bias"}
    with pytest.raises(UserError, match=r"'0\.bias' expected shape \(4,\), got no such name"):
        measure(**round_ | {"uploads": {1: short}}, names=["loss"])
