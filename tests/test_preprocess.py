import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from medsegany import Volume, errors
from medsegany.preprocess import WINDOWS, Window, check_image, check_stack, to_display


class TestWindow:
    def test_the_bounds_become_0_and_255(self):
        hounsfield = np.array([-1000, -160, 40, 240, 3000], np.int16)  # abdomen: -160 to 240
        assert to_display(hounsfield, "abdomen").tolist() == [0, 0, 127, 255, 255]

    def test_a_scan_that_misses_the_bounds_keeps_its_contrast(self):
        """The released code scales by the data's own extremes; here grey means Hounsfield units."""
        assert to_display(np.array([0, 80]), Window(40, 400)).tolist() == [102, 153]

    def test_an_unknown_name_lists_the_known_ones(self):
        for wrong in ("belly", [40, 400], None):
            with pytest.raises(errors.InvalidInput, match=r"'abdomen'.*'lung'"):
                to_display(np.zeros(3), wrong)

    def test_a_width_is_above_zero(self):
        for wrong in (0, -5, float("nan"), "400", True):
            with pytest.raises(errors.InvalidInput, match="width"):
                Window(40, wrong)
        with pytest.raises(errors.InvalidInput, match="level"):
            Window(float("inf"), 400)

    @given(st.floats(-2000, 2000), st.floats(0.1, 5000))
    def test_what_lies_beyond_a_bound_is_0_or_255_whatever_the_window(self, level, width):
        low, high = Window(level, width).bounds
        assert to_display(np.array([low - 1, high + 1]), Window(level, width)).tolist() == [0, 255]

    def test_the_paper_s_windows(self):
        assert WINDOWS["abdomen"] == Window(40, 400)
        assert WINDOWS["lung"] == Window(-600, 1500)
        assert WINDOWS["brain"] == Window(40, 80)
        assert WINDOWS["mediastinum"] == Window(50, 350)


class TestPercentile:
    def test_the_values_above_zero_are_counted(self):
        """1 to 201: the 0.5th percentile is 2, the 99.5th 200; the zeros do not move them."""
        values = np.concatenate([np.zeros(1000), np.arange(1, 202)])
        display = to_display(values, "percentile")
        assert (display[:1000] == 0).all()
        assert display[1000 + 1] == 0  # value 2
        assert display[1000 + 199] == 255  # value 200
        assert display[1000 + 100] == 127  # value 101, half way

    @pytest.mark.parametrize(
        "values",
        [
            np.zeros((3, 4)),
            np.full((3, 4), 7),
            np.full((3, 4), np.nan),
            np.array([[np.inf, -np.inf]]),
        ],
        ids=["zero", "constant", "nan", "infinite"],
    )
    def test_without_contrast_everything_is_zero(self, values):
        assert not to_display(values, "percentile").any()

    def test_negative_images_are_scaled_by_all_their_values(self):
        display = to_display(np.linspace(-900, -100, 201), "percentile")
        assert display[0] == 0
        assert display[-1] == 255

    def test_nan_becomes_zero_and_spoils_nothing_else(self):
        values = np.arange(1.0, 202.0)
        values[50] = np.nan
        display = to_display(values, "percentile")
        assert display[50] == 0
        assert display[-1] == 255

    def test_two_values_are_black_and_white(self):
        assert to_display(np.array([[0, 700]], np.uint16), "percentile").tolist() == [[0, 255]]
        assert to_display(np.array([[False, True]]), "percentile").tolist() == [[0, 255]]

    def test_a_volume_records_what_was_done(self):
        volume = Volume(np.arange(1, 25).reshape(2, 3, 4), np.eye(4))
        shown = to_display(volume, "percentile")
        assert shown.voxels.dtype == np.uint8
        assert "percentiles" in shown.preparation


