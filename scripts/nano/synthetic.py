"""Images that look a little like medicine, drawn from nothing: shapes, tissues, noise.

Nothing here imitates one organ. What is meant to be learnt is what a border is: between tissues of
almost one brightness, under speckle, shadows, bias fields and blur, next to neighbours that look
alike. Everything comes from one generator, so a number names a clip for ever.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from shapes import COMPACT, Floats, blob, one_of, smooth

from medsegany.training import Clip


class Synthetic:
    """Clips from nothing; see `medsegany.training.Clips`.

    Args:
        seed: Of everything.
        size: Side of the images.
        epoch: How many clips are called an epoch.
        shapes: Of objects; one that is named twice is drawn twice as often.
        filled: Part of the scenes where what an object encloses is of another tissue.
    """

    def __init__(
        self,
        seed: int,
        size: int = 160,
        epoch: int = 10_000,
        shapes: Sequence[str] = COMPACT,
        filled: float = 0.0,
    ) -> None:
        self._seed, self._size, self._epoch = seed, size, epoch
        self._shapes, self._filled = shapes, filled

    def __len__(self) -> int:
        return self._epoch

    def clip(self, number: int, frames: int) -> Clip:
        """The clip of this number."""
        rng = np.random.default_rng([self._seed, number])
        for _ in range(20):
            found = _scene(rng, self._size, frames, self._shapes, self._filled)
            if found.masks[0].sum() >= 20:
                return found
        msg = "twenty scenes in a row hold nothing"  # never seen
        raise RuntimeError(msg)


def _scene(
    rng: np.random.Generator, size: int, frames: int, shapes: Sequence[str], filled: float
) -> Clip:
    """Tissues, neighbours and one object, which drift while time or depth goes on."""
    times = np.linspace(0, 1, frames) if frames > 1 else np.zeros(1)
    drawn = one_of(rng, size, shapes)
    others = [one_of(rng, size, shapes) for _ in range(int(rng.integers(0, 5)))]
    moves = rng.normal(0, 0.12 * size, 2) * (frames > 1)
    grows = float(rng.normal(0, 0.5)) * (frames > 1)
    # In depth an object ends somewhere; then it is absent from the rest of the clip.
    ends = rng.uniform(0.4, 1.0) if frames > 1 and rng.random() < 0.35 else np.inf
    masks = np.stack([drawn(t, moves, grows) if t < ends else _nothing(size) for t in times])
    around = [np.stack([one(t, moves * 0.5, 0.0) for t in times]) for one in others]

    tissue = _tissues(rng, size)
    drift = rng.normal(0, 0.05 * size, 2) * (frames > 1)
    picture = np.stack([ndimage.shift(tissue, drift * t, order=1, mode="nearest") for t in times])
    contrast = rng.uniform(0.06, 0.45) * rng.choice((-1, 1))
    level = float(picture[0][masks[0]].mean()) if masks[0].any() else 0.5
    if not 0.05 < level + contrast < 0.95:
        contrast = -contrast
    for other in around:
        alike = rng.random() < 0.4
        step = contrast * rng.uniform(0.7, 1.2) if alike else rng.normal(0, 0.25)
        picture = np.where(other, level + step, picture)
    inner = level + contrast + _texture(rng, size, rng.uniform(0, 0.12))
    if rng.random() < 0.3:  # an organ whose parts are darker or brighter than what is around it
        inner = inner + _parts(rng, size, masks)
    if rng.random() < 0.25:  # seen through, as in a projection: what lies behind shines through
        thick = np.stack([thickness(mask) for mask in masks])
        inner = picture + contrast * (0.4 + 0.6 * thick) + rng.normal(0, 0.05)
        picture = picture + _ribs(rng, size)
    if rng.random() < 0.3:  # a rim brighter or darker than what it encloses
        width = int(rng.integers(1, 4))
        hollow = np.stack(
            [mask & ~ndimage.binary_erosion(mask, iterations=width) for mask in masks]
        )
        inner = np.where(hollow, inner + rng.normal(0, 0.3), inner)
    picture = np.where(masks, inner, picture)
    if filled and rng.random() < filled:  # as blood is in the wall of a heart
        enclosed = np.stack([ndimage.binary_fill_holes(mask) & ~mask for mask in masks])
        picture = np.where(enclosed, level + rng.normal(0, 0.35), picture)
    if rng.random() < 0.15:  # few pixels, made larger
        picture = _coarse(picture, rng.uniform(0.15, 0.5))
    return Clip(_imaged(rng, picture.astype(np.float32)), masks, "synthetic")


def _parts(rng: np.random.Generator, size: int, masks: NDArray[np.bool_]) -> Floats:
    """Brightness that parts of an object add to it: folds, chambers, a few bodies."""
    radius = float(np.sqrt(masks[0].sum() / np.pi))
    folds = smooth(rng, size, max(2.0, rng.uniform(0.15, 0.8) * radius))
    cuts = np.quantile(folds, np.sort(rng.uniform(0, 1, 3)))
    added = rng.normal(0, 0.12, 4).astype(np.float32)[np.digitize(folds, cuts)]
    bodies = [
        (
            blob(rng, size, max(1.5, rng.uniform(0.15, 0.5) * radius)),
            rng.normal(0, 0.4 * radius, 2),
            rng.normal(0, 0.3),
        )
        for _ in range(int(rng.integers(0, 4)))
    ]
    found = []
    for mask in masks:
        picture = added.copy()
        if mask.any():
            middle = np.argwhere(mask).mean(0)
            for body, away, brightness in bodies:
                picture[body(middle + away, 1.0, 0.0)] += brightness
        found.append(picture)
    return np.stack(found)


def thickness(mask: NDArray[np.bool_]) -> Floats:
    """How much of a rounded body a ray meets, from 0 at its rim to 1."""
    depth = ndimage.distance_transform_edt(mask)
    return np.sqrt(depth / max(float(depth.max()), 1.0)).astype(np.float32)


def _ribs(rng: np.random.Generator, size: int) -> Floats:
    """Bands that cross the picture, some bent, or none."""
    if rng.random() < 0.5:
        return np.zeros((size, size), np.float32)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    turn, bow = rng.uniform(0, np.pi), rng.normal(0, 1.5)
    along, across = np.cos(turn) * columns + np.sin(turn) * rows, 0.0
    across = np.cos(turn) * rows - np.sin(turn) * columns + bow * along**2
    waves = np.sin(2 * np.pi * rng.uniform(3, 9) * across + rng.uniform(0, 6))
    return (rng.normal(0, 0.12) * np.clip(waves + rng.uniform(-0.3, 0.8), 0, 1)).astype(np.float32)


def _coarse(picture: Floats, factor: float) -> Floats:
    small = ndimage.zoom(picture, (1, factor, factor), order=1)
    back = [n / m for n, m in zip(picture.shape, small.shape, strict=True)]
    return ndimage.zoom(small, back, order=1)


def _nothing(size: int) -> NDArray[np.bool_]:
    return np.zeros((size, size), np.bool_)


# --- tissue and imaging --------------------------------------------------------------------------


def _texture(rng: np.random.Generator, size: int, strength: float) -> Floats:
    return np.float32(strength) * smooth(rng, size, float(np.exp(rng.uniform(0.3, 3))))


def _tissues(rng: np.random.Generator, size: int) -> Floats:
    """Regions of several brightnesses, each with a texture."""
    kinds = int(rng.integers(2, 7))
    field = smooth(rng, size, rng.uniform(0.08, 0.5) * size)
    cuts = np.quantile(field, np.sort(rng.uniform(0, 1, kinds - 1)))
    regions = np.digitize(field, cuts)
    values = rng.uniform(0.05, 0.9, kinds).astype(np.float32)
    tissue = values[regions] + _texture(rng, size, rng.uniform(0, 0.1))
    if rng.random() < 0.35:  # a body before nothing
        body = blob(rng, size, rng.uniform(0.35, 0.6) * size)(np.full(2, size / 2), 1.0, 0.0)
        tissue = np.where(body, tissue, rng.uniform(0, 0.1))
    return tissue.astype(np.float32)


def _imaged(rng: np.random.Generator, picture: Floats) -> NDArray[np.uint8]:
    """What a machine makes of it: blur, bias, noise or speckle, scan lines, colour."""
    size = picture.shape[-1]
    blur = rng.uniform(0, 1.6)
    picture = ndimage.gaussian_filter(picture, (0, blur, blur))
    if rng.random() < 0.4:  # a coil, a lamp
        picture = picture * (1 + rng.uniform(0, 0.4) * smooth(rng, size, size / 2))
    kind = rng.choice(("plain", "gauss", "speckle", "counts"), p=(0.25, 0.4, 0.2, 0.15))
    if kind == "gauss":
        picture = picture + rng.uniform(0.01, 0.12) * rng.standard_normal(picture.shape)
    elif kind == "speckle":
        grains = rng.rayleigh(0.8, picture.shape) ** rng.uniform(0.5, 1.2)
        wide = rng.uniform(0.3, 1.5)
        picture = picture * ndimage.gaussian_filter(grains, (0, 0.4, wide))
        if rng.random() < 0.5:  # a shadow, from the probe down
            lane = np.abs(np.arange(size) - rng.uniform(0, size)) < rng.uniform(0.03, 0.15) * size
            picture = np.where(lane, picture * rng.uniform(0.3, 0.8), picture)
    elif kind == "counts":
        photons = np.exp(rng.uniform(3, 6))
        picture = rng.poisson(np.clip(picture, 0, 1) * photons) / photons
    picture = np.clip(picture, 0, 1.2)
    if rng.random() < 0.3:
        picture = 1 - np.clip(picture, 0, 1)
    picture = np.clip(picture, 0, 1) ** np.exp(rng.normal(0, 0.3))
    if rng.random() < 0.35:
        low, high = rng.uniform(0, 0.6, 3), rng.uniform(0.4, 1, 3)
        coloured = low + (high - low) * picture[..., None]
        picture = np.clip(coloured + rng.normal(0, 0.02, coloured.shape), 0, 1)
    return (255 * picture).astype(np.uint8)
