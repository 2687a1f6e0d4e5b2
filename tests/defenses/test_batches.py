"""Defenses on batches: images changed at random, and samples mixed."""

import math
import pickle
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta, kstest
from torch import nn
from torch.nn.functional import pad

from seepage.audit.choice import build_defense
from seepage.defenses import augmentation, build, instahide, label_mixup, mixup
from seepage.defenses.augmentation import Amounts, _changed
from seepage.defenses.instahide import coefficients
from seepage.federation import run, settings_of
from seepage.protocols import Defense
from seepage.records import Dataset, Split, UserError
from seepage.training import Plan

OFF = {
    "padding": 0,
    "flip": 0.0,
    "vertical_flip": 0.0,
    "degrees": 0.0,
    "brightness": 0.0,
    "contrast": 0.0,
}
MIXING = {
    "instahide": instahide(),
    "instahide of 2": instahide(k=2),
    "label_mixup": label_mixup(alpha=1.0),
    "mixup": mixup(),
}
ALL = {"augmentation": augmentation()} | MIXING


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=6, channels=3, height=5, width=7, seed=0):
    """Raw pixels in [0, 1], no two alike."""
    return torch.rand(count, channels, height, width, generator=rng(seed), dtype=torch.float64)


def amounts(**given):
    return Amounts(**OFF | {"mean": (0.0,), "std": (1.0,)} | given)


def drawn(given, raw, *, moves=0.0, colors=0.0):
    """The images after the changes that these draws stand for."""
    draws = torch.zeros(len(raw), 7, dtype=raw.dtype)
    draws[:, :5], draws[:, 5:] = moves, colors
    return _changed(given, raw, draws)


def changed(inputs, seed=0, **parts):
    """The inputs after an augmentation of these parts alone."""
    targets = torch.eye(len(inputs))
    out, same = augmentation(**OFF | parts).batch(inputs, targets, rng(seed))
    assert same is targets
    return out


# --- augmentation: where pixels go ---


@pytest.mark.parametrize(
    ("parts", "axes"),
    [
        ({"flip": 1.0}, [3]),
        ({"vertical_flip": 1.0}, [2]),
        ({"flip": 1.0, "vertical_flip": 1.0}, [2, 3]),
    ],
)
def test_certain_flips_are_torchs(parts, axes):
    assert torch.equal(changed(images(), **parts), images().flip(axes))


def test_a_flip_has_its_chance_and_moves_whole_images():
    one = images(count=1)
    many = changed(one.expand(4000, -1, -1, -1), flip=0.3)
    flipped = (many == one.flip(3)).flatten(1).all(1)
    assert ((many == one).flatten(1).all(1) ^ flipped).all()
    assert abs(float(flipped.double().mean()) - 0.3) < 4 * math.sqrt(0.3 * 0.7 / 4000)


def test_flips_keep_every_images_histogram():
    out = changed(images(count=40), flip=0.5, vertical_flip=0.5)
    for before, after in zip(images(count=40), out, strict=True):
        assert torch.equal(before.flatten(1).sort(1).values, after.flatten(1).sort(1).values)


def test_crops_are_slices_of_the_padded_image_each_equally_often():
    one, count = images(count=1), 5000
    out = changed(one.expand(count, -1, -1, -1), padding=2)
    padded, seen = pad(one[0], (2, 2, 2, 2)), []
    for down in range(5):
        for right in range(5):
            cut = padded[:, down : down + 5, right : right + 7]
            seen.append(int((out == cut).flatten(1).all(1).sum()))
    assert sum(seen) == count
    assert max(abs(n - count / 25) for n in seen) < 4 * math.sqrt(count / 25)


@pytest.mark.parametrize(("draw", "quarters"), [(1.0, 1), (0.0, 3), (0.5, 0)])
@pytest.mark.parametrize("size", [4, 5])
def test_quarter_turns_are_torchs(draw, quarters, size):
    square = images(height=size, width=size)
    draws = torch.tensor([0.0, 0.0, 0.0, 0.0, draw])
    out = drawn(amounts(degrees=90.0), square, moves=draws)
    assert torch.equal(out, square.rot90(quarters, (2, 3)))
    twice = drawn(amounts(degrees=180.0), images(), moves=draws)
    assert torch.equal(twice, images().rot90(2 * quarters, (2, 3)))


