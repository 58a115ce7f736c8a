"""One case, one model, one protocol: prompts, masks and scores."""

import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany import metrics
from medsegany._sha256 import file_sha256
from medsegany.benchmark._manifest import Case
from medsegany.benchmark._protocol import Protocol
from medsegany.errors import FileError, InvalidInput
from medsegany.io._files import existing, reading
from medsegany.prompts import Box, Placed, prompt_slice
from medsegany.protocols import Segmenter
from medsegany.results import PackedMasks, unpack
from medsegany.types import Labels, Mask

_TOGETHER = 32  # objects of an image in one call: each has logits of its size until it ends


@frozen(eq=False)
class Opened:
    """A case in memory.

    Attributes:
        case: What the manifest says.
        image: uint8, as the verbs take it.
        truth: Labels, of `case.shape`.
    """

    case: Case
    image: NDArray[np.uint8] = field(repr=False)
    truth: Labels = field(repr=False)


@frozen
class Asked:
    """What one object was prompted with.

    Attributes:
        label: Of the object.
        box: On its slice.
        index: The slice or frame; 0 in an image.
        first: The first slice or frame that holds it in the reference.
        last: The last one.
    """

    label: int
    box: Box
    index: int
    first: int
    last: int


@frozen(eq=False)
class Found:
    """What a model made of a case.

    Attributes:
        asked: The objects, in order.
        masks: Label -> mask, of the shape of the reference; slices that nobody looked at are empty.
            Each is made when it is asked for, since together they can be larger than the memory.
        seconds: What the model took for all objects.
    """

    asked: tuple[Asked, ...]
    masks: Mapping[int, Mask] = field(repr=False)
    seconds: float


@frozen(eq=False)
class _Masks(Mapping[int, Mask]):
    """Masks that are made when they are asked for."""

    labels: tuple[int, ...]
    make: Callable[[int], Mask]

    def __getitem__(self, label: int) -> Mask:
        return self.make(label)

    def __iter__(self) -> Iterator[int]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)


@frozen
class Score:
    """How well one object was found.

    Attributes:
        asked: The object.
        dsc: Of the whole object, in a video from its first frame on.
        nsd: Likewise; in a video the mean over frames that hold it, in pixels.
        voxels: Of the reference.
        found_voxels: Of the mask.
    """

    asked: Asked
    dsc: float
    nsd: float
    voxels: int
    found_voxels: int


def opened(case: Case, path: Path) -> Opened:
    """Read a case.

    Raises:
        FileError: The file is missing, broken, or not the one of the manifest.
    """
    path = existing(path)
    if file_sha256(path) != case.sha256:
        msg = f"{path} is not the file that the manifest knows: it was changed, or replaced."
        raise FileError(msg)
    with reading(path, "a case (npz)"), np.load(path, allow_pickle=False) as file:
        image, truth = file["imgs"], file["gts"]
    return Opened(case, image, truth)


def asked(case: Case, truth: Labels, protocol: Protocol) -> list[Asked]:
    """What a protocol asks of a case: one box for each object that is large enough."""
    found = []
    stack = truth[None] if case.kind == "2d" else truth
    where = "first" if case.kind == "video" else protocol.where
    for label in sorted(case.labels):
        mask = stack == label
        areas = mask.sum((1, 2))
        there = np.flatnonzero(areas)
        if not there.size:
            continue
        k = prompt_slice(areas, where)
        if areas[k] >= protocol.smallest_px:
            box = protocol.box(mask[k], case.id, label)
            found.append(Asked(label, box, k, int(there[0]), int(there[-1])))
    return found


def segmented(
    what: Opened,
    segmenter: Segmenter,
    protocol: Protocol,
    initializers: Callable[[str], Segmenter] | None = None,
) -> Found:
    """Let a model segment the objects of a case.

    Args:
        what: The case.
        segmenter: The model.
        protocol: How it is asked.
        initializers: Gives the model of that name, for protocols with `init="medsam"`.

    Raises:
        InvalidInput: The protocol asks for nothing in this case.
    """
    objects = asked(what.case, what.truth, protocol)
    if not objects:
        msg = f"{what.case.id} holds no object of {protocol.smallest_px} pixels."
        raise InvalidInput(msg)
    ways = {"2d": _image, "3d": _volume, "video": _video}
    initializer = None
    if initializers is not None and protocol.init == "medsam" and what.case.kind == "3d":
        initializer = initializers(protocol.initializer)
    start = time.perf_counter()
    masks = ways[what.case.kind](what, objects, segmenter, protocol, initializer)
    return Found(tuple(objects), masks, time.perf_counter() - start)


