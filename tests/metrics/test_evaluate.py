"""All labels of a label map at once."""

import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra import numpy as hnp

from medsegany import errors, metrics


@pytest.fixture
def maps(rng):
    """Four labels in the prediction, five in the truth, of which three are the same."""
    prediction = rng.integers(0, 5, (6, 14, 16)).astype(np.uint8)
    truth = np.where(rng.random(prediction.shape) < 0.7, prediction, 6).astype(np.uint8)
    prediction[prediction == 2] = 9
    return prediction, truth


@pytest.mark.usefixtures("engine")
class TestItIsTheSame:
    """A table of all labels holds what the functions say of each."""

    def test_for_every_metric(self, maps):
        at = {"spacing_mm": (3, 1, 0.7)}
        table = metrics.evaluate(
            *maps,
            **at,
            tolerance_mm=0.8,
            metrics=["dsc", "iou", "nsd", "surface_overlap", "boundary_iou", "hd", "hd95", "hd50",
                     "assd", "masd", "asd"],
        )  # fmt: skip
        assert [row.label for row in table.rows] == [1, 2, 3, 4, 6, 9]
        for row in table.rows:
            masks = [m == row.label for m in maps]
            overlap = metrics.surface_overlap(*masks, **at, tolerance_mm=0.8)
            average = metrics.average_surface_distances(*masks, **at)
            both, either = (masks[0] & masks[1]).sum(), (masks[0] | masks[1]).sum()
            expected = {
                "dsc": metrics.dsc(*masks),
                "iou": both / either,
                "nsd": metrics.nsd(*masks, **at, tolerance_mm=0.8),
                "surface_overlap_from_prediction": overlap.from_prediction,
                "surface_overlap_from_truth": overlap.from_truth,
                "boundary_iou": metrics.boundary_iou(*masks, **at, distance_mm=0.8),
                "hd": metrics.hausdorff(*masks, **at),
                "hd95": metrics.hausdorff(*masks, **at, percentile=95),
                "hd50": metrics.hausdorff(*masks, **at, percentile=50),
                "assd": metrics.assd(*masks, **at),
                "masd": metrics.masd(*masks, **at),
                "asd_from_prediction": average.from_prediction,
                "asd_from_truth": average.from_truth,
            }
            assert list(row.scores) == list(expected)
            np.testing.assert_array_equal(list(row.scores.values()), list(expected.values()))
            assert (row.prediction_voxels, row.truth_voxels) == tuple(m.sum() for m in masks)

    @pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.uint64, np.int64])
    def test_for_every_type_of_integer(self, maps, dtype):
        first = metrics.evaluate(*maps, spacing_mm=(3, 1, 1), tolerance_mm=1)
        again = metrics.evaluate(
            maps[0].astype(dtype), maps[1], spacing_mm=(3, 1, 1), tolerance_mm=1
        )
        assert first.rows == again.rows

    def test_for_labels_beyond_16_bits(self, maps):
        far = [m.astype(np.int64) * 100_000 for m in maps]
        found = metrics.evaluate(*far, spacing_mm=(3, 1, 1), tolerance_mm=1)
        near = metrics.evaluate(*maps, spacing_mm=(3, 1, 1), tolerance_mm=1)
        assert [row.label for row in found.rows] == [row.label * 100_000 for row in near.rows]
        np.testing.assert_array_equal(found["nsd"], near["nsd"])

    def test_for_a_slice(self, maps):
        table = metrics.evaluate(maps[0][0], maps[1][0], spacing_mm=(1, 0.7), tolerance_mm=0.8)
        masks = maps[0][0] == 3, maps[1][0] == 3
        expected = metrics.nsd(*masks, spacing_mm=(1, 0.7), tolerance_mm=0.8)
        assert table.row(3)["nsd"] == expected


