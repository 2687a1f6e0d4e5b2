"""Adversarial regularization: two players who do not touch each other's parameters."""

import copy
import pickle
from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from defenses.small import CLASSES, POOL, PUBLIC, TEST, accuracy, check_own_draws, same, trainer_of
from seepage.defenses.advreg import Game, Opponent, advreg, endless
from seepage.records import UserError

SMALL = partial(advreg, width=128, attack_steps=2, attack_learning_rate=1e-3)


def game_on(trainer, rows=POOL, *, half=8, learning_rate=1e-3):
    return Game(
        Opponent(CLASSES, 128),
        trainer.samples,
        torch.as_tensor(rows),
        torch.as_tensor(PUBLIC),
        half=half,
        learning_rate=learning_rate,
        seed=(5, 3),
    )


def parameters(module):
    return {n: p.detach().clone() for n, p in module.named_parameters()}


def batch(trainer, rows):
    data = trainer.samples
    return data.inputs[rows], nn.functional.one_hot(data.labels[rows], CLASSES).float()


def test_the_opponent_has_the_published_layers():
    of = Opponent(30, 1024)
    shapes = [tuple(p.shape) for n, p in of.named_parameters() if n.endswith("weight")]
    assert shapes == [
        *[(1024, 30), (512, 1024), (64, 512)],
        *[(128, 30), (64, 128)],
        *[(512, 128), (256, 512), (128, 256), (64, 128), (1, 64)],
    ]


def test_no_layer_of_the_opponent_starts_deaf():
    """Weights so small that every layer shrinks its input would leave it undecided for long."""
    of, other = Opponent(30, 1024), Opponent(30, 1024)
    for one in (of, other):
        one.begin(torch.device("cpu"), torch.Generator().manual_seed(0))
    assert same(parameters(of), parameters(other))
    layers = [layer for layer in of.modules() if isinstance(layer, nn.Linear)]
    assert all((layer.bias == 0).all() for layer in layers)
    scaled = [layer.weight.flatten() * layer.in_features**0.5 for layer in layers]
    assert float(torch.cat(scaled).detach().square().mean()) == pytest.approx(2, rel=0.01)


@given(st.integers(1, 30), st.integers(1, 12), st.integers(1, 20))
def test_every_record_is_met_equally_often_up_to_one(records, size, batches):
    stream = endless(torch.arange(100, 100 + records), size, torch.Generator().manual_seed(0))
    counts = torch.zeros(records, dtype=torch.int64)
    for _ in range(batches):
        met = next(stream)
        assert len(met) == size
        counts += torch.bincount(met - 100, minlength=records)
        assert counts.max() - counts.min() <= 1


def test_orders_are_shuffled_anew():
    stream = endless(torch.arange(50), 50, torch.Generator().manual_seed(0))
    first, second = next(stream), next(stream)
    assert not torch.equal(first, second)
    assert not torch.equal(first, torch.arange(50))


def test_an_attack_moves_the_opponent_and_not_the_classifier():
    trainer = trainer_of()
    game = game_on(trainer)
    before, opponent = parameters(trainer.model), parameters(game.opponent)
    game.attack(trainer.model)
    assert same(parameters(trainer.model), before)
    assert all(p.grad is None for p in trainer.model.parameters())
    assert not same(parameters(game.opponent), opponent)


def test_an_attack_is_a_step_of_adam_on_squared_errors():
    trainer = trainer_of()
    game, (members, reference) = game_on(trainer), (torch.arange(8), torch.arange(160, 168))
    game.members, game.reference = iter([members]), iter([reference])
    twin = copy.deepcopy(game.opponent)
    optimizer = torch.optim.Adam(twin.parameters(), lr=1e-3)
    sides = [batch(trainer, rows) for rows in (members, reference)]
    ours, others = (twin(trainer.model(x).detach(), y) for x, y in sides)
    (((ours - 1).square().sum() + others.square().sum()) / 16).backward()
    optimizer.step()
    game.attack(trainer.model)
    for name, expected in parameters(twin).items():
        torch.testing.assert_close(parameters(game.opponent)[name], expected, atol=1e-6, rtol=0)


def test_the_opponent_learns_to_tell_members():
    trainer = trainer_of()
    data, game = trainer.samples, game_on(trainer, half=20)

    class Telling(nn.Module):
        """Sure about members, undecided about others."""

        def forward(self, inputs):
            member = (inputs[:, None] == data.inputs[POOL]).all(2).any(1)
            return torch.where(member[:, None], torch.tensor([9.0, 0, 0]), torch.zeros(3))

    for _ in range(150):
        game.attack(Telling())
    for rows, low, high in ((POOL, 0.9, 1.0), (PUBLIC, 0.0, 0.3)):
        inputs, targets = batch(trainer, rows)
        guess = game.opponent(Telling()(inputs), targets).detach().mean()
        assert low <= float(guess) <= high


