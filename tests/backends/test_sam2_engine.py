"""Several objects at once: what they share, what they remember, and that neither changes a bit."""

import numpy as np
import pytest
import torch

from medsegany import Box, ByMemory, MaskPrompt, errors, propagation
from medsegany.backends.sam2 import Crop, Sam2Segmenter, _alone, _internals as internals, _memory
from medsegany.backends.sam2._tracker import Tracker
from medsegany.testing import models, phantoms

STARTS = {1: 3, 2: 3, 3: 0, 4: 7, 5: 20}
BOXES = {
    1: Box(14, 18, 34, 42), 2: Box(50, 5, 75, 30), 3: Box(5, 5, 30, 30), 4: Box(30, 20, 60, 50),
    5: Box(40, 30, 70, 55),
}  # fmt: skip


def prompts(names=STARTS):
    return {name: BOXES[name].at(STARTS[name]) for name in names}


@pytest.fixture(
    scope="module",
    params=[128, pytest.param(256, marks=pytest.mark.slow)],
    ids=["128 px", "256 px"],
)
def model(request):
    make = models.small_sam2 if request.param == 128 else models.tiny_sam2
    model = make(seed=9, image_size=request.param)
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


@pytest.fixture
def low_res(monkeypatch):
    """Runs something, and returns what the memory said: object -> slice and logits, in order."""
    seen = {}
    found = _memory.Sam2Memory._found

    def keep(memory, index, image, steps):
        for name, step in steps.items():
            seen.setdefault(name, []).append((index, step.low_res.numpy().copy()))
        return found(memory, index, image, steps)

    monkeypatch.setattr(_memory.Sam2Memory, "_found", keep)

    def low_res(work):
        seen.clear()
        work()
        return dict(seen)

    return low_res


def assert_same(one, other):
    assert [index for index, _ in one] == [index for index, _ in other]
    for (index, a), (_, b) in zip(one, other, strict=True):
        assert np.array_equal(a, b), f"slice {index}: {np.abs(a - b).max()}"


@pytest.mark.parametrize("directions", ["independent", "shared"])
def test_five_objects_together_are_what_each_is_alone(
    segmenter, frames, monkeypatch, low_res, directions
):
    """To the last bit; that each alone is what upstream says is tested in test_sam2_video.py."""
    words = {"slices": (0, 23), "propagation": ByMemory(directions=directions)}
    monkeypatch.setattr(_memory, "_together", lambda tracker: 3)
    together = low_res(lambda: segmenter.segment_volume(frames, prompts(), **words))
    monkeypatch.setattr(_memory, "_together", lambda tracker: 1)
    for name in STARTS:
        asked = prompts([name])
        alone = low_res(lambda asked=asked: segmenter.segment_volume(frames, asked, **words))
        assert_same(together[name], alone[name])
        assert len(alone[name]) == 24


def test_in_a_stream_too(segmenter, frames, monkeypatch, low_res):
    def stream():
        return list(segmenter.track_video(iter(frames), prompts()))

    monkeypatch.setattr(_memory, "_together", lambda tracker: 4)
    together = low_res(stream)
    monkeypatch.setattr(_memory, "_together", lambda tracker: 1)
    alone = low_res(stream)
    for name in STARTS:
        assert_same(together[name], alone[name])


class TestWhatIsEncoded:
    @pytest.fixture
    def seen(self, model, monkeypatch):
        seen = []
        encode = model.forward_image

        def count(images):
            seen.append(images)
            return encode(images)

        monkeypatch.setattr(model, "forward_image", count)
        return seen

    def test_each_slice_once(self, segmenter, frames, seen):
        segmenter.segment_volume(frames, prompts(), slices=(0, 23))
        assert len(seen) == 24

    def test_at_most_twice_without_any_room(self, segmenter, frames, seen):
        way = ByMemory(memory_budget=0)
        segmenter.segment_volume(frames, prompts(), slices=(0, 23), propagation=way)
        assert len(seen) <= 24 + 20  # the way down begins below the last prompt, on slice 20

    def test_what_is_needed_again_is_what_is_kept(self, segmenter, frames, seen):
        """Room for four: the slice being looked at, and three that the way down begins with."""
        way = ByMemory(memory_budget=4 * segmenter.features_bytes())
        segmenter.segment_volume(frames, prompts(), slices=(0, 23), propagation=way)
        assert len(seen) == 24 + 20 - 3

    def test_an_object_with_several_prompts_knows_them_all(self, segmenter, frames, low_res):
        """Whatever the others do, which are prompted on the way."""
        two = {1: [BOXES[1].at(3), BOXES[1].at(15)]}
        alone = low_res(lambda: segmenter.segment_volume(frames, two, slices=(0, 23)))
        more = {2: BOXES[2].at(9), **two}
        among = low_res(lambda: segmenter.segment_volume(frames, more, slices=(0, 23)))
        assert_same(alone[1], among[1])


