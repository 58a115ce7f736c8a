"""The baseline: good enough to be a control, and honest about what it does not know."""

import json

import numpy as np
import pytest

import medsegany
from medsegany import Box, Point, metrics, prompts
from medsegany.backends.classical import ClassicalSegmenter
from medsegany.testing import SegmenterContract, phantoms


class TestContract(SegmenterContract):
    def make_segmenter(self):
        return ClassicalSegmenter()


@pytest.fixture
def scene():
    truth = phantoms.disc((120, 160), (70, 50), 24)
    return phantoms.image_of(truth, seed=3), truth


def test_a_disc_is_found_from_its_box(scene):
    image, truth = scene
    found = medsegany.load("classical").segment_2d(image, Box(46, 26, 94, 74))
    assert metrics.dsc(found.mask, truth) > 0.97


def test_a_box_two_pixels_loose_still_finds_the_edge(scene):
    """What the inscribed ellipse alone cannot do."""
    image, truth = scene
    found = medsegany.load("classical").segment_2d(image, Box(44, 24, 96, 76))
    ellipse = phantoms.disc(truth.shape, (70, 50), 26.5)
    assert metrics.dsc(found.mask, truth) > 0.97 > metrics.dsc(ellipse, truth) + 0.05


def test_one_click_finds_what_stands_out(scene):
    image, truth = scene
    found = medsegany.load("classical").segment_2d(image, Point(70, 50))
    assert metrics.dsc(found.mask, truth) > 0.95


def test_clicks_are_obeyed(scene):
    image, _ = scene
    found = medsegany.load("classical").segment_2d(
        image, [Box(46, 26, 94, 74), Point(70, 50, positive=False), Point(48, 28)]
    )
    assert not found.mask[50, 70]
    assert found.mask[28, 48]


def test_the_mask_stays_in_the_box(scene):
    """Else leaks would be carried on and grow from slice to slice."""
    image, _ = scene
    mask = medsegany.load("classical").segment_2d(image, Box(60, 40, 75, 55)).mask
    outside = mask.copy()
    outside[40:56, 60:76] = False
    assert mask.any()
    assert not outside.any()


@pytest.mark.parametrize("box", [Box(5, 5, 5, 5), Box(5, 5, 40, 5), Box(0, 0, 159, 119)])
def test_boxes_of_any_size_give_a_mask(scene, box):
    image, _ = scene
    assert medsegany.load("classical").segment_2d(image, box).mask.any()


def test_an_image_without_contrast_holds_no_object():
    found = medsegany.load("classical").segment_2d(
        np.full((60, 60), 9, np.uint8), Box(10, 20, 49, 39)
    )
    assert not found.mask.any()


def test_an_object_ends_where_there_is_nothing_to_see(scene):
    """Else it would be carried through the whole stack."""
    image, _ = scene
    stack = np.full((12, *image.shape), 40, np.uint8)
    stack[4:7] = image
    out = medsegany.load("classical").segment_volume(stack, Box(46, 26, 94, 74).at(5))
    assert out.mask.any(axis=(1, 2)).tolist() == [False] * 4 + [True] * 3 + [False] * 5
    assert out.visited[1] == (1, 9)


def test_real_cases_of_eleven_modalities(eval_data):
    """Mean over modalities of the mean DSC over objects: 0.80 when this was written."""
    cases = json.loads((eval_data / "manifest.json").read_text())["cases"]
    segmenter = medsegany.load("classical")
    scores = {}
    for case in cases:
        if case["kind"] != "2d":
            continue
        with np.load(eval_data / case["npz"]) as file:
            image, labels = file["imgs"], file["gts"]
        embedded = segmenter.embed(image)
        boxes = prompts.boxes_from_labels(labels)
        for name, box in list(boxes.items())[:10]:
            truth = labels == name
            if truth.sum() >= 20:
                dsc = metrics.dsc(embedded.segment(box).mask, truth)
                scores.setdefault(case["modality"], []).append(dsc)
    assert len(scores) == 11
    assert np.mean([np.mean(found) for found in scores.values()]) > 0.78
