"""What is done to a mask after the model."""

import numpy as np

from medsegany.types import Logits

_EIGHT = np.ones((3, 3), np.int64)
_FILLED = np.float32(0.1)


def fill_holes(logits: Logits, max_area_px: int) -> Logits:
    """Fill small holes of a mask given as logits.

    A hole is an 8-connected part of the background (logits <= 0) of at most `max_area_px` pixels;
    its logits become 0.1. This is what SAM2's CUDA extension does (`fill_hole_area`), on every
    device.

    Args:
        logits: `(H, W)`; not changed.
        max_area_px: 0 fills nothing.
    """
    from scipy import ndimage  # noqa: PLC0415 -- keeps `import medsegany` fast

    if max_area_px <= 0:
        return logits
    parts, count = ndimage.label(logits <= 0, structure=_EIGHT)
    if not count:
        return logits
    areas = np.bincount(parts.ravel())
    small = areas <= max_area_px
    small[0] = False
    filled: Logits = np.where(small[parts], _FILLED, logits)
    return filled