def step_by_step(image, draw, *, padding, chance, degrees, black):
    """Crop, flips and rotation of one image, one after another, pixel by pixel."""
    _, height, width = image.shape
    down, right = (int(float(u) * (2 * padding + 1)) for u in draw[:2])
    framed = black.view(-1, 1, 1).repeat(1, height + 2 * padding, width + 2 * padding)
    framed[:, padding : padding + height, padding : padding + width] = image
    image = framed[:, down : down + height, right : right + width]
    image = image.flip(1) if draw[2] < chance else image
    image = image.flip(2) if draw[3] < chance else image
    turn = math.radians((2 * float(draw[4]) - 1) * degrees)
    out = black.view(-1, 1, 1).repeat(1, height, width)
    for i in range(height):
        for j in range(width):
            y, x = i - (height - 1) / 2, j - (width - 1) / 2
            row = round(math.cos(turn) * y + math.sin(turn) * x + (height - 1) / 2)
            column = round(math.cos(turn) * x - math.sin(turn) * y + (width - 1) / 2)
            if 0 <= row < height and 0 <= column < width:
                out[:, i, j] = image[:, row, column]
    return out


@pytest.mark.parametrize(("padding", "degrees"), [(0, 45.0), (2, 0.0), (2, 45.0), (9, 180.0)])
def test_all_moves_at_once_are_those_of_one_step_after_another(padding, degrees):
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    given = amounts(
        padding=padding, flip=0.5, vertical_flip=0.5, degrees=degrees, mean=mean, std=std
    )
    raw, draws = images(count=12), torch.rand(12, 5, generator=rng(1), dtype=torch.float64)
    out = drawn(given, raw, moves=draws)
    black = -raw.new_tensor(mean) / raw.new_tensor(std)
    for image, draw, found in zip(raw, draws, out, strict=True):
        expected = step_by_step(
            image, draw, padding=padding, chance=0.5, degrees=degrees, black=black
        )
        assert torch.equal(found, expected)


# --- augmentation: what becomes of pixels ---


def test_brightness_and_contrast_are_their_formulas():
    raw, draws = images(), torch.rand(6, 2, generator=rng(1), dtype=torch.float64)
    out = drawn(amounts(brightness=0.5, contrast=1.5), raw, colors=draws)
    clipped = 0
    for image, (u, v), found in zip(raw, draws.tolist(), out, strict=True):
        bright = (image * (0.5 + u)).clamp(0, 1)
        red, green, blue = bright
        gray = float((0.299 * red + 0.587 * green + 0.114 * blue).mean())
        expected = gray + 2.5 * v * (bright - gray)  # from max(0, 1 - 1.5) to 1 + 1.5
        clipped += int(((expected < 0) | (expected > 1)).sum())
        torch.testing.assert_close(found, expected.clamp(0, 1))
    assert clipped


@pytest.mark.parametrize("channels", [1, 2])
def test_other_channels_weigh_equally_in_the_gray(channels):
    raw = images(channels=channels)
    out = drawn(amounts(contrast=1.0), raw, colors=0.0)
    gray = raw.mean((1, 2, 3), keepdim=True)
    torch.testing.assert_close(out, gray.expand_as(raw))


def test_colors_are_changed_as_raw_pixels_and_normalised_again():
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)
    m, s = (torch.tensor(v, dtype=torch.float64).view(1, 3, 1, 1) for v in (mean, std))
    raw = images()
    plain = augmentation().batch(raw, torch.eye(6), rng())[0]
    out = augmentation(mean=mean, std=std).batch((raw - m) / s, torch.eye(6), rng())[0]
    torch.testing.assert_close(out * s + m, plain)
    assert float(plain.min()) >= 0
    assert float(plain.max()) <= 1


def test_without_clipping_colors_are_kept_on_average():
    one, count = 0.5 + 0.2 * (images(count=1) - 0.5), 4000
    out = changed(one.expand(count, -1, -1, -1), brightness=0.25, contrast=0.8)
    error = out.std(0) / math.sqrt(count)
    assert ((out.mean(0) - one[0]).abs() < 4.5 * error).all()
    assert float(out.std(0).min()) > 0.01


# --- augmentation: strength and draws ---


def test_strength_scales_every_part():
    half = augmentation(strength=0.5).batch.args[0]
    assert half == Amounts(
        padding=2,
        flip=0.25,
        vertical_flip=0.25,
        degrees=22.5,
        brightness=0.125,
        contrast=0.4,
        mean=(0.0,),
        std=(1.0,),
    )


