"""Squared norms of per-sample gradients over the coordinates that each client sent.

A client that sends a few coordinates of its change and 0 for the others shows which they are. With
the mask ``m_k`` of the coordinates where ``u_k`` is not 0,

    ‖g_j‖²_k = Σ_{i: u_ki ≠ 0} g_ji² = ⟨g_j ∘ g_j, m_k⟩.

A linear layer that was used at one place has ``G_j = b_j a_jᵀ``, so its share is the bilinear form
``(b_j ∘ b_j)ᵀ M_k (a_j ∘ a_j)``: the inner product of :mod:`seepage.gradients.bilinear` with
squares, and nothing of the size of G is formed. The gradients of every other layer are formed, a
few samples at a time, squared, and multiplied with all masks at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from seepage.gradients.bilinear import BLOCK, inner_by_kernel, materialised_products
from seepage.gradients.capture import Layer
from seepage.gradients.conv import weight_gradient
from seepage.gradients.layers import Call, conv2d, gradients_of, linear, places_of, total
from seepage.gradients.updates import PreparedUpdates, as_the_layer_has_it

AT_LEAST = 8
"""Samples whose gradients of one layer stand there at once, however large the layer: with fewer,
the product with K masks reads every mask for next to nothing."""


def kept_squared_norms(
    layers: Sequence[Layer], calls: Sequence[list[Call]], prepared: PreparedUpdates, n: int
) -> Tensor:
    """``‖g_j‖²_k`` of n samples and K updates, shape ``(n, K)``, float64.

    Args:
        layers: The layers that ``prepared`` was made for.
        calls: What :func:`~seepage.gradients.capture.captured` returned; left as it is.
        prepared: The updates; where one is exactly 0 the gradient does not count.
        n: Number of samples in each call.
    """
    device = prepared.squared_norm.device
    kept = torch.zeros(n, prepared.clients, dtype=torch.float64, device=device)
    for layer, own, updates in zip(layers, calls, prepared.by_layer, strict=True):
        if not own or not updates:
            continue
        masks = {
            short: (as_the_layer_has_it(layer, short, u) != 0).to(u) for short, u in updates.items()
        }
        if layer.rule is linear:
            assert isinstance(layer.module, nn.Linear)
            a, b = places_of(layer.module, [call.pair for call in own])
            if a.shape[1] == 1:
                kept += _at_one_place(a, b, masks)
                continue
        _add_formed(kept, layer, own, masks)
    return kept


def _at_one_place(a: Tensor, b: Tensor, masks: Mapping[str, Tensor]) -> Tensor:
    parts = []
    if "weight" in masks:
        parts.append(inner_by_kernel(a.square(), b.square(), masks["weight"].contiguous()))
    if "bias" in masks:
        parts.append(materialised_products(b[:, 0].square(), masks["bias"]).inner)
    return torch.stack(parts).sum(0)


def _add_formed(kept: Tensor, layer: Layer, calls: list[Call], masks: Mapping[str, Tensor]) -> None:
    """Add a layer's share, from gradients that are formed."""
    size = sum(mask[0].numel() for mask in masks.values())
    step = max(AT_LEAST, 2 * BLOCK // size)
    for first in range(0, len(kept), step):
        rows = slice(first, first + step)
        for short, g in _formed(layer, calls, masks, len(kept), rows).items():
            kept[rows] += (masks[short].flatten(1) @ g.flatten(1).square().T).T.double()


def _formed(
    layer: Layer, calls: list[Call], names: Mapping[str, Tensor], n: int, rows: slice
) -> dict[str, Tensor]:
    """The gradients of a few samples by the layer's own parameter names."""
    module = layer.module
    if layer.rule not in (linear, conv2d):
        parameters = {short: p.detach() for short, p in module.named_parameters() if short in names}
        return gradients_of(module, parameters, calls, n, rows)
    pairs = [(x[rows], e[rows]) for x, e in (call.pair for call in calls)]
    if isinstance(module, nn.Linear):
        a, b = places_of(module, pairs)
        found = {"weight": torch.bmm(b.mT, a), "bias": b.sum(1)}
    else:
        assert isinstance(module, nn.Conv2d)
        weights = [weight_gradient(module, x, e) for x, e in pairs]
        found = {"weight": total(weights), "bias": total(e.sum((2, 3)) for _, e in pairs)}
    return {short: found[short] for short in names}
