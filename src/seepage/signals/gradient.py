"""What one sample's gradient has to do with what a client sent.

The products come from :mod:`seepage.gradients`; here is what attacks make of them. Source of the
measures: Zhu et al., FedMIA (CVPR 2025), section 4; their released code forms every gradient once
for each client.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from seepage.gradients import GradientProducts, gradient_products
from seepage.states import tensors_of

if TYPE_CHECKING:
    from seepage.records import State

__all__ = [
    "GradientProducts",
    "Updates",
    "cosine",
    "gradient_difference",
    "gradient_products",
    "loaded",
    "projection",
    "ratio",
]


def cosine(products: GradientProducts) -> Tensor:
    """``⟨g_j, u_k⟩ / (‖g_j‖‖u_k‖)``, shape ``(n, K)``, in [-1, 1] up to rounding.

    0 where either is 0. The released code adds nothing but torch's floor of 1e-8 to the
    denominator; ours is the smallest positive float64, so that small updates keep their angle.
    """
    norms = products.squared_norm.sqrt()[:, None] * products.update_squared_norm.sqrt()
    return ratio(products.inner, norms)


def projection(products: GradientProducts) -> Tensor:
    """``⟨g_j, u_k⟩ / ‖g_j‖``, shape ``(n, K)``; 0 where the gradient is.

    Unlike the cosine it is linear in the update: that of a sum is the sum of those of its parts.
    """
    return ratio(products.inner, products.squared_norm.sqrt()[:, None])


def ratio(inner: Tensor, norms: Tensor) -> Tensor:
    """``inner / norms``, and 0 where the norms are 0: so is the inner product there."""
    return inner / norms.clamp_min(torch.finfo(torch.float64).tiny)


def gradient_difference(products: GradientProducts) -> Tensor:
    """``‖u_k‖² - ‖u_k - g_j‖² = 2⟨u_k, g_j⟩ - ‖g_j‖²``, shape ``(n, K)``."""
    return 2 * products.inner - products.squared_norm[:, None]


class Updates(Mapping[str, Tensor]):
    """``start - upload`` of every client, stacked, computed when a parameter is asked for.

    Of the model's parameters alone: what its layers noted of batches has no gradient.
    """

    def __init__(self, model: nn.Module, start: State, uploads: Sequence[State]) -> None:
        self.names = [name for name, _ in model.named_parameters()]
        self.start, self.uploads = start, uploads

    def __getitem__(self, name: str) -> Tensor:
        return torch.stack([self.start[name] - upload[name] for upload in self.uploads])

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)


@contextmanager
def loaded(model: nn.Module, state: State) -> Iterator[None]:
    """Inside, the model has these parameters and running statistics; after, its own."""
    tensors = tensors_of(model)
    own = {name: tensor.data for name, tensor in tensors.items()}
    try:
        for name, tensor in tensors.items():
            tensor.data = state[name].to(own[name])
        yield
    finally:
        for name, tensor in tensors.items():
            tensor.data = own[name]
