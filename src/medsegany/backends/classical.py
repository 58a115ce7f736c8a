"""A baseline without weights and without torch: the control in every comparison.

With a box: a geodesic active contour (Caselles et al., 1997; scikit-image's morphological form)
that starts as the ellipse inscribed in the box. With points only: a random walker (Grady, 2006)
from the points.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2gray
from skimage.segmentation import (
    inverse_gaussian_gradient,
    morphological_geodesic_active_contour,
    random_walker,
)

from medsegany.backends._verbs import EVERYTHING, Embedded, Verbs
from medsegany.cards import ModelCard
from medsegany.preprocess import check_image
from medsegany.prompts import Box, ObjectPrompts, Point
from medsegany.results import Segmentation
from medsegany.types import Image, Mask

_STEPS = 12
_MARGIN = 0.25  # of the box, seen around it
_SEED_PX = 2
_BETA = 1600  # how much an edge holds the random walker back
_REACH = 0.25  # of the shorter side: how far from the points an object is sought without a box
_FLAT = 1 / 255  # a window whose grey values spread less than this holds nothing to see
_SIDE_PX = 160  # every window is resized to this: a contour's few steps reach equally far in all


def open_model(card: ModelCard, **_: object) -> "ClassicalSegmenter":
    """The baseline; it has no options."""
    return ClassicalSegmenter(card.name)


class ClassicalSegmenter(Verbs):
    """Active contours and random walks; scores are nan, for nothing predicts them."""

    def __init__(self, name: str = "classical") -> None:
        super().__init__(name, EVERYTHING)

    def embed(self, image: Image) -> "ClassicalEmbedded":
        """Keep the image as grey values from 0 to 1; see `Segmenter.embed`."""
        image = check_image(image)
        grey = rgb2gray(image) if image.ndim == 3 else image / 255.0
        return ClassicalEmbedded(self, grey)


class ClassicalEmbedded(Embedded):
    """An image as grey values."""

    def __init__(self, segmenter: ClassicalSegmenter, grey: NDArray[np.float64]) -> None:
        super().__init__(segmenter, (grey.shape[0], grey.shape[1]))
        self._grey = grey

    def _predict(self, asked: dict[int, ObjectPrompts]) -> Segmentation:
        masks = {name: self._mask(here) for name, here in asked.items()}
        unknown = dict.fromkeys(masks, float("nan"))
        logits = {name: _depth(mask) for name, mask in masks.items()}
        return Segmentation(masks, unknown, dict(unknown), logits)

    def _mask(self, asked: ObjectPrompts) -> Mask:
        rows, cols = self._window(asked)
        crop = self._grey[rows, cols]
        if crop.std() < _FLAT:  # so that an object can end in a stack
            return np.zeros(self.shape, np.bool_)
        zoom = _SIDE_PX / max(crop.shape)
        if asked.box is None:  # edges that are drawn out hold a random walker back no more
            zoom = min(zoom, 1.0)
        shape = tuple(max(1, round(side * zoom)) for side in crop.shape)
        small = _resized(crop, shape)
        # pixel centres of the crop in pixels of the image
        y = rows.start + (np.arange(shape[0]) + 0.5) * crop.shape[0] / shape[0] - 0.5
        x = cols.start + (np.arange(shape[1]) + 0.5) * crop.shape[1] / shape[1] - 0.5
        if asked.box is not None:
            # A box says where the object ends: what leaks out of it is cut, or it would be carried
            # on and grow from slice to slice.
            found = _contour(small, ellipse(asked.box, y, x)) & _inside(asked.box, y, x)
            found = _with_points(found, asked.points, y, x)
        else:
            found = _walk(small, asked.points, y, x)
        mask = np.zeros(self.shape, np.bool_)
        mask[rows, cols] = _resized(found.astype(np.float64), crop.shape) >= 0.5
        if asked.box is not None and found.any() and not mask.any():  # half a pixel was left
            height, width = self.shape
            return ellipse(asked.box, np.arange(float(height)), np.arange(float(width)))
        return mask

    def _window(self, asked: ObjectPrompts) -> tuple[slice, slice]:
        """The part of the image that is looked at."""
        ys, xs = [p.y for p in asked.points], [p.x for p in asked.points]
        margin_y = margin_x = max(16.0, _REACH * min(self.shape))
        if asked.box is not None:
            box = asked.box
            ys, xs = [box.y0, box.y1], [box.x0, box.x1]
            margin_y = max(4.0, _MARGIN * (box.y1 - box.y0 + 1))
            margin_x = max(4.0, _MARGIN * (box.x1 - box.x0 + 1))
        height, width = self.shape
        return (
            _span(min(ys) - margin_y, max(ys) + margin_y, height),
            _span(min(xs) - margin_x, max(xs) + margin_x, width),
        )


def _span(low: float, high: float, size: int) -> slice:
    first = min(max(int(np.floor(low)), 0), size - 1)
    return slice(first, max(min(int(np.ceil(high)) + 1, size), first + 1))


def _resized(values: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[Any]:
    from skimage.transform import resize, resize_local_mean  # noqa: PLC0415 -- slow to import

    if values.shape == shape:
        return values
    # Averages over areas keep objects of a few pixels, which a blur would lose.
    shrinks = shape[0] < values.shape[0]
    resized: NDArray[Any] = (
        resize_local_mean(values, shape) if shrinks else resize(values, shape, order=1)
    )
    return resized


def ellipse(box: Box, y: NDArray[np.float64], x: NDArray[np.float64]) -> Mask:
    """The ellipse inscribed in a box whose corners are inclusive pixels."""
    cy, cx = (box.y0 + box.y1) / 2, (box.x0 + box.x1) / 2
    ry, rx = (box.y1 - box.y0 + 1) / 2, (box.x1 - box.x0 + 1) / 2
    inside: Mask = ((y[:, None] - cy) / ry) ** 2 + ((x[None, :] - cx) / rx) ** 2 <= 1
    return inside


def _inside(box: Box, y: NDArray[np.float64], x: NDArray[np.float64]) -> Mask:
    rows = (y >= box.y0 - 0.5) & (y <= box.y1 + 0.5)
    cols = (x >= box.x0 - 0.5) & (x <= box.x1 + 0.5)
    inside: Mask = rows[:, None] & cols[None, :]
    return inside


def _contour(grey: NDArray[np.float64], start: Mask) -> Mask:
    if min(grey.shape) < 3 or not start.any():
        return start
    edges = inverse_gaussian_gradient(grey, alpha=200.0, sigma=2.0)
    contour = morphological_geodesic_active_contour(
        edges, _STEPS, start.astype(np.int8), smoothing=1, threshold="auto", balloon=0
    )
    found: Mask = contour > 0
    # A contour that collapsed says nothing; the ellipse is the better guess.
    return found if found.sum() > 0.25 * start.sum() else start


def _with_points(
    mask: Mask, points: tuple[Point, ...], y: NDArray[np.float64], x: NDArray[np.float64]
) -> Mask:
    """A click is obeyed: a small disc around it is on the object, or off it."""
    for point in points:
        disc = (y[:, None] - point.y) ** 2 + (x[None, :] - point.x) ** 2 <= (_SEED_PX + 0.5) ** 2
        mask = mask | disc if point.positive else mask & ~disc
    return mask


def _walk(
    grey: NDArray[np.float64],
    points: tuple[Point, ...],
    y: NDArray[np.float64],
    x: NDArray[np.float64],
) -> Mask:
    nothing = np.zeros(grey.shape, np.bool_)
    positive = _with_points(nothing, tuple(p for p in points if p.positive), y, x)
    if not positive.any() or min(grey.shape) < 3:
        return positive
    seeds = np.zeros(grey.shape, np.int32)
    seeds[[0, -1], :] = seeds[:, [0, -1]] = 2  # the object ends before the window does
    negative = ~_with_points(~nothing, tuple(p for p in points if not p.positive), y, x)
    seeds[negative] = 2
    seeds[positive] = 1
    smooth = ndimage.gaussian_filter(grey, 1.0)
    if np.ptp(smooth) == 0 or (seeds > 0).all():
        return positive
    found: Mask = random_walker(smooth, seeds, beta=_BETA, mode="cg_j", tol=1e-4, prob_tol=1) == 1
    return found


def _depth(mask: Mask) -> NDArray[np.float32]:
    """Pixels to the contour, positive inside: what decides between overlapping objects."""
    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    depth: NDArray[np.float32] = (inside - outside).astype(np.float32)
    if mask.all() or not mask.any():  # no contour: the transform has nothing to measure from
        depth = np.where(mask, np.float32(1), np.float32(-1))
    return depth
