"""Inversions of a model by name."""

from __future__ import annotations

from functools import partial

from seepage.inversion.contract import Method
from seepage.inversion.gmi import gmi
from seepage.inversion.ked_mi import ked_mi
from seepage.inversion.vmi import vmi

_IDENTITY = {
    "loss": "what an image of a label is: cross_entropy, logit or max_margin",
    "feature_weight": "for logit, what holds features near those of the prior's images, >= 0",
    "identity_weight": "weight of the target's verdict against the critic's",
    "students": "copies of the target in another architecture that are asked as well, >= 0",
    "groups": "what a regularizer sees together: class (images of one label) or across (one each)",
}

_GMI = {
    "steps": "steps of the descent, >= 1",
    "learning_rate": "step size of one image alone, > 0",
    "clamp": "bound of a latent's coordinates, > 0; null for none",
    **_IDENTITY,
}

_KED_MI = {
    "steps": "steps of Adam, >= 1",
    "learning_rate": "step size of Adam, > 0",
    "draws": "latents of each label in a step, >= 1",
    "logvar_init": "what the logarithm of a latent's variance starts from, -100 to 100",
    **_IDENTITY,
}

INVERSIONS: dict[str, Method] = {
    "gmi": Method(
        invert=gmi,
        prior="wgan",
        summary="moves latents until critic and target are pleased with their images",
        paper="GMI (Zhang et al., 2020)",
        options=_GMI,
    ),
    "ked_mi": Method(
        invert=ked_mi,
        prior="inversion_gan",
        summary="a Gaussian of latents for each label, with a critic that knows the target",
        paper="KED-MI (Chen et al., 2021)",
        options=_KED_MI,
        group="draws",
    ),
    "lomma": Method(
        invert=partial(gmi, loss="logit"),  # its students add seconds, and on digits nothing else
        prior="wgan",
        summary="gmi with a loss that goes on where the target is sure; with students if asked for",
        paper="LOMMA (Nguyen et al., 2023)",
        options=_GMI,
    ),
    "vmi": Method(
        invert=vmi,
        prior="dcgan",
        summary="the posterior of latents given the label, as far as a family can hold it",
        paper="VMI (Wang et al., 2021)",
        options={
            "family": "of the posterior: flow, gaussian or mixture",
            "steps": "steps of Adam, >= 1",
            "learning_rate": "step size of Adam, > 0",
            "batch": "latents of each label in a step, >= 1",
            "gamma": "weight of the divergence from the prior, >= 0; 1 is Bayes' rule",
        },
        group="batch",
    ),
}
"""Name → method."""
