"""SAM2's memory against `SAM2VideoPredictor`, called the official way.

Frames go to the official predictor as uint8 through its own loader, which is given them instead of
JPEG files.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from sam2 import sam2_video_predictor
from scipy import ndimage

from medsegany import Box, ByMemory, MaskPrompt, Point
from medsegany.backends.sam2 import Sam2Segmenter, build
from medsegany.testing import models, phantoms

OFF = ByMemory(fill_holes_px=0)


@pytest.fixture(scope="module")
def model(request):
    # 128 px: a quarter of the time of 256, and every way through the code is the same
    version = getattr(request, "param", "sam2.1")
    model = models.small_sam2(seed=9, version=version, image_size=128)
    # Random weights seldom see an object; SAM2 blanks the mask then. Let them see it.
    torch.nn.init.constant_(model.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, 5.0)
    return model


@pytest.fixture(scope="module")
def segmenter(model):
    return Sam2Segmenter(model, "sam2-test")


@pytest.fixture(scope="module")
def frames():
    """24 frames, so that the ring of 6 maps and that of 15 pointers wrap."""
    video, _ = phantoms.moving_disc(24, (60, 80), step=1.0, seed=2)
    return video


def session(model, frames, monkeypatch):
    """An official state, through the official loader, from arrays."""

    def load_video_frames(video_path, image_size, **_):
        tensors = []
        for frame in frames:
            rgb = Image.fromarray(frame).convert("RGB").resize((image_size, image_size))
            tensors.append(torch.from_numpy(np.array(rgb) / 255.0).permute(2, 0, 1))
        images = torch.stack(tensors).float()
        images -= torch.tensor((0.485, 0.456, 0.406))[:, None, None]
        images /= torch.tensor((0.229, 0.224, 0.225))[:, None, None]
        return images, frames[0].shape[0], frames[0].shape[1]

    monkeypatch.setattr(sam2_video_predictor, "load_video_frames", load_video_frames)
    return model.init_state("frames")


def records(state):
    """Frame -> low-resolution logits that the official state holds."""
    kept = state["output_dict_per_obj"][0]
    both = {**kept["non_cond_frame_outputs"], **kept["cond_frame_outputs"]}
    return {t: out["pred_masks"][0, 0].numpy() for t, out in both.items()}


@pytest.fixture(autouse=True)
def _no_filling(model, monkeypatch):
    monkeypatch.setattr(model, "fill_hole_area", 0)


def run(model, state, *, reverse=False, start=None):
    return {
        t: logits[:, 0].numpy()
        for t, _, logits in model.propagate_in_video(state, start_frame_idx=start, reverse=reverse)
    }


PROMPTS = {
    "box": ([Box(14, 18, 34, 42)], {"box": [14, 18, 34, 42]}),
    "one click": ([Point(24, 30)], {"points": [[24, 30]], "labels": [1]}),
    "clicks": (
        [Point(24, 30), Point(70, 5, positive=False)],
        {"points": [[24, 30], [70, 5]], "labels": [1, 0]},
    ),
    "box and click": (
        [Box(14, 18, 34, 42), Point(24, 30)],
        {"box": [14, 18, 34, 42], "points": [[24, 30]], "labels": [1]},
    ),
}


@pytest.mark.parametrize("model", ["sam2", "sam2.1"], indirect=True, scope="module")
@pytest.mark.parametrize("kind", PROMPTS)
def test_forward_tracking_equals_the_official_predictor(
    model, segmenter, frames, monkeypatch, kind, assert_equal
):
    ours, theirs = PROMPTS[kind]
    state = session(model, frames, monkeypatch)
    model.add_new_points_or_box(state, 0, 1, **theirs)
    expected, low_res = run(model, state), records(state)
    for found in segmenter.track_video(frames, ours, propagation=OFF):
        assert_equal(found.low_res_logits[1], low_res[found.index])
        assert_equal(found.logits[1], expected[found.index][0])


def test_a_mask_prompt_is_tracked_as_the_official_predictor_does(
    model, segmenter, frames, monkeypatch, assert_equal
):
    mask = phantoms.disc((60, 80), (24, 30), 12)
    state = session(model, frames, monkeypatch)
    model.add_new_mask(state, 0, 1, mask)
    expected, low_res = run(model, state), records(state)
    for found in segmenter.track_video(frames, MaskPrompt(mask), propagation=OFF):
        assert_equal(found.low_res_logits[1], low_res[found.index])
        if found.index == 0:  # the user's mask, where upstream returns what its grid left of it
            np.testing.assert_array_equal(found.mask, mask)
        else:
            assert_equal(found.logits[1], expected[found.index][0])


@pytest.mark.parametrize("directions", ["independent", "shared"])
def test_both_directions_from_the_middle_equal_the_official_runs(
    model, segmenter, frames, monkeypatch, directions
):
    """`independent`: a reset in between, as the paper's scripts do. `shared`: one state."""
    state = session(model, frames, monkeypatch)
    model.add_new_points_or_box(state, 11, 1, box=[24, 18, 45, 42])
    expected = run(model, state)
    if directions == "independent":
        model.reset_state(state)
        model.add_new_points_or_box(state, 11, 1, box=[24, 18, 45, 42])
    expected |= run(model, state, reverse=True)
    out = segmenter.segment_volume(
        frames,
        Box(24, 18, 45, 42).at(11),
        slices=(0, 23),
        propagation=ByMemory(fill_holes_px=0, directions=directions),
    )
    for t, logits in expected.items():
        np.testing.assert_array_equal(out.mask[t], logits[0] > 0, err_msg=f"slice {t}")


