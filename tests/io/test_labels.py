"""Label maps, written and read by this library and by others."""

import os
import subprocess
from xml.etree import ElementTree as ET

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from medsegany import Volume, errors, io

AFFINE = np.array([[-0.8, 0.1, 0.3, 90], [0.2, -1.1, 0.4, -30], [0.1, 0.5, 4.8, 12], [0, 0, 0, 1]])
ALL = [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".npz"]
NAMES = {1: "liver (肝臓)", 3: "<left> kidney \\n & co"}
COLOURS = {1: (200, 30, 5), 3: (0, 255, 17)}


@pytest.fixture
def volume():
    return Volume(np.zeros((3, 4, 5), np.uint8), AFFINE)


@pytest.fixture
def labels(rng):
    return rng.integers(0, 4, (3, 4, 5))


@pytest.mark.parametrize("ending", ALL)
def test_labels_come_back_on_their_grid(tmp_path, volume, labels, ending):
    io.write_labels(tmp_path / f"seg{ending}", labels, like=volume)
    found = io.read_labels(tmp_path / f"seg{ending}", like=volume)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.labels.dtype == np.uint8
    np.testing.assert_allclose(found.affine, AFFINE, atol=1e-5)


@pytest.mark.parametrize("ending", ALL)
def test_more_than_255_labels_are_16_bits(tmp_path, volume, ending):
    labels = np.full(volume.shape, 300)
    io.write_labels(tmp_path / f"seg{ending}", labels, like=volume)
    found = io.read_labels(tmp_path / f"seg{ending}")
    assert found.labels.dtype == np.uint16
    assert (found.labels == 300).all()


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".seg.nrrd"])
def test_names_and_colours_come_back(tmp_path, volume, labels, ending):
    path = tmp_path / f"seg{ending}"
    io.write_labels(path, labels, like=volume, names=NAMES, colours=COLOURS)
    found = io.read_labels(path)
    assert {n: found.names[n] for n in NAMES} == NAMES
    assert {n: found.colours[n] for n in COLOURS} == COLOURS


def test_an_npz_has_names_by_label_and_the_challenges_spacing(tmp_path, volume, labels):
    io.write_labels(tmp_path / "seg.npz", labels, like=volume, names=NAMES)
    content = np.load(tmp_path / "seg.npz")
    np.testing.assert_array_equal(content["segs"], labels)
    np.testing.assert_allclose(content["spacing"], volume.spacing_mm[::-1])  # x, y, z
    assert content["names"].tolist() == ["", NAMES[1], "", NAMES[3]]
    assert io.read_labels(tmp_path / "seg.npz").names == NAMES


def test_3d_slicer_finds_its_words(tmp_path, volume, labels):
    path = tmp_path / "a.seg.nrrd"
    io.write_labels(path, labels, like=volume, names={2: "spleen"}, colours={2: (255, 0, 51)})
    image = sitk.ReadImage(str(path))
    words = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys()}
    assert words["Segment1_Name"] == "spleen"
    assert words["Segment1_LabelValue"] == "2"
    assert words["Segment1_Color"] == "1.000000 0.000000 0.200000"
    assert [words[f"Segment{n}_LabelValue"] for n in range(3)] == ["1", "2", "3"]


def test_workbench_and_totalsegmentator_find_their_table(tmp_path, volume, labels):
    io.write_labels(tmp_path / "a.nii.gz", labels, like=volume, names={1: "liver"})
    first, second = nib.load(tmp_path / "a.nii.gz").header.extensions
    assert (first.get_code(), second.get_code()) == (0, 30)
    # as TotalSegmentator reads it
    labels = ET.fromstring(first.get_content().rstrip(b"\0")).iter("Label")
    assert {e.attrib["Key"]: e.text for e in labels} == {"0": "???", "1": "liver"}


def test_overlapping_layers_of_3d_slicer_are_refused(tmp_path, volume, labels):
    image = sitk.GetImageFromArray(labels.astype(np.uint8))
    for key, value in {"Segment0_LabelValue": "1", "Segment0_Layer": "1"}.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(tmp_path / "a.seg.nrrd"))
    with pytest.raises(errors.FileError, match="overlapping segments in layers"):
        io.read_labels(tmp_path / "a.seg.nrrd")


