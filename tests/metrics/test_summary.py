"""Metrics over cases."""

import math

import numpy as np
import pytest
from scipy import stats

from medsegany import errors, metrics


class TestSummary:
    def test_by_hand(self):
        found = metrics.summarize([0.0, 0.2, 0.4, 0.6, 0.8, math.nan])
        assert (found.count, found.missing, found.patients) == (5, 1, 5)
        assert found.mean == pytest.approx(0.4)
        assert (found.first_quartile, found.median, found.third_quartile) == (0.2, 0.4, 0.6)
        assert found.low < 0.4 < found.high

    def test_the_interval_is_that_of_the_mean(self, rng):
        """Near enough to the one by the normal distribution."""
        values = rng.normal(0.8, 0.1, 200)
        found = metrics.summarize(values)
        error = 1.96 * values.std(ddof=1) / math.sqrt(200)
        assert found.low == pytest.approx(values.mean() - error, abs=0.002)
        assert found.high == pytest.approx(values.mean() + error, abs=0.002)

    def test_ten_images_of_a_patient_tell_hardly_more_than_one(self, rng):
        patients = rng.normal(0.8, 0.1, 20)
        images = np.repeat(patients, 10)
        once = metrics.summarize(patients)
        often = metrics.summarize(images, patients=np.repeat(np.arange(20), 10).tolist())
        assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=1e-12)
        naive = metrics.summarize(images)
        assert naive.high - naive.low < 0.5 * (often.high - often.low)

    def test_the_same_seed_gives_the_same_interval(self):
        values = [0.1, 0.5, 0.9, 0.3]
        assert metrics.summarize(values, seed=3) == metrics.summarize(values, seed=3)

    def test_of_nothing_nothing_is_known(self):
        found = metrics.summarize([math.nan, math.nan])
        assert (found.count, found.missing) == (0, 2)
        assert math.isnan(found.mean)

    def test_one_patient_has_no_interval(self):
        found = metrics.summarize([0.4, 0.6], patients=["a", "a"])
        assert found.mean == 0.5
        assert math.isnan(found.low)

    def test_an_infinite_distance_leaves_the_median(self):
        found = metrics.summarize([1.0, 2.0, math.inf])
        assert found.mean == math.inf
        assert found.median == 2
        assert math.isnan(found.high)

    @pytest.mark.parametrize(
        "words",
        [{"patients": ["a"]}, {"confidence": 1}, {"resamples": 0}, {"confidence": math.nan}],
    )
    def test_what_cannot_be_summarized(self, words):
        with pytest.raises(errors.InvalidInput):
            metrics.summarize([0.1, 0.2], **words)


class TestCompare:
    def test_as_scipy(self, rng):
        a, b = rng.random((2, 30))
        (found,) = metrics.compare({"a": a, "b": b})
        assert found.p_value == found.p_holm == stats.wilcoxon(a, b).pvalue
        assert found.difference == pytest.approx((a - b).mean())

    def test_the_effect_by_hand(self):
        """Differences 1, 2, -3: ranks 1 and 2 for, 3 against."""
        (found,) = metrics.compare({"a": [1, 2, 0], "b": [0, 0, 3]})
        assert found.effect == pytest.approx((1 + 2 - 3) / 6)
        (found,) = metrics.compare({"a": [1, 2, 9], "b": [0, 0, 0]})
        assert found.effect == 1

    def test_images_of_a_patient_are_one_value(self, rng):
        a, b = rng.random((2, 12))
        thrice = {"a": np.repeat(a, 3), "b": np.repeat(b, 3)}
        patients = np.repeat(np.arange(12), 3).tolist()
        (once,), (often,) = (
            metrics.compare({"a": a, "b": b}), metrics.compare(thrice, patients=patients)
        )  # fmt: skip
        assert often.p_value == once.p_value
        assert often.patients == 12

    def test_all_pairs_or_those_with_one(self, rng):
        values = {name: rng.random(9) for name in "abc"}
        pairs = [(c.one, c.other) for c in metrics.compare(values)]
        assert pairs == [("a", "b"), ("a", "c"), ("b", "c")]
        pairs = [(c.one, c.other) for c in metrics.compare(values, against="b")]
        assert pairs == [("a", "b"), ("c", "b")]

    def test_what_is_not_known_of_both_is_left_out(self):
        (found,) = metrics.compare({"a": [1, math.nan, 3, 4], "b": [0, 1, math.nan, 1]})
        assert found.patients == 2
        (found,) = metrics.compare({"a": [math.nan], "b": [1]})
        assert found.patients == 0
        assert math.isnan(found.p_holm)

    def test_the_same_is_the_same(self):
        (found,) = metrics.compare({"a": [1, 2], "b": [1, 2]})
        assert (found.difference, found.effect, found.p_value) == (0, 0, 1)

    @pytest.mark.parametrize(
        "words",
        [{"values": {"a": [1], "b": [1, 2]}}, {"values": {"a": [1], "b": [1]}, "against": "c"}],
    )
    def test_what_cannot_be_compared(self, words):
        with pytest.raises(errors.InvalidInput):
            metrics.compare(**words)


def test_holm_by_hand():
    """0.01 * 3; 0.02 * 2; 0.03 * 1 would be less than the one before, so it is that."""
    assert metrics.holm([0.02, 0.01, 0.03]) == pytest.approx([0.04, 0.03, 0.04])
    assert metrics.holm([0.9, 0.8]) == [1, 1]
    assert metrics.holm([]) == []
    found = metrics.holm([math.nan, 0.04])
    assert math.isnan(found[0])
    assert found[1] == 0.04
