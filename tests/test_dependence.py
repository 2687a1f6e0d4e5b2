"""Kernel measures of dependence: closed forms, brute force in float64, laws, and their limits."""

from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.func import grad, vmap

from seepage.data import load
from seepage.dependence import (
    biased_hsic,
    coco,
    gaussian_kernel,
    normalized_hsic,
    safe_root,
    squared_distances,
)
from seepage.records import UserError

MEASURES = {
    "normalized": normalized_hsic,
    "normalized, linear": lambda x, y: normalized_hsic(x, y, kernel="linear"),
    "biased": biased_hsic,
    "biased, linear": lambda x, y: biased_hsic(x, y, sigma=1.0, kernel="linear"),
    "coco": coco,
    "coco, frobenius": lambda x, y: coco(x, y, norm="frobenius"),
}
measures = pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
seeds = st.integers(0, 2**31)


def rows(seed, *shape, dtype=torch.float64):
    rng = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=rng, dtype=torch.float64).to(dtype)


def digits(count):
    data = load("digits")
    raw = data.inputs[:count].double() * data.std[0] + data.mean[0]
    return raw.flatten(1)


def by_hand(x, sigma, kernel="gaussian"):
    """A kernel matrix pair by pair, in numpy."""
    x = np.asarray(x, dtype=np.float64)
    m, p = x.shape
    matrix = np.empty((m, m))
    for i in range(m):
        for j in range(m):
            if kernel == "linear":
                matrix[i, j] = x[i] @ x[j]
            else:
                matrix[i, j] = np.exp(-np.sum((x[i] - x[j]) ** 2) / (2 * sigma**2 * p))
    return matrix


def centring(m):
    return np.eye(m) - np.full((m, m), 1 / m)


def one_sided(matrix, epsilon):
    """``K H (K H + ε m I)^-1``, as it is printed."""
    m = len(matrix)
    product = matrix @ centring(m)
    return product @ np.linalg.inv(product + epsilon * m * np.eye(m))


# --- normalized HSIC ---------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
@pytest.mark.parametrize("columns", [3, 9])  # fewer than rows, and more
def test_normalized_hsic_is_the_printed_one_sided_formula(sigma, kernel, columns):
    x, y = rows(0, 7, 12), rows(1, 7, columns)
    first = one_sided(by_hand(x, sigma), 1e-5)
    second = one_sided(by_hand(y, sigma, kernel), 1e-5)
    got = normalized_hsic(x, y, sigma=sigma, kernel=kernel)
    assert got.item() == pytest.approx(np.trace(first @ second), rel=1e-7)


@given(seeds, st.sampled_from([0.05, 0.5, 5.0, 50.0]), st.sampled_from([1e-5, 1e-2, 1.0]))
def test_two_rows_closed_form(seed, sigma, epsilon):
    x, y = rows(seed, 2, 6), rows(seed + 1, 2, 6)
    expected = 1.0
    for part in (x, y):
        apart = -np.expm1(-np.sum((part[0] - part[1]).numpy() ** 2) / (2 * sigma**2 * 6))
        expected *= apart / (apart + 2 * epsilon)
    got = normalized_hsic(x, y, sigma=sigma, epsilon=epsilon).item()
    assert got == pytest.approx(expected, rel=1e-9)


def test_sigma_is_in_root_mean_square_distance():
    x, y = rows(0, 6, 5), rows(1, 6, 5)
    wide = normalized_hsic(x.repeat(1, 4), y.repeat(1, 4), sigma=0.7)
    assert wide.item() == pytest.approx(normalized_hsic(x, y, sigma=0.7).item(), rel=1e-10)


@given(seeds, st.integers(2, 12), st.floats(0.01, 100))
def test_normalized_hsic_bounded(seed, m, sigma):
    value = normalized_hsic(rows(seed, m, 5), rows(seed + 1, m, 5), sigma=sigma).item()
    assert -1e-9 <= value <= m - 1 + 1e-9


@pytest.mark.parametrize("m", [2, 5, 16])
def test_narrow_kernels_saturate_and_wide_ones_vanish(m):
    x, y = rows(0, m, 8), rows(1, m, 8)
    # K = I: every one of the m - 1 eigenvalues is 1 / (1 + εm)
    exact = (m - 1) / (1 + 1e-5 * m) ** 2
    assert normalized_hsic(x, y, sigma=1e-3).item() == pytest.approx(exact, rel=1e-9)
    assert normalized_hsic(x, y, sigma=1e5).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(("m", "expected"), [(2, 0.98), (8, 6.3), (16, 11.3), (50, 12.4)])
