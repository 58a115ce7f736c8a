"""Surfaces of many labels at once, by the compiled code or, without it, by numpy and scipy."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany.metrics import _plain
from medsegany.metrics._areas import kinds
from medsegany.metrics._surface import Surface


def _load() -> Any:  # noqa: ANN401 -- a module without types, or None
    try:
        return import_module("medsegany.metrics._compiled")
    except ImportError:  # no C compiler when it was installed
        return None


_compiled = _load()

# How many neighbours are looked at one by one before a far one is sought in another way.
_NEIGHBOURS = {2: 400, 3: 1200}
_MOST_NEIGHBOURS = 8000  # within a tolerance
_WORTH_A_THREAD = 1_000_000  # voxels; fewer are done before a thread has started
_LONGEST_AXIS = (1 << 18) - 2  # 18 bits for each coordinate


def is_compiled() -> bool:
    """Whether the fast code is there."""
    return _compiled is not None


def counts(
    prediction: NDArray[np.unsignedinteger], truth: NDArray[np.unsignedinteger]
) -> NDArray[np.int64]:
    """`(3, labels)`: voxels of each label in the prediction, in the truth, in both.

    Args:
        prediction: uint8 or uint16.
        truth: The same type and shape.
    """
    if _compiled is None:
        return _plain.counts(prediction, truth)
    a, b = np.ascontiguousarray(prediction), np.ascontiguousarray(truth)
    found = np.frombuffer(_compiled.counts(a, b, a.itemsize), np.int64)
    return found.reshape(3, -1)


def surfaces(
    prediction: NDArray[np.unsignedinteger],
    truth: NDArray[np.unsignedinteger],
    labels: Iterable[int],
    spacing: tuple[float, ...],
    *,
    limit_mm: float = np.inf,
    threads: int = 1,
) -> Iterator[tuple[Surface, Surface]]:
    """For each label the surface of the prediction and that of the truth.

    Args:
        prediction: uint8 or uint16 `(D, H, W)` or `(H, W)`.
        truth: The same type and shape.
        labels: Which.
        spacing: In mm along the axes of the arrays.
        limit_mm: Distances beyond it may be inf: nobody asks how far.
        threads: How many labels are measured at the same time.
    """
    labels = list(labels)
    if _compiled is None or max(prediction.shape) > _LONGEST_AXIS:
        return _plain.surfaces(prediction, truth, labels, spacing, limit_mm)
    return _fast(prediction, truth, labels, spacing, limit_mm, threads)


def _fast(
    prediction: NDArray[np.unsignedinteger],
    truth: NDArray[np.unsignedinteger],
    labels: list[int],
    spacing: tuple[float, ...],
    limit_mm: float,
    threads: int,
) -> Iterator[tuple[Surface, Surface]]:
    wanted = np.zeros(256 if prediction.itemsize == 1 else 65536, np.uint8)
    wanted[labels] = 1
    offsets, reached, complete = _offsets(spacing, limit_mm)
    sizes, kind_of = kinds(spacing)
    steps = spacing if len(spacing) == 3 else (1.0, *spacing)

    def collect(values: NDArray[np.unsignedinteger]) -> Any:  # noqa: ANN401 -- a capsule
        shape = values.shape if values.ndim == 3 else (1, *values.shape)
        array = np.ascontiguousarray(values)
        return _compiled.surfaces(array, wanted, array.itemsize, *shape, values.ndim == 2)

    codes = kind_of.astype(np.uint8)

    def measure(label: int, one: Any, other: Any) -> Surface:  # noqa: ANN401 -- capsules
        parts = _compiled.distances(
            one, other, label, steps, offsets, reached, codes, len(sizes), complete
        )
        return _surface(parts, sizes)

    if threads == 1 or prediction.size < _WORTH_A_THREAD:
        a, b = collect(prediction), collect(truth)
        for label in labels:
            yield measure(label, a, b), measure(label, b, a)
        return
    with ThreadPoolExecutor(threads) as pool:
        a, b = pool.map(collect, (prediction, truth))
        jobs = [
            (pool.submit(measure, label, a, b), pool.submit(measure, label, b, a))
            for label in labels
        ]
        for one, other in jobs:
            yield one.result(), other.result()


def _surface(parts: tuple[bytes, bytes, bytes], sizes: NDArray[np.float64]) -> Surface:
    squared, kind, count = parts
    return Surface(
        np.sqrt(np.frombuffer(squared, np.float64)),
        np.frombuffer(count, np.int64),
        np.frombuffer(kind, np.int64),
        sizes,
    )


@lru_cache(maxsize=64)
def _offsets(
    spacing: tuple[float, ...], limit_mm: float
) -> tuple[NDArray[np.int16], NDArray[np.float64], bool]:
    """`(n, 3)` steps to all neighbours up to some distance, nearest first; their squared lengths.

    And whether nothing beyond them is asked for.
    """
    axes = len(spacing)
    voxel = float(np.prod(spacing))
    within = 4 / 3 * np.pi * limit_mm**3 if axes == 3 else np.pi * limit_mm**2
    complete = bool(within / voxel <= _MOST_NEIGHBOURS)
    ball = _NEIGHBOURS[axes] * voxel
    radius = limit_mm if complete else (ball / np.pi if axes == 2 else ball * 3 / 4 / np.pi)
    if not complete:
        radius **= 1 / axes
    reach = [min(int(radius / s) + 1, 32000) for s in spacing]
    steps = np.meshgrid(*(np.arange(-r, r + 1) for r in reach), indexing="ij")
    along = [(n * s) * (n * s) for n, s in zip(steps, spacing, strict=True)]
    squared = np.add.reduce(along)
    near = np.sqrt(squared) <= radius
    found = np.zeros((int(near.sum()), 3), np.int16)
    found[:, 3 - axes :] = np.stack([n[near] for n in steps], axis=1)
    order = np.argsort(squared[near], kind="stable")
    return found[order], squared[near][order], complete
