"""What comes back: masks with the model's own opinion of them."""

from collections.abc import Iterator, Mapping

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany.errors import InvalidInput
from medsegany.types import Labels, Logits, Mask


def _only(found: Mapping[int, object], what: str) -> int:
    if len(found) != 1:
        msg = f"There are {len(found)} objects ({sorted(found)}): use .{what}s[id]."
        raise InvalidInput(msg)
    return next(iter(found))


def label_dtype(highest: int) -> type[np.uint8 | np.uint16]:
    """uint8 for ids up to 255, else uint16.

    Raises:
        InvalidInput: An id above 65535.
    """
    if highest > np.iinfo(np.uint16).max:
        msg = f"A label map holds ids up to 65535, got {highest}."
        raise InvalidInput(msg)
    return np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16


@frozen(eq=False)
class Segmentation:
    """Masks on one image, slice or frame.

    Every mapping goes from object id to that object's value.

    Attributes:
        masks: `(H, W)` bool, on the image as given. Masks of different objects may overlap.
        scores: The model's predicted IoU for the returned mask, never clipped: SAM1 and MedSAM may
            leave 0..1, and MedSAM's is untrained. nan where none was predicted.
        presence: How sure SAM2 is that the object is on this slice (sigmoid of its object score);
            nan for models without such a score and for given masks.
        logits: `(H, W)` float32 with `mask == logits > 0`. For MedSAM the log-odds of its
            interpolated probability; for a given mask +10 and -10.
        low_res_logits: `(h, w)` float32, the decoder's raw output before it is resized (for SAM2
            at a quarter of the model's input size); lacks objects that no decoder has seen. Where
            SAM2's memory is at work it is the record kept for the slice, holes filled.
        index: Slice or frame, 0 for a single image.
        verbatim: The objects whose mask was given rather than predicted.
    """

    masks: Mapping[int, Mask] = field(repr=lambda m: f"<objects {sorted(m)}>")
    scores: Mapping[int, float]
    presence: Mapping[int, float] = field(repr=False)
    logits: Mapping[int, Logits] = field(repr=False)
    low_res_logits: Mapping[int, Logits] = field(repr=False, factory=dict)
    index: int = 0
    verbatim: frozenset[int] = frozenset()

    @property
    def mask(self) -> Mask:
        """The mask, when there is one object.

        Raises:
            InvalidInput: There are several objects, or none.
        """
        return self.masks[_only(self.masks, "mask")]

    @property
    def score(self) -> float:
        """The score, when there is one object.

        Raises:
            InvalidInput: There are several objects, or none.
        """
        return self.scores[_only(self.scores, "score")]

    def labels(self) -> Labels:
        """`(H, W)` map of object ids, 0 where there is none.

        Where masks overlap, given masks win, then the higher logit, then the lower id.

        Raises:
            InvalidInput: There are no objects, so the size is not known.
        """
        if not self.masks:
            msg = "No object is on this slice, so there is no label map."
            raise InvalidInput(msg)
        shape = next(iter(self.masks.values())).shape
        merged = np.zeros(shape, label_dtype(max(self.masks)))
        best = np.full(shape, -np.inf, np.float32)
        for name in sorted(self.masks):
            rank = np.float32(np.inf) if name in self.verbatim else self.logits[name]
            # `>` keeps the lower id of a tie
            wins = self.masks[name] & ((rank > best) | (merged == 0))
            merged[wins] = name
            best = np.where(wins, rank, best)
        return merged


@frozen(eq=False)
class PackedMasks(Mapping[int, Mask]):
    """Object id -> `(D, H, W)` bool, kept as bits of the slices that hold something.

    A mask is unpacked each time it is asked for.

    Attributes:
        shape: `(D, H, W)`.
        bits: Object id -> slice -> `numpy.packbits` of the mask on it.
    """

    shape: tuple[int, int, int]
    bits: Mapping[int, Mapping[int, NDArray[np.uint8]]] = field(repr=False)

    def __getitem__(self, name: int) -> Mask:
        volume = np.zeros(self.shape, np.bool_)
        for k, packed in self.bits[name].items():
            volume[k] = unpack(packed, self.shape[1:])
        return volume

    def __iter__(self) -> Iterator[int]:
        return iter(self.bits)

    def __len__(self) -> int:
        return len(self.bits)


def unpack(packed: NDArray[np.uint8], shape: tuple[int, int]) -> Mask:
    """The `(H, W)` mask of `numpy.packbits`."""
    return np.unpackbits(packed, count=shape[0] * shape[1]).reshape(shape).astype(np.bool_)


@frozen(eq=False)
class VolumeSegmentation:
    """Masks in a volume.

    Attributes:
        masks: Object id -> `(D, H, W)` bool. Masks of different objects may overlap.
        scores: Object id -> `(D,)` float32, the model's predicted IoU on each slice; nan where the
            slice was not visited or nothing was predicted.
        visited: Object id -> first and last slice looked at.
    """

    masks: Mapping[int, Mask] = field(repr=lambda m: f"<objects {sorted(m)}>")
    scores: Mapping[int, NDArray[np.float32]] = field(repr=False)
    visited: Mapping[int, tuple[int, int]]
    _merged: Labels = field(repr=False, alias="merged")

    @property
    def mask(self) -> Mask:
        """`(D, H, W)`, when there is one object.

        Raises:
            InvalidInput: There are several objects, or none.
        """
        return self.masks[_only(self.masks, "mask")]

    def labels(self) -> Labels:
        """`(D, H, W)` map of object ids, 0 where there is none; overlaps are resolved.

        Which object gets a contested voxel is said by `overlap` of `segment_volume`.
        """
        return self._merged.copy()