def test_shared_and_independent_directions_differ(segmenter, frames):
    """Else the test above would show nothing."""
    scores = [
        segmenter.segment_volume(
            frames,
            Box(24, 18, 45, 42).at(11),
            slices=(0, 23),
            propagation=ByMemory(directions=directions),
        ).scores[1]
        for directions in ("independent", "shared")
    ]
    assert (scores[0][12:] == scores[1][12:]).all()
    assert (scores[0][:10] != scores[1][:10]).any()


def test_a_range_of_slices_is_a_video_of_its_own(model, segmenter, frames, monkeypatch):
    """The released scripts cut the volume first: time is encoded by the number of slices left."""
    state = session(model, frames[5:15], monkeypatch)
    model.add_new_points_or_box(state, 4, 1, box=[24, 18, 45, 42])
    expected = run(model, state)
    model.reset_state(state)
    model.add_new_points_or_box(state, 4, 1, box=[24, 18, 45, 42])
    expected |= run(model, state, reverse=True)
    out = segmenter.segment_volume(
        frames, Box(24, 18, 45, 42).at(9), slices=(5, 14), propagation=OFF
    )
    for t, logits in expected.items():
        np.testing.assert_array_equal(out.mask[t + 5], logits[0] > 0, err_msg=f"slice {t + 5}")
    assert out.visited[1] == (5, 14)


def test_prompts_on_several_slices_equal_the_official_run(
    model, segmenter, frames, monkeypatch, assert_equal
):
    """All prompted slices are conditioned on from the start, those in the future too."""
    state = session(model, frames, monkeypatch)
    model.add_new_points_or_box(state, 2, 1, box=[16, 18, 36, 42])
    model.add_new_points_or_box(state, 9, 1, points=[[33, 30]], labels=[1])
    model.add_new_mask(state, 17, 1, phantoms.disc((60, 80), (41, 30), 12))
    expected = run(model, state)
    low_res = records(state)
    prompts = [
        Box(16, 18, 36, 42).at(2),
        Point(33, 30).at(9),
        MaskPrompt(phantoms.disc((60, 80), (41, 30), 12)).at(17),
    ]
    found = {f.index: f for f in segmenter.track_video(frames, prompts, propagation=OFF)}
    for t in expected:
        assert_equal(found[t].low_res_logits[1], low_res[t])
    assert 1 not in found[0].masks
    assert 1 not in found[1].masks


def test_the_order_of_prompting_is_kept_to_the_last_bit(
    model, segmenter, frames, monkeypatch, assert_equal
):
    """Two objects prompted on the same slices in opposite orders, as two official sessions."""
    boxes = {9: [24, 18, 45, 42], 2: [16, 18, 36, 42], 17: [31, 18, 52, 42]}
    orders = {1: (9, 2, 17), 2: (17, 9, 2)}
    expected = {}
    for name, order in orders.items():
        state = session(model, frames, monkeypatch)
        for k in order:
            model.add_new_points_or_box(state, k, name, box=boxes[k])
        run(model, state)
        expected[name] = records(state)
    prompts = {name: [Box(*boxes[k]).at(k) for k in order] for name, order in orders.items()}
    for found in segmenter.track_video(frames, prompts, propagation=OFF):
        for name in found.masks:
            assert_equal(found.low_res_logits[name], expected[name][found.index])
    out = segmenter.segment_volume(frames, prompts, slices=(0, 23), propagation=OFF)
    for name in orders:
        for k in range(2, 24):
            low_res = torch.from_numpy(expected[name][k])[None, None]
            size = frames.shape[1:3]
            logits = torch.nn.functional.interpolate(low_res, size, mode="bilinear")[0, 0]
            np.testing.assert_array_equal(out.masks[name][k], logits.numpy() > 0)


