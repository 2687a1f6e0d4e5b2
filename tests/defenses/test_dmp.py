"""DMP: what the student learns from, its generators, and the teacher behind its targets."""

import pickle
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from defenses.small import (
    CLASSES,
    POOL,
    PUBLIC,
    WIDTH,
    accuracy,
    bits,
    check_own_draws,
    trainer_of,
    watched,
)
from seepage.defenses import dcgan
from seepage.defenses.dcgan import synthetic_images
from seepage.defenses.dmp import dmp, student_inputs
from seepage.defenses.dmp_tables import is_binary_table, random_bits, synthetic_table
from seepage.records import UserError
from seepage.training.trainer import Softened


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def images(count=40, side=8, seed=0):
    """Bright left or right halves on noise, in [0, 1]; the side is the class."""
    labels = torch.arange(count) % 2
    left = torch.arange(side) < side // 2
    bright = torch.where(labels.bool()[:, None], left, ~left)[:, None, None].expand(-1, 1, side, -1)
    return Softened(
        0.7 * bright + 0.3 * torch.rand(count, 1, side, side, generator=rng(seed)), labels, 2
    )


def made(generator, trainer, rows=POOL, count=50, gan_epochs=1):
    return student_inputs(generator, count, gan_epochs, trainer, 3, rows)


# the table's generator


def chances(raw, labels):
    """The frequencies of each class as stated, one at a time."""
    rows = []
    for c in range(int(labels.max()) + 1):
        own = raw[labels == c]
        rows.append([(own[:, j].sum() + raw[:, j].mean()) / (len(own) + 1) for j in range(WIDTH)])
    return torch.tensor(rows)


def test_columns_of_a_synthetic_table_follow_the_classes():
    data, count = bits(), 60_000
    drawn = synthetic_table(data.inputs, data.labels, count, rng=rng())
    p, share = chances(data.inputs, data.labels), torch.bincount(data.labels) / 400
    assert drawn.shape == (count, WIDTH)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    bound = 4 * 0.5 / count**0.5
    torch.testing.assert_close(drawn.mean(0), share @ p, atol=bound, rtol=0)
    both = torch.einsum("c,ci,cj->ij", share, p, p).fill_diagonal_(0)
    found = (drawn.T @ drawn / count).fill_diagonal_(0)
    torch.testing.assert_close(found, both, atol=bound, rtol=0)
    apart = torch.outer(share @ p, share @ p).fill_diagonal_(0)
    assert (both - apart).abs().max() > 5 * bound  # independent columns would be told apart


def test_a_class_that_never_has_a_one_may_still_draw_it():
    raw, labels = torch.tensor([[0.0], [0.0], [1.0]]), torch.tensor([0, 0, 1])
    drawn = synthetic_table(raw, labels, 40_000, rng=rng())
    # class 0: (0 + 1/3) / 3, class 1: (1 + 1/3) / 2
    assert float(drawn.mean()) == pytest.approx(2 / 3 / 9 + 2 / 9, abs=0.01)


def test_random_bits_are_fair_coins():
    drawn = random_bits(2000, 50, rng())
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(0), 0.5, atol=4 * 0.5 / 2000**0.5)


def test_a_binary_table_is_told_from_other_data():
    table = bits().inputs
    assert is_binary_table(table)
    assert is_binary_table((table - 0.3) / 0.7 * 0.7 + 0.3)
    assert not is_binary_table(table * 0.5)
    assert not is_binary_table(-table)
    assert not is_binary_table(table.view(-1, 1, 4, 4))


# the images' generator


@pytest.fixture
def small_networks(monkeypatch):
    """Few channels and long steps, so that a generator learns in a second."""
    for name in ("generator", "discriminator"):
        monkeypatch.setattr(dcgan, name, partial(getattr(dcgan, name), first=8))
    monkeypatch.setattr(dcgan, "LEARNING_RATE", 1e-3)


@pytest.mark.usefixtures("small_networks")
def test_made_up_images_come_to_look_like_the_set():
    raw = images(64).inputs
    kinds = torch.stack([raw[0::2].mean((0, 1)), raw[1::2].mean((0, 1))])

    def distances(epochs):
        drawn = synthetic_images(raw, 64, epochs=epochs, rng=rng())
        assert drawn.shape == (64, 1, 8, 8)
        assert drawn.min() >= 0
        assert drawn.max() <= 1
        return (drawn[:, 0] - kinds[:, None]).square().mean((2, 3))

    before, after = distances(1), distances(400)
    assert after.amin(0).mean() < 0.5 * before.amin(0).mean()
    assert 0.2 < (after[0] < after[1]).float().mean() < 0.8  # both kinds, not one


