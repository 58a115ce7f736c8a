"""Pictures of results, for people."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from medsegany.errors import InvalidInput
from medsegany.preprocess import as_rgb, check_image
from medsegany.prompts import Box
from medsegany.types import Image

# Okabe and Ito's palette: told apart by readers with any colour vision, and from grey.
COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
_BOX = (255, 255, 255)


def overlay(
    image: Image,
    labels: NDArray[np.integer],
    *,
    boxes: Iterable[Box] = (),
    alpha: float = 0.35,
    thickness_px: int = 1,
) -> Image:
    """Draw a label map over its image: tinted objects with full contours, boxes in white.

    Args:
        image: uint8, `(H, W)` or `(H, W, 3)`; not changed.
        labels: `(H, W)` object ids, 0 is the background.
        boxes: Prompts to draw.
        alpha: Strength of the tint, 0 to 1.
        thickness_px: Of contours and boxes.

    Returns:
        uint8 `(H, W, 3)`.
    """
    from skimage.segmentation import find_boundaries  # noqa: PLC0415 -- keeps the import fast

    drawn = as_rgb(check_image(image)).astype(np.float32)
    if labels.shape != drawn.shape[:2]:
        msg = f"The labels are {labels.shape}, the image {drawn.shape[:2]}."
        raise InvalidInput(msg)
    for name in np.unique(labels[labels > 0]):
        colour = np.array(COLOURS[(int(name) - 1) % len(COLOURS)], np.float32)
        mask = labels == name
        drawn[mask] = (1 - alpha) * drawn[mask] + alpha * colour
        inner = mask
        for _ in range(thickness_px):
            contour = find_boundaries(inner, mode="inner", background=0)
            drawn[contour] = colour
            inner = inner & ~contour
    for box in boxes:
        _frame(drawn, box, thickness_px)
    picture: Image = drawn.astype(np.uint8)
    return picture


def _frame(drawn: NDArray[np.float32], box: Box, thickness: int) -> None:
    height, width = drawn.shape[:2]
    x0, y0 = max(round(box.x0), 0), max(round(box.y0), 0)
    x1, y1 = min(round(box.x1), width - 1), min(round(box.y1), height - 1)
    inside = np.zeros((height, width), np.bool_)
    inside[y0 : y1 + 1, x0 : x1 + 1] = True
    inside[y0 + thickness : y1 + 1 - thickness, x0 + thickness : x1 + 1 - thickness] = False
    drawn[inside] = _BOX


def contact_sheet(pictures: Sequence[Image], columns: int, *, gap_px: int = 4) -> Image:
    """Pictures of one size side by side, row by row, on white."""
    first = pictures[0]
    height, width = first.shape[:2]
    rows = -(-len(pictures) // columns)
    shape = (rows * (height + gap_px) - gap_px, columns * (width + gap_px) - gap_px, 3)
    sheet = np.full(shape, 255, np.uint8)
    for n, picture in enumerate(pictures):
        y, x = (n // columns) * (height + gap_px), (n % columns) * (width + gap_px)
        sheet[y : y + height, x : x + width] = as_rgb(picture)
    return sheet
