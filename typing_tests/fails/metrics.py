"""What must not type-check: each line that ends in `# error` has an error, and no other has."""

import numpy as np

from medsegany import metrics

a = np.zeros((4, 5), np.bool_)

metrics.nsd(a, a, tolerance_mm=2)  # error
metrics.nsd(a, a, spacing_mm=(1, 1))  # error
metrics.nsd(a, a, (1, 1), 2)  # error
metrics.hausdorff(a, a, spacing_mm=(1, 1), empty="zero")  # error
metrics.evaluate(a, a, spacing_mm=(1, 1), preset="flare")  # error
metrics.evaluate(a, a, spacing_mm=(1, 1), labels={"liver": 1})  # error
