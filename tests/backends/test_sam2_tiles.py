"""Looking again in tiles: geometry by hand, and the model against itself on each tile."""

import re

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, strategies as st

import medsegany
from medsegany import Box, Point
from medsegany.backends.sam2 import Crop, Sam2Segmenter, Tiles
from medsegany.backends.sam2._crop import Part
from medsegany.backends.sam2._tiles import blended, inside
from medsegany.errors import InvalidInput
from medsegany.prompts import ObjectPrompts
from medsegany.testing import models

SIDE = 128
ALWAYS = Tiles(below=1, filled=1, smallest_px=1, part=0.5, thin=1)
NOTHING = np.float32(-10)


@pytest.fixture(scope="module")
def model():
    model = models.small_sam2(seed=9, image_size=SIDE)
    # Random weights seldom see an object. Let them see it.
    torch.nn.init.constant_(model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, 5.0)
    return model


def segmenter(model, tiles):
    return Sam2Segmenter(model, "tiled", crop=Crop(1.5), tiles=tiles)


# --- where they lie ------------------------------------------------------------------------------


def test_a_quarter_of_the_box_and_half_of_a_tile_in_common():
    """100 pixels: tiles of 25, from 0 to 75 in steps of 12.5; seven in a row, seven rows."""
    parts = Tiles().over(Box(0, 0, 99, 99), (300, 200))
    assert len(parts) == 49
    assert parts[:3] == [Part(0, 0, 25, 25), Part(0, 12, 25, 37), Part(0, 25, 25, 50)]
    assert parts[-1] == Part(75, 75, 100, 100)


def test_what_is_long_has_tiles_in_one_row():
    parts = Tiles(part=0.25, overlap=0).over(Box(20, 40, 119, 64), (200, 200))
    assert parts == [Part(40, x, 65, x + 25) for x in (20, 45, 70, 95)]


def test_a_tile_shows_at_least_sixteen_pixels_and_no_more_than_there_are():
    assert Tiles().over(Box(10, 10, 15, 15), (100, 100)) == [Part(10, 10, 26, 26)]
    assert Tiles().over(Box(95, 95, 99, 99), (100, 100)) == [Part(84, 84, 100, 100)]
    assert Tiles().over(Box(0, 0, 9, 9), (10, 10)) == [Part(0, 0, 10, 10)]


def corners():
    pair = st.tuples(st.floats(0, 79), st.floats(0, 79)).map(sorted)
    return st.tuples(pair, pair).map(lambda p: Box(p[0][0], p[1][0], p[0][1], p[1][1]))


@given(corners(), st.floats(0.1, 1), st.floats(0, 0.9))
def test_every_pixel_of_a_box_is_in_a_tile_and_every_tile_meets_the_box(box, part, overlap):
    seen = np.zeros((80, 80), bool)
    for tile in Tiles(part=part, overlap=overlap).over(box, (80, 80)):
        assert 0 <= tile.y0 < tile.y1 <= 80
        assert 0 <= tile.x0 < tile.x1 <= 80
        seen[tile.slices] = True
        left = inside(box, tile)
        assert left.x0 <= left.x1
        assert left.y0 <= left.y1
    rows = slice(int(np.floor(box.y0)), int(np.ceil(box.y1)) + 1)
    columns = slice(int(np.floor(box.x0)), int(np.ceil(box.x1)) + 1)
    assert seen[rows, columns].all()


# --- what they say together ----------------------------------------------------------------------


def test_in_the_middle_a_tile_counts_most():
    """Weights along the second row are 1, 2, 2, 1: where both are, 3 * 2/3 and 3 * 1/3 are left."""
    square = np.ones((4, 4), np.float32)
    left, right = Part(0, 0, 4, 4), Part(0, 2, 4, 6)
    found = blended([(left, 3 * square), (right, 0 * square)], (4, 7), NOTHING)
    assert found[1].tolist() == pytest.approx([3, 3, 2, 1, 0, 0, -10])


def test_no_tile_outvotes_the_others():
    part, one = Part(0, 0, 1, 1), np.ones((1, 1), np.float32)
    found = blended([(part, 1e6 * one), (part, -30 * one)], (1, 1), NOTHING)
    assert found.tolist() == [[0]]


