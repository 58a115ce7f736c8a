"""Clips of cases."""

from collections.abc import Sequence

import numpy as np

from medsegany.backends.sam2 import Crop
from medsegany.training._augment import Augmentation, cut_out
from medsegany.training._clips import Clip
from medsegany.training._store import StoredCase


class CaseClips:
    """Clips of stored cases; an epoch shows every slice that holds an object once.

    Which of its objects is by chance, as in the paper's script.

    Args:
        cases: Where they are taken from.
        labels: Those that are asked for.
        smallest_px: Pixels that an object needs on a slice to be prompted there.
        seed: Of everything that is drawn.
        shuffle: Whether slices come in an order of their own in every epoch, or in that of the
            files, as the released script has them.
        augmentation: What is done to them, if anything.
        crop: How much is seen around the object of the first frame; None for all of it.
        side: Of the square that the model looks at, where there is a crop.
    """

    def __init__(
        self,
        cases: Sequence[StoredCase],
        labels: Sequence[int],
        *,
        smallest_px: int,
        seed: int,
        shuffle: bool = True,
        augmentation: Augmentation | None = None,
        crop: Crop | None = None,
        side: int = 0,
    ) -> None:
        self._cases = list(cases)
        self._seed, self._shuffle = seed, shuffle
        self._augmentation, self._crop, self._side = augmentation, crop, side
        self._slices: list[tuple[int, int, tuple[int, ...]]] = []
        for n, case in enumerate(self._cases):
            for k in range(case.depth):
                if there := case.prompted(k, labels, smallest_px):
                    self._slices.append((n, k, there))
        self._order: tuple[int, np.ndarray[tuple[int], np.dtype[np.int64]]] | None = None

    def __len__(self) -> int:
        return len(self._slices)

    def clip(self, number: int, frames: int) -> Clip:
        """See `Clips.clip`: slices that follow each other, upward or downward."""
        epoch, place = divmod(number, len(self._slices))
        rng = np.random.default_rng([self._seed, 1, number])
        n, k, there = self._slices[self._place(epoch, place)]
        case, label = self._cases[n], int(rng.choice(there))
        step = int(rng.choice((-1, 1)))
        if not 0 <= k + step * (frames - 1) < case.depth:
            step = -step
        # In a stack that is shorter than the clip, its end is seen again.
        slices = np.clip(k + step * np.arange(frames), 0, case.depth - 1)
        clip = Clip(
            np.asarray(case.images[slices]),
            np.asarray(case.labels[slices]) == label,
            f"{case.name}, slice {k}, label {label}",
            source=(case.name, tuple(slices.tolist())),
        )
        clip = clip if self._crop is None else cut_out(clip, self._crop, self._side, rng)
        return clip if self._augmentation is None else self._augmentation(clip, rng)

    def _place(self, epoch: int, place: int) -> int:
        if not self._shuffle:
            return place
        if self._order is None or self._order[0] != epoch:
            drawn = np.random.default_rng([self._seed, 2, epoch]).permutation(len(self._slices))
            self._order = (epoch, drawn)
        return int(self._order[1][place])
