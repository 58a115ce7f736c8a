"""How much memory a stack will take, before it is begun."""

from typing import Protocol, runtime_checkable

from attrs import frozen

from medsegany._validate import whole
from medsegany.errors import InvalidInput
from medsegany.propagation._by_memory import ByMemory
from medsegany.propagation._volume import default_way
from medsegany.protocols import Propagation, Segmenter


@runtime_checkable
class KnowsItsSize(Protocol):
    """A model with a memory that says how large that will be."""

    def features_bytes(self) -> int:
        """Of one encoded slice."""

    def object_bytes(self, prompted: int) -> int:
        """Of what is remembered of an object with so many prompted slices."""


@runtime_checkable
class MayLookAtCrops(Protocol):
    """A model that may encode a crop for each object, where no slice serves two of them."""

    @property
    def crop(self) -> object | None:
        """How much is looked at; None for whole slices."""


@frozen
class MemoryEstimate:
    """Bytes that a volume will take beside the model and the volume itself.

    Attributes:
        features: Encoded slices that are kept to be used again.
        objects: What the model remembers of all objects.
        results: Masks as bits, and labels.
    """

    features: int
    objects: int
    results: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.features + self.objects + self.results

    def __str__(self) -> str:
        """In megabytes."""
        parts = (("features", self.features), ("objects", self.objects), ("results", self.results))
        words = ", ".join(f"{name} {size / 1e6:,.1f}" for name, size in parts)
        return f"{self.total / 1e6:,.1f} MB ({words})"


def estimate_memory(
    segmenter: Segmenter,
    shape: tuple[int, int, int],
    *,
    objects: int = 1,
    prompted: int = 1,
    propagation: Propagation | None = None,
) -> MemoryEstimate:
    """How much memory `segment_volume` will take; nothing is computed.

    Features and objects lie on the model's device, results in main memory. While the model works it
    needs more, which depends on the device and is not in it.

    Args:
        segmenter: The model.
        shape: `(D, H, W)` of the volume.
        objects: How many.
        prompted: Prompted slices of each.
        propagation: As for `segment_volume`.

    Raises:
        InvalidInput: A number that is none, or a shape that is not `(D, H, W)`.
    """
    if len(shape) != 3:
        msg = f"shape is (D, H, W), got {tuple(shape)}: colours take no memory."
        raise InvalidInput(msg)
    depth, height, width = (whole(n, 1, "shape") for n in shape)
    objects, prompted = whole(objects, 1, "objects"), whole(prompted, 1, "prompted")
    way = default_way(segmenter) if propagation is None else propagation
    features = remembered = 0
    if isinstance(segmenter, KnowsItsSize) and isinstance(way, ByMemory):
        one = segmenter.features_bytes()
        budget = way.budget
        features = max(one, min(depth * one, budget // one * one))
        if isinstance(segmenter, MayLookAtCrops) and segmenter.crop is not None:
            features = objects * one  # of the slice where each of them is
        remembered = objects * segmenter.object_bytes(prompted)
        if way.directions == "shared":  # what lies near the first prompted slice is kept as well
            remembered *= 2
    pixels = height * width
    results = depth * (objects * -(-pixels // 8) + pixels * (1 if objects < 256 else 2))
    return MemoryEstimate(features, remembered, results)
