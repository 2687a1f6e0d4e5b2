r"""Private gradients: every sample's is clipped, Gaussian noise is added to their sum.

.. math:: \tilde g = \frac1B \Bigl( \sum_{j} g_j \min(1, C / \lVert g_j \rVert_2)
    + \mathcal N(0, \sigma^2 C^2 I) \Bigr)

with *B* the expected size of a batch, not the size it happens to have. DP-SGD (Abadi et al., Deep
learning with differential privacy, 2016). No sample's gradient is formed: norms come from
:mod:`seepage.gradients`, and the clipping factors are the rows' weights in the backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seepage._rng import torch_child
from seepage.gradients import Listener
from seepage.records import UserError
from seepage.training.accountant import sigma_of
from seepage.training.local import Job, Samples

if TYPE_CHECKING:
    from seepage.protocols import LossHook


class PrivateGradients:
    """The gradients of one model's private training.

    Guarantees:
        * one sample changes the sum before the noise by at most C, up to rounding;
        * the noise depends on (seed, role, member, round) alone, not on device or plan.

    Args:
        module: The architecture, in training mode, in which the model is trained.
        member: The model's number.
        shard: Its rows of ``samples``.
        samples: All samples.
        job: Settings, seed and hooks, among them ``gradient``.

    Raises:
        UserError: A layer, the loss or a batch hook lets a sample act on another one's gradient,
            or per-sample gradients of the model cannot be taken.
    """

    def __init__(
        self, module: nn.Module, member: int, shard: Tensor, samples: Samples, job: Job
    ) -> None:
        assert job.gradient is not None
        _refuse_mixing(module, samples, job)
        self._clip = job.gradient.norm
        everyone = len(shard)
        whole = job.settings.full_gradient
        self._expected = everyone if whole else min(job.settings.batch_size, everyone)
        self._sigma = sigma_of(job.gradient, job.settings, everyone)
        path = (job.role, member, "round", job.round_number, "noise")
        self._rng = torch_child(job.seed, *path)
        module.eval()  # layers that draw would not show the same gradient twice
        try:
            self._listener = Listener(module, samples.inputs[shard[:2]])
        finally:
            module.train()

    def clipped(
        self, losses_of: Callable[[], Tensor], leaves: Sequence[Tensor], *, rows: int
    ) -> tuple[Tensor, ...]:
        """The sum of a batch's clipped gradients over the expected size of a batch.

        Args:
            losses_of: Takes the forward pass and gives the loss of every sample.
            leaves: The parameters that are trained.
            rows: Samples in the batch; of none the sum is 0, and noise is all there will be.
        """
        if not rows:
            return tuple(torch.zeros_like(leaf) for leaf in leaves)
        losses, squares = self._listener(losses_of)
        factors = (self._clip / squares.sqrt()).clamp(max=1.0) / self._expected
        return torch.autograd.grad(
            losses, leaves, factors.to(losses), allow_unused=True, materialize_grads=True
        )

    @torch.no_grad()
    def noised(self, gradients: Sequence[Tensor]) -> Sequence[Tensor]:
        """``gradients`` with the noise of one step, of deviation σC over the expected size.

        Drawn on the CPU, so that it does not depend on the device.
        """
        deviation = self._sigma * self._clip / self._expected
        if not deviation:
            return gradients
        return [
            gradient + deviation * torch.randn(gradient.shape, generator=self._rng).to(gradient)
            for gradient in gradients
        ]


def _refuse_mixing(module: nn.Module, samples: Samples, job: Job) -> None:
    """Clipping bounds a sample's part only if it acts through its own gradient alone."""
    for name, layer in module.named_modules():
        norm = isinstance(layer, nn.modules.batchnorm._NormBase)
        if norm and (
            not isinstance(layer, nn.modules.instancenorm._InstanceNorm)
            or layer.track_running_stats
        ):
            raise UserError(
                f"private gradients need samples that do not act on each other, but layer "
                f"{name!r} ({type(layer).__name__}) takes statistics of the batch. Use GroupNorm."
            )
    if job.batch is not None:
        raise UserError(
            "private gradients cannot be had with a defense that changes batches: it may mix their "
            "samples, and then clipping bounds nothing. Leave out mixup and its kin."
        )
    if job.loss is not None:
        _refuse_mixing_loss(job.loss, samples)


def _refuse_mixing_loss(loss: LossHook, samples: Samples) -> None:
    """Two made-up answers, together and each alone."""
    classes = torch.arange(2.0 * samples.classes, device=samples.inputs.device)
    logits = (3 * classes.sin()).view(2, -1)
    targets = torch.eye(samples.classes, device=logits.device)[[0, -1]]
    together = loss(logits, targets)
    alone = torch.cat([loss(logits[i : i + 1], targets[i : i + 1]) for i in range(2)])
    if together.shape != alone.shape or not torch.allclose(together, alone, rtol=1e-4):
        raise UserError(
            "private gradients need a loss of each sample that depends on that sample alone, but "
            f"of two samples together it gave {together.tolist()} and of each alone "
            f"{alone.tolist()}"
        )
