"""SAM against `SamPredictor`, called the official way."""

import numpy as np
import pytest
from segment_anything import SamPredictor, sam_model_registry

from medsegany import Box, Point, errors
from medsegany.backends import _device
from medsegany.backends.sam1 import Sam1Segmenter
from medsegany.testing import SegmenterContract, models

SHAPES = [(180, 260, 3), (260, 180, 3), (97, 301), (256, 256, 3), (300, 300)]


@pytest.fixture(scope="module")
def sam():
    return models.small_sam(seed=3)


@pytest.fixture(scope="module")
def segmenter(sam):
    return Sam1Segmenter(sam, "sam1-test")


class TestContract(SegmenterContract):
    def make_segmenter(self):
        return Sam1Segmenter(models.small_sam(), "sam1-test")


def official(sam, image, **prompt):
    predictor = SamPredictor(sam)
    rgb = np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image
    predictor.set_image(rgb)
    masks, scores, low_res = predictor.predict(**prompt, multimask_output=False)
    logits, _, _ = predictor.predict(**prompt, multimask_output=False, return_logits=True)
    return masks[0], float(scores[0]), low_res[0], logits[0]


def check(found, expected, assert_equal):
    masks, score, low_res, logits = expected
    assert_equal(found.low_res_logits[1], low_res)
    assert_equal(found.logits[1], logits)
    np.testing.assert_array_equal(found.mask, masks)
    assert found.score == score
    assert np.isnan(found.presence[1])


@pytest.mark.parametrize("shape", SHAPES)
def test_a_box_gives_what_the_official_predictor_gives(sam, segmenter, noise, shape, assert_equal):
    image = noise(*shape)
    box = Box(11, 23.5, 77, 90)
    expected = official(sam, image, box=np.array([11, 23.5, 77, 90]))
    check(segmenter.segment_2d(image, box), expected, assert_equal)


@pytest.mark.parametrize("shape", SHAPES[:2])
def test_points_give_what_the_official_predictor_gives(sam, segmenter, noise, shape, assert_equal):
    image = noise(*shape)
    points = [Point(50, 60), Point(100.25, 20, positive=False), Point(3, 170)]
    expected = official(
        sam,
        image,
        point_coords=np.array([[50, 60], [100.25, 20], [3, 170]]),
        point_labels=np.array([1, 0, 1]),
    )
    check(segmenter.segment_2d(image, points), expected, assert_equal)


def test_box_and_points_give_what_the_official_predictor_gives(sam, segmenter, noise, assert_equal):
    image = noise(180, 260, 3)
    expected = official(
        sam,
        image,
        box=np.array([11, 23, 77, 90]),
        point_coords=np.array([[50, 60]]),
        point_labels=np.array([0]),
    )
    found = segmenter.segment_2d(image, [Point(50, 60, positive=False), Box(11, 23, 77, 90)])
    check(found, expected, assert_equal)


def test_a_box_over_the_edge_is_passed_on_unchanged(sam, segmenter, noise, assert_equal):
    image = noise(180, 260, 3)
    expected = official(sam, image, box=np.array([-20, 100, 400, 250]))
    check(segmenter.segment_2d(image, Box(-20, 100, 400, 250)), expected, assert_equal)


def test_many_boxes_are_one_batch_of_the_official_decoder(sam, segmenter, noise, assert_equal):
    import torch

    image = noise(180, 260, 3)
    boxes = np.array([[10, 20, 60, 70], [5, 5, 250, 170], [100, 50, 130, 60]])
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    scaled = torch.as_tensor(predictor.transform.apply_boxes(boxes, (180, 260))).float()
    _, scores, low_res = predictor.predict_torch(None, None, scaled, multimask_output=False)
    found = segmenter.segment_2d(image, {i: Box(*b) for i, b in enumerate(boxes, start=1)})
    for i in range(3):
        assert_equal(found.low_res_logits[i + 1], low_res[i, 0])
        assert found.scores[i + 1] == float(scores[i, 0])


def test_the_caller_s_autocast_does_not_blur_float32(segmenter, noise, assert_equal):
    import torch

    image = noise(60, 90, 3)
    expected = segmenter.segment_2d(image, Box(10, 10, 50, 50))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = segmenter.segment_2d(image, Box(10, 10, 50, 50))
    assert_equal(found.low_res_logits[1], expected.low_res_logits[1])


def test_bfloat16_is_computed_when_it_is_asked_for(sam, noise, monkeypatch):
    monkeypatch.setattr(_device, "computes_in_bfloat16", lambda: True)
    image = noise(60, 90, 3)
    full, half = (
        Sam1Segmenter(sam, "sam1-test", dtype=dtype).segment_2d(image, Box(10, 10, 50, 50))
        for dtype in ("float32", "bfloat16")
    )
    difference = np.abs(full.low_res_logits[1] - half.low_res_logits[1]).max()
    assert 0 < difference < 0.1


def test_a_cpu_that_is_slow_in_bfloat16_says_so(sam, monkeypatch):
    monkeypatch.setattr(_device, "computes_in_bfloat16", lambda: False)
    with pytest.warns(UserWarning, match="float32, the default, will be faster"):
        Sam1Segmenter(sam, "sam1-test", dtype="bfloat16")


def test_an_image_too_thin_for_the_model_is_refused(segmenter, noise):
    with pytest.raises(errors.InvalidImage, match="too thin"):
        segmenter.embed(noise(1, 3000))


def test_upstream_is_the_official_predictor_with_these_weights(sam, segmenter):
    assert type(segmenter.upstream) is SamPredictor
    assert segmenter.upstream.model is sam


@pytest.mark.slow
def test_vit_b_at_its_real_size_equals_the_official_predictor(noise, assert_equal):
    import torch

    torch.manual_seed(5)
    sam = sam_model_registry["vit_b"]()
    image = noise(333, 512, 3)
    expected = official(sam, image, box=np.array([40, 50, 300, 280]))
    found = Sam1Segmenter(sam, "sam1-b").segment_2d(image, Box(40, 50, 300, 280))
    check(found, expected, assert_equal)
