r"""How much two sets of rows depend on each other, by kernels.

Row *i* of ``x`` and row *i* of ``y`` belong together: shapes ``(..., m, p)`` and ``(..., m, q)``
give a measure of shape ``(...)``; leading dims are taken one by one, all at once. Images are
flattened before. Everything stays in the type and on the device of what comes in, and can be
differentiated, also where rows are equal. With fewer than two rows nothing can depend on anything:
the measure is 0, and so is its gradient.

.. math:: H = I - \tfrac1m 1 1^T, \qquad \tilde K = H K H, \qquad
    K_{ij} = \exp\left( -\frac{\lVert x_i - x_j \rVert^2}{2 \sigma^2 p} \right)

σ thus acts on the root-mean-square distance of two rows: the same σ means the same for a picture
of any size. ``kernel`` is of ``y`` alone, the labels or logits; ``linear`` is the matrix of inner
products, with no scale.
"""

from __future__ import annotations

from seepage.dependence.covariance import Norm, biased_hsic, coco
from seepage.dependence.kernels import Kernel, gaussian_kernel, safe_root, squared_distances
from seepage.dependence.normalized import normalized_hsic

__all__ = [
    "Kernel",
    "Norm",
    "biased_hsic",
    "coco",
    "gaussian_kernel",
    "normalized_hsic",
    "safe_root",
    "squared_distances",
]
