"""From clips to what the model is fed."""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own name for it
from attrs import frozen

from medsegany.backends.sam2 import MEAN, STD
from medsegany.training._clips import Clip
from medsegany.training._prompting import WITH_BOX, BoxJitter, PromptKind, clicks, nearest

_MOST_CLICKS = 4


@frozen(eq=False)
class Prompted:
    """How each object of a batch is prompted on one frame.

    Attributes:
        points: `(B, P, 2)` as (x, y) in pixels of the model's input; None for masks.
        labels: `(B, P)`: 1 inside, 0 outside, -1 nothing; 2 and 3 are a box's corners.
    """

    points: torch.Tensor | None
    labels: torch.Tensor | None


@frozen(eq=False)
class Batch:
    """Objects in clips of equal length.

    Attributes:
        frames: `(B, T, 3, S, S)`, normalised as the official transforms do; None where features
            take their place.
        masks: `(B, T, S, S)`, 0 to 1.
        targets: `(B, T, h, w)`: what the loss compares with, 0 to 1.
        prompts: By frame; the first is always among them.
        kind: Of the prompts, the same for all.
        features: The encoder's maps of all frames, `(B * T, C, h, w)` each, finest first; or None.
        origins: Where each clip comes from, for messages.
    """

    frames: torch.Tensor | None
    masks: torch.Tensor
    targets: torch.Tensor
    prompts: dict[int, Prompted]
    kind: PromptKind
    features: list[torch.Tensor] | None = None
    origins: tuple[str, ...] = ()


class Embeddings(Protocol):
    """Features that were computed before."""

    def of(self, clips: Sequence[Clip]) -> list[torch.Tensor]:
        """Of all frames of all clips, as `Batch.features` has them."""
        ...


def as_batch(  # noqa: PLR0913 -- what a batch is made of
    clips: Sequence[Clip],
    size: int,
    kind: PromptKind,
    jitter: BoxJitter,
    rngs: Sequence[np.random.Generator],
    prompted: Sequence[int] = (0,),
    *,
    at: Literal["decoder", "input"] = "input",
    smallest_px: int = 1,
    features: Embeddings | None = None,
) -> Batch:
    """Resize, normalise and prompt clips of equal length.

    Args:
        clips: One object each.
        size: The side of the model's input.
        kind: What they are prompted with. Boxes all of them where one has nothing in its first
            frame that could be clicked on.
        jitter: How loose boxes are.
        rngs: One for each clip.
        prompted: The frames that are prompted; those where any clip lacks its object, or has too
            little of it, are left out, but for the first.
        at: Where masks are compared; see `Loss.at`.
        smallest_px: Pixels that an object needs on a frame to be prompted there, too.
        features: Where features of frames are looked up, instead of the frames themselves.
    """
    if not all(clip.masks[0].any() for clip in clips):
        kind = "box"
    frames = None if features else torch.stack([as_input(clip, size) for clip in clips])
    masks = torch.stack([_resized_masks(clip, size) for clip in clips])
    targets = masks
    if at == "decoder":
        small = [[nearest(mask, size // 4) for mask in clip.masks] for clip in clips]
        targets = torch.from_numpy(np.array(small)).float()
    there = [t for t in prompted if all(clip.masks[t].sum() >= smallest_px for clip in clips)]
    prompts = {t: _prompted(clips, t, size, kind, jitter, rngs) for t in sorted({0, *there})}
    origins = tuple(clip.origin for clip in clips)
    return Batch(
        frames, masks, targets, prompts, kind, features.of(clips) if features else None, origins
    )


def as_input(clip: Clip, size: int) -> torch.Tensor:
    """`(T, 3, size, size)`: as `SAM2Transforms` prepares each frame."""
    frames = torch.from_numpy(np.require(clip.frames, requirements=["C", "W"]))
    if frames.ndim == 3:
        frames = frames[..., None].expand(-1, -1, -1, 3)
    unit = frames.permute(0, 3, 1, 2).float() / 255
    if unit.shape[-2:] != (size, size):
        unit = F.interpolate(unit, (size, size), mode="bilinear", antialias=True)
    return (unit - MEAN) / STD


def _resized_masks(clip: Clip, size: int) -> torch.Tensor:
    masks = torch.from_numpy(np.require(clip.masks, requirements=["C", "W"]))[:, None].float()
    if masks.shape[-2:] != (size, size):
        shrinks = max(masks.shape[-2:]) > size
        # By area where it shrinks and to the nearest where it grows; thin parts survive as halves.
        mode = "area" if shrinks else "nearest"
        masks = F.interpolate(masks, (size, size), mode=mode)
    return masks[:, 0]


def _prompted(
    clips: Sequence[Clip],
    t: int,
    size: int,
    kind: PromptKind,
    jitter: BoxJitter,
    rngs: Sequence[np.random.Generator],
) -> Prompted:
    drawn = list(zip((clip.masks[t] for clip in clips), rngs, strict=True))
    if kind == "mask":
        return Prompted(None, None)
    points, labels = [], []
    if kind in WITH_BOX:
        given = [clip.box if t == 0 else None for clip in clips]
        boxes = [
            jitter.box(mask, size, rng, box) for (mask, rng), box in zip(drawn, given, strict=True)
        ]
        points.append(np.stack(boxes).reshape(-1, 2, 2))
        labels.append(np.tile(np.array([2, 3], np.int32), (len(clips), 1)))
    if kind != "box":
        most = 1 if kind == "point" else _MOST_CLICKS
        where, said = zip(*(clicks(mask, most, size, rng) for mask, rng in drawn), strict=True)
        points.append(np.stack(where))
        labels.append(np.stack(said))
    return Prompted(
        torch.from_numpy(np.concatenate(points, 1)), torch.from_numpy(np.concatenate(labels, 1))
    )
