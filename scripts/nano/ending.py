"""Real clips whose object ends: most of those in the pools go on, and an organ does not."""

import numpy as np
import torch
from attrs import evolve
from moving import sampled
from numpy.typing import NDArray
from scipy import ndimage

from medsegany.prompts import box_from_mask
from medsegany.training import Clip


def ending(clip: Clip, rng: np.random.Generator) -> Clip:
    """The clip with an object that is gone from one frame to the next.

    Half of them are covered by what lies beside them; in the others, and where nothing fits, what
    is around the object is drawn together over its place. All at once: of objects that grew smaller
    before they went, a model learnt to let others shrink.
    """
    count = len(clip.masks)
    frames, masks = clip.frames.copy(), clip.masks.copy()
    away = _beside(masks, rng) if rng.random() < 0.5 else None
    for t in range(int(rng.integers(1, count)), count):
        if masks[t].any():
            frames[t] = (
                _drawn_together(frames[t], masks[t])
                if away is None
                else _covered(frames[t], masks[t], away)
            )
            masks[t] = False
    return evolve(clip, frames=frames, masks=masks, source=None)


def _beside(masks: NDArray[np.bool_], rng: np.random.Generator) -> tuple[int, int] | None:
    """How far away, in rows and columns, something lies that could cover the object; or None."""
    ever = ndimage.binary_dilation(masks.any(0), iterations=3)
    rows, columns = np.nonzero(ever)
    for turn in rng.uniform(0, 2 * np.pi, 12):
        far = rng.uniform(1.0, 1.5)
        down = round(far * np.sin(turn) * (np.ptp(rows) + 1))
        right = round(far * np.cos(turn) * (np.ptp(columns) + 1))
        there, beside = rows + down, columns + right
        fits = there.min() >= 0 and beside.min() >= 0
        fits = fits and there.max() < ever.shape[0] and beside.max() < ever.shape[1]
        if fits and not ever[there, beside].any():
            return down, right
    return None


def _covered(
    frame: NDArray[np.uint8], mask: NDArray[np.bool_], away: tuple[int, int]
) -> NDArray[np.uint8]:
    """Replaced by what lies beside it, made as bright as what is around it."""
    beside = np.roll(frame.astype(np.float32), (-away[0], -away[1]), (0, 1))
    rim = ndimage.binary_dilation(mask, iterations=3) & ~mask
    if rim.any():
        beside += frame[rim].mean(0) - beside[rim].mean(0)
    part = ndimage.gaussian_filter(ndimage.binary_dilation(mask).astype(np.float32), 1.0)
    part = part if frame.ndim == 2 else part[..., None]
    mixed = part * beside + (1 - part) * frame
    return np.clip(mixed, 0, 255).round().astype(np.uint8)


def _drawn_together(frame: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Every pixel shows what is farther from the object's middle."""
    height, width = mask.shape
    box = box_from_mask(mask)
    middle = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
    half = ((box.x1 - box.x0 + 1) / 2, (box.y1 - box.y0 + 1) / 2)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    dx, dy = (x - middle[0]) / half[0], (y - middle[1]) / half[1]
    away = torch.hypot(dx, dy)
    rim = float(away[torch.from_numpy(mask)].max())
    # In the middle by all of the object, at twice its size by nothing.
    times = (away + rim * (1 - away / (2 * rim)).clamp(min=0)) / away.clamp(min=1e-3)
    places = (
        2 * (middle[0] + dx * half[0] * times) / max(width - 1, 1) - 1,
        2 * (middle[1] + dy * half[1] * times) / max(height - 1, 1) - 1,
    )
    grid = torch.stack(places, -1)[None].float()
    layers = torch.from_numpy((frame if frame.ndim == 3 else frame[..., None]).astype(np.float32))
    drawn = sampled(layers.permute(2, 0, 1), grid, "bilinear")[0].round().byte().permute(1, 2, 0)
    return drawn.numpy() if frame.ndim == 3 else drawn[..., 0].numpy()
