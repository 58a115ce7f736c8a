"""What a user points at: boxes, points and masks, and turning masks into prompts.

Coordinates are pixels of the image as given: `x` is the column, `y` the row, and pixel `(0, 0)` is
the upper left one, with its centre at 0. Backends hand them unchanged to the official transforms;
nobody adds a half-pixel correction (SAM adds its own, in model pixels).
"""

from medsegany.prompts._asked import (
    by_object,
    check_fits,
    check_kinds,
    on_image,
    on_stack,
    together,
)
from medsegany.prompts._from_masks import Where, box_from_mask, boxes_from_labels, prompt_slice
from medsegany.prompts._records import (
    AnyPrompt,
    Box,
    MaskPrompt,
    ObjectPrompts,
    Placed,
    Point,
    Prompt,
    Prompts,
    as_mask,
)

__all__ = [
    "AnyPrompt",
    "Box",
    "MaskPrompt",
    "ObjectPrompts",
    "Placed",
    "Point",
    "Prompt",
    "Prompts",
    "Where",
    "as_mask",
    "box_from_mask",
    "boxes_from_labels",
    "by_object",
    "check_fits",
    "check_kinds",
    "on_image",
    "on_stack",
    "prompt_slice",
    "together",
]
