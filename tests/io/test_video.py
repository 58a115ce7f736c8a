"""Videos as sequences, and results as videos."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from medsegany import Box, errors, io
from medsegany.testing import FakeSegmenter, phantoms

COUNT = 60


def encode(path, codec="libx264", *, count=COUNT, size=(64, 48), options=None, times=None):
    """Frame t is grey of value 4 t; times are those of the frames, in 1/25 s."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = size
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = options or {}
        for t in range(count):
            grey = np.full((size[1], size[0], 3), 4 * t, np.uint8)
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24")
            frame.pts, frame.time_base = (times or range(count))[t], Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


KINDS = {
    "b-frames.mp4": {"options": {"g": "12", "bf": "3"}},
    "long-gop.mp4": {"options": {"g": "250", "bf": "0"}},
    "open-gop.mkv": {"options": {"g": "10", "bf": "2", "x264-params": "open-gop=1"}},
    "uneven.mp4": {"times": [t + (t // 7) * 3 for t in range(COUNT)]},
    "old.avi": {"codec": "mpeg4", "options": {"g": "12"}},
    "old-b-frames.avi": {"codec": "mpeg4", "options": {"g": "12", "bf": "2"}},
    "phone.mov": {"options": {"g": "30"}},
    "web.webm": {"codec": "libvpx", "options": {"g": "15"}},
    "stills.avi": {"codec": "mjpeg"},
    "tape.mpg": {"codec": "mpeg2video", "options": {"g": "12", "bf": "2"}},
}


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    return {name: encode(folder / name, **how) for name, how in KINDS.items()}


@pytest.mark.parametrize("name", KINDS)
class TestASequence:
    def test_frames_are_those_that_pyav_decodes(self, videos, name):
        with av.open(str(videos[name])) as container:
            expected = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        video = io.read_frames(videos[name])
        assert len(video) == len(expected) == COUNT
        for ours, theirs in zip(video, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)

    def test_any_frame_can_be_had_in_any_order(self, videos, name, rng):
        expected = list(io.read_frames(videos[name]))
        video = io.read_frames(videos[name])
        for index in [*rng.permutation(COUNT).tolist(), *range(COUNT - 1, -1, -1), -1]:
            np.testing.assert_array_equal(video[index], expected[index])

    def test_a_part_is_a_sequence_too(self, videos, name):
        video = io.read_frames(videos[name])
        part = video[50:10:-4]
        assert len(part) == 10
        np.testing.assert_array_equal(part[1:][2], video[38])
        assert part.fps == pytest.approx(video.fps / 4)


def test_an_index_beyond_the_end(videos):
    video = io.read_frames(videos["old.avi"])
    with pytest.raises(IndexError):
        video[COUNT]


def test_a_video_can_be_tracked_backward(tmp_path):
    """Only a sequence can: the object is prompted on the last frame."""
    video = io.read_frames(encode(tmp_path / "a.mp4", count=40))
    found = list(FakeSegmenter().track_video(video, Box(4, 4, 20, 20).at(39), direction="backward"))
    assert [f.index for f in found] == list(range(40))
    assert [f.mask.any() for f in found] == [4 * t > 127 for t in range(40)]


def test_a_damaged_film_does_not_end_quietly(tmp_path, videos, rng):
    content = bytearray(videos["old.avi"].read_bytes())
    for at in rng.integers(len(content) // 3, len(content) * 2 // 3, 300):
        content[at] = 255
    (tmp_path / "a.avi").write_bytes(content)
    try:
        video = io.read_frames(tmp_path / "a.avi")
        count = sum(1 for _ in video)
    except errors.FileError as error:
        assert "a.avi" in str(error)  # noqa: PT017
    else:
        assert count == len(video)


def test_a_frame_that_is_handed_out_again_cannot_be_changed(videos):
    with pytest.raises(ValueError, match="read-only"):
        io.read_frames(videos["old.avi"])[3][:] = 0


def test_few_frames_are_kept(videos, monkeypatch):
    from medsegany.io import _video

    monkeypatch.setattr(_video, "_KEPT_BYTES", 5 * 64 * 48 * 3)
    video = io.read_frames(videos["b-frames.mp4"])
    for index in range(COUNT):
        video[index]
    assert len(video._kept) == 5


@pytest.mark.parametrize("name", ["a.mp4", "a.avi"])
def test_a_file_without_video_says_so(tmp_path, name):
    (tmp_path / name).write_text("no video")
    with pytest.raises(errors.FileError, match=name):
        io.read_frames(tmp_path / name)


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(errors.FileError, match="holds no video"):
        io.read_frames(tmp_path / "a.mp4")


class TestPages:
    def test_the_pages_of_a_tiff_are_frames(self, tmp_path, noise):
        pages = noise(4, 5, 6)
        first, *others = [Image.fromarray(page) for page in pages]
        first.save(tmp_path / "a.tif", save_all=True, append_images=others)
        frames = io.read_frames(tmp_path / "a.tif")
        np.testing.assert_array_equal(np.stack(list(frames)), pages)
        np.testing.assert_array_equal(frames[1:][1], pages[2])
        with pytest.raises(errors.InvalidInput, match=r"4 pictures.*read_frames"):
            io.read_image(tmp_path / "a.tif")
        np.testing.assert_array_equal(io.read_image(tmp_path / "a.tif", frame=3), pages[3])


class TestWriteVideo:
    @pytest.fixture
    def film(self):
        """A bright disc that moves, on an odd number of rows."""
        return list(phantoms.moving_disc(6, (61, 80))[0])

    def test_masks_and_a_film(self, tmp_path, film):
        prompt = Box(0, 0, 79, 60)
        tracking = FakeSegmenter().track_video(film, prompt)
        written = io.write_video(tmp_path / "out", tracking, like=film, fps=5)
        assert written == io.WrittenVideo(
            tmp_path / "out" / "masks", tmp_path / "out" / "overlay.mp4", 6
        )
        assert sorted(p.name for p in written.masks.iterdir()) == [f"{t:06d}.png" for t in range(6)]
        expected = list(FakeSegmenter().track_video(film, prompt))
        for t in range(6):
            found = io.read_labels(written.masks / f"{t:06d}.png", like=film[t]).labels
            np.testing.assert_array_equal(found, expected[t].labels())
        shown = io.read_frames(written.overlay)
        assert len(shown) == 6
        assert shown[0].shape == (62, 80, 3)  # an even number of rows
        assert shown.fps == 5
        assert np.abs(shown[3][0, 0].astype(int) - film[3][0, 0]).max() < 20

    def test_frames_before_the_first_prompt_have_no_label(self, tmp_path, film):
        tracking = FakeSegmenter().track_video(film, {300: Box(0, 0, 79, 60).at(4)})
        written = io.write_video(tmp_path / "out", tracking, like=film, overlay=False)
        assert written.overlay is None
        assert not io.read_labels(written.masks / "000003.png").labels.any()
        assert io.read_labels(written.masks / "000004.png").labels.max() == 300

    def test_a_file_of_frames_brings_its_speed(self, tmp_path):
        path = encode(tmp_path / "a.mp4", count=12)
        tracking = FakeSegmenter().track_video(path, Box(1, 1, 9, 9))
        written = io.write_video(tmp_path / "out", tracking, like=path)
        assert io.read_frames(written.overlay).fps == 25

    def test_masks_of_two_videos_do_not_mix(self, tmp_path, film):
        (tmp_path / "notes.txt").write_text("mine")
        with pytest.raises(errors.FileError, match="not empty"):
            io.write_video(tmp_path, [], like=film)
        assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]

    def test_a_stream_cannot_be_gone_through_twice(self, tmp_path, film):
        with pytest.raises(errors.InvalidInput, match="second time"):
            io.write_video(tmp_path / "out", [], like=iter(film))
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize("cut", [4, 8])
    def test_frames_and_results_go_together(self, tmp_path, film, cut):
        tracking = FakeSegmenter().track_video(film, Box(0, 0, 79, 60))
        with pytest.raises(errors.InvalidInput, match="frame"):
            io.write_video(tmp_path / "out", tracking, like=(film * 2)[:cut])

    @pytest.mark.parametrize("fps", [0, -5, np.nan, np.inf, "25", True])
    def test_a_rate_that_is_none(self, tmp_path, film, fps):
        with pytest.raises(errors.InvalidInput, match="fps"):
            io.write_video(tmp_path / "out", [], like=film, fps=fps)

    def test_nothing_tracked_is_said(self, tmp_path, film):
        with pytest.raises(errors.InvalidInput, match="no results"):
            io.write_video(tmp_path / "out", [], like=film)
        results = list(FakeSegmenter().track_video(film, Box(0, 0, 79, 60)))
        with pytest.raises(errors.InvalidInput, match="start from frame 0"):
            io.write_video(tmp_path / "out2", results[2:], like=film)

    @pytest.mark.parametrize(
        "error", [errors.PropagationNotSupported("so"), RuntimeError("out of memory"), OSError("x")]
    )
    @pytest.mark.parametrize("overlay", [True, False])
    def test_the_model_s_errors_are_its_own(self, tmp_path, film, error, overlay):
        def failing():
            raise error
            yield

        with pytest.raises(type(error)) as caught:
            io.write_video(tmp_path / "out", failing(), like=film, overlay=overlay)
        assert caught.value is error

    def test_a_tracking_that_fails_leaves_whole_masks_and_no_film(self, tmp_path, film):
        def failing():
            for found in FakeSegmenter().track_video(film, Box(0, 0, 79, 60)):
                if found.index == 3:
                    raise KeyboardInterrupt
                yield found

        with pytest.raises(KeyboardInterrupt):
            io.write_video(tmp_path / "out", failing(), like=film)
        left = sorted(p.relative_to(tmp_path / "out").as_posix() for p in tmp_path.rglob("*.*"))
        assert left == ["masks/000000.png", "masks/000001.png", "masks/000002.png"]
