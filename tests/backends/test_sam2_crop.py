"""Looking at a crop for each object: geometry by hand, and the model against itself on the crop."""

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

import medsegany
from medsegany import Box, ByBox, ByMemory, MaskPrompt, Point
from medsegany.backends.sam2 import Crop, Sam2Segmenter
from medsegany.backends.sam2._crop import Part
from medsegany.errors import CheckpointError, InvalidInput
from medsegany.prompts import ObjectPrompts
from medsegany.testing import SegmenterContract, models, phantoms

SIDE = 128


@pytest.fixture(scope="module")
def model():
    model = models.small_sam2(seed=9, image_size=SIDE)
    # Random weights seldom see an object; SAM2 blanks the mask then. Let them see it.
    torch.nn.init.constant_(model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, 5.0)
    return model


@pytest.fixture(scope="module")
def segmenter(model):
    return Sam2Segmenter(model, "cropped", crop=Crop(2.0, narrowest=0))


@pytest.fixture(scope="module")
def plain(model):
    return Sam2Segmenter(model, "whole")


class TestContract(SegmenterContract):
    def make_segmenter(self):
        return Sam2Segmenter(models.small_sam2(image_size=SIDE), "cropped", crop=Crop())


# --- where it looks ------------------------------------------------------------------------------


def test_a_box_lies_in_the_middle_of_its_crop():
    # 20 columns and 10 rows, twice: 40 and 20, with 10 and 5 on each side
    part = Crop(2.0, narrowest=0).around(Box(30, 40, 49, 49), (100, 100))
    assert part == Part(y0=35, x0=20, y1=55, x1=60)


def test_at_the_border_a_crop_is_moved_and_not_cut():
    part = Crop(2.0, narrowest=0).around(Box(0, 90, 19, 99), (100, 100))
    assert part == Part(y0=80, x0=0, y1=100, x1=40)


def test_what_is_long_and_thin_is_not_blown_up_across():
    # 100 by 4, and at least half as high as wide: 150 by 75
    part = Crop(1.5, narrowest=0.5).around(Box(50, 98, 149, 101), (200, 200))
    assert (part.x1 - part.x0, part.y1 - part.y0) == (150, 75)


def test_a_crop_is_never_tiny_and_never_larger_than_the_image():
    assert Crop(smallest_px=16).around(Box(50, 50, 51, 51), (90, 90)) == Part(43, 43, 59, 59)
    assert Crop(3.0).around(Box(0, 0, 9, 9), (10, 10)) == Part(0, 0, 10, 10)


def boxes(side=80):
    pair = st.tuples(st.integers(0, side - 1), st.integers(0, side - 1)).map(sorted)
    return st.tuples(pair, pair).map(lambda p: Box(p[0][0], p[1][0], p[0][1], p[1][1]))


@given(boxes(), st.floats(1, 4), st.floats(0, 1))
def test_the_box_is_always_in_the_crop_and_the_crop_in_the_image(box, times, narrowest):
    part = Crop(times, narrowest=narrowest).around(box, (80, 80))
    assert 0 <= part.x0 <= box.x0 <= box.x1 < part.x1 <= 80
    assert 0 <= part.y0 <= box.y0 <= box.y1 < part.y1 <= 80


@given(boxes(), st.floats(1, 4))
def test_a_tight_box_is_tight_in_the_square_too(box, times):
    """Whole pixels of the image are whole blocks of the square, the last ones included."""
    part = Crop(times).around(box, (80, 80))
    mask = np.zeros((80, 80), bool)
    mask[int(box.y0) : int(box.y1) + 1, int(box.x0) : int(box.x1) + 1] = True
    seen = part.in_square(ObjectPrompts(box=box), 640).box
    tight = medsegany.prompts.box_from_mask(part.square_mask(mask, 640))
    assert np.abs(seen.as_array() - tight.as_array()).max() <= 1


