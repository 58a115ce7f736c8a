"""All labels of a label map at once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from medsegany.errors import InvalidInput
from medsegany.metrics._columns import Measured, Tolerance, columns_of
from medsegany.metrics._distances import SurfaceDistances, a_number_of_threads
from medsegany.metrics._empty import Empty, a_rule
from medsegany.metrics._masks import a_label_map, a_spacing, alike, refuse_other_shapes
from medsegany.metrics._surface import no_surface
from medsegany.metrics._surfaces import counts, surfaces
from medsegany.metrics._table import Evaluation, Row
from medsegany.types import Mask

_NONE = SurfaceDistances(no_surface(), no_surface())


def evaluate(  # noqa: PLR0913 -- names of what a user may say
    prediction: ArrayLike,
    truth: ArrayLike,
    *,
    spacing_mm: Sequence[float],
    tolerance_mm: Tolerance | None = None,
    labels: Iterable[int] | Mapping[int, str] | None = None,
    metrics: Sequence[str] = ("dsc", "nsd"),
    empty: Empty = "nan",
    preset: Literal["medsam"] | None = None,
    threads: int | None = None,
) -> Evaluation:
    """Compare all labels of two label maps, in one pass.

    An object that only the prediction holds is in the table, and so is one that only the truth
    holds: both have a DSC of 0. With `labels`, so are those that neither holds; `empty` says what
    they have.

    Args:
        prediction: `(D, H, W)` or `(H, W)`, integers from 0; 0 is the background.
        truth: The same shape.
        spacing_mm: Along the axes of the arrays, such as `volume.spacing_mm`; `(1, 1)` counts
            pixels.
        tolerance_mm: For "nsd" and "surface_overlap", and how wide the rim of "boundary_iou" is.
            One; several, which make columns such as "nsd_1mm" and "nsd_2mm"; or label -> tolerance,
            such as `FLARE22_TOLERANCES_MM`.
        labels: Which to compare, with their names if it is a mapping. None for all that either
            holds.
        metrics: Of "dsc", "iou", "nsd", "hd95" (or another percentile), "hd", "assd", "masd",
            "asd" (two columns, one each way), "surface_overlap" (two columns), "boundary_iou".
        empty: What empty masks have; see `EmptyRule`.
        preset: "medsam" gives the numbers of MedSAM's released scripts, mistakes included: spacing
            in the reverse order of the axes, 2D as a body of one voxel's thickness with a spacing
            of 1, two empty masks as 1, NSD as 0 where the mean DSC is at most 0.2, a tolerance of
            2 mm. For comparison with published numbers, and for nothing else. The columns are
            "medsam_dsc" and "medsam_nsd".
        threads: At most so many; None for `$OMP_NUM_THREADS`, or else as many as there are cores.

    Raises:
        InvalidInput: The shapes differ, an array holds no labels, a metric is unknown, or the
            tolerance is missing.
    """
    a, b = a_label_map(prediction, "prediction"), a_label_map(truth, "truth")
    refuse_other_shapes(a.shape, b.shape)
    spacing = a_spacing(spacing_mm, a.ndim)
    if preset is not None:
        _refuse_options(preset, tolerance_mm, metrics, empty)
        return _as_the_scripts_do(a, b, spacing, labels, threads)
    columns = columns_of(metrics, tolerance_mm)
    maps = _Maps.of(a, b, labels)
    reach = max((column.reach_mm for column in columns), default=-1)
    measured = maps.distances(spacing, reach, a_number_of_threads(threads))
    rule = a_rule(empty)
    rows = []
    for label, distances in zip(maps.labels, measured, strict=True):
        voxels = maps.voxels(label)
        here = Measured(label, voxels, distances, partial(maps.masks, label), spacing, rule)
        values = {column.name: column.measure(here) for column in columns}
        rows.append(Row(label, maps.names.get(label, ""), *voxels[:2], values))
    return Evaluation(tuple(rows), tuple(column.name for column in columns))


@frozen(eq=False)
class _Maps:
    """Two label maps as small numbers.

    Attributes:
        prediction: uint8 or uint16.
        truth: The same type.
        labels: Those to compare.
        number_of: What they are in the arrays; those that neither holds are left out.
        names: Label -> name.
        sizes: `(3, numbers)`: voxels in the prediction, the truth, both.
    """

    prediction: NDArray[np.unsignedinteger]
    truth: NDArray[np.unsignedinteger]
    labels: list[int]
    number_of: Mapping[int, int]
    names: Mapping[int, str]
    sizes: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        prediction: NDArray[np.integer],
        truth: NDArray[np.integer],
        labels: Iterable[int] | Mapping[int, str] | None,
    ) -> "_Maps":
        """What of them is to be compared."""
        a, b, stand_for = alike(prediction, truth)
        sizes = counts(a, b)
        here = np.flatnonzero(sizes[:2].any(axis=0))
        present = here if stand_for is None else stand_for[here]
        number_of = dict(zip(present.tolist(), here.tolist(), strict=True))
        number_of.pop(0, None)
        wanted = sorted(number_of) if labels is None else _asked(labels)
        number_of = {label: number_of[label] for label in wanted if label in number_of}
        names = dict(labels) if isinstance(labels, Mapping) else {}
        return cls(a, b, wanted, number_of, names, sizes)

    def voxels(self, label: int) -> tuple[int, int, int]:
        """In the prediction, in the truth, in both."""
        if label not in self.number_of:
            return 0, 0, 0
        a, b, both = self.sizes[:, self.number_of[label]].tolist()
        return a, b, both

    def masks(self, label: int) -> tuple[Mask, Mask]:
        """Of prediction and truth."""
        number = self.number_of.get(label)
        if number is None:
            nothing = np.zeros(self.truth.shape, np.bool_)
            return nothing, nothing
        return self.prediction == number, self.truth == number

    def distances(
        self, spacing: tuple[float, ...], reach_mm: float, threads: int
    ) -> Iterator[SurfaceDistances]:
        """The surfaces of each label; none at all where nobody asks for them."""
        pairs = surfaces(
            self.prediction,
            self.truth,
            self.number_of.values() if reach_mm >= 0 else [],
            spacing,
            limit_mm=reach_mm,
            threads=threads,
        )
        for label in self.labels:
            asked = label in self.number_of and reach_mm >= 0
            yield SurfaceDistances(*next(pairs)) if asked else _NONE


def _asked(labels: Iterable[int]) -> list[int]:
    asked = list(labels)
    if not all(map(_is_label, asked)):
        msg = f"labels are whole numbers from 1 (0 is the background), got {asked}."
        raise InvalidInput(msg)
    if len(set(asked)) < len(asked):
        msg = f"labels has one twice: {asked}."
        raise InvalidInput(msg)
    return [int(n) for n in asked]


def _is_label(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and value is not True and int(value) >= 1


# --- as MedSAM's released scripts do -------------------------------------------------------------

_SCRIPTS_TOLERANCE_MM = 2.0
_SCRIPTS_LEAST_DSC = 0.2


def _refuse_options(
    preset: str, tolerance_mm: object, metrics: Sequence[str], empty: Empty
) -> None:
    if preset != "medsam":
        msg = f'preset is "medsam" or None, got {preset!r}.'
        raise InvalidInput(msg)
    if tolerance_mm is not None or tuple(metrics) != ("dsc", "nsd") or empty != "nan":
        msg = 'preset="medsam" fixes tolerance, metrics and the rule for empty masks: leave them.'
        raise InvalidInput(msg)


def _as_the_scripts_do(
    prediction: NDArray[np.integer],
    truth: NDArray[np.integer],
    spacing: tuple[float, ...],
    labels: Iterable[int] | Mapping[int, str] | None,
    threads: int | None,
) -> Evaluation:
    """`compute_metrics.py` of MedSAM and LiteMedSAM, whose mistakes published numbers contain.

    A slice becomes `(H, W, 1)`, a body whose two flat sides are surface as well; the spacing of a
    volume comes as x, y, z to axes that are z, y, x; labels are 1 to the truth's largest.
    """
    if prediction.ndim == 2:
        prediction, truth = prediction[..., None], truth[..., None]
        order: tuple[float, ...] = (1.0, 1.0, 1.0)
    else:
        order = spacing[::-1]
    if labels is None:
        labels = range(1, int(truth.max(initial=0)) + 1)
    found = evaluate(
        prediction,
        truth,
        spacing_mm=order,
        tolerance_mm=_SCRIPTS_TOLERANCE_MM,
        labels=labels,
        empty="perfect",
        threads=threads,
    )
    poor = not found.mean()["dsc"] > _SCRIPTS_LEAST_DSC
    rows = [
        Row(
            row.label,
            row.name,
            row.prediction_voxels,
            row.truth_voxels,
            {"medsam_dsc": row["dsc"], "medsam_nsd": 0.0 if poor else row["nsd"]},
        )
        for row in found.rows
    ]
    return Evaluation(tuple(rows), ("medsam_dsc", "medsam_nsd"), "medsam")
