"""What lies at a place in the world lies there after reading, segmenting and writing."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medsegany import Volume, errors, io
from medsegany.preprocess import Window

OBLIQUE = np.array([[-0.8, 0.1, 0.3, 90], [0.2, -1.1, 0.4, -30], [0.1, 0.5, 4.8, 12], [0, 0, 0, 1]])


def save(path, data, affine=OBLIQUE, **header):
    image = nib.Nifti1Image(data, affine)
    for name, value in header.items():
        getattr(image.header, name)(*value)
    nib.save(image, path)
    return path


@pytest.fixture
def scan(tmp_path, rng):
    return save(tmp_path / "scan.nii.gz", rng.integers(0, 900, (7, 6, 5)).astype(np.int16))


class TestReadVolume:
    def test_axes_are_those_of_the_file_reversed(self, tmp_path):
        data = np.arange(24, dtype=np.uint8).reshape(4, 3, 2)
        volume = io.read_volume(save(tmp_path / "a.nii", data))
        assert volume.voxels[1, 2, 3] == data[3, 2, 1]
        np.testing.assert_allclose(volume.affine, OBLIQUE, rtol=1e-6)

    def test_uint8_is_left_alone_and_other_data_gets_percentiles(self, tmp_path, scan, rng):
        bytes_ = rng.integers(5, 250, (4, 3, 2)).astype(np.uint8)
        volume = io.read_volume(save(tmp_path / "b.nii.gz", bytes_))
        np.testing.assert_array_equal(volume.voxels, bytes_.T)
        volume = io.read_volume(scan)
        assert volume.voxels.dtype == np.uint8
        assert "percentiles" in volume.preparation

    def test_raw_keeps_intensities_with_the_file_s_scaling(self, tmp_path):
        stored = nib.Nifti1Image(np.full((4, 3, 2), 26, np.int16), np.eye(4))
        nib.save(stored, tmp_path / "scaled.nii")
        with (tmp_path / "scaled.nii").open("r+b") as file:
            file.seek(112)  # scl_slope and scl_inter
            file.write(np.array([0.5, -3], "<f4").tobytes())
        volume = io.read_volume(tmp_path / "scaled.nii", window="raw")
        assert (volume.voxels == 10).all()  # 26 * 0.5 - 3

    def test_ct_needs_a_window(self, tmp_path, rng):
        path = save(tmp_path / "ct.nii.gz", rng.integers(-1024, 900, (7, 6, 5)).astype(np.int16))
        with pytest.raises(errors.InvalidInput, match=r"looks like CT.*'abdomen'.*Window"):
            io.read_volume(path)
        for window in ("abdomen", Window(40, 400), "percentile"):
            assert io.read_volume(path, window=window).voxels.dtype == np.uint8

    def test_nan_does_not_hide_a_ct(self, tmp_path, rng):
        data = rng.uniform(-1000, 1000, (7, 6, 5)).astype(np.float32)
        data[0, 0, 0] = np.nan
        with pytest.raises(errors.InvalidInput, match="looks like CT"):
            io.read_volume(save(tmp_path / "ct.nii", data))

    @pytest.mark.parametrize(("unit", "factor"), [("meter", 1000), ("mm", 1), ("micron", 0.001)])
    def test_the_affine_is_in_millimetres_whatever_the_file_s_unit(self, tmp_path, unit, factor):
        affine = np.diag([1.0, 2, 3, 1])
        path = save(
            tmp_path / "a.nii", np.zeros((4, 3, 2), np.uint8), affine, set_xyzt_units=(unit,)
        )
        volume = io.read_volume(path)
        assert volume.spacing_mm == pytest.approx((3 * factor, 2 * factor, factor))
        io.write_labels(tmp_path / "seg.nii", volume.voxels, like=volume)
        written = nib.load(tmp_path / "seg.nii")
        np.testing.assert_allclose(written.affine, affine, rtol=1e-6)
        assert written.header.get_xyzt_units()[0] == unit

    def test_colour_is_the_last_axis(self, tmp_path, rng):
        rgb = rng.integers(0, 256, (4, 3, 2, 3)).astype(np.uint8)
        kind = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
        packed = np.ascontiguousarray(rgb).view(kind)[..., 0]
        volume = io.read_volume(save(tmp_path / "rgb.nii", packed))
        np.testing.assert_array_equal(volume.voxels[1, 2, 3], rgb[3, 2, 1])

    def test_a_file_changed_afterwards_changes_no_volume(self, tmp_path):
        path = save(tmp_path / "m.nii", np.full((4, 3, 2), 7, np.uint8))
        volume = io.read_volume(path)
        with path.open("r+b") as file:
            file.seek(352)
            file.write(b"\x63" * 24)
        assert (volume.voxels == 7).all()

    @pytest.mark.parametrize(
        ("at", "value"),
        [(70, b"\xff\x7f"), (123, b"\x05"), (256, b"\x00\x00\x80\x3f"), (40, b"\x09")],
        ids=["datatype", "units", "quaternion", "dimensions"],
    )
    def test_a_damaged_header_is_read_or_refused(self, tmp_path, at, value):
        path = save(tmp_path / "a.nii", np.zeros((4, 3, 2), np.uint8))
        with path.open("r+b") as file:
            file.seek(at)
            file.write(value)
        try:
            io.read_volume(path)
        except errors.MedSegAnyError as error:
            assert "a.nii" in str(error)  # noqa: PT017

    def test_a_damaged_archive_is_refused(self, scan):
        content = bytearray(scan.read_bytes())
        content[40:60] = b"\xff" * 20
        scan.write_bytes(content)
        with pytest.raises(errors.FileError, match="scan"):
            io.read_volume(scan)

    def test_4d_needs_a_frame(self, tmp_path, rng):
        data = rng.integers(0, 200, (4, 3, 2, 3)).astype(np.uint8)
        path = save(tmp_path / "4d.nii", data)
        with pytest.raises(errors.InvalidInput, match=r"3 volumes.*frame=0"):
            io.read_volume(path)
        np.testing.assert_array_equal(io.read_volume(path, frame=2).voxels, data[..., 2].T)
        with pytest.raises(errors.InvalidInput, match="frame=3"):
            io.read_volume(path, frame=3)

    @pytest.mark.parametrize("frame", [1, -1, "0", 0.0, True])
    def test_a_frame_that_is_not_there(self, scan, frame):
        with pytest.raises(errors.InvalidInput, match="holds one, counted from 0"):
            io.read_volume(scan, frame=frame)

    def test_4d_of_one_volume_needs_no_frame(self, tmp_path):
        path = save(tmp_path / "4d.nii", np.ones((4, 3, 2, 1), np.uint8))
        assert io.read_volume(path).shape == (2, 3, 4)

    def test_half_of_a_pair_is_no_volume(self, tmp_path):
        image = nib.Nifti1Pair(np.zeros((4, 3, 2), np.uint8), OBLIQUE)
        nib.save(image, tmp_path / "pair.hdr")
        (tmp_path / "pair.hdr").rename(tmp_path / "a.nii")
        with pytest.raises(errors.FileError, match=r"header of a \.hdr and \.img pair"):
            io.read_volume(tmp_path / "a.nii")

    @pytest.mark.parametrize("step", [0.0, -2.0])
    def test_steps_that_nibabel_would_mend(self, tmp_path, step):
        path = save(tmp_path / "a.nii", np.zeros((4, 3, 2), np.uint8), np.eye(4))
        with path.open("r+b") as file:
            file.seek(84)  # pixdim[2]
            file.write(np.array([step], "<f4").tobytes())
            file.seek(252)  # qform_code and sform_code
            file.write(bytes(4))
        with pytest.raises(errors.InvalidGeometry, match=r"a\.nii has pixdim"):
            io.read_volume(path)

    def test_alpha_is_dropped_and_complex_numbers_are_refused(self, tmp_path, rng):
        rgba = rng.integers(0, 256, (4, 3, 2, 4)).astype(np.uint8)
        kind = np.dtype([(c, "u1") for c in "RGBA"])
        volume = io.read_volume(save(tmp_path / "a.nii", rgba.view(kind)[..., 0]))
        np.testing.assert_array_equal(volume.voxels[1, 2, 3], rgba[3, 2, 1, :3])
        path = save(tmp_path / "c.nii", np.ones((4, 3, 2), np.complex64))
        with pytest.raises(errors.InvalidImage, match=r"c\.nii.*numpy\.abs"):
            io.read_volume(path)

    @pytest.mark.parametrize(
        ("name", "content"),
        [("a.nii.gz", b"no gzip"), ("a.nii", b""), ("a.npz", b"no zip"), ("a.txt", b"text")],
    )
    def test_a_broken_or_foreign_file_names_itself(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(errors.FileError, match=name):
            io.read_volume(tmp_path / name)

    @pytest.mark.parametrize("name", ["no.nii.gz", "no.npz"])
    def test_a_missing_file_is_said_to_be_missing(self, tmp_path, name):
        with pytest.raises(errors.FileError, match="no file"):
            io.read_volume(tmp_path / name)

    def test_a_truncated_file_is_an_error(self, scan):
        scan.write_bytes(scan.read_bytes()[:-60])
        with pytest.raises(errors.FileError):
            io.read_volume(scan)


class TestReadNpz:
    def test_spacing_is_turned_to_the_order_of_the_axes(self, tmp_path):
        np.savez(tmp_path / "a.npz", imgs=np.zeros((2, 3, 4), np.uint8), spacing=(0.8, 0.9, 5.0))
        assert io.read_npz(tmp_path / "a.npz").volume.spacing_mm == (5.0, 0.9, 0.8)

    def test_other_orders_are_said(self, tmp_path):
        imgs = np.zeros((2, 3, 4), np.uint8)
        np.savez(tmp_path / "a.npz", imgs=imgs, spacing=(5.0, 0.9, 0.8))
        case = io.read_npz(tmp_path / "a.npz", spacing_order="zyx")
        assert case.volume.spacing_mm == (5.0, 0.9, 0.8)
        np.savez(tmp_path / "b.npz", imgs=imgs, spacing_zyx=(5.0, 0.9, 0.8))
        assert io.read_npz(tmp_path / "b.npz").volume.spacing_mm == (5.0, 0.9, 0.8)
        with pytest.raises(errors.InvalidInput, match="spacing_order"):
            io.read_npz(tmp_path / "a.npz", spacing_order="yxz")

    def test_an_image_has_a_spacing_of_two_numbers(self, tmp_path):
        np.savez(tmp_path / "a.npz", imgs=np.zeros((3, 4), np.uint8), spacing=(0.8, 0.9))
        assert io.read_npz(tmp_path / "a.npz").volume.spacing_mm == (1.0, 0.9, 0.8)

    @pytest.mark.parametrize("spacing", [(1, 1, 1, 1), (0, 1, 1), (1, np.nan, 1)])
    def test_a_spacing_that_is_none(self, tmp_path, spacing):
        np.savez(tmp_path / "a.npz", imgs=np.zeros((2, 3, 4), np.uint8), spacing=spacing)
        with pytest.raises(errors.MedSegAnyError, match=r"a\.npz.*spacing"):
            io.read_npz(tmp_path / "a.npz")

    def test_recist_comes_along(self, tmp_path):
        recist = np.zeros((2, 3, 4), np.uint8)
        recist[1, 2] = 1
        np.savez(tmp_path / "a.npz", imgs=np.zeros((2, 3, 4), np.uint8), recist=recist)
        np.testing.assert_array_equal(io.read_npz(tmp_path / "a.npz").recist, recist)

    def test_labels_and_boxes_come_along(self, tmp_path):
        gts = np.ones((2, 3, 4), np.uint8)
        np.savez(tmp_path / "a.npz", imgs=gts, gts=gts, boxes=[[0, 0, 3, 2]])
        case = io.read_npz(tmp_path / "a.npz")
        np.testing.assert_array_equal(case.labels, gts)
        assert case.boxes.tolist() == [[0, 0, 3, 2]]

    @pytest.mark.parametrize(
        "boxes", [[[1, 2, 3, 4, 5]], [["a", "b", "c", "d"]], np.ones((1, 1, 4))]
    )
    def test_boxes_of_another_shape_are_refused(self, tmp_path, boxes):
        np.savez(tmp_path / "a.npz", imgs=np.zeros((2, 3, 4), np.uint8), boxes=boxes)
        with pytest.raises(errors.FileError, match=r"a\.npz.*'boxes' of shape.*\(N, 6\)"):
            io.read_npz(tmp_path / "a.npz")

    def test_no_boxes_are_none(self, tmp_path):
        np.savez(tmp_path / "a.npz", imgs=np.zeros((2, 3, 4), np.uint8), boxes=[])
        assert io.read_npz(tmp_path / "a.npz").boxes is None

    def test_an_affine_of_another_shape_is_named(self, tmp_path):
        np.savez(tmp_path / "a.npz", segs=np.zeros((2, 3, 4), np.uint8), affine=np.ones((3, 4)))
        with pytest.raises(errors.InvalidGeometry, match=r"a\.npz"):
            io.read_labels(tmp_path / "a.npz")

    def test_three_columns_are_columns_where_the_labels_say_so(self, tmp_path):
        imgs = np.zeros((6, 5, 3), np.uint8)
        np.savez(tmp_path / "a.npz", imgs=imgs, gts=imgs)
        assert io.read_npz(tmp_path / "a.npz").volume.voxels.shape == (6, 5, 3)
        np.savez(tmp_path / "b.npz", imgs=imgs, recist=np.zeros((9, 9), np.uint8))
        with pytest.raises(errors.FileError, match="recist"):
            io.read_npz(tmp_path / "b.npz")

    @pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3)])
    def test_an_image_is_a_volume_of_one_slice(self, tmp_path, shape):
        np.savez(tmp_path / "a.npz", imgs=np.zeros(shape, np.uint8), gts=np.zeros((5, 6), np.uint8))
        case = io.read_npz(tmp_path / "a.npz")
        assert case.volume.shape == (1, 5, 6)
        assert case.labels.shape == (1, 5, 6)

    def test_the_paper_s_ultrasound_layout_is_turned(self, tmp_path):
        np.savez(tmp_path / "a.npz", imgs=np.zeros((3, 4, 5, 6), np.uint8))
        assert io.read_npz(tmp_path / "a.npz").volume.voxels.shape == (4, 5, 6, 3)

    def test_labels_on_another_grid_are_refused(self, tmp_path):
        imgs = np.zeros((2, 3, 4), np.uint8)
        for gts in (np.zeros((2, 3, 5), np.uint8), imgs.astype(float)):
            np.savez(tmp_path / "a.npz", imgs=imgs, gts=gts)
            with pytest.raises(errors.FileError, match="gts"):
                io.read_npz(tmp_path / "a.npz")

    def test_pickles_are_refused(self, tmp_path):
        np.savez(tmp_path / "a.npz", imgs=np.array([print], dtype=object))
        with pytest.raises(errors.FileError, match="cannot be read"):
            io.read_npz(tmp_path / "a.npz")

    def test_a_file_without_images_says_what_it_holds(self, tmp_path):
        np.savez(tmp_path / "a.npz", gts=np.zeros(3))
        with pytest.raises(errors.FileError, match="'gts'.*no 'imgs'"):
            io.read_npz(tmp_path / "a.npz")


class TestWriteLabels:
    def test_the_grid_is_the_source_s(self, tmp_path, scan):
        source = nib.load(scan)
        source.header.set_xyzt_units("mm", "sec")
        source.set_qform(source.affine, 1, strip_shears=True)
        source.set_sform(source.affine, 4)
        nib.save(source, scan)
        source = nib.load(scan)
        volume = io.read_volume(scan)
        io.write_labels(tmp_path / "seg.nii.gz", np.ones(volume.shape, np.uint8), like=volume)
        written = nib.load(tmp_path / "seg.nii.gz")
        np.testing.assert_array_equal(written.affine, source.affine)
        for field in ("sform_code", "qform_code", "xyzt_units"):
            assert written.header[field] == source.header[field], field
        np.testing.assert_allclose(written.get_qform(), source.get_qform(), atol=1e-5)
        assert written.get_data_dtype() == np.uint8

    @pytest.mark.parametrize(("sform", "qform"), [(0, 1), (2, 0), (4, 1)])
    def test_codes_are_kept_in_every_combination(self, tmp_path, sform, qform):
        affine = np.diag([-2.0, 3, 4, 1])
        image = nib.Nifti1Image(np.zeros((4, 3, 2), np.uint8), affine)
        image.set_sform(affine, sform)
        image.set_qform(affine, qform)
        nib.save(image, tmp_path / "a.nii")
        volume = io.read_volume(tmp_path / "a.nii")
        io.write_labels(tmp_path / "seg.nii", volume.voxels, like=volume)
        written = nib.load(tmp_path / "seg.nii")
        assert (written.header["sform_code"], written.header["qform_code"]) == (sform, qform)
        np.testing.assert_allclose(written.affine, affine, atol=1e-5)

    def test_a_source_without_codes_stays_without(self, tmp_path):
        """Every reader guesses for the result what it guesses for the source."""
        affine = np.diag([2.0, 3, 4, 1])
        image = nib.Nifti1Image(np.zeros((6, 5, 4), np.uint8), affine)
        image.set_sform(None, 0)
        image.set_qform(None, 0)
        nib.save(image, tmp_path / "a.nii")
        volume = io.read_volume(tmp_path / "a.nii")
        io.write_labels(tmp_path / "seg.nii", volume.voxels, like=volume)
        source, written = (nib.load(tmp_path / n) for n in ("a.nii", "seg.nii"))
        assert (written.header["sform_code"], written.header["qform_code"]) == (0, 0)
        np.testing.assert_allclose(written.affine, source.affine)
        source, written = (sitk.ReadImage(str(tmp_path / n)) for n in ("a.nii", "seg.nii"))
        assert written.GetOrigin() == source.GetOrigin()
        assert written.GetDirection() == source.GetDirection()

    @pytest.mark.parametrize("shape", [(1, 1, 40000), (1, 40000, 1), (40000, 1, 2)])
    def test_more_voxels_than_nifti_1_can_count(self, tmp_path, shape):
        volume = Volume(np.zeros(shape, np.uint8), OBLIQUE)
        io.write_labels(tmp_path / "seg.nii", volume.voxels, like=volume)
        assert isinstance(nib.load(tmp_path / "seg.nii"), nib.Nifti2Image)
        assert io.read_labels(tmp_path / "seg.nii", like=volume).labels.shape == shape

    def test_more_than_255_labels_are_uint16(self, tmp_path, scan):
        volume = io.read_volume(scan)
        labels = np.zeros(volume.shape, np.int64)
        labels[0, 0, 0] = 300
        io.write_labels(tmp_path / "seg.nii", labels, like=volume)
        written = nib.load(tmp_path / "seg.nii")
        assert written.get_data_dtype() == np.uint16
        assert np.asanyarray(written.dataobj)[0, 0, 0] == 300

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            (np.zeros((5, 6, 8), np.uint8), r"\(5, 6, 8\)"),
            (np.zeros((5, 6, 7)), "float64"),
            (np.full((5, 6, 7), -1), "from -1"),
        ],
    )
    def test_what_is_no_label_map_on_this_grid_is_refused(self, tmp_path, scan, labels, words):
        with pytest.raises(errors.InvalidInput, match=words):
            io.write_labels(tmp_path / "seg.nii", labels, like=io.read_volume(scan))

    def test_a_failed_write_leaves_the_old_file_and_nothing_else(self, tmp_path, scan, monkeypatch):
        volume = io.read_volume(scan)
        out = tmp_path / "out"
        out.mkdir()
        (out / "seg.nii.gz").write_text("old")

        def fail(image, file):
            file.write(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(nib.Nifti1Image, "to_stream", fail)
        with pytest.raises(errors.FileError, match="No space left"):
            io.write_labels(out / "seg.nii.gz", np.ones(volume.shape, np.uint8), like=volume)
        assert [p.name for p in out.iterdir()] == ["seg.nii.gz"]
        assert (out / "seg.nii.gz").read_text() == "old"

    def test_a_missing_folder_and_a_foreign_ending_are_errors(self, tmp_path, scan):
        volume = io.read_volume(scan)
        labels = np.ones(volume.shape, np.uint8)
        with pytest.raises(errors.FileError, match="no folder"):
            io.write_labels(tmp_path / "no" / "seg.nii", labels, like=volume)
        with pytest.raises(errors.FileError, match=r"\.nii"):
            io.write_labels(tmp_path / "seg.tif", labels, like=volume)
