"""Following objects through a video, with a model whose answers can be predicted by hand."""

import numpy as np
import pytest

from medsegany import Box, ByMemory, MaskPrompt, Point, Progress, errors
from medsegany.testing import FakeSegmenter
from medsegany.testing.phantoms import squares


def areas(tracking, name=1):
    return [int(f.masks[name].sum()) if name in f.masks else None for f in tracking]


@pytest.fixture
def fake():
    return FakeSegmenter()


BOX = Box(3, 3, 10, 10)


def test_frames_come_in_order_from_zero(fake):
    found = list(fake.track_video(squares([5, 4, 3]), BOX))
    assert [f.index for f in found] == [0, 1, 2]
    assert areas(found) == [25, 16, 9]


def test_nothing_is_computed_before_it_is_asked_for(fake):
    tracking = fake.track_video(squares([5] * 9), BOX)
    assert not fake.seen
    next(tracking)
    assert len(fake.seen) == 1


@pytest.mark.parametrize("kind", [np.asarray, list, iter], ids=["array", "list", "iterator"])
def test_arrays_lists_and_iterators_are_videos(fake, kind):
    assert areas(fake.track_video(kind(squares([5, 4, 3])), BOX)) == [25, 16, 9]


def test_an_iterator_is_read_one_frame_at_a_time(fake):
    taken = []

    def camera():
        for t, frame in enumerate(squares([5] * 9)):
            taken.append(t)
            yield frame

    tracking = fake.track_video(camera(), BOX)
    next(tracking)
    next(tracking)
    assert taken == [0, 1]


def test_an_object_is_absent_before_its_prompt(fake):
    found = fake.track_video(squares([5] * 4), {1: BOX, 2: Box(4, 4, 5, 5).at(2)})
    assert areas(found, 2) == [None, None, 4, 4]


def test_an_object_is_never_stopped(fake):
    assert areas(fake.track_video(squares([5] + [0] * 8 + [5]), BOX))[-1] == 25


@pytest.mark.parametrize(
    ("direction", "expected"),
    [
        ("forward", [None, None, 25, 25]),
        ("backward", [25, 25, 25, None]),
        ("both", [25, 25, 25, 25]),
    ],
)
def test_a_direction_is_kept_to(fake, direction, expected):
    tracking = fake.track_video(squares([5] * 4), BOX.at(2), direction=direction)
    assert areas(tracking) == expected


@pytest.mark.parametrize("direction", ["backward", "both"])
def test_back_in_time_needs_a_sequence(fake, direction):
    with pytest.raises(errors.InvalidInput, match="sequence"):
        fake.track_video(iter(squares([5] * 4)), BOX.at(2), direction=direction)


@pytest.mark.parametrize("kind", [list, iter])
def test_a_later_prompt_takes_over_from_its_frame_on(fake, kind):
    tracking = fake.track_video(kind(squares([6] * 4)), [BOX, Box(4, 4, 5, 5).at(2)])
    assert areas(tracking) == [36, 36, 4, 4]


class TestCorrections:
    def test_the_frame_last_yielded_is_segmented_anew_and_carried_on(self, fake):
        seen = []
        tracking = fake.track_video(iter(squares([6] * 4)), BOX)
        for frame in tracking:
            seen.append(int(frame.mask.sum()))
            if frame.index == 1:
                again = tracking.prompt(Box(4, 4, 5, 5))
                assert again.index == 1
                assert again.mask.sum() == 4
        assert seen == [36, 36, 4, 4]

    def test_a_later_frame_waits(self, fake):
        tracking = fake.track_video(iter(squares([6] * 4)), BOX)
        next(tracking)
        assert tracking.prompt({2: Box(4, 4, 5, 5).at(2)}) is None
        assert areas(tracking, 2) == [None, 4, 4]

    def test_an_object_can_be_added_where_one_is(self, fake):
        tracking = fake.track_video(iter(squares([6] * 4)), BOX)
        next(tracking)
        added = tracking.prompt({2: Box(4, 4, 5, 5)})
        assert list(added.masks) == [2]
        assert areas(tracking, 2) == [4, 4, 4]

    def test_before_the_first_prompt_it_counts_up_to_that_prompt(self, fake):
        """What the backward way had said of the frames between is dropped."""
        tracking = fake.track_video(squares([6] * 6), Box(4, 4, 8, 8).at(4), direction="both")
        seen = []
        for frame in tracking:
            seen.append(int(frame.mask.sum()))
            if frame.index == 1:
                tracking.prompt(Box(4, 4, 5, 5))
        assert seen == [25, 25, 4, 4, 25, 25]

    def test_one_on_a_frame_to_come_counts_up_to_that_prompt_too(self, fake):
        tracking = fake.track_video(squares([6] * 7), Box(4, 4, 8, 8).at(5), direction="both")
        seen = []
        for frame in tracking:
            seen.append(int(frame.mask.sum()))
            if frame.index == 0:
                assert tracking.prompt(Box(4, 4, 5, 5).at(2)) is None
        assert seen == [25, 25, 4, 4, 4, 25, 25]

    def test_two_prompts_on_a_frame_to_come_belong_together(self, fake):
        tracking = fake.track_video(iter(squares([6] * 4)), BOX)
        next(tracking)
        tracking.prompt({2: Box(4, 4, 5, 5).at(2)})
        with pytest.raises(errors.InvalidPrompt, match="2 boxes"):
            tracking.prompt({2: Box(4, 4, 6, 6).at(2)})
        tracking.prompt({2: Point(4, 4).at(2)})
        assert areas(tracking, 2) == [None, 4, 4]

    def test_prompts_before_the_first_frame_of_a_stream_wait_for_it(self, fake):
        tracking = fake.track_video(iter(squares([6] * 2)), BOX)
        assert tracking.prompt({2: Box(4, 4, 5, 5)}) is None
        assert areas(tracking, 2) == [4, 4]

    def test_backward_has_no_corrections(self, fake):
        tracking = fake.track_video(squares([6] * 4), BOX.at(3), direction="backward")
        next(tracking)
        with pytest.raises(errors.InvalidPrompt, match="backward"):
            tracking.prompt(BOX)

    def test_after_the_end_nothing_can_be_prompted(self, fake):
        tracking = fake.track_video(iter(squares([6] * 2)), BOX)
        list(tracking)
        with pytest.raises(errors.InvalidPrompt, match="ended"):
            tracking.prompt(BOX.at(9))

    def test_the_past_cannot_be_prompted(self, fake):
        tracking = fake.track_video(iter(squares([6] * 4)), BOX)
        next(tracking), next(tracking)
        with pytest.raises(errors.InvalidPrompt, match="frame 1 has been yielded"):
            tracking.prompt(BOX.at(0))


