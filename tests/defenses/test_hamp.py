"""HAMP: soft labels, loss and replaced answers, against closed forms and published settings."""

import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from torch.nn.functional import cross_entropy, one_hot

import seepage.defenses.hamp
from seepage.defenses import build
from seepage.defenses.hamp import hamp, modify_output, soft_label, soften
from seepage.protocols import Query
from seepage.records import UserError

# (classes, γ, p* on the grid, p* solved, αK, p_y of the loss's optimum): the settings of the code
# released with HAMP (Chen & Pattabiraman, 2024); the last three are computed from them
PURCHASE = (100, 0.8, 0.33, 0.33737, 1.0, 0.104)
TEXAS = (100, 0.6, 0.54, 0.54851, 1.0, 0.156)
LOCATION = (30, 0.5, 0.68, 0.68092, 0.03, 0.653)
CIFAR10 = (10, 0.95, 0.26, 0.26981, 0.01, 0.258)
CIFAR100 = (100, 0.5, 0.64, 0.64098, 0.5, 0.277)
PUBLISHED = [PURCHASE, TEXAS, LOCATION, CIFAR10, CIFAR100]

gammas, classes = st.floats(0, 1), st.integers(2, 200)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def entropy(p, k):
    rest = np.full(k, (1 - p) / (k - 1))
    rest[0] = p
    return -sum(q * math.log(q) for q in rest if q > 0)


def query(inputs, forward, seed=0, mean=(0.0,), std=(1.0,)):
    return Query(inputs=inputs, forward=forward, rng=rng(seed), mean=mean, std=std)


def test_the_module_is_not_hidden_by_its_defense():
    assert seepage.defenses.hamp.soft_label is soft_label
    assert build("hamp", {"gamma": 0.5, "alpha": 0.03}).respond is not None


@pytest.mark.parametrize(("k", "gamma", "grid", "solved"), [row[:4] for row in PUBLISHED])
def test_soft_label_of_the_published_settings(k, gamma, grid, solved):
    assert soft_label(k, gamma) == grid
    assert soft_label(k, gamma, grid=None) == pytest.approx(solved, abs=5e-6)


@pytest.mark.parametrize(
    ("k", "gamma", "grid"), [(100, 0.05, 0.97), (100, 0.15, 0.91), (100, 0.01, 0.99)]
)
def test_soft_label_of_the_published_label_smoothing(k, gamma, grid):
    assert soft_label(k, gamma) == grid


@pytest.mark.parametrize("k", [2, 3, 10, 64, 100])
def test_soft_label_at_both_ends(k):
    assert soft_label(k, 0.0) == soft_label(k, 1e-9) == 0.99
    assert soft_label(k, 0.0, None) == soft_label(k, 0.0, 0) == 1.0
    assert soft_label(k, 1.0, None) == soft_label(k, 1.0) == 1 / k
    assert soft_label(k, 1.0, 0.4) == 1 / k  # no point of the grid gets there


@given(classes, gammas, st.sampled_from([0.01, 0.003, 0.1]))
def test_soft_label_is_the_first_point_of_the_grid_that_reaches_the_entropy(k, gamma, grid):
    found, least = soft_label(k, gamma, grid), gamma * math.log(k)
    assert found >= 1 / k - 1e-12
    assert entropy(found, k) >= least - 1e-9
    if found < 1 - grid - 1e-9:
        assert entropy(found + grid, k) < least + 1e-9
    assert found <= soft_label(k, gamma, None) + 1e-9 or found == 1 / k


@given(classes, gammas)
def test_soft_label_solved_has_the_entropy_and_is_close_to_the_grid(k, gamma):
    solved = soft_label(k, gamma, None)
    assert entropy(solved, k) == pytest.approx(gamma * math.log(k), abs=1e-9)
    assert solved - 0.01 - 1e-9 <= soft_label(k, gamma) <= solved + 1e-9


@given(classes, gammas, gammas, st.sampled_from([None, 0.01]))
def test_soft_label_falls_with_gamma(k, one, other, grid):
    low, high = sorted([one, other])
    assert soft_label(k, low, grid) >= soft_label(k, high, grid)


