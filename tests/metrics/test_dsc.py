import math

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as hnp

from medsegany import errors
from medsegany.metrics import dsc


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