def test_unrelated_pictures_come_close_to_the_bound(m, expected):
    # expected: means over random digits, of a program of its own that inverts K H + ε m I
    x = digits(1797)[torch.randperm(1797, generator=torch.Generator().manual_seed(0))[:1600]]
    first, second = x.unflatten(0, (-1, 2, m)).unbind(1)
    assert normalized_hsic(first, second).mean().item() == pytest.approx(expected, rel=0.05)


@measures
@given(seed=seeds)
def test_one_permutation_of_both_changes_nothing(measure, seed):
    x, y = rows(seed, 6, 4), rows(seed + 1, 6, 4)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(seed))
    value = measure(x, y).item()
    assert measure(x[order], y[order]).item() == pytest.approx(value, rel=1e-7)


@measures
def test_pairing_counts(measure):
    x = rows(0, 6, 4)
    own, shifted = measure(x, x), measure(x, x.roll(1, 0))
    assert abs(own - shifted) > 1e-3 * own


@pytest.mark.parametrize("name", ["normalized", "biased", "coco"])
@given(seed=seeds)
def test_symmetric(name, seed):
    x, y = rows(seed, 5, 4), rows(seed + 1, 5, 7)
    assert MEASURES[name](x, y).item() == pytest.approx(MEASURES[name](y, x).item(), rel=1e-7)


@measures
@pytest.mark.parametrize("columns", [4, 7])  # as many as the first argument has, and not
def test_batched_is_one_by_one(measure, columns):
    x, y = rows(0, 3, 2, 6, 4), rows(1, 3, 2, 6, columns)
    together = measure(x, y)
    assert together.shape == (3, 2)
    for i in np.ndindex(3, 2):
        assert together[i].item() == pytest.approx(measure(x[i], y[i]).item(), rel=1e-9)


@pytest.mark.parametrize("name", [name for name in MEASURES if name != "normalized"])
def test_under_vmap_as_one_by_one(name):
    measure = MEASURES[name]
    x, y = rows(0, 3, 6, 4), rows(1, 3, 6, 4)
    together = vmap(grad(measure))(x, y)
    alone = torch.stack([grad(measure)(*pair) for pair in zip(x, y, strict=True)])
    torch.testing.assert_close(together, alone)


# --- the two others ----------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
def test_biased_hsic_is_the_trace(kernel):
    x, y = rows(0, 7, 5), rows(1, 7, 3)
    h = centring(7)
    trace = np.trace(by_hand(x, 0.4) @ h @ by_hand(y, 0.4, kernel) @ h)
    got = biased_hsic(x, y, sigma=0.4, kernel=kernel).item()
    assert got == pytest.approx(trace / 36, rel=1e-9)


def test_biased_hsic_of_two_classes_by_hand():
    # x: two rows 1 apart (p = 1, σ = 1); labels ±1: K~ = (1-k)/2 [1 -1; -1 1], L~ = [1 -1; -1 1]
    x, y = torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[1.0], [-1.0]]).double()
    got = biased_hsic(x, y, sigma=1.0, kernel="linear").item()
    assert got == pytest.approx(2 * (1 - np.exp(-0.5)), rel=1e-12)


def test_median_width_is_the_median_squared_distance():
    x, y = rows(0, 6, 5), rows(1, 6, 3)

    def width(part):
        apart = sorted(((a - b) ** 2).sum() for i, a in enumerate(part) for b in part[:i])
        return np.sqrt(apart[(len(apart) - 1) // 2] / part.shape[1])  # the lower of two middle ones

    h = centring(6)
    kernels = [by_hand(part, width(part.numpy())) for part in (x, y)]
    expected = np.trace(kernels[0] @ h @ kernels[1] @ h) / 25
    assert biased_hsic(x, y).item() == pytest.approx(expected, rel=1e-9)


@given(seeds, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_median_width_ignores_units(seed, one, other):
    x, y = rows(seed, 6, 4), rows(seed + 1, 6, 4)
    assert biased_hsic(one * x, other * y).item() == pytest.approx(biased_hsic(x, y).item())


@pytest.mark.parametrize("seed", range(4))
def test_median_width_leaves_equal_rows_out(seed):
    # 190 of 210 pairs are equal, so a median over all would be 0; and rounding sets some of them
    # apart, in the last place, more than there are pairs that differ
    two = rows(seed, 2, 64)
    x = torch.cat((two[:1].repeat(20, 1), two[1:]))
    matrix = np.full((21, 21), np.exp(-0.5))  # the width is the only distance there is
    matrix[:20, :20] = matrix[20, 20] = 1
    expected = np.trace(matrix @ centring(21) @ matrix @ centring(21)) / 400
    assert biased_hsic(x, x).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0.0, 0.1, 1e4])
def test_equal_rows_have_no_dependence_whatever_rounding_says(dtype, value):
    x = torch.full((7, 5), value, dtype=dtype)
    y = rows(0, 7, 5, dtype=dtype)
    assert biased_hsic(x, y).item() == pytest.approx(0, abs=1e-6)


@given(seeds)
def test_biased_hsic_in_0_1(seed):
    x, y = rows(seed, 6, 4), rows(seed + 1, 6, 4)
    assert 0 <= biased_hsic(x, y).item() <= 1
    assert biased_hsic(x, x, sigma=1e-3).item() == pytest.approx(1 / 5)  # K~ = H, trace m - 1


@pytest.mark.parametrize("kernel", ["gaussian", "linear"])
def test_coco_is_the_root_of_a_norm(kernel):
    x, y = rows(0, 7, 5), rows(1, 7, 3)
    h = centring(7)
    product = h @ by_hand(x, 0.4) @ h @ h @ by_hand(y, 0.4, kernel) @ h
    values = np.sqrt(np.linalg.eigvalsh(product.T @ product).clip(0))
    for norm, expected in (("spectral", values.max()), ("frobenius", np.sqrt(np.sum(values**2)))):
        got = coco(x, y, sigma=0.4, kernel=kernel, norm=norm).item()
        assert got == pytest.approx(np.sqrt(expected) / 7, rel=1e-9)


# --- what they are made of ---------------------------------------------------------------------


@given(seeds, st.floats(-1e3, 1e3))
def test_squared_distances_are_those_of_every_pair(seed, offset):
    x = rows(seed, 4, 3) + offset
    expected = [[((a - b) ** 2).sum().item() for b in x] for a in x]
    got = squared_distances(x)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)
    assert not got.diagonal().any()


