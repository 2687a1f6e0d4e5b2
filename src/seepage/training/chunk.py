"""Training of a chunk of c ≥ 1 models at once: the one algorithm that every plan runs.

With one model it is the plain module; with more, their parameters are stacked on a leading axis
and the module's forward pass is mapped over it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from seepage.records import UserError
from seepage.training.batches import Step, gather, steps
from seepage.training.local import Job, Samples
from seepage.training.optimizers import add_all, make_optimizer

if TYPE_CHECKING:
    from seepage.records import State


class _Plain:
    """One model: the module itself."""

    def __init__(self, module: nn.Module, start: State) -> None:
        self.module = module
        self.named = dict(module.named_parameters())
        with torch.no_grad():
            for name, parameter in self.named.items():
                parameter.copy_(start[name])
        self.leaves = [p for p in self.named.values() if p.requires_grad]

    def narrow(self, active: int) -> None:
        """A single model is active to the end."""

    def forward(self, inputs: Tensor) -> Tensor:
        return self.module(inputs[0])

    def states(self) -> list[State]:
        plain = torch.contiguous_format
        return [{n: p.detach().clone(memory_format=plain) for n, p in self.named.items()}]


class _Stacked:
    """Models stacked on a leading axis of their parameters; views of a prefix are trained."""

    def __init__(self, model: nn.Module, starts: Sequence[State]) -> None:
        self.trained = {n: p.requires_grad for n, p in model.named_parameters()}
        self.full = {n: torch.stack([start[n] for start in starts]) for n in self.trained}

        tied = len(dict(model.named_parameters(remove_duplicate=False))) > len(self.trained)

        def call(parameters: dict[str, Tensor], inputs: Tensor) -> Tensor:
            # looking for tied weights in every step costs as much as a small layer
            return functional_call(model, parameters, (inputs,), tie_weights=tied)

        self.call = vmap(call)
        self.narrow(len(starts))

    def narrow(self, active: int) -> None:
        self.named = {n: leaf[:active].detach() for n, leaf in self.full.items()}
        self.leaves = [p.requires_grad_() for n, p in self.named.items() if self.trained[n]]

    def forward(self, inputs: Tensor) -> Tensor:
        try:
            return self.call(self.named, inputs).flatten(0, 1)
        except RuntimeError as error:
            raise UserError(
                f"this model cannot be trained stacked: {str(error).splitlines()[0]} "
                "Ask for the plan 'one_by_one' (compute.plan)."
            ) from error

    def states(self) -> list[State]:
        count = len(next(iter(self.full.values())))
        return [{n: leaf[i] for n, leaf in self.full.items()} for i in range(count)]


def own_copy(model: nn.Module, *, channels_last: bool) -> nn.Module:
    """A module to train in place: in training mode, in the layout that ``channels_last`` asks."""
    module = copy.deepcopy(model).train()
    if channels_last:
        module.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    return module


def train_chunk(
    module: nn.Module,
    starts: Sequence[State],
    shards: Mapping[int, Tensor],
    samples: Samples,
    job: Job,
) -> dict[int, State]:
    """The trained parameters of each model of a chunk.

    Args:
        module: The architecture, in training mode. A single model is trained in it: then it must
            be an :func:`own_copy`.
        starts: What each model starts from, in the order of ``shards``.
        shards: Each model's rows of ``samples``; sorted by number of steps, most first.
        samples: All samples.
        job: Settings, seed and hooks.

    Raises:
        UserError: A model's parameters are no longer finite.
    """
    if len(starts) == 1:
        program = _Plain(module, starts[0])
        member, device = next(iter(shards)), samples.inputs.device
        with _seeded(device, job.forward_seed(member)):
            _descend(program, shards, samples, job)
    else:
        program = _Stacked(module, starts)
        _descend(program, shards, samples, job)
    trained = dict(zip(shards, program.states(), strict=True))
    _check_finite(program, list(shards), job)
    return trained


@contextmanager
def _seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Layers that draw use torch's own generators: seeded here, given back as they were.

    Not through ``torch.manual_seed``, which takes longer than training a small model does.
    """
    state = torch.default_generator.get_state()
    with torch.random.fork_rng([device]) if device.type == "cuda" else nullcontext():
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        try:
            yield
        finally:
            torch.default_generator.set_state(state)


def _descend(
    program: _Plain | _Stacked, shards: Mapping[int, Tensor], samples: Samples, job: Job
) -> None:
    optimizer = make_optimizer(job.settings, job.learning_rate)
    rngs = [job.hook_rng(member) for member in shards] if job.batch else []
    active, total = len(shards), []
    for step in steps(list(shards), list(shards.values()), job):
        if len(step.sizes) < active:
            active = len(step.sizes)
            program.narrow(active)
            optimizer.narrow(active)
        gradients = _gradients(program, step, samples, job, rngs)
        if not job.settings.full_gradient:
            optimizer.step(program.leaves, gradients)
        elif total:
            whole = active == len(shards)
            add_all(total if whole else [part[:active] for part in total], gradients)
        else:
            total = list(gradients)
    if total:
        program.narrow(len(shards))
        optimizer.step(program.leaves, total)


def _gradients(
    program: _Plain | _Stacked,
    step: Step,
    samples: Samples,
    job: Job,
    rngs: Sequence[torch.Generator],
) -> tuple[Tensor, ...]:
    """The gradient of every model's weighted loss, in the shapes of ``program.leaves``.

    The rows' weights enter as the cotangent of the losses: no scalar loss is formed, and models
    do not mix because a row depends on its own model alone.
    """
    inputs, targets = gather(step, samples, job, rngs)
    outputs, targets = program.forward(inputs), targets.flatten(0, 1)
    if job.loss is None:
        losses = nn.functional.cross_entropy(outputs, targets, reduction="none")
    else:
        losses = job.loss(outputs, targets)
    return torch.autograd.grad(
        losses, program.leaves, step.weights.flatten(), allow_unused=True, materialize_grads=True
    )


def _check_finite(program: _Plain | _Stacked, members: Sequence[int], job: Job) -> None:
    program.narrow(len(members))
    sums = [leaf.detach().reshape(len(members), -1).sum(1) for leaf in program.leaves]
    finite = torch.isfinite(torch.stack(sums).sum(0)).tolist()
    if not all(finite):
        raise UserError(
            f"training diverged: {job.role} {members[finite.index(False)]} in round "
            f"{job.round_number} ended with parameters that are not finite (NaN or infinite). "
            f"Use a lower learning rate (it was {job.learning_rate:g})."
        )
