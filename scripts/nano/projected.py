"""Drawn radiographs: what a ray meets on its way through a body is added up.

No X-ray is among the pools. What makes one hard is that everything shines through everything: a
heart covers ribs and a spine, a lung ends behind a heart, a bone is brighter at its rim than in its
middle, and one hip lies over another. An object is whole there although its parts are not alike.
"""

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray
from scipy import ndimage
from shapes import Floats, blob, shape, smooth
from synthetic import thickness

from medsegany.training import Clip

Mask = NDArray[np.bool_]
_SMALLEST, _LARGEST = 60, 0.6  # pixels, and a part of the image
_SEEN = 5  # of 255: how much an object differs from what is around it, at least
_MIDDLE = 0.5
_BONES = ("bone", "blob", "blob", "lobes", "arc")


@frozen(eq=False)
class _Film:
    """What rays have met so far, and what of it may be asked for."""

    met: Floats
    objects: list[Mask] = field(factory=list)

    def add(self, mask: Mask, strength: float, *, flat: float = 0.0, wall: float = 0.0) -> None:
        """A rounded body: more in its middle, or as much everywhere, or with a dense wall."""
        deep = thickness(mask)
        if wall:  # what is inside of a bone lets more through
            inner = thickness(ndimage.distance_transform_edt(mask) > max(1.0, wall))
            deep = deep - 0.75 * inner
        self.met[...] += strength * np.where(mask, flat + (1 - flat) * deep, 0).astype(np.float32)


def radiograph(rng: np.random.Generator, size: int) -> Clip:
    """A chest, limbs or teeth, or nothing that has a name, in a square of this side."""
    while True:
        kind = int(rng.choice(3, p=(0.4, 0.4, 0.2)))
        film = (_chest, _bones, _bodies)[kind](rng, size)
        image = _developed(film.met, rng)
        for mask in map(film.objects.__getitem__, rng.permutation(len(film.objects))):
            if _SMALLEST <= mask.sum() <= _LARGEST * mask.size and _differs(image, mask):
                return Clip(image[None], mask[None], "radiograph")


def _differs(image: NDArray[np.uint8], mask: Mask) -> bool:
    around = ndimage.binary_dilation(mask, iterations=4) & ~mask
    rim = mask & ~ndimage.binary_erosion(mask, iterations=4)
    return bool(around.any() and abs(image[rim].mean() - image[around].mean()) > _SEEN)


def _body(rng: np.random.Generator, size: int) -> _Film:
    """Soft tissue, which may go on outside of the image."""
    film = _Film(np.zeros((size, size), np.float32))
    middle = size * rng.uniform(0.4, 0.6, 2)
    trunk = blob(rng, size, size * rng.uniform(0.5, 0.9), roughest=0.2)(middle, 1.0, 0.0)
    film.add(trunk, rng.uniform(0.3, 0.9), flat=rng.uniform(0, 0.5))
    film.met[...] *= 1 + rng.uniform(0, 0.2) * smooth(rng, size, size / rng.uniform(3, 8))
    return film


def _chest(rng: np.random.Generator, size: int) -> _Film:
    """Two lungs that let rays through, with a heart, a spine and ribs before them or behind."""
    film = _body(rng, size)
    radius = size * rng.uniform(0.14, 0.24)
    middle = size * rng.uniform(0.42, 0.58, 2)
    apart = radius * rng.uniform(1.1, 1.5)
    lungs = [
        _ellipse(
            rng,
            size,
            middle + np.array((0, side * apart)),
            (radius * rng.uniform(1.4, 1.9), radius),
        )
        for side in (-1, 1)
    ]
    low = middle + radius * rng.uniform((0.4, 0.0), (0.9, 0.6))
    heart = blob(rng, size, radius * rng.uniform(0.7, 1.1), roughest=0.2)(low, 1.0, 0.0)
    spine = np.zeros((size, size), np.bool_)
    wide = radius * rng.uniform(0.15, 0.3)
    spine[:, max(0, int(middle[1] - wide)) : int(middle[1] + wide)] = True
    air = rng.uniform(0.4, 1.0)
    film.met[...] *= 1 - air * ndimage.gaussian_filter(
        np.maximum(*map(np.float32, lungs)), rng.uniform(0.5, 2.5)
    ) * rng.uniform(0.5, 0.95)
    film.add(heart, rng.uniform(0.2, 0.7), flat=rng.uniform(0, 0.5))
    film.add(spine, rng.uniform(0.1, 0.6), flat=0.5)
    for mask in _ribs(rng, size, middle, radius):
        film.add(mask, rng.uniform(0.05, 0.25), flat=0.3, wall=1.5)
    for lung in lungs:  # vessels, and what is not well
        veins = shape(rng, size, ("tree",)) & lung
        film.add(veins, rng.uniform(0, 0.15))
        if rng.random() < 0.25:
            spot = blob(rng, size, radius * rng.uniform(0.1, 0.5))
            at = rng.permutation(np.argwhere(lung))[:1]
            if len(at):
                shadow = spot(at[0].astype(float), 1.0, 0.0)
                film.add(shadow, rng.uniform(0.1, 0.5))
    free = [lung & ~heart & ~spine for lung in lungs]
    whole = lungs if rng.random() < 0.3 else free
    film.objects.extend([*whole, whole[0] | whole[1], heart, heart])
    return film