def test_squared_distances_keep_their_digits_far_from_zero():
    x = rows(0, 5, 30, dtype=torch.float32)
    moved = squared_distances(x + 100)
    torch.testing.assert_close(moved, squared_distances(x), rtol=1e-3, atol=1e-4)


def test_gaussian_kernel_is_that_of_every_pair():
    x = rows(0, 5, 3)
    np.testing.assert_allclose(gaussian_kernel(x, sigma=0.3), by_hand(x, 0.3), rtol=1e-12)


def test_safe_root_and_its_slope():
    x = torch.tensor([0.0, 4.0], requires_grad=True)
    safe_root(x).sum().backward()
    assert safe_root(x).tolist() == [0, 2]
    assert x.grad.tolist() == [0, 0.25]


# --- gradients, types, edges -------------------------------------------------------------------


@measures
def test_gradients_are_those_of_finite_differences(measure):
    x, y = (rows(seed, 5, 3).requires_grad_() for seed in (0, 1))
    if measure is biased_hsic:  # differences would see its median move
        measure = partial(biased_hsic, sigma=0.5)
    assert torch.autograd.gradcheck(measure, (x, y))


@pytest.mark.parametrize("columns", [2, 3, 6])
def test_written_out_gradient_is_that_of_finite_differences(columns):
    # as many columns or not, many batches at once, rows far from zero, each value weighed
    x, y = 50 + rows(0, 2, 5, 3), rows(1, 2, 5, columns)
    weights = torch.tensor([1.0, -2.0], dtype=torch.float64)
    inputs = (x.requires_grad_(), y.requires_grad_())
    assert torch.autograd.gradcheck(lambda x, y: normalized_hsic(x, y, sigma=0.3) * weights, inputs)


@pytest.mark.parametrize("epsilon", [1e-5, 1e-8])
@pytest.mark.parametrize("sigma", [0.2, 0.5, 5.0])
def test_written_out_gradient_keeps_its_digits_at_any_ridge(sigma, epsilon):
    x, y = rows(0, 8, 8).requires_grad_(), rows(1, 8, 8)
    (got,) = torch.autograd.grad(normalized_hsic(x, y, sigma=sigma, epsilon=epsilon), x)
    shrunk = []
    for each in (x, y):
        centred = gaussian_kernel(each, sigma=sigma)
        centred = centred - centred.mean(0) - centred.mean(1, keepdim=True) + centred.mean()
        ridge = 8 * epsilon * torch.eye(8, dtype=torch.float64)
        shrunk.append(torch.linalg.solve(centred + ridge, centred))
    (exact,) = torch.autograd.grad((shrunk[0] * shrunk[1].mT).sum(), x)
    assert (got - exact).norm() < 1e-8 * exact.norm()


@pytest.mark.parametrize("columns", [3, 40])
def test_either_side_may_be_a_constant(columns):
    x, y = rows(0, 6, 3), rows(1, 6, columns)
    both = torch.autograd.grad(normalized_hsic(x.requires_grad_(), y.requires_grad_()), (x, y))
    (of_x,) = torch.autograd.grad(normalized_hsic(x, y.detach()), x)
    (of_y,) = torch.autograd.grad(normalized_hsic(x.detach(), y), y)
    torch.testing.assert_close((of_x, of_y), both)


