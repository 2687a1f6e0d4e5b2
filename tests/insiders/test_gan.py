"""A generator led by global models: when it begins, what it sends, what it keeps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.func import functional_call

from seepage import data, models
from seepage.federation import run, settings_of
from seepage.insiders import Generation, gan, generating, kept_images
from seepage.records import UserError
from seepage.states import state_of
from seepage.training import Plan

ONE = Plan(kind="one_by_one")
SETTINGS = settings_of(rounds=6, batch_size=20, learning_rate=0.1)


@pytest.fixture(scope="module")
def digits():
    return data.load("digits")


@pytest.fixture(scope="module")
def split(digits):
    return data.split(
        digits, clients=3, partition="disjoint_labels", labels_per_client=3, per_label=40, seed=3
    )


def generation(digits, **settings):
    return Generation(
        classes=10,
        shape=(1, 8, 8),
        mean=digits.mean,
        std=digits.std,
        **{"start": 0.05, "steps": 3, "batch_size": 16} | settings,
    )


def network(classes):
    return models.build("mlp", input_shape=(1, 8, 8), classes=classes, seed=0)


def federation(digits, split, insider, *, active=False, settings=SETTINGS, **more):
    classes = 10 + active
    model, samples = network(classes), replace(digits, classes=classes)
    return list(
        run(model, samples, split, settings, seed=0, plan=ONE, insider=insider, **more)
    ), model


def insider_of(digits, *, active=False, **settings):
    return generating([0], generation(digits, active=active, **settings), network(10 + active))


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_listening_changes_nothing_that_anyone_sends(digits, split):
    plain, _ = federation(digits, split, None)
    heard, _ = federation(digits, split, insider_of(digits))
    assert all(same(a.after, b.after) for a, b in zip(plain, heard, strict=True))
    assert kept_images(heard[-1].memory["insider"]) is not None


@pytest.mark.parametrize("active", [False, True])
def test_an_injecting_insiders_images_are_judged_by_changed_copies(
    digits, split, monkeypatch, active
):
    """Of every step of every round that it draws in; with nothing left of them, nothing is led."""
    seen = []

    def nothing_left(images, rng):
        seen.append(len(images))
        return 0 * images

    monkeypatch.setattr("seepage.insiders.gan.changed", nothing_left)
    two = replace(SETTINGS, rounds=2)
    rounds, _ = federation(
        digits, split, insider_of(digits, active=active), active=active, settings=two
    )
    assert seen == ([16] * 3 * 2 if active else [])
    first, last = (what.memory["insider"] for what in rounds)
    weights = [name for name in first if name.startswith("generator/") and first[name].ndim > 1]
    assert all(torch.equal(first[n], last[n]) for n in weights) == active


@pytest.mark.parametrize("active", [False, True])
def test_before_the_global_model_is_good_enough_it_is_honest(digits, split, active):
    plain, _ = federation(digits, split, None, active=active)
    early, _ = federation(
        digits,
        split,
        insider_of(digits, active=active, start=1.0),
        active=active,
        settings=replace(SETTINGS, rounds=2),
    )
    assert all(same(a.after, b.after) for a, b in zip(plain, early, strict=False))
    assert not any(what.memory for what in early)


def test_an_active_one_trains_on_its_records_and_as_many_drawn_images(digits, split, monkeypatch):
    from seepage.training import trainer

    seen, train = [], trainer.train

    def watched(model, start, shards, samples, *args, **kw):
        seen.append((shards, samples))
        return train(model, start, shards, samples, *args, **kw)

    monkeypatch.setattr(trainer, "train", watched)
    federation(digits, split, insider_of(digits, active=True), active=True)
    own = digits.inputs[split.clients[0]]
    assert torch.equal(seen[0][1].inputs, own)  # the first round: nothing is drawn yet
    for shards, samples in seen[1:]:
        assert torch.equal(samples.inputs[: len(own)], own)
        assert samples.labels[len(own) :].tolist() == [10] * len(own)
        assert len(shards[0]) == len(samples.inputs) == 2 * len(own)
        pixels = samples.inputs[len(own) :] * digits.std[0] + digits.mean[0]
        assert pixels.min() >= -1e-6
        assert pixels.max() <= 1 + 1e-6


@pytest.mark.parametrize("active", [False, True])
def test_what_is_kept_is_what_the_global_model_took_for_it(digits, split, active):
    rounds, model = federation(digits, split, insider_of(digits, active=active), active=active)
    settings = generation(digits)
    for what in rounds[1:]:
        images = kept_images(what.memory["insider"])
        new = images.rounds == what.number
        answers = functional_call(model, what.after, (settings.normal(images.pixels[new]),))
        right = (answers.argmax(1) == images.labels[new]).float().mean() if new.any() else 1.0
        assert right > 0.95  # but for the rounding to 256 shades


@pytest.mark.parametrize("active", [False, True])
def test_it_is_taken_up_again_where_it_was_left(digits, split, active):
    whole, _ = federation(digits, split, insider_of(digits, active=active), active=active)
    rest, _ = federation(
        digits,
        split,
        insider_of(digits, active=active),
        active=active,
        start=whole[2].after,
        memory=whole[2].memory,
        first_round=4,
    )
    for a, b in zip(whole[3:], rest, strict=True):
        assert same(a.after, b.after)
        assert same(a.memory["insider"], b.memory["insider"])


def test_steps_lead_it_to_what_the_global_model_accepts(digits, split):
    def accepted(steps):
        rounds, _ = federation(digits, split, insider_of(digits, steps=steps))
        return len(kept_images(rounds[-1].memory["insider"]).labels)

    assert accepted(40) > 1.5 * accepted(1)


def test_a_generator_that_diverges_stops_with_round_and_cause(digits, split):
    insider = insider_of(digits)
    whole, _ = federation(digits, split, None)
    broken = {name: torch.full_like(value, torch.nan) for name, value in whole[0].after.items()}

    def watch(turn, after):
        insider.watch(turn, after if turn.number < 3 else broken)

    begun = replace(insider, watch=watch)
    with pytest.raises(UserError, match=r"round 3: the insider's generator diverged"):
        federation(digits, split, begun)


def test_a_table_has_no_images_to_draw():
    with pytest.raises(UserError, match=r"draws images, .* shape \(5,\)"):
        Generation(classes=2, shape=(5,), mean=(0.0,), std=(1.0,))


def test_colluding_clients_learn_from_all_their_records(digits, split):
    insider = generating([0, 2], generation(digits, active=True), network(11))
    rounds, _ = federation(digits, split, insider, active=True)
    plain, _ = federation(digits, split, None, active=True)
    for client in (0, 2):
        assert not same(rounds[1].uploads[client], plain[1].uploads[client])
    assert np.isfinite(kept_images(rounds[-1].memory["insider"]).pixels.numpy()).all()


def test_after_its_rounds_it_is_honest_and_keeps_what_it_has(digits, split):
    whole, _ = federation(digits, split, insider_of(digits, active=True, rounds=2), active=True)
    began = int(whole[-1].memory["insider"]["began"])
    assert kept_images(whole[-1].memory["insider"]).rounds.max() <= began + 1
    assert same(whole[-1].memory["insider"], whole[began].memory["insider"])
    rest, _ = federation(
        digits,
        split,
        None,
        active=True,
        start=whole[began].after,
        memory={},
        first_round=began + 2,
    )
    for a, b in zip(whole[began + 1 :], rest, strict=True):
        assert same(a.after, b.after)  # from then on nobody can tell it from an honest client


def test_the_judge_answers_with_the_statistics_that_were_sent():
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 5), torch.nn.BatchNorm1d(5))
    state = state_of(model) | {"2.running_mean": torch.full((5,), 3.0)}
    inputs = torch.randn(4, 1, 8, 8)
    expected = functional_call(model.eval(), state, (inputs,))
    torch.testing.assert_close(gan._judge(model, state)(inputs), expected)
