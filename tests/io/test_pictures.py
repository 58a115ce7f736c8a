import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

from medsegany import errors, io
from medsegany.io._images import read_pixels
from medsegany.preprocess import Window, to_display


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


class TestDeepPictures:
    def test_16_bits_of_grey_are_scaled_as_asked(self, tmp_path, rng):
        pixels = rng.integers(0, 60000, (9, 8)).astype(np.uint16)
        for name in ("a.png", "a.tif"):
            Image.fromarray(pixels).save(tmp_path / name)
            np.testing.assert_array_equal(
                io.read_image(tmp_path / name), to_display(pixels, "percentile")
            )
            window = Window(30000, 20000)
            np.testing.assert_array_equal(
                io.read_image(tmp_path / name, window=window), to_display(pixels, window)
            )

    def test_16_bits_of_colour_keep_their_highest_8(self, tmp_path, rng):
        """Pillow does not open such a file."""
        pixels = rng.integers(0, 65536, (9, 8, 3)).astype(np.uint16)
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb")
        np.testing.assert_array_equal(io.read_image(tmp_path / "a.tif"), pixels >> 8)
        tifffile.imwrite(tmp_path / "b.tif", np.moveaxis(pixels, -1, 0), photometric="rgb",
                         planarconfig="separate")  # fmt: skip
        np.testing.assert_array_equal(io.read_image(tmp_path / "b.tif"), pixels >> 8)

    @pytest.mark.parametrize("kind", [np.int8, np.int16, np.uint32, np.int32, np.float64])
    @pytest.mark.parametrize("order", ["<", ">"])
    def test_every_type_of_number(self, tmp_path, rng, kind, order):
        low = -100 if np.dtype(kind).kind != "u" else 0
        pixels = rng.integers(low, 100, (9, 8)).astype(kind) * (1 if kind == np.int8 else 300)
        pixels = pixels.astype(kind)
        tifffile.imwrite(tmp_path / "a.tif", pixels, byteorder=order)
        np.testing.assert_array_equal(
            io.read_image(tmp_path / "a.tif"), to_display(pixels, "percentile")
        )

    @pytest.mark.parametrize("kind", [np.uint8, np.uint16])
    def test_where_white_is_zero(self, tmp_path, rng, kind):
        pixels = rng.integers(0, np.iinfo(kind).max, (9, 8)).astype(kind)
        tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
        found = read_pixels(tmp_path / "a.tif")
        np.testing.assert_array_equal(found, np.iinfo(kind).max - pixels)

    def test_a_window_is_for_grey(self, tmp_path, noise):
        pixels = noise(5, 6, 3)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        found = io.read_image(tmp_path / "a.png", window="brain")
        np.testing.assert_array_equal(found, pixels)

    def test_fractions_of_grey(self, tmp_path, rng):
        pixels = rng.normal(5, 2, (9, 8)).astype(np.float32)
        tifffile.imwrite(tmp_path / "a.tif", pixels)
        np.testing.assert_array_equal(
            io.read_image(tmp_path / "a.tif"), to_display(pixels, "percentile")
        )

    @pytest.mark.parametrize("name", ["a.nii.gz", "a.png"])
    def test_a_volume_is_no_picture(self, tmp_path, name):
        nib.save(nib.Nifti1Image(np.zeros((2, 3, 4), np.uint8), np.eye(4)), tmp_path / "a.nii.gz")
        (tmp_path / "a.nii.gz").rename(tmp_path / name)
        with pytest.raises(errors.FileError, match=r"By its content it is NIfTI: read_volume"):
            io.read_image(tmp_path / name)

    def test_an_alpha_channel_is_dropped(self, tmp_path, noise):
        pixels = noise(5, 6, 4)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        np.testing.assert_array_equal(io.read_image(tmp_path / "a.png"), pixels[..., :3])


class TestFrames:
    def test_deep_pictures_of_a_folder_are_scaled_alike(self, tmp_path):
        for t in range(2):
            Image.fromarray(
                (np.arange(100, dtype=np.uint16).reshape(10, 10) + 1) * 100 * (t + 1)
            ).save(tmp_path / f"{t}.png")
        frames = io.read_frames(tmp_path)
        assert frames[1].mean() > 1.5 * frames[0].mean()
        np.testing.assert_array_equal(frames[1:][0], frames[1])

    @pytest.mark.parametrize("depth", [np.uint8, np.uint16])
    def test_what_does_not_change_stays_as_bright(self, tmp_path, depth):
        """Also where percentiles are asked for: of each frame's own a flash would darken it."""
        dim = np.arange(100, dtype=depth).reshape(10, 10)
        flash = dim.copy()
        flash[:3, :3] = 240
        for t, frame in enumerate((dim, flash, dim)):
            Image.fromarray(frame).save(tmp_path / f"{t}.png")
        frames = io.read_frames(tmp_path, window="percentile")
        assert frames[0][9, 9] == frames[1][9, 9] == frames[2][9, 9]

    def test_deep_arrays_become_display_values(self, tmp_path, rng):
        imgs = rng.integers(0, 4000, (4, 5, 6)).astype(np.uint16)
        np.savez(tmp_path / "a.npz", imgs=imgs)
        np.testing.assert_array_equal(
            io.read_frames(tmp_path / "a.npz"), to_display(imgs, "percentile")
        )

    def test_frame_10_comes_after_frame_9(self, tmp_path):
        for t in (9, 10, 1):
            Image.new("L", (4, 3), t).save(tmp_path / f"f{t}.png")
        frames = io.read_frames(tmp_path)
        assert [int(frame[0, 0]) for frame in frames] == [1, 9, 10]
        assert len(frames[1:]) == 2

    def test_an_npz_is_an_array_of_frames(self, tmp_path, noise):
        np.savez(tmp_path / "a.npz", imgs=noise(4, 5, 6, 3))
        assert io.read_frames(tmp_path / "a.npz").shape == (4, 5, 6, 3)

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
