"""What the families ask of the shape of an input."""

from __future__ import annotations

from seepage.records import UserError


def image_shape(model: str, input_shape: tuple[int, ...], *, smallest: int) -> tuple[int, int, int]:
    """``(channels, h, w)``, checked.

    Raises:
        UserError: ``input_shape`` is not that of images, or a side is below ``smallest``.
    """
    shape = tuple(input_shape)
    if len(shape) != 3 or min(shape[1:]) < smallest:
        raise UserError(
            f"model {model!r} needs images of shape (channels, h, w) of at least "
            f"{smallest} × {smallest}, got inputs of shape {shape}; choose another model, such as "
            f"'mlp', or other data"
        )
    return shape[0], shape[1], shape[2]
