"""Defenses on updates in a federation: what they keep, say and declare, and who adds what noise."""

import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

from seepage.defenses import (
    dp_fedavg,
    perturbation,
    quantization,
    sampling,
    sparsification,
    top_k,
    weight_noise,
)
from seepage.defenses.dp_fedavg import CLIP, WITHIN, split_noise
from seepage.defenses.perturbation import clipped
from seepage.federation import run, settings_of
from seepage.protocols import Defense, NoisedUpdate, Turn
from seepage.records import Dataset, Split, UserError
from seepage.training import Plan

SIZES = (8, 12, 4)
LARGE, SMALL = "0.weight", "0.bias"


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def change_of(seed, scale=1.0):
    return {
        LARGE: scale * torch.randn(40, 50, generator=rng(seed)),
        SMALL: scale * torch.randn(30, generator=rng(seed + 1000)),
    }


def norm(change):
    return math.sqrt(sum(float(v.double().square().sum()) for v in change.values()))


def federation(defense, *, rounds=3, batch_size=4, algorithm="fedavg", **given):
    """Three clients of 8, 12 and 4 records; the first layer has 1,200 weights."""
    draw = rng()
    inputs, labels = torch.randn(26, 40, generator=draw), torch.randint(3, (26,), generator=draw)
    dataset = Dataset(
        name="made up",
        inputs=inputs,
        labels=labels,
        classes=3,
        n_train=None,
        mean=(0.0,),
        std=(1.0,),
        checksum="",
    )
    edges = np.cumsum((0, *SIZES))
    clients = tuple(np.arange(a, b) for a, b in pairwise(edges))
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = nn.Sequential(nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 3))
    settings = settings_of(rounds=rounds, batch_size=batch_size, algorithm=algorithm)
    split = Split(clients=clients, held_out=np.arange(24, 26))
    return list(run(model, dataset, split, settings, seed=3, defense=defense, **given))


def update_of(what, sent):
    return {name: sent[name] - what.start[name] for name in sent}


NOTHING = {
    "perturbation": partial(perturbation, clip=math.inf),
    "sparsification": partial(sparsification, drop=0.0),
    "sparsification with feedback": partial(sparsification, drop=0.0, feedback=True),
    "weight_noise": partial(weight_noise, sigma=0.0),
    "sampling": partial(sampling, share=1.0),
    "top_k": partial(top_k, keep=1.0),
    "dp_fedavg": partial(dp_fedavg, clip=math.inf, sigma=0.0),
    "dp_fedavg, fixed": partial(dp_fedavg, clip=math.inf, sigma=0.0, quantile="fixed"),
    "dp_fedavg that clips nothing": partial(dp_fedavg, clip=1e6, sigma=0.0),
}
STATEFUL = {
    "sparsification": sparsification(drop=0.9, feedback=True),
    "top_k": top_k(keep=0.1),
    "dp_fedavg": dp_fedavg(clip=0.05, sigma=0.3),
}


@pytest.fixture(scope="module")
def plain():
    return federation(None)


@pytest.mark.parametrize("name", NOTHING)
def test_zero_strength_is_no_defense_bit_for_bit_over_three_rounds(name, plain):
    defended = federation(NOTHING[name]())
    for ours, theirs in zip(defended, plain, strict=True):
        assert set(ours.memory) <= {"server"}  # no client keeps anything
        for parameter in ours.after:
            assert torch.equal(ours.after[parameter], theirs.after[parameter])
            for client in ours.uploads:
                sent = ours.uploads[client][parameter]
                assert torch.equal(sent, theirs.uploads[client][parameter])


@pytest.mark.parametrize("name", STATEFUL)
def test_a_resumed_federation_goes_on_bit_for_bit(name):
    whole = federation(STATEFUL[name], rounds=5)
    halfway = whole[1]
    rest = federation(
        STATEFUL[name], rounds=5, start=halfway.after, first_round=3, memory=halfway.memory
    )
    forgetful = federation(STATEFUL[name], rounds=5, start=halfway.after, first_round=3)
    assert [what.number for what in rest] == [3, 4, 5]
    for ours, theirs in zip(rest, whole[2:], strict=True):
        assert all(torch.equal(ours.after[n], theirs.after[n]) for n in ours.after)
        assert {who: set(kept) for who, kept in ours.memory.items()} == {
            who: set(kept) for who, kept in theirs.memory.items()
        }
        for who, kept in ours.memory.items():
            assert all(torch.equal(kept[key], theirs.memory[who][key]) for key in kept)
    assert not torch.equal(forgetful[-1].after[LARGE], whole[-1].after[LARGE])