class TestLabels:
    def test_what_is_missed_and_what_is_made_up(self):
        truth, prediction = np.zeros((2, 4, 4), np.uint8)
        truth[0, 0], prediction[3, 3] = 1, 2
        table = metrics.evaluate(prediction, truth, spacing_mm=(1, 1), metrics=["dsc", "hd"])
        missed, made_up = table.rows
        assert (missed.prediction_voxels, missed.truth_voxels, missed["dsc"]) == (0, 1, 0)
        assert (made_up.prediction_voxels, made_up.truth_voxels, made_up["dsc"]) == (1, 0, 0)
        assert missed["hd"] == made_up["hd"] == math.inf

    def test_those_that_are_asked_for_with_their_names(self, maps):
        table = metrics.evaluate(*maps, spacing_mm=(1, 1, 1), tolerance_mm=1,
                                 labels={3: "spleen", 77: "tail"})  # fmt: skip
        assert [(row.label, row.name) for row in table.rows] == [(3, "spleen"), (77, "tail")]
        assert np.isnan(table["dsc"]).tolist() == [False, True]
        assert np.isnan(table["nsd"]).tolist() == [False, True]
        assert table.mean()["dsc"] == table.row(3)["dsc"]

    def test_one_that_neither_holds_takes_the_rule(self, maps):
        table = metrics.evaluate(*maps, spacing_mm=(1, 1, 1), labels=[77], empty="perfect",
                                 metrics=["dsc", "nsd", "hd95", "boundary_iou"],
                                 tolerance_mm=1)  # fmt: skip
        assert dict(table.row(77).scores) == {"dsc": 1, "nsd": 1, "hd95": 0, "boundary_iou": 1}

    def test_nothing_at_all(self):
        nothing = np.zeros((3, 3), np.uint8)
        table = metrics.evaluate(nothing, nothing, spacing_mm=(1, 1), metrics=["dsc"])
        assert len(table) == 0
        assert math.isnan(table.mean()["dsc"])
        assert "mean" in str(table)


class TestTolerances:
    def test_several_make_columns(self, maps):
        table = metrics.evaluate(*maps, spacing_mm=(3, 1, 1), tolerance_mm=[0.5, 1, 2.5])
        assert table.metrics == ("dsc", "nsd_0.5mm", "nsd_1mm", "nsd_2.5mm")
        for mm in (0.5, 1, 2.5):
            alone = metrics.evaluate(*maps, spacing_mm=(3, 1, 1), tolerance_mm=mm)
            np.testing.assert_array_equal(table[f"nsd_{mm:g}mm"], alone["nsd"])

    def test_one_for_each_label(self, maps):
        organs = {1: 5.0, 3: 0.5}
        table = metrics.evaluate(
            *maps, spacing_mm=(3, 1, 1), tolerance_mm=organs, labels=list(organs)
        )
        for label, mm in organs.items():
            masks = [m == label for m in maps]
            alone = metrics.nsd(*masks, spacing_mm=(3, 1, 1), tolerance_mm=mm)
            assert table.row(label)["nsd"] == alone

    def test_those_of_flare22(self):
        assert metrics.FLARE22_TOLERANCES_MM.keys() == metrics.FLARE22_LABELS.keys()
        assert metrics.FLARE22_TOLERANCES_MM[12] == 7
        assert metrics.FLARE22_LABELS[12] == "duodenum"


class TestThePreset:
    """The numbers of MedSAM's released scripts, computed here as they do."""

    @pytest.fixture
    def scripts(self, oracle):
        def scripts(prediction, truth, spacing_as_stored):
            """`compute_metrics.py`: spacing is x, y, z beside arrays that are z, y, x."""
            dsc, nsd = {}, {}
            for label in range(1, truth.max() + 1):
                a, b = truth == label, prediction == label
                if not a.any() and not b.any():
                    dsc[label] = nsd[label] = 1.0
                    continue
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # places that scipy gives up
                    found = oracle.compute_surface_distances(a, b, spacing_as_stored)
                dsc[label] = oracle.compute_dice_coefficient(a, b)
                nsd[label] = oracle.compute_surface_dice_at_tolerance(found, 2.0)
            return dsc, nsd

        return scripts

    def test_in_volumes_spacing_is_in_the_wrong_order(self, scripts):
        truth = np.zeros((20, 30, 30), np.uint8)
        truth[4:14, 5:25, 5:25], truth[15:19, 3:9, 3:9] = 1, 3
        prediction = np.roll(truth, (1, 0, 3), (0, 1, 2))
        dsc, nsd = scripts(prediction, truth, (0.8, 0.8, 5.0))
        table = metrics.evaluate(prediction, truth, spacing_mm=(5, 0.8, 0.8), preset="medsam")
        assert table["medsam_dsc"].tolist() == list(dsc.values())
        np.testing.assert_allclose(table["medsam_nsd"], list(nsd.values()), rtol=1e-9)
        right = metrics.evaluate(prediction, truth, spacing_mm=(5, 0.8, 0.8), tolerance_mm=2)
        assert table.row(1)["medsam_nsd"] != pytest.approx(right.row(1)["nsd"], abs=0.01)

    def test_a_slice_is_a_body_of_one_voxel(self, scripts):
        """A square moved by 4 pixels: 0.94, and its contour by the truth 0.04."""
        truth = np.zeros((100, 100), np.uint8)
        truth[20:80, 20:80] = 1
        prediction = np.roll(truth, (4, 4), (0, 1))
        _, nsd = scripts(prediction[..., None], truth[..., None], (1.0, 1.0, 1.0))
        table = metrics.evaluate(prediction, truth, spacing_mm=(0.5, 0.5), preset="medsam")
        assert table.row(1)["medsam_nsd"] == pytest.approx(nsd[1], rel=1e-9)
        assert nsd[1] == pytest.approx(0.944, abs=0.001)
        right = metrics.nsd(prediction, truth, spacing_mm=(1, 1), tolerance_mm=2)
        assert right == pytest.approx(0.04, abs=0.005)

    def test_a_poor_case_has_no_nsd(self):
        truth = np.zeros((30, 30), np.uint8)
        truth[5:15, 5:15] = 1
        prediction = np.roll(truth, (8, 8), (0, 1))
        table = metrics.evaluate(prediction, truth, spacing_mm=(1, 1), preset="medsam")
        assert 0 < table.row(1)["medsam_dsc"] <= 0.2
        assert table.row(1)["medsam_nsd"] == 0

    def test_it_says_what_it_is(self, maps):
        table = metrics.evaluate(*maps, spacing_mm=(1, 1, 1), preset="medsam")
        assert table.preset == "medsam"
        assert "for comparison with published numbers only" in str(table)


