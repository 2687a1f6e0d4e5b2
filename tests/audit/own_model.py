"""A model whose option shows in neither its weights nor its printed form."""

from torch import nn


class Scaled(nn.Module):
    def __init__(self, shape, classes, sharp):
        super().__init__()
        self.flat, self.last = nn.Flatten(), nn.Linear(shape[-1] * shape[-2], classes)
        self.sharp = sharp

    def forward(self, inputs):
        return self.sharp * self.last(self.flat(inputs))


def made(input_shape, classes, *, sharp):
    return Scaled(input_shape, classes, sharp)
