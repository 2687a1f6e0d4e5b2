"""Private training against one backward pass per sample, and against Opacus step by step."""

import copy
import math
import warnings
from concurrent.futures import Future

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn
from torch.nn import functional

from seepage._rng import torch_child
from seepage.protocols import ClippedGradient, Defense
from seepage.records import UserError
from seepage.training import LocalTraining, Plan, Spread, claim, train
from seepage.training.local import Job
from seepage.training.poisson import drawn

ONE, PROCESSES = Plan(kind="one_by_one"), Plan(kind="processes")
ROWS = torch.arange(3, 40)
LOCAL = LocalTraining(epochs=3, batch_size=8, momentum=0.9)


CLIP = {"mlp": 1.5, "convolutions": 4.0}
"""About half of the samples' gradients are longer at the start."""


class Inline:
    """Worker processes without the processes."""

    def submit(self, function, argument):
        future = Future()
        future.set_result(function(argument))
        return future


def private(**changed):
    return Defense(gradient=ClippedGradient(**{"norm": 0.5, "sigma": 0.0} | changed))


def convolutions():
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return nn.Sequential(
            nn.Unflatten(1, (1, 2, 3)),
            nn.Conv2d(1, 4, 2, padding=1),
            nn.GroupNorm(2, 4),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(48, 3),
        )


def start_of(model):
    return {n: p.detach().clone() for n, p in model.named_parameters()}


def trained(
    model, samples, defense, *, rows=ROWS, local=LOCAL, plan=ONE, seed=5, rate=0.1, spread=None
):
    found = train(
        model,
        start_of(model),
        rows if isinstance(rows, dict) else {2: rows},
        samples,
        local,
        learning_rate=rate,
        seed=seed,
        plan=plan,
        defense=defense,
        spread=spread,
    )
    return found if isinstance(rows, dict) else found[2]


def job_of(defense, local=LOCAL, seed=5):
    gradient = defense.gradient
    return Job(settings=local, learning_rate=0.1, seed=seed, gradient=gradient)


def assert_close(one, other, **tolerance):
    for name in one:
        torch.testing.assert_close(
            one[name], other[name], **{"atol": 1e-6, "rtol": 1e-4} | tolerance
        )


