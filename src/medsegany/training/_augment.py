"""Other views of the same object: turned, scaled, mirrored, lighter, darker, blurred, noisier."""

from typing import Any, cast

import numpy as np
import torch
import torchvision.transforms.v2.functional as F  # noqa: N812 -- torchvision's own name for it
from attrs import evolve, field, frozen
from torchvision.transforms import InterpolationMode

from medsegany._validate import above_zero, not_negative
from medsegany.backends.sam2 import Crop
from medsegany.backends.sam2._crop import Part
from medsegany.prompts import Box, box_from_mask
from medsegany.training._clips import Clip


@frozen
class Augmentation:
    """How much a clip is changed; every frame of it in the same way.

    Attributes:
        degrees: Turned by up to this, either way.
        scale: Made larger or smaller by up to this factor: 1.2 is from 1 / 1.2 to 1.2.
        shear_degrees: Slanted by up to this, either way.
        flip: Whether it may be mirrored, left to right.
        intensity: How much gamma, contrast and brightness change: 0.3 is up to 30 %.
        noise: Largest standard deviation of noise, in grey values of 255.
        blur: Largest standard deviation of a blur, in pixels.
    """

    degrees: float = field(default=15.0, validator=not_negative)
    scale: float = field(default=1.2, validator=above_zero)
    shear_degrees: float = field(default=5.0, validator=not_negative)
    flip: bool = True
    intensity: float = field(default=0.25, validator=not_negative)
    noise: float = field(default=6.0, validator=not_negative)
    blur: float = field(default=1.0, validator=not_negative)

    def __call__(self, clip: Clip, rng: np.random.Generator) -> Clip:
        """Another view of it; the clip itself where the object would leave its first frame."""
        seen = self._moved(clip, rng)
        if not seen.masks[0].any():
            seen = clip
        return evolve(seen, frames=self._shaded(seen.frames, rng), source=None)

    def _moved(self, clip: Clip, rng: np.random.Generator) -> Clip:
        angle = rng.uniform(-self.degrees, self.degrees)
        factor = float(np.exp(rng.uniform(-1, 1) * np.log(self.scale)))
        shear = rng.uniform(-self.shear_degrees, self.shear_degrees, 2).tolist()
        frames = _channels_first(clip.frames)
        masks = torch.from_numpy(clip.masks.astype(np.uint8))[:, None]
        if self.flip and rng.random() < 0.5:
            frames, masks = frames.flip(-1), masks.flip(-1)
        how = {"angle": angle, "translate": [0, 0], "scale": factor, "shear": shear}
        frames = F.affine(frames, **how, interpolation=InterpolationMode.BILINEAR)
        masks = F.affine(masks, **how, interpolation=InterpolationMode.NEAREST)
        return evolve(clip, frames=_channels_last(frames), masks=masks[:, 0].numpy() > 0)

    def _shaded(self, frames: Any, rng: np.random.Generator) -> Any:  # noqa: ANN401
        values = _channels_first(frames)
        gamma, contrast, light = np.exp(rng.uniform(-1, 1, 3) * np.log1p(self.intensity)).tolist()
        blur = rng.uniform(0, self.blur)
        if rng.random() < 0.5 and blur > 0.2:
            values = F.gaussian_blur(values, [5, 5], [blur, blur])
        values = F.adjust_gamma(values, gamma)
        values = F.adjust_contrast(values, contrast) if values.shape[1] in {1, 3} else values
        noise = rng.uniform(0, self.noise) * (rng.random() < 0.5)
        shaded = values.numpy().astype(np.float32) * np.float32(light)
        if noise:
            shaded += rng.standard_normal(shaded.shape, np.float32) * np.float32(noise)
        return _channels_last(torch.from_numpy(np.clip(shaded, 0, 255).astype(np.uint8)))


def cut_out(clip: Clip, crop: Crop | None, side: int, rng: np.random.Generator) -> Clip:
    """What a model with a crop sees of a clip: the surroundings of its first object.

    Args:
        clip: Frames of any size.
        crop: How much is seen; None for all of it.
        side: Of the square that the model looks at.
        rng: The surroundings are up to a fifth wider or narrower than asked, and the object is
            somewhere in them, for so it is on the slices that follow.

    Returns:
        Frames of `side` by `side` pixels; the clip itself where nothing of a thin object would be
        left in them.
    """
    height, width = clip.masks.shape[1:]
    if crop is None:
        return _seen_in(clip, Part(0, 0, height, width), side)
    box = box_from_mask(clip.masks[0])
    sides = np.array([box.x1 - box.x0 + 1, box.y1 - box.y0 + 1])
    look = evolve(crop, times=max(1.1, crop.times * rng.uniform(0.8, 1.2)))
    x, y = rng.uniform(-0.4, 0.4, 2) * (look.times - 1) * sides
    moved = Box(box.x0 + x, box.y0 + y, box.x1 + x, box.y1 + y)
    return _seen_in(clip, look.around(moved, (height, width)), side)


def _seen_in(clip: Clip, part: Part, side: int) -> Clip:
    masks = np.stack([part.square_mask(mask, side) for mask in clip.masks])
    if not masks[0].any():
        return clip
    frames = np.stack([part.square(frame, side) for frame in clip.frames])
    return evolve(clip, frames=frames, masks=masks, source=None)


def _channels_first(frames: Any) -> torch.Tensor:  # noqa: ANN401 -- arrays of either shape
    """`(T, C, H, W)`."""
    tensor = torch.from_numpy(np.require(frames, requirements=["C", "W"]))
    return tensor[:, None] if tensor.ndim == 3 else tensor.permute(0, 3, 1, 2).contiguous()


def _channels_last(frames: torch.Tensor) -> Any:  # noqa: ANN401
    array = cast("Any", frames.numpy())
    return array[:, 0] if array.shape[1] == 1 else np.moveaxis(array, 1, -1)
