"""Several questions about one record: the record itself, then slightly changed."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from seepage._rng import torch_child
from seepage.records import UserError

MOVES: tuple[tuple[int, int, bool], ...] = tuple(
    (down, right, mirrored)
    for down, right in (
        *((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)),
        *((1, 1), (1, -1), (-1, 1), (-1, -1)),
    )
    for mirrored in (False, True)
)
"""Images: steps down, steps to the right, and whether left and right are swapped first."""

PART = 8
"""Images: a step is this part of the side, and at least one pixel."""

FLIPS = 0.02
"""Tables of two values: the probability that a feature takes the other one."""

NOISE = 0.05
"""Other tables: deviation of the noise on a column, in units of the column's own."""


def variants(inputs: Tensor, queries: int, *, seed: int) -> Iterator[Tensor]:
    """What is asked about each record, query by query.

    * Query 0 is the records as they are.
    * Images ``(n, channels, h, w)`` are mirrored, shifted by a step down or up and right or left,
      or both, in the fixed order of :data:`MOVES`. A step is ``max(1, h // 8)`` rows or
      ``max(1, w // 8)`` columns. What a shift uncovers repeats the edge: a zero would be no pixel
      value of a normalised image.
    * Tables in which only two values occur have each feature swapped with probability 0.02.
    * Other tables get Gaussian noise of 0.05 of each column's standard deviation.

    Guarantees:
        * exact: query 0 is ``inputs``, bit for bit.
        * the same questions: draws depend on ``seed``, the number of the query and the record's
          row alone, so asking every model about the same ``inputs`` asks all the same.

    Args:
        inputs: Normalised inputs of all records, shape ``(n, ...)``. Which tables are of two
            values, and the deviations, are seen from these.
        queries: How many, at least 1.
        seed: The run's seed.

    Returns:
        ``queries`` tensors of the shape of ``inputs``, made when they are asked for.

    Raises:
        UserError: Fewer than one query, or more than the 18 there are of an image.

    References:
        | Label-Only Membership Inference Attacks (Choquette-Choo et al., 2021)
        | https://arxiv.org/abs/2007.14321
        | Membership Inference Attacks From First Principles (Carlini et al., 2022)
        | https://arxiv.org/abs/2112.03570
    """
    images = inputs.ndim == 4
    if queries < 1:
        raise UserError(f"each record must be asked about at least once, got queries = {queries}")
    if images and queries > len(MOVES):
        raise UserError(
            f"an image can be asked about in {len(MOVES)} ways (mirrored or not, 9 shifts), got "
            f"queries = {queries}. Ask at most {len(MOVES)} times."
        )
    if images:
        return (_moved(inputs, *MOVES[query]) for query in range(queries))
    return _tables(inputs, queries, seed)


def _moved(images: Tensor, down: int, right: int, mirrored: bool) -> Tensor:
    if (down, right, mirrored) == MOVES[0]:
        return images
    height, width = images.shape[-2:]
    rows = torch.arange(height, device=images.device) - down * max(1, height // PART)
    columns = torch.arange(width, device=images.device) - right * max(1, width // PART)
    columns = columns.clamp(0, width - 1)
    if mirrored:
        columns = width - 1 - columns
    return images[..., rows.clamp(0, height - 1)[:, None], columns]


def _tables(inputs: Tensor, queries: int, seed: int) -> Iterator[Tensor]:
    yield inputs
    low, high = inputs.aminmax()
    two_valued = bool(((inputs == low) | (inputs == high)).all())
    for query in range(1, queries):
        rng = torch_child(seed, "query", query)
        if two_valued:
            swapped = (torch.rand(inputs.shape, generator=rng) < FLIPS).to(inputs.device)
            yield torch.where(swapped, torch.where(inputs == low, high, low), inputs)
        else:
            noise = torch.randn(inputs.shape, generator=rng).to(inputs)
            yield inputs + NOISE * inputs.std(0, correction=0) * noise
