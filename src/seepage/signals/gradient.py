"""What one sample's gradient has to do with what a client sent.

The products come from :mod:`seepage.gradients`; here is what attacks make of them. Source of the
measures: Zhu et al., FedMIA (CVPR 2025), section 4; their released code forms every gradient once
for each client.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seepage.gradients import GradientProducts, gradient_products

__all__ = ["GradientProducts", "cosine", "gradient_difference", "gradient_products"]


def cosine(products: GradientProducts) -> Tensor:
    """``⟨g_j, u_k⟩ / (‖g_j‖‖u_k‖)``, shape ``(n, K)``, in [-1, 1] up to rounding.

    0 where either is 0. The released code adds nothing but torch's floor of 1e-8 to the
    denominator; ours is the smallest positive float64, so that small updates keep their angle.
    """
    norms = products.squared_norm.sqrt()[:, None] * products.update_squared_norm.sqrt()
    return products.inner / norms.clamp_min(torch.finfo(torch.float64).tiny)


def gradient_difference(products: GradientProducts) -> Tensor:
    """``‖u_k‖² - ‖u_k - g_j‖² = 2⟨u_k, g_j⟩ - ‖g_j‖²``, shape ``(n, K)``."""
    return 2 * products.inner - products.squared_norm[:, None]
