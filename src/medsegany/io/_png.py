"""Label maps as PNG: the grey value, or the number of the colour, is the label."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany.errors import FileError, InvalidInput
from medsegany.io._files import reading
from medsegany.io._nifti import Colour

_NAME = "Label "  # the key of a text is "Label 3", its value the name of label 3


def write_png(
    path: Path, labels: NDArray[Any], names: dict[int, str], colours: dict[int, Colour]
) -> None:
    """Write grey values, 8 or 16 bits deep; where there are colours, a palette."""
    from PIL import Image as Pillow, PngImagePlugin  # noqa: PLC0415 -- a fast import

    if colours and labels.dtype != np.uint8:
        msg = f"A PNG has 256 colours, so labels up to 255; got {int(labels.max())}."
        raise InvalidInput(msg)
    picture = Pillow.fromarray(np.ascontiguousarray(labels))
    if colours:
        # A label without a colour of its own keeps its grey.
        picture.putpalette([c for n in range(256) for c in colours.get(n, (n, n, n))])
    texts = PngImagePlugin.PngInfo()
    for label, name in names.items():
        texts.add_itxt(f"{_NAME}{label}", name)
    picture.save(path, format="PNG", pnginfo=texts)


def read_png(path: Path) -> tuple[NDArray[Any], dict[int, tuple[str, Colour | None]]]:
    """Labels, and their names and colours."""
    from PIL import Image as Pillow  # noqa: PLC0415 -- a fast import

    with reading(path, "PNG"), Pillow.open(path) as picture:
        values = np.array(picture)
        if picture.mode in {"RGB", "RGBA"} and (values[..., :3] == values[..., :1]).all():
            values = values[..., 0]  # grey, stored as colours
        elif picture.mode not in {"1", "L", "P", "I;16", "I;16B", "I"}:
            msg = f"{path} is a picture in {picture.mode}; the labels of a PNG are grey values."
            raise FileError(msg)
        palette = np.array(picture.getpalette() or []).reshape(-1, 3)
        texts = dict(getattr(picture, "text", {}))
    words: dict[int, tuple[str, Colour | None]] = {}
    for key, name in texts.items():
        if key.startswith(_NAME) and key[len(_NAME) :].isdecimal():
            words[int(key[len(_NAME) :])] = (str(name), None)
    if palette.size:
        for label in np.unique(values[values > 0]).tolist():
            if label < len(palette):
                red, green, blue = palette[label].tolist()
                words[label] = (words.get(label, ("", None))[0], (red, green, blue))
    return values, words
