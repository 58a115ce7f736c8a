"""A model that looks at a crop for each object: its images, and its memory."""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from threading import Lock

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from medsegany._segmentations import given_in, join
from medsegany.backends._verbs import Embedded, Verbs
from medsegany.backends.sam2._crop import Crop, Part
from medsegany.backends.sam2._memory import Sam2Memory
from medsegany.backends.sam2._tiles import Tiles, blended, inside
from medsegany.prompts import Box, ObjectPrompts, box_from_mask
from medsegany.protocols import EmbeddedImage
from medsegany.results import Segmentation
from medsegany.types import Image

# As sure as a mask that is given: what was not looked at is not the object.
_OUTSIDE = np.float32(-10.0)
_EVERY = 8  # tile is looked at first
_KEPT = 8  # crops of an image, for whoever corrects what they see


class CroppedEmbedded(Embedded):
    """An image of which only what lies around each prompt is encoded, when it is asked for.

    Points alone do not say how large an object is: it is looked for in the whole image first, or at
    every size, and then again in a crop around what was found.

    Args:
        segmenter: Whose it is.
        image: uint8 `(H, W)` or `(H, W, 3)`.
        crop: How much is looked at.
        side: Of the square that is encoded.
        encode: Encodes an image.
        tiles: When one look is not enough; None for never.
    """

    def __init__(
        self,
        segmenter: Verbs,
        image: Image,
        crop: Crop,
        side: int,
        encode: Callable[[Image], EmbeddedImage],
        *,
        tiles: Tiles | None = None,
    ) -> None:
        super().__init__(segmenter, (image.shape[0], image.shape[1]))
        self._image = image.copy()
        self._crop = crop
        self._side = side
        self._encode = encode
        self._tiles = tiles
        self._encoded: OrderedDict[Part, EmbeddedImage] = OrderedDict()
        self._lock = Lock()

    def _predict(self, asked: dict[int, ObjectPrompts]) -> Segmentation:
        return join(0, *[self._one(name, here) for name, here in asked.items()])

    def _one(self, name: int, asked: ObjectPrompts) -> Segmentation:
        if asked.box is None:
            found = self.sought(name, asked)
            if not found.mask.any():
                return found
            asked = evolve(asked, box=box_from_mask(found.mask))
        box = region(asked, self.shape)
        found = self._in(self._crop.around(box, self.shape), name, asked)
        # Clicks correct what is seen; in tiles most of them would be out of sight.
        tiles = None if asked.points else self._tiles
        if tiles is not None and tiles.are_tried(found.scores[name], box, found.masks[name]):
            return self._from_near(name, box, tiles, found)
        return found

    def sought(self, name: int, asked: ObjectPrompts) -> Segmentation:
        """What points mean: at which size the model is surest of its mask."""
        parts = self._crop.at_every_size(region(asked, self.shape), self.shape)
        # Whoever clicks again waits for the whole image no second time.
        looks = [self._look(part, name, asked, keep=part == parts[0]) for part in parts]
        best = max(range(len(parts)), key=lambda n: (looks[n].mask.any(), looks[n].scores[name]))
        return pasted(looks[best], parts[best], self.shape)

    def _from_near(self, name: int, box: Box, tiles: Tiles, found: Segmentation) -> Segmentation:
        """What the tiles of a box show; what was found before, where that does not count."""
        parts = tiles.over(box, self.shape)
        # A few, from everywhere, tell whether to go on.
        looks = {part: self._tile(name, box, part) for part in parts[::_EVERY]}
        if not tiles.count([logits for logits, _ in looks.values()]):
            return found
        looks |= {part: self._tile(name, box, part) for part in parts if part not in looks}
        logits, scores = zip(*looks.values(), strict=True)
        if not tiles.count(logits):
            return found
        near = blended(zip(looks, logits, strict=True), self.shape, _OUTSIDE)
        return evolve(
            found,
            masks={name: near > 0},
            logits={name: near},
            scores={name: float(np.mean(scores))},
        )

    def _tile(self, name: int, box: Box, part: Part) -> tuple[NDArray[np.float32], float]:
        """Logits of a tile, on its pixels, and predicted IoU."""
        found = self._look(part, name, ObjectPrompts(box=inside(box, part)))
        logits = part.back(found.logits[name])
        # Unlike the box of a whole object, that of a tile may hold nothing.
        there = found.presence[name] > 0.5
        return logits if there else np.full_like(logits, _OUTSIDE), found.scores[name]

    def _in(self, part: Part, name: int, asked: ObjectPrompts) -> Segmentation:
        return pasted(self._look(part, name, asked, keep=True), part, self.shape)

    def _look(
        self, part: Part, name: int, asked: ObjectPrompts, *, keep: bool = False
    ) -> Segmentation:
        """One object in the square of a part."""
        prompts = part.in_square(asked, self._side).as_prompts()
        seen = self._embedded(part) if keep else self._encode(part.square(self._image, self._side))
        return seen.segment({name: prompts})

    def _embedded(self, part: Part) -> EmbeddedImage:
        with self._lock:
            if part not in self._encoded:
                self._encoded[part] = self._encode(part.square(self._image, self._side))
            self._encoded.move_to_end(part)
            while len(self._encoded) > _KEPT:
                self._encoded.popitem(last=False)
            return self._encoded[part]