class TestWhatIsRemembered:
    @pytest.fixture
    def sizes(self, monkeypatch):
        """Bytes of every object's session after every slice."""
        sizes = []
        prune = internals.prune

        def measure(state, *args, **kwargs):
            prune(state, *args, **kwargs)
            sizes.append(internals.bytes_of(state))

        monkeypatch.setattr(internals, "prune", measure)
        return sizes

    @pytest.mark.parametrize("prompted", [1, 3])
    def test_six_maps_fifteen_pointers_and_the_prompted_slices(
        self, segmenter, frames, sizes, prompted
    ):
        boxes = [BOXES[1].at(k) for k in (2, 4, 6)[:prompted]]
        segmenter.segment_volume(frames, {1: boxes}, slices=(0, 23))
        scores = 4 * (15 + prompted)  # beside each pointer
        assert max(sizes) <= segmenter.object_bytes(prompted) + scores

    def test_a_mask_prompt_is_not_kept_at_full_size(self, segmenter, frames, sizes):
        mask = np.zeros((60, 80), bool)
        mask[20:40, 20:40] = True
        segmenter.segment_volume(frames, MaskPrompt(mask).at(3), slices=(0, 23))
        assert max(sizes) <= segmenter.object_bytes(1) + 4 * 16

    def test_at_1024_px_it_is_what_was_promised(self):
        """3.3 MB, and 0.55 MB for each prompted slice."""
        model = models.small_sam2(image_size=1024)
        assert internals.object_bytes(model, 0) <= 3.3e6
        assert internals.object_bytes(model, 1) - internals.object_bytes(model, 0) <= 0.55e6


class TestMemoryRunsOut:
    def test_fewer_objects_are_tried_and_nothing_changes(self, segmenter, frames, monkeypatch):
        monkeypatch.setattr(_memory, "_together", lambda tracker: 4)
        expected = segmenter.segment_volume(frames[:8], prompts([1, 2, 3, 4]), slices=(0, 7))
        carry, tried = internals.carry, []

        def small(tracker, objects, *args, **kwargs):
            tried.append(len(objects))
            if len(objects) > 1:
                raise torch.OutOfMemoryError
            return carry(tracker, objects, *args, **kwargs)

        monkeypatch.setattr(internals, "carry", small)
        found = segmenter.segment_volume(frames[:8], prompts([1, 2, 3, 4]), slices=(0, 7))
        assert max(tried) > 1
        np.testing.assert_array_equal(found.labels(), expected.labels())

    @pytest.mark.parametrize("where", ["carry", "encode"])
    def test_the_error_names_what_helps(self, segmenter, frames, monkeypatch, where):
        def none(*args, **kwargs):
            raise torch.OutOfMemoryError

        monkeypatch.setattr(internals, where, none)
        with pytest.raises(errors.OutOfMemory, match="memory_budget.*image_size.*dtype"):
            segmenter.segment_volume(frames, prompts([1]))


class TestEstimate:
    def test_it_is_what_is_kept(self, model, segmenter, frames):
        features = internals.encode(
            Tracker.over(model, 0),
            internals.as_input(np.stack([frames[0]] * 3, -1), model.image_size),
        )
        assert segmenter.features_bytes() == internals.size_of(features)

    def test_of_a_volume(self, segmenter):
        one = segmenter.features_bytes()
        found = propagation.estimate_memory(segmenter, (10, 60, 80), objects=3, prompted=2)
        assert found.features == 10 * one
        assert found.objects == 3 * segmenter.object_bytes(2)
        assert found.results == 10 * (3 * 600 + 4800)
        assert found.total == found.features + found.objects + found.results
        assert "MB (features" in str(found)

    def test_the_budget_bounds_it(self, segmenter):
        one = segmenter.features_bytes()
        for budget, kept in ((0, 1), (3 * one + 1, 3), (10**12, 10)):
            way = ByMemory(memory_budget=budget)
            found = propagation.estimate_memory(segmenter, (10, 60, 80), propagation=way)
            assert found.features == kept * one

    def test_of_a_model_that_looks_at_crops(self, model):
        """No slice serves two objects, and of each the latest is kept, whatever the budget."""
        segmenter = Sam2Segmenter(model, "crops", crop=Crop(1.5))
        for depth in (10, 1000):
            found = propagation.estimate_memory(segmenter, (depth, 60, 80), objects=3)
            assert found.features == 3 * segmenter.features_bytes()

    def test_of_a_model_without_a_memory(self):
        from medsegany.testing import FakeSegmenter

        found = propagation.estimate_memory(FakeSegmenter(), (10, 60, 80))
        assert found.features == found.objects == 0

    @pytest.mark.parametrize(
        "words",
        [{"shape": (0, 1, 1)}, {"shape": (4, 5, 5, 3)}, {"objects": 0}, {"prompted": 1.5}],
    )
    def test_numbers_that_are_none(self, segmenter, words):
        with pytest.raises(errors.InvalidInput):
            propagation.estimate_memory(segmenter, **{"shape": (1, 1, 1), **words})


class TestAsAlone:
    """Whatever this machine's libraries do with sizes, objects come out as they do alone."""

    @pytest.mark.parametrize("count", [2, 3, 7])
    def test_operations_that_may_differ(self, count):
        draw = torch.Generator().manual_seed(0)
        vectors, weight = torch.randn(count, 256, generator=draw), torch.randn(40, 256)
        images, kernel = torch.randn(count, 1, 64, 64, generator=draw), torch.randn(4, 1, 3, 3)
        work = {
            "linear": (lambda x: torch.nn.functional.linear(x, weight), vectors),
            "conv": (lambda x: torch.nn.functional.conv2d(x, kernel, stride=2), images),
        }
        for name, (do, values) in work.items():
            alone = torch.cat([do(values[n : n + 1]) for n in range(count)])
            for _ in range(2):  # the first time it is tried, then it is known
                with _alone.AsAlone():
                    assert torch.equal(do(values), alone), name

    def test_others_are_left_as_they_are(self):
        with _alone.AsAlone():
            assert torch.equal(torch.ones(3, 4) @ torch.ones(4, 2), torch.full((3, 2), 4.0))
