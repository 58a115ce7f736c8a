"""From what a data set holds to what a model is shown: each step a value, and written down."""

import json
from typing import Any, Literal

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany._validate import at_least, one_of, whole
from medsegany.errors import InvalidInput
from medsegany.preprocess import AnyWindow, to_display
from medsegany.training._store import window_words
from medsegany.volume import Volume


def _as_labels(value: object) -> tuple[int, ...]:
    return tuple(whole(label, 1, "remove_labels") for label in value)  # type: ignore[attr-defined]


@frozen
class Preparation:
    """What is done to an image and its label map before anything is measured.

    The default changes nothing but the intensities; `PAPER` is what the paper's released
    `pre_CT_MR.py` does (Ma et al., 2024, section 2.2).

    Attributes:
        window: See `preprocess.to_display`; None where the values are uint8 already.
        legacy_minmax: Scale by the values that occur, as the released script does.
        remove_labels: Labels that are not measured (the script removes FLARE22's 12, duodenum).
        smallest_voxels: Of an object's parts in a volume, connected by faces, edges or corners,
            the smaller ones are removed from the reference (1000 in the paper).
        smallest_pixels: Likewise on each slice, after that (100 in the paper).
        slices: "all", or "labelled" for only those that hold an object. The script selects them one
            by one, so where an object is absent in between, slices come together that are not
            neighbours; "range" keeps all from the first to the last of them.
    """

    window: AnyWindow | None = None
    legacy_minmax: bool = False
    remove_labels: tuple[int, ...] = field(default=(), converter=_as_labels)
    smallest_voxels: int = field(default=0, validator=at_least(0))
    smallest_pixels: int = field(default=0, validator=at_least(0))
    slices: Literal["all", "labelled", "range"] = field(
        default="all", validator=one_of("all", "labelled", "range")
    )

    def __call__(
        self, image: Volume, labels: NDArray[Any]
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint16], tuple[str, ...]]:
        """Prepare a stack.

        Args:
            image: With intensities, or uint8 display values.
            labels: `(D, H, W)` integers, 0 for what is none. Not changed.

        Returns:
            Display values, labels, and one JSON object for each step that did something.

        Raises:
            InvalidInput: The values need a window, or nothing is left.
        """
        done: list[str] = []

        def note(step: str, **about: object) -> None:
            done.append(json.dumps({"step": step, **about}))

        shown = self._shown(image, note)
        kept = labels.astype(np.uint16)  # a copy
        if self.remove_labels:
            gone = np.isin(kept, self.remove_labels)
            note("labels removed", labels=list(self.remove_labels), voxels=int(gone.sum()))
            kept[gone] = 0
        if self.smallest_voxels:
            removed = remove_small(kept, self.smallest_voxels, connectivity=3)
            note("small objects removed", voxels=self.smallest_voxels, connectivity=26, **removed)
        if self.smallest_pixels:
            parts = [remove_small(k, self.smallest_pixels, connectivity=2) for k in kept]
            total = {key: sum(part[key] for part in parts) for key in ("parts", "removed")}
            note("small parts of slices removed", pixels=self.smallest_pixels, connectivity=8,
                 **total)  # fmt: skip
        there = np.flatnonzero(kept.any((1, 2)))
        if not there.size:
            msg = "No object is left."
            raise InvalidInput(msg)
        if self.slices != "all":
            chosen = there
            if self.slices == "range":
                chosen = np.arange(there[0], there[-1] + 1)
            note("slices chosen", how=self.slices, slices=_ranges(chosen), of=len(kept))
            shown, kept = shown[chosen], kept[chosen]
        return shown, kept, tuple(done)

    def _shown(self, image: Volume, note: Any) -> NDArray[np.uint8]:  # noqa: ANN401 -- a function
        voxels = image.voxels
        if self.window is None:
            if voxels.dtype != np.uint8:
                msg = f"A window is needed: the image holds {voxels.dtype}, not uint8."
                raise InvalidInput(msg)
            return voxels
        shown = to_display(voxels, self.window, legacy_minmax=self.legacy_minmax)
        note("intensities", window=window_words(self.window), legacy_minmax=self.legacy_minmax)
        return shown


PAPER = Preparation(
    legacy_minmax=True, smallest_voxels=1000, smallest_pixels=100, slices="labelled"
)
"""What the released script does; its window is "abdomen" for CT, "percentile" for anything else."""


def remove_small(labels: NDArray[np.uint16], smallest: int, connectivity: int) -> dict[str, int]:
    """Set parts of less than `smallest` elements to 0, in place.

    Touching parts of different labels are different parts, as for `cc3d.dust`.

    Args:
        labels: Of any rank.
        smallest: Elements that a part needs.
        connectivity: Over how many axes at once neighbours may lie; see `skimage.measure.label`.

    Returns:
        How many parts and elements went.
    """
    from skimage.measure import label as parts_of  # noqa: PLC0415 -- slow to import

    parts = parts_of(labels, connectivity=connectivity)
    sizes = np.bincount(parts.ravel())
    small = sizes < smallest
    small[0] = False
    gone = small[parts]
    labels[gone] = 0
    return {"parts": int(small.sum()), "removed": int(gone.sum())}


def _ranges(indices: NDArray[np.integer[Any]]) -> list[list[int]]:
    """First and last of every run of neighbours."""
    breaks = np.flatnonzero(np.diff(indices) > 1) + 1
    return [[int(run[0]), int(run[-1])] for run in np.split(indices, breaks)]
