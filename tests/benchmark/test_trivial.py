"""The ellipse in the box: what a model must beat to have seen anything."""

import numpy as np
import pytest

from medsegany import Box, MaskPrompt, Point
from medsegany.benchmark import EllipseSegmenter
from medsegany.errors import PromptNotSupported
from medsegany.metrics import dsc
from medsegany.prompts import box_from_mask
from medsegany.testing import phantoms


def test_its_box_is_the_box():
    found = EllipseSegmenter().segment_2d(np.zeros((60, 80), np.uint8), Box(10, 20, 40, 35)).mask
    assert box_from_mask(found) == Box(10, 20, 40, 35)
    assert found.sum() == pytest.approx(np.pi / 4 * 31 * 16, rel=0.02)


def test_a_disc_is_found_whatever_is_shown():
    disc = phantoms.disc((60, 80), (40, 30), 12)
    image = np.zeros((60, 80), np.uint8)
    assert dsc(EllipseSegmenter().segment_2d(image, box_from_mask(disc)).mask, disc) > 0.94


def test_a_pixel_is_an_ellipse_too():
    found = EllipseSegmenter().segment_2d(np.zeros((6, 8), np.uint8), Box(3, 3, 3, 3))
    assert found.mask.sum() == 1


def test_in_a_stack_it_is_the_same_on_every_slice():
    stack = np.zeros((5, 40, 40), np.uint8)
    out = EllipseSegmenter().segment_volume(stack, Box(5, 5, 20, 25).at(2), slices=(1, 4))
    assert not out.mask[0].any()
    assert (out.mask[1:] == out.mask[2]).all()
    shown = [frame.mask for frame in EllipseSegmenter().track_video(stack, Box(5, 5, 20, 25))]
    assert len(shown) == 5
    assert all((mask == out.mask[2]).all() for mask in shown)


def test_a_click_says_nothing_of_a_size():
    with pytest.raises(PromptNotSupported, match="ellipse takes Box and MaskPrompt"):
        EllipseSegmenter().segment_2d(np.zeros((40, 40), np.uint8), Point(3, 3))
    mask = phantoms.disc((40, 40), (20, 20), 5)
    found = EllipseSegmenter().segment_2d(np.zeros((40, 40), np.uint8), MaskPrompt(mask))
    assert (found.mask == mask).all()


def test_on_real_cases_it_is_what_was_published(real_objects):
    """Mean over modalities of the mean over objects of 20 pixels or more, from tight boxes."""
    scores = {}
    for modality, image, mask in real_objects():
        found = EllipseSegmenter().segment_2d(image, box_from_mask(mask))
        scores.setdefault(modality, []).append(dsc(found.mask, mask))
    assert len(scores) == 11
    mean = np.mean([np.mean(values) for values in scores.values()])
    assert mean == pytest.approx(0.795, abs=5e-4)