class TestTheTable:
    def test_columns_and_rows(self, maps):
        table = metrics.evaluate(*maps, spacing_mm=(1, 1, 1), tolerance_mm=1)
        assert table["dsc"].shape == (len(table),)
        assert table.row(3)["dsc"] == table["dsc"][2]
        with pytest.raises(errors.InvalidInput, match="'hd' was not measured; there is dsc, nsd"):
            table["hd"]
        with pytest.raises(errors.InvalidInput, match="no label 5"):
            table.row(5)

    def test_for_pandas(self, maps):
        pytest.importorskip("pandas")
        frame = metrics.evaluate(*maps, spacing_mm=(1, 1, 1), tolerance_mm=1).to_pandas()
        assert list(frame) == ["label", "name", "prediction_voxels", "truth_voxels", "dsc", "nsd"]
        assert frame["label"].tolist() == [1, 2, 3, 4, 6, 9]

    def test_in_words(self):
        truth = np.array([[1, 1, 1, 0], [2, 2, 0, 0]], np.uint8)
        prediction = np.array([[0, 1, 1, 1], [2, 2, 0, 0]], np.uint8)
        table = metrics.evaluate(prediction, truth, spacing_mm=(1, 1), metrics=["dsc"],
                                 labels={1: "liver", 2: "spleen"})  # fmt: skip
        assert str(table).splitlines() == [
            "label    name     dsc",
            "    1   liver  0.6667",
            "    2  spleen  1.0000",
            " mean          0.8333",
        ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tolerance_mm": None}, '"nsd" needs tolerance_mm'),
        ({"tolerance_mm": {1: 2.0}}, "none for label 2"),
        ({"tolerance_mm": [1, -1]}, "0 or more"),
        ({"metrics": ["dice"]}, "no metric 'dice'; there is dsc, iou"),
        ({"metrics": ["hd101"]}, "no metric 'hd101'"),
        ({"metrics": "dsc"}, "a sequence of names, such as .'dsc',."),
        ({"labels": [0, 1]}, "0 is the background"),
        ({"labels": [1.5]}, "whole numbers"),
        ({"labels": [1, 1]}, "one twice"),
        ({"preset": "medsam", "tolerance_mm": 1}, "leave them"),
        ({"preset": "flare"}, '"medsam" or None'),
        ({"truth": np.zeros((3, 3)) + 0.5}, "probabilities"),
        ({"truth": np.zeros((3, 3))}, "They are whole"),
        ({"truth": -np.eye(3, dtype=int)}, "holds the label -1"),
        ({"spacing_mm": (1, 1, 1)}, "2 positive numbers"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(change, said):
    labels = np.diag([1, 2, 0])
    words = {"prediction": labels, "truth": labels, "spacing_mm": (1, 1), "tolerance_mm": 1}
    with pytest.raises(errors.InvalidInput, match=said):
        metrics.evaluate(**{**words, **change})


label_maps = hnp.array_shapes(min_dims=2, max_dims=3, max_side=7).flatmap(
    lambda shape: st.tuples(*[hnp.arrays(np.uint8, shape, elements=st.integers(0, 3))] * 2)
)


@given(label_maps)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_labels_do_not_touch_each_other(engine, pair):
    """What a label has in a map of many is what it has alone."""
    spacing = (2.0, 1.0, 0.5)[: pair[0].ndim]
    table = metrics.evaluate(
        *pair, spacing_mm=spacing, tolerance_mm=1, metrics=["dsc", "nsd", "hd"]
    )
    for row in table.rows:
        masks = [m == row.label for m in pair]
        assert row["dsc"] == metrics.dsc(*masks)
        assert row["nsd"] == metrics.nsd(*masks, spacing_mm=spacing, tolerance_mm=1)
        assert row["hd"] == metrics.hausdorff(*masks, spacing_mm=spacing)
