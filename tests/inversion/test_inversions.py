"""What every inversion of the table promises, on a small target with random weights."""

import inspect

import numpy as np
import pytest
import torch
from toy_inversions import seeded, small

from seepage.inversion import INVERSIONS, students
from seepage.records import UserError

LABELS = torch.tensor([2, 0, 3])

FLOWS = {"vmi": [{"family": "mixture"}, {"family": "gaussian"}]}
GUIDED = [{"loss": "max_margin"}, {"loss": "logit"}, {"groups": "across"}]
MORE = FLOWS | {"gmi": [*GUIDED, {"clamp": None}, {"students": 2}], "ked_mi": GUIDED}

CASES = [(name, {}) for name in INVERSIONS] + [
    (name, options) for name, several in MORE.items() for options in several
]


@pytest.fixture(autouse=True)
def _few_lessons(monkeypatch):
    monkeypatch.setattr(students, "IMAGES", 128)
    monkeypatch.setattr(students, "EPOCHS", 1)


def inverted(name, n=3, regularizer=None, *, seed=0, labels=LABELS, given=None, **options):
    method = INVERSIONS[name]
    target, prior = given or small(method.prior)
    options = {"steps": 4} | options
    return method.invert(target, prior, labels, n, regularizer, seeded(seed), **options)


def spread(images, latents):
    flat = images.flatten(2)
    return -(flat - flat.mean(1, keepdim=True)).square().mean((1, 2))


def nothing(images, latents):
    return 0.0 * spread(images, latents)


def same(a, b):
    return all(torch.equal(getattr(a, f), getattr(b, f)) for f in ("images", "latents", "labels"))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_shapes_order_and_reach(name, options):
    made = inverted(name, **options)
    assert made.images.shape == (9, 1, 8, 8)
    assert made.images.dtype == torch.float32
    assert 0 <= float(made.images.min()) <= float(made.images.max()) <= 1
    assert made.labels.tolist() == [2, 2, 2, 0, 0, 0, 3, 3, 3]
    assert made.labels.dtype == torch.int64
    assert made.latents.shape == (9, 16)
    _, prior = small(INVERSIONS[name].prior)
    assert torch.allclose(prior.generator(made.latents), made.images, atol=1e-6)
    assert set(made.trace) == {"identity", "prior"}
    assert all(t.shape == (4,) and t.dtype == np.float64 for t in made.trace.values())
    assert not any(t.requires_grad for t in (made.images, made.latents))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_the_generator_of_random_numbers_decides_alone(name, options):
    made = inverted(name, **options)
    torch.manual_seed(99)  # the global state plays no part, and is left as it was
    before = torch.get_rng_state()
    again = inverted(name, **options)
    assert torch.equal(before, torch.get_rng_state())
    assert same(made, again)
    assert not same(made, inverted(name, seed=1, **options))


@pytest.mark.parametrize(("name", "options"), CASES)
def test_a_penalty_of_nothing_changes_no_bit(name, options):
    without, idle, active = (
        inverted(name, 4, regularizer, **options) for regularizer in (None, nothing, spread)
    )
    assert same(without, idle)
    assert not same(without, active)
    assert set(active.trace) == {"identity", "prior", "penalty"}
    assert np.all(idle.trace["penalty"] == 0)
    assert np.array_equal(without.trace["identity"], idle.trace["identity"])


@pytest.mark.parametrize(("name", "options"), CASES)
def test_target_and_prior_are_left_as_they_were(name, options):
    target, prior = small(INVERSIONS[name].prior)
    parts = (target.model, prior.generator, prior.critic)
    before = [{k: v.clone() for k, v in part.state_dict().items()} for part in parts]
    with torch.no_grad():  # whatever the caller does about gradients
        inverted(name, given=(target, prior), **options)
    for part, state in zip(parts, before, strict=True):
        assert not part.training
        assert all(torch.equal(v, state[k]) for k, v in part.state_dict().items())
        assert all(p.grad is None and not p.requires_grad for p in part.parameters())
        assert not any(module._forward_pre_hooks for module in part.modules())


STEPS = {
    "gmi": {"learning_rate": 3e-3, "steps": 150},
    "ked_mi": {"steps": 150},
    "lomma": {"learning_rate": 3e-3, "steps": 150},
    "vmi": {"learning_rate": 0.02, "steps": 50},
}


@pytest.mark.parametrize("name", INVERSIONS)
def test_the_target_comes_to_see_what_was_asked_for(name):
    method = INVERSIONS[name]
    target, prior = small(method.prior)
    made = inverted(name, 8, given=(target, prior), labels=torch.arange(4), **STEPS[name])

    def sure(images):
        return float(target(images).softmax(1)[torch.arange(32), made.labels].mean())

    drawn = prior.generator(torch.randn(32, 16, generator=seeded(9)))
    assert sure(made.images) > sure(drawn) + 0.1
    assert made.trace["identity"][-1] < made.trace["identity"][0] - 0.1


@pytest.mark.parametrize("name", INVERSIONS)
def test_a_loss_that_is_not_finite_is_told(name):
    def broken(images, latents):
        return spread(images, latents) / 0

    with pytest.raises(UserError, match=r"not finite at step 1 \(penalty\).*learning_rate"):
        inverted(name, regularizer=broken)
    target, prior = small(INVERSIONS[name].prior)
    for parameter in target.model.parameters():
        parameter.fill_(torch.nan)
    with pytest.raises(UserError, match="not finite"):
        inverted(name, given=(target, prior))


@pytest.mark.parametrize("name", INVERSIONS)
def test_what_cannot_be_asked_is_refused(name):
    with pytest.raises(UserError, match="knows the labels 0 to 3, got 4"):
        inverted(name, labels=torch.tensor([1, 4]))
    with pytest.raises(UserError, match="at least one class"):
        inverted(name, labels=torch.tensor([], dtype=torch.int64))
    with pytest.raises(UserError, match="n_per_label must be at least 1, got 0"):
        inverted(name, n=0)
    for wrong, words in (({"steps": 0}, "whole number >= 1"), ({"learning_rate": np.nan}, "> 0")):
        with pytest.raises(UserError, match=words):
            inverted(name, **wrong)


@pytest.mark.parametrize("name", ["gmi", "ked_mi"])
def test_unknown_words_are_refused(name):
    with pytest.raises(UserError, match="loss must be one of cross_entropy, logit, max_margin"):
        inverted(name, loss="hinge")
    with pytest.raises(UserError, match="groups must be one of class, across, got 'batch'"):
        inverted(name, groups="batch")
    with pytest.raises(UserError, match="feature_weight"):
        inverted(name, loss="logit", feature_weight=-1.0)


@pytest.mark.parametrize("name", INVERSIONS)
def test_every_option_is_explained(name):
    method = INVERSIONS[name]
    signature = inspect.signature(method.invert).parameters
    keywords = [k for k, p in signature.items() if p.kind is p.KEYWORD_ONLY]
    assert sorted(method.options) == sorted(keywords)


def test_the_table_is_sorted():
    assert list(INVERSIONS) == sorted(INVERSIONS)
