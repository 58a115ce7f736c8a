"""The private names of `sam2` that medsegany reads: fails when upstream moves one of them."""

import inspect

import pytest
from sam2.sam2_image_predictor import SAM2ImagePredictor
from sam2.sam2_video_predictor import SAM2VideoPredictor

from medsegany.backends.sam2 import _internals, _tracker
from medsegany.testing import models

READ = {
    "add_new_points_or_box": "self inference_state frame_idx obj_id points labels "
    "clear_old_points normalize_coords box",
    "add_new_mask": "self inference_state frame_idx obj_id mask",
    "propagate_in_video_preflight": "self inference_state",
    "forward_image": "self img_batch",
    "_run_single_frame_inference": "self inference_state output_dict frame_idx batch_size "
    "is_init_cond_frame point_inputs mask_inputs reverse run_mem_encoder prev_sam_mask_logits",
    "_prepare_memory_conditioned_features": "self frame_idx is_init_cond_frame "
    "current_vision_feats current_vision_pos_embeds feat_sizes output_dict num_frames "
    "track_in_reverse",
    "_encode_new_memory": "self current_vision_feats feat_sizes pred_masks_high_res "
    "object_score_logits is_mask_from_pts",
    "_prepare_backbone_features": "self backbone_out",
    "_get_maskmem_pos_enc": "self inference_state current_out",
    "track_step": "self frame_idx is_init_cond_frame current_vision_feats "
    "current_vision_pos_embeds feat_sizes point_inputs mask_inputs output_dict num_frames "
    "track_in_reverse run_mem_encoder prev_sam_mask_logits",
    "_forward_sam_heads": "self backbone_features point_inputs mask_inputs high_res_features "
    "multimask_output",
}


@pytest.mark.parametrize("name", READ)
def test_a_method_takes_what_it_took(name):
    parameters = inspect.signature(inspect.unwrap(getattr(SAM2VideoPredictor, name))).parameters
    assert " ".join(parameters) == READ[name]


def test_the_state_has_the_keys_that_init_state_makes(monkeypatch):
    import torch
    from sam2 import sam2_video_predictor

    model = models.small_sam2(image_size=64)
    monkeypatch.setattr(
        sam2_video_predictor, "load_video_frames", lambda **_: (torch.zeros(2, 3, 64, 64), 50, 60)
    )
    theirs = model.init_state("frames")
    tracker = _tracker.Tracker.over(model, 0)
    ours = _internals.new_state(tracker, (50, 60), 2)
    assert ours.keys() == theirs.keys()
    for key in ours.keys() - {"images", "cached_features"}:
        assert ours[key] == theirs[key], key
        assert type(ours[key]) is type(theirs[key]), key


def test_the_image_predictor_keeps_its_state_where_it_is_read(noise):
    predictor = SAM2ImagePredictor(models.small_sam2(image_size=1024))
    assert predictor._bb_feat_sizes == [(256, 256), (128, 128), (64, 64)]
    assert hasattr(predictor, "_transforms")
    assert {"_features", "_orig_hw"} <= vars(predictor).keys()


def test_a_tracker_shares_every_weight_and_changes_nothing_upstream():
    model = models.small_sam2(image_size=64)
    before = dict(vars(model))
    tracker = _tracker.Tracker.over(model, 8)
    assert all(a is b for a, b in zip(model.parameters(), tracker.parameters(), strict=True))
    tracker.fill_hole_area = 99
    assert vars(model) == before
    assert type(model) is SAM2VideoPredictor