def test_objects_that_start_later_equal_a_session_of_their_own(
    model, segmenter, frames, monkeypatch, assert_equal
):
    """Upstream 1.1.0 crashes here in float32, and would look for object 2 before its prompt."""
    prompts = {1: Box(14, 18, 34, 42).at(0), 2: Box(50, 5, 75, 30).at(6)}
    expected = {}
    for name, start, box in ((1, 0, [14, 18, 34, 42]), (2, 6, [50, 5, 75, 30])):
        state = session(model, frames, monkeypatch)
        model.add_new_points_or_box(state, start, name, box=box)
        run(model, state)
        expected[name] = records(state)
    for found in segmenter.track_video(frames, prompts, propagation=OFF):
        assert_equal(found.low_res_logits[1], expected[1][found.index])
        assert (2 in found.masks) == (found.index >= 6)
        if found.index >= 6:
            assert_equal(found.low_res_logits[2], expected[2][found.index])


def test_an_iterable_without_a_length_equals_a_long_video(segmenter, frames, assert_equal):
    """16 frames or more are one and the same to SAM2's encoding of time."""
    listed = list(segmenter.track_video(frames, Box(14, 18, 34, 42), propagation=OFF))
    streamed = list(segmenter.track_video(iter(frames), Box(14, 18, 34, 42), propagation=OFF))
    for a, b in zip(listed, streamed, strict=True):
        assert_equal(a.low_res_logits[1], b.low_res_logits[1])


def test_a_short_stream_needs_its_length(segmenter, frames):
    """Fewer than 16 frames are encoded otherwise."""
    box = Box(14, 18, 34, 42)
    listed, told, untold = (
        np.array([f.scores[1] for f in tracking])
        for tracking in (
            segmenter.track_video(frames[:9], box),
            segmenter.track_video(iter(frames[:9]), box, length=9),
            segmenter.track_video(iter(frames[:9]), box),
        )
    )
    assert (listed == told).all()
    assert (listed != untold).any()


def test_a_correction_while_streaming_equals_the_official_one(
    model, segmenter, frames, monkeypatch, assert_equal
):
    """Track to frame 7, click there, go on: as upstream when its generator is stopped there."""
    state = session(model, frames, monkeypatch)
    model.add_new_points_or_box(state, 0, 1, box=[14, 18, 34, 42])
    for t, _, _ in model.propagate_in_video(state):
        if t == 7:
            break
    model.add_new_points_or_box(state, 7, 1, points=[[31, 30], [60, 50]], labels=[1, 0])
    run(model, state, start=8)
    expected = records(state)

    tracking = segmenter.track_video(frames, Box(14, 18, 34, 42), propagation=OFF)
    found = {}
    for frame in tracking:
        found[frame.index] = frame
        if frame.index == 7:
            found[7] = tracking.prompt([Point(31, 30), Point(60, 50, positive=False)])
    for t in range(24):
        assert_equal(found[t].low_res_logits[1], expected[t])


def scipy_components(mask):
    """What upstream's CUDA extension computes: 8-connected parts and their areas."""
    labels = np.zeros(mask.shape, np.int64)
    areas = np.zeros(mask.shape, np.int64)
    for i in np.ndindex(mask.shape[:2]):
        labels[i], _ = ndimage.label(mask[i].numpy(), structure=np.ones((3, 3)))
        areas[i] = np.bincount(labels[i].ravel())[labels[i]]
    return torch.from_numpy(labels), torch.from_numpy(areas)


