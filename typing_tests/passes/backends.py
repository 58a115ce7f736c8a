"""The models that ship with medsegany are segmenters; so are those that others write."""

from medsegany import Segmenter
from medsegany.backends.classical import ClassicalSegmenter
from medsegany.backends.medsam import MedSamSegmenter
from medsegany.backends.sam1 import Sam1Segmenter
from medsegany.backends.sam2 import Sam2Segmenter
from medsegany.propagation import ByBox, ByMemory
from medsegany.protocols import Propagation, RemembersSlices
from medsegany.testing import FakeSegmenter


def all_of_them(
    classical: ClassicalSegmenter,
    sam1: Sam1Segmenter,
    sam2: Sam2Segmenter,
    medsam: MedSamSegmenter,
    fake: FakeSegmenter,
) -> list[Segmenter]:
    return [classical, sam1, sam2, medsam, fake]


def with_a_memory(sam2: Sam2Segmenter) -> RemembersSlices:
    return sam2


WAYS: list[Propagation] = [ByBox(), ByMemory()]
