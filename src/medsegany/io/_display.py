"""From what a file stores to display values, or a refusal to guess."""

from pathlib import Path
from typing import NoReturn

import numpy as np

from medsegany.errors import InvalidInput
from medsegany.preprocess import WINDOWS, AnyWindow, to_display
from medsegany.volume import Volume

IS_CT = "it says DICOM Modality CT"

_LOOKS_LIKE_CT = -500  # no other modality stores values as low as air in Hounsfield units


def displayed(volume: Volume, path: object, window: AnyWindow | None, modality: str = "") -> Volume:
    """The volume as `read_volume` promises it for this `window`.

    Raises:
        InvalidInput: No window, and the volume is or looks like CT.
    """
    if window == "raw":
        return volume
    if window is not None:
        return to_display(volume, window)
    if modality == "CT":
        refuse_ct(path, IS_CT)
    if volume.voxels.dtype == np.uint8:
        return volume
    lowest = np.fmin.reduce(volume.voxels, axis=None)  # NaN hides nothing
    if lowest <= _LOOKS_LIKE_CT:
        refuse_ct(path, f"its lowest value is {lowest:g}")
    return to_display(volume, "percentile")


def refuse_ct(path: object, reason: str) -> NoReturn:
    """No one window shows all that a CT holds, so somebody has to choose."""
    what = path if isinstance(path, (str, Path)) else "The series"
    msg = (
        f"{what} looks like CT ({reason}), and CT needs a window: "
        f"window= one of {', '.join(map(repr, WINDOWS))}, or preprocess.Window(level, width). "
        '"raw" keeps the intensities; "percentile" is for anything but CT.'
    )
    raise InvalidInput(msg)