def by_hand(model, samples, clip, loss):
    """Plain SGD on the mean of gradients that are clipped one after another."""
    model = copy.deepcopy(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for own in drawn(2, len(ROWS), job_of(private())):
        optimizer.zero_grad()
        total = [torch.zeros_like(p) for p in model.parameters()]
        for row in ROWS[own]:
            answer = model(samples.inputs[row][None])
            target = functional.one_hot(samples.labels[row][None], 3).float()
            each = torch.autograd.grad(loss(answer, target).sum(), list(model.parameters()))
            norm = torch.stack([g.square().sum() for g in each]).sum().sqrt()
            for sum_, g in zip(total, each, strict=True):
                sum_ += g * min(1.0, clip / float(norm))
        for p, sum_ in zip(model.parameters(), total, strict=True):
            p.grad = sum_ / LOCAL.batch_size
        optimizer.step()
    return start_of(model)


def smoothed(logits, targets):
    return functional.cross_entropy(logits, 0.8 * targets + 0.2 / 3, reduction="none")


def cross_entropy(logits, targets):
    return functional.cross_entropy(logits, targets, reduction="none")


@pytest.mark.parametrize("loss", [cross_entropy, smoothed], ids=lambda f: f.__name__)
@pytest.mark.parametrize("name", ["mlp", "convolutions"])
def test_clipped_steps_are_those_of_one_backward_pass_per_sample(name, loss, mlp, samples):
    model = mlp if name == "mlp" else convolutions()
    defense = Defense(
        gradient=private(norm=CLIP[name]).gradient, loss=None if loss is cross_entropy else loss
    )
    clip, ours = CLIP[name], trained(model, samples, defense)
    assert_close(ours, by_hand(model, samples, clip, loss), atol=1e-5)
    for other in (0.9 * clip, 1.1 * clip):
        with pytest.raises(AssertionError):
            assert_close(ours, by_hand(model, samples, other, loss), atol=1e-5)


@pytest.mark.parametrize("sigma", [0.0, 0.7])
@pytest.mark.parametrize("name", ["mlp", "convolutions"])
def test_every_step_is_the_one_of_opacus(name, sigma, mlp, samples):
    pytest.importorskip("opacus", reason="the oracle of DP-SGD is in the dev extra")
    from opacus import GradSampleModule
    from opacus.optimizers import DPOptimizer

    model = copy.deepcopy(mlp if name == "mlp" else convolutions())
    defense = private(norm=CLIP[name], sigma=sigma)
    ours = trained(model, samples, defense)
    for layer in model:
        layer.inplace = False  # its hooks do not allow for more
    inner = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        watched = GradSampleModule(model)
        optimizer = DPOptimizer(
            inner,
            noise_multiplier=sigma,
            max_grad_norm=CLIP[name],
            expected_batch_size=LOCAL.batch_size,
            generator=torch_child(5, "client", 2, "round", 1, "noise"),
        )
        for own in drawn(2, len(ROWS), job_of(defense)):
            optimizer.zero_grad()
            answers = watched(samples.inputs[ROWS[own]])
            functional.cross_entropy(answers, samples.labels[ROWS[own]]).backward()
            optimizer.step()
    assert_close(ours, start_of(model), atol=1e-5)


def test_without_clipping_and_noise_it_is_plain_training(mlp, samples):
    rows = ROWS[:32]  # whole batches: an average is over the expected size of a batch
    loose = trained(mlp, samples, private(norm=1e6, poisson=False), rows=rows)
    assert_close(loose, trained(mlp, samples, None, rows=rows))


def test_one_step_on_the_whole_gradient_is_clipped_and_noised_once(mlp, samples):
    local = LocalTraining(batch_size=8, full_gradient=True)
    loose = trained(mlp, samples, private(norm=1e6), local=local)
    assert_close(loose, trained(mlp, samples, None, local=local))
    noise = moved(mlp, samples, private(norm=1e-9, sigma=1e9), local=local)
    assert float(noise.std()) == pytest.approx(1 / len(ROWS), abs=4 / len(ROWS) / math.sqrt(166))


def moved(model, samples, defense, *, local, rows=ROWS, seed=5):
    """The change of all parameters in training with a step size of 1."""
    after = trained(model, samples, defense, local=local, rows=rows, rate=1.0, seed=seed)
    return torch.cat([(after[n] - p).flatten() for n, p in start_of(model).items()])


def test_the_noise_of_a_step_has_deviation_sigma_times_clip_over_the_batch(samples):
    model = nn.Sequential(nn.Linear(6, 300), nn.Tanh(), nn.Linear(300, 3))
    local = LocalTraining(batch_size=len(ROWS))
    defense = private(norm=0.01, sigma=4.0, poisson=False)
    noise = moved(model, samples, defense, local=local)
    clean = moved(model, samples, private(norm=0.01, poisson=False), local=local)
    scaled = (noise - clean) * len(ROWS) / 0.04
    count = len(scaled)
    assert abs(float(scaled.mean())) < 4 / math.sqrt(count)
    assert float(scaled.std()) == pytest.approx(1, abs=4 / math.sqrt(2 * count))
    assert stats.kstest(scaled.double().numpy(), "norm").pvalue > 1e-3
    again = moved(model, samples, defense, local=local, seed=6)
    assert abs(np.corrcoef(noise - clean, again - clean)[0, 1]) < 4 / math.sqrt(count)


def test_steps_without_samples_are_noise_alone(mlp, samples):
    local = LocalTraining(epochs=1, batch_size=1)
    steps = list(drawn(2, len(ROWS), job_of(private(), local)))
    assert min(map(len, steps)) == 0
    assert all(
        torch.isfinite(p).all() for p in trained(mlp, samples, private(), local=local).values()
    )
    empty = LocalTraining(epochs=1, batch_size=1)
    one = moved(mlp, samples, private(norm=1e-9, sigma=1e9), local=empty)
    assert float(one.std()) == pytest.approx(math.sqrt(len(steps)), rel=4 / math.sqrt(2 * 83))


def test_samples_enter_poisson_batches_by_coins_of_their_own():
    n, size, epochs = 50, 8, 200
    job = job_of(private(), LocalTraining(epochs=epochs, batch_size=size))
    batches = list(drawn(0, n, job))
    assert len(batches) == epochs * math.ceil(n / size) == job.settings.steps(n)
    there = torch.zeros(len(batches), n)
    for step, own in enumerate(batches):
        assert torch.equal(own, own.unique())
        there[step, own] = 1
    rate = size / n
    error = math.sqrt(rate * (1 - rate))
    assert float(there.mean()) == pytest.approx(rate, abs=4 * error / math.sqrt(there.numel()))
    each = (there.mean(0) - rate) * math.sqrt(len(batches)) / error
    assert stats.kstest(each.numpy(), "norm").pvalue > 1e-3
    sizes = there.sum(1)
    assert float(sizes.var()) == pytest.approx(n * error**2, rel=4 * math.sqrt(2 / len(batches)))
    later = np.corrcoef(there[:-1].flatten(), there[1:].flatten())[0, 1]
    assert abs(later) < 4 / math.sqrt(there.numel())


def test_a_batch_larger_than_the_shard_is_the_shard(mlp, samples):
    local = LocalTraining(batch_size=500)
    assert [len(own) for own in drawn(2, len(ROWS), job_of(private(), local))] == [len(ROWS)]
    loose = trained(mlp, samples, private(norm=1e6), local=local)
    assert_close(loose, trained(mlp, samples, None, local=local))


def test_a_cohort_is_its_members_one_by_one_under_every_plan(mlp, samples, shards):
    defense = private(sigma=0.3)
    alone = {k: trained(mlp, samples, defense, rows={k: rows})[k] for k, rows in shards.items()}
    with Spread(samples, executor=Inline()) as spread:
        plans = [(ONE, None), (Plan(kind="stacked", chunk=3), None), (PROCESSES, spread)]
        for plan, workers in plans:
            together = trained(mlp, samples, defense, rows=shards, plan=plan, spread=workers)
            for k in shards:
                assert_close(together[k], alone[k], atol=0, rtol=0)


def test_what_is_drawn_depends_on_seed_and_round_only(mlp, samples):
    defense = private(sigma=0.3)
    assert_close(trained(mlp, samples, defense), trained(mlp, samples, defense), atol=0, rtol=0)
    with pytest.raises(AssertionError):
        assert_close(trained(mlp, samples, defense), trained(mlp, samples, defense, seed=6))


def test_channels_last_agrees(samples):
    model, defense = convolutions(), private(sigma=0.3)
    wide = Plan(kind="one_by_one", channels_last=True)
    assert_close(trained(model, samples, defense), trained(model, samples, defense, plan=wide))


def test_a_budget_becomes_noise_for_each_shard_of_its_own_size(mlp, samples):
    budget = private(sigma=None, epsilon=2.0)
    for rows in (ROWS, ROWS[:12]):
        sigma = claim(budget.gradient, LOCAL, len(rows)).sigma
        assert_close(
            trained(mlp, samples, budget, rows=rows),
            trained(mlp, samples, private(sigma=sigma), rows=rows),
            atol=0,
            rtol=0,
        )


def test_dropout_is_trained_privately(samples):
    model = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 3))
    state = trained(model, samples, private(sigma=0.1))
    assert all(torch.isfinite(p).all() for p in state.values())


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(6), nn.BatchNorm1d(6, track_running_stats=False)])
def test_batch_statistics_are_refused(layer, samples):
    model = nn.Sequential(layer, nn.Linear(6, 3))
    with pytest.raises(UserError, match=r"'0' .BatchNorm1d."):
        trained(model, samples, private())


def test_hooks_that_may_mix_samples_are_refused(mlp, samples):
    gradient = private().gradient
    mixes = Defense(gradient=gradient, batch=lambda x, y, rng: (x, y))
    with pytest.raises(UserError, match="may mix their samples"):
        trained(mlp, samples, mixes)
    centred = Defense(gradient=gradient, loss=lambda x, y: cross_entropy(x - x.mean(0), y))
    with pytest.raises(UserError, match="depends on that sample alone"):
        trained(mlp, samples, centred)
