"""Boxes and clicks as someone might have drawn them."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from medsegany import Box
from medsegany.training import BoxJitter
from medsegany.training._prompting import clicks, nearest


def rectangle(shape=(100, 200), x0=50, y0=20, x1=119, y1=59):
    mask = np.zeros(shape, np.bool_)
    mask[y0 : y1 + 1, x0 : x1 + 1] = True
    return mask


def test_without_jitter_a_box_is_scaled_as_the_official_transform_scales_it():
    """(50, 20, 119, 59) of a 200 x 100 image, at an input of 1024: x * 5.12, y * 10.24."""
    box = BoxJitter(0).box(rectangle(), 1024, np.random.default_rng(0))
    assert box.tolist() == pytest.approx([256.0, 204.8, 609.28, 604.16])


def test_a_box_that_is_given_takes_the_place_of_the_masks_own():
    """(10, 20, 59, 39) of a 200 x 100 image, on a grid or not; the mask may be empty."""
    empty, box = np.zeros((100, 200), np.bool_), Box(10, 20, 59, 39)
    for jitter in (BoxJitter(0), BoxJitter(0, grid_px=256)):
        found = jitter.box(empty, 1024, np.random.default_rng(0), box)
        assert found.tolist() == pytest.approx([51.2, 204.8, 302.08, 399.36])


@given(seed=st.integers(0, 1000))
def test_the_papers_boxes_are_up_to_five_pixels_of_the_input_larger(seed):
    """Section 2.6: each side on its own, 0 to 5 whole pixels at 1024."""
    tight = BoxJitter(0).box(rectangle(), 1024, np.random.default_rng(0))
    loose = BoxJitter(5).box(rectangle(), 1024, np.random.default_rng(seed))
    outward = (loose - tight) * [-1, -1, 1, 1]
    assert np.abs(outward - outward.round()).max() < 1e-3
    assert outward.min() > -1e-3
    assert outward.max() < 5 + 1e-3


@given(seed=st.integers(0, 1000))
def test_the_released_boxes_are_up_to_twenty(seed):
    """0 to 5 pixels of a grid of 256 are multiples of 4 at 1024; corners lie on that grid."""
    mask = rectangle((256, 256), 40, 30, 99, 79)
    box = BoxJitter(5, grid_px=256).box(mask, 1024, np.random.default_rng(seed))
    outward = (box / 4 - [40, 30, 99, 79]) * [-1, -1, 1, 1]
    assert set(outward.tolist()) <= {0, 1, 2, 3, 4, 5}


def test_all_of_the_released_shifts_occur():
    """Both 0 and 5, as `random.randint` includes its ends."""
    mask = rectangle((256, 256), 40, 30, 99, 79)
    rng = np.random.default_rng(0)
    drawn = {
        float(out)
        for _ in range(60)
        for out in (BoxJitter(5, grid_px=256).box(mask, 256, rng) - [40, 30, 99, 79]).tolist()
    }
    assert drawn == {-5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5}


def test_a_box_stays_in_the_image():
    """A mask that fills the image has its box, however much it is enlarged."""
    full = np.ones((64, 64), np.bool_)
    box = BoxJitter(5, grid_px=64).box(full, 64, np.random.default_rng(1))
    assert box.min() >= 0
    assert box.max() <= 64


def test_a_thin_object_is_not_lost_on_a_coarse_grid():
    """One column of 1024 lies between the points of a grid of 16: its own box is taken."""
    mask = np.zeros((1024, 1024), np.bool_)
    mask[100:900, 70] = True
    box = BoxJitter(0, grid_px=16).box(mask, 1024, np.random.default_rng(0))
    assert box.tolist() == pytest.approx([70, 100, 70, 899])


def test_nearest_takes_the_points_that_opencv_takes():
    """From 6 to 4 columns: floor(0), floor(1.5), floor(3), floor(4.5)."""
    mask = np.array([[1, 0, 1, 0, 1, 1]], np.bool_).repeat(6, 0)
    assert nearest(mask, 4)[0].tolist() == mask[0, [0, 1, 3, 4]].tolist()


@given(seed=st.integers(0, 200))
def test_clicks_lie_where_their_labels_say(seed):
    """Positive ones inside, negative ones outside, the first one always inside."""
    mask = rectangle()
    where, said = clicks(mask, 4, 512, np.random.default_rng(seed))
    assert said[0] == 1
    for (x, y), label in zip(where / [512 / 200, 512 / 100], said, strict=True):
        if label >= 0:
            assert mask[round(y), round(x)] == bool(label)


def test_a_jitter_is_no_less_than_nothing():
    """Negative fractions are refused."""
    with pytest.raises(ValueError, match=r"fraction is at least 0, got -0\.1"):
        BoxJitter(fraction=-0.1)
