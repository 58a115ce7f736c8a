"""From intensities to the display values that the verbs take.

As in the paper, CT is windowed; other grey images are cut at the 0.5th and 99.5th percentile of
the voxels above zero; both are scaled to 0..255. RGB pictures are display values already.
"""

from typing import Any, Literal, TypeAlias, overload

import numpy as np
from attrs import field, frozen
from numpy.typing import ArrayLike, NDArray

from medsegany import _levels
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
def to_display(image: Volume, window: AnyWindow, *, legacy_minmax: bool = False) -> Volume: ...
@overload
def to_display(
    image: ArrayLike, window: AnyWindow, *, legacy_minmax: bool = False
) -> NDArray[np.uint8]: ...
def to_display(
    image: Volume | ArrayLike, window: AnyWindow, *, legacy_minmax: bool = False
) -> Volume | NDArray[np.uint8]:
    """Scale intensities to the uint8 display values that the verbs take.

    Args:
        image: A `Volume`, or an array of any shape: one image or a whole stack, so that all slices
            are scaled alike. Not changed.
        window: For CT a `Window` in the image's units (Hounsfield units) or the name of one, such
            as "abdomen"; its bounds become 0 and 255. "percentile" for anything else: the 0.5th
            and 99.5th percentile of the values above zero do, and values of zero stay 0.
        legacy_minmax: Scale as the paper's released `pre_CT_MR.py` does: after the cut, the lowest
            and highest value *that occur* become 0 and 255. A scan that does not reach both bounds
            of the window then gets another contrast than one that does.

    Returns:
        uint8 of the same shape; for a `Volume`, one that records what was done. NaN becomes 0,
        infinity the end of the scale on its side. An image without contrast becomes 0.

    Raises:
        InvalidInput: There is no such window.
        InvalidImage: The image is empty, or holds no numbers.
    """
    chosen = as_window(window)
    if isinstance(image, Volume):
        display, done = _scaled(image.voxels, chosen, legacy_minmax=legacy_minmax)
        return image.with_voxels(display, done)
    return _scaled(np.asarray(image), chosen, legacy_minmax=legacy_minmax)[0]


def _scaled(
    values: NDArray[Any], window: Window | Literal["percentile"], *, legacy_minmax: bool
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
        low, high = percentile_bounds(values)
        done = f"{LOWER_PERCENTILE} and {UPPER_PERCENTILE} percentiles: {low:g} to {high:g}"
    else:
        low, high = window.bounds
        done = f"window level {window.level:g}, width {window.width:g}: {low:g} to {high:g}"
    if legacy_minmax:
        low, high = (float(np.clip(end, low, high)) for end in _ends(values))
        done += f", cut values from {low:g} to {high:g} stretched (legacy_minmax)"
    if not high > low:
        return np.zeros(values.shape, np.uint8), f"{done} (no contrast)"
    zero_stays = window == "percentile"
    display = np.empty(values.shape, np.uint8)
    if _levels.has_few(values.dtype):
        table = _shown(_levels.levels(values.dtype), low, high, zero_stays=zero_stays)
        for part, shown in zip(_levels.parts(values), _levels.parts(display), strict=True):
            np.take(table, part.view(f"u{values.dtype.itemsize}"), out=shown, mode="wrap")
    else:
        for part, shown in zip(_levels.parts(values), _levels.parts(display), strict=True):
            shown[...] = _shown(part, low, high, zero_stays=zero_stays)
    return display, done


def _shown(values: NDArray[Any], low: float, high: float, *, zero_stays: bool) -> NDArray[np.uint8]:
    scaled = np.clip(values.astype(np.float64), low, high)
    scaled = (scaled - low) / (high - low) * 255
    shown: NDArray[np.uint8] = np.nan_to_num(scaled, nan=0.0, copy=False).astype(np.uint8)
    if zero_stays:
        shown[values == 0] = 0
    return shown


def _ends(values: NDArray[Any]) -> tuple[float, float]:
    """The lowest and the highest value; NaN counts for nothing."""
    return float(np.fmin.reduce(values, axis=None)), float(np.fmax.reduce(values, axis=None))


def percentile_bounds(values: NDArray[Any]) -> tuple[float, float]:
    """The values that `window="percentile"` makes 0 and 255.

    Args:
        values: Numbers, any shape. NaN and infinity do not count.

    Returns:
        The 0.5th and the 99.5th percentile of the values above zero; of all values where none is,
        and the lowest and highest where the two are one.
    """
    at = (LOWER_PERCENTILE, UPPER_PERCENTILE)
    if _levels.has_few(values.dtype):
        found, counts = _levels.count(values)
        # All-negative images exist (a difference image, say): then every value counts.
        counted = found > 0 if (found > 0).any() else np.ones(len(found), np.bool_)
        low, high = _levels.percentiles(found[counted], counts[counted], at)
        lowest, highest = float(found[0]), float(found[-1])
    else:
        finite_values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        above = finite_values[finite_values > 0]
        many = above if above.size else finite_values.ravel()
        if not many.size:
            return 0.0, 0.0
        low, high = np.percentile(many, at).tolist()
        lowest, highest = float(finite_values.min()), float(finite_values.max())
    # of a picture of two values, say
    return (low, high) if low != high else (lowest, highest)


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
