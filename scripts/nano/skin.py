"""Drawn skin with a lesion, as a dermatoscope shows it: the pools have three such images.

What is marked there is whole, however pale its middle, however dark a spot of it or a hair across
it is, and its border may be a matter of millimetres.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from shapes import Floats, blob, smooth
from skimage.draw import bezier_curve

from medsegany.training import Clip

Mask = NDArray[np.bool_]
_SKINS = np.array(((238, 205, 190), (225, 170, 150), (205, 150, 120), (160, 110, 85)), float)
_PIGMENTS = np.array(
    ((95, 60, 45), (60, 45, 45), (130, 85, 60), (185, 95, 95), (75, 75, 95), (165, 120, 90)), float
)
_SEEN = 6  # of 255: how much its rim differs from what is around it, at least


def skin(rng: np.random.Generator, size: int) -> Clip:
    """One lesion on skin, in a square of this side."""
    while True:
        mask = _lesion(rng, size)
        if not 0.01 * mask.size <= mask.sum() <= 0.6 * mask.size:
            continue
        image = _imaged(_coloured(mask, rng), rng)
        around = ndimage.binary_dilation(mask, iterations=5) & ~mask
        rim = mask & ~ndimage.binary_erosion(mask, iterations=5)
        if around.any() and np.abs(image[rim].mean(0) - image[around].mean(0)).max() > _SEEN:
            return Clip(image[None], mask[None], "skin")


def _lesion(rng: np.random.Generator, size: int) -> Mask:
    """One body, or several that have grown together, whose border is smooth or ragged."""
    at = size * rng.uniform(0.35, 0.65, 2)
    radius = size * float(np.exp(rng.uniform(np.log(0.07), np.log(0.38))))
    mask = blob(rng, size, radius, roughest=0.25)(at, 1.0, 0.0)
    for _ in range(int(rng.integers(0, 3))):
        away = radius * rng.uniform(0.2, 0.7) * _direction(rng)
        part = blob(rng, size, radius * rng.uniform(0.3, 0.7), roughest=0.25)
        mask |= part(at + away, 1.0, 0.0)
    depth = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    ragged = radius * rng.uniform(0, 0.08) * smooth(rng, size, max(2.0, radius / rng.uniform(2, 8)))
    return _largest(ndimage.binary_fill_holes(depth + ragged > 0))


def _direction(rng: np.random.Generator) -> NDArray[np.float64]:
    turn = rng.uniform(0, 2 * np.pi)
    return np.array([np.sin(turn), np.cos(turn)])


def _largest(mask: Mask) -> Mask:
    names, count = ndimage.label(mask)
    if count < 2:
        return mask
    found: Mask = names == 1 + np.argmax(np.bincount(names.ravel())[1:])
    return found


def _coloured(mask: Mask, rng: np.random.Generator) -> Floats:
    """`(H, W, 3)`: pigments of several kinds, here more, there less, in skin."""
    size, radius = len(mask), float(np.sqrt(mask.sum() / np.pi))
    first = int(rng.integers(len(_SKINS) - 1))
    base = _SKINS[first] + rng.uniform() * (_SKINS[first + 1] - _SKINS[first])
    base = base + rng.normal(0, 10, 3)
    picture = np.tile(base, (size, size, 1))
    for scale, most in ((size / 3, 14), (size / 12, 7), (2.5, 5)):
        tint = rng.normal(1, 0.2, 3)
        picture += rng.uniform(0, most) * smooth(rng, size, scale)[..., None] * tint
    soft = max(0.5, radius * rng.uniform(0.01, 0.15))
    there = ndimage.gaussian_filter(mask.astype(np.float32), soft)
    strength = rng.uniform(0.2, 0.9)
    main = _pigment(rng)
    amount = there * strength * _uneven(mask, radius, rng)
    picture += amount[..., None] * (main - picture)
    depth = ndimage.distance_transform_edt(mask)
    deepest = max(float(depth.max()), 1.0)
    for _ in range(int(rng.integers(0, 4))):  # regions of other colours, paler ones among them
        field = smooth(rng, size, max(2.0, radius * rng.uniform(0.15, 0.8)))
        part = mask & (field > rng.uniform(0.2, 1.2)) & (depth > rng.uniform(0, 0.3) * deepest)
        other = base + rng.normal(0, 12, 3) if rng.random() < 0.35 else _pigment(rng)
        edge = ndimage.gaussian_filter(part.astype(np.float32), rng.uniform(0.5, 3))
        picture += rng.uniform(0.3, 0.9) * edge[..., None] * (other - picture)
    if rng.random() < 0.25:  # a pale middle
        middle = ndimage.gaussian_filter(
            (depth > rng.uniform(0.3, 0.7) * deepest).astype(np.float32), rng.uniform(1, 4)
        )
        pale = base + rng.normal(0, 10, 3)
        picture += rng.uniform(0.3, 0.95) * middle[..., None] * (pale - picture)
    if rng.random() < 0.3:  # dots and globules
        for at in rng.permutation(np.argwhere(mask))[: int(rng.integers(3, 25))]:
            dot = blob(rng, size, rng.uniform(1.0, 0.06 * size))(at.astype(float), 1.0, 0.0) & mask
            picture[dot] += rng.uniform(0.3, 0.8) * (_pigment(rng) - picture[dot])
    found: Floats = picture.astype(np.float32)
    return found


def _pigment(rng: np.random.Generator) -> NDArray[np.float64]:
    found: NDArray[np.float64] = _PIGMENTS[int(rng.integers(len(_PIGMENTS)))] + rng.normal(0, 12, 3)
    return found


def _uneven(mask: Mask, radius: float, rng: np.random.Generator) -> Floats:
    """About 1: paler towards one side, in patches, or in a net."""
    size = len(mask)
    uneven = 1 + rng.uniform(0, 0.35) * smooth(rng, size, max(2.0, radius * rng.uniform(0.2, 1.0)))
    if rng.random() < 0.4:
        rows, columns = np.mgrid[:size, :size] - np.argwhere(mask).mean(0).reshape(2, 1, 1)
        sine, cosine = _direction(rng)
        uneven += rng.uniform(0.1, 0.5) * (sine * rows + cosine * columns) / max(radius, 1)
    if rng.random() < 0.35:
        net = np.abs(smooth(rng, size, rng.uniform(2, 5)))
        uneven += rng.uniform(0.1, 0.4) * (0.7 - net)
    found: Floats = np.clip(uneven, 0.15, 1.3).astype(np.float32)
    return found


def _imaged(picture: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """With hairs, bubbles, a dark rim, and the camera's noise."""
    size = len(picture)
    hairs = np.zeros((size, size), np.float32)
    for _ in range(int(rng.integers(1, 20)) if rng.random() < 0.35 else 0):
        ends = rng.integers(0, size, (3, 2))
        rows, columns = bezier_curve(*ends.ravel(), weight=1.0, shape=(size, size))
        hairs[rows, columns] = 1
    if hairs.any():
        hairs = np.clip(ndimage.gaussian_filter(hairs, rng.uniform(0.4, 1.1)) * 2, 0, 1)
        colour = rng.uniform(15, 90, 3) if rng.random() < 0.85 else rng.uniform(200, 250, 3)
        picture = picture + rng.uniform(0.5, 1) * hairs[..., None] * (colour - picture)
    for _ in range(int(rng.integers(1, 8)) if rng.random() < 0.15 else 0):
        bubble = blob(rng, size, rng.uniform(1.5, 0.05 * size), roughest=0.1)
        round_one = bubble(rng.uniform(0, size, 2), 1.0, 0.0)
        rim = round_one & ~ndimage.binary_erosion(round_one)
        picture = np.where(rim[..., None], picture + rng.uniform(20, 80), picture)
    rows, columns = np.mgrid[:size, :size] / (size - 1) - 0.5
    away = np.hypot(rows, columns)
    picture = picture * (1 - rng.uniform(0, 1.2) * np.clip(away - 0.25, 0, 1) ** 2)[..., None]
    if rng.random() < 0.15:
        picture = np.where((away > rng.uniform(0.52, 0.68))[..., None], rng.uniform(0, 25), picture)
    picture = ndimage.gaussian_filter(picture, (*[rng.uniform(0, 1.3)] * 2, 0))
    picture = picture * rng.uniform(0.8, 1.15) + rng.normal(0, rng.uniform(0.5, 6), picture.shape)
    colours: NDArray[np.uint8] = np.clip(picture, 0, 255).astype(np.uint8)
    return colours
