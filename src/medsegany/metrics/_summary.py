"""Metrics over many cases: what is typical, how sure that is, and whether two methods differ."""

from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations

import numpy as np
from attrs import frozen
from numpy.typing import ArrayLike, NDArray

from medsegany.errors import InvalidInput


@frozen
class Summary:
    """One metric over cases.

    Attributes:
        count: Values that are known.
        missing: Values that are nan, which nothing below counts.
        patients: Patients with a known value.
        mean: Of the values.
        median: Of the values.
        first_quartile: A quarter of the values is at most this.
        third_quartile: Three quarters are.
        low: The lower end of the confidence interval of the mean.
        high: The upper end.
        confidence: Of the interval.
    """

    count: int
    missing: int
    patients: int
    mean: float
    median: float
    first_quartile: float
    third_quartile: float
    low: float
    high: float
    confidence: float

    def __str__(self) -> str:
        """The mean with its interval, and how many values it is of."""
        return f"{self.mean:.3f} ({self.low:.3f} to {self.high:.3f}, n={self.count})"


def summarize(
    values: ArrayLike,
    *,
    patients: Sequence[Hashable] | None = None,
    confidence: float = 0.95,
    resamples: int = 9999,
    seed: int = 0,
) -> Summary:
    """Mean, median, quartiles, and a bootstrap interval of the mean.

    What comes from one patient is alike, so patients are drawn and not values: several images of
    one patient do not make the interval narrower than it is. The interval is that of percentiles.

    Args:
        values: One number for each case; nan where it is not defined.
        patients: Whose each value is; None where each is another's.
        confidence: Of the interval, between 0 and 1.
        resamples: How often patients are drawn.
        seed: Of the drawing; the same seed gives the same interval.

    Returns:
        With nan for the interval where there are fewer than two patients or a value is infinite.

    Raises:
        InvalidInput: Patients and values differ in number, or the confidence is none.
    """
    if not 0 < confidence < 1 or resamples < 1:
        msg = f"confidence is between 0 and 1, resamples 1 or more, got {confidence}, {resamples}."
        raise InvalidInput(msg)
    numbers, groups = _grouped(values, patients)
    known = ~np.isnan(numbers)
    sums, counts = _by_patient(numbers[known], groups[known])
    numbers = numbers[known]
    if not numbers.size:
        n = float("nan")
        return Summary(0, int((~known).sum()), 0, n, n, n, n, n, n, confidence)
    from scipy import stats  # noqa: PLC0415 -- keeps `import medsegany` fast

    low = high = float("nan")
    if len(sums) > 1 and np.isfinite(numbers).all():
        drawn = stats.bootstrap(
            (sums, counts),
            lambda s, c, axis: s.sum(axis=axis) / c.sum(axis=axis),
            paired=True,
            vectorized=True,
            confidence_level=confidence,
            n_resamples=resamples,
            method="percentile",
            batch=max(1, 2_000_000 // len(sums)),
            random_state=np.random.default_rng(seed),
        )
        low, high = (float(end) for end in drawn.confidence_interval)
    first, median, third = (_percentile(numbers, percent) for percent in (25, 50, 75))
    return Summary(
        count=len(numbers),
        missing=int((~known).sum()),
        patients=len(sums),
        mean=float(numbers.mean()),
        median=median,
        first_quartile=first,
        third_quartile=third,
        low=low,
        high=high,
        confidence=confidence,
    )


@frozen
class Comparison:
    """Two methods on the same cases.

    Attributes:
        one: The name of a method.
        other: That of the other.
        patients: Those that both have a value of.
        difference: The mean over patients of one minus other.
        effect: The matched-pairs rank-biserial correlation, from -1 to 1: 1 where `one` is the
            larger for every patient, 0 where neither is.
        p_value: Of Wilcoxon's signed-rank test, two-sided.
        p_holm: The same, corrected by Holm's method for all the comparisons made at once.
    """

    one: str
    other: str
    patients: int
    difference: float
    effect: float
    p_value: float
    p_holm: float


def compare(
    values: Mapping[str, ArrayLike],
    *,
    patients: Sequence[Hashable] | None = None,
    against: str | None = None,
) -> tuple[Comparison, ...]:
    """Test pairs of methods by Wilcoxon's signed-rank test, corrected by Holm's method.

    Several values of one patient are averaged first, for the test takes them for independent.

    Args:
        values: Method -> one number for each case, in the same order of cases; nan where it is not
            defined, which leaves that case out of the pair.
        patients: Whose each value is; None where each is another's.
        against: The method to compare all others with; None for all pairs.

    Raises:
        InvalidInput: Methods differ in the number of values, or `against` is none of them.
    """
    if against is not None and against not in values:
        msg = f"against={against!r} is none of {list(values)}."
        raise InvalidInput(msg)
    others = [name for name in values if name != against]
    pairs = combinations(values, 2) if against is None else ((name, against) for name in others)
    found = [_tested(one, other, values[one], values[other], patients) for one, other in pairs]
    corrected = holm([comparison[-1] for comparison in found])
    return tuple(Comparison(*comparison, p) for comparison, p in zip(found, corrected, strict=True))


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number (Holm, 1979); those that are nan do not count."""
    p = np.asarray(p_values, np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected = np.full(len(p), np.nan)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return [float(value) for value in corrected]


def _tested(
    one: str,
    other: str,
    values: ArrayLike,
    others: ArrayLike,
    patients: Sequence[Hashable] | None,
) -> tuple[str, str, int, float, float, float]:
    from scipy import stats  # noqa: PLC0415 -- keeps `import medsegany` fast

    a, groups = _grouped(values, patients)
    b, _ = _grouped(others, patients)
    if len(a) != len(b):
        msg = f"{one} has {len(a)} values, {other} {len(b)}: the same cases are compared."
        raise InvalidInput(msg)
    with np.errstate(invalid="ignore"):  # inf - inf
        differences = a - b
    known = ~np.isnan(differences)
    sums, counts = _by_patient(differences[known], groups[known])
    means = sums / counts
    if not means.size:
        return one, other, 0, float("nan"), float("nan"), float("nan")
    moved = means[means != 0]
    if not moved.size:
        return one, other, len(means), 0.0, 0.0, 1.0
    ranks = stats.rankdata(np.abs(moved))
    effect = float((ranks * np.sign(moved)).sum() / ranks.sum())
    p_value = float(stats.wilcoxon(moved).pvalue)
    return one, other, len(means), float(means.mean()), effect, p_value


def _percentile(values: NDArray[np.float64], percent: float) -> float:
    """Numpy's, but for infinite values: beside one of them it knows no value."""
    with np.errstate(invalid="ignore"):
        found = float(np.percentile(values, percent))
    return found if found == found else float(np.percentile(values, percent, method="higher"))  # noqa: PLR0124


def _grouped(
    values: ArrayLike, patients: Sequence[Hashable] | None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values, and the number of each one's patient."""
    numbers = np.asarray(values, np.float64).ravel()
    if patients is None:
        return numbers, np.arange(len(numbers))
    if len(patients) != len(numbers):
        msg = f"There are {len(numbers)} values and {len(patients)} patients."
        raise InvalidInput(msg)
    first: dict[Hashable, int] = {}
    return numbers, np.array([first.setdefault(p, len(first)) for p in patients], np.int64)


def _by_patient(
    values: NDArray[np.float64], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The sum of each patient's values, and their number."""
    _, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse, values, minlength=len(counts))
    return sums.astype(np.float64), counts.astype(np.int64)
