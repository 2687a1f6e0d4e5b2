"""The two plain convolutional networks of the user-level study.

Source: the user-level membership paper for federated learning with generated data, Table II. The
softmax of its last line is in the loss here: the models give logits. The table does not state
padding; see each network.
"""

from __future__ import annotations

from torch import nn

from seepage.models.shape import image_shape


def cnn_mnist(input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Convolutions of 16 and 32 channels with 5 × 5 kernels, each pooled, then 1000 and C units.

    Padding is not stated in the paper; here there is none, as in LeNet, from which the layout
    comes: 28 → 24 → 12 → 8 → 4 positions a side, 512 features, 536,258 parameters on MNIST.

    Raises:
        UserError: The inputs are no images, or smaller than 28 × 28.
    """
    channels, height, width = image_shape("cnn_mnist", input_shape, smallest=28)
    features = 32 * _after_mnist(height) * _after_mnist(width)
    return nn.Sequential(
        nn.Conv2d(channels, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(features, 1000),
        nn.ReLU(),
        nn.Linear(1000, classes),
    )


def cnn_cifar(input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Two convolutions of 32 and two of 64 channels with 3 × 3 kernels, pooled in pairs, 512, C.

    Padding is not stated in the paper; here the images keep their size between poolings (padding
    1): 32 → 16 → 8 positions a side, 4,096 features, 2,168,362 parameters on CIFAR-10.

    Raises:
        UserError: The inputs are no images, or smaller than 28 × 28.
    """
    channels, height, width = image_shape("cnn_cifar", input_shape, smallest=28)
    features = 64 * (height // 4) * (width // 4)
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(features, 512),
        nn.ReLU(),
        nn.Linear(512, classes),
    )


def _after_mnist(side: int) -> int:
    return ((side - 4) // 2 - 4) // 2