def region(asked: ObjectPrompts, size: tuple[int, int]) -> Box:
    """The box and all positive points, inside of the image."""
    corners = [asked.box.as_array()] if asked.box else []
    corners += [np.array((p.x, p.y, p.x, p.y)) for p in asked.points if p.positive or not asked.box]
    last = np.array((size[1] - 1, size[0] - 1))
    x0, y0 = np.min(corners, axis=0)[:2].clip(0, last)
    x1, y1 = np.max(corners, axis=0)[2:].clip(0, last)
    return Box(x0, y0, x1, y1)


def pasted(found: Segmentation, part: Part, size: tuple[int, int]) -> Segmentation:
    """What was found in a part, in the whole image `(H, W)`; outside of it there is nothing."""
    logits = {name: np.full(size, _OUTSIDE) for name in found.logits}
    for name, seen in found.logits.items():
        logits[name][part.slices] = part.back(seen)
    return evolve(found, masks={n: values > 0 for n, values in logits.items()}, logits=logits)


@frozen
class _Seen:
    """An object on one slice: where it was looked for, and the box of what was found there."""

    index: int
    part: Part
    box: Box | None


class CroppedMemory:
    """A memory for each object, which sees the crop that goes with it from slice to slice.

    Args:
        crop: How much is looked at.
        side: Of the square that is encoded.
        locate: Finds what points mean, on a whole image: its box, or None.
        remember: Makes the memory of an object.
    """

    def __init__(
        self,
        crop: Crop,
        side: int,
        locate: Callable[[Image, ObjectPrompts], Box | None],
        remember: Callable[[], Sam2Memory],
    ) -> None:
        self._crop = crop
        self._side = side
        self._locate = locate
        self._remember = remember
        self._memories: dict[int, Sam2Memory] = {}
        self._prompted: dict[int, dict[int, _Seen]] = {}
        self._latest: dict[int, _Seen] = {}
        self._plan: Sequence[int] | None = None

    def condition(
        self, index: int, image: Image, prompts: Mapping[int, ObjectPrompts]
    ) -> Segmentation:
        """Segment the prompted objects, each in its crop, and remember it."""
        parts = [self._condition(index, image, name, asked) for name, asked in prompts.items()]
        found = join(index, *parts)
        records = {name: found.low_res_logits[name] for name in found.verbatim}
        # A mask is the result to its last pixel, those outside of the crop included.
        return join(index, found, evolve(given_in(prompts), low_res_logits=records))

    def _condition(self, index: int, image: Image, name: int, asked: ObjectPrompts) -> Segmentation:
        memory = self._memory(name)
        before = self._latest.get(name)
        part, asked = self._where(index, image, asked, before)
        if before is not None and before.index == index and before.part != part:
            memory.drop(index)  # what it saw there is another part
        prompts = {name: part.in_square(asked, self._side)}
        found = memory.condition(index, part.square(image, self._side), prompts)
        found = pasted(found, part, _size(image))
        self._note(name, index, part, found)
        self._prompted.setdefault(name, {})[index] = self._latest[name]
        return found

    def _where(
        self, index: int, image: Image, asked: ObjectPrompts, before: _Seen | None
    ) -> tuple[Part, ObjectPrompts]:
        """The part to look at, and what to ask there."""
        size = _size(image)
        here = before.part if before is not None and before.index == index else None
        if asked.mask is not None:
            mask = asked.mask.mask
            box = box_from_mask(mask) if mask.any() else None
        elif asked.box is not None:
            box = region(asked, size)
        elif here is not None and all(map(here.holds, asked.points)):
            return here, asked  # a correction of what is seen
        else:
            box = self._locate(image, asked)
            if box is not None:
                asked = evolve(asked, box=box)
                box = region(asked, size)
        if box is None:
            if before is not None and all(map(before.part.holds, asked.points)):
                return before.part, asked
            return Part(0, 0, *size), asked
        if here is None:
            return self._crop.around(box, size), asked
        return self._crop.following(here, box, size), asked

    def carry(
        self, index: int, image: Image, objects: Sequence[int], *, reverse: bool
    ) -> Segmentation:
        """Segment objects from what is remembered, each where it was seen last."""
        parts = []
        for name in objects:
            before = self._nearest(name, index + 1 if reverse else index - 1)
            part = before.part
            if before.box is not None:
                part = self._crop.following(part, before.box, _size(image))
            found = self._memories[name].carry(
                index, part.square(image, self._side), [name], reverse=reverse
            )
            found = pasted(found, part, _size(image))
            self._note(name, index, part, found)
            parts.append(found)
        return join(index, *parts)

    def expect(self, slices: Sequence[int]) -> None:
        """Which slices will be asked for, in order: none of them is corrected any more."""
        self._plan = slices
        for memory in self._memories.values():
            memory.expect(slices)

    def forget(self) -> None:
        """Forget every slice but the prompted ones."""
        for memory in self._memories.values():
            memory.forget()

    def _memory(self, name: int) -> Sam2Memory:
        if name not in self._memories:
            memory = self._memories[name] = self._remember()
            if self._plan is not None:
                memory.expect(self._plan)
        return self._memories[name]

    def _nearest(self, name: int, neighbour: int) -> _Seen:
        """Where the object was seen on the slice from which it is carried, or near it."""
        seen = [*self._prompted[name].values(), self._latest[name]]
        return min(reversed(seen), key=lambda it: abs(it.index - neighbour))

    def _note(self, name: int, index: int, part: Part, found: Segmentation) -> None:
        mask = found.masks[name]
        box = box_from_mask(mask) if mask.any() else None
        self._latest[name] = _Seen(index, part, box)


def _size(image: Image) -> tuple[int, int]:
    return image.shape[0], image.shape[1]
