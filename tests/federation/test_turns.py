"""What clients and server remember from round to round."""

import torch

from seepage._rng import torch_child
from seepage.federation import run, settings_of
from seepage.federation.turns import Turns
from seepage.protocols import Defense


def count(change, turn):
    """A client that counts its turns, tells the server, and sends more each time."""
    turn.kept["turns"] = turn.kept.get("turns", torch.zeros(())) + 1
    turn.said["turns"] = turn.kept["turns"]
    scale = turn.kept["turns"] + turn.told.get("heard", torch.zeros(()))
    return {name: value * scale for name, value in change.items()}


def hear(change, turn):
    turn.kept["heard"] = sum(said["turns"] for said in turn.heard.values())
    return {name: value * turn.kept["heard"] for name, value in change.items()}


COUNTING = Defense(update=count, server=hear)


def settings(rounds):
    return settings_of(rounds=rounds, batch_size=8, participation=0.6, learning_rate=1e-3)


def test_each_counts_its_own_turns_and_the_server_hears_them(mlp, dataset, split):
    turns = dict.fromkeys(range(5), 0)
    for what in run(mlp, dataset, split, settings(4), seed=1, defense=COUNTING):
        for client in what.uploads:
            turns[client] += 1
        there = {f"c{k:03d}" for k, number in turns.items() if number} | {"server"}
        assert set(what.memory) == there
        for client in what.uploads:
            assert what.memory[f"c{client:03d}"]["turns"] == turns[client]
        assert what.memory["server"]["heard"] == sum(turns[k] for k in what.uploads)


def test_a_hook_knows_what_it_kept_and_was_told(mlp, dataset, split):
    first, second = run(
        mlp,
        dataset,
        split,
        settings_of(rounds=2, batch_size=8, learning_rate=1e-3),
        seed=1,
        defense=COUNTING,
    )
    assert first.memory["server"]["heard"] == 5
    for client, sent in second.uploads.items():
        for name, old in second.start.items():
            raw = second.raw_uploads[client][name] - old
            torch.testing.assert_close(sent[name], old + 7 * raw)  # second turn, told 5


def test_a_resumed_federation_goes_on_from_what_was_kept(mlp, dataset, split):
    straight = list(run(mlp, dataset, split, settings(6), seed=2, defense=COUNTING))
    third = straight[2]
    resumed = run(
        mlp,
        dataset,
        split,
        settings(6),
        seed=2,
        defense=COUNTING,
        start=third.after,
        first_round=4,
        memory=third.memory,
    )
    for one, other in zip(straight[3:], resumed, strict=True):
        assert all(torch.equal(one.after[name], other.after[name]) for name in one.after)
        assert one.memory.keys() == other.memory.keys()


def test_a_round_keeps_its_memory_when_later_ones_go_on(mlp, dataset, split):
    rounds = list(run(mlp, dataset, split, settings(3), seed=1, defense=COUNTING))
    heard = [int(what.memory["server"]["heard"]) for what in rounds]
    assert heard == sorted(heard)
    assert heard[0] == 3


def test_without_a_hook_that_keeps_anything_there_is_no_memory(mlp, dataset, split):
    halving = Defense(update=lambda change, turn: {n: v / 2 for n, v in change.items()})
    for what in run(mlp, dataset, split, settings(2), seed=1, defense=halving):
        assert what.memory == {}


def test_the_mean_is_told_apart_from_what_the_server_makes_of_it(mlp, dataset, split):
    doubling = Defense(server=lambda change, turn: {n: v * 2 for n, v in change.items()})
    (what,) = run(mlp, dataset, split, settings(1), seed=1, defense=doubling)
    for name, old in what.start.items():
        mean = sum(w * what.uploads[k][name].double() for k, w in what.weights.items())
        torch.testing.assert_close(what.aggregate[name], mean.float())
        torch.testing.assert_close(what.after[name], old + 2 * (what.aggregate[name] - old))


def test_draws_are_named_by_client_and_round():
    turns = Turns(7, 3, {0: 0.5, 4: 0.5}, {})
    assert turns.client(4).rng.initial_seed() == torch_child(7, "defense", 4, 3).initial_seed()
    mine = torch_child(7, "defense", "server", 3).initial_seed()
    assert turns.server().rng.initial_seed() == mine
    assert turns.server().weights == {0: 0.5, 4: 0.5}
