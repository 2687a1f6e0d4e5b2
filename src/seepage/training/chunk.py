"""Training of a chunk of c ≥ 1 models at once: the one algorithm that every plan runs.

With one model it is the plain module; with more, their parameters are stacked on a leading axis
and the module's forward pass is mapped over it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from seepage.records import UserError
from seepage.states import tensors_of
from seepage.training.batches import Step, gather, steps
from seepage.training.best import Best
from seepage.training.inside import Reader
from seepage.training.layout import by_column, linear_weights, own_copy
from seepage.training.local import Job, Samples
from seepage.training.optimizers import add_all, make_optimizer
from seepage.training.pace import Pace
from seepage.training.private import PrivateGradients

if TYPE_CHECKING:
    from seepage.records import State


class _Plain:
    """One model: the module itself."""

    def __init__(self, module: nn.Module, start: State) -> None:
        self.module = module
        self.named = tensors_of(module)
        with torch.no_grad():
            for name, tensor in self.named.items():
                tensor.copy_(start[name])
        self.leaves = [p for p in module.parameters() if p.requires_grad]

    def narrow(self, active: int) -> None:
        """A single model is active to the end."""

    def forward(self, inputs: Tensor) -> Tensor:
        try:
            return self.module(inputs[0])
        except ValueError as error:
            if inputs.shape[1] != 1:
                raise
            raise UserError(
                f"a mini-batch of 1 sample has no statistics of its own: {error}. Choose a "
                "batch_size that does not leave 1 sample for the last batch, or GroupNorm."
            ) from error

    def state(self, model: int) -> State:
        """The state of a model of the chunk; it moves on with training."""
        return self.named

    def states(self) -> list[State]:
        plain = torch.contiguous_format
        return [{n: p.detach().clone(memory_format=plain) for n, p in self.named.items()}]


class _Stacked:
    """Models stacked on a leading axis of their parameters; views of a prefix are trained."""

    def __init__(self, model: nn.Module, starts: Sequence[State]) -> None:
        self.module, self.count = model, len(starts)
        self.trained = {n: p.requires_grad for n, p in model.named_parameters()}
        self.full = {n: torch.stack([start[n] for start in starts]) for n in self.trained}
        for name in linear_weights(model):  # as the gradients of a stack come: they need no copy
            self.full[name] = by_column(self.full[name])
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

    def state(self, model: int) -> State:
        """The state of a model of the chunk; it moves on with training."""
        return {n: leaf[model] for n, leaf in self.full.items()}

    def states(self) -> list[State]:
        full = {n: leaf.contiguous() for n, leaf in self.full.items()}
        return [{n: leaf[i] for n, leaf in full.items()} for i in range(self.count)]


def train_chunk(
    module: nn.Module,
    starts: Sequence[State],
    shards: Mapping[int, Tensor],
    samples: Samples,
    job: Job,
    validation: Samples | None = None,
) -> dict[int, State]:
    """The trained parameters of each model of a chunk, and its running statistics if it has any.

    Args:
        module: The architecture, in training mode. A single model is trained in it: then it must
            be an :func:`own_copy`.
        starts: What each model starts from, in the order of ``shards``.
        shards: Each model's rows of ``samples``; sorted by number of steps, most first.
        samples: All samples.
        job: Settings, seed and hooks.
        validation: Samples that choose the best epoch, if ``job`` keeps it.

    Raises:
        UserError: A model's parameters are no longer finite.
    """
    if len(starts) > 1 and job.alone:
        own = own_copy(module, channels_last=False)
        each = zip(starts, shards.items(), strict=True)
        return {
            k: train_chunk(own, [s], {k: rows}, samples, job, validation)[k]
            for s, (k, rows) in each
        }
    if len(starts) == 1:
        program = _Plain(module, starts[0])
        member, device = next(iter(shards)), samples.inputs.device
        with (
            _seeded(device, job.forward_seed(member)),
            Reader(program.module, job) as reader,
        ):
            best = _descend(program, shards, samples, job, validation, reader)
    else:
        program = _Stacked(module, starts)
        best = _descend(program, shards, samples, job, validation, None)
    _check_finite(program, list(shards), job)
    return dict(zip(shards, best or program.states(), strict=True))


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
    program: _Plain | _Stacked,
    shards: Mapping[int, Tensor],
    samples: Samples,
    job: Job,
    validation: Samples | None,
    reader: Reader | None,
) -> list[State]:
    """Train all models of the chunk; the states of their best epochs, if they are to be kept."""
    optimizer, pace = make_optimizer(job.settings), Pace(job, [len(s) for s in shards.values()])
    best = _best(program, job, validation)
    rngs = [job.hook_rng(member) for member in shards] if job.batch else []
    private = _private(program, shards, samples, job)
    active, total = len(shards), []
    for number, step in enumerate(steps(list(shards), list(shards.values()), job)):
        if len(step.sizes) < active:
            active = len(step.sizes)
            program.narrow(active)
            optimizer.narrow(active)
        gradients = _gradients(program, step, samples, job, rngs, private, reader)
        if not job.settings.full_gradient:
            gradients = private.noised(gradients) if private else gradients
            optimizer.step(program.leaves, gradients, pace.runs(number, active))
        elif total:
            whole = active == len(shards)
            add_all(total if whole else [part[:active] for part in total], gradients)
        else:
            total = list(gradients)
        if best is not None:
            for model in pace.ended(number, active):
                best.look(model, program.state(model))
    if total:
        program.narrow(len(shards))
        gradients = private.noised(total) if private else total
        optimizer.step(program.leaves, gradients, pace.runs(0, len(shards)))
    return [best.states[model] for model in range(len(shards))] if best else []


def _best(program: _Plain | _Stacked, job: Job, validation: Samples | None) -> Best | None:
    if job.settings.keep == "last" or job.settings.full_gradient:  # a single step is the best
        return None
    assert validation is not None, "train() asks for them"
    return Best(program.module, validation)


def _private(
    program: _Plain | _Stacked, shards: Mapping[int, Tensor], samples: Samples, job: Job
) -> PrivateGradients | None:
    if job.gradient is None:
        return None
    assert isinstance(program, _Plain), "private models are trained one by one"
    ((member, shard),) = shards.items()
    return PrivateGradients(program.module, member, shard, samples, job)


def _gradients(
    program: _Plain | _Stacked,
    step: Step,
    samples: Samples,
    job: Job,
    rngs: Sequence[torch.Generator],
    private: PrivateGradients | None,
    reader: Reader | None,
) -> tuple[Tensor, ...]:
    """The gradient of every model's weighted loss, in the shapes of ``program.leaves``.

    The rows' weights enter as the cotangent of the losses: no scalar loss is formed, and models
    do not mix because a row depends on its own model alone.
    """

    def losses_of() -> Tensor:
        inputs, targets = gather(step, samples, job, rngs)
        outputs, targets = program.forward(inputs), targets.flatten(0, 1)
        if job.inside is not None:
            assert reader is not None, "models that are looked into are trained one by one"
            return reader.losses(inputs.flatten(0, 1), outputs, targets)
        if job.loss is None:
            return nn.functional.cross_entropy(outputs, targets, reduction="none")
        return job.loss(outputs, targets)

    if private is not None:
        return private.clipped(losses_of, program.leaves, rows=step.rows.numel())
    losses = losses_of()
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
