"""Surface metrics: by hand, and against DeepMind's package."""

import itertools
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from medsegany import errors, metrics
from medsegany.metrics import _surfaces
from medsegany.metrics._areas import areas

RELATIVE = 1e-9


def same(one, other):
    for name, value in other.items():
        np.testing.assert_allclose(one[name], value, rtol=RELATIVE, atol=0, err_msg=name)
    assert one["dsc"] == other["dsc"] or math.isnan(other["dsc"])


@pytest.mark.usefixtures("engine")
class TestByHand:
    def test_two_voxels_4_mm_apart(self):
        """Each has four corners in this row; those that face each other are 3 mm apart."""
        a, b = np.zeros((2, 1, 6), bool)
        a[0, 0], b[0, 4] = True, True
        found = metrics.surface_distances(a, b, spacing_mm=(1, 1))
        assert found.from_truth.distances_mm.tolist() == [3, 4]
        assert found.from_truth.counts.tolist() == [2, 2]
        assert found.hausdorff() == 4
        assert found.hausdorff(50) == 3
        assert found.assd() == pytest.approx(3.5)
        assert found.masd() == pytest.approx(3.5)
        assert found.nsd(2.9) == 0
        assert found.nsd(3) == pytest.approx(0.5)
        assert found.nsd(4) == 1

    def test_the_contour_of_a_pixel(self):
        """Four corners, each cut by a diagonal of half a pixel."""
        found = metrics.surface_distances([[True]], [[True]], spacing_mm=(3, 4))
        assert found.from_truth.area == pytest.approx(4 * 5 / 2)

    def test_the_length_of_a_bar_grows_with_its_spacing(self):
        """Five pixels in a row: on either side four steps along the row, and its two ends."""
        bar = np.ones((1, 5), bool)
        found = metrics.surface_distances(bar, bar, spacing_mm=(1, 2))
        ends = 4 * math.hypot(1, 2) / 2
        assert found.from_truth.area == pytest.approx(2 * 4 * 2 + ends)

    def test_the_surface_of_a_voxel(self):
        """An octahedron: eight triangles between the middles of three edges of a half cell."""
        found = metrics.surface_distances([[[True]]], [[[True]]], spacing_mm=(1, 1, 1))
        triangle = math.sqrt(3) / 4 * 0.5
        assert found.from_truth.area == pytest.approx(8 * triangle)

    def test_a_mask_at_the_border_is_closed_there(self):
        full = np.ones((3, 3), bool)
        inside = np.pad(full, 2)
        one = metrics.surface_distances(full, full, spacing_mm=(1, 1))
        other = metrics.surface_distances(inside, inside, spacing_mm=(1, 1))
        assert one.from_truth.area == other.from_truth.area

    def test_a_slice_is_no_body(self):
        """The flat sides of a body of one slice are surface, the inside of a contour is none."""
        mask = np.zeros((40, 40), bool)
        mask[10:30, 10:30] = True
        moved = np.roll(mask, 3, axis=1)
        flat = metrics.nsd(moved, mask, spacing_mm=(1, 1), tolerance_mm=1)
        body = metrics.nsd(moved[None], mask[None], spacing_mm=(1, 1, 1), tolerance_mm=1)
        assert flat < 0.6
        assert body > 0.85

    def test_spacing_has_the_order_of_the_axes(self):
        a, b = np.zeros((2, 9, 9, 9), bool)
        a[2:6, 2:6, 2:6], b[3:7, 2:6, 2:6] = True, True
        assert metrics.hausdorff(a, b, spacing_mm=(5, 1, 1)) == 5
        assert metrics.hausdorff(a, b, spacing_mm=(1, 1, 5)) == 1

    def test_floats_decide_at_the_tolerance(self):
        """Three steps of 0.1 are 0.30000000000000004, which is more than 0.3."""
        a, b = np.zeros((2, 1, 9), bool)
        a[0, 1], b[0, 4] = True, True
        a[0, 2], b[0, 5] = True, True
        assert metrics.hausdorff(a, b, spacing_mm=(0.1, 0.1)) == 3 * 0.1 > 0.3
        values = [metrics.nsd(a, b, spacing_mm=(0.1, 0.1), tolerance_mm=t) for t in (0.3, 3 * 0.1)]
        assert values[0] < values[1] == 1

    def test_a_vessel_one_voxel_wide(self):
        vessel = np.zeros((5, 5, 20), bool)
        vessel[2, 2] = True
        moved = np.roll(vessel, 1, axis=1)
        assert metrics.dsc(moved, vessel) == 0
        assert metrics.nsd(moved, vessel, spacing_mm=(1, 1, 1), tolerance_mm=1) == 1

    def test_a_hollow_sphere_has_two_surfaces(self):
        solid = np.zeros((15, 15, 15), bool)
        solid[2:13, 2:13, 2:13] = True
        hollow = solid.copy()
        hollow[5:10, 5:10, 5:10] = False
        found = metrics.surface_distances(hollow, solid, spacing_mm=(1, 1, 1))
        assert found.from_prediction.area > found.from_truth.area
        assert found.average().from_truth == 0
        assert found.hausdorff() == 3  # the middle of a face of the hole, 3 voxels under the skin


