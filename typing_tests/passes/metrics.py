"""What a user writes with metrics is understood by type checkers."""

from typing import assert_type

import numpy as np
from numpy.typing import NDArray

from medsegany import metrics

a = np.zeros((4, 5), np.bool_)
b = [[0, 1], [1, 0]]

assert_type(metrics.dsc(a, a), float)
assert_type(metrics.nsd(b, b, spacing_mm=(1, 1), tolerance_mm=2), float)
assert_type(metrics.hausdorff(a, a, spacing_mm=[1, 1], percentile=95, empty="perfect"), float)
found = metrics.surface_distances(a, a, spacing_mm=(1.0, 0.5))
assert_type(found.average().from_truth, float)
assert_type(found.from_truth.distances_mm, NDArray[np.float64])

table = metrics.evaluate(
    a, a, spacing_mm=(1, 1), tolerance_mm={1: 2.0}, labels={1: "liver"}, metrics=["dsc", "nsd"]
)
assert_type(table["dsc"], NDArray[np.float64])
assert_type(table.row(1)["dsc"], float)
metrics.evaluate(a, a, spacing_mm=(1, 1), tolerance_mm=metrics.FLARE22_TOLERANCES_MM)
metrics.evaluate(a, a, spacing_mm=(1, 1), tolerance_mm=[1, 2], empty=metrics.EmptyRule(overlap=1))

assert_type(metrics.summarize([0.1, 0.2], patients=["a", "b"]), metrics.Summary)
assert_type(metrics.compare({"a": [1.0], "b": [2.0]}), tuple[metrics.Comparison, ...])
