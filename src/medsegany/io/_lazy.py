"""Pictures that are read when they are asked for, all scaled alike."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
from attrs import evolve, field, frozen
from numpy.typing import NDArray

from medsegany.preprocess import AnyWindow, Window, percentile_bounds, to_display
from medsegany.types import Image

T = TypeVar("T")

_SAMPLES = 8


@frozen(eq=False)
class LazyFrames(Sequence[Image], Generic[T]):
    """Pictures of a folder, pages of a TIFF, images of a DICOM film, part of a video: a sequence.

    Attributes:
        sources: What tells each frame: a path, a page, a number.
        fps: Frames a second, where it is known.
    """

    sources: Sequence[T] = field(repr=lambda sources: f"<{len(sources)} frames>")
    fps: float | None
    _read: Callable[[T], NDArray[Any]] = field(repr=False)
    _window: AnyWindow | None = field(default=None, repr=False)
    _inverted: bool = field(default=False, repr=False)

    def __len__(self) -> int:
        return len(self.sources)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> "LazyFrames[T]": ...
    def __getitem__(self, index: int | slice) -> "Image | LazyFrames[T]":
        if isinstance(index, slice):
            every = None if self.fps is None else self.fps / abs(index.step or 1)
            return evolve(self, sources=self.sources[index], fps=every)
        return self.shown(self._read(self.sources[index]))

    def __iter__(self) -> Iterator[Image]:
        return (self[index] for index in range(len(self)))

    def shown(self, values: NDArray[Any]) -> Image:
        """Display values of one frame."""
        return display(values, self._window, inverted=self._inverted)

    def scaled_alike(self) -> "LazyFrames[T]":
        """With one window for all, from some of the frames: a flicker would look like motion."""
        first = self._read(self.sources[0])
        plain = self._window is None and first.dtype == np.uint8
        if self._window not in {None, "percentile"} or first.ndim == 3 or plain:
            return self
        every = self.sources[:: max(1, len(self.sources) // _SAMPLES)]
        some = [self._read(source) for source in every]
        low, high = percentile_bounds(np.concatenate([values.ravel() for values in some]))
        width = high - low if high > low else 1.0
        return evolve(self, window=Window((low + high) / 2, width))


def display(values: NDArray[Any], window: AnyWindow | None, *, inverted: bool = False) -> Image:
    """Display values of one picture: colours as they are, grey in a window.

    Args:
        values: `(H, W)` of any depth, or `(H, W, 3)` uint8.
        window: None leaves uint8 alone and takes percentiles of anything else.
        inverted: Whether low values mean bright.
    """
    if values.ndim == 3:
        return np.asarray(values, np.uint8)
    plain = values.dtype == np.uint8 and window is None
    shown: Image = values if plain else to_display(values, window or "percentile")
    return 255 - shown if inverted else shown