@given(boxes(), st.floats(1, 4), st.floats(0, 1))
def test_a_box_keeps_a_place_where_its_crop_becomes_smaller(box, times, narrowest):
    """A column of pixels may be less than a pixel of the square: then it is where its middle is."""
    part = Crop(times, narrowest=narrowest).around(box, (80, 80))
    for side in (4, 16, 33):
        seen = part.in_square(ObjectPrompts(box=box), side).box
        for low, high, first, last, begin, end in (
            (seen.x0, seen.x1, box.x0, box.x1, part.x0, part.x1),
            (seen.y0, seen.y1, box.y0, box.y1, part.y0, part.y1),
        ):
            middle = ((first + last + 1) / 2 - begin) * side / (end - begin)
            assert (low + high + 1) / 2 == pytest.approx(middle, abs=1e-6)
            assert high - low + 1 == pytest.approx(
                max(1, (last - first + 1) * side / (end - begin)), abs=1e-6
            )


def test_a_column_of_pixels_is_segmented(model, noise):
    """In the square it is less than half a pixel wide."""
    segmenter = Sam2Segmenter(model, "cropped", crop=Crop(1.5, narrowest=0.5))
    found = segmenter.segment_2d(noise(400, 400), Box(200, 100, 200, 299))
    assert found.mask.shape == (400, 400)


def test_the_crop_stays_while_the_object_stays_in_it():
    crop, size = Crop(2.0), (200, 200)
    part = crop.around(Box(90, 90, 109, 109), size)  # 80 to 119
    assert crop.following(part, Box(92, 91, 111, 110), size) == part
    moved = crop.following(part, Box(100, 90, 119, 109), size)  # touches its edge
    assert moved == crop.around(Box(100, 90, 119, 109), size)
    grown = Box(80, 80, 119, 119)
    assert crop.following(part, grown, size) == crop.around(grown, size)
    shrunk = Box(98, 98, 101, 101)
    assert crop.following(part, shrunk, size) == crop.around(shrunk, size)


# --- images --------------------------------------------------------------------------------------


def test_it_is_the_model_on_the_crop(segmenter, plain, noise):
    """Blocks of four by four: the square is the crop, made larger, and so is the box."""
    image = noise(100, 100)
    found = segmenter.segment_2d(image, Box(40, 40, 55, 55))
    crop = image[32:64, 32:64]
    square = Part(32, 32, 64, 64).square(image, SIDE)
    assert square.shape == (SIDE, SIDE)
    assert np.abs(square[1::4, 1::4].astype(int) - crop).mean() < 20  # bilinear: alike
    expected = plain.segment_2d(square, Box(32, 32, 95, 95))
    np.testing.assert_array_equal(found.low_res_logits[1], expected.low_res_logits[1])
    blocks = expected.logits[1].reshape(32, 4, 32, 4).mean((1, 3))
    inside = found.logits[1][32:64, 32:64]
    assert np.corrcoef(blocks.ravel(), inside.ravel())[0, 1] > 0.95
    assert found.scores == expected.scores
    outside = np.ones((100, 100), bool)
    outside[32:64, 32:64] = False
    assert not found.mask[outside].any()
    assert (found.logits[1][outside] == -10).all()


def test_objects_do_not_disturb_each_other(segmenter, noise):
    image = noise(90, 120, 3)
    one, two = Box(10, 10, 30, 30), Box(60, 40, 100, 80)
    both = segmenter.segment_2d(image, {1: one, 2: two})
    np.testing.assert_array_equal(both.logits[1], segmenter.segment_2d(image, one).logits[1])
    np.testing.assert_array_equal(both.logits[2], segmenter.segment_2d(image, two).logits[1])


def test_points_alone_are_looked_for_in_the_whole_image_first(segmenter, plain, noise):
    image = noise(SIDE, SIDE)
    whole = plain.segment_2d(image, Point(70, 60))
    assert 0 < whole.mask.sum() < whole.mask.size
    found = segmenter.segment_2d(image, Point(70, 60))
    box = medsegany.prompts.box_from_mask(whole.mask)
    again = segmenter.segment_2d(image, [box, Point(70, 60)])
    np.testing.assert_array_equal(found.logits[1], again.logits[1])


def test_a_search_goes_from_the_whole_image_to_what_is_around_the_points():
    """128, then 91, 64 and 45 around a point, and 32; a region of 50 pixels needs 50."""
    crop = Crop(search=True)
    parts = crop.at_every_size(Box(64, 64, 64, 64), (128, 128))
    assert [part.x1 - part.x0 for part in parts] == [128, 91, 64, 45, 32]
    assert parts[2] == Part(32, 32, 96, 96)
    assert len(crop.at_every_size(Box(20, 60, 69, 62), (128, 128))) == 3
    corner = crop.at_every_size(Box(0, 0, 0, 0), (128, 100))
    assert [(part.y0, part.x0) for part in corner] == [(0, 0)] * 5
    assert corner[1] == Part(0, 0, 91, 91)
    assert corner[0] == Crop().at_every_size(Box(0, 0, 0, 0), (128, 100))[0] == Part(0, 0, 128, 100)