def _image(
    what: Opened, objects: list[Asked], segmenter: Segmenter, protocol: Protocol, _: object
) -> Mapping[int, Mask]:
    embedded = segmenter.embed(what.image)  # once, however many objects
    height, width = what.truth.shape
    bits: dict[int, NDArray[np.uint8]] = {}
    for begin in range(0, len(objects), _TOGETHER):
        some = objects[begin : begin + _TOGETHER]
        found = embedded.segment({one.label: one.box for one in some}).masks
        bits |= {label: np.packbits(mask) for label, mask in found.items()}
    masks = _Masks(tuple(bits), lambda label: unpack(bits[label], (height, width)))
    if protocol.overlap != "last":
        return masks
    drawn = np.zeros((height, width), np.int64)
    for label, mask in masks.items():
        drawn[mask] = label
    return _Masks(tuple(bits), lambda label: drawn == label)


def _volume(
    what: Opened,
    objects: list[Asked],
    segmenter: Segmenter,
    protocol: Protocol,
    initializer: Segmenter | None,
) -> Mapping[int, Mask]:
    boxes = {one.label: one.box.at(one.index) for one in objects}
    slices = {one.label: (one.first, one.last) for one in objects}
    out = segmenter.segment_volume(
        what.image,
        boxes,
        init=protocol.init,
        initializer=initializer,
        reference=what.truth if protocol.init == "gt" else None,
        slices=slices if protocol.range_known else None,
        propagation=protocol.propagation(segmenter),
        overlap=protocol.overlap,
    )
    if protocol.overlap == "last":
        labels = out.labels()
        return _Masks(tuple(out.masks), lambda label: labels == label)
    return out.masks


def _video(
    what: Opened, objects: list[Asked], segmenter: Segmenter, protocol: Protocol, _: object
) -> Mapping[int, Mask]:
    length, height, width = what.truth.shape
    bits: dict[int, dict[int, NDArray[np.uint8]]] = {one.label: {} for one in objects}
    # With a known range every object is a film of its own, as in the released script.
    groups = [[one] for one in objects] if protocol.range_known else [objects]
    for group in groups:
        first = min(one.first for one in group)
        last = group[0].last if protocol.range_known else len(what.image) - 1
        prompts: dict[int, Placed[Box]] = {
            one.label: one.box.at(one.index - first) for one in group
        }
        frames = what.image[first : last + 1]
        with segmenter.track_video(
            frames, prompts, propagation=protocol.propagation(segmenter)
        ) as tracking:
            for found in tracking:
                for label, mask in found.masks.items():
                    bits[label][first + found.index] = np.packbits(mask)
    return PackedMasks((length, height, width), bits)


def scored(what: Opened, found: Found, protocol: Protocol) -> list[Score]:
    """Compare what was found with the reference."""
    return [_score(what, one, found.masks[one.label], protocol) for one in found.asked]


def nsd_of(mask: Mask, truth: Mask, spacing_mm: tuple[float, ...], tolerance_mm: float) -> float:
    """The NSD of an image or a volume; one slice has a border, and no faces above and below."""
    if truth.ndim == 3 and len(truth) == 1:
        mask, truth, spacing_mm = mask[0], truth[0], spacing_mm[1:]
    return float(metrics.nsd(mask, truth, spacing_mm=spacing_mm, tolerance_mm=tolerance_mm))


def _score(what: Opened, one: Asked, mask: Mask, protocol: Protocol) -> Score:
    truth = what.truth == one.label
    spacing: tuple[float, ...] = what.case.spacing_mm or (1.0,) * truth.ndim
    if what.case.kind == "video":
        # What was before the prompt was not asked for.
        mask, truth = mask[one.first :], truth[one.first :]
        frames = np.flatnonzero(truth.any((1, 2)))
        nsd = float(
            np.mean([
                metrics.nsd(mask[t], truth[t], spacing_mm=(1, 1),
                            tolerance_mm=protocol.tolerance_mm)
                for t in frames
            ])
        )  # fmt: skip
    else:
        nsd = nsd_of(mask, truth, spacing, protocol.tolerance_mm)
    return Score(one, metrics.dsc(mask, truth), nsd, int(truth.sum()), int(mask.sum()))
