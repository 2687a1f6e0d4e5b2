"""ResNet18 for small images with group normalisation.

Source: Zhu et al., FedMIA (CVPR 2025), released code: the CIFAR form of He et al. (2016) with
GroupNorm(32) in place of every batch normalisation, so that a sample's output and gradient do not
depend on its batch. 11,220,132 parameters at 100 classes, 11,180,631 at 23.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from seepage.models.shape import image_shape

GROUPS = 32


class Block(nn.Module):
    """Two 3 × 3 convolutions beside a shortcut, which is 1 × 1 where the shape changes."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.first_norm = nn.GroupNorm(GROUPS, channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.second_norm = nn.GroupNorm(GROUPS, channels_out)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels_in != channels_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
                nn.GroupNorm(GROUPS, channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.first_norm(self.first(x)))
        return functional.relu(self.second_norm(self.second(inner)) + self.shortcut(x))


def resnet18(input_shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """A stem of 64 channels, two blocks each of 64, 128, 256 and 512 with strides 1, 2, 2, 2.

    For images ``(channels, h, w)``; at 32 × 32 the stages work on 32, 16, 8 and 4 positions a
    side. Global mean of each channel, then one linear layer.

    Raises:
        UserError: The inputs are no images, or smaller than 8 × 8.
    """
    channels, _, _ = image_shape("resnet18", input_shape, smallest=8)
    blocks: list[nn.Module] = []
    before = 64
    for width, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        blocks += [Block(before, width, stride), Block(width, width, 1)]
        before = width
    return nn.Sequential(
        nn.Conv2d(channels, 64, 3, padding=1, bias=False),
        nn.GroupNorm(GROUPS, 64),
        nn.ReLU(),
        *blocks,
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, classes),
    )
