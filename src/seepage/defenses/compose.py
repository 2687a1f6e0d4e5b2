"""Several defenses as one."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from seepage.protocols import Defense
from seepage.records import UserError

if TYPE_CHECKING:
    from seepage.protocols import (
        BatchHook,
        ModelHook,
        NoisedUpdate,
        Query,
        ResponseHook,
        Turn,
        UpdateHook,
    )
    from seepage.records import State

IN_TRAINING = ("batch", "loss", "inside", "gradient", "update", "server")
"""Hooks that a training procedure of another defense's own would not call."""


def compose(*defenses: Defense) -> Defense:
    """One defense that does what all of ``defenses`` do.

    Guarantees:
        * ordered: on a client's side and in answers they act in the order given;
        * mirrored: on the server they act in reverse, so the last to change what a client sends
          is the first to see the aggregate;
        * honest: a promise of noise is dropped where a later defense acts between a client's
          clipping and the server's noise, for then nothing bounds what the noise is to hide;
        * neutral: ``compose()`` is no defense, and ``compose(d)`` does what ``d`` does.

    Raises:
        UserError: Two of them replace the loss, the gradient or the training as a whole; one
            replaces the training as a whole, in which another would have to act; or one takes a
            loss with a look inside the model and another private gradients.
    """
    for defense in defenses:
        if defense.fit is not None:
            _check_alone(defense, defenses)
    if any(d.gradient for d in defenses) and any(d.share < 1 for d in defenses):
        raise UserError(
            "private gradients are taken over batches that are drawn for them, so they cannot be "
            "combined with a share of the mini-batches"
        )
    looking = [d for d in defenses if d.inside is not None]
    if looking and any(d.gradient for d in defenses):
        raise UserError(
            "private gradients are those of a loss of each sample alone, so they cannot be "
            "combined with a defense whose loss looks inside the model"
        )
    _only([hook for d in defenses for hook in (d.loss, d.inside)], "replace the loss")
    return Defense(
        batch=_chain(_batch, [d.batch for d in defenses]),
        loss=_only([d.loss for d in defenses], "replace the loss"),
        gradient=_only([d.gradient for d in defenses], "replace the gradient"),
        update=_chain(_update, [d.update for d in defenses]),
        server=_chain(_update, [d.server for d in reversed(defenses)]),
        respond=_chain(_respond, [d.respond for d in defenses]),
        fit=_only([d.fit for d in defenses], "have a training procedure of its own"),
        ready=_only([d.ready for d in defenses], "have a training procedure of its own"),
        share=math.prod(d.share for d in defenses),
        noise=_noise(defenses),
        sparse=_sparse(defenses),
        model=_chain(_model, [d.model for d in defenses]),
        inside=looking[0].inside if looking else None,
        reads=looking[0].reads if looking else None,
    )


def _check_alone(fitting: Defense, defenses: Sequence[Defense]) -> None:
    for other in defenses:
        acts = [name for name in IN_TRAINING if getattr(other, name) is not None]
        acts += ["share"] if other.share < 1 else []
        if other is not fitting and acts:
            raise UserError(
                "a defense with a training procedure of its own cannot be combined with one that "
                f"acts in training, on {acts[0]}: it would be left out there. Combine it with "
                "defenses that act on answers alone."
            )


def _noise(defenses: Sequence[Defense]) -> NoisedUpdate | None:
    """What still holds of the promise. Before clipping and after noise anything may be done."""
    noise: NoisedUpdate | None = _only([d.noise for d in defenses], "clip and noise what is sent")
    sends = [d.noise is None and (d.update or d.server) is not None for d in defenses]
    if noise is None or not any(sends):
        return noise
    later = sends[next(i for i, d in enumerate(defenses) if d.noise is not None) :]
    return None if noise.where == "server" and any(later) else replace(noise, alone=False)


def _sparse(defenses: Sequence[Defense]) -> bool:
    """Whether what is sent is sparse in the end: a later hook on updates may fill it up again."""
    acting = [defense for defense in defenses if defense.update is not None]
    return bool(acting) and acting[-1].sparse


def _only(hooks: Sequence[Any], what: str) -> Any:
    hooks = [hook for hook in hooks if hook is not None]
    if len(hooks) > 1:
        raise UserError(f"at most one defense can {what}, got {len(hooks)}")
    return hooks[0] if hooks else None


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


def _model(hooks: Sequence[ModelHook], model: torch.nn.Module) -> torch.nn.Module:
    for hook in hooks:
        model = hook(model)
    return model


def _update(hooks: Sequence[UpdateHook], change: State, turn: Turn) -> State:
    for hook in hooks:
        change = hook(change, turn)
    return change


def _respond(hooks: Sequence[ResponseHook], logits: torch.Tensor, query: Query) -> torch.Tensor:
    for hook in hooks:
        logits = hook(logits, query)
    return logits