def test_far_from_zero_single_precision_keeps_its_digits():
    x, y = 1000 + rows(0, 8, 64), 1000 + rows(1, 8, 50)
    slopes = []
    for dtype in (torch.float64, torch.float32):
        given = y.float().to(dtype, copy=True).requires_grad_()
        value = normalized_hsic(x.float().to(dtype), given, sigma=0.5)
        slopes.append(torch.autograd.grad(value, given)[0].double())
    assert (slopes[1] - slopes[0]).norm() < 1e-4 * slopes[0].norm()


def test_whole_numbers_are_refused_and_types_are_joined():
    whole = torch.arange(12, dtype=torch.uint8).reshape(4, 3)
    with pytest.raises(UserError, match=r"floating numbers, got torch\.uint8"):
        normalized_hsic(whole, rows(0, 4, 3))
    mixed = normalized_hsic(rows(0, 4, 3), rows(1, 4, 3).float())
    assert mixed.dtype == torch.float64
    assert mixed.item() == pytest.approx(normalized_hsic(rows(0, 4, 3), rows(1, 4, 3)).item())


def test_rows_without_columns_depend_on_nothing():
    assert normalized_hsic(rows(0, 4, 0), rows(1, 4, 3)).item() == pytest.approx(0, abs=1e-12)


def test_written_out_gradient_has_none_of_its_own():
    x, y = rows(0, 5, 3).requires_grad_(), rows(1, 5, 3)
    with pytest.raises(RuntimeError, match="cannot be differentiated again"):
        torch.autograd.grad(normalized_hsic(x, y), x, create_graph=True)


@measures
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_finite_where_rows_are_equal(measure, dtype):
    for x in (torch.full((4, 3), 0.1), torch.tensor([[0.1], [0.1], [0.7], [0.7]]).repeat(1, 3)):
        x, y = (x.to(dtype, copy=True).requires_grad_() for _ in "xy")
        value = measure(x, y)
        value.backward()
        assert value.isfinite()
        assert x.grad.isfinite().all()
        assert y.grad.isfinite().all()


@measures
@pytest.mark.parametrize("m", [0, 1])
def test_fewer_than_two_rows_are_zero_with_gradient_zero(measure, m):
    x, y = (torch.full((2, m, 3), float("nan"), requires_grad=True) for _ in "xy")
    value = measure(x, y)
    value.sum().backward()
    assert value.tolist() == [0, 0]
    assert not x.grad.any()
    assert not y.grad.any()


@measures
def test_type_stays(measure):
    assert measure(rows(0, 4, 3, dtype=torch.float32), rows(1, 4, 3).float()).dtype == torch.float32
    assert measure(rows(0, 4, 3), rows(1, 4, 3)).dtype == torch.float64


@pytest.mark.parametrize("m", [2, 10, 50])
def test_float32_is_close_on_pictures(m):
    x = digits(2 * m)
    grads = []
    for dtype in (torch.float64, torch.float32):
        first = x[:m].to(dtype, copy=True).requires_grad_()
        value = normalized_hsic(first, x[m:].to(dtype))
        value.backward()
        grads.append((value.item(), first.grad.double()))
    (exact, slope), (value, got) = grads
    assert value == pytest.approx(exact, rel=1e-6)
    assert (got - slope).norm() < 1e-5 * slope.norm()


def test_float32_is_close_on_few_logits():
    # 32 rows of 10 columns: 22 directions have no weight, and rounding must not fill them
    x, y = digits(32), 3 * rows(0, 32, 10)
    grads = []
    for dtype in (torch.float64, torch.float32):
        logits = y.to(dtype, copy=True).requires_grad_()
        value = normalized_hsic(x.to(dtype), logits, kernel="linear")
        value.backward()
        grads.append((value.item(), logits.grad.double()))
    (exact, slope), (value, got) = grads
    assert value == pytest.approx(exact, rel=5e-6)
    assert (got - slope).norm() < 1e-4 * slope.norm()


def test_rows_must_pair_up():
    for measure in MEASURES.values():
        with pytest.raises(ValueError, match="rows come in pairs"):
            measure(rows(0, 4, 3), rows(0, 1, 3))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: normalized_hsic(x, x, sigma=0.0), "sigma must be finite and > 0, got 0"),
        (lambda x: normalized_hsic(x, x, epsilon=0.0), "epsilon must be > 0, got 0"),
        (lambda x: biased_hsic(x, x, sigma=float("inf")), "sigma must be finite"),
        (lambda x: coco(x, x, norm="nuclear"), "norm must be spectral or frobenius"),
        (lambda x: coco(x, x, kernel="cubic"), "kernel must be gaussian or linear"),
    ],
)
def test_wrong_settings_are_refused(call, words):
    with pytest.raises(UserError, match=words):
        call(rows(0, 4, 3))
