"""Clips of real images: one that moves and bends, and volumes of which a few slices are taken."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own name for it
from numpy.typing import NDArray

from medsegany.prompts import box_from_mask
from medsegany.training import Clip

_SMALLEST = 20  # pixels


def in_motion(
    image: NDArray[np.uint8], mask: NDArray[np.bool_], frames: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """An image that drifts, turns, grows and bends more from frame to frame.

    Everything is in terms of the object's box, so a small object moves by few pixels.
    """
    height, width = mask.shape
    box = box_from_mask(mask)
    # torch counts places from -1 to 1 over the image.
    half = np.array([box.x1 - box.x0 + 1, box.y1 - box.y0 + 1]) / (width, height)
    step = rng.normal(0, 0.12, 2) * half
    turn, growth = rng.normal(0, 0.06), rng.normal(0, 0.08)
    bend = torch.from_numpy(rng.normal(0, 1, (1, 2, 4, 4)).astype(np.float32))
    bend = F.interpolate(bend, (height, width), mode="bicubic", align_corners=True)[0]
    bend *= torch.from_numpy((half * rng.uniform(0, 0.08)).astype(np.float32))[:, None, None]
    middle = np.array([box.x0 + box.x1 + 1, box.y0 + box.y1 + 1]) / (width, height) - 1
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    grids = []
    for t in range(frames):
        cosine, sine, scale = np.cos(turn * t), np.sin(turn * t), np.exp(-growth * t)
        dx, dy = x - middle[0] - step[0] * t, y - middle[1] - step[1] * t
        turned = torch.stack((cosine * dx - sine * dy, sine * dx + cosine * dy)) * scale
        place = turned + torch.from_numpy(middle.astype(np.float32))[:, None, None] + bend * t
        grids.append(place.permute(1, 2, 0).float())
    grid = torch.stack(grids)
    layers = image[..., None] if image.ndim == 2 else image
    tensor = torch.from_numpy(layers.astype(np.float32)).permute(2, 0, 1)
    moved = sampled(tensor, grid, "bilinear").round().byte().permute(0, 2, 3, 1).numpy()
    masks = sampled(torch.from_numpy(mask.astype(np.float32))[None], grid, "nearest")[:, 0] > 0.5
    return (moved[..., 0] if image.ndim == 2 else moved), masks.numpy()


def sampled(layers: torch.Tensor, grid: torch.Tensor, mode: str) -> torch.Tensor:
    """Layers `(C, H, W)` at the places `(T, H, W, 2)`, from -1 to 1 as (x, y)."""
    many = layers[None].expand(len(grid), -1, -1, -1)
    padding = "border" if mode == "bilinear" else "zeros"
    return F.grid_sample(many, grid, mode=mode, padding_mode=padding, align_corners=True)


class Volumes:
    """Clips of neighbouring slices from volumes with labels, along any of their axes.

    Args:
        path: An npz with `vol_0000`, `gt_0000` and so on.
        seed: Of what is drawn.
        held_out: Whether the twelfth part that is never trained on is meant.
    """

    def __init__(self, path: Path, seed: int, *, held_out: bool) -> None:
        self._seed = seed
        self._volumes: list[tuple[Any, Any]] = []
        with np.load(path, allow_pickle=False) as file:
            for key in sorted(k for k in file.files if k.startswith("vol_")):
                if (crc32(key.encode()) % 12 == 0) is held_out:
                    self._volumes.append((file[key], file[key.replace("vol_", "gt_")]))

    def __len__(self) -> int:
        return len(self._volumes)

    def whole(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
        """Every volume and its labels."""
        yield from self._volumes

    def clip(self, number: int, frames: int) -> Clip:
        """The clip of this number."""
        rng = np.random.default_rng([self._seed, number])
        volume, labels = self._volumes[int(rng.integers(len(self._volumes)))]
        axis = int(rng.integers(3))
        volume, labels = np.moveaxis(volume, axis, 0), np.moveaxis(labels, axis, 0)
        masks = labels > 0 if rng.random() < 0.5 else labels == rng.choice(labels[labels > 0])
        order = np.argsort(rng.random(len(masks)))
        first = next(int(k) for k in order if masks[k].sum() >= _SMALLEST)
        stride = int(rng.choice((-2, -1, 1, 2)))
        taken = np.clip(first + stride * np.arange(frames), 0, len(masks) - 1)
        images, masks = volume[taken], masks[taken]
        return Clip(
            np.ascontiguousarray(images), np.ascontiguousarray(masks), "mr3d_msd_hippocampus"
        )
