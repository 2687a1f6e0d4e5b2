"""MemGuard against the procedure written out for one answer at a time."""

import importlib
import math
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from defenses.small import POOL, PUBLIC, same, trainer_of
from seepage.defenses import memguard
from seepage.protocols import Query
from seepage.records import UserError

MODULE = importlib.import_module("seepage.defenses.memguard")  # the function has the same name
ROWS = POOL[:60]
DEFENSE = memguard(epochs=30, learning_rate=0.1)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def answers(n=200, k=5, seed=0, sure=6.0):
    logits = torch.randn(n, k, generator=rng(seed), dtype=torch.float64)
    logits[torch.arange(n), torch.randint(k, (n,), generator=rng(seed + 1))] += sure * torch.rand(
        n, generator=rng(seed + 2), dtype=torch.float64
    )
    return logits


def classifier(k=5):
    """A narrow classifier that learned to call sure answers members, lifted to say so of most.

    It is hardly ever below 0, so that some answers are out of reach of a change that keeps labels.
    """
    sure, unsure = (
        answers(300, k, seed, s).sort(1, descending=True).values.softmax(1)
        for seed, s in ((10, 9.0), (20, 2.0))
    )
    with pytest.MonkeyPatch.context() as narrow:
        narrow.setattr(MODULE, "HIDDEN", (8, 8, 8))
        kept = MODULE._classifier(sure.float(), unsure.float(), 100, 0.3, rng())
    kept = {name: value.double() for name, value in kept.items()}
    return kept | {"3.bias": kept["3.bias"] - logit_of(kept, unsure).min() - 0.013}


def respond(logits, kept, seed=0):
    asked = Query(
        inputs=logits, forward=lambda x: x, rng=rng(seed), mean=(0.0,), std=(1.0,), kept=kept
    )
    with torch.no_grad():  # as models are asked
        return DEFENSE.respond(logits, asked)


def logit_of(kept, sorted_probabilities):
    value = sorted_probabilities
    for layer in range(4):
        value = value.relu() if layer else value
        value = value @ kept[f"{layer}.weight"].T + kept[f"{layer}.bias"]
    return value[..., 0]


def walk(start, kept, closeness):
    """One search from ``start``, sorted from the label down: where it ends, and after how much."""
    goal, z = start.softmax(0), start.clone()
    first = float(logit_of(kept, goal))
    for step in range(301):
        now = float(logit_of(kept, z.softmax(0)))
        if now * first <= 0 and float(z[0]) > float(z[1:].max()):
            return z, step
        z = z.requires_grad_()
        cost = logit_of(kept, z.softmax(0)).abs() + 10 * (z[1:].max() - z[0]).relu()
        cost = cost + closeness * (z.softmax(0) - goal).abs().sum()
        (slope,) = torch.autograd.grad(cost, z)
        z = z.detach() - 0.1 * slope / slope.norm()
    return None, 300


def one_by_one(logits, kept):
    """The published procedure for one answer, as a person would write it."""
    order = sorted(range(len(logits)), key=lambda c: (-float(logits[c]), c))
    start = logits[order]
    released, closeness = start, 0.1
    if abs(1 / (1 + math.exp(-float(logit_of(kept, start.softmax(0))))) - 0.5) <= 1e-5:
        return logits
    while closeness <= 1e5:
        found, _ = walk(start, kept, closeness)
        if found is None:
            break
        released, closeness = found, 10 * closeness
    out = torch.empty_like(logits)
    out[order] = released
    return out


def test_all_at_once_is_one_by_one():
    logits, kept = answers(6, 4), classifier(4)
    expected = torch.stack([one_by_one(row, kept) for row in logits])
    assert 0 < int((expected != logits).any(1).sum()) < 6
    torch.testing.assert_close(respond(logits, kept), expected, atol=1e-9, rtol=0)


def test_the_last_step_counts(monkeypatch):
    logits, kept = answers(1).sort(1, descending=True).values, classifier()
    kept |= {"3.bias": kept["3.bias"] - 0.5}  # within reach
    found, steps = walk(logits[0], kept, 0.1)
    assert 1 < steps < 300
    monkeypatch.setattr(MODULE, "CLOSENESS", (0.1,))
    monkeypatch.setattr(MODULE, "STEPS", steps)
    torch.testing.assert_close(respond(logits, kept)[0], found, atol=1e-9, rtol=0)
    monkeypatch.setattr(MODULE, "STEPS", steps - 1)
    assert torch.equal(respond(logits, kept), logits)


def test_the_published_numbers():
    assert (MODULE.STEPS, MODULE.LENGTH, MODULE.LABEL_WEIGHT) == (300, 0.1, 10)
    assert pytest.approx([0.1, 1, 10, 100, 1e3, 1e4, 1e5]) == list(MODULE.CLOSENESS)
    assert MODULE.HIDDEN == (256, 128, 64)


