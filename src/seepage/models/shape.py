"""What the families ask of the shape of an input."""

from __future__ import annotations

from seepage.records import UserError


def image_shape(
    model: str, input_shape: tuple[int, ...], *, smallest: int, multiple: int = 1
) -> tuple[int, int, int]:
    """``(channels, h, w)``, checked.

    Raises:
        UserError: ``input_shape`` is not that of images, or a side is below ``smallest`` or no
            multiple of ``multiple``.
    """
    shape = tuple(input_shape)
    if len(shape) != 3 or min(shape[1:]) < smallest or any(s % multiple for s in shape[1:]):
        sides = f" with sides that are multiples of {multiple}" if multiple > 1 else ""
        raise UserError(
            f"model {model!r} needs images of shape (channels, h, w) of at least "
            f"{smallest} × {smallest}{sides}, got inputs of shape {shape}; choose another model, "
            f"such as 'mlp', or other data"
        )
    return shape[0], shape[1], shape[2]
