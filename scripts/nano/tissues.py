"""Drawn objects of several tissues in real images: a lesion that is marked whole, and a heart.

Both undo what learning from hollow things alone teaches: that what has another brightness in the
middle of a box is not the object. A lesion is one in spite of its pale middle. Of a heart its wall
is meant, or the blood inside it, or that of the other chamber, and only the box says which.
"""

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from painted import Floats, a_square, another, blend, smooth_and_grain
from scipy import ndimage
from shapes import blob, shape, smooth

from medsegany.training import Clip

Mask = NDArray[np.bool_]
_SOLID = ("blob", "blob", "blob", "lobes", "patch")
_SMALLEST = 60  # pixels
_SEEN = 8  # of 255: how much its rim differs from what is around it, at least


def lesion(clip: Clip, rng: np.random.Generator) -> Clip:
    """The first frame with something compact in it, some of whose tissues look like those outside.

    Its rim differs from what is around it; the clip itself where nothing fits.
    """
    frame = a_square(clip.frames[0], rng)
    for _ in range(5):
        mask = ndimage.binary_fill_holes(shape(rng, len(frame), _SOLID))
        if not _SMALLEST <= mask.sum() <= 0.6 * mask.size:
            continue
        image = _with_lesion(frame, mask, rng)
        around = ndimage.binary_dilation(mask, iterations=4) & ~mask
        rim = mask & ~ndimage.binary_erosion(mask, iterations=3)
        if around.any() and abs(image[rim].mean() - image[around].mean()) > _SEEN:
            return Clip(image[None], mask[None], f"{clip.origin}, lesion")
    return clip


def _with_lesion(
    frame: NDArray[np.uint8], mask: Mask, rng: np.random.Generator
) -> NDArray[np.uint8]:
    layers = frame.reshape(*frame.shape[:2], -1).astype(np.float32)
    behind, grain = smooth_and_grain(layers, rng)
    level, step, tint = another(layers[mask], (15, 100), rng)
    shown = rng.uniform(0, 0.5)  # of what is behind it

    def looks(times: float | Floats) -> Floats:
        """1 for the tissue of the rim, 0 for what was there."""
        new: Floats = level + times * (step + tint) + shown * (behind - level) + grain
        return new

    blend(layers, mask, looks(_fading(mask, rng)), rng)
    depth = ndimage.distance_transform_edt(mask)
    deepest = float(depth.max())
    if rng.random() < 0.5:
        middle = depth > rng.uniform(0.25, 0.7) * deepest
        blend(layers, middle, looks(rng.uniform(-0.5, 0.6)), rng)
    if rng.random() < 0.5:
        radius = float(np.sqrt(mask.sum() / np.pi))
        field = smooth(rng, len(mask), max(2.0, rng.uniform(0.2, 0.8) * radius))
        for cut in rng.uniform(0.3, 1.3, int(rng.integers(1, 3))):
            part = mask & (field > cut) & (depth > rng.uniform(0, 0.3) * deepest)
            blend(layers, part, looks(rng.uniform(-0.3, 1.8)), rng)
    if rng.random() < 0.3:
        rim = mask & (depth < rng.uniform(1.5, max(2.0, 0.25 * deepest)))
        blend(layers, rim, looks(rng.uniform(0.8, 1.7)), rng)
    return np.clip(layers, 0, 255).astype(np.uint8).reshape(frame.shape)


def _fading(mask: Mask, rng: np.random.Generator) -> Floats:
    """`(H, W, 1)`: how strongly it is there; on one side it may be paler."""
    if rng.random() < 0.5:
        return np.ones((*mask.shape, 1), np.float32)
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    turn = rng.uniform(0, 2 * np.pi)
    along = np.sin(turn) * rows + np.cos(turn) * columns
    first, last = along[mask].min(), along[mask].max()
    part = ((along - first) / max(last - first, 1)).clip(0, 1)
    return (1 - rng.uniform(0.1, 0.6) * part)[..., None].astype(np.float32)


def heart(clip: Clip, rng: np.random.Generator) -> Clip:
    """The first frame in grey, and across it a wall around blood, beside which is more blood."""
    frame = a_square(clip.frames[0], rng)
    grey = (frame.mean(-1) if frame.ndim == 3 else frame).astype(np.float32)[..., None]
    size = len(frame)
    for _ in range(5):
        wall, inside, beside = _chambers(size, rng)
        part = str(rng.choice(("wall", "inside", "beside"), p=(0.6, 0.2, 0.2)))
        mask = {"wall": wall, "inside": inside, "beside": beside}[part]
        if mask.sum() < _SMALLEST or wall.sum() < _SMALLEST:
            continue
        image = _with_heart(grey, wall, inside, beside, rng)
        return evolve(
            clip, frames=image[None], masks=mask[None], origin=f"{clip.origin}, heart", source=None
        )
    return clip


def _chambers(size: int, rng: np.random.Generator) -> tuple[Mask, Mask, Mask]:
    """The wall of one chamber, what is inside of it, and the other chamber."""
    centre = rng.uniform(0.3, 0.7, 2) * size
    radius = float(np.exp(rng.uniform(np.log(0.06), np.log(0.3)))) * size
    outer = blob(rng, size, radius, roughest=0.25)
    hole = centre + rng.normal(0, 0.06 * radius, 2)
    outside, inside = outer(centre, 1.0, 0.0), outer(hole, rng.uniform(0.5, 0.85), 0.0)
    inside &= outside
    turn = rng.uniform(0, 2 * np.pi)
    away = radius * rng.uniform(0.8, 1.3) * np.array([np.sin(turn), np.cos(turn)])
    beside = blob(rng, size, radius * rng.uniform(0.6, 1.1))(centre + away, 1.0, 0.0)
    return outside & ~inside, inside, beside & ~outside


def _with_heart(
    grey: Floats, wall: Mask, inside: Mask, beside: Mask, rng: np.random.Generator
) -> NDArray[np.uint8]:
    behind, grain = smooth_and_grain(grey, rng)
    grain = grain + rng.normal(0, rng.uniform(0, 8), grey.shape)
    blood, muscle = rng.uniform(130, 245), rng.uniform(20, 120)
    if rng.random() < 0.2:  # as where blood is made dark
        blood, muscle = muscle, blood
    shown = rng.uniform(0, 0.3)
    layers = grey.copy()

    def looks(level: float) -> Floats:
        waves = rng.uniform(0, 15) * smooth(rng, len(grey), len(grey) / 5)[..., None]
        new: Floats = level + shown * (behind - behind[wall].mean()) + grain + waves
        return new

    blend(layers, beside, looks(blood + rng.normal(0, 12)), rng)
    if rng.random() < 0.5:  # the other chamber has a wall, too
        rim = ndimage.binary_dilation(beside, iterations=int(rng.integers(1, 4)))
        blend(layers, rim & ~beside & ~inside, looks(muscle), rng)
    blend(layers, wall, looks(muscle), rng)
    blend(layers, inside, looks(blood), rng)
    radius = float(np.sqrt(inside.sum() / np.pi))
    spots = np.argwhere(inside & (ndimage.distance_transform_edt(inside) < 0.5 * radius))
    for _ in range(int(rng.integers(0, 4)) if len(spots) else 0):  # muscle that reaches into it
        spot = blob(rng, len(grey), max(1.0, radius * rng.uniform(0.08, 0.22)))
        blend(layers, spot(rng.choice(spots), 1.0, 0.0) & inside, looks(muscle), rng)
    return np.clip(layers[..., 0], 0, 255).astype(np.uint8)