def test_images_follow_their_generator_alone():
    raw, before = images().inputs, torch.get_rng_state()
    one, other, third = (synthetic_images(raw, 9, epochs=2, rng=rng(s)) for s in (0, 0, 1))
    assert torch.equal(one, other)
    assert not torch.equal(one, third)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (torch.zeros(4, 1, 9, 8), r"even sides of at least 8 pixels, got .* \(1, 9, 8\)"),
        (torch.zeros(4, 1, 6, 8), "even sides"),
        (torch.zeros(4, 16), "even sides"),
        (torch.full((4, 1, 8, 8), 3.0), r"pixels in \[0, 1\] before normalisation, got .* 3"),
    ],
)
def test_what_is_no_image_in_range_is_refused(raw, words):
    with pytest.raises(UserError, match=words):
        synthetic_images(raw, 1, epochs=1, rng=rng())


# the choice


def test_auto_fits_the_data():
    table, pictures = trainer_of(), trainer_of(images())
    assert torch.equal(made("auto", table), made("table", table))
    rows = np.arange(20)
    assert torch.equal(made("auto", pictures, rows), made("dcgan", pictures, rows))
    loose = trainer_of(Softened(bits().inputs + 0.5, bits().labels, CLASSES))
    assert torch.equal(made("auto", loose), loose.samples.inputs[PUBLIC])


def test_inputs_are_normalised_as_the_data_are():
    mean, std = 0.3, 0.4
    data = bits()
    shifted = Softened((data.inputs - mean) / std, data.labels, CLASSES)
    trainer = trainer_of(shifted, mean=(mean,), std=(std,))
    for generator in ("bits", "table"):
        raw = made(generator, trainer) * std + mean
        torch.testing.assert_close(raw, made(generator, trainer_of()))
        assert len(raw) == 50

    plain = images()
    scale = torch.tensor([mean]), torch.tensor([std])
    pictures = Softened((plain.inputs - mean) / std, plain.labels, 2)
    normalised = made("dcgan", trainer_of(pictures, mean=(mean,), std=(std,)), np.arange(20))
    raw = made("dcgan", trainer_of(plain), np.arange(20))
    torch.testing.assert_close(normalised * scale[1] + scale[0], raw, atol=1e-4, rtol=0)


def test_only_members_and_never_others_make_the_inputs():
    trainer = trainer_of()
    others = trainer.samples.inputs.clone()
    others[80:] = 1 - others[80:]
    changed = replace(trainer, samples=Softened(others, trainer.samples.labels, CLASSES))
    assert torch.equal(made("table", trainer, POOL[:80]), made("table", changed, POOL[:80]))
    assert not torch.equal(made("table", trainer, POOL), made("table", changed, POOL))


@pytest.mark.parametrize(
    ("generator", "trainer", "words"),
    [
        ("table", lambda: trainer_of(images()), "'table' makes rows of 0 and 1"),
        ("bits", lambda: trainer_of(images()), "'bits' makes rows of 0 and 1"),
        ("dcgan", trainer_of, "even sides"),
        ("public", lambda: trainer_of(public=PUBLIC[:0]), "set reference.public"),
    ],
)
def test_a_generator_that_does_not_fit_is_refused(generator, trainer, words):
    with pytest.raises(UserError, match=words):
        made(generator, trainer(), np.arange(20))


# the whole


@pytest.mark.parametrize("generator", ["bits", "table", "public"])
def test_targets_are_the_undefended_models_answers(generator):
    trainer = watched(trainer_of())
    dmp(generator=generator, synthetic=70, momentum=0.9).fit(trainer, 3, POOL)
    _, student = trainer.calls
    undefended = trainer_of().train({3: POOL}, role="reference")[3]
    learned = student["samples"]
    assert torch.equal(learned.inputs, made(generator, trainer, count=70))
    expected = trainer.logits(undefended, learned.inputs).softmax(1)
    assert torch.equal(learned.labels, expected)
    np.testing.assert_array_equal(student["shards"][3], np.arange(len(learned.inputs)))
    assert student["settings"] == {"momentum": 0.9}


def test_the_student_learns_a_table_without_meeting_it():
    trainer = trainer_of()
    fitted = dmp(synthetic=400).fit(trainer, 0, POOL)
    assert accuracy(trainer, fitted.state) > 0.7 > 2 * accuracy(trainer, trainer.start)


@pytest.mark.usefixtures("small_networks")
def test_the_student_learns_from_made_up_images():
    trainer = trainer_of(images(400), epochs=4)
    fitted = dmp(synthetic=128, gan_epochs=150, epochs=10).fit(trainer, 0, np.arange(64))
    assert accuracy(trainer, fitted.state) > 0.8 > accuracy(trainer, trainer.start)


@pytest.mark.parametrize("generator", ["table", "bits", "public"])
def test_draws_are_its_own(generator):
    check_own_draws(dmp(generator=generator, synthetic=60), trainer_of())


def test_it_travels():
    defense = dmp(generator="bits")
    assert pickle.loads(pickle.dumps(defense)).fit.args == defense.fit.args


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"generator": "tabel"}, "no generator 'tabel'; did you mean table"),
        ({"synthetic": 0}, "at least 1, got 0 and 100"),
        ({"gan_epochs": 0}, "at least 1, got 10000 and 0"),
        ({"learning_rate": -1.0}, "learning_rate > 0, got -1"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        dmp(**options)
