"""Gradient products of a two-dimensional convolution.

A convolution is one linear layer for each place of its kernel: at kernel place δ the gradient is
``G_j[:, :, δ] = Σ_l b_jl x_j,l+δᵀ`` over the output positions *l* whose input position ``l + δ``
lies inside the image. So nothing is padded and no product with a padded zero is taken, which for
small images is most of them, and each place chooses its own form
(:mod:`seepage.gradients.bilinear`). Convolutions with few input channels or with groups are
unfolded instead (im2col) and their gradients formed a few samples at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from seepage.gradients.bilinear import (
    BLOCK,
    Products,
    bilinear_products,
    materialised_products,
)

FEW_CHANNELS = 16
"""Below this many input channels the matrix products of single kernel places are too thin."""

WIDE_ROWS = 8
"""From this many output rows and columns on, the padding costs less than copies would."""

Pair = tuple[int, int]


def supported(layer: nn.Conv2d) -> bool:
    """Whether the rules below cover this layer; padding with anything but zeros is left out."""
    return layer.padding_mode == "zeros"


def unfolded(layer: nn.Conv2d) -> bool:
    """Whether this layer is unfolded instead of taken kernel place by kernel place."""
    return layer.groups > 1 or layer.in_channels < FEW_CHANNELS


def prepare_weight_updates(layer: nn.Conv2d, u: Tensor) -> Tensor:
    """Updates ``(K, O, I, h, w)`` as the products want them: by kernel place ``(h, w, K, O, I)``.

    Unfolded layers keep the order they have.
    """
    if unfolded(layer):
        return u.contiguous()
    moved = u.new_empty(u.shape[3], u.shape[4], *u.shape[:3])
    for k in range(len(u)):  # one update at a time stays in the cache
        moved[:, :, k] = u[k].permute(2, 3, 0, 1)
    return moved


def weight_products(
    layer: nn.Conv2d, calls: list[tuple[Tensor, Tensor]], u: Tensor
) -> Iterator[Products]:
    """Parts that sum to the products of the weight's gradient.

    Args:
        layer: The convolution.
        calls: Its ``(input (n, I, H, W), error (n, O, H', W'))``, one for each time it was called.
        u: What :func:`prepare_weight_updates` returned.
    """
    if unfolded(layer):
        yield _unfolded_products(layer, calls, u)
        return
    images = [_Images.of(layer, x, b) for x, b in calls]
    for row in range(layer.kernel_size[0]):
        for column in range(layer.kernel_size[1]):
            parts = [each.at(row, column) for each in images]
            a, errors = (
                torch.cat(each, 1) if len(parts) > 1 else each[0]
                for each in zip(*parts, strict=True)
            )
            if a.shape[1]:
                yield bilinear_products(a, errors, u[row, column])


def padding_before_after(layer: nn.Conv2d, axis: int) -> Pair:
    """Zeros added before and after the rows (axis 0) or columns (axis 1) of the input."""
    if layer.padding == "valid":
        return 0, 0
    if layer.padding == "same":
        total = layer.dilation[axis] * (layer.kernel_size[axis] - 1)
        return total // 2, total - total // 2
    padding = layer.padding[axis]
    assert isinstance(padding, int)
    return padding, padding


@dataclass(frozen=True, kw_only=True)
class _Images:
    """Input and error of one call with channels last, ``(n, h, w, channels)``.

    Attributes:
        layer: The convolution.
        x: Its input; padded with zeros where ``shifted``.
        b: The error at its output; rows as wide as those of ``x`` where ``shifted``.
        shifted: Whether a kernel place is a shift of the flattened images, which copies nothing.
            Else the positions that meet inside the image are copied, and none multiplies a zero.
    """

    layer: nn.Conv2d
    x: Tensor
    b: Tensor
    shifted: bool

    @staticmethod
    def of(layer: nn.Conv2d, x: Tensor, b: Tensor) -> _Images:
        x, b = x.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)
        if max(layer.stride) > 1 or min(b.shape[1:3]) < WIDE_ROWS:
            return _Images(layer=layer, x=x.contiguous(), b=b.contiguous(), shifted=False)
        (top, bottom), (left, right) = (padding_before_after(layer, axis) for axis in (0, 1))
        x = functional.pad(x, (0, 0, left, right, top, bottom)).contiguous()
        b = functional.pad(b, (0, 0, 0, x.shape[2] - b.shape[2])).contiguous()
        return _Images(layer=layer, x=x, b=b, shifted=True)

    def at(self, row: int, column: int) -> tuple[Tensor, Tensor]:
        """Inputs ``(n, L, I)`` and errors ``(n, L, O)`` that meet at one place of the kernel."""
        if self.shifted:
            return self._shift(row * self.layer.dilation[0], column * self.layer.dilation[1])
        (into, out_of), (into_w, out_of_w) = (
            _meeting(self.layer, axis, place, self.x.shape[1 + axis], self.b.shape[1 + axis])
            for axis, place in ((0, row), (1, column))
        )
        inputs, errors = self.x[:, into, into_w], self.b[:, out_of, out_of_w]
        return inputs.flatten(1, 2).contiguous(), errors.flatten(1, 2).contiguous()

    def _shift(self, rows: int, columns: int) -> tuple[Tensor, Tensor]:
        width = self.x.shape[2]
        spare = self.layer.dilation[1] * (self.layer.kernel_size[1] - 1)
        errors = self.b.flatten(1, 2)[:, : self.b.shape[1] * width - spare]
        first = rows * width + columns
        return self.x.flatten(1, 2)[:, first : first + errors.shape[1]], errors


def _meeting(
    layer: nn.Conv2d, axis: int, place: int, size: int, outputs: int
) -> tuple[slice, slice]:
    """Rows (or columns) of the input and of the output that one kernel row joins."""
    stride = layer.stride[axis]
    shift = place * layer.dilation[axis] - padding_before_after(layer, axis)[0]
    low = max(0, -(shift // stride))  # the first output row whose input row is inside
    high = min(outputs, (size - 1 - shift) // stride + 1)
    if high <= low:
        return slice(0, 0), slice(0, 0)
    first = low * stride + shift
    return slice(first, first + (high - low - 1) * stride + 1, stride), slice(low, high)


def _unfolded_products(layer: nn.Conv2d, calls: list[tuple[Tensor, Tensor]], u: Tensor) -> Products:
    n = len(calls[0][0])
    places = sum(b[0, 0].numel() for _, b in calls)
    columns = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
    a_sample = places * columns + layer.weight.numel()
    step = max(1, 2 * BLOCK // a_sample)
    parts = []
    for first in range(0, n, step):
        rows = slice(first, first + step)
        g = sum(weight_gradient(layer, x[rows], b[rows]) for x, b in calls)
        assert isinstance(g, Tensor)
        parts.append(materialised_products(g, u))
    return Products(*(torch.cat(each) for each in zip(*parts, strict=True)))


def weight_gradient(layer: nn.Conv2d, x: Tensor, b: Tensor) -> Tensor:
    """Weight gradients of a few samples at one call, shape ``(n, O·I/groups·h·w)``."""
    (top, bottom), (left, right) = (padding_before_after(layer, axis) for axis in (0, 1))
    padded = functional.pad(x, (left, right, top, bottom))
    a = functional.unfold(padded, layer.kernel_size, layer.dilation, 0, layer.stride)
    groups = len(x) * layer.groups
    errors = b.reshape(groups, layer.out_channels // layer.groups, -1)
    return torch.bmm(errors, a.reshape(groups, -1, a.shape[2]).mT).reshape(len(x), -1)
