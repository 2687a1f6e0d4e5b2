"""Cohort training against a plain loop over ``torch.optim``, under every plan."""

import pytest
import torch
from torch import nn

from seepage.protocols import Defense
from seepage.records import UserError
from seepage.training import LocalTraining, Plan, train

STACKED = Plan(kind="stacked", chunk=5)
ONE = Plan(kind="one_by_one")

SETTINGS = [
    LocalTraining(epochs=2, batch_size=8),
    LocalTraining(epochs=3, batch_size=8, momentum=0.9, weight_decay=0.01),
    LocalTraining(epochs=2, batch_size=8, optimizer="adamw", weight_decay=0.1),
    LocalTraining(batch_size=64),
    LocalTraining(epochs=2, batch_size=8, optimizer="adam", weight_decay=0.1),
]


def assert_close(one, other, atol=1e-6):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=atol, rtol=1e-5)


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    "plan", [STACKED, Plan(kind="stacked", chunk=2), ONE], ids=lambda p: p.kind
)
@pytest.mark.parametrize(
    "settings", SETTINGS, ids=["sgd", "momentum", "adamw", "one_batch", "adam"]
)
def test_unequal_sizes_are_trained_as_a_plain_loop_would(
    mlp, samples, shards, start_of, plain_loop, settings, plan
):
    arguments = {"learning_rate": 0.05, "seed": 5}
    trained = train(mlp, start_of(mlp), shards, samples, settings, plan=plan, **arguments)
    assert list(trained) == [0, 1, 2, 3, 4]
    for k, rows in shards.items():
        assert_close(trained[k], plain_loop(mlp, rows, samples, settings, member=k, **arguments))


def test_the_oracle_would_notice_a_row_too_few(mlp, samples, shards, start_of, plain_loop):
    settings, arguments = SETTINGS[0], {"learning_rate": 0.05, "seed": 5}
    cut = plain_loop(mlp, shards[3][:-1], samples, settings, member=3, **arguments)
    with pytest.raises(AssertionError):
        assert_close(train(mlp, start_of(mlp), shards, samples, settings, **arguments)[3], cut)


def test_adamw_stops_for_models_that_have_finished(mlp, samples, shards, start_of):
    settings = SETTINGS[2]
    arguments = {"learning_rate": 0.05, "seed": 5, "plan": STACKED}
    alone = train(mlp, start_of(mlp), {2: shards[2]}, samples, settings, **arguments)
    beside = train(mlp, start_of(mlp), shards, samples, settings, **arguments)
    assert_close(alone[2], beside[2])


def test_a_model_does_not_depend_on_the_others_or_their_order(mlp, samples, shards, start_of):
    arguments = {"learning_rate": 0.05, "seed": 5, "plan": STACKED}
    turned = dict(reversed(shards.items()))
    one = train(mlp, start_of(mlp), shards, samples, SETTINGS[1], **arguments)
    other = train(mlp, start_of(mlp), turned, samples, SETTINGS[1], **arguments)
    for k in shards:
        assert_same(one[k], other[k])


def test_convolutions_agree_between_plans(start_of):
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1),
            nn.GroupNorm(2, 4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64, 3),
        )
        inputs, labels = torch.randn(30, 2, 8, 8), torch.randint(0, 3, (30,))
    samples = type("Images", (), {"inputs": inputs, "labels": labels, "classes": 3})
    shards = {0: torch.arange(13), 1: torch.arange(13, 30)}
    settings = LocalTraining(epochs=2, batch_size=4, momentum=0.5)
    plans = [STACKED, ONE, Plan(kind="one_by_one", channels_last=True)]
    first, *others = (
        train(model, start_of(model), shards, samples, settings, learning_rate=0.05, seed=0, plan=p)
        for p in plans
    )
    for other in others:
        for k in shards:
            assert_close(first[k], other[k], atol=1e-5)
            assert all(p.is_contiguous() for p in other[k].values())


