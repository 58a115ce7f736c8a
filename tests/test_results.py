import numpy as np
import pytest

from medsegany import Segmentation, errors
from medsegany.results import PackedMasks


def found(logits, verbatim=()):
    logits = {name: np.array([row], np.float32) for name, row in logits.items()}
    nan = dict.fromkeys(logits, float("nan"))
    masks = {name: value > 0 for name, value in logits.items()}
    return Segmentation(masks, nan, nan, logits, verbatim=frozenset(verbatim))


class TestLabels:
    def test_the_higher_logit_gets_a_contested_pixel(self):
        assert found({1: [1, 2, -1], 2: [3, 1, -2]}).labels().tolist() == [[2, 1, 0]]

    def test_a_tie_goes_to_the_lower_id_whatever_the_order(self):
        assert found({9: [1], 2: [1]}).labels().tolist() == [[2]]
        assert found({2: [1], 9: [1]}).labels().tolist() == [[2]]

    def test_a_given_mask_wins(self):
        assert found({1: [50], 2: [10]}, verbatim=[2]).labels().tolist() == [[2]]

    def test_two_given_masks_tie(self):
        assert found({3: [10], 2: [10]}, verbatim=[2, 3]).labels().tolist() == [[2]]

    @pytest.mark.parametrize(("name", "dtype"), [(255, np.uint8), (256, np.uint16)])
    def test_the_dtype_holds_the_highest_id(self, name, dtype):
        assert found({name: [1]}).labels().dtype == dtype

    def test_an_id_beyond_uint16_is_refused(self):
        with pytest.raises(errors.InvalidInput, match="65535"):
            found({70_000: [1]}).labels()

    def test_no_objects_have_no_label_map(self):
        with pytest.raises(errors.InvalidInput, match="No object"):
            found({}).labels()


def test_mask_and_score_are_for_one_object():
    assert found({4: [1, -1]}).mask.tolist() == [[True, False]]
    with pytest.raises(errors.InvalidInput, match=r"2 objects \(\[1, 2\]\): use \.masks\[id\]"):
        found({1: [1], 2: [1]}).mask  # noqa: B018
    with pytest.raises(errors.InvalidInput, match="scores"):
        found({1: [1], 2: [1]}).score  # noqa: B018


def test_packed_masks_unpack_to_what_was_packed(rng):
    volume = rng.random((5, 7, 9)) > 0.5  # 63 bits: not a whole number of bytes
    volume[2] = False
    bits = {3: {k: np.packbits(volume[k]) for k in range(5) if volume[k].any()}}
    packed = PackedMasks((5, 7, 9), bits)
    np.testing.assert_array_equal(packed[3], volume)
    assert list(packed) == [3]
