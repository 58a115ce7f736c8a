"""Pictures."""

from pathlib import Path

import numpy as np

from medsegany.errors import FileError
from medsegany.preprocess import to_display
from medsegany.types import Image

_DEEP = {"I", "I;16", "I;16B", "I;16L", "F"}


def read_image(path: str | Path) -> Image:
    """Read a PNG, JPEG or other picture as the display values that the verbs take.

    Args:
        path: The file.

    Returns:
        uint8, `(H, W)` for grey pictures, else `(H, W, 3)` RGB. Pixels are in storage order (an
        EXIF rotation is not applied), an alpha channel is dropped, and more than 8 bits of grey are
        scaled by their 0.5th and 99.5th percentile.

    Raises:
        FileError: There is no such file, or it is no picture.
    """
    from PIL import Image as Pillow, UnidentifiedImageError  # noqa: PLC0415 -- a fast import

    path = Path(path)
    try:
        with Pillow.open(path) as picture:
            if picture.mode in _DEEP:
                return to_display(np.asarray(picture), "percentile")
            mode = "L" if picture.mode in {"1", "L", "LA"} else "RGB"
            return np.array(picture.convert(mode))
    except FileNotFoundError as error:
        msg = f"There is no file {path}."
        raise FileError(msg) from error
    except UnidentifiedImageError as error:
        msg = f"{path} is no picture: PNG, JPEG and TIFF are read here, volumes by read_volume."
        raise FileError(msg) from error
    except (OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
        msg = f"{path} cannot be read: {error}"
        raise FileError(msg) from error