def test_each_model_can_have_its_own_start(mlp, samples, shards, start_of):
    starts = [{n: p + 0.1 * k for n, p in start_of(mlp).items()} for k in range(len(shards))]
    arguments = {"learning_rate": 0.05, "seed": 5}
    together = train(mlp, starts, shards, samples, SETTINGS[1], plan=STACKED, **arguments)
    for k, rows in shards.items():
        alone = train(mlp, starts[k], {k: rows}, samples, SETTINGS[1], **arguments)
        assert_close(together[k], alone[k])
    with pytest.raises(UserError, match="5 models need 5 starts, got 4"):
        train(mlp, starts[:4], shards, samples, SETTINGS[1], **arguments)


@pytest.mark.parametrize("plan", [STACKED, ONE], ids=lambda p: p.kind)
def test_a_full_gradient_is_one_step_on_the_mean_over_all_samples(
    mlp, samples, shards, start_of, plan
):
    settings = LocalTraining(batch_size=8, full_gradient=True)
    trained = train(
        mlp, start_of(mlp), shards, samples, settings, learning_rate=0.3, seed=0, plan=plan
    )
    for k, rows in shards.items():
        loss = nn.functional.cross_entropy(mlp(samples.inputs[rows]), samples.labels[rows])
        gradients = torch.autograd.grad(loss, list(mlp.parameters()))
        expected = {
            n: p - 0.3 * g for (n, p), g in zip(start_of(mlp).items(), gradients, strict=True)
        }
        assert_close(trained[k], expected)


def test_tied_weights_stay_tied(samples, shards, start_of):
    model = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6))
    model[2].weight = model[0].weight
    trained = [
        train(
            model, start_of(model), shards, samples, SETTINGS[1], learning_rate=0.1, seed=0, plan=p
        )
        for p in (STACKED, ONE)
    ]
    assert set(trained[0][0]) == {"0.weight", "0.bias", "2.bias"}
    for k in shards:
        assert_close(trained[0][k], trained[1][k])


def test_frozen_parameters_stay(mlp, samples, shards, start_of):
    mlp[0].weight.requires_grad_(False)
    for plan in (STACKED, ONE):
        trained = train(
            mlp, start_of(mlp), shards, samples, SETTINGS[1], learning_rate=0.1, seed=0, plan=plan
        )
        assert torch.equal(trained[0]["0.weight"], mlp[0].weight)
        assert not torch.equal(trained[0]["0.bias"], mlp[0].bias)


def test_the_model_and_its_mode_are_left_as_they_were(mlp, samples, shards, start_of):
    mlp.eval()
    before = start_of(mlp)
    for plan in (STACKED, ONE):
        train(mlp, before, shards, samples, SETTINGS[0], learning_rate=0.1, seed=0, plan=plan)
    assert not mlp.training
    assert_same(before, start_of(mlp))
    assert all(p.grad is None for p in mlp.parameters())


def test_dropout_is_drawn_by_name_and_leaves_torch_its_own_generator(samples, shards, start_of):
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    arguments = {"learning_rate": 0.1, "seed": 4}
    torch.manual_seed(0)
    state = torch.get_rng_state()
    all_of_them = train(model, start_of(model), shards, samples, SETTINGS[0], **arguments)
    assert torch.equal(state, torch.get_rng_state())
    torch.manual_seed(77)
    one = train(model, start_of(model), {3: shards[3]}, samples, SETTINGS[0], **arguments)
    assert_same(all_of_them[3], one[3])
    other = train(
        model, start_of(model), {3: shards[3]}, samples, SETTINGS[0], round_number=2, **arguments
    )
    assert not torch.equal(one[3]["0.weight"], other[3]["0.weight"])


class HiddenDropout(nn.Linear):
    def forward(self, x):
        return nn.functional.dropout(super().forward(x))


def test_a_model_that_cannot_be_mapped_says_so(samples, shards, start_of):
    model = HiddenDropout(6, 3)
    with pytest.raises(UserError, match=r"cannot be trained stacked.*one_by_one"):
        train(
            model,
            start_of(model),
            shards,
            samples,
            SETTINGS[0],
            learning_rate=0.1,
            seed=0,
            plan=STACKED,
        )


def squared(logits, targets):
    return (logits.softmax(1) - targets).square().sum(1)