def test_they_are_tried_where_the_model_expects_to_be_wrong_about_something_large_and_thin():
    """A row of 99 in the small box of 99 x 99 fills 0.01; ten rows of the 100, 0.1 of the large."""
    tiles = Tiles(below=0.4, smallest_px=100, filled=0.099)
    large, small = Box(0, 0, 99, 99), Box(0, 0, 98, 98)
    row, rows = np.zeros((2, 120, 120), bool)
    row[5, :99], rows[5:15, :100] = True, True
    assert tiles.are_tried(0.39, large, row)
    assert not tiles.are_tried(0.4, large, row)
    assert not tiles.are_tried(0.1, small, row)
    assert not tiles.are_tried(float("nan"), large, row)
    assert not tiles.are_tried(0.1, large, rows)
    rows[14] = False
    assert tiles.are_tried(0.1, large, rows)
    assert tiles.are_tried(0.1, large, np.zeros_like(row))


def test_they_count_where_what_they_find_is_thin():
    line, full, empty = -np.ones((10, 10)), np.ones((10, 10)), -np.ones((10, 10))
    line[5] = 1
    tiles = Tiles(thin=0.3)
    assert tiles.count([line, line])
    assert tiles.count([line, full, line, empty])
    assert not tiles.count([line, full])
    assert not tiles.count([line, full, full])
    assert not tiles.count([empty, empty])


@pytest.mark.parametrize(
    "wrong", [{"below": 1.1}, {"filled": -1}, {"overlap": -0.1}, {"part": 0}, {"thin": 2}]
)
def test_wrong_tiles_are_refused(wrong):
    with pytest.raises(InvalidInput):
        Tiles(**wrong)


def test_tiles_that_are_all_overlap_end(model, noise):
    """Neighbours at least a pixel apart, not infinitely many."""
    assert len(Tiles(overlap=1.0).over(Box(0, 0, 63, 15), (64, 64))) == 49


# --- the model -----------------------------------------------------------------------------------


def test_it_is_the_model_on_each_tile(model, noise):
    image, box = noise(100, 100), Box(20, 20, 79, 79)
    found = segmenter(model, ALWAYS).segment_2d(image, box)
    plain = Sam2Segmenter(model, "whole")
    looks, scores = [], []
    for part in ALWAYS.over(box, (100, 100)):
        asked = part.in_square(ObjectPrompts(box=inside(box, part)), SIDE).box
        seen = plain.segment_2d(part.square(image, SIDE), asked)
        looks.append((part, part.back(seen.logits[1])))
        scores.append(seen.score)
    assert len(looks) == 9
    np.testing.assert_allclose(found.logits[1], blended(looks, (100, 100), NOTHING), atol=1e-5)
    np.testing.assert_array_equal(found.mask, found.logits[1] > 0)
    assert found.score == pytest.approx(np.mean(scores))


def test_where_the_model_is_sure_or_tiles_are_full_there_is_one_look(model, noise):
    image, box = noise(100, 100), Box(20, 20, 79, 79)
    once = segmenter(model, None).segment_2d(image, box)
    for never in ({"below": 0}, {"filled": 0}, {"smallest_px": 61}, {"thin": 0}):
        tiles = evolve(ALWAYS, **never)
        again = segmenter(model, tiles).segment_2d(image, box)
        np.testing.assert_array_equal(again.logits[1], once.logits[1])
        assert again.scores == once.scores


def test_a_click_corrects_what_one_look_shows(model, noise):
    image, asked = noise(100, 100), [Box(20, 20, 79, 79), Point(50, 50)]
    once, again = (segmenter(model, t).segment_2d(image, asked) for t in (None, ALWAYS))
    np.testing.assert_array_equal(again.logits[1], once.logits[1])


def test_a_tile_in_which_the_model_sees_no_object_is_empty(noise):
    model = models.small_sam2(seed=9, image_size=SIDE)
    bias = model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias
    torch.nn.init.constant_(bias, -1000.0)
    image, box = noise(100, 100), Box(20, 20, 79, 79)
    once, again = (segmenter(model, t).segment_2d(image, box) for t in (None, ALWAYS))
    np.testing.assert_array_equal(again.logits[1], once.logits[1])  # of empty tiles none counts


@pytest.mark.parametrize("tiles", [Tiles(), None])
def test_a_folder_says_whether_there_are_tiles(tmp_path, tiles):
    mine = Sam2Segmenter(models.tiny_sam2(image_size=SIDE), "x", crop=Crop(1.5), tiles=tiles)
    folder = medsegany.save(mine, tmp_path / "mine", name="mine", licence="CC0")
    assert medsegany.load(folder, device="cpu").tiles == tiles
    about = folder / "medsegany.json"  # an older version does not say it
    about.write_text(re.sub(',\n  "zooms": (true|false)', "", about.read_text()))
    assert "zooms" not in about.read_text()
    assert medsegany.load(folder, device="cpu").tiles is None