def test_what_they_declare():
    assert perturbation(clip=2.0, sigma=0.5, delta=1e-6).noise == NoisedUpdate(
        clip=2.0, sigma=0.5, where="client", delta=1e-6
    )
    assert perturbation(clip=2.0).noise == NoisedUpdate(clip=2.0, sigma=0.0)
    central = NoisedUpdate(clip=2.0, sigma=0.5, where="server", delta=1e-6)
    options = {"clip": 2.0, "sigma": 0.5, "delta": 1e-6}
    assert dp_fedavg(quantile="fixed", **options).noise == central
    adaptive = dp_fedavg(**options).noise
    assert replace(adaptive, on_changes=None) == replace(central, adaptive=True, kept=CLIP)
    assert adaptive.on_changes(4) == pytest.approx(2 / math.sqrt(3) * 0.5)
    assert sparsification(drop=0.1).sparse
    assert top_k(keep=0.9).sparse
    for silent in (quantization(bits=4), weight_noise(sigma=0.1), sampling(share=0.5)):
        assert not silent.sparse
        assert silent.noise is None
    assert sampling(share=0.5) == Defense(share=0.5)


def feed(defense, rounds, seed=0):
    """A client's changes, what it sent of them, and its turn's memory at the end."""
    kept, changes, sent = {}, [], []
    for number in range(rounds):
        changes.append(change_of(seed + number))
        sent.append(defense.update(changes[-1], Turn(rng=rng(), kept=kept)))
    return changes, sent, kept


@pytest.mark.parametrize("drop", [0.5, 0.9, 1.0])
def test_error_feedback_telescopes(drop):
    changes, sent, kept = feed(sparsification(drop=drop, feedback=True), 6)
    assert set(kept) == {f"sparsification/{LARGE}"}
    total = sum(change[LARGE].double() for change in changes)
    accounted = sum(each[LARGE].double() for each in sent) + kept[f"sparsification/{LARGE}"]
    torch.testing.assert_close(accounted, total, rtol=0, atol=1e-5)
    for change, each in zip(changes, sent, strict=True):
        assert each[SMALL] is change[SMALL]
        assert int((each[LARGE] != 0).sum()) == round(2000 * (1 - drop))


def test_error_feedback_chooses_after_adding_and_is_lost_without():
    small, large = torch.full((2000,), 1.0), torch.zeros(2000)
    small[:1000], large[1000:] = 2.0, 1.5
    hook, kept = sparsification(drop=0.5, feedback=True).update, {}
    first = hook({LARGE: small}, Turn(rng=rng(), kept=kept))[LARGE]
    assert torch.equal(first, torch.where(small == 2.0, small, 0))
    again = hook({LARGE: large}, Turn(rng=rng(), kept=kept))[LARGE]
    assert torch.equal(again, torch.where(large == 1.5, 2.5, 0.0))
    forgetful, kept = sparsification(drop=0.5).update, {}
    forgetful({LARGE: small}, Turn(rng=rng(), kept=kept))
    assert not kept
    assert float(forgetful({LARGE: large}, Turn(rng=rng(), kept=kept))[LARGE].max()) == 1.5


def test_top_k_is_deep_gradient_compression_element_by_element():
    keep, m = 0.02, 0.9
    changes, sent, kept = feed(top_k(keep=keep, momentum=m), 5)
    u, v = [0.0] * 2000, [0.0] * 2000
    for change, each in zip(changes, sent, strict=True):
        for i, delta in enumerate(change[LARGE].flatten().tolist()):
            u[i] = m * u[i] + delta
            v[i] += u[i]
        expected = [0.0] * 2000
        for i in sorted(range(2000), key=lambda i: -abs(v[i]))[:40]:
            expected[i], u[i], v[i] = v[i], 0.0, 0.0
        torch.testing.assert_close(each[LARGE].flatten(), torch.tensor(expected))
        assert int((each[LARGE] != 0).sum()) == 40
        assert each[SMALL] is change[SMALL]
    assert set(kept) == {f"top_k/momentum/{LARGE}", f"top_k/pile/{LARGE}"}
    torch.testing.assert_close(kept[f"top_k/momentum/{LARGE}"].flatten(), torch.tensor(u))
    torch.testing.assert_close(kept[f"top_k/pile/{LARGE}"].flatten(), torch.tensor(v))