@given(st.integers(2, 50), st.floats(0, 1))
def test_soft_targets_are_probabilities_with_an_even_rest(k, peak):
    soft = soften(one_hot(torch.arange(k), k).double(), peak)
    torch.testing.assert_close(soft.sum(1), torch.ones(k).double())
    torch.testing.assert_close(soft.diagonal(), torch.full((k,), peak).double())
    rest = soft[~torch.eye(k, dtype=torch.bool)]
    assert float(rest.max() - rest.min()) == 0
    if peak > 1 / k + 1e-9:
        assert torch.equal(soft.argmax(1), torch.arange(k))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"num_classes": 10, "gamma": -0.1}, "gamma in"),
        ({"num_classes": 10, "gamma": 1.1}, "gamma in"),
        ({"num_classes": 10, "gamma": math.nan}, "gamma in"),
        ({"num_classes": 1, "gamma": 0.5}, "2 classes"),
        ({"num_classes": 10, "gamma": 0.5, "grid": 1.0}, "grid step"),
        ({"num_classes": 10, "gamma": 0.5, "grid": -0.01}, "grid step"),
    ],
)
def test_soft_labels_out_of_range_are_refused(wrong, words):
    with pytest.raises(UserError, match=words):
        soft_label(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"gamma": 2.0}, {"alpha": -1.0}, {"alpha": math.inf}, {"grid": 2.0}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="needs"):
        hamp(**{"gamma": 0.5, "alpha": 0.1} | wrong)
    with pytest.raises(UserError, match="'batch' or 'mean'"):
        hamp(gamma=0.5, alpha=0.1, reduction="sum")


def problem(n=7, k=30, seed=0):
    logits = 3 * torch.randn(n, k, generator=rng(seed), dtype=torch.float64)
    labels = torch.randint(k, (n,), generator=rng(seed + 1))
    return logits.requires_grad_(), one_hot(labels, k).double()


def test_loss_is_its_formula():
    logits, targets = problem()
    p, t = logits.softmax(1), soften(targets, 0.68)
    divergence = (t * (t.log() - p.log())).sum(1)
    surprise = -(p * p.log()).sum(1)
    found = hamp(gamma=0.5, alpha=0.03).loss(logits, targets)
    torch.testing.assert_close(found, divergence - 0.03 * surprise)
    found = hamp(gamma=0.5, alpha=0.001, reduction="mean").loss(logits, targets)
    torch.testing.assert_close(found, divergence / 30 - 0.001 * surprise)


