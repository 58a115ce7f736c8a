"""What nano sees while it learns: images and clips of all kinds, changed and cut out."""

from collections.abc import Callable
from functools import cache

import numpy as np
from attrs import evolve
from ending import ending
from moving import Volumes
from neighbours import Neighbours
from painted import painted
from pools import Pools
from projected import radiograph
from shapes import HOLLOW
from skin import skin
from stages import Stage
from synthetic import Synthetic
from tissues import heart, lesion

from medsegany.backends.sam2 import Crop
from medsegany.backends.sam2._tiles import inside
from medsegany.prompts import Box, ObjectPrompts, box_from_mask
from medsegany.training import Clip, cut_out

Draw = Callable[[np.random.Generator, int], Clip]
_SCENES = 3000  # drawn once each; what is cut out of them differs every time
_SIDE = 224  # of drawn radiographs and skin
_LINES = ("Fundus", "OCT", "Ultrasound")  # what is thin there: vessels, the outline of a head


class Mixed:
    """A third drawn, the others real.

    Args:
        pools: The real images.
        volumes: Real volumes, for clips of several frames.
        neighbours: Slices that follow each other, for clips, too.
        drawn: Of images, by the number of frames.
        stage: How they are changed and cut out.
        seed: Of what is chosen, cut out and changed.
    """

    def __init__(
        self,
        pools: Pools,
        volumes: Volumes,
        neighbours: Neighbours,
        drawn: Synthetic,
        stage: Stage,
        *,
        seed: int,
    ) -> None:
        self._pools, self._volumes, self._neighbours = pools, volumes, neighbours
        self._stage, self._seed = stage, seed
        self._drawn = cache(drawn.clip)
        self._large = {"lines": pools.thin(_LINES), "thin": pools.thin()}
        self._hollow = pools.hollow() if stage.hollow else pools
        self._scene = cache(lambda draw, n: draw(np.random.default_rng([seed, n]), _SIDE))

    def __len__(self) -> int:
        return self._stage.recipe.batch * 100  # are called an epoch

    def clip(self, number: int, frames: int) -> Clip:
        """See `medsegany.training.Clips`."""
        rng = np.random.default_rng([self._seed, number])
        stage = self._stage
        if frames == 1 and stage.near and rng.random() < stage.near:
            return self._near(number, rng)
        kinds = ("drawn", "pools", "volumes")
        kind = str(rng.choice(kinds, p=(0.3, 0.7, 0) if frames == 1 else (0.3, 0.4, 0.3)))
        clip = self._seldom(number, rng) if frames == 1 else None
        if clip is None:
            clip = self._usual(number, frames, kind, rng)
        if frames > 1 and stage.ending and kind != "drawn" and rng.random() < stage.ending:
            clip = ending(clip, rng)
        if stage.remapped and rng.random() < stage.remapped:
            clip = remapped(clip, rng)
        clip = stage.augmentation(clip, rng) if rng.random() < stage.changed else clip
        if rng.random() < stage.cut_out:
            # Frames of a clip need more room than an image does.
            times = rng.uniform(1.2, 1.7) if frames == 1 else rng.uniform(1.4, 2.0)
            return cut_out(
                clip, Crop(times, narrowest=rng.uniform(0.4, 1.0)), stage.image_size, rng
            )
        return cut_out(clip, None, stage.image_size, rng)

    def _seldom(self, number: int, rng: np.random.Generator) -> Clip | None:
        """What few images have: something bent, or painted into one; None for what is usual."""
        stage = self._stage
        kinds: tuple[tuple[float, Callable[[], Clip]], ...] = (
            (stage.hollow, lambda: self._bent(number, rng)),
            (stage.painted, lambda: painted(self._pools.clip(number, 1), HOLLOW, rng)),
            (stage.lesions, lambda: lesion(self._pools.clip(number, 1), rng)),
            (stage.hearts, lambda: heart(self._pools.clip(number, 1), rng)),
            (stage.radiographs, lambda: self._drawn_as(radiograph, rng)),
            (stage.skin, lambda: self._drawn_as(skin, rng)),
        )
        shares = [share for share, _ in kinds]
        if not any(shares):
            return None
        which = int(np.searchsorted(np.cumsum(shares), rng.random(), side="right"))
        return kinds[which][1]() if which < len(kinds) else None

    def _bent(self, number: int, rng: np.random.Generator) -> Clip:
        clip = self._hollow.clip(number, 1)
        return remapped(clip, rng) if rng.random() < 0.25 else clip

    def _drawn_as(self, kind: Draw, rng: np.random.Generator) -> Clip:
        return self._scene(kind, int(rng.integers(_SCENES // 2)))

    def _usual(self, number: int, frames: int, kind: str, rng: np.random.Generator) -> Clip:
        """Drawn or from the pools; of several frames a volume or slices that follow, too."""
        if frames > 1 and self._stage.neighbours and rng.random() < self._stage.neighbours:
            return self._neighbours.clip(number, frames)
        if kind == "pools":
            return self._pools.clip(number, frames)
        if kind == "volumes":
            return self._volumes.clip(number, frames)
        return self._drawn(int(rng.integers(_SCENES)) // frames, frames)

    def _near(self, number: int, rng: np.random.Generator) -> Clip:
        """A window into something large or thin, often a tree of vessels."""
        kind = rng.choice(("lines", "thin", "drawn", "pools"), p=(0.45, 0.15, 0.25, 0.15))
        if kind == "drawn":
            clip = self._drawn(int(rng.integers(_SCENES)), 1)
        else:
            clip = self._large.get(kind, self._pools).clip(number, 1)
        stage = self._stage
        if rng.random() < 0.3:
            clip = remapped(clip, rng)
        clip = stage.augmentation(clip, rng) if rng.random() < stage.changed else clip
        return tile(clip, stage.image_size, rng)


def tile(clip: Clip, side: int, rng: np.random.Generator) -> Clip:
    """A part of the object's box as a square of this side, half of them on the object.

    It is prompted as `medsegany.backends.sam2.Tiles` are: by what of the box lies in it, whether or
    not anything of the object does.
    """
    mask = clip.masks[0]
    if not mask.any():
        return clip
    box = box_from_mask(mask)
    wide = max(box.x1 - box.x0, box.y1 - box.y0) + 1
    near = max(16, round(wide * float(np.exp(rng.uniform(np.log(0.15), np.log(0.5))))))
    if rng.random() < 0.5:
        y, x = rng.permutation(np.argwhere(mask))[0] + rng.integers(-near // 3, near // 3, 2)
    else:
        x, y = rng.uniform((box.x0, box.y0), (box.x1, box.y1))
    x, y = np.clip((x, y), (box.x0, box.y0), (box.x1, box.y1))
    part = Crop(near, narrowest=1.0).around(Box(x, y, x, y), (mask.shape[0], mask.shape[1]))
    return evolve(
        clip,
        frames=np.stack([part.square(frame, side) for frame in clip.frames]),
        masks=np.stack([part.square_mask(mask, side) for mask in clip.masks]),
        box=part.in_square(ObjectPrompts(box=inside(box, part)), side).box,
        source=None,
    )


def remapped(clip: Clip, rng: np.random.Generator) -> Clip:
    """What another machine might show: each brightness becomes another, in order, or nearly."""
    knots = np.concatenate(([0.0], np.sort(rng.uniform(0.05, 0.95, 4)), [1.0]))
    values = np.sort(rng.uniform(0, 1, len(knots)))
    if rng.random() < 0.4:  # two tissues change places
        values = values + rng.normal(0, 0.25, len(knots))
    if rng.random() < 0.5:
        values = values[::-1]
    table = 255 * np.clip(np.interp(np.linspace(0, 1, 256), knots, values), 0, 1)
    return evolve(clip, frames=table.astype(np.uint8)[clip.frames], source=None)
