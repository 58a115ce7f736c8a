"""What is kept of a volume: bits, and who owns a contested voxel."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from medsegany.results import PackedMasks, Segmentation, VolumeSegmentation, label_dtype
from medsegany.types import Labels, Logits


class Collector:
    """Takes slices in any order, object by object or together, and keeps no logits.

    Of each slice it holds the objects' masks as bits, the owner of each voxel and, of voxels with
    an owner only, how strongly they are owned: enough to settle a later claim exactly.
    """

    def __init__(
        self, shape: tuple[int, int, int], order: Sequence[int], *, by_logits: bool
    ) -> None:
        self._shape = shape
        self._order = {name: np.float32(rank) for rank, name in enumerate(order)}
        self._by_logits = by_logits
        self._bits: dict[int, dict[int, NDArray[np.uint8]]] = {name: {} for name in order}
        self._scores = {name: np.full(shape[0], np.nan, np.float32) for name in order}
        self._visited: dict[int, tuple[int, int]] = {}
        self._owner: dict[int, Labels] = {}
        self._strength: dict[int, NDArray[np.float32]] = {}
        self._dtype = label_dtype(max(order))

    def add(self, found: Segmentation) -> None:
        """Keep one slice of some objects."""
        k = found.index
        for name, mask in found.masks.items():
            first, last = self._visited.get(name, (k, k))
            self._visited[name] = (min(first, k), max(last, k))
            self._scores[name][k] = found.scores[name]
            if mask.any():
                self._bits[name][k] = np.packbits(mask)
                self._claim(k, name, found)

    def result(self) -> VolumeSegmentation:
        """Everything that was added."""
        merged: Labels = np.zeros(self._shape, self._dtype)
        for k, owner in self._owner.items():
            merged[k] = owner
        masks = PackedMasks(self._shape, self._bits)
        return VolumeSegmentation(masks, self._scores, self._visited, merged)

    def _claim(self, k: int, name: int, found: Segmentation) -> None:
        mask = found.masks[name]
        owner = self._owner.setdefault(k, np.zeros(mask.shape, self._dtype))
        held: Logits = np.full(mask.shape, -np.inf, np.float32)
        if k in self._strength:
            held[owner > 0] = self._strength[k]
        strength: Logits | np.float32 = found.logits[name]
        if not self._by_logits:
            strength = self._order[name]
        elif name in found.verbatim:
            strength = np.float32(np.inf)
        wins = mask & ((strength > held) | ((strength == held) & (name < owner)) | (owner == 0))
        held[wins] = strength[wins] if isinstance(strength, np.ndarray) else strength
        owner[wins] = name
        self._strength[k] = held[owner > 0]
