"""Per-sample gradients without forming them: their norms, and their products with updates."""

from seepage.gradients.capture import refuse_tables
from seepage.gradients.norms import Listener, per_sample_norms
from seepage.gradients.products import GradientProducts, gradient_products

__all__ = ["GradientProducts", "Listener", "gradient_products", "per_sample_norms", "refuse_tables"]