def test_a_prompt_beyond_a_stream_s_end_is_not_lost_in_silence(fake):
    tracking = fake.track_video(iter(squares([5] * 3)), [BOX, BOX.at(7)])
    found = []
    with pytest.raises(errors.InvalidPrompt, match="frame 7, but the video ended after 3"):
        found.extend(tracking)
    assert len(found) == 3


@pytest.mark.parametrize(
    ("frames", "prompts", "options", "words"),
    [
        (squares([5] * 3), BOX.at(3), {}, "there are 3"),
        (squares([5] * 3), Box(30, 3, 40, 10), {}, "outside"),
        (squares([5] * 3), BOX, {"length": 4}, "there are 3 frames"),
        (squares([5] * 3), BOX, {"direction": "up"}, "direction"),
        (squares([5] * 3), BOX, {"length": 2.5}, "length"),
        (iter(squares([5] * 3)), BOX, {"length": 0}, "length"),
        (squares([5] * 3)[0], BOX, {}, r"frames\[None\]"),
        (squares([5] * 3).astype(float), BOX, {}, "to_display"),
        ([], BOX, {}, "no frames"),
        (3, BOX, {}, "int"),
        (squares([5] * 3), [BOX, BOX], {}, "Two objects"),
        (squares([5] * 3), BOX, {"propagation": ByMemory()}, "no memory"),
    ],
)
def test_what_is_wrong_is_said_before_the_first_frame(fake, frames, prompts, options, words):
    with pytest.raises(errors.MedSegAnyError, match=words):
        fake.track_video(frames, prompts, **options)


def test_a_kind_of_prompt_that_the_model_does_not_take_is_refused():
    fake = FakeSegmenter(accepts=frozenset({Box}))
    with pytest.raises(errors.PromptNotSupported):
        fake.track_video(squares([5] * 3), Point(5, 5))
    assert areas(fake.track_video(squares([5] * 2), MaskPrompt(squares([4])[0] > 0))) == [16, 16]


def test_a_frame_of_another_size_is_refused(fake):
    frames = [np.zeros((20, 20), np.uint8), np.zeros((20, 21), np.uint8)]
    tracking = fake.track_video(iter(frames), BOX)
    next(tracking)
    with pytest.raises(errors.InvalidImage, match=r"Frame 1 is \(20, 21\)"):
        next(tracking)


def test_a_stream_longer_than_its_length_is_refused(fake):
    tracking = fake.track_video(iter(squares([5] * 3)), BOX, length=2)
    with pytest.raises(errors.InvalidInput, match="length=2"):
        list(tracking)


def test_a_stream_shorter_than_its_length_is_told(fake):
    tracking = fake.track_video(iter(squares([5] * 3)), BOX, length=5)
    with pytest.raises(errors.InvalidInput, match="length=5, but the video ended after 3"):
        list(tracking)


def test_anything_with_a_length_and_an_index_is_a_sequence(fake):
    class Slides:
        def __len__(self):
            return 3

        def __getitem__(self, t):
            return squares([5, 4, 3])[t]  # raises no IndexError of its own kind at the end

    assert areas(fake.track_video(Slides(), BOX.at(0), direction="both")) == [25, 16, 9]
    with pytest.raises(errors.InvalidPrompt, match="there are 3"):
        fake.track_video(Slides(), BOX.at(3))


def test_progress_may_close_the_tracking(fake):
    """A cancel button."""

    def cancel(progress):
        if progress.done == 2:
            tracking.close()

    tracking = fake.track_video(squares([5] * 9), BOX, on_progress=cancel)
    assert [f.index for f in tracking] == [0]
    assert len(fake.seen) == 2


def test_closing_stops_the_work_and_closes_the_source(fake):
    closed = []

    def camera():
        try:
            yield from squares([5] * 9)
        finally:
            closed.append(True)

    with fake.track_video(camera(), BOX) as tracking:
        next(tracking)
    assert closed == [True]
    assert list(tracking) == []
    with pytest.raises(errors.MedSegAnyError, match="closed"):
        tracking.prompt(BOX)


def test_progress_is_told_frame_by_frame(fake):
    told = []
    list(fake.track_video(iter(squares([5] * 2)), BOX, on_progress=told.append))
    assert told == [Progress("frames", 1, None), Progress("frames", 2, None)]
    told.clear()
    list(fake.track_video(squares([5] * 2), BOX, on_progress=told.append))
    assert told[-1] == Progress("frames", 2, 2)


def test_a_folder_of_pictures_is_a_video(fake, tmp_path):
    from PIL import Image

    for t, frame in enumerate(squares([6] * 9 + [5, 4])):
        Image.fromarray(frame).save(tmp_path / f"frame-{t}.png")
    assert areas(fake.track_video(tmp_path, BOX))[-2:] == [25, 16]
