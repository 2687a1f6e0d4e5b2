"""Data: samples as tensors with stable ids, and who holds which of them."""

from seepage.data.catalogue import DATASETS
from seepage.data.declared import declared
from seepage.data.loading import is_folder, is_found, load
from seepage.data.source import Source
from seepage.data.splits import deal_out, split
from seepage.data.user import from_memory

__all__ = [
    "DATASETS",
    "Source",
    "deal_out",
    "declared",
    "from_memory",
    "is_folder",
    "is_found",
    "load",
    "split",
]
