"""Clips of cases."""

from collections.abc import Sequence

import numpy as np

from medsegany.training._augment import Augmentation
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
    ) -> None:
        self._cases = list(cases)
        self._seed, self._shuffle = seed, shuffle
        self._augmentation = augmentation
        self._slices: list[tuple[int, int, tuple[int, ...]]] = []
        for n, case in enumerate(self._cases):
            for k in range(len(case.images)):
                there = [i for i in labels if i in case.areas and case.areas[i][k] >= smallest_px]
                if there:
                    self._slices.append((n, k, tuple(there)))
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
        if not 0 <= k + step * (frames - 1) < len(case.images):
            step = -step
        # In a stack that is shorter than the clip, its end is seen again.
        slices = np.clip(k + step * np.arange(frames), 0, len(case.images) - 1)
        clip = Clip(
            np.asarray(case.images[slices]),
            np.asarray(case.labels[slices]) == label,
            f"{case.name}, slice {k}, label {label}",
            source=(case.name, tuple(slices.tolist())),
        )
        return clip if self._augmentation is None else self._augmentation(clip, rng)

    def _place(self, epoch: int, place: int) -> int:
        if not self._shuffle:
            return place
        if self._order is None or self._order[0] != epoch:
            drawn = np.random.default_rng([self._seed, 2, epoch]).permutation(len(self._slices))
            self._order = (epoch, drawn)
        return int(self._order[1][place])