@pytest.mark.usefixtures("engine")
class TestEmpty:
    EMPTY, FULL = np.zeros((4, 5), bool), np.ones((4, 5), bool)

    @pytest.mark.parametrize(
        ("rule", "overlap", "hausdorff", "average"),
        [
            ("nan", math.nan, math.nan, math.nan),
            ("reference", math.nan, math.inf, math.nan),
            ("perfect", 1, 0, 0),
            (metrics.EmptyRule(0.5, 1, 2), 0.5, 1, 2),
        ],
    )
    def test_two_empty_masks(self, rule, overlap, hausdorff, average):
        at = {"spacing_mm": (1, 1), "empty": rule}
        masks = self.EMPTY, self.EMPTY
        found = [
            metrics.dsc(*masks, empty=rule),
            metrics.nsd(*masks, tolerance_mm=1, **at),
            metrics.surface_overlap(*masks, tolerance_mm=1, **at).from_truth,
            metrics.boundary_iou(*masks, distance_mm=1, **at),
            metrics.hausdorff(*masks, **at),
            metrics.assd(*masks, **at),
            metrics.masd(*masks, **at),
            metrics.average_surface_distances(*masks, **at).from_truth,
        ]
        np.testing.assert_array_equal(found, [overlap] * 4 + [hausdorff] + [average] * 3)

    @pytest.mark.parametrize("rule", ["nan", "reference", "perfect"])
    @pytest.mark.parametrize("masks", [(EMPTY, FULL), (FULL, EMPTY)])
    def test_one_empty_mask(self, masks, rule):
        at = {"spacing_mm": (1, 1), "empty": rule}
        assert metrics.dsc(*masks, empty=rule) == 0
        assert metrics.nsd(*masks, tolerance_mm=9, **at) == 0
        assert metrics.boundary_iou(*masks, distance_mm=9, **at) == 0
        assert metrics.hausdorff(*masks, **at) == math.inf
        assert metrics.assd(*masks, **at) == metrics.masd(*masks, **at) == math.inf
        found = metrics.average_surface_distances(*masks, **at)
        ways = {found.from_prediction, found.from_truth}
        assert math.inf in ways
        assert any(math.isnan(way) for way in ways)

    def test_a_penalty_instead_of_infinity(self):
        rule = metrics.EmptyRule(missing=373.13)
        at = {"spacing_mm": (1, 1), "empty": rule}
        assert metrics.hausdorff(self.EMPTY, self.FULL, **at) == 373.13
        assert metrics.assd(self.FULL, self.EMPTY, **at) == 373.13
        assert metrics.average_surface_distances(self.FULL, self.EMPTY, **at).from_prediction == (
            373.13
        )

    def test_the_reference_agrees_but_for_two_empty_masks(self, ours, theirs):
        for a, b in itertools.product((self.EMPTY, self.FULL), repeat=2):
            same(ours(a, b, (1, 1), 1), theirs(a, b, (1, 1), 1))
        assert theirs(self.EMPTY, self.EMPTY, (1, 1), 1)["hausdorff"] == math.inf


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"spacing_mm": (1, 1, 1)}, "2 positive numbers in the order of the axes .H, W."),
        ({"spacing_mm": (1, 0)}, "positive"),
        ({"spacing_mm": (1, math.nan)}, "positive"),
        ({"spacing_mm": 1}, "GetSpacing"),
        ({"tolerance_mm": -1}, "0 or more, got -1"),
        ({"tolerance_mm": math.nan}, "0 or more"),
        ({"truth": np.zeros((5, 4), bool)}, "axes in another order"),
        ({"truth": np.zeros((4, 6), bool)}, "one shape"),
        ({"truth": np.arange(20).reshape(4, 5)}, "metrics.evaluate"),
        ({"truth": np.zeros((4, 5))}, "float64"),
        ({"empty": "zero"}, "'nan', 'reference', 'perfect'"),
        ({"threads": 0}, "1 or more"),
    ],
)
def test_what_cannot_be_measured_is_refused(change, said):
    words = {
        "prediction": np.zeros((4, 5), bool),
        "truth": np.zeros((4, 5), bool),
        "spacing_mm": (1, 1),
        "tolerance_mm": 1,
    }
    with pytest.raises(errors.InvalidInput, match=said):
        metrics.nsd(**{**words, **change})


