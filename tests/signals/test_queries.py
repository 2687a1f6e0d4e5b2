"""Several questions about one record, against moving pixels one by one and counting swaps."""

import numpy as np
import pytest
import torch

from seepage.records import UserError
from seepage.signals.queries import MOVES, variants


def images(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def moved(image, down, right, mirrored):
    """One image ``(channels, h, w)``, pixel by pixel."""
    _, height, width = image.shape
    by, past = down * max(1, height // 8), right * max(1, width // 8)
    made = torch.empty_like(image)
    source = image.flip(-1) if mirrored else image
    for i in range(height):
        for j in range(width):
            from_i, from_j = min(max(i - by, 0), height - 1), min(max(j - past, 0), width - 1)
            made[:, i, j] = source[:, from_i, from_j]
    return made


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 3, 16, 26), (1, 1, 5, 4)])
def test_images_are_mirrored_and_shifted(shape):
    inputs = images(*shape)
    asked = list(variants(inputs, 18, seed=0))
    assert [(down, right) for down, right, mirrored in MOVES if mirrored] == [
        (down, right) for down, right, mirrored in MOVES if not mirrored
    ]
    for variant, move in zip(asked, MOVES, strict=True):
        for one, image in zip(variant, inputs, strict=True):
            assert torch.equal(one, moved(image, *move))


def test_the_eighteen_questions_about_an_image_differ():
    asked = list(variants(images(3, 1, 8, 8), 18, seed=0))
    assert len({variant.numpy().tobytes() for variant in asked}) == len(asked) == 18
    assert torch.equal(asked[1], images(3, 1, 8, 8).flip(-1))


TABLES = {
    "binary": (images(60, 50) > 1).float() * 2.5 - 0.75,
    "real": images(60, 50) * torch.arange(50) + 3,
    "image": images(4, 1, 8, 8),
}


@pytest.mark.parametrize("kind", TABLES)
def test_the_first_question_is_the_record_itself(kind):
    (only,) = variants(TABLES[kind], 1, seed=0)
    assert torch.equal(only, TABLES[kind])


@pytest.mark.parametrize("kind", TABLES)
def test_the_same_seed_asks_the_same_and_more_queries_change_no_earlier_one(kind):
    inputs = TABLES[kind].clone()
    few, many = list(variants(inputs, 3, seed=5)), list(variants(inputs, 6, seed=5))
    for one, other in zip(few, many, strict=False):
        assert torch.equal(one, other)
    assert torch.equal(inputs, TABLES[kind]), "what was asked about is not touched"
    assert all(variant.dtype == inputs.dtype for variant in many)
    if kind != "image":
        assert not torch.equal(list(variants(inputs, 3, seed=6))[1], few[1])
        assert not torch.equal(few[1], few[2])


def test_a_table_of_two_values_keeps_them_and_swaps_few():
    inputs = TABLES["binary"]
    swapped = []
    for variant in list(variants(inputs, 21, seed=1))[1:]:
        assert set(variant.unique().tolist()) == set(inputs.unique().tolist())
        swapped.append(variant != inputs)
    share = torch.stack(swapped).double().mean().item()
    assert share == pytest.approx(0.02, abs=4 * np.sqrt(0.02 / (20 * inputs.numel())))
    for value in inputs.unique():
        here = torch.stack([s[inputs == value] for s in swapped]).double().mean().item()
        count = 20 * (inputs == value).sum().item()
        assert here == pytest.approx(0.02, abs=4 * np.sqrt(0.02 / count)), "either way alike"


def test_other_tables_get_noise_in_the_scale_of_each_column():
    inputs = TABLES["real"]
    noise = torch.stack([v - inputs for v in list(variants(inputs, 41, seed=1))[1:]])
    assert (noise[..., 0] == 0).all(), "a constant column stays"
    scaled = noise[..., 1:].double() / inputs[:, 1:].double().std(0, correction=0)
    error = 1 / np.sqrt(scaled[..., 0].numel())
    assert scaled.mean((0, 1)).abs().max() < 5 * 0.05 * error
    np.testing.assert_allclose(scaled.std((0, 1)), 0.05, rtol=5 * error)


def test_impossible_numbers_of_queries_are_refused_at_once():
    with pytest.raises(UserError, match=r"18 ways .*got queries = 19"):
        variants(TABLES["image"], 19, seed=0)
    for inputs in TABLES.values():
        with pytest.raises(UserError, match="at least once, got queries = 0"):
            variants(inputs, 0, seed=0)