@pytest.mark.parametrize("area", [8, 200])
def test_holes_are_filled_as_upstream_does_with_its_extension(
    model, segmenter, frames, monkeypatch, assert_equal, area
):
    monkeypatch.setattr(model, "fill_hole_area", area)
    monkeypatch.setattr("sam2.utils.misc.get_connected_components", scipy_components)
    state = session(model, frames, monkeypatch)
    model.add_new_points_or_box(state, 0, 1, box=[14, 18, 34, 42])
    run(model, state)
    expected = records(state)
    way = ByMemory(fill_holes_px=area)
    filled = list(segmenter.track_video(frames, Box(14, 18, 34, 42), propagation=way))
    for found in filled:
        assert_equal(found.low_res_logits[1], expected[found.index])
    if area == 200:  # there was something to fill, else this shows nothing
        assert any((f.low_res_logits[1] == np.float32(0.1)).any() for f in filled)


def test_scores_are_the_predicted_iou_of_the_returned_mask(model, segmenter, frames, monkeypatch):
    """Upstream computes it and drops it: read it where it is made."""
    scores = []
    heads = type(model)._forward_sam_heads

    def spy(self, *args, **kwargs):
        out = heads(self, *args, **kwargs)
        scores.append(float(out[2].max()))
        return out

    monkeypatch.setattr(type(model), "_forward_sam_heads", spy)
    found = list(segmenter.track_video(frames[:4], Box(14, 18, 34, 42)))
    assert [f.scores[1] for f in found] == scores
    assert all(0 < f.presence[1] < 1 for f in found)


def test_prompted_mask_gives_the_image_model_s_mask_to_the_memory(segmenter, frames):
    """The paper's way: the prompted slice is what `segment_2d` finds there, to the pixel."""
    still = segmenter.segment_2d(frames[3], Box(14, 18, 34, 42))
    out = segmenter.segment_volume(
        frames, Box(14, 18, 34, 42).at(3), slices=(2, 4), propagation=ByMemory(prompted="mask")
    )
    np.testing.assert_array_equal(out.mask[3], still.mask)
    assert out.scores[1][3] == np.float32(still.score)


def test_memory_does_not_grow_with_the_length(segmenter, frames):
    """What is remembered after 24 frames and after 240 is the same amount."""
    sizes = {}
    stream = (frames[t % 24] for t in range(120))
    tracking = segmenter.track_video(stream, Box(14, 18, 34, 42))
    for frame in tracking:
        (state,) = tracking._carrier._memory._states.values()
        sizes[frame.index] = len(state["output_dict_per_obj"][0]["non_cond_frame_outputs"])
    assert sizes[50] == sizes[119] <= 33


def test_each_slice_is_encoded_once_for_all_objects_and_directions(
    model, segmenter, frames, monkeypatch
):
    seen = []
    encode = model.forward_image

    def count(images):
        seen.append(images)
        return encode(images)

    monkeypatch.setattr(model, "forward_image", count)
    prompts = {1: Box(14, 18, 34, 42).at(6), 2: Box(50, 5, 75, 30).at(9)}
    segmenter.segment_volume(frames, prompts, slices=(0, 14))
    assert len(seen) == 15


def test_a_smaller_memory_budget_changes_the_time_and_not_the_result(segmenter, frames):
    outs = [
        segmenter.segment_volume(
            frames, Box(24, 18, 45, 42).at(5), slices=(0, 11), propagation=ByMemory(memory_budget=b)
        )
        for b in (None, 0)
    ]
    np.testing.assert_array_equal(outs[0].mask, outs[1].mask)
    np.testing.assert_array_equal(outs[0].scores[1], outs[1].scores[1])


@pytest.mark.slow
def test_tiny_at_its_real_size_equals_the_official_predictor(noise, monkeypatch, assert_equal):
    """1024 px and three frames: a prompted one, and two from memory."""
    torch.manual_seed(10)
    tiny = build("sam2.1/sam2.1_hiera_t")
    torch.nn.init.constant_(tiny.sam_mask_decoder.pred_obj_score_head.layers[-1].bias, 5.0)
    monkeypatch.setattr(tiny, "fill_hole_area", 0)
    video = noise(3, 200, 300, 3)
    state = session(tiny, video, monkeypatch)
    tiny.add_new_points_or_box(state, 0, 1, box=[30, 40, 200, 150])
    run(tiny, state)
    expected = records(state)
    ours = Sam2Segmenter(tiny, "sam2.1-t")
    for found in ours.track_video(video, Box(30, 40, 200, 150), propagation=OFF):
        assert_equal(found.low_res_logits[1], expected[found.index])