def test_a_step_of_the_classifier_leaves_the_opponent():
    trainer = trainer_of()
    game, model = game_on(trainer), copy.deepcopy(trainer.model)
    opponent = parameters(game.opponent)
    inputs, targets = batch(trainer, POOL[:10])
    losses = game.loss(2.0, model(inputs), targets)
    moved = torch.autograd.grad(losses.mean(), list(model.parameters()))
    assert all(g.abs().sum() > 0 for g in moved)
    assert same(parameters(game.opponent), opponent)
    assert all(p.grad is None for p in game.opponent.parameters())


def test_the_loss_is_cross_entropy_and_the_opponents_guess():
    trainer = trainer_of()
    game = game_on(trainer)
    inputs, targets = batch(trainer, POOL[:10])
    logits = trainer.model(inputs).detach()
    entropy = nn.functional.cross_entropy(logits, trainer.samples.labels[:10], reduction="none")
    expected = entropy + 2.5 * (game.opponent(logits, targets) - 0.5)
    torch.testing.assert_close(game.loss(2.5, logits, targets), expected)
    torch.testing.assert_close(game.loss(0.0, logits, targets), entropy)


def test_the_opponent_moves_before_every_batch(monkeypatch):
    modes = []
    attack = Game.attack

    def counted(self, classifier):
        modes.append(classifier.training)
        attack(self, classifier)

    monkeypatch.setattr(Game, "attack", counted)
    advreg(width=16, attack_steps=3).fit(trainer_of(epochs=2), 0, POOL[:40])
    assert modes == [False] * (3 * 2 * 3)  # three batches of 16, 16 and 8, twice


@pytest.mark.parametrize("extra", [(), (nn.Dropout(0.5),)])
def test_no_weight_is_no_defense(extra):
    trainer = trainer_of(None, *extra, momentum=0.5)
    plain = trainer.train({3: POOL}, role="reference")[3]
    fitted, other = (SMALL(alpha=alpha).fit(trainer, 3, POOL).state for alpha in (0.0, 9.0))
    for name in plain:
        torch.testing.assert_close(fitted[name], plain[name], atol=1e-5, rtol=0)
    assert max(float((other[n] - plain[n]).abs().max()) for n in plain) > 0.01


def test_members_answers_come_closer_to_others():
    """On labels that are noise, all that can be learned is membership."""
    trainer, few = trainer_of(epochs=60), POOL[:48]
    data, rng = trainer.samples, torch.Generator().manual_seed(3)
    data.labels.copy_(torch.randint(CLASSES, (400,), generator=rng))

    def sure(state, rows):
        answers = trainer.logits(state, data.inputs[rows]).softmax(1)
        return float(answers[torch.arange(len(rows)), data.labels[rows]].mean())

    opposed = advreg(alpha=10.0, width=128, attack_steps=4, attack_learning_rate=3e-3)
    states = trainer.train({0: few}, role="reference")[0], opposed.fit(trainer, 0, few).state
    undefended, defended = (sure(state, few) - sure(state, TEST) for state in states)
    assert undefended > 0.3
    assert defended < 0.75 * undefended


def test_the_classifier_learns():
    trainer = trainer_of(epochs=10)
    state = SMALL(alpha=1.0).fit(trainer, 0, POOL).state
    assert accuracy(trainer, state) > 0.7 > 2 * accuracy(trainer, trainer.start)


def test_draws_are_its_own_and_the_architecture_stays():
    trainer = trainer_of(None, nn.Dropout(0.2), epochs=2)
    before = parameters(trainer.model)
    check_own_draws(SMALL(), trainer)
    assert same(parameters(trainer.model), before)
    assert not trainer.model._forward_pre_hooks


def test_a_study_without_public_records_is_refused():
    with pytest.raises(UserError, match=r"set reference\.public"):
        advreg().fit(trainer_of(public=PUBLIC[:0]), 0, POOL)


def test_it_travels():
    defense = advreg(alpha=2.0)
    assert pickle.loads(pickle.dumps(defense)).fit.args == defense.fit.args


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"alpha": -1.0}, "alpha >= 0 and attack_learning_rate > 0, got -1.0 and"),
        ({"alpha": float("nan")}, "got nan"),
        ({"attack_learning_rate": 0.0}, "got 1.0 and 0.0"),
        ({"attack_steps": 0}, "attack_steps of at least 1 .* got 0"),
        ({"width": 40}, "multiple of 16, got 5 and 40"),
    ],
)
def test_bad_options_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        advreg(**options)