def test_labels_are_kept_and_answers_are_turned_or_untouched():
    logits, kept = answers(), classifier()
    out = respond(logits, kept)
    assert torch.equal(out.argmax(1), logits.argmax(1))
    torch.testing.assert_close(out.softmax(1).sum(1), torch.ones(200).double())
    order = logits.argsort(1, descending=True)
    before, after = (logit_of(kept, x.softmax(1).gather(1, order)) for x in (logits, out))
    changed = (out != logits).any(1)
    assert torch.equal(changed, before * after <= 0)
    assert 20 < int(changed.sum()) < 200
    assert float((after > 0).double().mean()) < float((before > 0).double().mean())


def test_an_undecided_classifier_changes_nothing():
    kept = {name: torch.zeros_like(value) for name, value in classifier().items()}
    logits = answers()
    assert torch.equal(respond(logits, kept), logits)
    kept["3.bias"] += 3e-5  # a logit of 3e-5 is a probability of 0.5 + 0.75e-5
    assert torch.equal(respond(logits, kept), logits)


def test_a_classifier_that_cannot_be_turned_changes_nothing():
    kept = {name: torch.zeros_like(value) for name, value in classifier().items()}
    kept["3.bias"] += 2.0
    logits = answers()
    assert torch.equal(respond(logits, kept), logits)


def test_the_label_is_the_lowest_of_tied_classes():
    logits, kept = answers(), classifier()
    logits[:, 3] = logits[:, 1] = logits.amax(1)
    logits[:, 0] = -3.0
    assert torch.equal(respond(logits, kept).argmax(1), torch.ones(200, dtype=torch.long))


def test_answers_draw_nothing():
    logits, kept = answers(50), classifier()
    before = torch.get_rng_state()
    assert torch.equal(respond(logits, kept, 0), respond(logits, kept, 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_classifier_tells_the_sides_apart_whatever_their_sizes():
    sure, unsure = (
        answers(n, 5, seed, s).sort(1, descending=True).values.softmax(1).float()
        for n, seed, s in ((600, 10, 20.0), (100, 20, 1.0))
    )
    kept = MODULE._classifier(sure, unsure, 60, 0.3, rng())
    assert float((logit_of(kept, sure) > 0).float().mean()) > 0.7
    assert float((logit_of(kept, unsure) < 0).float().mean()) > 0.7
    alike = answers(700, 5).sort(1, descending=True).values.softmax(1).float()
    kept = MODULE._classifier(alike[:600], alike[600:], 10, 0.1, rng())
    # by numbers alone the answer would be the logit of 6/7, 1.8
    assert abs(float(logit_of(kept, alike).mean())) < 0.3


def test_the_model_is_the_undefended_one_bit_for_bit():
    trainer = trainer_of()
    fitted = DEFENSE.fit(trainer, 7, ROWS)
    assert same(fitted.state, trainer.train({7: ROWS}, role="reference")[7])
    assert {n: tuple(v.shape) for n, v in fitted.kept.items()} == {
        "0.weight": (256, 3), "0.bias": (256,), "1.weight": (128, 256), "1.bias": (128,),
        "2.weight": (64, 128), "2.bias": (64,), "3.weight": (1, 64), "3.bias": (1,),
    }  # fmt: skip
    assert not any(value.requires_grad for value in fitted.kept.values())


def test_the_classifier_learns_from_this_models_members_and_the_public_records():
    trainer = trainer_of(epochs=60)
    fitted = memguard(epochs=200, learning_rate=0.3).fit(trainer, 7, ROWS)
    sides = [
        trainer.logits(fitted.state, trainer.samples.inputs[rows])
        .sort(1, descending=True)
        .values.softmax(1)
        for rows in (ROWS, PUBLIC)
    ]
    member, public = (logit_of(fitted.kept, side).mean() for side in sides)
    assert float(member) > float(public)


def test_draws_are_named_by_seed_and_model_and_leave_global_ones_alone():
    trainer, before = trainer_of(), torch.get_rng_state()
    kept = DEFENSE.fit(trainer, 7, ROWS).kept
    assert torch.equal(torch.get_rng_state(), before)
    again = pickle.loads(pickle.dumps(DEFENSE)).fit(trainer, 7, ROWS).kept
    assert same(kept, again)
    assert not same(kept, DEFENSE.fit(trainer, 8, ROWS).kept)
    assert not same(kept, DEFENSE.fit(replace(trainer, seed=6), 7, ROWS).kept)


@pytest.mark.parametrize("count", [0, 5])
def test_too_few_public_records_are_refused(count):
    trainer = trainer_of(public=np.arange(160, 160 + count))
    with pytest.raises(UserError, match=rf"60 members, got {count}\. Raise reference\.public"):
        DEFENSE.fit(trainer, 0, ROWS)


@pytest.mark.parametrize(
    "wrong", [{"epochs": 0}, {"epochs": 1.5}, {"learning_rate": 0.0}, {"learning_rate": math.inf}]
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(UserError, match="memguard needs"):
        memguard(**wrong)