def test_gradient_of_the_divergence_is_p_minus_t():
    logits, targets = problem()
    p, t = logits.softmax(1).detach(), soften(targets, 0.68)
    loss = hamp(gamma=0.5, alpha=0.0, reduction="mean").loss(logits, targets).mean()
    (slope,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(slope, (p - t) / (7 * 30))


def test_mean_trains_as_batch_at_rescaled_constants():
    logits, targets = problem()
    mean = hamp(gamma=0.5, alpha=0.001, reduction="mean").loss(logits, targets)
    batch = hamp(gamma=0.5, alpha=0.001 * 30).loss(logits, targets)
    torch.testing.assert_close(30 * mean, batch)


def test_at_the_soft_label_the_divergence_and_its_gradient_vanish():
    _, targets = problem()
    logits = soften(targets, soft_label(30, 0.5)).log().requires_grad_()
    loss = hamp(gamma=0.5, alpha=0.0).loss(logits, targets)
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    torch.testing.assert_close(loss.detach(), torch.zeros(7).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(slope, torch.zeros_like(slope), atol=1e-12, rtol=0)


def by_symmetry(k, peak, weight):
    """The best p_y, where the other classes share the rest evenly: one number to search."""

    def cost(p):
        t, q = np.full(k, (1 - peak) / (k - 1)), np.full(k, (1 - p) / (k - 1))
        t[0], q[0] = peak, p
        return (t * np.log(t / q)).sum() + weight * (q * np.log(q)).sum()

    return minimize_scalar(cost, bounds=(1 / k, 1), method="bounded", options={"xatol": 1e-9}).x


@pytest.mark.parametrize("setting", PUBLISHED)
@pytest.mark.parametrize("reduction", ["batch", "mean"])
def test_free_logits_come_to_the_published_optimum(setting, reduction):
    k, gamma, grid, _, weight, best = setting
    alpha = weight if reduction == "batch" else weight / k
    loss = hamp(gamma=gamma, alpha=alpha, reduction=reduction).loss
    logits, targets = torch.zeros(1, k).double().requires_grad_(), torch.eye(k).double()[:1]
    optimizer = torch.optim.LBFGS([logits], max_iter=500, tolerance_grad=1e-10, history_size=20)

    def closure():
        optimizer.zero_grad()
        value = k * loss(logits, targets).sum()
        value.backward()
        return value

    optimizer.step(closure)
    found = float(logits.detach().softmax(1)[0, 0])
    assert found == pytest.approx(best, abs=5e-4)
    assert found == pytest.approx(by_symmetry(k, grid, weight), abs=1e-5)


def test_the_scale_of_alpha_decides_the_optimum():
    assert by_symmetry(30, 0.68, 0.0) == pytest.approx(0.68, abs=1e-6)
    # the published α of Purchase100 in the formula of the paper, as docs/sharp_edges.md has it
    assert by_symmetry(100, 0.33, 0.01) == pytest.approx(0.322, abs=5e-4)


def test_mixed_targets_are_softened_as_mixtures():
    logits, targets = problem()
    loss = hamp(gamma=0.5, alpha=0.03).loss
    mixed = 0.3 * targets + 0.7 * targets.flip(0)
    soft = 0.3 * soften(targets, 0.68) + 0.7 * soften(targets.flip(0), 0.68)
    torch.testing.assert_close(soften(mixed, 0.68), soft)
    assert torch.isfinite(loss(logits, mixed)).all()


def test_zero_strength_trains_as_undefended():
    assert hamp(gamma=0.0, alpha=0.0).loss is None
    logits, targets = problem()
    plain = cross_entropy(logits, targets, reduction="none")
    mean = hamp(gamma=0.0, alpha=0.0, reduction="mean").loss(logits, targets)
    torch.testing.assert_close(30 * mean, plain)
    torch.testing.assert_close(
        hamp(gamma=0.0, alpha=1e-9).loss(logits, targets), plain, atol=1e-7, rtol=0
    )


def test_the_loss_travels():
    loss = pickle.loads(pickle.dumps(hamp(gamma=0.5, alpha=0.03))).loss
    logits, targets = problem()
    assert torch.equal(loss(logits, targets), hamp(gamma=0.5, alpha=0.03).loss(logits, targets))


def by_hand(logits, random):
    """Class after class: the j-th largest of a row of one gets the j-th largest of the other."""
    out = torch.zeros_like(random)
    for row, (own, other) in enumerate(zip(logits.tolist(), random.tolist(), strict=True)):
        ranks = sorted(range(len(own)), key=lambda c: (-own[c], c))
        for place, value in zip(ranks, sorted(other, reverse=True), strict=True):
            out[row, place] = value
    return out


@given(st.integers(1, 6), st.integers(2, 8), st.integers(0, 2**20), st.booleans())
def test_modified_output_by_hand(n, k, seed, tied):
    logits = torch.randn(n, k, generator=rng(seed))
    random = torch.randn(n, k, generator=rng(seed + 1))
    if tied:
        logits, random = logits.round(), random.round()
    assert torch.equal(modify_output(logits, random), by_hand(logits, random))


def test_modified_output_keeps_the_order_and_has_the_random_values():
    logits, random = torch.randn(500, 30, generator=rng()), torch.randn(500, 30, generator=rng(1))
    out = modify_output(logits, random)
    assert torch.equal(out.argsort(1), logits.argsort(1))
    assert torch.equal(out.sort(1).values, random.sort(1).values)
    assert torch.equal(modify_output(5 * logits + 3, random), out)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bfloat16, torch.float16, torch.int64])
def test_values_of_any_type_are_put_in_order(dtype):
    random = torch.tensor([[3, 1, 2, 0]]).to(dtype)
    out = modify_output(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), random)
    assert out.dtype == dtype
    assert out.tolist() == [[0, 1, 2, 3]]


