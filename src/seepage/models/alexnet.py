"""AlexNet for small images, as the FedMIA experiments use it.

Source: Zhu et al., FedMIA (CVPR 2025), released code. Five convolutions with biases, no
normalisation, no dropout, then the global maximum of each channel and one linear layer.
2,495,396 parameters at 100 classes, 2,475,607 at 23, whatever the image size.
"""

from __future__ import annotations

from torch import nn

from seepage.models.shape import image_shape

SMALLEST = 13
"""Smallest side: 13 → 4 → 2 → 1 positions; 12 would pool away the last one."""


def alexnet(input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """The network for images ``(channels, h, w)`` of at least 13 × 13, made for 32 and 64.

    Positions from layer to layer at 32 × 32: 8, 4, 4, 2, 2, 2, 2, 1.

    Raises:
        UserError: The inputs are no images, or too small for two poolings after a stride of 4.
    """
    channels, _, _ = image_shape("alexnet", input_shape, smallest=SMALLEST)
    return nn.Sequential(
        nn.Conv2d(channels, 64, 11, stride=4, padding=5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(64, 192, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(192, 384, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(384, 256, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(256, 256, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
        nn.Linear(256, classes),
    )
