"""The device a run computes on."""

from __future__ import annotations

from seepage.records import UserError


def find_device(name: str) -> str:
    """``auto`` → ``cuda`` where there is one, else ``cpu``; anything else must exist.

    Sets torch up to compute on it exactly (:func:`exact_convolutions`).
    """
    import torch

    exact_convolutions()
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.split(":")[0] not in ("cpu", "cuda"):
        raise UserError(f"compute.device = {name!r}: use auto, cpu or cuda.")
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"compute.device = {name!r}: not usable here ({reason}). Use auto, cpu or cuda."
        ) from None
    return name


def exact_convolutions() -> None:
    """On CUDA: the same numbers in every run, in float32 and not in its ten-bit shortcut.

    The shortcut (TF32) is torch's default for convolutions and loses three digits of a gradient.
    """
    import torch

    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False
