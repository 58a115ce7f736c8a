import json

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import ndimage

from medsegany import Volume
from medsegany.benchmark import PAPER_PREPARATION, Preparation
from medsegany.benchmark._preparation import remove_small
from medsegany.errors import InvalidInput


def stack(*shape, dtype=np.uint8):
    return Volume.from_spacing(np.zeros(shape, dtype), (1, 1, 1))


def test_the_default_changes_nothing():
    labels = np.zeros((2, 4, 4), np.uint8)
    labels[1, 1, 1] = 3
    shown, kept, steps = Preparation()(stack(2, 4, 4), labels)
    assert shown.shape == (2, 4, 4)
    assert (kept == labels).all()
    assert steps == ()


def test_each_step_says_what_it_did():
    labels = np.zeros((5, 20, 20), np.uint8)
    labels[1:4, :12, :12] = 1  # 432 voxels, 144 on each slice
    labels[1, 15, 15] = 1  # a speck
    labels[3, 14:, 14:] = 2  # 36
    labels[2, 18:, 18:] = 12
    how = Preparation(
        window="brain", remove_labels=(12,), smallest_voxels=10, smallest_pixels=50, slices="range"
    )
    shown, kept, steps = how(stack(5, 20, 20, dtype=np.int16), labels)
    said = [json.loads(step) for step in steps]
    assert [step["step"] for step in said] == [
        "intensities",
        "labels removed",
        "small objects removed",
        "small parts of slices removed",
        "slices chosen",
    ]
    assert said[1]["voxels"] == 4
    assert (said[2]["parts"], said[2]["removed"]) == (1, 1)
    assert (said[3]["parts"], said[3]["removed"]) == (1, 36)
    assert (said[4]["slices"], said[4]["of"]) == ([[1, 3]], 5)
    assert shown.shape == kept.shape == (3, 20, 20)
    assert kept.sum() == 432
    assert labels.max() == 12  # what was given is not touched


def test_slices_of_the_paper_may_have_been_apart():
    labels = np.zeros((5, 40, 40), np.uint8)
    labels[[0, 3]] = 1
    how = Preparation(slices="labelled")
    _, kept, steps = how(stack(5, 40, 40), labels)
    assert len(kept) == 2
    assert json.loads(steps[-1])["slices"] == [[0, 0], [3, 3]]


def test_touching_parts_of_two_labels_are_two():
    labels = np.array([[1, 1, 2, 2, 2]], np.uint16)
    assert remove_small(labels, 3, connectivity=2) == {"parts": 1, "removed": 2}
    assert labels.tolist() == [[0, 0, 2, 2, 2]]


@given(st.integers(0, 2**32 - 1), st.integers(1, 9))
def test_no_part_is_left_that_is_too_small(seed, smallest):
    labels = np.random.default_rng(seed).integers(0, 3, (3, 7, 7)).astype(np.uint16)
    before = labels.copy()
    remove_small(labels, smallest, connectivity=3)
    assert ((labels == before) | (labels == 0)).all()
    for value in (1, 2):
        parts, count = ndimage.label(before == value, np.ones((3, 3, 3)))
        sizes = ndimage.sum_labels(np.ones(parts.shape), parts, range(1, count + 1))
        large = np.isin(parts, 1 + np.flatnonzero(sizes >= smallest))
        assert ((labels == value) == large).all()


def test_what_cannot_be_prepared_is_an_error():
    labels = np.ones((1, 4, 4), np.uint8)
    with pytest.raises(InvalidInput, match="A window is needed: the image holds int16"):
        Preparation()(stack(1, 4, 4, dtype=np.int16), labels)
    with pytest.raises(InvalidInput, match="No object is left"):
        PAPER_PREPARATION(stack(1, 4, 4), labels)
