"""A box, said a second time: as the ellipse inside it, through SAM's own input for masks."""

import torch

_INSIDE, _LARGEST = 4.0, 8.0


def ellipse_logits(corners: torch.Tensor, size: int) -> torch.Tensor:
    """Logits of the ellipse inscribed in each box.

    A model that was trained with them starts from the most likely shape, and not from nothing.

    Args:
        corners: `(B, 2, 2)`: both corners as (x, y), in pixels of the model's input.
        size: The side of the model's input.

    Returns:
        `(B, 1, size / 4, size / 4)`, as the model takes masks: 4 at the centre, 0 on the ellipse,
        -8 far outside.
    """
    side = size // 4
    scale = side / size
    # The second corner is the last pixel inside, so the box ends one pixel further.
    first, last = corners[:, 0] * scale, (corners[:, 1] + 1) * scale
    centre, radius = (first + last) / 2, ((last - first) / 2).clamp(min=0.5)
    at = torch.arange(side, device=corners.device, dtype=corners.dtype) + 0.5
    x = (at - centre[:, :1]) / radius[:, :1]
    y = (at - centre[:, 1:]) / radius[:, 1:]
    away = y.square()[:, :, None] + x.square()[:, None, :]
    return (_INSIDE * (1 - away)).clamp(min=-_LARGEST)[:, None]
