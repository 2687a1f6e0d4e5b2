"""A search for the records behind an upload: the steps it retraces, what it finds, and when not."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from seepage.data import load
from seepage.inversion.client_round import ClientRound
from seepage.inversion.contract import Target
from seepage.inversion.gradient_inversion import Search, gradient_inversion, retraced
from seepage.metrics import match, psnr
from seepage.models import build
from seepage.records import UserError
from seepage.training import LocalTraining, train


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def convolutions():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2, padding=1),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(256, 10),
    )


@pytest.fixture(scope="module")
def data():
    return load("digits")


def target_of(model, data):
    return Target(
        model=copy.deepcopy(model), classes=10, shape=(1, 8, 8), mean=data.mean, std=data.std
    )


def one_round(model, data, rows, *, rate=0.05, **training):
    settings = LocalTraining(**{"batch_size": len(rows), **training})
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    rows = np.asarray(rows)
    upload = train(model, start, {0: rows}, data, settings, learning_rate=rate, seed=0)[0]
    return ClientRound(
        start=start, upload=upload, learning_rate=rate, records=len(rows), training=settings
    )


def decibels(images, data, rows):
    """PSNR of each image beside the record that it is matched with."""
    real = (data.inputs[rows] * data.std[0] + data.mean[0]).clamp(0, 1)
    matched = match(images, real)
    return psnr(images[matched.fake], real[matched.real])


def noise_decibels(data, rows):
    return decibels(torch.rand(len(rows), 1, 8, 8, generator=generator(9)), data, rows)


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"epochs": 3},
        {"epochs": 2, "momentum": 0.9, "weight_decay": 0.05},
        {"epochs": 3, "batch_size": 2, "shuffle": False, "momentum": 0.9},
        {
            "epochs": 2,
            "batch_size": 2,
            "shuffle": False,
            "momentum": 0.9,
            "restart_each_epoch": True,
        },
        {"epochs": 3, "batch_size": 4, "shuffle": False, "schedule": "cosine"},
        {"batch_size": 2, "shuffle": False, "share": 0.7},
        {"batch_size": 2, "full_gradient": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["mlp", "convolutions"])
def test_the_true_records_retrace_the_clients_steps(data, name, training):
    model = build(convolutions if name == "convolutions" else "mlp", (1, 8, 8), 10, seed=1)
    rows = [3, 14, 15, 92, 65]
    seen = one_round(model, data, rows, rate=0.2, **training)
    made = retraced(model, seen, data.inputs[rows], data.labels[rows])
    change = seen.change()
    for (key, _), found in zip(model.named_parameters(), made, strict=True):
        torch.testing.assert_close(found.detach(), change[key], atol=2e-7, rtol=1e-4)


def test_batch_normalisation_runs_as_in_training(data):
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 10))
    rows = [1, 2, 3, 4]
    logits = model(data.inputs[rows])
    loss = nn.functional.cross_entropy(logits, data.labels[rows])
    slopes = torch.autograd.grad(loss, list(model.parameters()))
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    upload = {k: p - 0.1 * g for (k, p), g in zip(start.items(), slopes, strict=True)}
    seen = ClientRound(start=start, upload=upload, learning_rate=0.1, records=4)
    target = target_of(model, data)
    statistics = target.model[1].running_mean.clone()
    found = gradient_inversion(target, seen, Search(steps=80, total_variation=0), generator())
    logits = model((found.images - data.mean[0]) / data.std[0])
    loss = nn.functional.cross_entropy(logits, found.labels)
    made = torch.autograd.grad(loss, list(model.parameters()))
    made, real = (torch.cat([g.flatten() for g in every]) for every in (made, slopes))
    apart = 1 - nn.functional.cosine_similarity(made, real, dim=0)
    assert found.matched == pytest.approx(float(apart), abs=1e-4)
    assert decibels(found.images, data, rows).mean() > noise_decibels(data, rows).mean() + 5
    assert torch.equal(target.model[1].running_mean, statistics)


@pytest.mark.parametrize("name", ["mlp", "convolutions"])
def test_one_digit_is_found(data, name):
    model = build(convolutions if name == "convolutions" else "mlp", (1, 8, 8), 10, seed=3)
    seen = one_round(model, data, [7])
    search = Search(steps=100, total_variation=0.001)
    found = gradient_inversion(target_of(model, data), seen, search, generator())
    assert noise_decibels(data, [7])[0] < 8
    assert decibels(found.images, data, [7])[0] > 25
    assert found.labels.tolist() == [int(data.labels[7])]
    assert (found.images.shape, found.images.dtype) == ((1, 1, 8, 8), torch.float32)
    assert 0 <= float(found.images.min()) <= float(found.images.max()) <= 1
    assert found.trace.shape == (100,)
    assert found.trace[-1] < 0.1 * found.trace[0]


def test_four_digits_are_found(data):
    model, rows = build(convolutions, (1, 8, 8), 10, seed=3), [0, 11, 22, 33]
    seen = one_round(model, data, rows)
    search = Search(steps=120, total_variation=0.001)
    found = gradient_inversion(target_of(model, data), seen, search, generator())
    assert np.median(decibels(found.images, data, rows)) > 20
    assert sorted(found.labels.tolist()) == sorted(data.labels[rows].tolist())


def test_retraced_steps_beat_a_single_gradient(data):
    model, rows = build(convolutions, (1, 8, 8), 10, seed=3), [5, 16]
    seen = one_round(model, data, rows, rate=1.0, epochs=2)
    single = ClientRound(
        start=seen.start,
        upload=seen.upload,
        learning_rate=1.0,
        records=2,
        training=LocalTraining(batch_size=2),
    )
    search, labels = Search(steps=100, total_variation=0.001), data.labels[rows]
    unrolled, naive = (
        gradient_inversion(target_of(model, data), given, search, generator(), labels)
        for given in (seen, single)
    )
    better, worse = (decibels(each.images, data, rows).mean() for each in (unrolled, naive))
    assert better > worse + 5
    assert unrolled.matched < naive.matched / 5


def test_a_random_upload_shows_nothing(data):
    model, rows = build(convolutions, (1, 8, 8), 10, seed=3), [0, 11, 22, 33]
    seen = one_round(model, data, rows)
    draw = generator(1)
    upload = {k: v + 0.01 * torch.randn(v.shape, generator=draw) for k, v in seen.start.items()}
    nothing = ClientRound(start=seen.start, upload=upload, learning_rate=0.05, records=4)
    search = Search(steps=50, total_variation=0.001)
    found = gradient_inversion(target_of(model, data), nothing, search, generator())
    assert decibels(found.images, data, rows).mean() < noise_decibels(data, rows).mean() + 2
    assert found.matched > 0.5


def test_the_best_restart_is_kept(data):
    model = build("mlp", (1, 8, 8), 10, seed=3)
    seen = one_round(model, data, [1, 2])
    target, labels = target_of(model, data), data.labels[[1, 2]]
    once, thrice = (Search(steps=20, total_variation=0, restarts=r) for r in (1, 3))
    shared = generator()
    singles = [gradient_inversion(target, seen, once, shared, labels) for _ in range(3)]
    best = min(singles, key=lambda each: each.matched)
    assert best is not singles[0]
    kept = gradient_inversion(target, seen, thrice, generator(), labels)
    assert kept.matched == best.matched
    assert torch.equal(kept.images, best.images)


def test_matched_is_the_cosine_of_what_the_images_do(data):
    model = build("mlp", (1, 8, 8), 10, seed=3)
    seen = one_round(model, data, [1, 2], epochs=2)
    found = gradient_inversion(target_of(model, data), seen, Search(steps=10), generator())
    inputs = (found.images - data.mean[0]) / data.std[0]
    made = torch.cat([m.detach().flatten() for m in retraced(model, seen, inputs, found.labels)])
    real = torch.cat([c.flatten() for c in seen.change().values()])
    expected = 1 - torch.nn.functional.cosine_similarity(made, real, dim=0)
    assert found.matched == pytest.approx(float(expected), abs=1e-5)


def test_total_variation_makes_images_smoother(data):
    model = build("mlp", (1, 8, 8), 10, seed=3)
    seen = one_round(model, data, [1])
    rough, smooth = (
        gradient_inversion(
            target_of(model, data), seen, Search(steps=60, total_variation=a), generator()
        ).images
        for a in (0.0, 1.0)
    )
    assert smooth.diff(dim=-1).abs().mean() < 0.7 * rough.diff(dim=-1).abs().mean()


def test_steps_are_those_of_adam_on_signs_written_out(data):
    model, weight, rows = build("mlp", (1, 8, 8), 10, seed=3), 0.05, [1, 2]
    seen, labels = one_round(model, data, rows), data.labels[rows]
    search = Search(steps=16, learning_rate=0.02, total_variation=weight)
    found = gradient_inversion(target_of(model, data), seen, search, generator(), labels)

    rng = generator()
    labels = labels[torch.randperm(2, generator=rng)]
    images = torch.rand(2, 1, 8, 8, generator=rng)
    real = torch.cat([c.flatten() for c in seen.change().values()])
    moment = torch.zeros_like(images)
    for step in range(16):
        images.requires_grad_()
        loss = nn.functional.cross_entropy(model((images - data.mean[0]) / data.std[0]), labels)
        slopes = torch.autograd.grad(loss, list(model.parameters()), create_graph=True)
        made = torch.cat([slope.flatten() for slope in slopes])
        rough = (images[..., 1:, :] - images[..., :-1, :]).abs().mean()
        rough = rough + (images[..., 1:] - images[..., :-1]).abs().mean()
        objective = 1 - nn.functional.cosine_similarity(made, real, dim=0) + weight * rough
        assert found.trace[step] == pytest.approx(objective.item(), abs=1e-4)
        moment = 0.9 * moment + 0.1 * torch.autograd.grad(objective, images)[0].sign()
        size = 0.02 * 0.1 ** sum(step >= fall for fall in (6, 10, 14))
        # the second moment of signs is 1 throughout
        images = (images.detach() - size * moment / (1 - 0.9 ** (step + 1))).clamp(0, 1)
    off = (found.images - images).abs() > 1e-4
    assert off.float().mean() < 0.03  # a slope of next to nothing may round to either sign


def test_nothing_but_the_given_generator_is_drawn_from(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Dropout(0.5), nn.Linear(16, 10))
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    upload = {k: v + 0.01 for k, v in start.items()}
    seen = ClientRound(start=start, upload=upload, learning_rate=0.1, records=1)
    before = torch.get_rng_state()
    one, two = (
        gradient_inversion(target_of(model, data), seen, Search(steps=3), generator())
        for _ in range(2)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.images, two.images)
    assert np.array_equal(one.trace, two.trace)


def test_mini_batches_get_labels_in_an_order_of_their_own(data):
    model = build("mlp", (1, 8, 8), 10, seed=3)
    rows = list(range(10))
    seen = one_round(model, data, rows, batch_size=2)
    orders = {
        tuple(
            gradient_inversion(
                target_of(model, data), seen, Search(steps=1), generator(s), data.labels[rows]
            ).labels.tolist()
        )
        for s in range(3)
    }
    assert len(orders) == 3
    assert all(sorted(order) == list(range(10)) for order in orders)


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.relu()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, slopes):
        return slopes


class OnceLayer(nn.Module):
    def forward(self, values):
        return Once.apply(values)


def test_a_layer_without_second_derivative_is_the_users_to_mend(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), OnceLayer(), nn.Linear(8, 10))
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    upload = {k: v + 0.01 for k, v in start.items()}
    seen = ClientRound(start=start, upload=upload, learning_rate=0.1, records=1)
    with pytest.raises(UserError, match="second derivative"):
        gradient_inversion(target_of(model, data), seen, Search(steps=1), generator())


def test_a_record_alone_in_a_normalised_batch_is_said_and_no_other_refusal_is_reworded(data):
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Linear(8, 10))
    start = {name: p.detach().clone() for name, p in model.named_parameters()}
    upload = {name: p + 0.01 for name, p in start.items()}
    training = LocalTraining(batch_size=4)
    given = {"start": start, "upload": upload, "learning_rate": 0.1, "training": training}
    search = Search(steps=1)
    labels = torch.zeros(5, dtype=torch.int64)
    target, five = target_of(model, data), ClientRound(**given, records=5)
    with pytest.raises(UserError, match="does not leave 1 sample for the last batch"):
        gradient_inversion(target, five, search, generator(), labels)

    class Refusing(nn.Module):
        def forward(self, inputs):
            raise UserError("not today")

    refusing = target_of(nn.Sequential(*model, Refusing()), data)
    four = ClientRound(**given, records=4)
    with pytest.raises(UserError, match=r"^not today$"):
        gradient_inversion(refusing, four, search, generator(), labels[:4])


def test_labels_must_be_one_a_record(data):
    model = build("mlp", (1, 8, 8), 10, seed=3)
    seen = one_round(model, data, [1, 2])
    with pytest.raises(UserError, match="each of 2 records"):
        gradient_inversion(
            target_of(model, data), seen, Search(steps=1), generator(), torch.tensor([1])
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"restarts": 0},
        {"steps": 0},
        {"learning_rate": 0.0},
        {"total_variation": -1.0},
        {"total_variation": float("nan")},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="gradient inversion needs"):
        Search(**wrong)