def test_nothing_to_change_is_no_defense():
    assert augmentation(strength=0.0) == Defense()
    assert augmentation(**OFF) == Defense()
    assert augmentation(**OFF | {"padding": 1}, strength=0.1) == Defense()  # less than half a pixel


def test_small_strengths_change_little():
    far = [
        float((changed(images(), brightness=0.25, strength=s) - images()).abs().max())
        for s in (0.001, 0.01, 0.1)
    ]
    assert 0 < far[0] < far[1] < far[2] < 0.025


def test_a_part_that_is_off_leaves_the_draws_of_the_others():
    flat = torch.full((6, 3, 4, 4), 0.5)
    assert torch.equal(changed(flat, brightness=0.25), changed(flat, brightness=0.25, flip=0.5))
    cropped = {"padding": 2, "flip": 0.5}
    assert torch.equal(changed(images(), **cropped), changed(images(), **cropped, degrees=1e-9))


def test_an_image_is_changed_whatever_the_others_are():
    one, other = images(), images(seed=1)
    other[2] = one[2]
    for seed in range(5):
        whole = augmentation().batch(one, torch.eye(6), rng(seed))[0]
        mixed = augmentation().batch(other, torch.eye(6), rng(seed))[0]
        assert torch.equal(whole[2], mixed[2])
        assert not torch.equal(whole[1], mixed[1])


def test_images_of_a_batch_have_draws_of_their_own():
    for part in ({"padding": 2}, {"degrees": 45.0}, {"brightness": 0.2}, {"contrast": 0.2}):
        out = changed(images(count=1).expand(8, -1, -1, -1), **part)
        assert len({tuple(image.flatten().tolist()) for image in out}) > 5


def test_what_is_no_image_is_refused():
    with pytest.raises(UserError, match=r"inputs of shape \(channels, height, width\); .* \(40,\)"):
        augmentation().batch(torch.zeros(3, 40), torch.eye(3), rng())


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("strength", 1.1, r"strength in \[0, 1\], got 1.1"),
        ("padding", -1, "finite padding >= 0, got -1"),
        ("flip", 1.5, r"flip in \[0, 1\]"),
        ("vertical_flip", -0.5, r"vertical_flip in \[0, 1\]"),
        ("degrees", 181.0, r"degrees in \[0, 180\]"),
        ("brightness", math.inf, "finite brightness >= 0"),
        ("contrast", math.nan, "finite contrast >= 0"),
    ],
)
def test_amounts_out_of_range_are_refused(option, value, words):
    with pytest.raises(UserError, match=words):
        augmentation(**{option: value})


def test_the_data_say_what_pixels_are():
    normal = ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    data = SimpleNamespace(mean=normal[0], std=normal[1])
    chosen = SimpleNamespace(name="augmentation", options={"strength": 0.5})
    study = SimpleNamespace(defense=chosen)
    hook = build_defense(study, central=False, dataset=data).batch  # pyright: ignore
    assert (hook.args[0].mean, hook.args[0].std, hook.args[0].padding) == (*normal, 2)
    both = build("mixup+augmentation", normal=normal).batch.args[0]
    assert both[1].args[0].mean == normal[0]
    with pytest.raises(UserError, match="'augmentation' has no option 'mean'"):
        build("augmentation", {"mean": [0.5]})


# --- mixtures ---


def weights_of(defense, count, seed=0):
    """What each sample weighs in each mixture: the targets where every sample is its own class."""
    inputs, targets = torch.zeros(count, 2), torch.eye(count, dtype=torch.float64)
    return defense.batch(inputs, targets, rng(seed))[1]


@pytest.mark.parametrize("name", MIXING)
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_weights_of_a_mixture_sum_to_one(name, count):
    found = weights_of(MIXING[name], count)
    assert (found >= 0).all()
    torch.testing.assert_close(found.sum(1), torch.ones(count, dtype=torch.float64))


@pytest.mark.parametrize("name", ["instahide", "instahide of 2", "mixup"])
@pytest.mark.parametrize("shape", [(4,), (3, 5, 7)])
def test_inputs_are_mixed_as_targets_are_up_to_signs(name, shape):
    inputs = torch.randn(9, *shape, generator=rng(1), dtype=torch.float64)
    out, weights = MIXING[name].batch(inputs, torch.eye(9, dtype=torch.float64), rng())
    mixture = (weights @ inputs.flatten(1)).view(out.shape)
    signs = out / mixture
    torch.testing.assert_close(signs.abs(), torch.ones_like(signs))
    assert bool((signs < 0).any()) == name.startswith("instahide")