class TestPng:
    def test_the_grey_value_is_the_label(self, tmp_path, noise):
        labels = noise(6, 7) % 5
        io.write_labels(tmp_path / "a.png", labels, like=noise(6, 7, 3))
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "a.png")), labels)
        io.write_labels(tmp_path / "a.png", labels.astype(int) * 100, like=noise(6, 7))
        np.testing.assert_array_equal(io.read_labels(tmp_path / "a.png").labels, labels * 100.0)

    def test_with_colours_it_is_a_palette(self, tmp_path, noise):
        labels = noise(6, 7) % 4
        path = tmp_path / "a.png"
        io.write_labels(path, labels, like=noise(6, 7), names=NAMES, colours=COLOURS)
        found = io.read_labels(path, like=noise(6, 7, 3))
        np.testing.assert_array_equal(found.labels, labels)
        assert found.names == NAMES
        assert {n: found.colours[n] for n in COLOURS} == COLOURS
        assert (np.asarray(Image.open(path).convert("RGB"))[labels == 3] == COLOURS[3]).all()

    def test_a_slice_of_a_volume_and_no_more(self, tmp_path, volume, labels):
        with pytest.raises(errors.InvalidInput, match=r"one slice, the volume has 3"):
            io.write_labels(tmp_path / "a.png", labels, like=volume)
        one = Volume(np.zeros((1, 4, 5), np.uint8), AFFINE)
        io.write_labels(tmp_path / "a.png", labels[:1], like=one)
        found = io.read_labels(tmp_path / "a.png", like=one).labels
        np.testing.assert_array_equal(found, labels[:1])  # as deep as the volume
        assert io.read_labels(tmp_path / "a.png").labels.shape == (4, 5)

    def test_grey_that_is_stored_as_colours_is_grey(self, tmp_path, noise):
        labels = noise(5, 6) % 3
        Image.fromarray(np.stack([labels] * 3, axis=-1)).save(tmp_path / "a.png")
        np.testing.assert_array_equal(io.read_labels(tmp_path / "a.png").labels, labels)

    def test_a_photograph_is_no_label_map(self, tmp_path, noise):
        Image.fromarray(noise(5, 6, 3)).save(tmp_path / "a.png")
        with pytest.raises(errors.FileError, match="picture in RGB"):
            io.read_labels(tmp_path / "a.png")


class TestAnotherGrid:
    def test_shapes_that_agree_are_not_enough(self, tmp_path, volume, labels):
        path = tmp_path / "seg.nii.gz"
        flipped = AFFINE @ np.diag([-1, 1, 1, 1])
        io.write_labels(path, labels, like=Volume(np.zeros((3, 4, 5)), flipped))
        with pytest.raises(errors.InvalidGeometry, match=r"up to 6.645 mm away"):
            io.read_labels(path, like=volume)  # twice 4 steps of 0.831 mm

    def test_another_shape_is_said(self, tmp_path, volume, labels):
        io.write_labels(tmp_path / "seg.nii", labels.T, like=Volume(np.zeros((5, 4, 3)), AFFINE))
        with pytest.raises(errors.InvalidGeometry, match="axes in another order"):
            io.read_labels(tmp_path / "seg.nii", like=volume)

    @pytest.mark.parametrize(
        ("values", "words"), [(0.5, "fractions"), (-1, "from -1"), (70000, "65535")]
    )
    def test_what_is_no_label_map(self, tmp_path, values, words):
        kind = np.float32 if values == 0.5 else np.int32
        nib.save(nib.Nifti1Image(np.full((4, 3, 2), values, kind), np.eye(4)), tmp_path / "a.nii")
        with pytest.raises(errors.FileError, match=words):
            io.read_labels(tmp_path / "a.nii")


