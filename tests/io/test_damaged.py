"""Cut off, overwritten, misnamed: only errors of this library reach the caller.

Headers that announce more than a file can hold are refused before memory is asked for.
"""

import gzip
import subprocess
import sys
from contextlib import suppress

import av
import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings, strategies as st
from PIL import Image

from medsegany import MedSegAnyError, errors, io

VOLUMES = ["a.nii", "a.nii.gz", "a.nrrd", "raw.nrrd", "a.mha", "raw.mha", "a.npz", "a.dcm", "e.dcm"]
PICTURES = ["a.png", "p.png", "a.jpg", "a.tif", "a.bmp"]
VIDEOS = ["a.mp4", "a.avi"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, dicom):
    """Name -> content of a good file of every format."""
    folder = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(0)
    voxels = rng.integers(0, 900, (4, 12, 14)).astype(np.int16)
    nib.save(nib.Nifti1Image(voxels.T, np.diag([1.0, 2, 3, 1])), folder / "a.nii")
    nib.save(nib.Nifti1Image(voxels.T, np.diag([1.0, 2, 3, 1])), folder / "a.nii.gz")
    image = sitk.GetImageFromArray(voxels)
    for name in ("a.nrrd", "raw.nrrd", "a.mha", "raw.mha"):
        sitk.WriteImage(image, str(folder / name), useCompression=name.startswith("a"))
    np.savez_compressed(folder / "a.npz", imgs=voxels, gts=voxels > 300, spacing=(1.0, 2, 3))
    (one,) = dicom.series(folder / "d", voxels[:1].astype(np.uint16), dicom.places(1))
    one.rename(folder / "a.dcm")
    dicom.enhanced(folder / "e.dcm", voxels.astype(np.uint16), dicom.places(4))
    picture = rng.integers(0, 255, (20, 30, 3)).astype(np.uint8)
    for name in ("a.png", "a.jpg", "a.tif", "a.bmp"):
        Image.fromarray(picture).save(folder / name)
    Image.fromarray(picture).convert("P").save(folder / "p.png")
    for name, codec in {"a.mp4": "libx264", "a.avi": "mpeg4"}.items():
        with av.open(str(folder / name), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for _ in range(8):
                noise = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
            container.mux(stream.encode(None))
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def read(path):
    if path.name in VIDEOS:
        for _ in (frames := io.read_frames(path)):
            pass
        return frames[len(frames) - 1]
    if path.name in PICTURES:
        return io.read_image(path, window="percentile")
    return io.read_volume(path, window="raw")


@pytest.mark.parametrize("name", [*VOLUMES, *PICTURES, *VIDEOS])
class TestDamage:
    def test_whole_it_is_read(self, tmp_path, whole, name):
        (tmp_path / name).write_bytes(whole[name])
        read(tmp_path / name)

    def test_cut_off_at_every_fiftieth(self, tmp_path, whole, name):
        path, content = tmp_path / name, whole[name]
        refused = 0
        for n in range(50):
            path.write_bytes(content[: len(content) * n // 50])
            try:
                read(path)
            except MedSegAnyError as error:
                assert name in str(error) or "frame" in str(error)  # noqa: PT017
                refused += 1
        # A cut film is a shorter film; JPEG and TIFF may keep what matters in front.
        assert refused == 50 or name in {*VIDEOS, "a.jpg", "a.tif"}
        assert refused >= 2

    @settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_overwritten_here_and_there(self, tmp_path, whole, name, data):
        content = bytearray(whole[name])
        reach = min(len(content), 700) - 1
        for _ in range(data.draw(st.integers(1, 4))):
            content[data.draw(st.integers(0, reach))] = data.draw(st.integers(0, 255))
        (tmp_path / name).write_bytes(content)
        with suppress(MedSegAnyError):
            read(tmp_path / name)

    def test_under_a_wrong_name(self, tmp_path, whole, name):
        """Either it is read for what it is, or the error says so."""
        for other in ("x.nii.gz", "x.nii", "x.nrrd", "x.mha", "x.npz", "x.dcm", "x.txt", "x"):
            (tmp_path / other).write_bytes(whole[name])
            try:
                io.read_volume(tmp_path / other, window="raw")
            except MedSegAnyError as error:
                assert other in str(error)  # noqa: PT017
        for other in ("x.png", "x.tif", "x.mp4", "x.txt"):
            (tmp_path / other).write_bytes(whole[name])
            for reader in (io.read_image, io.read_frames):
                with suppress(MedSegAnyError):
                    reader(tmp_path / other)


@pytest.mark.parametrize(
    ("content", "name", "words"),
    [
        ("a.nii.gz", "x.nrrd", "By its content it is NIfTI"),
        ("a.nrrd", "x.nii", "By its content it is NRRD"),
        ("a.dcm", "x.mha", "DICOM"),
        ("a.png", "x.nii", "PNG"),
        ("a.npz", "x.nii.gz", "zip"),
    ],
)
def test_a_wrong_ending_is_found_out(tmp_path, whole, content, name, words):
    (tmp_path / name).write_bytes(whole[content])
    with pytest.raises(errors.FileError, match=words):
        io.read_volume(tmp_path / name)


def test_dicom_needs_no_ending(tmp_path, whole):
    (tmp_path / "IM00017").write_bytes(whole["a.dcm"])
    assert io.read_volume(tmp_path / "IM00017").shape == (1, 12, 14)


HUGE = {
    "a.nrrd": b"NRRD0004\ntype: short\nendian: little\ndimension: 3\nsizes: 40000 40000 40\n"
    b"encoding: gzip\n\n",
    "raw.nrrd": b"NRRD0004\ntype: short\nendian: little\ndimension: 3\nsizes: 40000 40000 40\n"
    b"encoding: raw\n\n",
    "a.mha": b"NDims = 3\nDimSize = 40000 40000 40\nElementType = MET_SHORT\n"
    b"CompressedData = True\nElementDataFile = LOCAL\n",
}


def huge_nifti():
    header = nib.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((30000, 30000, 60))
    header["vox_offset"], header["magic"] = 352, b"n+1"
    return header.binaryblock + b"\0" * 64


@pytest.mark.parametrize("name", [*HUGE, "a.nii", "a.nii.gz"])
def test_a_header_that_promises_too_much_takes_no_memory(tmp_path, name):
    """128 GB are announced; the process may have 4."""
    content = HUGE.get(name, huge_nifti())
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    code = (
        "import resource, sys\n"
        "from medsegany import io, errors\n"
        "import nibabel, nrrd\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "try:\n    io.read_volume(sys.argv[1])\n"
        "except errors.FileError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "announces" in done.stdout


class TestZero:
    @pytest.mark.parametrize("name", ["a.nii", "a.mha", "a.nrrd"])
    def test_a_spacing_of_zero_names_the_file(self, tmp_path, name):
        voxels = np.zeros((2, 3, 4), np.uint8)
        if name == "a.nii":
            nib.save(nib.Nifti1Image(voxels, np.eye(4)), tmp_path / name)
            with (tmp_path / name).open("r+b") as file:
                file.seek(296)  # the second row of the sform
                file.write(bytes(16))
        elif name == "a.mha":
            text = b"NDims = 3\nDimSize = 4 3 2\nElementSpacing = 1 0 1\nElementType = MET_UCHAR\n"
            (tmp_path / name).write_bytes(text + b"ElementDataFile = LOCAL\n" + bytes(24))
        else:
            text = b"NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n"
            (tmp_path / name).write_bytes(text + b"spacings: 1 0 1\n\n" + bytes(24))
        with pytest.raises(errors.InvalidGeometry, match=rf"{name}.*singular"):
            io.read_volume(tmp_path / name)


@pytest.mark.parametrize("name", ["x" * 300 + ".nii", "a\0b.nii", "x" * 300])
def test_a_name_that_cannot_be(tmp_path, name):
    for reader in (io.read_volume, io.read_image, io.read_frames, io.read_labels, io.read_npz):
        with pytest.raises(errors.FileError):
            reader(tmp_path / name)


def test_a_folder_where_a_file_was_meant(tmp_path):
    (tmp_path / "a.nii").mkdir()
    for reader in (io.read_volume, io.read_labels, io.read_image):
        with pytest.raises(errors.FileError, match="is a folder"):
            reader(tmp_path / "a.nii")


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha", ".npz"])
def test_any_path_is_a_path(tmp_path, whole, ending):
    folder = tmp_path / "a b" / ("длинный " * 12).strip() / "Ü🫁"
    folder.mkdir(parents=True)
    (folder / f"скан{ending}").write_bytes(whole[f"a{ending}"])
    assert io.read_volume(folder / f"скан{ending}").shape == (4, 12, 14)
