import warnings

import numpy as np
import pytest

from medsegany.metrics import _surfaces

# The published package spells two names that numpy 2 no longer has; they matter for empty masks.
for old, new in (("Inf", np.inf), ("NaN", np.nan)):
    setattr(np, old, new)


@pytest.fixture(scope="session")
def oracle():
    """DeepMind's package."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imports from places that scipy gives up
        return pytest.importorskip("surface_distance")


@pytest.fixture(params=["compiled", "plain"])
def engine(request, monkeypatch):
    """Every test that takes it runs with the compiled code and with numpy and scipy."""
    if request.param == "plain":
        monkeypatch.setattr(_surfaces, "_compiled", None)
    elif not _surfaces.is_compiled():
        pytest.skip("no C compiler was there when medsegany was installed")
    return request.param


@pytest.fixture
def theirs(oracle):
    """All that the reference says of two masks, in our words."""

    def theirs(prediction, truth, spacing, tolerance, percentile=95):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # 0 / 0 for empty masks
            found = oracle.compute_surface_distances(truth, prediction, spacing)
            overlap = oracle.compute_surface_overlap_at_tolerance(found, tolerance)
            average = oracle.compute_average_surface_distance(found)
            return {
                "nsd": oracle.compute_surface_dice_at_tolerance(found, tolerance),
                "hausdorff": oracle.compute_robust_hausdorff(found, percentile),
                "overlap": (overlap[1], overlap[0]),
                "average": (average[1], average[0]),
                "area": (
                    np.sum(found["surfel_areas_pred"]),
                    np.sum(found["surfel_areas_gt"]),
                ),
                "dsc": oracle.compute_dice_coefficient(truth, prediction),
            }

    return theirs


@pytest.fixture
def ours():
    """The same of ours."""
    from medsegany import metrics

    def ours(prediction, truth, spacing, tolerance, percentile=95):
        found = metrics.surface_distances(prediction, truth, spacing_mm=spacing)
        overlap, average = found.surface_overlap(tolerance), found.average()
        return {
            "nsd": found.nsd(tolerance),
            "hausdorff": found.hausdorff(percentile, empty="reference"),
            "overlap": (overlap.from_prediction, overlap.from_truth),
            "average": (average.from_prediction, average.from_truth),
            "area": (found.from_prediction.area, found.from_truth.area),
            "dsc": metrics.dsc(prediction, truth),
        }

    return ours
