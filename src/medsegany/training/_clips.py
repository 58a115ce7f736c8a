"""What a model is trained on: one object in one image, or in a few slices or frames in a row."""

from typing import Protocol

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany.prompts import Box
from medsegany.types import Image


@frozen(eq=False)
class Clip:
    """One object in frames that follow each other; an image is a clip of one frame.

    Attributes:
        frames: Display values, uint8 `(T, H, W)` or `(T, H, W, 3)`.
        masks: The object, bool `(T, H, W)`. The first frame holds it, unless a box is given; later
            ones may not.
        origin: Where it comes from, for messages: a case, a slice, a label.
        source: The case and its slices, where the frames are as they were stored; None once they
            have been changed.
        box: What the first frame is prompted with, in its pixels, instead of the box of its mask:
            to learn from a box that holds a part of something, or nothing. Whoever changes frames
            afterwards has to change it, too.
    """

    frames: Image
    masks: NDArray[np.bool_]
    origin: str = field(default="")
    source: tuple[str, tuple[int, ...]] | None = None
    box: Box | None = None

    def __len__(self) -> int:
        return len(self.frames)


class Clips(Protocol):
    """Where clips come from: a pure function of a number, so that training can go on anywhere.

    The same number gives the same clip, in any process and after any restart.
    """

    def __len__(self) -> int:
        """How many clips make an epoch."""
        ...

    def clip(self, number: int, frames: int) -> Clip:
        """The clip that is drawn as this one, from 0 and without end.

        Args:
            number: Counts clips from the start of the training.
            frames: How many frames it has at most.
        """
        ...