def test_labels_are_as_frequent_as_before():
    labels = torch.eye(4)[torch.tensor([0, 0, 0, 1, 1, 2, 2, 2, 2, 3])]
    for defense in (mixup(), label_mixup(alpha=1.0)):
        out = defense.batch(torch.zeros(10, 1), labels, rng())[1]
        torch.testing.assert_close(out.mean(0), labels.mean(0))
    means = torch.stack(
        [instahide().batch(torch.zeros(10, 1), labels, rng(s))[1].mean(0) for s in range(400)]
    )
    error = means.std(0) / math.sqrt(400)
    assert ((means.mean(0) - labels.mean(0)).abs() < 4 * error).all()


# --- InstaHide ---


@given(st.integers(2, 8), st.floats(0, 1), st.integers(0, 40), st.integers(0, 1000))
def test_coefficients_sum_to_one_and_keep_the_bound(k, share, count, seed):
    least = min(0.65, 2 / k)
    bound = least + share * (1 - least)
    found = coefficients(k, bound, count, rng(seed))
    assert found.shape == (count, k)
    torch.testing.assert_close(found.sum(1), torch.ones(count))
    assert ((found > 0) & (found <= bound)).all()


@pytest.mark.parametrize("bound", [0.65, 0.85, 1.0])
def test_two_coefficients_have_their_law_in_closed_form(bound):
    # |z1|/|z2| is the tangent of an angle that is uniform, between the two where one is `bound`
    low, high = (math.atan2(b, 1 - b) for b in (1 - bound, bound))
    found = coefficients(2, bound, 4000, rng())[:, 0].double().numpy()

    def law(share):
        return (np.arctan2(share, 1 - share) - low) / (high - low)

    assert kstest(found, law).pvalue > 0.01
    if bound > 0.65:  # within narrow bounds the angle's law is nearly that of a uniform share
        assert kstest(found, lambda share: (share - 1 + bound) / (2 * bound - 1)).pvalue < 0.01


def test_coefficients_are_exchangeable():
    found = coefficients(4, 0.65, 20_000, rng())
    error = found.std(0) / math.sqrt(20_000)
    assert ((found.mean(0) - 0.25).abs() < 4 * error).all()


def test_coefficients_are_those_of_drawing_a_row_again_until_it_keeps_the_bound():
    def one(draw):
        while True:
            sizes = torch.randn(3, generator=draw).abs()
            if float((sizes / sizes.sum()).max()) <= 0.65:
                return float((sizes / sizes.sum()).max())

    draw = rng(1)
    slow = [one(draw) for _ in range(2000)]
    fast = coefficients(3, 0.65, 2000, rng()).amax(1).tolist()
    assert kstest(slow, fast).pvalue > 0.01


def test_a_mixture_is_of_k_samples_and_its_own_among_them():
    found = weights_of(instahide(k=3), 50)
    assert (found.diagonal() > 0).all()
    assert int((found > 0).sum(1).max()) == 3
    assert float(found.max()) < 1


def test_signs_are_fair_and_every_pixels_own():
    ones = torch.ones(40, 3, 8, 8)
    out = instahide(k=1).batch(ones, torch.eye(40), rng())[0]
    assert set(out.unique().tolist()) == {-1.0, 1.0}
    assert abs(float(out.mean())) < 4 / math.sqrt(out.numel())
    assert float(out.mean(0).std()) == pytest.approx(1 / math.sqrt(40), rel=0.3)
    assert float(out.mean((1, 2, 3)).std()) == pytest.approx(1 / math.sqrt(192), rel=0.4)


def test_one_sample_a_mixture_keeps_its_pixels_up_to_signs():
    raw, targets = images(), torch.eye(6)
    out, same = instahide(k=1, bound=0.1).batch(raw, targets, rng())
    assert torch.equal(out.abs(), raw)
    assert not torch.equal(out, raw)
    assert torch.equal(same, targets)