@pytest.mark.parametrize(("x", "y"), [(30, 60), (80, 20), (50, 50)])
def test_of_all_sizes_that_counts_at_which_the_model_is_surest(model, plain, noise, x, y):
    searching = Sam2Segmenter(model, "searching", crop=Crop(2.0, narrowest=0, search=True))
    image, point = noise(100, 100), Point(x, y)
    asked = ObjectPrompts(points=(point,))
    looks = {}
    for part in searching.crop.at_every_size(Box(x, y, x, y), (100, 100)):
        seen = plain.segment_2d(part.square(image, SIDE), part.in_square(asked, SIDE).as_prompts())
        looks[part] = seen.score
        assert seen.mask.any()
    assert len(looks) == 4
    best = max(looks, key=looks.get)
    sought = searching.embed(image).sought(1, asked)
    assert sought.score == looks[best]
    box = medsegany.prompts.box_from_mask(sought.mask)
    found = searching.segment_2d(image, point)
    again = searching.segment_2d(image, [box, point])
    np.testing.assert_array_equal(found.logits[1], again.logits[1])


def test_a_search_for_another_click_encodes_the_whole_image_once(model, noise):
    searching = Sam2Segmenter(model, "searching", crop=Crop(search=True))
    embedded, seen = searching.embed(noise(64, 64)), []
    encode = embedded._encode
    embedded._encode = lambda square: seen.append(square) or encode(square)
    whole = Part(0, 0, 64, 64).square(embedded._image, SIDE)
    for x in (20, 40):
        embedded.segment(Point(x, 30))
    assert sum(np.array_equal(square, whole) for square in seen) == 1


def test_a_positive_point_outside_of_the_box_is_seen_and_a_far_negative_one_is_not(
    segmenter, noise
):
    image = noise(100, 100)
    box = Box(10, 10, 19, 19)
    reached = segmenter.segment_2d(image, [box, Point(60, 15)])
    assert (reached.logits[1][15, 55:60] != -10).all()
    alone = segmenter.segment_2d(image, box)
    far = segmenter.segment_2d(image, [box, Point(90, 90, positive=False)])
    np.testing.assert_array_equal(alone.logits[1], far.logits[1])


def test_a_crop_is_encoded_once(segmenter, noise):
    """Whoever adds a click to a box waits for the decoder alone."""
    image, calls = noise(100, 100), []
    embedded = segmenter.embed(image)
    encode = embedded._encode
    embedded._encode = lambda square: calls.append(1) or encode(square)
    box = Box(40, 40, 55, 55)
    embedded.segment(box)
    embedded.segment([box, Point(45, 45)])
    embedded.segment([box, Point(45, 45), Point(50, 52, positive=False)])
    assert len(calls) == 1


# --- stacks --------------------------------------------------------------------------------------


def test_a_still_object_is_followed_as_in_the_crop_alone(segmenter, plain, noise):
    """Every frame is the same: the crop stays, and the memory is that of the crop's own video."""
    image = noise(100, 100)
    video = np.stack([image] * 4)
    mask = phantoms.disc((100, 100), (50, 50), 8)
    crop = segmenter.crop.around(medsegany.prompts.box_from_mask(mask), (100, 100))
    squares = np.stack([crop.square(image, SIDE)] * 4)
    ours = list(segmenter.track_video(video, MaskPrompt(mask)))
    theirs = list(plain.track_video(squares, MaskPrompt(crop.square_mask(mask, SIDE))))
    np.testing.assert_array_equal(ours[0].mask, mask)
    np.testing.assert_array_equal(ours[1].low_res_logits[1], theirs[1].low_res_logits[1])
    assert ours[1].scores == theirs[1].scores


def test_each_direction_begins_where_the_prompt_was(segmenter, noise):
    """What was seen on the way forward does not decide where the way backward looks."""
    volume = noise(9, 60, 60)
    box = Box(20, 20, 39, 39)
    both = segmenter.segment_volume(volume, box.at(4), slices=(0, 8))
    back = segmenter.segment_volume(
        volume, box.at(4), slices=(0, 8), propagation=ByMemory(direction="backward")
    )
    np.testing.assert_array_equal(both.mask[:5], back.mask[:5])


