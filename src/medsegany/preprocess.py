"""From intensities to the display values that the verbs take.

As in the paper, CT is windowed; other grey images are cut at the 0.5th and 99.5th percentile of
the voxels above zero; both are scaled to 0..255. RGB pictures are display values already.
"""

from typing import Any, Literal, TypeAlias, overload

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from medsegany._validate import above_zero, finite
from medsegany.errors import InvalidImage, InvalidInput
from medsegany.types import Image, Stack
from medsegany.volume import Volume

LOWER_PERCENTILE, UPPER_PERCENTILE = 0.5, 99.5


@frozen
class Window:
    """A CT window, in Hounsfield units.

    Attributes:
        level: Its centre.
        width: Its width, above zero.
    """

    level: float = field(validator=finite)
    width: float = field(validator=above_zero)

    @property
    def bounds(self) -> tuple[float, float]:
        """The values that become 0 and 255."""
        return self.level - self.width / 2, self.level + self.width / 2


WINDOWS = {
    "abdomen": Window(40, 400),
    "soft tissue": Window(40, 400),
    "lung": Window(-600, 1500),
    "brain": Window(40, 80),
    "mediastinum": Window(50, 350),
    "lung nodule": Window(-750, 1500),
}
"""Windows by name (the paper's plug-in and the MedSAM and MedSAM2 code)."""

AnyWindow: TypeAlias = Window | str
"""A `Window`, the name of one in `WINDOWS`, or "percentile"."""


def as_window(window: AnyWindow) -> Window | Literal["percentile"]:
    """Look a window up by its name.

    Raises:
        InvalidInput: There is none of this name.
    """
    if isinstance(window, Window):
        return window
    if window == "percentile":
        return "percentile"
    known = list(WINDOWS)  # a list: what came may not be hashable
    if window not in known:
        msg = (
            f"There is no window {window!r}. There are {', '.join(map(repr, WINDOWS))}, "
            '"percentile" (for anything but CT), and Window(level, width).'
        )
        raise InvalidInput(msg)
    return WINDOWS[window]


@overload
def to_display(image: Volume, window: AnyWindow) -> Volume: ...
@overload
def to_display(image: ArrayLike, window: AnyWindow) -> NDArray[np.uint8]: ...
def to_display(image: Volume | ArrayLike, window: AnyWindow) -> Volume | NDArray[np.uint8]:
    """Scale intensities to the uint8 display values that the verbs take.

    Args:
        image: A `Volume`, or an array of any shape: one image or a whole stack, so that all slices
            are scaled alike. Not changed.
        window: For CT a `Window` in the image's units (Hounsfield units) or the name of one, such
            as "abdomen"; its bounds become 0 and 255. "percentile" for anything else: the 0.5th
            and 99.5th percentile of the values above zero do, and values of zero stay 0.

    Returns:
        uint8 of the same shape; for a `Volume`, one that records what was done. NaN becomes 0, and
        so does everything in an image without contrast.

    Raises:
        InvalidInput: There is no such window.
        InvalidImage: The image is empty, or holds no number.
    """
    chosen = as_window(window)
    if isinstance(image, Volume):
        display, done = _scaled(image.voxels, chosen)
        return image.with_voxels(display, done)
    return _scaled(np.asarray(image), chosen)[0]


def _scaled(
    values: NDArray[Any], window: Window | Literal["percentile"]
) -> tuple[NDArray[np.uint8], str]:
    if not values.size:
        msg = f"The image is empty: its shape is {values.shape}."
        raise InvalidImage(msg)
    if values.dtype.kind not in "biuf":
        msg = f"An image holds numbers, this one holds {values.dtype}."
        raise InvalidImage(msg)
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    if window == "percentile":
        low, high = _percentiles(values)
        done = f"{LOWER_PERCENTILE} and {UPPER_PERCENTILE} percentiles: {low:g} to {high:g}"
    else:
        low, high = window.bounds
        done = f"window level {window.level:g}, width {window.width:g}: {low:g} to {high:g}"
    if not high > low:
        return np.zeros(values.shape, np.uint8), f"{done} (no contrast)"
    display = np.empty(values.shape, np.uint8)
    # Slice by slice: float64, as the paper's code computes, takes eight bytes a voxel.
    parts = (values, display) if values.ndim > 2 else (values[None], display[None])
    for part, shown in zip(*parts, strict=True):
        scaled = np.clip(part.astype(np.float64), low, high)
        scaled = (scaled - low) / (high - low) * 255
        shown[...] = np.nan_to_num(scaled, nan=0.0, copy=False).astype(np.uint8)
        if window == "percentile":
            shown[part == 0] = 0
    return display, done