@pytest.mark.parametrize(
    ("k", "bound", "words"),
    [
        (0, 0.65, "k of at least 1, got 0"),
        (2, 0.6, r"k = 2 needs bound in \[0.65, 1\], got 0.6"),
        (4, 0.3, r"k = 4 needs bound in \[0.5, 1\]"),
        (4, 1.1, "got 1.1"),
        (4, math.nan, "got nan"),
    ],
)
def test_mixtures_that_cannot_be_drawn_are_refused(k, bound, words):
    with pytest.raises(UserError, match=words):
        instahide(k=k, bound=bound)


# --- mixup ---


@pytest.mark.parametrize("alpha", [1e-7, 1e-5, 1e-3, 0.1, 1.0, 50.0, 1e5])
def test_the_larger_share_of_a_mixture_has_its_law(alpha):
    shares = np.array([float(weights_of(mixup(alpha=alpha), 3, s).max()) for s in range(300)])
    assert (shares >= 0.5).all()
    spread = beta(alpha, alpha)
    # a fixed point of the permutation gets both shares, so only those below 1 are compared
    part = shares[shares < 1]
    if 0.1 <= alpha <= 50:

        def law(share):
            return 1 - 2 * spread.cdf(1 - share)

        assert kstest(part, law).pvalue > 0.01
    elif alpha > 50:
        assert part.max() < 0.51
    else:
        assert len(part) < 10


def test_a_vanishing_mixup_is_nothing_and_its_label_only_kin_shuffles_half_of_the_batches():
    raw, targets = images(), torch.eye(6)
    shuffled = 0
    for seed in range(400):
        out = mixup(alpha=1e-7).batch(raw, targets, rng(seed))
        assert torch.equal(out[0], raw)
        assert torch.equal(out[1], targets)
        kept, labels = label_mixup(alpha=1e-7).batch(raw, targets, rng(seed))
        assert kept is raw
        shuffled += int(not torch.equal(labels, targets))
    assert abs(shuffled / 400 - 0.5) < 4 * 0.5 / math.sqrt(400)


# --- what all owe a federation ---


class Inline:
    """Worker processes without the processes; what they are sent travels all the same."""

    def submit(self, function, argument):
        future = Future()
        future.set_result(function(pickle.loads(pickle.dumps(argument))))
        return future


def trained(defense, plan, executor=None):
    """Three clients of 5, 12 and 9 images: last batches of one image, and of four."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 3))
        inputs, labels = torch.randn(30, 1, 8, 8), torch.randint(0, 3, (30,))
    data = Dataset(
        name="made up",
        inputs=inputs,
        labels=labels,
        classes=3,
        n_train=None,
        mean=(0.0,),
        std=(1.0,),
        checksum="",
    )
    clients = (np.arange(5), np.arange(5, 17), np.arange(17, 26))
    split = Split(clients=clients, held_out=np.arange(26, 30))
    settings = settings_of(rounds=2, batch_size=4)
    given = {"seed": 3, "defense": defense, "plan": plan, "executor": executor}
    *_, final = run(model, data, split, settings, **given)
    return final.after


@pytest.mark.parametrize("name", ALL)
def test_all_plans_train_alike(name):
    one = trained(ALL[name], Plan(kind="one_by_one"))
    spread = trained(ALL[name], Plan(kind="processes", workers=2), Inline())
    stacked = trained(ALL[name], Plan(kind="stacked", chunk=3))
    for parameter, value in one.items():
        assert torch.equal(value, spread[parameter])
        torch.testing.assert_close(value, stacked[parameter], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_a_batch_follows_its_generator_alone(name):
    raw, targets = images(count=8).float(), torch.eye(8)
    hook, before = ALL[name].batch, torch.get_rng_state()
    first = hook(raw, targets, rng(1))
    assert torch.equal(torch.get_rng_state(), before)
    with torch.random.fork_rng():
        torch.manual_seed(9)
        again = pickle.loads(pickle.dumps(hook))(raw, targets, rng(1))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    other = hook(raw, targets, rng(2))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=True))
    assert (first[0].dtype, first[1].dtype) == (torch.float32, torch.float32)
    assert torch.equal(raw, images(count=8).float())
    assert torch.equal(targets, torch.eye(8))


@pytest.mark.parametrize("name", ALL)
def test_an_empty_batch_stays_empty(name):
    out = ALL[name].batch(torch.zeros(0, 3, 4, 4), torch.zeros(0, 5), rng())
    assert [part.shape for part in out] == [(0, 3, 4, 4), (0, 5)]
