"""Shapes that look a little like anatomy: bodies, walls, bands, trees, bones, things in pieces."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.draw import polygon2mask

Floats = NDArray[np.float32]
_RIM = 64  # points on a contour
COMPACT = ("blob", "blob", "blob", "lobes", "ring", "tube", "patch")
THIN = (*COMPACT, "blob", "ring", "tree", "tree", "pieces")
HOLLOW = ("ring", "ring", "ring", "arc", "arc", "tube", "tube", "bone", "bone", "lobes", "group",
          "group")  # fmt: skip

Shape = Callable[[float, NDArray[np.float64], float], NDArray[np.bool_]]


def shape(rng: np.random.Generator, size: int, shapes: Sequence[str]) -> NDArray[np.bool_]:
    """One of these shapes, somewhere in a square of this side."""
    return one_of(rng, size, shapes)(0.0, np.zeros(2), 0.0)


def one_of(rng: np.random.Generator, size: int, shapes: Sequence[str]) -> Shape:
    """How one of these shapes is drawn in a square of this side.

    Returns:
        A function of time from 0 to 1, of how far it moves until then, as (y, x) in pixels, and of
        the logarithm by which it grows.
    """
    kind = str(rng.choice(shapes))
    centre = rng.uniform(0.2, 0.8, 2) * size
    # Most things are small: sizes are spread evenly over their logarithm.
    radius = float(np.exp(rng.uniform(np.log(0.03), np.log(0.38)))) * size
    if kind in _OTHERS:
        made, smallest = _OTHERS[kind]
        return made(rng, size, centre, max(radius, smallest(size)))
    return _body(rng, size, centre, radius, kind)


def _body(
    rng: np.random.Generator, size: int, centre: NDArray[np.float64], radius: float, kind: str
) -> Shape:
    """A closed curve; "lobes" are several of them, a "ring" is one without its inside."""
    pieces = 1 if kind != "lobes" else int(rng.integers(2, 4))
    parts = [blob(rng, size, radius / np.sqrt(pieces)) for _ in range(pieces)]
    offsets = rng.normal(0, 0.7 * radius, (pieces, 2)) * (pieces > 1)
    inner = rng.uniform(0.35, 0.75) if kind == "ring" and radius > 6 else 0.0

    def draw(t: float, moves: NDArray[np.float64], grows: float) -> NDArray[np.bool_]:
        at, factor = centre + t * moves, float(np.exp(grows * t))
        mask = np.logical_or.reduce(
            [part(at + off, factor, t) for part, off in zip(parts, offsets, strict=True)]
        )
        return mask & ~parts[0](at, factor * inner, t) if inner else mask

    return draw


def blob(
    rng: np.random.Generator, size: int, radius: float, *, roughest: float = 0.5
) -> Callable[[NDArray[np.float64], float, float], NDArray[np.bool_]]:
    """A closed curve: an ellipse whose radius wavers with the angle, and turns into another."""
    angles = np.linspace(0, 2 * np.pi, _RIM, endpoint=False)
    waves = np.arange(2, 8)
    rough = rng.uniform(0, roughest)
    begin, end = (rng.normal(0, rough, (2, len(waves))) / waves for _ in range(2))
    stretch, turn = float(np.exp(rng.normal(0, 0.35))), rng.uniform(0, np.pi)

    def draw(at: NDArray[np.float64], factor: float, t: float) -> NDArray[np.bool_]:
        sine, cosine = (1 - t) * begin + t * end
        wavering = sine @ np.sin(np.outer(waves, angles)) + cosine @ np.cos(np.outer(waves, angles))
        r = radius * factor * np.clip(1 + wavering, 0.2, 2.0)
        y, x = r * np.sin(angles) * stretch, r * np.cos(angles) / stretch
        rim = [x * np.sin(turn) + y * np.cos(turn), x * np.cos(turn) - y * np.sin(turn)]
        mask: NDArray[np.bool_] = polygon2mask((size, size), np.stack(rim, 1) + at)
        return mask

    return draw


def _tube(rng: np.random.Generator, size: int, centre: NDArray[np.float64], radius: float) -> Shape:
    """A bent band, as a vessel or a layer is."""
    steps = 24
    bend = np.cumsum(rng.normal(0, 0.25, steps)) + rng.uniform(0, 2 * np.pi)
    length = rng.uniform(3, 9) * radius
    path = np.cumsum(np.stack([np.sin(bend), np.cos(bend)], 1) * length / steps, axis=0)
    path -= path.mean(0)
    width = max(1.2, radius * rng.uniform(0.15, 0.5))

    def draw(t: float, moves: NDArray[np.float64], grows: float) -> NDArray[np.bool_]:
        line = np.ones((size, size), np.bool_)
        fine = np.stack([np.interp(np.linspace(0, steps - 1, 200), np.arange(steps), p)
                         for p in path.T], 1) + centre + t * moves  # fmt: skip
        rows, columns = np.rint(fine).astype(int).T
        inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
        line[rows[inside], columns[inside]] = False
        if line.all():
            return ~line
        thick: NDArray[np.bool_] = ndimage.distance_transform_edt(line) <= width * np.exp(grows * t)
        return thick

    return draw


def _group(
    rng: np.random.Generator, size: int, centre: NDArray[np.float64], radius: float
) -> Shape:
    """A few bodies far from each other that are marked as one, as cysts or metastases are."""
    flat = float(np.exp(rng.uniform(-1.5, 0)))
    spread = np.array((flat, 1.0) if rng.random() < 0.7 else (1.0, flat)) * radius
    bodies = [
        (blob(rng, size, max(1.5, radius * rng.uniform(0.06, 0.35) * flat**0.5)), away)
        for away in rng.uniform(-1, 1, (int(rng.integers(2, 6)), 2)) * spread
    ]

    def draw(t: float, moves: NDArray[np.float64], grows: float) -> NDArray[np.bool_]:
        factor = float(np.exp(grows * t))
        return np.logical_or.reduce(
            [body(centre + t * moves + factor * away, factor, t) for body, away in bodies]
        )

    return draw


def _arc(rng: np.random.Generator, size: int, centre: NDArray[np.float64], radius: float) -> Shape:
    """A part of a wall, as the open end of a ventricle or a rib has; its ends are ragged."""
    outer = blob(rng, size, radius)
    inner = rng.uniform(0.4, 0.85)
    away = rng.normal(0, 0.12 * radius, 2)
    middle, half = rng.uniform(0, 2 * np.pi), rng.uniform(0.6, 2.8)
    rows, columns = np.mgrid[:size, :size]

    def draw(t: float, moves: NDArray[np.float64], grows: float) -> NDArray[np.bool_]:
        at, factor = centre + t * moves, float(np.exp(grows * t))
        angle = np.arctan2(rows - at[0], columns - at[1])
        near = np.abs((angle - middle + np.pi) % (2 * np.pi) - np.pi) < half
        return outer(at, factor, t) & ~outer(at + away, factor * inner, t) & near

    return draw


def _bone(rng: np.random.Generator, size: int, centre: NDArray[np.float64], radius: float) -> Shape:
    """A shaft with ends that are thicker, and one that may lie beside it; it may go on outside."""
    turn, bow = rng.uniform(0, 2 * np.pi), rng.normal(0, 0.15)
    along = np.array([np.sin(turn), np.cos(turn)])
    across = np.array([along[1], -along[0]])
    places = np.linspace(-1, 1, 40)
    shaft, first, second = radius * rng.uniform((0.12, 0.15, 0.15), (0.3, 0.5, 0.5))
    widths = shaft + first * np.clip(-places, 0, 1) ** 4 + second * np.clip(places, 0, 1) ** 4
    path = radius * (np.outer(places, along) + np.outer(bow * places**2, across))
    if rng.random() < 0.5:  # a head on a neck
        head = path[-1] + radius * rng.uniform(0.2, 0.6) * across * rng.choice((-1, 1))
        path = np.concatenate((path, np.linspace(path[-1], head, 10)))
        widths = np.append(widths, np.linspace(shaft, radius * rng.uniform(0.2, 0.4), 10))

    def draw(t: float, moves: NDArray[np.float64], grows: float) -> NDArray[np.bool_]:
        mask, factor = np.zeros((size, size), np.bool_), float(np.exp(grows * t))
        for place, width in zip(path, widths, strict=True):
            _dot(mask, centre + t * moves + factor * place, max(1.0, factor * width))
        return mask

    return draw


def _tree(rng: np.random.Generator, size: int, centre: NDArray[np.float64], radius: float) -> Shape:
    """Bent branches that part into thinner ones, as vessels do."""
    thickness = max(1.0, float(np.exp(rng.uniform(np.log(0.012), np.log(0.05)))) * size)
    open_ends = [(np.zeros(2), rng.uniform(0, 2 * np.pi), thickness, 2.2 * radius)]
    points, widths = [], []
    for _ in range(int(rng.integers(8, 24))):
        if not open_ends:
            break
        at, direction, width, length = open_ends.pop(0)
        bend = direction + np.cumsum(rng.normal(0, 0.12, 30))
        path = at + np.cumsum(np.stack([np.sin(bend), np.cos(bend)], 1) * length / 30, axis=0)
        points.append(path)
        widths.append(np.linspace(width, 0.8 * width, len(path)))
        for side in (-1, 1):
            if rng.random() < 0.85:
                turned = bend[-1] + side * rng.uniform(0.2, 0.9)
                part = rng.uniform(0.6, 0.85)
                open_ends.append((path[-1], turned, max(0.6, part * width), part * length))
    places, halves = np.concatenate(points), np.concatenate(widths) / 2
    places *= 2 * radius / max(float(np.ptp(places, axis=0).max()), 1.0)
    places -= (places.max(0) + places.min(0)) / 2

    def draw(t: float, moves: NDArray[np.float64], grows: float) -> NDArray[np.bool_]:
        mask = np.zeros((size, size), np.bool_)
        at = places + centre + t * moves
        wide = np.maximum(halves * np.exp(grows * t), 0.5)
        for n in range(len(at) - 1):
            if (n + 1) % 30 == 0:  # the next one begins elsewhere
                continue
            steps = np.linspace(at[n], at[n + 1], 1 + int(np.abs(at[n + 1] - at[n]).max()))
            for place in steps:
                _dot(mask, place, wide[n])
        return mask

    return draw


def _dot(mask: NDArray[np.bool_], place: NDArray[np.float64], radius: float) -> None:
    """Mark the pixels whose centres are within a radius."""
    first = np.maximum(np.floor(place - radius).astype(int), 0)
    last = np.minimum(np.ceil(place + radius).astype(int) + 1, mask.shape)
    if (last <= first).any():
        return
    rows, columns = np.mgrid[first[0] : last[0], first[1] : last[1]]
    near = np.hypot(rows - place[0], columns - place[1]) <= radius
    mask[first[0] : last[0], first[1] : last[1]] |= near


def _pieces(
    rng: np.random.Generator, size: int, centre: NDArray[np.float64], radius: float
) -> Shape:
    """One tissue in many places, as lesions, glands and the grey of a brain are."""
    field = smooth(rng, size, radius / rng.uniform(3, 8))
    cut = rng.uniform(0.0, 1.2)
    rows, columns = np.mgrid[:size, :size]

    def draw(t: float, moves: NDArray[np.float64], grows: float) -> NDArray[np.bool_]:
        at = centre + t * moves
        away = np.hypot(rows - at[0], columns - at[1])
        found: NDArray[np.bool_] = (field > cut) & (away < radius * np.exp(grows * t))
        return found

    return draw


def _patch(
    rng: np.random.Generator, size: int, centre: NDArray[np.float64], radius: float
) -> Shape:
    """What noise makes: ragged, as tumours and bleedings are."""
    field = smooth(rng, size, radius / 3)
    rows, columns = np.mgrid[:size, :size]

    def draw(t: float, moves: NDArray[np.float64], grows: float) -> NDArray[np.bool_]:
        at = centre + t * moves
        away = np.hypot(rows - at[0], columns - at[1]) / (radius * np.exp(grows * t))
        rough = field + 1.2 - 1.2 * away**2 > 0
        labels, count = ndimage.label(rough)
        if not count:
            return rough
        largest: NDArray[np.bool_] = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
        return ndimage.binary_fill_holes(largest) if rng.random() < 0.5 else largest

    return draw


def smooth(rng: np.random.Generator, size: int, scale: float) -> Floats:
    """Noise whose grains have this size; mean 0, standard deviation 1."""
    coarse = max(4, int(size / max(scale, 1.0)))
    grains = rng.standard_normal((coarse, coarse)).astype(np.float32)
    field: Floats = ndimage.zoom(grains, size / coarse, order=3, mode="reflect")[:size, :size]
    if field.shape != (size, size):
        field = np.pad(field, [(0, size - n) for n in field.shape], mode="edge")
    return (field - field.mean()) / (field.std() + 1e-6)


_OTHERS: dict[str, tuple[Callable[..., Shape], Callable[[int], float]]] = {
    "tube": (_tube, lambda _: 0.0),
    "patch": (_patch, lambda _: 6.0),
    "tree": (_tree, lambda size: 0.2 * size),
    "pieces": (_pieces, lambda _: 8.0),
    "arc": (_arc, lambda _: 6.0),
    "bone": (_bone, lambda _: 8.0),
    "group": (_group, lambda size: 0.12 * size),
}
"""How each is drawn, and its smallest radius in a square of a side."""
