import numpy as np
import pytest

from medsegany import Box, ByBox, errors
from medsegany.prompts import box_from_mask
from medsegany.protocols import Route
from medsegany.testing import FakeSegmenter, phantoms


class TestRoute:
    @pytest.mark.parametrize(
        ("direction", "prompted", "forward", "backward"),
        [
            ("both", [3], [4, 5, 6], [2, 1, 0]),
            ("forward", [3], [4, 5, 6], []),
            ("backward", [3], [], [2, 1, 0]),
            # slice 3 is as far from 1 as from 5: the lower one fills it
            ("both", [1, 5], [2, 3, 6], [4, 0]),
            ("forward", [1, 5], [2, 3, 6], [4]),
            ("backward", [1, 5], [], [0]),
            ("both", [2, 3], [4, 5, 6], [1, 0]),
            ("both", [5, 1], [2, 3, 6], [4, 0]),
        ],
    )
    def test_a_slice_is_filled_from_the_nearest_prompted_one(
        self, direction, prompted, forward, backward
    ):
        assert ByBox(direction).route(prompted, (0, 6)) == Route(forward, backward)

    def test_the_span_is_kept_to(self):
        assert ByBox().route([4], (3, 5)) == Route([5], [3])


class TestBox:
    mask = np.zeros((100, 200), bool)
    mask[20:40, 50:90] = True

    def test_the_tight_box_and_a_margin(self):
        assert ByBox().box(self.mask) == Box(50, 20, 89, 39)
        assert ByBox(margin_px=4).box(self.mask) == Box(46, 16, 93, 43)

    def test_an_empty_mask_carries_no_box(self):
        assert ByBox().box(np.zeros((5, 5), bool)) is None

    def test_the_1024_grid_reproduces_the_released_flare22_script(self):
        """`infer_sam2_flare22.py`: nearest to 1024 squared, tight box + 5 there, not before.

        Columns 50 to 89 of 200 are 256 to 460 of 1024 (1024/200 = 5.12: the first cell at or after
        50 * 5.12 = 256, the last before 90 * 5.12 = 460.8), rows 20 to 39 of 100 are 205 to 409
        (20 * 10.24 = 204.8, 40 * 10.24 = 409.6).
        """
        box = ByBox(margin_px=5, grid=1024).box(self.mask)
        at_1024 = box.as_array() / (200, 100, 200, 100) * 1024
        np.testing.assert_allclose(at_1024, (251, 200, 465, 414))

    def test_the_1024_grid_s_edge_is_one_past_the_last_pixel(self):
        full = np.ones((64, 64), bool)
        assert ByBox(margin_px=5, grid=1024).box(full) == Box(0, 0, 64, 64)

    @pytest.mark.parametrize(("grid", "shape"), [(1024, (2000, 2000)), (256, (1, 2000))])
    def test_an_object_too_small_for_the_grid_keeps_a_box(self, grid, shape):
        mask = np.zeros(shape, bool)
        mask[-1, 2] = True  # column 2 lies between the samples 0, 1, 3, 5 of a 1024 grid
        box = ByBox(grid=grid).box(mask)
        assert abs(box.x0 - 2) <= shape[1] / grid
        assert abs(box.x1 - 2) <= shape[1] / grid

    def test_the_256_grid_reproduces_the_released_litemedsam_script(self):
        """`get_bbox256`: longest side to 256, tight box + 3 there. 256/200 = 1.28.

        Columns 50 to 89 cover 64 to 115.2: cell 115 is a fifth covered and stays out, so 64 to
        114; rows 20 to 39 cover 25.6 to 51.2: cell 25 is two fifths covered and stays out, 26
        to 50.
        """
        box = ByBox(margin_px=3, grid=256).box(self.mask)
        np.testing.assert_allclose(box.as_array() * 1.28, (61, 23, 117, 53))


def test_a_slice_is_encoded_once_for_objects_prompted_there_and_carried_there():
    volume, truth = phantoms.balls()
    segmenter = FakeSegmenter()
    prompts = {n: box_from_mask(truth[k] == n).at(k) for n, k in ((1, 5), (2, 6))}
    segmenter.segment_volume(volume, prompts, slices=(3, 8), propagation=ByBox())
    # upward 5 to 8, where 6 is prompted for the other; downward 5 for the other, 4, 3
    assert len(segmenter.seen) == 4 + 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"direction": "up"},
        {"margin_px": -1},
        {"stop_after": 0},
        {"stop_after": None},
        {"margin_px": 2.5},
        {"margin_px": True},
        {"on_empty": "never"},
        {"grid": 512},
    ],
)
def test_a_wrong_value_is_refused_when_it_is_made(wrong):
    with pytest.raises(errors.InvalidInput, match=next(iter(wrong))):
        ByBox(**wrong)