def test_a_correction_is_seen_where_the_object_is(segmenter, noise):
    video = noise(5, 60, 60)
    with segmenter.track_video(video, Box(20, 20, 39, 39)) as tracking:
        next(tracking)
        next(tracking)
        corrected = tracking.prompt(Point(30, 30, positive=False))
        assert corrected.mask.shape == (60, 60)
        moved = tracking.prompt(Box(5, 5, 12, 12))
        assert not moved.mask[30:, 30:].any()
        assert len(list(tracking)) == 3


def test_a_correction_elsewhere_begins_without_the_mask_that_was_seen_here(segmenter, noise):
    """That mask is of another crop, and would lie somewhere else in the new one."""
    video = noise(3, 60, 60)
    elsewhere = Box(5, 5, 12, 12)
    with segmenter.track_video(video, Box(20, 20, 39, 39)) as tracking:
        next(tracking)
        corrected = tracking.prompt(elsewhere)
    fresh = next(iter(segmenter.track_video(video, elsewhere)))
    np.testing.assert_array_equal(corrected.logits[1], fresh.logits[1])


def test_a_click_that_means_nothing_is_looked_for_in_the_whole_image(segmenter, noise, monkeypatch):
    """It lies outside of what was looked at before, where no prompt would be left of it."""
    monkeypatch.setattr(segmenter, "_locate", lambda *_: None)
    prompts = [Box(20, 20, 39, 39).at(0), Point(90, 90, positive=False).at(2)]
    out = segmenter.segment_volume(noise(3, 100, 100), prompts)
    assert out.mask.shape == (3, 100, 100)


def test_points_and_empty_masks_begin_a_stack_too(segmenter, noise):
    volume = noise(3, 60, 60)
    assert segmenter.segment_volume(volume, Point(30, 30).at(1)).mask.shape == (3, 60, 60)
    nothing = MaskPrompt(np.zeros((60, 60), bool))
    out = segmenter.segment_volume(volume, [Box(20, 20, 39, 39).at(0), nothing.at(1)])
    assert not out.mask[1].any()
    out = segmenter.segment_volume(volume, [nothing.at(0), Box(20, 20, 39, 39).at(2)])
    assert not out.mask[0].any()


# --- an option of the model ----------------------------------------------------------------------


@pytest.fixture
def saved(tmp_path):
    """A model that was made for a crop, in a folder."""
    mine = Sam2Segmenter(models.tiny_sam2(image_size=SIDE), "x", box_hint=True, crop=Crop(1.5))
    return medsegany.save(mine, tmp_path / "mine", name="mine", licence="CC0")


def test_load_gives_the_crop_asked_for(saved):
    assert medsegany.load(saved, device="cpu").crop == Crop(1.5)
    assert medsegany.load(saved, device="cpu", crop=2).crop == Crop(2.0)
    assert medsegany.load(saved, device="cpu", crop=None).crop is None


@pytest.mark.parametrize("crop", [0.5, 0, -1, "1.5", True, float("nan"), 1000])
def test_a_crop_that_is_none_is_refused(saved, crop):
    with pytest.raises(InvalidInput, match="crop is a number from 1"):
        medsegany.load(saved, crop=crop)


@pytest.mark.parametrize("name", ["classical", "medsam", "sam1-b"])
def test_models_that_look_at_whole_images_have_no_crop(name):
    with pytest.raises(InvalidInput, match="crop"):
        medsegany.load(name, crop=1.5)
    if name != "classical":  # their weights are not here
        with pytest.raises(CheckpointError):
            medsegany.load(name, crop=None)


def test_a_folder_whose_crop_is_no_number_is_refused(saved):
    about = saved / "medsegany.json"
    about.write_text(about.read_text().replace('"crop": 1.5', '"crop": "wide"'))
    with pytest.raises(CheckpointError, match="crop 'wide'"):
        medsegany.load(saved)


def test_other_ways_through_a_stack_work(segmenter, noise):
    out = segmenter.segment_volume(noise(3, 60, 60), Box(20, 20, 39, 39).at(1), propagation=ByBox())
    assert out.mask.shape == (3, 60, 60)
