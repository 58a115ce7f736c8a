"""Drawn objects in real images: walls, bands and bones where textures and neighbours are real.

What is hollow or bent is rare among what people marked in the pools, and of MR there is nearly
nothing of it.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from shapes import shape

from medsegany.training import Clip

Floats = NDArray[np.float32]
_SMALLEST = 60  # pixels


def painted(clip: Clip, shapes: Sequence[str], rng: np.random.Generator) -> Clip:
    """The first frame with something else in it; the clip itself where nothing fits.

    A square of it is taken. What is drawn is brighter or darker than what was there, and shows some
    of it; what it encloses is of another tissue, or as it was.
    """
    frame = a_square(clip.frames[0], rng)
    size = len(frame)
    for _ in range(5):
        mask = shape(rng, size, shapes)
        if not _SMALLEST <= mask.sum() <= 0.6 * mask.size:
            continue
        image = _with(frame, mask, rng)
        if _differs(image, mask):
            return Clip(image[None], mask[None], f"{clip.origin}, painted")
    return clip


def _differs(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> bool:
    around = ndimage.binary_dilation(mask, iterations=4) & ~mask
    return bool(around.any() and abs(image[mask].mean() - image[around].mean()) > 8)


def a_square(frame: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """As large as fits in, somewhere."""
    size = min(frame.shape[:2])
    top, left = (int(rng.integers(n - size + 1)) for n in frame.shape[:2])
    return frame[top : top + size, left : left + size]


def _with(
    frame: NDArray[np.uint8], mask: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.uint8]:
    layers = frame.reshape(*frame.shape[:2], -1).astype(np.float32)
    smooth, grain = smooth_and_grain(layers, rng)
    level, step, tint = another(layers[mask], (20, 120), rng)
    shown = rng.uniform(0, 0.6)  # of what is behind it
    enclosed = ndimage.binary_fill_holes(ndimage.binary_closing(mask, iterations=3)) & ~mask
    parts = [(mask, step)]
    if enclosed.sum() > 0.1 * mask.sum() and rng.random() < 0.7:
        parts.append((enclosed, rng.normal(0, 70)))
    for part, added in parts:
        new = level + added + tint + shown * (smooth - level) + grain
        if rng.random() < 0.5:  # not alike everywhere
            waves = ndimage.zoom(rng.normal(0, 1, (4, 4)), [n / 4 for n in part.shape], order=3)
            new += rng.uniform(0, 0.4) * abs(step) * waves[..., None]
        blend(layers, part, new, rng)
    return np.clip(layers, 0, 255).astype(np.uint8).reshape(frame.shape)


def smooth_and_grain(layers: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """What `(H, W, C)` shows without its grain, and some of that grain."""
    smooth = ndimage.gaussian_filter(layers, (2.5, 2.5, 0))
    return smooth, (layers - smooth) * rng.uniform(0.4, 1.2)


def another(
    pixels: Floats, steps: tuple[float, float], rng: np.random.Generator
) -> tuple[Floats, float, Floats | float]:
    """How bright pixels `(N, C)` are, how far from that another tissue is, and its tint."""
    level = np.median(pixels, axis=0)
    step = float(rng.uniform(*steps) * rng.choice((-1, 1)))
    if not 0 < level.mean() + step < 255:
        step = -step
    return level, step, rng.normal(0, 12, len(level)) if len(level) > 1 else 0.0


def blend(
    layers: Floats,
    part: NDArray[np.bool_],
    new: Floats | float,
    rng: np.random.Generator,
) -> None:
    """Replace a part of `(H, W, C)` in place, with a border that is more or less sharp."""
    edge = ndimage.gaussian_filter(part.astype(np.float32), rng.uniform(0.4, 1.6))[..., None]
    layers += edge * (new - layers)
