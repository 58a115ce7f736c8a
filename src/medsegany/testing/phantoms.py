"""Images whose truth is known."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany.types import Image, Labels, Mask
from medsegany.volume import Volume

_BACKGROUND, _OBJECT = 40, 200


def disc(shape: tuple[int, int], centre: tuple[float, float], radius: float) -> Mask:
    """A filled circle.

    Args:
        shape: `(H, W)`.
        centre: `(x, y)`: column and row.
        radius: In pixels; a pixel belongs to the disc when its centre does.
    """
    y, x = np.mgrid[: shape[0], : shape[1]]
    inside: Mask = (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2
    return inside


def image_of(mask: Mask, seed: int | None = None) -> Image:
    """A bright object on a dark ground, with noise when there is a seed."""
    image: NDArray[Any] = np.where(mask, _OBJECT, _BACKGROUND).astype(np.float64)
    if seed is not None:
        image += np.random.default_rng(seed).normal(0, 8, mask.shape)
    clipped: Image = np.clip(image, 0, 255).astype(np.uint8)
    return clipped


def squares(sides: Sequence[int], size: int = 20) -> NDArray[np.uint8]:
    """A black stack, or video, with a bright square at (4, 4) of side `sides[k]` on slice k.

    Args:
        sides: In pixels; 0 for a slice without the object.
        size: Height and width of every slice.
    """
    stack = np.zeros((len(sides), size, size), np.uint8)
    for k, side in enumerate(sides):
        stack[k, 4 : 4 + side, 4 : 4 + side] = _OBJECT
    return stack


def balls(
    shape: tuple[int, int, int] = (12, 64, 80),
    *,
    spacing_mm: tuple[float, float, float] = (3.0, 1.0, 1.0),
    seed: int = 0,
) -> tuple[Volume, Labels]:
    """A volume with two balls, 1 on the left and 2 on the right, and its labels.

    Ball 2 begins higher than ball 1, and neither reaches the first or the last slice.

    Args:
        shape: `(D, H, W)`, at least 8 slices.
        spacing_mm: Along (k, j, i).
        seed: Of the noise.
    """
    depth, height, width = shape
    k, y, x = np.mgrid[:depth, :height, :width]
    labels: Labels = np.zeros(shape, np.uint8)
    radius = min(height, width / 2) * 0.3
    reach = depth / 2 - 1.5  # slices from the centre to the pole
    for name, cx, ck in ((1, width * 0.27, depth / 2 - 1), (2, width * 0.73, depth / 2)):
        inside = (
            ((k - ck) / reach) ** 2 + ((y - height / 2) / radius) ** 2 + ((x - cx) / radius) ** 2
        ) < 1
        labels[inside] = name
    voxels = image_of(labels > 0, seed)
    return Volume.from_spacing(voxels, spacing_mm), labels


def moving_disc(
    length: int = 8, shape: tuple[int, int] = (48, 64), *, step: float = 2.0, seed: int = 0
) -> tuple[NDArray[np.uint8], Mask]:
    """A video of a disc that drifts to the right, `(T, H, W)`, and its true masks."""
    height, width = shape
    truth = np.stack(
        [disc(shape, (width * 0.3 + step * t, height / 2), height * 0.2) for t in range(length)]
    )
    return image_of(truth, seed), truth