def _ellipse(
    rng: np.random.Generator, size: int, at: NDArray[np.float64], radii: tuple[float, float]
) -> Mask:
    """Upright, a little turned and dented."""
    rows, columns = np.mgrid[:size, :size] - np.reshape(at, (2, 1, 1))
    turn = rng.normal(0, 0.15)
    along = np.cos(turn) * rows + np.sin(turn) * columns
    across = np.cos(turn) * columns - np.sin(turn) * rows
    angle = np.arctan2(along, across)
    dent = sum(rng.normal(0, 0.07) * np.sin(n * angle + rng.uniform(0, 6)) for n in (2, 3, 4, 5))
    inside: Mask = np.hypot(along / radii[0], across / radii[1]) < 1 + dent
    return inside


def _ribs(
    rng: np.random.Generator, size: int, middle: NDArray[np.float64], radius: float
) -> list[Mask]:
    """Bent bands on both sides, one below the other."""
    rows, columns = np.mgrid[:size, :size]
    away = np.abs(columns - middle[1]) / radius
    falls = radius * rng.uniform(0.1, 0.6)
    step, wide = radius * rng.uniform(0.35, 0.6), radius * rng.uniform(0.08, 0.18)
    bow = falls * (away - rng.uniform(0.3, 0.8) * away**2)
    first = middle[0] - 2 * radius
    return [
        (np.abs(rows - (first + n * step) - bow) < wide) & (away < rng.uniform(2.2, 2.8))
        for n in range(int(4 * radius / step))
    ]


def _bones(rng: np.random.Generator, size: int) -> _Film:
    """Bones or teeth, alone or over each other; each is an object, and some pairs are."""
    film = _body(rng, size)
    kind = str(rng.choice(("bone", "blob", "all", "all")))
    count = int(rng.integers(1, 6))
    for _ in range(count):
        name = kind if kind != "all" else str(rng.choice(_BONES))
        mask = shape(rng, size, (name,))
        wall = size * rng.uniform(0.01, 0.05) if rng.random() < 0.7 else 0.0
        film.add(mask, rng.uniform(0.2, 1.2), flat=rng.uniform(0, 0.6), wall=wall)
        film.objects.append(mask)
        if rng.random() < 0.3:  # trabeculae, or a filling
            grain = np.where(mask, smooth(rng, size, rng.uniform(1.5, 5)), 0)
            film.met[...] += rng.uniform(0, 0.12) * grain
        if rng.random() < 0.15:
            dense = shape(rng, size, ("blob",)) & mask
            film.add(dense, rng.uniform(0.3, 1.5), flat=0.5)
    return film


def _bodies(rng: np.random.Generator, size: int) -> _Film:
    """Anything in anything: of each, rays lose some, or meet less than beside it."""
    film = _body(rng, size)
    for _ in range(int(rng.integers(1, 6))):
        mask = shape(rng, size, ("blob", "blob", "lobes", "tube"))
        sign = 1 if rng.random() < 0.7 else -1
        film.add(mask, sign * rng.uniform(0.1, 0.8), flat=rng.uniform(0, 0.7))
        film.objects.append(mask)
    return film


def _developed(met: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Grey values, as films and detectors have them: bright where much was met, mostly."""
    size = len(met)
    met = ndimage.gaussian_filter(np.maximum(met, 0), rng.uniform(0.3, 1.5))
    picture = 1 - np.exp(-rng.uniform(0.5, 1.4) * met)
    low, high = np.percentile(picture, (rng.uniform(0, 3), rng.uniform(97, 100)))
    picture = np.clip((picture - low) / max(high - low, 1e-3), 0, 1) ** np.exp(rng.normal(0, 0.3))
    if rng.random() < 0.3:  # local contrast, as the machine's software makes it
        coarse = ndimage.gaussian_filter(picture, size / rng.uniform(8, 30))
        picture = np.clip(_MIDDLE + picture - coarse * rng.uniform(0.3, 0.9), 0, 1)
    picture += rng.uniform(0.003, 0.05) * rng.standard_normal(picture.shape)
    for _ in range(int(rng.integers(0, 3)) if rng.random() < 0.3 else 0):  # a letter, a wire
        thing = shape(rng, size, ("tube",)) if rng.random() < 0.6 else shape(rng, size, ("arc",))
        if thing.sum() < 0.01 * thing.size:
            picture[thing] = rng.uniform(0.8, 1.0)
    if rng.random() < 0.3:  # where the shutters were
        edge = int(size * rng.uniform(0.02, 0.12))
        picture[:edge], picture[-edge:] = 0, 0
        if rng.random() < 0.5:
            picture[:, :edge], picture[:, -edge:] = 0, 0
    if rng.random() < 0.1:
        picture = 1 - picture
    grey: NDArray[np.uint8] = (255 * np.clip(picture, 0, 1)).astype(np.uint8)
    return grey