def test_surfaces_have_two_or_three_axes():
    with pytest.raises(errors.InvalidInput, match="2 or 3 axes, got 1"):
        metrics.nsd([True], [True], spacing_mm=(1,), tolerance_mm=1)


# --- the reference -------------------------------------------------------------------------------

SPACINGS = st.sampled_from([0.1, 0.3, 0.5, 0.7, 0.9765625, 1.0, 2.0, 2.5, 5.0])


@st.composite
def masks(draw):
    """Noise, blobs, whole arrays, slices: anything that a mask can be."""
    shape = draw(hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9))
    spacing = tuple(draw(SPACINGS) for _ in shape)
    part = draw(st.sampled_from([0.02, 0.2, 0.5, 0.9]))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    a, b = rng.random((2, *shape)) < part
    if draw(st.booleans()):
        places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
        centres = rng.uniform(0, shape, (2, len(shape)))
        a, b = (((places - c) ** 2).sum(-1) < rng.uniform(1, 25) for c in centres)
    return a, b, spacing


ONCE = settings(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


class TestAgainstTheReference:
    @given(masks(), st.sampled_from([0, 0.1, 0.3, 0.5, 1, 1.5, 2, 2.5]))
    @ONCE
    def test_any_masks(self, engine, ours, theirs, case, tolerance):
        a, b, spacing = case
        same(ours(a, b, spacing, tolerance), theirs(a, b, spacing, tolerance))
        limited = metrics.nsd(a, b, spacing_mm=spacing, tolerance_mm=tolerance)
        np.testing.assert_allclose(limited, theirs(a, b, spacing, tolerance)["nsd"], rtol=RELATIVE)

    @given(masks(), st.sampled_from([0, 1, 5, 25, 50, 75, 95, 99.9, 100]))
    @ONCE
    def test_any_percentile(self, engine, ours, theirs, case, percentile):
        """Also where the running sum of areas hits it, and the order of adding decides."""
        a, b, spacing = case
        same(ours(a, b, spacing, 1, percentile), theirs(a, b, spacing, 1, percentile))

    def test_all_codes(self, engine, ours, theirs, rng):
        for code in range(256):
            cell = np.array([code >> n & 1 for n in range(8)], bool).reshape(2, 2, 2)
            other = np.roll(cell, 1)
            spacing = tuple(rng.uniform(0.3, 3, 3))
            same(ours(cell, other, spacing, 0.5), theirs(cell, other, spacing, 0.5))

    @pytest.mark.parametrize("spacing", [(1, 1, 1), (5, 0.8, 0.8), (0.1, 2, 0.7)])
    def test_far_apart(self, engine, ours, theirs, spacing, rng):
        """Many far elements are sought plane by plane, a few from their neighbour's answer on."""
        a, b = np.zeros((2, 20, 40, 90), bool)
        a[3:15, 5:20, 5:25], b[4:17, 18:36, 60:85] = True, True
        same(ours(a, b, spacing, 2), theirs(a, b, spacing, 2))
        a[3:15, 5:20, 5:25], b[...] = True, a
        b[18, 38, 88] = True
        same(ours(a, b, spacing, 2), theirs(a, b, spacing, 2))
        sparse = rng.random((2, 20, 40, 90)) < 0.0005
        same(ours(*sparse, spacing, 2), theirs(*sparse, spacing, 2))

    def test_far_apart_in_a_slice(self, engine, ours, theirs):
        a, b = np.zeros((2, 60, 400), bool)
        a[10:40, 10:60], b[20:59, 300:390] = True, True
        same(ours(a, b, (0.7, 0.3), 2), theirs(a, b, (0.7, 0.3), 2))
        a[55, 399] = b[1, 1] = True
        same(ours(a, b, (0.7, 0.3), 2), theirs(a, b, (0.7, 0.3), 2))

    def test_a_tolerance_of_many_voxels(self, engine, theirs):
        a, b = np.zeros((2, 30, 30, 30), bool)
        a[2:8, 2:8, 2:8], b[15:28, 15:28, 15:28] = True, True
        for tolerance in (5, 20, 40):
            ours = metrics.nsd(a, b, spacing_mm=(1, 1, 1), tolerance_mm=tolerance)
            assert ours == pytest.approx(theirs(a, b, (1, 1, 1), tolerance)["nsd"], rel=RELATIVE)

    def test_real_organs(self, engine, ours, theirs, eval_data, rng):
        """Label maps of real volumes against themselves, moved and frayed."""
        files = sorted(eval_data.glob("*_3d/*/*.npz"))[:3]
        assert files
        for file in files:
            with np.load(file) as case:
                labels, spacing = case["gts"], (2.5, 0.8, 0.7)
            truth = labels == np.unique(labels[labels > 0])[0]
            found = np.roll(truth, (1, 2, -1), (0, 1, 2)) ^ (rng.random(truth.shape) < 1e-4)
            same(ours(found, truth, spacing, 2), theirs(found, truth, spacing, 2))


def test_the_table_of_areas_is_the_reference_s(oracle):
    """Ours is derived from marching cubes, theirs is written down."""
    for spacing in [(1.0, 1.0, 1.0), (5.0, 0.7, 0.8), (0.3, 2.0, 1.1)]:
        table = oracle.lookup_tables.create_table_neighbour_code_to_surface_area(spacing)
        np.testing.assert_allclose(areas(spacing), table, rtol=1e-12)
        flat = oracle.lookup_tables.create_table_neighbour_code_to_contour_length(spacing[1:])
        np.testing.assert_allclose(areas(spacing[1:])[:16], flat, rtol=1e-12)


def test_monai_agrees(rng):
    """A second opinion, in float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        monai = pytest.importorskip("monai.metrics")
    places = np.indices((30, 40, 40))
    a = ((places - [[[[15]]], [[[20]]], [[[18]]]]) ** 2).sum(0) < 120
    b = ((places - [[[[16]]], [[[19]]], [[[21]]]]) ** 2).sum(0) < 130
    spacing, tolerance = (2.0, 0.9, 0.8), 1.3
    both = [torch.from_numpy(np.stack([~m, m])[None]) for m in (a, b)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # its own arguments
        theirs = monai.compute_surface_dice(
            *both, class_thresholds=[tolerance], spacing=spacing, use_subvoxels=True
        )
    ours = metrics.nsd(a, b, spacing_mm=spacing, tolerance_mm=tolerance)
    assert ours == pytest.approx(float(theirs), abs=1e-6)


# --- how it is done ------------------------------------------------------------------------------


def test_threads_change_nothing(rng):
    masks = rng.random((2, 60, 200, 200)) < 0.001
    one, two = (metrics.surface_distances(*masks, spacing_mm=(2, 1, 1), threads=n) for n in (1, 2))
    for a, b in ((one.from_truth, two.from_truth), (one.from_prediction, two.from_prediction)):
        np.testing.assert_array_equal(a.distances_mm, b.distances_mm)
        np.testing.assert_array_equal(a.counts, b.counts)


def test_the_environment_bounds_the_threads(monkeypatch):
    from medsegany.metrics._distances import a_number_of_threads

    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert a_number_of_threads(None) == 3
    assert a_number_of_threads(1) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert a_number_of_threads(None) >= 1


@pytest.mark.skipif(not _surfaces.is_compiled(), reason="no C compiler")
class TestTheCompiledCode:
    """It is handed sizes by our own code; wrong ones are refused all the same."""

    def test_sizes_that_do_not_fit(self):
        code = _surfaces._compiled
        labels, wanted = np.zeros(27, np.uint8), np.zeros(256, np.uint8)
        with pytest.raises(ValueError, match="do not fit"):
            code.surfaces(labels, wanted, 1, 3, 3, 4, False)
        with pytest.raises(ValueError, match="do not fit"):
            code.surfaces(labels, wanted[:255], 1, 3, 3, 3, False)
        with pytest.raises(ValueError, match="do not fit"):
            code.surfaces(labels, wanted, 4, 3, 3, 3, False)
        with pytest.raises(ValueError, match="do not fit"):
            code.counts(labels, labels[1:], 1)
        one = code.surfaces(labels, wanted, 1, 3, 3, 3, False)
        steps, none = np.zeros((1, 3), np.int16), np.zeros(0, np.uint8)
        with pytest.raises(ValueError, match="do not fit"):
            code.distances(one, one, 1, (1.0, 1.0, 1.0), steps, np.zeros(1), none, 1, True)
        with pytest.raises(ValueError, match="do not fit"):
            code.distances(one, one, 256, (1.0, 1.0, 1.0), steps, np.zeros(1), wanted, 1, True)

    def test_arrays_that_are_not_in_one_piece(self, rng):
        a, b = rng.random((2, 12, 14, 16)) < 0.3
        whole = metrics.hausdorff(a, b, spacing_mm=(1, 2, 3))
        turned = metrics.hausdorff(a.T, b.T, spacing_mm=(3, 2, 1))
        assert whole == turned == metrics.hausdorff(a[::-1], b[::-1], spacing_mm=(1, 2, 3))

    def test_an_axis_beyond_its_bits(self):
        long = np.zeros((1, 2**18 + 5), bool)
        long[0, 3] = True
        assert metrics.hausdorff(long, np.roll(long, 2**18 - 9, 1), spacing_mm=(1, 1)) == 2**18 - 9
