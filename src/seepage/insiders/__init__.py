"""What somebody inside a federation may do beyond what it should: each is an ``Insider``.

An insider holds what its turn gives it (its own records, the global parameters of every round, and
the candidates it was told of) and no other client's records. Whether a candidate is a member is
for attacks to say; here is what makes the answer easier to see.
"""

from seepage.insiders.ascent import ascending
from seepage.insiders.classifier import learn
from seepage.insiders.gan import Generation, generating
from seepage.insiders.images import Images, kept_images
from seepage.insiders.isolate import isolating

__all__ = [
    "Generation",
    "Images",
    "ascending",
    "generating",
    "isolating",
    "kept_images",
    "learn",
]
