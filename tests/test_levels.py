import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from medsegany import _levels
from medsegany._rescale import rescale

few = st.sampled_from([np.int8, np.uint8, np.int16, np.uint16]).flatmap(
    lambda t: arrays(t, array_shapes(min_dims=1, max_dims=3, max_side=6))
)


@given(few, st.floats(0, 100), st.floats(0, 100))
def test_percentiles_from_counts_are_numpy_s(values, a, b):
    found, counts = _levels.count(values)
    expected = np.percentile(values.astype(np.float64), (a, b))
    assert _levels.percentiles(found, counts, (a, b)) == tuple(expected)


def test_numbers_far_apart_do_not_overflow():
    """1 % of the way from -1 to 127; in numpy's int8 that is -2.28."""
    found, counts = _levels.count(np.array([-1, 127], np.int8))
    assert _levels.percentiles(found, counts, (1,))[0] == pytest.approx(0.28)


@given(few)
def test_levels_are_counted_from_low_to_high(values):
    found, counts = _levels.count(values)
    expected, times = np.unique(values, return_counts=True)
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(counts, times)


@pytest.mark.parametrize(
    ("stored", "slope", "intercept", "values", "dtype"),
    [
        (np.array([0, 4095], np.uint16), 1, -1024, [-1024, 3071], np.int16),
        (np.array([0, 65535], np.uint16), 1, -1024, [-1024, 64511], np.int32),
        (np.array([-5, 7], np.int16), 2, 1, [-9, 15], np.int16),
        (np.array([3, 4], np.uint8), 0.5, 0, [1.5, 2], np.float32),
        (np.array([3, 2**30], np.int32), 0.5, 0, [1.5, 2**29], np.float64),
        (np.array([1.5], np.float32), 2, 0, [3], np.float32),
        (np.array([7], np.uint8), np.nan, np.nan, [7], np.uint8),
        (np.array([7], np.uint8), 1, 0, [7], np.uint8),
    ],
)
def test_stored_numbers_become_what_they_stand_for(stored, slope, intercept, values, dtype):
    found = rescale(stored, slope, intercept)
    assert found.tolist() == values
    assert found.dtype == dtype


def test_what_is_stored_is_not_changed():
    stored = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    rescale(stored, 2, 1)
    assert stored[1, 2, 3] == 23
