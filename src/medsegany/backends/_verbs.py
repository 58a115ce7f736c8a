"""The three verbs of the backends that ship with medsegany, given `embed`.

Not a base for backends of your own: those hand their verbs to `medsegany.propagation`, in three
lines each (see "extend" in the documentation).
"""

from abc import ABC, abstractmethod
from functools import cache
from typing import Any

from numpy.typing import NDArray

from medsegany import propagation as crossing
from medsegany._segmentations import given_in, join, select
from medsegany.progress import OnProgress, no_progress
from medsegany.prompts import Box, MaskPrompt, ObjectPrompts, Point, Prompts, check_kinds, on_image
from medsegany.protocols import (
    Direction,
    EmbeddedImage,
    Frames,
    Init,
    Overlap,
    Propagation,
    Segmenter,
    Slices,
    Tracking,
)
from medsegany.registry import load
from medsegany.results import Segmentation, VolumeSegmentation
from medsegany.types import Image
from medsegany.volume import Volume

Accepts = frozenset[type[Box] | type[Point] | type[MaskPrompt]]

EVERYTHING: Accepts = frozenset({Box, Point, MaskPrompt})


class Verbs(ABC):
    """`segment_2d`, `segment_volume` and `track_video` from `embed`."""

    def __init__(self, name: str, accepts: Accepts) -> None:
        self._name = name
        self._accepts = accepts

    @property
    def name(self) -> str:
        """The name that `medsegany.load` knows it by."""
        return self._name

    @property
    def accepts(self) -> Accepts:
        """The kinds of prompts that `segment_2d` takes."""
        return self._accepts

    @abstractmethod
    def embed(self, image: Image) -> EmbeddedImage:
        """Encode an image once; see `Segmenter.embed`."""

    @property
    def _runs_on(self) -> str:
        return "auto"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def segment_2d(self, image: Image, prompts: Prompts) -> Segmentation:
        """Segment objects on one image; see `Segmenter.segment_2d`."""
        return self.embed(image).segment(prompts)

    def segment_volume(  # noqa: PLR0913 -- the contract
        self,
        volume: Volume | NDArray[Any],
        prompts: Prompts | None = None,
        *,
        init: Init = "default",
        initializer: Segmenter | None = None,
        reference: NDArray[Any] | Volume | None = None,
        slices: Slices | None = None,
        propagation: Propagation | None = None,
        overlap: Overlap = "logits",
        on_progress: OnProgress = no_progress,
    ) -> VolumeSegmentation:
        """Segment objects in a volume; see `propagation.segment_volume`.

        With `init="medsam"` and no `initializer`, MedSAM is loaded.
        """
        if init == "medsam" and initializer is None:
            initializer = _medsam(self._runs_on)
        return crossing.segment_volume(
            self,
            volume,
            prompts,
            init=init,
            initializer=initializer,
            reference=reference,
            slices=slices,
            propagation=propagation,
            overlap=overlap,
            on_progress=on_progress,
        )

    def track_video(
        self,
        frames: Frames,
        prompts: Prompts,
        *,
        direction: Direction = "forward",
        length: int | None = None,
        propagation: Propagation | None = None,
        on_progress: OnProgress = no_progress,
    ) -> Tracking:
        """Follow objects through a video; see `propagation.track_video`."""
        return crossing.track_video(
            self,
            frames,
            prompts,
            direction=direction,
            length=length,
            propagation=propagation,
            on_progress=on_progress,
        )


@cache
def _medsam(device: str) -> Segmenter:
    return load("medsam", device=device)


class Embedded(ABC):
    """An encoded image: sorts prompts, returns given masks as they are, asks the model the rest."""

    def __init__(self, segmenter: Verbs, shape: tuple[int, int]) -> None:
        self._segmenter = segmenter
        self._shape = shape

    @property
    def shape(self) -> tuple[int, int]:
        """`(H, W)` of the image as given."""
        return self._shape

    def segment(self, prompts: Prompts) -> Segmentation:
        """Segment the prompted objects; see `EmbeddedImage.segment`."""
        asked = on_image(prompts, self._shape)
        for here in asked.values():
            check_kinds(here, self._segmenter.accepts, self._segmenter.name)
        sought = {name: here for name, here in asked.items() if here.mask is None}
        parts = [given_in(asked)] + ([self._predict(sought)] if sought else [])
        return select(join(0, *parts), asked)  # in the order of the prompts

    @abstractmethod
    def _predict(self, asked: dict[int, ObjectPrompts]) -> Segmentation:
        """Segment objects that have boxes and points and no masks."""
