"""SAM2 on images against `SAM2ImagePredictor`, called the official way."""

import numpy as np
import pytest
import torch
from sam2.sam2_image_predictor import SAM2ImagePredictor

from medsegany import Box, Point
from medsegany.backends.sam2 import Sam2Segmenter, build
from medsegany.testing import SegmenterContract, models


@pytest.fixture(scope="module", params=["sam2", "sam2.1"])
def model(request):
    return models.small_sam2(seed=7, version=request.param)


@pytest.fixture(scope="module")
def segmenter(model):
    return Sam2Segmenter(model, "sam2-test")


class TestContract(SegmenterContract):
    def make_segmenter(self):
        return Sam2Segmenter(models.small_sam2(), "sam2-test")


def official(model, image, **prompt):
    predictor = SAM2ImagePredictor(model)
    side = model.image_size
    predictor._bb_feat_sizes = [(side // 4, side // 4), (side // 8, side // 8), (side // 16,) * 2]
    rgb = np.repeat(image[..., None], 3, axis=-1) if image.ndim == 2 else image
    predictor.set_image(rgb)
    masks, scores, low_res = predictor.predict(**prompt, multimask_output=False)
    logits, _, _ = predictor.predict(**prompt, multimask_output=False, return_logits=True)
    return masks, scores, low_res, logits


def check(found, expected, assert_equal):
    masks, scores, low_res, logits = expected
    assert_equal(found.low_res_logits[1], low_res[0])
    assert_equal(found.logits[1], logits[0])
    np.testing.assert_array_equal(found.mask, masks[0] > 0)
    assert found.score == float(scores[0])
    assert 0 < found.presence[1] < 1


@pytest.mark.parametrize("shape", [(180, 260, 3), (260, 181), (256, 256, 3), (40, 30)])
def test_a_box_gives_what_the_official_predictor_gives(
    model, segmenter, noise, shape, assert_equal
):
    image = noise(*shape)
    expected = official(model, image, box=np.array([3, 5.5, 27, 33]))
    check(segmenter.segment_2d(image, Box(3, 5.5, 27, 33)), expected, assert_equal)


def test_points_give_what_the_official_predictor_gives(model, segmenter, noise, assert_equal):
    image = noise(180, 260, 3)
    coords, labels = np.array([[50, 60], [100.25, 20], [3, 170]]), np.array([1, 0, 1])
    expected = official(model, image, point_coords=coords, point_labels=labels)
    points = [Point(50, 60), Point(100.25, 20, positive=False), Point(3, 170)]
    check(segmenter.segment_2d(image, points), expected, assert_equal)


def test_one_click_gives_what_the_official_predictor_gives(model, segmenter, noise, assert_equal):
    image = noise(180, 260, 3)
    expected = official(model, image, point_coords=np.array([[50, 60]]), point_labels=np.array([1]))
    check(segmenter.segment_2d(image, Point(50, 60)), expected, assert_equal)


def test_box_and_points_give_what_the_official_predictor_gives(
    model, segmenter, noise, assert_equal
):
    image = noise(180, 260, 3)
    expected = official(
        model,
        image,
        box=np.array([11, 23, 77, 90]),
        point_coords=np.array([[50, 60]]),
        point_labels=np.array([0]),
    )
    found = segmenter.segment_2d(image, [Point(50, 60, positive=False), Box(11, 23, 77, 90)])
    check(found, expected, assert_equal)


def test_many_boxes_are_one_batch_of_the_official_predictor(model, segmenter, noise, assert_equal):
    image = noise(180, 260, 3)
    boxes = np.array([[10, 20, 60, 70], [5, 5, 250, 170], [100, 50, 130, 60]])
    _, scores, low_res, _ = official(model, image, box=boxes)
    found = segmenter.segment_2d(image, {i: Box(*b) for i, b in enumerate(boxes, start=1)})
    for i in range(3):
        assert_equal(found.low_res_logits[i + 1], low_res[i, 0])
        assert found.scores[i + 1] == float(scores[i, 0])


def test_an_unstable_mask_is_replaced_by_the_best_of_three_as_upstream_does(
    model, segmenter, noise, monkeypatch, assert_equal
):
    """Both ways of dynamic multimask are met: threshold 0 keeps the mask, above 1 never does."""
    image = noise(64, 64)
    seen = {}
    for threshold in (0.0, 1.1):
        decoder = model.sam_mask_decoder
        monkeypatch.setattr(decoder, "dynamic_multimask_stability_thresh", threshold)
        expected = official(model, image, box=np.array([10, 10, 50, 50]))
        found = segmenter.segment_2d(image, Box(10, 10, 50, 50))
        check(found, expected, assert_equal)
        seen[threshold] = found.low_res_logits[1]
    assert np.abs(seen[0.0] - seen[1.1]).max() > 0


@pytest.mark.parametrize("size", [128, 512])
def test_other_image_sizes_work_as_upstream_with_its_feature_sizes_set(size, noise, assert_equal):
    model = models.small_sam2(seed=1, image_size=size)
    image = noise(100, 150, 3)
    expected = official(model, image, box=np.array([10, 10, 50, 50]))
    segmenter = Sam2Segmenter(model, "sam2-test")
    check(segmenter.segment_2d(image, Box(10, 10, 50, 50)), expected, assert_equal)


def test_upstream_is_the_official_video_predictor_with_these_weights(model, segmenter):
    from sam2.sam2_video_predictor import SAM2VideoPredictor

    assert type(segmenter.upstream) is SAM2VideoPredictor
    assert segmenter.upstream is model


@pytest.mark.slow
def test_tiny_at_its_real_size_equals_the_official_predictor(noise, assert_equal):
    torch.manual_seed(8)
    model = build("sam2.1/sam2.1_hiera_t")
    image = noise(400, 512, 3)
    predictor = SAM2ImagePredictor(model)
    predictor.set_image(image)
    _, scores, low_res = predictor.predict(box=np.array([40, 50, 300, 280]), multimask_output=False)
    found = Sam2Segmenter(model, "sam2.1-t").segment_2d(image, Box(40, 50, 300, 280))
    assert_equal(found.low_res_logits[1], low_res[0])
    assert found.score == float(scores[0])
