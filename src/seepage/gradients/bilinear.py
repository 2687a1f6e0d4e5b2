"""Products of gradients that are sums of outer products, by the cheaper of two forms.

Where a layer multiplies its weight with an input at *L* places, a sample's gradient of that weight
is ``G_j = Σ_l b_jl a_jlᵀ``: *a* the layer's inputs, *b* the errors that came back to its outputs.
Wanted are ``⟨G_j, U_k⟩`` for *K* ≥ 0 updates, and ``‖G_j‖²``. With *O* outputs and *I* inputs:

* *kernel form*: ``Σ_l b_jlᵀ (U_k a_jl)``, one large matrix product, ``K·L·O·I`` multiplications a
  sample; nothing of the size of G is formed;
* *block form*: a block of G, a few rows of a few samples that fit the cache, then one matrix
  product with the same block of all updates: ``(L + K)·O·I``;
* the norm by the *Gram form* ``Σ_ll' (a_l·a_l')(b_l·b_l')``, ``L²·(O + I)``, or from the blocks.

Products are float32 (the model's own type); sums over blocks are float64.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

BLOCK = 1 << 20
"""Numbers in one block: 4 MiB of float32, measured to be flat between 2 and 7 MiB."""

BLOCK_SAMPLES = 64
"""Samples in a block; fewer make the product with K updates a slow, thin one."""

THIN = 2
"""How much slower a multiplication of the block form is: its matrices are thin (measured)."""

LONG = 1 << 16
"""Squares summed in float32 before float64 takes over."""

READ = 4
"""What reading a number of a block once more costs, in multiplications (measured)."""


class Products(NamedTuple):
    """Inner products ``(n, K)`` and squared norms ``(n,)``, both float64."""

    inner: Tensor
    squared_norm: Tensor


class Cost(NamedTuple):
    """Multiplications a sample, weighted by how slow they are, for each form."""

    kernel: float
    blocks: float
    gram: float
    norm_of_blocks: float

    @property
    def by_kernel(self) -> bool:
        """Whether the kernel form (with its Gram norm) is the cheaper one."""
        return self.kernel + self.gram <= self.blocks + min(self.gram, self.norm_of_blocks)

    @property
    def by_gram(self) -> bool:
        """Whether the norm comes from the Gram form."""
        return self.by_kernel or self.gram <= self.norm_of_blocks


def cost(places: int, outputs: int, inputs: int, updates: int) -> Cost:
    """The count of operations that decides between the forms."""
    size = outputs * inputs
    return Cost(
        kernel=float(updates * places * size),
        blocks=THIN * (places + updates) * size,
        gram=float(places * places * (outputs + inputs)),
        norm_of_blocks=float(READ * size),
    )


def bilinear_products(a: Tensor, b: Tensor, u: Tensor) -> Products:
    """Products of ``G_j = Σ_l b_jl a_jlᵀ`` with every ``U_k``, and with itself.

    Args:
        a: Layer inputs, shape ``(n, L, I)``.
        b: Back-propagated errors, shape ``(n, L, O)``.
        u: Updates, shape ``(K, O, I)``, contiguous.
    """
    counted = cost(a.shape[1], b.shape[2], a.shape[2], len(u))
    if counted.by_kernel:
        return Products(inner_by_kernel(a, b, u), _squared_norm_by_gram(a, b))
    if counted.by_gram:
        return Products(_by_blocks(a, b, u, norm=False).inner, _squared_norm_by_gram(a, b))
    return _by_blocks(a, b, u, norm=True)


def materialised_products(g: Tensor, u: Tensor) -> Products:
    """Products of gradients that stand there in full: ``g`` is ``(n, ...)``, ``u`` ``(K, ...)``."""
    rows = g.flatten(1)
    inner = (u.flatten(1) @ rows.T).T.double()
    return Products(inner, squares_of(rows))


def squares_of(rows: Tensor) -> Tensor:
    """``Σ rows²``; a float32 sum of millions of squares would lose the fifth digit."""
    parts = [torch.linalg.vector_norm(part, dim=1) for part in rows.split(LONG, 1)]
    return torch.stack(parts).double().square().sum(0)


def _squared_norm_by_gram(a: Tensor, b: Tensor) -> Tensor:
    if a.shape[1] == 1:
        return squares_of(a.flatten(1)) * squares_of(b.flatten(1))
    grams = torch.bmm(a, a.mT) * torch.bmm(b, b.mT)
    return grams.sum((1, 2), dtype=torch.float64)


def inner_by_kernel(a: Tensor, b: Tensor, u: Tensor) -> Tensor:
    """``Σ_l b_jlᵀ U_k a_jl``, shape ``(n, K)``, float64; arguments as in bilinear_products."""
    (n, places, inputs), (clients, outputs) = a.shape, u.shape[:2]
    inner = torch.empty(n, clients, dtype=torch.float64, device=a.device)
    if not clients:
        return inner
    step = max(1, BLOCK // (clients * outputs * places))
    for first in range(0, n, step):
        rows = slice(first, first + step)
        moved = (a[rows].reshape(-1, inputs) @ u.view(-1, inputs).T).view(-1, clients, outputs)
        parts = moved.mul_(b[rows].reshape(-1, 1, outputs)).sum(2)
        inner[rows] = parts.view(-1, places, clients).sum(1, dtype=torch.float64)
    return inner


def _by_blocks(a: Tensor, b: Tensor, u: Tensor, *, norm: bool) -> Products:
    n, (clients, outputs, inputs) = len(a), u.shape
    inner = torch.zeros(clients, n, dtype=torch.float64, device=a.device)
    squared = torch.zeros(n, dtype=torch.float64, device=a.device)
    samples, width = block_shape(n, outputs, inputs)
    for first in range(0, n, samples):
        rows = slice(first, first + samples)
        for low in range(0, outputs, width):
            outs = slice(low, low + width)
            g = torch.bmm(b[rows, :, outs].mT, a[rows]).flatten(1)
            inner[:, rows] += u[:, outs].flatten(1) @ g.T
            if norm:
                squared[rows] += squares_of(g)
    return Products(inner.T, squared)


def block_shape(n: int, outputs: int, inputs: int) -> tuple[int, int]:
    """Samples and output channels of one block, so that it holds about :data:`BLOCK` numbers."""
    width = min(outputs, max(1, BLOCK // (min(n, BLOCK_SAMPLES) * inputs)))
    return min(n, max(1, BLOCK // (width * inputs))), width
