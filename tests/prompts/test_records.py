import numpy as np
import pytest

from medsegany import Box, MaskPrompt, Point, errors
from medsegany.prompts import Placed


class TestBox:
    def test_numpy_numbers_are_fine(self):
        box = Box(np.int64(1), np.float32(2.5), np.array(3), np.uint8(4))
        assert box == Box(1, 2.5, 3, 4)
        assert isinstance(box.x0, int)

    def test_one_pixel_is_a_box(self):
        assert Box(3, 4, 3, 4).as_array().tolist() == [3, 4, 3, 4]

    def test_an_inverted_box_says_what_boxes_are(self):
        with pytest.raises(
            errors.InvalidPrompt, match=r"x1 >= x0, got x0=118, x1=30.*\(row, col\)"
        ):
            Box(118, 30, 30, 90)
        with pytest.raises(errors.InvalidPrompt, match=r"y1 >= y0"):
            Box(1, 30, 30, 9)

    @pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "3", None, True, [3], 1j])
    def test_a_coordinate_is_one_finite_number(self, wrong):
        with pytest.raises(errors.InvalidPrompt, match="coordinate"):
            Box(wrong, 0, 5, 5)

    def test_it_is_a_frozen_value(self):
        assert {Box(1, 2, 3, 4), Box(1, 2, 3, 4)} == {Box(1, 2, 3, 4)}
        with pytest.raises(AttributeError):
            Box(1, 2, 3, 4).x0 = 2


class TestPoint:
    def test_yes_and_no_in_any_dress(self):
        assert Point(1, 2, np.bool_(False)) == Point(1, 2, 0) == Point(1, 2, positive=False)
        assert Point(1, 2, 1).positive is True

    @pytest.mark.parametrize("wrong", [2, 3, -1, "negative", None, 0.0, np.array([True, False])])
    def test_no_other_label_reaches_the_model(self, wrong):
        """To SAM 2 and 3 are corners of a box, and -1 is no point at all."""
        with pytest.raises(errors.InvalidPrompt, match="positive"):
            Point(1, 2, wrong)


class TestPlaced:
    def test_at_places_any_prompt(self):
        assert Box(1, 2, 3, 4).at(np.int32(57)) == Placed(Box(1, 2, 3, 4), 57)
        assert Point(1, 2).at(0).index == 0

    @pytest.mark.parametrize("wrong", [-1, 1.0, True, "3", None])
    def test_an_index_counts_from_zero(self, wrong):
        with pytest.raises(errors.InvalidPrompt, match="index"):
            Point(1, 2).at(wrong)


class TestMaskPrompt:
    def test_integers_with_one_value_are_a_mask(self):
        mask = np.array([[0, 7], [7, 0]], np.int16)
        assert MaskPrompt(mask).mask.tolist() == [[False, True], [True, False]]

    def test_a_label_map_is_refused_with_the_line_to_paste(self):
        with pytest.raises(errors.InvalidPrompt, match=r"labels == 2"):
            MaskPrompt(np.array([[0, 2], [5, 0]]))

    def test_probabilities_are_refused(self):
        with pytest.raises(errors.InvalidPrompt, match="threshold"):
            MaskPrompt(np.array([[0.0, 0.3]]))

    def test_the_caller_s_array_can_change_afterwards(self):
        mask = np.zeros((2, 2), bool)
        prompt = MaskPrompt(mask)
        mask[:] = True
        assert not prompt.mask.any()

    def test_equal_masks_are_equal_prompts(self):
        assert MaskPrompt(np.eye(3, dtype=bool)) == MaskPrompt(np.eye(3, dtype=bool))
        assert MaskPrompt(np.eye(3, dtype=bool)) != MaskPrompt(np.zeros((3, 3), bool))

    @pytest.mark.parametrize("wrong", [np.array([["a"]]), np.array([[1j]])])
    def test_what_is_no_number_is_no_mask(self, wrong):
        with pytest.raises(errors.InvalidPrompt, match="bool or integers"):
            MaskPrompt(wrong)

    def test_a_volume_is_no_mask_on_a_slice(self):
        with pytest.raises(errors.InvalidPrompt, match=r"\(H, W\)"):
            MaskPrompt(np.zeros((2, 3, 4), bool))