def test_top_k_without_momentum_is_sparsification_with_feedback():
    _, ours, _ = feed(top_k(keep=0.1, momentum=0.0), 4)
    _, theirs, _ = feed(sparsification(drop=0.9, feedback=True), 4)
    assert all(torch.equal(a[LARGE], b[LARGE]) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", ["sparsification", "top_k"])
def test_clients_remember_for_themselves(name):
    for what in federation(STATEFUL[name]):
        assert set(what.memory) == {"c000", "c001", "c002"}
        kept = [list(own.values())[-1] for own in what.memory.values()]
        assert not torch.equal(kept[0], kept[1])
        for sent in what.uploads.values():
            # where nothing was sent the upload is the start, to the bit
            assert int((sent[LARGE] != what.start[LARGE]).sum()) <= 120


def test_sampling_trains_on_the_first_batches_of_every_epoch():
    def seen(share):
        batches = []

        def watch(inputs, targets, draw):
            batches.append(inputs.clone())
            return inputs, targets

        watched = Defense(batch=watch, share=share)
        federation(watched, rounds=1, plan=Plan(kind="one_by_one"), batch_size=2)
        return batches

    # clients of 12, 8 and 4 records in this order: 6, 4 and 2 batches, of which 4, 2 and 1 stay
    whole, part = seen(1.0), seen(sampling(share=0.7).share)
    expected = [*whole[0:4], *whole[6:8], *whole[10:11]]
    assert len(whole) == 12
    assert len(part) == 7
    assert all(torch.equal(a, b) for a, b in zip(part, expected, strict=True))


def test_sampling_below_one_batch_is_refused_and_not_left_out():
    with pytest.raises(UserError, match=r"share of 0.7 of 1 mini-batches is less than one"):
        federation(sampling(share=0.7))
    with pytest.raises(UserError, match=r"1 for a step on the full gradient \(fedsgd\)"):
        federation(sampling(share=0.7), algorithm="fedsgd")


def turn_of(weights, *, kept=None, heard=None, seed=0):
    kept = {} if kept is None else kept
    return Turn(rng=rng(seed), weights=weights, kept=kept, told=kept, heard=heard or {})


@pytest.mark.parametrize("weights", [(0.25, 0.25, 0.25, 0.25), (0.7, 0.1, 0.1, 0.1), (1.0,)])
def test_the_servers_noise_is_for_the_heaviest_client(weights):
    hook = dp_fedavg(clip=2.0, sigma=0.5, quantile="fixed").server
    zero = {"w": torch.zeros(200, 200)}
    noise = hook(zero, turn_of(dict(enumerate(weights))))["w"]
    error = 4 / math.sqrt(2 * noise.numel())
    assert float(noise.std()) == pytest.approx(0.5 * 2.0 * max(weights), rel=error)
    assert abs(float(noise.mean())) < 4 * max(weights) / 200


def test_removing_a_client_moves_the_mean_by_no_more_than_the_noise_is_for():
    weights = {0: 0.5, 1: 0.3, 2: 0.2}
    hook = dp_fedavg(clip=0.7, sigma=1.0).update
    sent = {k: hook(change_of(k), turn_of(weights)) for k in weights}
    moves = [weights[k] * norm(sent[k]) for k in weights]
    assert moves == pytest.approx([0.35, 0.21, 0.14], rel=1e-5)


@pytest.mark.parametrize(("clients", "sigma"), [(3, 0.3), (10, 1.0), (100, 0.1), (1000, 30.0)])
def test_noise_on_changes_and_bits_makes_up_the_multiplier(clients, sigma):
    # two Gaussian mechanisms of multipliers a and b are one of (a⁻² + b⁻²)^(-1/2)
    for given in (None, 0.6 * sigma, 50 * sigma):
        changes, count = split_noise(sigma, clients, given)
        assert (changes**-2 + (2 * count) ** -2) ** -0.5 == pytest.approx(sigma)
        assert count == (given or max(clients / 20, sigma))
    if clients == 100:  # the setting of Andrew et al., section 3: σ_b = 5 costs next to nothing
        assert split_noise(sigma, clients, None)[0] == pytest.approx(sigma, rel=1e-4)
    assert split_noise(0.0, clients, None) == (0.0, 0.0)


def test_an_adaptive_norm_needs_more_noise_on_the_changes():
    weights = dict.fromkeys(range(4), 0.25)
    heard = {k: {WITHIN: torch.tensor(True)} for k in weights}
    server = dp_fedavg(clip=2.0, sigma=0.5).server
    noise = server({"w": torch.zeros(200, 200)}, turn_of(weights, heard=heard))["w"]
    expected = 2 / math.sqrt(3) * 0.5 * 2.0 / 4  # σ_b = σ, as 4 / 20 is less
    assert float(noise.std()) == pytest.approx(expected, rel=4 / math.sqrt(2 * noise.numel()))


def test_the_noise_on_the_count_moves_the_norm_as_it_should():
    weights = dict.fromkeys(range(4), 0.25)
    heard = {k: {WITHIN: torch.tensor(k < 3)} for k in weights}
    server = dp_fedavg(clip=2.0, sigma=0.5, quantile=0.6, step=0.3, count_noise=0.8).server
    moves = []
    for seed in range(2000):
        turn = turn_of(weights, heard=heard, seed=seed)
        server({"w": torch.zeros(1)}, turn)
        moves.append(-math.log(float(turn.kept[CLIP]) / 2.0) / 0.3 + 0.6)
    assert np.mean(moves) == pytest.approx(0.75, abs=4 * 0.2 / math.sqrt(2000))
    assert np.std(moves) == pytest.approx(0.2, rel=4 / math.sqrt(4000))  # σ_b / n


@pytest.mark.parametrize("quantile", [0.2, 0.5, 0.8])
def test_the_norm_goes_to_the_quantile(quantile):
    # 40 clients whose norms are the quantiles of a log-normal law; far off at first
    norms = np.exp(np.quantile(rng_normals(), (np.arange(40) + 0.5) / 40))
    weights, kept = dict.fromkeys(range(40), 1 / 40), {}
    defense = dp_fedavg(clip=100.0, sigma=0.0, quantile=quantile)
    for _ in range(150):
        heard = {}
        for k in weights:
            turn = Turn(rng=rng(), told=kept)
            direction = torch.zeros(5)
            direction[k % 5] = float(norms[k])
            sent = defense.update({"w": direction}, turn)
            assert norm(sent) <= float(kept.get(CLIP, 100.0)) * (1 + 1e-6)
            heard[k] = turn.said
        defense.server({"w": torch.zeros(5)}, turn_of(weights, kept=kept, heard=heard))
    below, above = np.quantile(norms, [quantile - 0.04, quantile + 0.04])
    assert below <= float(kept[CLIP]) <= above
    assert np.mean(norms <= float(kept[CLIP])) == pytest.approx(quantile, abs=1 / 40)


def rng_normals():
    return np.random.default_rng(0).normal(size=4000)


def test_a_federation_clips_to_what_the_server_told():
    clip, found = 0.05, federation(dp_fedavg(clip=0.05, sigma=0.0), rounds=6)
    for what in found:
        within = 0
        for client, sent in what.uploads.items():
            raw = update_of(what, what.raw_uploads[client])
            within += norm(raw) <= clip
            assert norm(update_of(what, sent)) == pytest.approx(min(clip, norm(raw)), rel=1e-4)
        clip *= math.exp(-0.2 * (within / 3 - 0.5))
        assert float(what.memory["server"][CLIP]) == pytest.approx(clip)
        assert set(what.memory) == {"server"}
        for name in what.after:  # no noise: the mean as it is
            assert torch.equal(what.after[name], what.aggregate[name])


def test_a_federation_adds_the_noise_that_is_declared():
    defense = dp_fedavg(clip=0.05, sigma=2.0, quantile="fixed")
    residuals = [
        (what.after[name] - what.aggregate[name]).flatten()
        for what in federation(defense)
        for name in what.after
    ]
    noise = torch.cat(residuals)
    expected = 2.0 * 0.05 * max(SIZES) / sum(SIZES)
    assert float(noise.std()) == pytest.approx(expected, rel=4 / math.sqrt(2 * len(noise)))


def test_clipped_tells_whether_a_change_was_within():
    change = change_of(0)
    same, within = clipped(change, norm(change) * (1 + 1e-9))
    assert within
    assert same is change
    scaled, within = clipped(change, norm(change) / 3)
    assert not within
    torch.testing.assert_close(scaled[LARGE], change[LARGE] / 3)


@pytest.mark.parametrize(
    ("factory", "wrong"),
    [
        (sampling, {"share": 0.0}),
        (sampling, {"share": 1.1}),
        (sampling, {"share": math.nan}),
        (top_k, {"keep": 0.0}),
        (top_k, {"keep": 1.5}),
        (top_k, {"momentum": 1.0}),
        (top_k, {"momentum": -0.1}),
        (dp_fedavg, {"clip": 0.0}),
        (dp_fedavg, {"clip": math.inf}),
        (dp_fedavg, {"sigma": math.inf}),
        (dp_fedavg, {"delta": 1.0}),
        (dp_fedavg, {"quantile": 1.0}),
        (dp_fedavg, {"step": 0.0}),
        (dp_fedavg, {"count_noise": 0.5}),
        (dp_fedavg, {"count_noise": math.inf}),
        (dp_fedavg, {"count_noise": -1.0, "sigma": 0.0}),
        (dp_fedavg, {"count_noise": 1.0, "quantile": "fixed"}),
    ],
)
def test_strengths_out_of_range_are_refused(factory, wrong):
    with pytest.raises(UserError, match=r"needs|must|leave out"):
        factory(**wrong)