def test_equal_logits_still_give_a_permutation_and_keep_the_label():
    logits, random = torch.ones(50, 300), torch.randn(50, 300, generator=rng())
    out = modify_output(logits, random)
    assert torch.equal(out.sort(1).values, random.sort(1).values)
    assert torch.equal(out.argmax(1), logits.argmax(1))
    logits[:, 2:] = 7.0
    assert torch.equal(modify_output(logits, random).argmax(1), logits.argmax(1))


def test_answers_are_new_for_every_draw_and_the_same_for_the_same_one():
    weight = torch.randn(5, 8, generator=rng(3))
    inputs = torch.randn(20, 8, generator=rng(4))
    logits, respond = inputs @ weight.T, hamp(gamma=0.5, alpha=0.1).respond
    first, again, other = (
        respond(logits, query(inputs, lambda x: x @ weight.T, s)) for s in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(first.argsort(1), other.argsort(1))


def caught(shape, **given):
    """The random inputs that the model is asked about."""
    asked = []

    def forward(inputs):
        asked.append(inputs)
        return inputs.flatten(1)[:, :4]

    hamp(gamma=0.5, alpha=0.1).respond(
        torch.zeros(shape[0], 4), query(torch.full(shape, 9.0), forward, **given)
    )
    return asked[0]


def test_random_tables_are_fair_bits():
    bits = caught((400, 50))
    assert set(bits.unique().tolist()) == {0.0, 1.0}
    assert float(bits.mean()) == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(20_000))
    both = caught((400, 50), mean=(0.2,), std=(0.5,)).unique()
    torch.testing.assert_close(both, torch.tensor([-0.4, 1.6]))


def test_random_images_are_normalised_whole_numbers_below_255():
    mean, std = (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)
    images = caught((40, 3, 16, 16), mean=mean, std=std)
    raw = images * torch.tensor(std).view(1, 3, 1, 1) + torch.tensor(mean).view(1, 3, 1, 1)
    whole = raw * 255
    torch.testing.assert_close(whole, whole.round(), atol=1e-3, rtol=0)
    assert whole.round().unique().tolist() == list(range(255))
    # uniform on 0..254: mean 127, deviation √((255² − 1) / 12) = 73.6
    error = 73.6 / math.sqrt(whole.numel())
    assert float(whole.mean()) == pytest.approx(127, abs=4 * error)


def area(member, other):
    return float((member[:, None] > other[None]).double().mean())


def test_the_rank_tells_more_than_one_modified_loss():
    """A modified loss is the rank blurred by a random draw; many draws come back to the rank."""
    count = 4000
    inputs, weight = torch.zeros(2 * count, 40), torch.randn(10, 40, generator=rng(2))
    logits = torch.randn(2 * count, 10, generator=rng(5), dtype=torch.float64)
    logits[:count, 0] += 1.5  # class 0 is the label
    logits[count:, 0] += 0.5
    rank = (logits > logits[:, :1]).sum(1)
    asked = query(inputs, lambda x: x @ weight.T)
    said = hamp(gamma=0.5, alpha=0.1).respond(logits, asked)
    loss = -said.log_softmax(1)[:, 0]
    by_rank = area(-rank[:count], -rank[count:])
    ties = float((rank[:count, None] == rank[None, count:]).double().mean())
    assert by_rank + ties / 2 > area(-loss[:count], -loss[count:])


def test_the_entropy_of_answers_tells_nothing_any_more():
    # the entropy of what is answered is that of the random input's logits, whoever was asked about
    count = 400
    inputs, weight = torch.zeros(2 * count, 40), torch.randn(10, 40, generator=rng(2))
    logits = torch.randn(2 * count, 10, generator=rng(5))
    logits[:count] *= 20  # members are surer by far

    def certainty(answers):
        return -torch.distributions.Categorical(logits=answers).entropy()

    sure = certainty(logits)
    assert area(sure[:count], sure[count:]) > 0.99
    asked = query(inputs, lambda x: x @ weight.T)
    sure = certainty(hamp(gamma=0.5, alpha=0.1).respond(logits, asked))
    error = math.sqrt((2 * count + 1) / (12 * count * count))
    assert area(sure[:count], sure[count:]) == pytest.approx(0.5, abs=4 * error)
