"""MedSAM against the inference recipe that its authors published (`MedSAM_Inference.py`)."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from hypothesis import given, strategies as st
from segment_anything import sam_model_registry
from skimage import transform

from medsegany import Box, Point, errors
from medsegany.backends.medsam import MedSamSegmenter, _log_odds
from medsegany.testing import SegmenterContract, models


@pytest.fixture(scope="module")
def sam():
    return models.small_sam(seed=4)


@pytest.fixture(scope="module")
def segmenter(sam):
    return MedSamSegmenter(sam)


class TestContract(SegmenterContract):
    def make_segmenter(self):
        return MedSamSegmenter(models.small_sam())


@torch.no_grad()
def published(sam, image, box):
    """The steps of the published script, with the model's own size for its 1024."""
    size = sam.image_encoder.img_size
    img_3c = np.repeat(image[:, :, None], 3, axis=-1) if image.ndim == 2 else image
    height, width, _ = img_3c.shape
    img = transform.resize(
        img_3c, (size, size), order=3, preserve_range=True, anti_aliasing=True
    ).astype(np.uint8)
    img = (img - img.min()) / np.clip(img.max() - img.min(), a_min=1e-8, a_max=None)
    tensor = torch.tensor(img).float().permute(2, 0, 1).unsqueeze(0)
    box_scaled = np.array([box]) / np.array([width, height, width, height]) * size
    features = sam.image_encoder(tensor)
    box_torch = torch.as_tensor(box_scaled, dtype=torch.float)[:, None, :]
    sparse, dense = sam.prompt_encoder(points=None, boxes=box_torch, masks=None)
    low_res, _ = sam.mask_decoder(
        image_embeddings=features,
        image_pe=sam.prompt_encoder.get_dense_pe(),
        sparse_prompt_embeddings=sparse,
        dense_prompt_embeddings=dense,
        multimask_output=False,
    )
    probability = F.interpolate(
        torch.sigmoid(low_res), size=(height, width), mode="bilinear", align_corners=False
    )
    return low_res.squeeze().numpy(), (probability.squeeze().numpy() > 0.5)


@pytest.mark.parametrize("shape", [(180, 260, 3), (260, 181), (256, 256, 3), (40, 30)])
def test_a_box_gives_what_the_published_recipe_gives(sam, segmenter, noise, shape, assert_equal):
    image = noise(*shape) // 2  # so that the min-max scaling matters
    low_res, mask = published(sam, image, [3, 5, 27, 33])
    found = segmenter.segment_2d(image, Box(3, 5, 27, 33))
    assert_equal(found.low_res_logits[1], low_res)
    np.testing.assert_array_equal(found.mask, mask)


def test_a_constant_image_is_no_reason_to_fail(segmenter):
    found = segmenter.segment_2d(np.full((30, 40), 7, np.uint8), Box(3, 5, 20, 20))
    assert np.isfinite(found.logits[1]).all()


def test_points_are_refused_with_what_is_taken(segmenter, noise):
    with pytest.raises(errors.PromptNotSupported, match="medsam takes Box prompts, not Point"):
        segmenter.segment_2d(noise(20, 20), Point(3, 3))


@given(st.floats(0, 1, width=32))
def test_log_odds_are_above_zero_just_where_probability_is_above_a_half(p):
    logit = _log_odds(torch.tensor([p], dtype=torch.float32))
    assert bool(logit > 0) == (p > 0.5)
    assert torch.isfinite(logit).all()


@pytest.mark.slow
def test_vit_b_at_its_real_size_equals_the_published_recipe(noise, assert_equal):
    torch.manual_seed(6)
    sam = sam_model_registry["vit_b"]()
    image = noise(400, 333, 3)
    low_res, mask = published(sam, image, [30, 50, 200, 310])
    found = MedSamSegmenter(sam.eval()).segment_2d(image, Box(30, 50, 200, 310))
    assert_equal(found.low_res_logits[1], low_res)
    np.testing.assert_array_equal(found.mask, mask)
