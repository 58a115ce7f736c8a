import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from medsegany import Box, errors
from medsegany.prompts import box_from_mask, boxes_from_labels, prompt_slice

masks = hnp.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12))).filter(np.any)


def test_a_tight_box_has_inclusive_corners():
    mask = np.zeros((10, 20), bool)
    mask[2:5, 6:14] = True  # rows 2 to 4, columns 6 to 13
    assert box_from_mask(mask) == Box(6, 2, 13, 4)


def test_a_margin_is_cut_at_the_edge():
    mask = np.zeros((10, 20), bool)
    mask[2:5, 6:19] = True
    assert box_from_mask(mask, margin_px=3) == Box(3, 0, 19, 7)


def test_an_empty_mask_has_no_box():
    with pytest.raises(errors.InvalidPrompt, match="empty"):
        box_from_mask(np.zeros((3, 3), bool))


@given(masks)
def test_the_tight_box_holds_the_mask_and_touches_it_on_every_side(mask):
    box = box_from_mask(mask)
    rows, cols = np.nonzero(mask)
    assert (box.x0, box.y0, box.x1, box.y1) == (cols.min(), rows.min(), cols.max(), rows.max())


class TestPromptSlice:
    #          slice: 0  1  2  3  4  5  6  7
    counts = np.array([0, 0, 3, 9, 4, 9, 0, 0])

    @pytest.mark.parametrize(
        ("where", "expected"), [("first", 2), ("middle", 3), ("upper_middle", 4), ("largest", 3)]
    )
    def test_by_hand(self, where, expected):
        """Slices 2 to 5: the middle of four is 3, the upper middle 4; 3 and 5 are largest."""
        assert prompt_slice(self.counts, where) == expected

    def test_an_odd_extent_has_one_middle(self):
        assert prompt_slice([0, 1, 1, 1], "middle") == prompt_slice([0, 1, 1, 1], "upper_middle")

    def test_a_gap_in_the_middle_gives_the_nearest_slice_the_lower_of_two(self):
        assert prompt_slice([1, 1, 0, 1, 1]) == 1
        assert prompt_slice([1, 0, 0, 1, 1]) == 3

    def test_an_object_on_no_slice_is_an_error(self):
        with pytest.raises(errors.InvalidPrompt):
            prompt_slice([0, 0])


class TestBoxesFromLabels:
    labels = np.zeros((4, 10, 12), np.uint8)
    labels[0:3, 2:5, 3:7] = 2
    labels[3, 8, 9] = 5

    def test_an_image_gives_boxes(self):
        assert boxes_from_labels(self.labels[0]) == {2: Box(3, 2, 6, 4)}

    def test_a_volume_gives_placed_boxes(self):
        assert boxes_from_labels(self.labels) == {
            2: Box(3, 2, 6, 4).at(1),
            5: Box(9, 8, 9, 8).at(3),
        }

    def test_jitter_comes_from_the_caller_s_generator_alone(self):
        boxes = [
            boxes_from_labels(self.labels[0], jitter_px=3, rng=np.random.default_rng(s))
            for s in (1, 1, 2)
        ]
        assert boxes[0] == boxes[1] != boxes[2]
        with pytest.raises(errors.InvalidPrompt, match="rng"):
            boxes_from_labels(self.labels[0], jitter_px=3)

    @given(masks, st.integers(0, 9), st.integers(0, 2**32))
    def test_jitter_moves_no_side_further_than_asked_and_stays_inside(self, mask, jitter, seed):
        rng = np.random.default_rng(seed)
        tight = box_from_mask(mask).as_array()
        (box,) = boxes_from_labels(mask.astype(np.uint8), jitter_px=jitter, rng=rng).values()
        # sides that cross each other are put in order, which moves neither further
        assert np.abs(box.as_array() - tight).max() <= jitter + max(
            tight[2] - tight[0], tight[3] - tight[1]
        )
        assert 0 <= box.x0 <= box.x1 < mask.shape[1]
        assert 0 <= box.y0 <= box.y1 < mask.shape[0]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"where": "mid"}, "'middle', 'largest', 'first', 'upper_middle'"),
            ({"margin_px": -3}, "margin_px"),
            ({"margin_px": 1.5}, "margin_px"),
            ({"jitter_px": -2}, "jitter_px"),
        ],
    )
    def test_a_wrong_option_is_named(self, options, words):
        with pytest.raises(errors.InvalidInput, match=words):
            boxes_from_labels(self.labels, **options)

    def test_negative_labels_are_refused(self):
        with pytest.raises(errors.InvalidPrompt, match="-1"):
            boxes_from_labels(np.full((3, 3), -1))

    def test_floats_are_no_labels(self):
        with pytest.raises(errors.InvalidPrompt, match="integers"):
            boxes_from_labels(np.zeros((3, 3)))
