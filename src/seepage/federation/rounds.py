"""The rounds of a federation. Knows no file and no attack."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING

from torch import nn

from seepage.federation.server import aggregate, participants, weights
from seepage.federation.settings import Federation
from seepage.federation.turns import Turns
from seepage.protocols import Defense
from seepage.records import Dataset, Round, Split, UserError
from seepage.training import (
    Executor,
    Plan,
    Spread,
    choose_plan,
    over_rounds,
    refuse_running_statistics,
    train,
)

if TYPE_CHECKING:
    from seepage.protocols import Turn, UpdateHook
    from seepage.records import State


def run(
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    settings: Federation,
    *,
    seed: int,
    defense: Defense | None = None,
    plan: Plan | None = None,
    executor: Executor | None = None,
    start: State | None = None,
    first_round: int = 1,
    memory: Mapping[str, State] | None = None,
) -> Iterator[Round]:
    """Train a federation, giving out each round when it is done.

    Guarantees:
        * every draw is named by (seed, client, round): a run that is resumed with the ``after``
          and ``memory`` of round r - 1 and ``first_round=r`` gives the same numbers, bit for bit;
        * one client without a defense is that client's own training, round after round;
        * the order in which clients are trained or arrive changes nothing, bit for bit.

    Args:
        model: The architecture, on the data set's device; left as it was.
        dataset: All samples.
        split: Who trains on what.
        settings: How they train together.
        seed: The run's seed.
        defense: Its hooks on batch, loss, gradient, update and server act here.
        plan: How the clients of a round are trained; chosen by
            :func:`~seepage.training.choose_plan` if None.
        executor: Where a plan of kind ``processes`` submits its work; processes of its own,
            kept for the run, if None.
        start: Global parameters before ``first_round``; the model's own if None.
        first_round: Number of the first round to train.
        memory: What clients and server kept from the rounds before, as their last round says.

    Raises:
        UserError: A client has no data, the start is missing, the model keeps running statistics,
            or (while it runs) training diverged.
    """
    refuse_running_statistics(model)
    empty = [client for client, ids in enumerate(split.clients) if not len(ids)]
    if empty or not split.clients:
        who = f"client {empty[0]} has none" if empty else "there is no client"
        raise UserError(f"every client needs data: {who}. Use fewer clients or larger shares.")
    if first_round > 1 and start is None:
        raise UserError(f"going on from round {first_round} needs the parameters to start from")
    state = start or {n: p.detach().clone() for n, p in model.named_parameters()}
    if plan is None:
        device = dataset.inputs.device
        plan = choose_plan(model, device=device, clients=len(split.clients))
    return _rounds(
        model,
        dataset,
        split,
        settings,
        seed,
        over_rounds(defense or Defense(), settings.rounds),
        plan,
        executor,
        state,
        first_round,
        {} if memory is None else memory,
    )


def _rounds(
    model: nn.Module,
    dataset: Dataset,
    split: Split,
    settings: Federation,
    seed: int,
    defense: Defense,
    plan: Plan,
    executor: Executor | None,
    state: State,
    first_round: int,
    memory: Mapping[str, State],
) -> Iterator[Round]:
    spreading = plan.kind == "processes"
    workers = Spread(dataset, workers=plan.workers, executor=executor) if spreading else None
    with workers or nullcontext():
        for number in range(first_round, settings.rounds + 1):
            clients = participants(
                len(split.clients), settings.participation, seed=seed, round_number=number
            )
            raw = train(
                model,
                state,
                {client: split.clients[client] for client in clients},
                dataset,
                settings.local,
                learning_rate=settings.rate(number),
                seed=seed,
                round_number=number,
                plan=plan,
                defense=defense,
                spread=workers,
            )
            share = weights({client: len(split.clients[client]) for client in clients})
            turns = Turns(seed, number, share, memory)
            uploads = _sent(state, raw, defense, turns)
            mean = aggregate(uploads, share)
            after = _moved(state, mean, defense, turns)
            memory = turns.memory()
            yield Round(
                number=number,
                start=state,
                uploads=uploads,
                weights=share,
                after=after,
                learning_rate=settings.rate(number),
                raw_uploads=raw,
                aggregate=mean,
                memory=memory,
            )
            state = after


def _sent(
    start: State, raw: Mapping[int, State], defense: Defense, turns: Turns
) -> Mapping[int, State]:
    """What the clients send, through the hook ``update``."""
    if defense.update is None:
        return raw
    return {k: change(start, sent, defense.update, turns.client(k)) for k, sent in raw.items()}


def _moved(start: State, mean: State, defense: Defense, turns: Turns) -> State:
    """What becomes of the mean, through the hook ``server``."""
    if defense.server is None:
        return mean
    return change(start, mean, defense.server, turns.server())


def change(old: State, new: State, hook: UpdateHook, turn: Turn) -> State:
    """``new`` with its change against ``old`` passed through a hook.

    A tensor that the hook hands back as it was is ``new``'s own, bit for bit: going through
    ``old + (new - old)`` would round it.
    """
    before = {name: new[name] - old[name] for name in new}
    changed = hook(before, turn)
    if set(changed) != set(before):
        missing = sorted(set(before) ^ set(changed))[0]
        raise UserError(
            f"a defense's update hook must return every parameter it was given and no other; "
            f"{missing!r} is not in both"
        )
    return {
        name: new[name] if changed[name] is before[name] else old[name] + changed[name]
        for name in new
    }
