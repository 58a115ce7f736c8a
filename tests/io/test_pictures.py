import numpy as np
import pytest
from PIL import Image

from medsegany import errors, io


@pytest.mark.parametrize(
    ("mode", "shape"),
    [
        ("L", (5, 7)),
        ("1", (5, 7)),
        ("LA", (5, 7)),
        ("RGB", (5, 7, 3)),
        ("RGBA", (5, 7, 3)),
        ("P", (5, 7, 3)),
        ("I;16", (5, 7)),
    ],
)
def test_every_kind_of_png_becomes_display_values(tmp_path, mode, shape):
    Image.new(mode, (7, 5)).save(tmp_path / "a.png")
    image = io.read_image(tmp_path / "a.png")
    assert image.dtype == np.uint8
    assert image.shape == shape


def test_pixels_come_back_as_they_were_written(tmp_path, noise):
    pixels = noise(5, 7, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(io.read_image(tmp_path / "a.png"), pixels)


def test_what_is_no_picture_is_refused(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(errors.FileError, match="no picture"):
        io.read_image(tmp_path / "a.png")
    with pytest.raises(errors.FileError, match="no file"):
        io.read_image(tmp_path / "b.png")


def test_a_truncated_picture_is_refused(tmp_path, noise):
    Image.fromarray(noise(50, 70, 3)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(content[: len(content) // 2])
    with pytest.raises(errors.FileError, match="cannot be read"):
        io.read_image(tmp_path / "a.png")


class TestFrames:
    def test_frame_10_comes_after_frame_9(self, tmp_path):
        for t in (9, 10, 1):
            Image.new("L", (4, 3), t).save(tmp_path / f"f{t}.png")
        frames = io.read_frames(tmp_path)
        assert [int(frame[0, 0]) for frame in frames] == [1, 9, 10]
        assert len(frames[1:]) == 2

    def test_an_npz_is_an_array_of_frames(self, tmp_path, noise):
        np.savez(tmp_path / "a.npz", imgs=noise(4, 5, 6, 3))
        assert io.read_frames(tmp_path / "a.npz").shape == (4, 5, 6, 3)

    def test_a_video_file_is_decoded_lazily(self, tmp_path):
        import av

        with av.open(str(tmp_path / "a.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for t in range(5):
                grey = np.full((48, 64, 3), 40 * t, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
            container.mux(stream.encode(None))
        frames = list(io.read_frames(tmp_path / "a.mp4"))
        assert [frame.shape for frame in frames] == [(48, 64, 3)] * 5
        assert [int(frame.mean()) for frame in frames] == pytest.approx(
            [0, 40, 80, 120, 160], abs=4
        )

    @pytest.mark.parametrize("name", ["a.mp4", "a.txt"])
    def test_a_foreign_file_names_itself(self, tmp_path, name):
        (tmp_path / name).write_text("no video")
        with pytest.raises(errors.FileError, match=name):
            list(io.read_frames(tmp_path / name))

    def test_nothing_there_is_said(self, tmp_path):
        with pytest.raises(errors.FileError, match="no file"):
            io.read_frames(tmp_path / "a.mp4")
        with pytest.raises(errors.FileError, match="no pictures"):
            io.read_frames(tmp_path)
