"""Several defenses as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from seepage.protocols import Defense
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import BatchHook, ResponseHook, UpdateHook
    from seepage.records import State


def compose(*defenses: Defense) -> Defense:
    """One defense that does what all of ``defenses`` do.

    Guarantees:
        * ordered: on a client's side and in answers they act in the order given;
        * mirrored: on the server they act in reverse, so the last to change what a client sends
          is the first to see the aggregate;
        * neutral: ``compose()`` is no defense, and ``compose(d)`` does what ``d`` does.

    Raises:
        UserError: Two of them replace the loss.
    """
    losses = [defense.loss for defense in defenses if defense.loss is not None]
    if len(losses) > 1:
        raise UserError(f"at most one defense can replace the loss, got {len(losses)}")
    return Defense(
        batch=_chain(_batch, [d.batch for d in defenses]),
        loss=losses[0] if losses else None,
        update=_chain(_update, [d.update for d in defenses]),
        server=_chain(_update, [d.server for d in reversed(defenses)]),
        respond=_chain(_respond, [d.respond for d in defenses]),
    )


def _chain(together: Callable[..., Any], hooks: Sequence[Any]) -> Any:
    # partial rather than a closure: hooks are sent to worker processes
    hooks = [hook for hook in hooks if hook is not None]
    if len(hooks) < 2:
        return hooks[0] if hooks else None
    return partial(together, hooks)


def _batch(
    hooks: Sequence[BatchHook], inputs: torch.Tensor, targets: torch.Tensor, rng: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    for hook in hooks:
        inputs, targets = hook(inputs, targets, rng)
    return inputs, targets


def _update(hooks: Sequence[UpdateHook], change: State, rng: torch.Generator) -> State:
    for hook in hooks:
        change = hook(change, rng)
    return change


def _respond(hooks: Sequence[ResponseHook], logits: torch.Tensor) -> torch.Tensor:
    for hook in hooks:
        logits = hook(logits)
    return logits
