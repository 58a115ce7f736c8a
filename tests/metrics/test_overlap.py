import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from medsegany import errors
from medsegany.metrics import boundary_iou, dsc


def test_by_hand():
    a = np.array([1, 1, 1, 0], bool)
    b = np.array([0, 1, 1, 1], bool)
    assert dsc(a, b) == 2 * 2 / 6


def test_empty_masks():
    empty, full = np.zeros(4, bool), np.ones(4, bool)
    assert math.isnan(dsc(empty, empty))
    assert dsc(empty, full) == dsc(full, empty) == 0


def test_integers_with_one_value_are_masks():
    assert dsc(np.array([0, 3, 3]), np.array([0, 1, 0], np.uint8)) == 2 / 3


@pytest.mark.parametrize(
    ("a", "b", "words"),
    [
        (np.zeros(3, bool), np.zeros(4, bool), r"\(3,\)"),
        (np.array([1, 2]), np.zeros(2, bool), "several labels"),
        (np.array([0.5]), np.zeros(1, bool), "float64"),
    ],
)
def test_what_is_no_pair_of_masks_is_refused(a, b, words):
    with pytest.raises(errors.InvalidInput, match=words):
        dsc(a, b)


pairs = hnp.array_shapes(max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(hnp.arrays(bool, shape), hnp.arrays(bool, shape))
)


@given(pairs)
def test_it_is_symmetric_and_one_for_itself_alone(pair):
    a, b = pair
    if a.any() or b.any():
        assert dsc(a, b) == dsc(b, a)
        assert 0 <= dsc(a, b) <= 1
        assert (dsc(a, b) == 1) == (a == b).all()


class TestBoundaryIoU:
    def test_by_hand(self):
        """Squares of 6, moved by one: rims of 20 pixels, of which the inner sides do not meet."""
        a, b = np.zeros((2, 12, 12), bool)
        a[2:8, 2:8], b[2:8, 3:9] = True, True
        rims = [m & ~np.pad(m, 1)[2:, 1:-1] | m & ~np.pad(m, 1)[:-2, 1:-1] for m in (a, b)]
        rims = [r | m & ~np.pad(m, 1)[1:-1, 2:] | m & ~np.pad(m, 1)[1:-1, :-2]
                for r, m in zip(rims, (a, b), strict=True)]  # fmt: skip
        assert rims[0].sum() == 20
        expected = (rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum()
        assert boundary_iou(a, b, spacing_mm=(1, 1), distance_mm=1) == expected == 10 / 30

    def test_a_wide_rim_is_the_whole(self):
        a, b = np.zeros((2, 12, 12), bool)
        a[2:8, 2:8], b[2:8, 4:10] = True, True
        iou = (a & b).sum() / (a | b).sum()
        assert boundary_iou(a, b, spacing_mm=(1, 1), distance_mm=99) == iou

    def test_beyond_the_border_is_outside(self):
        full = np.ones((5, 5), bool)
        hole = full.copy()
        hole[2, 2] = False
        assert boundary_iou(full, full, spacing_mm=(1, 1), distance_mm=1) == 1
        assert boundary_iou(full, hole, spacing_mm=(1, 1), distance_mm=1) == 16 / 20

    def test_spacing_makes_the_rim_thin_along_its_axis(self):
        a = np.ones((4, 9, 9), bool)
        inner = np.zeros_like(a)
        inner[:, 2:7, 2:7] = True
        b = a & ~inner
        assert boundary_iou(a, b, spacing_mm=(5, 1, 1), distance_mm=2) == 1

    def test_a_rim_of_less_than_a_voxel(self):
        with pytest.raises(errors.InvalidInput, match="less than one voxel"):
            boundary_iou([[True]], [[True]], spacing_mm=(1, 1), distance_mm=0.5)
