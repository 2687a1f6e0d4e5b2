"""Somebody inside a federation: what it holds, what it may do, and what it leaves as it was."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from seepage._rng import torch_child
from seepage.federation import run, settings_of
from seepage.protocols import ClippedGradient, Defense, Insider
from seepage.records import Split, UserError
from seepage.training import Plan, train

STACKED = Plan(kind="stacked", chunk=5)
ONE = Plan(kind="one_by_one")
SETTINGS = settings_of(
    rounds=4, batch_size=8, local_epochs=3, momentum=0.9, participation=0.6, schedule="cosine"
)


class Here:
    """An executor that runs in this process and notes whom it trains."""

    def __init__(self):
        self.trained = set()

    def submit(self, function, argument):
        self.trained.add(argument.member)
        done = function(argument)
        return SimpleNamespace(result=lambda: done)


def honest(turn):
    return {
        k: trainer.train(
            {k: np.arange(len(trainer.samples.inputs))}, role="client", defense=turn.defense
        )[k]
        for k, trainer in turn.trainers.items()
    }


def noisy(change, turn):
    return {n: c + 0.01 * torch.randn(c.shape, generator=turn.rng) for n, c in change.items()}


def jittered(inputs, targets, rng):
    return inputs + 0.1 * torch.randn(inputs.shape, generator=rng), targets


def halved(logits, targets):
    return -(targets * logits.log_softmax(1)).sum(1) / 2


DEFENSES = {
    "none": None,
    "local": Defense(batch=jittered, loss=halved),
    "private": Defense(gradient=ClippedGradient(norm=1.0, sigma=0.5)),
    "budget": Defense(gradient=ClippedGradient(norm=1.0, sigma=None, epsilon=8.0)),
    "update": Defense(update=noisy, server=noisy),
}


def equal(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def assert_same_rounds(one, other):
    for a, b in zip(one, other, strict=True):
        assert a.number == b.number
        assert a.weights == b.weights
        assert equal(a.after, b.after)
        for part in ("uploads", "raw_uploads", "dealt", "memory"):
            mine, theirs = getattr(a, part), getattr(b, part)
            assert list(mine) == list(theirs), part
            assert all(equal(mine[k], theirs[k]) for k in mine), part


def shifted(state, by):
    return {name: value + by for name, value in state.items()}


# --- laws: what changes nothing ---------------------------------------------------------------


@pytest.mark.parametrize("defense", DEFENSES.values(), ids=DEFENSES)
def test_an_insider_that_trains_honestly_changes_no_bit(mlp, dataset, split, defense):
    arguments = {"seed": 3, "plan": ONE, "defense": defense}
    plain = run(mlp, dataset, split, SETTINGS, **arguments)
    who = Insider(clients=(0, 2, 3), upload=honest)
    assert_same_rounds(plain, run(mlp, dataset, split, SETTINGS, insider=who, **arguments))


def test_an_insider_that_trains_honestly_changes_no_bit_of_single_gradients(mlp, dataset, split):
    settings = settings_of(rounds=3, algorithm="fedsgd", batch_size=4)
    plain = run(mlp, dataset, split, settings, seed=3, plan=ONE)
    who = Insider(clients=(1, 4), upload=honest)
    assert_same_rounds(plain, run(mlp, dataset, split, settings, seed=3, plan=ONE, insider=who))


def test_an_insider_that_trains_honestly_takes_the_same_share_of_batches(mlp, dataset):
    split = Split(clients=(np.arange(9), np.arange(20, 51)), held_out=np.arange(9, 20))
    settings = settings_of(rounds=2, batch_size=4, local_epochs=2)
    arguments = {"seed": 3, "plan": ONE, "defense": Defense(share=0.5)}
    plain = run(mlp, dataset, split, settings, **arguments)
    who = Insider(clients=(0,), upload=honest)
    assert_same_rounds(plain, run(mlp, dataset, split, settings, insider=who, **arguments))


def test_an_honest_insider_is_a_client_of_any_plan_up_to_rounding(mlp, dataset, split):
    who = Insider(clients=(0, 2, 3), upload=honest)
    plain = run(mlp, dataset, split, SETTINGS, seed=3, plan=STACKED)
    inside = run(mlp, dataset, split, SETTINGS, seed=3, plan=STACKED, insider=who)
    for one, other in zip(plain, inside, strict=True):
        for name in one.after:
            torch.testing.assert_close(one.after[name], other.after[name], atol=1e-5, rtol=0)


def test_workers_train_those_that_are_left(mlp, dataset, split):
    plan = Plan(kind="processes")
    for clients in [(1,), (0, 1, 2, 3, 4)]:
        executor = Here()
        who = Insider(clients=clients, upload=honest)
        there = run(
            mlp, dataset, split, SETTINGS, seed=3, plan=plan, executor=executor, insider=who
        )
        assert_same_rounds(run(mlp, dataset, split, SETTINGS, seed=3, plan=ONE), there)
        assert executor.trained == set(range(5)) - set(clients)


@pytest.mark.parametrize("plan", [STACKED, ONE], ids=lambda p: p.kind)
@pytest.mark.parametrize("defense", DEFENSES.values(), ids=DEFENSES)
def test_an_insider_that_only_watches_changes_no_bit(mlp, dataset, split, plan, defense):
    seen = []

    def watch(turn, after):
        seen.append((turn, after))
        torch.randn(5, generator=turn.rng)
        for trainer in turn.trainers.values():
            trainer.logits(after, trainer.samples.inputs)

    arguments = {"seed": 3, "plan": plan, "defense": defense}
    plain = list(run(mlp, dataset, split, SETTINGS, **arguments))
    who = Insider(clients=(2, 3), watch=watch)
    assert_same_rounds(plain, run(mlp, dataset, split, SETTINGS, insider=who, **arguments))
    for what, (turn, after) in zip(plain, seen, strict=True):
        assert turn.number == what.number
        assert equal(turn.start, what.start)
        assert equal(after, what.after)


def test_the_order_of_clients_changes_no_bit(mlp, dataset, split):
    def uploads(turn, backwards=False):
        sent = {k: shifted(state, 0.01 * k) for k, state in honest(turn).items()}
        return dict(reversed(sent.items())) if backwards else sent

    def deal(turn, backwards=False):
        order = (1, 4) if backwards else (4, 1)
        return {k: shifted(turn.start, 0.1 * k) for k in order}

    there = Insider(clients=(0, 2, 3), upload=uploads, deal=deal)
    back = Insider(
        clients=(3, 0, 2),
        upload=lambda turn: uploads(turn, backwards=True),
        deal=lambda turn: deal(turn, backwards=True),
    )
    for plan in (ONE, STACKED):
        one, other = (
            run(mlp, dataset, split, SETTINGS, seed=4, plan=plan, insider=who)
            for who in (there, back)
        )
        assert_same_rounds(one, other)


# --- what a turn holds ------------------------------------------------------------------------


def test_a_turn_holds_its_own_clients_and_what_they_train_with(mlp, dataset, split):
    seen = []
    defense = Defense(loss=halved, gradient=ClippedGradient(norm=1.0, sigma=0.5))
    who = Insider(clients=(0, 3), watch=lambda turn, after: seen.append(turn))
    arguments = {"seed": 3, "plan": ONE, "defense": defense, "insider": who}
    rounds = list(run(mlp, dataset, split, SETTINGS, **arguments))
    assert {turn.taking_part for turn in seen} == {(0,), (0, 3)}  # not always both
    for what, turn in zip(rounds, seen, strict=True):
        assert turn.taking_part == tuple(k for k in (0, 3) if k in what.uploads)
        assert turn.weights == {k: what.weights[k] for k in turn.taking_part}
        assert turn.learning_rate == what.learning_rate == SETTINGS.rate(what.number)
        assert turn.rng.initial_seed() == torch_child(3, "insider", what.number).initial_seed()
        assert turn.defense.loss is halved
        assert turn.defense.gradient.rounds == SETTINGS.rounds  # as the honest ones spend it
        assert tuple(turn.trainers) == turn.taking_part
        for trainer in turn.trainers.values():
            assert equal(trainer.start, what.start)
            assert (trainer.settings, trainer.seed) == (SETTINGS.local, 3)
            assert (trainer.learning_rate, trainer.round_number) == (
                what.learning_rate,
                what.number,
            )
            assert (trainer.mean, trainer.std) == (dataset.mean, dataset.std)
            assert len(trainer.public) == 0
            assert trainer.validation is None


def test_no_record_of_another_client_reaches_a_turn(mlp, dataset, split):
    seen = []
    who = Insider(
        clients=(0, 3), upload=honest, deal=lambda turn: {1: turn.start}, watch=None, took=None
    )
    who = replace(who, watch=lambda turn, after: seen.append(turn))
    settings = replace(SETTINGS, participation=1.0)
    list(run(mlp, dataset, split, settings, seed=3, plan=ONE, insider=who))
    for turn in seen:
        for k, trainer in turn.trainers.items():
            assert torch.equal(trainer.samples.inputs, dataset.inputs[split.clients[k]])
            assert torch.equal(trainer.samples.labels, dataset.labels[split.clients[k]])
            assert trainer.samples.classes == dataset.classes
            for held in (trainer.samples.inputs, trainer.samples.labels):  # no view of the whole
                assert held.untyped_storage().nbytes() == held.numel() * held.element_size()


# --- what an insider uploads ------------------------------------------------------------------


@pytest.mark.parametrize("plan", [STACKED, ONE], ids=lambda p: p.kind)
def test_what_it_says_enters_the_mean_in_place_of_training(mlp, dataset, split, plan):
    who = Insider(clients=(1, 3), upload=lambda turn: {k: shifted(turn.start, k) for k in (1, 3)})
    settings = settings_of(rounds=1, batch_size=8)
    (plain,) = run(mlp, dataset, split, settings, seed=1, plan=plan)
    (what,) = run(mlp, dataset, split, settings, seed=1, plan=plan, insider=who)
    assert list(what.uploads) == [0, 1, 2, 3, 4]
    assert what.weights == plain.weights
    for k in (0, 2, 4):
        for name in what.start:
            torch.testing.assert_close(what.uploads[k][name], plain.uploads[k][name])
    for k in (1, 3):
        assert equal(what.uploads[k], shifted(what.start, k))
    for name, value in what.after.items():
        mean = sum(w * what.uploads[k][name].double() for k, w in what.weights.items())
        torch.testing.assert_close(value, mean.float())


def test_what_it_says_goes_through_the_hook_like_any_upload(mlp, dataset, split):
    half = Defense(update=lambda change, turn: {n: c / 2 for n, c in change.items()})
    who = Insider(clients=(1,), upload=lambda turn: {1: shifted(turn.start, 1.0)})
    settings = settings_of(rounds=1, batch_size=8)
    (what,) = run(mlp, dataset, split, settings, seed=1, plan=ONE, defense=half, insider=who)
    assert equal(what.raw_uploads[1], shifted(what.start, 1.0))
    for name, old in what.start.items():
        torch.testing.assert_close(what.uploads[1][name], old + 0.5)


def test_an_upload_is_asked_for_only_where_its_clients_take_part(mlp, dataset, split):
    asked = []

    def uploads(turn):
        asked.append(turn.number)
        return honest(turn)

    who = Insider(clients=(2,), upload=uploads)
    rounds = list(run(mlp, dataset, split, SETTINGS, seed=3, plan=ONE, insider=who))
    assert asked == [what.number for what in rounds if 2 in what.uploads]
    assert 0 < len(asked) < len(rounds)


def without(state):
    return {n: v for n, v in state.items() if n != "2.bias"}


WRONG = {
    "leaves a client out": (lambda s: {1: s}, r"leaves out client 3\b.*\[1, 3\]"),
    "speaks for another": (lambda s: {1: s, 2: s, 3: s}, "does not speak for client 2"),
    "lacks a parameter": (lambda s: {1: s, 3: without(s)}, "client 3 holds no parameter '2.bias'"),
    "adds a parameter": (lambda s: {1: s | {"x": s["2.bias"]}, 3: s}, "client 1 .*unknown.*'x'"),
    "changes a shape": (lambda s: {1: s | {"2.bias": torch.zeros(4)}, 3: s}, r"client 1 .*\(3,\)"),
    "changes a type": (lambda s: {1: s, 3: s | {"2.bias": s["2.bias"].double()}}, "float64"),
    "is not finite": (lambda s: {1: s, 3: shifted(s, float("nan"))}, "client 3 is not finite"),
}


@pytest.mark.parametrize(("wrong", "match"), WRONG.values(), ids=WRONG)
def test_an_upload_that_is_no_whole_state_is_refused(mlp, dataset, split, wrong, match):
    who = Insider(clients=(1, 3), upload=lambda turn: wrong(dict(turn.start)))
    rounds = run(mlp, dataset, split, settings_of(rounds=1), seed=1, insider=who)
    with pytest.raises(UserError, match="round 1: .*" + match):
        next(rounds)


def test_an_insider_that_does_not_exist_is_refused_at_once(mlp, dataset, split):
    with pytest.raises(UserError, match=r"client 5, which does not exist.*0 to 4"):
        run(mlp, dataset, split, SETTINGS, seed=1, insider=Insider(clients=(1, 5)))


# --- what a server deals ----------------------------------------------------------------------


def dealing(*clients, by=1.0, took=None):
    return Insider(
        deal=lambda turn: {k: shifted(turn.start, by * (k + 1)) for k in clients}, took=took
    )


@pytest.mark.parametrize("plan", [STACKED, ONE], ids=lambda p: p.kind)
def test_a_client_dealt_to_trains_from_there_and_enters_no_mean(mlp, dataset, split, plan):
    taken = []
    who = dealing(1, 4, took=lambda turn, took: taken.append(took))
    settings = replace(SETTINGS, participation=1.0)
    for what in run(mlp, dataset, split, settings, seed=1, plan=plan, insider=who):
        assert list(what.uploads) == [0, 1, 2, 3, 4]
        assert what.weights == pytest.approx({0: 7 / 27, 2: 1 / 27, 3: 19 / 27})
        assert list(what.dealt) == [1, 4]
        for k in range(5):
            given = shifted(what.start, k + 1.0) if k in (1, 4) else what.start
            if k in (1, 4):
                assert equal(what.dealt[k], given)
            alone = train(
                mlp,
                given,
                {k: split.clients[k]},
                dataset,
                settings.local,
                learning_rate=what.learning_rate,
                seed=1,
                round_number=what.number,
            )[k]
            for name, value in alone.items():
                torch.testing.assert_close(what.uploads[k][name], value, atol=1e-5, rtol=1e-5)
        for name, value in what.after.items():
            mean = sum(w * what.uploads[k][name].double() for k, w in what.weights.items())
            torch.testing.assert_close(value, mean.float())
        (took,) = taken[what.number - 1 :]
        assert list(took) == [1, 4]
        assert all(equal(took[k], what.uploads[k]) for k in took)


def tell(change, turn):
    turn.said["norm"] = sum(c.square().sum() for c in change.values())
    return {n: c / 2 for n, c in change.items()}


def hear(change, turn):
    heard = sum(float(said["norm"]) for said in turn.heard.values())
    return {n: c * (1 + heard) / len(turn.weights) for n, c in change.items()}


def test_what_a_client_dealt_to_sends_or_says_leaves_the_others_as_they_are(mlp, dataset, split):
    talking = Defense(update=tell, server=hear)
    arguments = {"seed": 1, "plan": ONE, "defense": talking}
    one, other = (
        list(run(mlp, dataset, split, SETTINGS, insider=dealing(1, by=by), **arguments))
        for by in (0.0, 2.0)
    )
    differ = 0
    for a, b in zip(one, other, strict=True):
        assert equal(a.after, b.after)
        assert equal(a.aggregate, b.aggregate)
        assert a.weights == b.weights
        for k in a.weights:
            assert equal(a.uploads[k], b.uploads[k])
        differ += 1 in a.uploads and not equal(a.uploads[1], b.uploads[1])
        assert set(a.dealt) == {1} & set(a.uploads)
    assert differ
    assert any(1 not in a.uploads for a in one)


def test_the_hook_sees_the_change_against_what_was_dealt(mlp, dataset, split):
    half = Defense(update=lambda change, turn: {n: c / 2 for n, c in change.items()})
    settings = settings_of(rounds=1, batch_size=8)
    who = dealing(3, by=0.1)
    (what,) = run(mlp, dataset, split, settings, seed=1, plan=ONE, defense=half, insider=who)
    for name, dealt in what.dealt[3].items():
        middle = dealt + (what.raw_uploads[3][name] - dealt) / 2
        torch.testing.assert_close(what.uploads[3][name], middle)


def test_dealing_the_global_parameters_only_takes_the_weight(mlp, dataset, split):
    settings = settings_of(rounds=1, batch_size=8, local_epochs=2)
    (plain,) = run(mlp, dataset, split, settings, seed=1, plan=ONE)
    (what,) = run(mlp, dataset, split, settings, seed=1, plan=ONE, insider=dealing(2, by=0.0))
    assert all(equal(what.uploads[k], plain.uploads[k]) for k in range(5))
    assert 2 not in what.weights


def test_a_round_with_nobody_left_for_the_mean_is_refused(mlp, dataset, split):
    rounds = run(mlp, dataset, split, SETTINGS, seed=1, insider=dealing(0, 1, 2, 3, 4))
    with pytest.raises(UserError, match=r"round 1: .*nobody is left for the mean"):
        next(rounds)


@pytest.mark.parametrize(
    ("who", "match"),
    [
        (dealing(7), "client 7, which does not exist"),
        (replace(dealing(1, 2), clients=(2,)), "round 1: .*deals to client 2, which is its own"),
        (dealing(3, by=float("inf")), "round 1: what is dealt to client 3 is not finite"),
    ],
    ids=["a stranger", "its own", "not finite"],
)
def test_a_deal_that_cannot_be_is_refused(mlp, dataset, split, who, match):
    rounds = run(mlp, dataset, split, replace(SETTINGS, participation=1.0), seed=1, insider=who)
    with pytest.raises(UserError, match=match):
        next(rounds)


# --- what it keeps ----------------------------------------------------------------------------


def count(turn):
    turn.kept["turns"] = turn.kept.get("turns", torch.zeros(())) + 1
    return float(turn.kept["turns"])


def remember(turn, after):
    turn.kept["bias"] = after["2.bias"] + turn.kept.get("bias", 0)


REMEMBERING = Insider(
    clients=(0, 3),
    upload=lambda turn: {
        k: shifted(s, 0.01 * count(turn) * float(torch.rand((), generator=turn.rng)))
        for k, s in honest(turn).items()
    },
    deal=lambda turn: {4: shifted(turn.start, float(turn.kept.get("taken", torch.zeros(()))))},
    took=lambda turn, took: turn.kept.update(taken=took[4]["2.bias"].mean()),
    watch=remember,
)


@pytest.mark.parametrize("first", [2, 4])
def test_a_resumed_federation_goes_on_from_what_the_insider_kept(mlp, dataset, split, first):
    defense = Defense(update=noisy)
    arguments = {"seed": 2, "plan": ONE, "defense": defense, "insider": REMEMBERING}
    settings = replace(SETTINGS, rounds=6)
    straight = list(run(mlp, dataset, split, settings, **arguments))
    before = straight[first - 2]
    resumed = run(
        mlp,
        dataset,
        split,
        settings,
        start=before.after,
        first_round=first,
        memory=before.memory,
        **arguments,
    )
    assert_same_rounds(straight[first - 1 :], resumed)
    assert set(straight[-1].memory["insider"]) == {"turns", "taken", "bias"}


def test_a_round_keeps_its_memory_when_later_ones_go_on(mlp, dataset, split):
    who = Insider(clients=(0,), watch=lambda turn, after: count(turn))
    rounds = list(run(mlp, dataset, split, SETTINGS, seed=1, insider=who))
    assert [int(what.memory["insider"]["turns"]) for what in rounds] == [1, 2, 3, 4]


def test_what_an_insider_forgets_is_gone(mlp, dataset, split):
    who = Insider(watch=lambda turn, after: turn.kept.clear() if turn.kept else count(turn))
    rounds = run(mlp, dataset, split, SETTINGS, seed=1, insider=who)
    assert [set(what.memory) for what in rounds] == [{"insider"}, set()] * 2