@given(
    hnp.arrays(
        st.sampled_from([np.int16, np.uint16, np.float32]),
        hnp.array_shapes(max_dims=3, max_side=6),
    ),
    st.sampled_from(["percentile", "abdomen", Window(0, 1)]),
)
def test_nothing_is_changed_in_place_and_order_is_kept(values, window):
    before = values.copy()
    display = to_display(values, window)
    np.testing.assert_array_equal(values, before)
    assert display.shape == values.shape
    finite = np.isfinite(values) & (values != 0 if window == "percentile" else True)
    order = np.argsort(values[finite], kind="stable")
    assert (np.diff(display[finite][order].astype(int)) >= 0).all()


class TestChecks:
    def test_an_image_and_a_stack_pass_untouched(self):
        image = np.zeros((4, 5, 3), np.uint8)
        assert check_image(image) is image
        stack = np.zeros((2, 4, 5), np.uint8)
        assert check_stack(stack) is stack
        assert check_stack(Volume(stack, np.eye(4))) is stack

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (np.zeros((4, 5), np.int16) - 900, r"int16.*-900 to -900.*to_display.*CT"),
            (np.full((4, 5), np.nan), "NaN"),
            (np.zeros((4, 5, 4), np.uint8), "alpha"),
            (np.zeros((4, 5, 1), np.uint8), r"image\[\.\.\., 0\]"),
            (np.zeros((3, 4, 5), np.uint8), "moveaxis"),
            (np.zeros(5, np.uint8), "image"),
            (np.zeros((0, 5), np.uint8), "empty"),
            ([[1]], "numpy array"),
            (Volume(np.zeros((2, 3, 4)), np.eye(4)), r"volume\.voxels\[k\]"),
            (None, "NoneType"),
        ],
    )
    def test_anything_else_says_what_to_do(self, wrong, words):
        with pytest.raises(errors.InvalidImage, match=words):
            check_image(wrong)

    def test_one_slice_is_a_stack_of_one(self):
        with pytest.raises(errors.InvalidImage, match=r"image\[None\]"):
            check_stack(np.zeros((4, 5), np.uint8))


class TestLegacyMinmax:
    """The formulas of the released pre_CT_MR.py, typed once more from its description."""

    @given(hnp.arrays(np.int16, (3, 4, 5), elements=st.integers(-1100, 3000)))
    def test_ct(self, values):
        cut = np.clip(values.astype(np.float64), 40 - 200, 40 + 200)
        shown = to_display(values, "abdomen", legacy_minmax=True)
        if cut.min() == cut.max():
            assert not shown.any()
            return
        expected = (cut - cut.min()) / (cut.max() - cut.min()) * 255
        np.testing.assert_array_equal(shown, expected.astype(np.uint8))

    @given(hnp.arrays(np.int16, (3, 4, 5), elements=st.integers(0, 900)))
    def test_mr(self, values):
        shown = to_display(values, "percentile", legacy_minmax=True)
        above = values[values > 0]
        low, high = np.percentile(above, (0.5, 99.5)) if above.size else (0, 0)
        if low == high:
            return  # the released code divides by zero
        cut = np.clip(values.astype(np.float64), low, high)
        expected = (cut - cut.min()) / (cut.max() - cut.min()) * 255
        expected[values == 0] = 0
        np.testing.assert_array_equal(shown, expected.astype(np.uint8))

    def test_a_scan_that_misses_the_window_s_ends_shows_the_difference(self):
        values = np.array([[0, 100]], np.int16)
        assert to_display(values, "abdomen").tolist() == [[102, 165]]  # (0 + 160) / 400 * 255
        assert to_display(values, "abdomen", legacy_minmax=True).tolist() == [[0, 255]]

    def test_it_is_recorded(self):
        volume = Volume(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
        done = to_display(volume, "abdomen", legacy_minmax=True).preparation
        assert "legacy_minmax" in done
        assert "0 to 23" in done


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("window", ["abdomen", "percentile"])
def test_every_type_of_number_is_shown_alike(rng, kind, window):
    values = rng.integers(0, 120, (3, 4, 5))
    expected = to_display(values.astype(np.float64), window)
    given_ = values.astype(kind)
    np.testing.assert_array_equal(to_display(given_, window), expected)
    np.testing.assert_array_equal(to_display(given_[:, ::-1].T, window), expected[:, ::-1].T)
    np.testing.assert_array_equal(given_, values)  # and is not changed