def _percentiles(values: NDArray[Any]) -> tuple[float, float]:
    finite_values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    above = finite_values[finite_values > 0]
    # All-negative images exist (a difference image, say): then every value counts.
    counted = above if above.size else finite_values
    if not counted.size:
        return 0.0, 0.0
    low, high = np.percentile(counted, (LOWER_PERCENTILE, UPPER_PERCENTILE))
    if low == high:  # a picture of two values, say
        low, high = finite_values.min(), finite_values.max()
    return float(low), float(high)


def check_image(image: object) -> Image:
    """The image, when it is one that `embed` takes.

    Raises:
        InvalidImage: It is not uint8 `(H, W)` or `(H, W, 3)`.
    """
    return _checked(image, dims=2, what="An image", shapes="(H, W) or (H, W, 3)")


def check_stack(stack: object) -> Stack:
    """The stack, when it is one that `segment_volume` takes.

    Raises:
        InvalidImage: It is not uint8 `(D, H, W)` or `(D, H, W, 3)`.
    """
    if isinstance(stack, Volume):
        stack = stack.voxels
    return _checked(stack, dims=3, what="A stack", shapes="(D, H, W) or (D, H, W, 3)")


def _checked(  # noqa: C901 -- a list of slips, each with its own hint
    array: object, *, dims: int, what: str, shapes: str
) -> NDArray[np.uint8]:
    if not isinstance(array, np.ndarray):
        msg = f"{what} is a numpy array, uint8 {shapes}, got {type(array).__name__}."
        if isinstance(array, Volume):
            msg += " A volume goes to segment_volume; one slice of it is volume.voxels[k]."
        elif hasattr(array, "__array__"):
            msg += " numpy.asarray(image) makes one."
        raise InvalidImage(msg)
    if array.dtype != np.uint8:
        msg = (
            f"{what} is uint8 {shapes}, got {array.dtype} {array.shape}"
            f"{_range(array)}. preprocess.to_display(array, window) makes display values: window="
            f'"abdomen" (or another name) for CT, "percentile" for anything else.'
        )
        raise InvalidImage(msg)
    grey = array.ndim == dims
    if not grey and not (array.ndim == dims + 1 and array.shape[-1] == 3):
        msg = f"{what} is {shapes}, got shape {array.shape}."
        if array.ndim == dims + 1 and array.shape[-1] == 4:
            msg += " Drop the alpha channel: image[..., :3]."
        elif array.ndim == dims + 1 and array.shape[-1] == 1:
            msg += " Drop the last axis: image[..., 0]."
        elif array.ndim == dims + 1 and array.shape[-(dims + 1)] == 3:
            msg += " Colour is the last axis: numpy.moveaxis(image, -3, -1)."
        elif array.ndim == dims - 1:
            msg += " One slice is a stack of one: image[None]."
        raise InvalidImage(msg)
    if 0 in array.shape:
        msg = f"{what} is empty: its shape is {array.shape}."
        raise InvalidImage(msg)
    return array


def _range(array: NDArray[Any]) -> str:
    if not array.size or array.dtype.kind not in "iuf":
        return ""
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        return " with NaN or infinity"
    return f" from {array.min():g} to {array.max():g}"


def as_rgb(image: Image) -> Image:
    """`(H, W, 3)`, contiguous and writable (torch asks for it): grey is repeated."""
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=-1)
    return np.require(image, requirements=["C", "W"])