class TestRefusals:
    @pytest.mark.parametrize(
        ("ending", "words", "more"),
        [
            (".mha", "no place for names", {"names": {1: "a"}}),
            (".npz", "no place for colours", {"colours": {1: (1, 2, 3)}}),
            (".nrrd", "one line", {"names": {1: "a\nspace: RAS"}}),
            (".nrrd", "one line", {"names": {1: ""}}),
            (".nii", "each 0 to 255", {"colours": {1: (1, 2, 256)}}),
            (".nii", "each 0 to 255", {"colours": {1: (0.5, 1, 1)}}),
            (".nii", "whole numbers", {"names": {"liver": 1}}),
        ],
    )
    def test_nothing_is_dropped_silently(self, tmp_path, volume, labels, ending, words, more):
        with pytest.raises(errors.InvalidInput, match=words):
            io.write_labels(tmp_path / f"a{ending}", labels, like=volume, **more)
        assert not list(tmp_path.iterdir())

    def test_an_array_has_no_place_in_space(self, tmp_path, labels):
        with pytest.raises(errors.InvalidInput, match="from_spacing"):
            io.write_labels(tmp_path / "a.nii", labels, like=labels)

    @pytest.mark.parametrize("link", [None, os.symlink, os.link])
    @pytest.mark.parametrize("ending", [".nii", ".mha", ".nrrd"])
    def test_the_scan_itself_is_never_replaced(self, tmp_path, volume, labels, ending, link):
        scan, name = tmp_path / f"scan{ending}", tmp_path / f"other{ending}"
        io.write_labels(scan, labels, like=volume)
        source = io.read_volume(scan)
        if link is None:
            name = scan
        else:
            link(scan, name)
        with pytest.raises(errors.FileError, match="the image itself"):
            io.write_labels(name, labels * 0, like=source)
        np.testing.assert_array_equal(io.read_labels(scan).labels, labels)

    def test_nor_is_a_picture(self, tmp_path, noise):
        """An array does not know its file, but the file holds the same."""
        pixels = noise(6, 7, 3)
        Image.fromarray(pixels).save(tmp_path / "a.png")
        image = io.read_image(tmp_path / "a.png")
        with pytest.raises(errors.FileError, match="the image itself"):
            io.write_labels(tmp_path / "a.png", noise(6, 7) % 2, like=image)
        np.testing.assert_array_equal(io.read_image(tmp_path / "a.png"), pixels)

    @pytest.mark.parametrize(
        ("labels", "more", "words"),
        [
            ([[1, 2], [3]], {}, "an array"),
            (None, {"names": ["a", "b"]}, "names is a mapping"),
            (None, {"colours": {1: 5}}, "each 0 to 255"),
            (None, {"names": {0: "background"}}, "from 1"),
        ],
    )
    def test_arguments_of_another_kind(self, tmp_path, volume, labels, more, words):
        labels = volume.voxels if labels is None else labels
        with pytest.raises(errors.InvalidInput, match=words):
            io.write_labels(tmp_path / "a.nii", labels, like=volume, **more)

    def test_like_is_a_volume_or_a_picture(self, tmp_path, volume, labels):
        io.write_labels(tmp_path / "a.nii", labels, like=volume)
        with pytest.raises(errors.InvalidInput, match="like="):
            io.read_labels(tmp_path / "a.nii", like="scan.nii")

    def test_an_existing_file_is_kept_when_asked(self, tmp_path, volume, labels):
        io.write_labels(tmp_path / "a.nii", labels, like=volume)
        io.write_labels(tmp_path / "a.nii", labels * 0, like=volume)
        with pytest.raises(errors.FileError, match="exists already"):
            io.write_labels(tmp_path / "a.nii", labels, like=volume, overwrite=False)
        assert not io.read_labels(tmp_path / "a.nii").labels.any()

    @pytest.mark.parametrize("name", ["a" * 300 + ".nii", "a\0b.nii"])
    def test_a_name_that_cannot_be(self, tmp_path, volume, labels, name):
        with pytest.raises(errors.FileError, match="cannot be written"):
            io.write_labels(tmp_path / name, labels, like=volume)

    @pytest.mark.parametrize("ending", ALL)
    def test_names_in_any_script(self, tmp_path, volume, labels, ending):
        folder = tmp_path / "Ärzte 医療 🫀"
        folder.mkdir()
        io.write_labels(folder / f"лёгкое{ending}", labels, like=volume)
        assert io.read_labels(folder / f"лёгкое{ending}").labels.max() == 3


@pytest.fixture
def mounted(tmp_path):
    """A small disk, mounted as asked."""
    points = []

    def mount(options):
        point = tmp_path / "disk"
        point.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(point)]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except FileNotFoundError:
            pytest.skip("there is no mount on this machine")
        if done.returncode:
            pytest.skip("mounting a small disk needs the rights of root")
        points.append(point)
        return point

    yield mount
    for point in points:
        subprocess.run(["umount", str(point)], check=True)


class TestTheDisk:
    @pytest.mark.parametrize("ending", [*ALL, ".png"])
    def test_a_full_one_keeps_what_was_there(self, mounted, noise, ending):
        disk = mounted("size=96k")
        shape = (1, 400, 400) if ending == ".png" else (40, 60, 70)
        small, large = np.zeros(shape, np.uint8), noise(*shape)
        volume = Volume(small, AFFINE)
        path = disk / f"seg{ending}"
        path.write_bytes(b"what was there")
        with pytest.raises(errors.FileError, match=r"cannot be written.*bytes left"):
            io.write_labels(path, large, like=volume)
        assert [p.name for p in disk.iterdir()] == [path.name]
        assert path.read_bytes() == b"what was there"

    @pytest.mark.parametrize("ending", [*ALL, ".png"])
    def test_one_that_is_read_only(self, mounted, ending):
        disk = mounted("size=96k,ro")
        volume = Volume(np.zeros((1, 4, 5), np.uint8), AFFINE)
        with pytest.raises(errors.FileError, match="cannot be written"):
            io.write_labels(disk / f"seg{ending}", volume.voxels, like=volume)