def first_class(inputs, targets, rng):
    return inputs + torch.rand(len(inputs), 1, generator=rng), torch.flip(targets, [0])


def in_doubles(inputs, targets, rng):
    return 0.5 * inputs.double(), targets.double()


@pytest.mark.parametrize(
    "defense",
    [
        Defense(loss=squared),
        Defense(batch=first_class),
        Defense(batch=first_class, loss=squared),
        Defense(batch=in_doubles),
    ],
    ids=["loss", "batch", "both", "another type"],
)
def test_hooks_act_alike_under_every_plan(mlp, samples, shards, start_of, defense):
    def trained(plan, defense):
        return train(
            mlp,
            start_of(mlp),
            shards,
            samples,
            SETTINGS[1],
            learning_rate=0.05,
            seed=6,
            plan=plan,
            defense=defense,
        )

    stacked, alone, without = trained(STACKED, defense), trained(ONE, defense), trained(ONE, None)
    for k in shards:
        assert_close(stacked[k], alone[k])
    assert not torch.allclose(alone[3]["0.weight"], without[3]["0.weight"], atol=1e-4)


def test_hooks_see_each_model_without_the_filling(mlp, samples, shards, start_of):
    seen = []

    def listen(inputs, targets, rng):
        seen.append(inputs)
        assert targets.shape == (len(inputs), 3)
        assert torch.equal(targets.sum(1), torch.ones(len(inputs)))
        return inputs, targets

    settings = LocalTraining(batch_size=8)
    arguments = {"learning_rate": 0.05, "seed": 5, "plan": STACKED}
    listened = train(
        mlp, start_of(mlp), shards, samples, settings, defense=Defense(batch=listen), **arguments
    )
    rows = torch.cat(list(shards.values()))
    assert sorted(torch.cat(seen)[:, 0].tolist()) == sorted(samples.inputs[rows, 0].tolist())
    without = train(mlp, start_of(mlp), shards, samples, settings, **arguments)
    for k in shards:
        assert_same(listened[k], without[k])


def test_a_batch_hook_must_keep_shapes(mlp, samples, shards, start_of):
    half = Defense(batch=lambda x, y, rng: (x[:1], y[:1]))
    with pytest.raises(UserError, match="keep the shapes"):
        train(
            mlp,
            start_of(mlp),
            shards,
            samples,
            SETTINGS[0],
            learning_rate=0.1,
            seed=0,
            defense=half,
        )


@pytest.mark.parametrize("plan", [STACKED, ONE], ids=lambda p: p.kind)
def test_divergence_names_client_and_round(mlp, samples, shards, start_of, plan):
    samples.inputs = samples.inputs.clone()
    samples.inputs[shards[1]] *= 1e30
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    with pytest.raises(UserError, match=r"client 1 in round 4 .*lower learning rate.*0\.5"):
        train(
            model,
            start_of(model),
            shards,
            samples,
            SETTINGS[0],
            learning_rate=0.5,
            seed=0,
            round_number=4,
            plan=plan,
        )


def test_a_client_without_data_is_refused(mlp, samples, start_of):
    with pytest.raises(UserError, match="client 7 has no data"):
        train(
            mlp,
            start_of(mlp),
            {3: torch.arange(4), 7: torch.arange(0)},
            samples,
            SETTINGS[0],
            learning_rate=0.1,
            seed=0,
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"momentum": 1.0},
        {"weight_decay": -1.0},
        {"optimizer": "lion"},
        {"optimizer": "adam", "momentum": 0.9},
        {"optimizer": "adamw", "momentum": 0.9},
        {"schedule": "linear"},
        {"schedule": "milestones"},
        {"milestones": (2,)},
        {"schedule": "milestones", "milestones": (0,)},
        {"schedule": "milestones", "milestones": (2,), "decay": 0.0},
        {"keep": "first"},
        {"full_gradient": True, "epochs": 2},
        {"full_gradient": True, "optimizer": "adamw"},
        {"full_gradient": True, "momentum": 0.9},
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="got"):
        LocalTraining(**wrong)
