import numpy as np

from medsegany.postprocess import fill_holes


def test_a_small_hole_is_filled_and_a_large_one_is_left():
    logits = np.full((9, 9), 2, np.float32)
    logits[1, 1:3] = -3  # 2 pixels
    logits[4:7, 4:7] = -3  # 9 pixels
    filled = fill_holes(logits, 8)
    assert filled[1, 1] == filled[1, 2] == np.float32(0.1)
    np.testing.assert_array_equal(filled[4:7, 4:7], -3)
    assert fill_holes(logits, 9)[5, 5] == np.float32(0.1)


def test_holes_that_touch_at_a_corner_are_one():
    logits = np.ones((6, 6), np.float32)
    logits[1, 1] = logits[2, 2] = 0  # a logit of zero is background
    assert (fill_holes(logits, 1) == logits).all()
    assert (fill_holes(logits, 2) > 0).all()


def test_a_small_part_of_the_background_at_the_edge_counts_too():
    """Upstream looks at components, not at whether the object surrounds them."""
    logits = np.ones((6, 6), np.float32)
    logits[0, 0] = -1
    assert fill_holes(logits, 1)[0, 0] == np.float32(0.1)


def test_the_logits_given_are_left_alone():
    logits = np.ones((4, 4), np.float32)
    logits[1, 1] = -1
    fill_holes(logits, 8)
    assert logits[1, 1] == -1
    assert fill_holes(logits, 0) is logits
