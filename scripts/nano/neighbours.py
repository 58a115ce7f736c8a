"""Clips of real slices: pools keep those of one volume in their order, and so a few can follow."""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from attrs import frozen
from pools import Picture

from medsegany.training import Clip

_STACKS = {"CT", "MR", "PET", "Ultrasound"}
_SHORTEST = 3  # slices


@frozen(eq=False)
class _Run:
    """Pictures of which each looks like the one before, its objects at the same place."""

    pictures: tuple[Picture, ...]


class Neighbours:
    """Clips of neighbouring slices, up or down.

    Which pictures belong to one volume is not known of every pool: what looks alike and has objects
    that overlap is taken for neighbours.

    Args:
        found: The pictures, in the order of their pools.
        seed: Of what is drawn.
    """

    def __init__(self, found: Sequence[Picture], seed: int) -> None:
        self._seed = seed
        self._runs: dict[str, list[_Run]] = {}
        for run in _runs([one for one in found if one.modality in _STACKS]):
            self._runs.setdefault(run.pictures[0].pool, []).append(run)

    def __len__(self) -> int:
        return sum(map(len, self._runs.values()))

    def whole(self) -> Iterator[Clip]:
        """Every run, with what its middle slice has most of."""
        for runs in self._runs.values():
            for run in runs:
                middle = run.pictures[len(run.pictures) // 2]
                wanted = max(middle.objects, key=lambda n: int((middle.labels == n).sum()))
                yield Clip(
                    np.stack([one.image for one in run.pictures]),
                    np.stack([one.labels == wanted for one in run.pictures]),
                    middle.pool,
                )

    def clip(self, number: int, frames: int) -> Clip:
        """The clip of this number; where a run is too short, its last slice is repeated."""
        rng = np.random.default_rng([self._seed, number])
        weights = np.sqrt([len(runs) for runs in self._runs.values()])
        pool = str(rng.choice(list(self._runs), p=weights / weights.sum()))
        run = self._runs[pool][int(rng.integers(len(self._runs[pool])))].pictures
        stride = int(rng.choice((1, 1, 2)))
        longest = stride * (frames - 1)
        first = int(rng.integers(max(1, len(run) - longest)))
        places = np.minimum(first + stride * np.arange(frames), len(run) - 1)
        taken = [run[k] for k in (places if rng.random() < 0.5 else places[::-1])]
        wanted = int(rng.choice(taken[0].objects))
        return Clip(
            np.stack([one.image for one in taken]),
            np.stack([one.labels == wanted for one in taken]),
            pool,
        )


def _runs(found: Sequence[Picture]) -> Iterator[_Run]:
    run = list(found[:1])
    for before, here in pairwise(found):
        if not _follows(before, here):
            if len(run) >= _SHORTEST:
                yield _Run(tuple(run))
            run = []
        run.append(here)
    if len(run) >= _SHORTEST:
        yield _Run(tuple(run))


def _follows(before: Picture, here: Picture) -> bool:
    if before.pool != here.pool or before.image.shape != here.image.shape:
        return False
    common = np.logical_and(before.labels == here.labels, here.labels > 0).sum()
    either = np.logical_or(before.labels > 0, here.labels > 0).sum()
    alike = np.corrcoef(before.image.ravel(), here.image.ravel())[0, 1]
    return bool(alike > 0.6 and common > 0.2 * either)
