"""DICOM files written here, with a place, an order and a tilt that are known."""

import warnings

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.data import get_testdata_file
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from medsegany import errors, io
from medsegany.preprocess import WINDOWS, to_display

# Rows run toward the patient's left and up, columns toward the feet and the back.
OBLIQUE = (0.8, 0.0, 0.6, 0.36, 0.8, -0.48)


@pytest.fixture
def voxels(rng):
    return rng.integers(0, 900, (6, 5, 4)).astype(np.uint16)


def lps(volume, i, j, k):
    return (volume.affine @ (i, j, k, 1))[:3] * (-1, -1, 1)


class TestOrder:
    def test_slices_are_ordered_by_their_position(self, tmp_path, dicom, voxels):
        """Instance numbers and names say 3, 0, 5, ...: nobody looks at them."""
        dicom.series(tmp_path, voxels, dicom.places(6), order=[3, 0, 5, 1, 4, 2])
        volume = io.read_volume(tmp_path, window="raw")
        np.testing.assert_array_equal(volume.voxels, voxels)
        assert volume.spacing_mm == pytest.approx((2.5, 0.8, 0.7))  # the distance, not thickness

    @pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), OBLIQUE])
    def test_a_pixel_lies_where_the_standard_puts_it(self, tmp_path, dicom, voxels, orientation):
        """PS3.3 C.7.6.2.1.1: position + column * x * spacing + row * y * spacing."""
        places = dicom.places(6, orientation=orientation)
        dicom.series(tmp_path, voxels, places, orientation=orientation)
        volume = io.read_volume(tmp_path, window="raw")
        x, y = np.array(orientation[:3]), np.array(orientation[3:])
        for k, j, i in [(0, 0, 0), (5, 4, 3), (2, 1, 3)]:
            expected = places[k] + x * 0.7 * i + y * 0.8 * j
            np.testing.assert_allclose(lps(volume, i, j, k), expected, atol=1e-4)

    @pytest.mark.parametrize("tilt", [-20.0, 12.5])
    def test_a_tilted_gantry_is_a_sheared_affine(self, tmp_path, dicom, voxels, tilt):
        places = dicom.places(6, tilt=tilt)
        dicom.series(tmp_path, voxels, places, Modality="CT", GantryDetectorTilt=tilt)
        volume = io.read_volume(tmp_path, window="raw")
        assert volume.is_sheared
        np.testing.assert_array_equal(volume.voxels, voxels)
        np.testing.assert_allclose(lps(volume, 0, 0, 5), places[5], atol=1e-4)
        assert volume.spacing_mm[0] == pytest.approx(2.5 / np.cos(np.radians(tilt)), rel=1e-5)

    def test_the_volume_is_that_of_gdcm(self, tmp_path, dicom, voxels):
        places = dicom.places(6, orientation=OBLIQUE)
        files = dicom.series(
            tmp_path, voxels, places, orientation=OBLIQUE, order=[5, 4, 3, 2, 1, 0]
        )
        volume = io.read_volume(tmp_path, window="raw")
        theirs = sitk.ReadImage([str(f) for f in files])
        np.testing.assert_array_equal(volume.voxels, sitk.GetArrayFromImage(theirs))
        np.testing.assert_allclose(
            lps(volume, 3, 4, 5), theirs.TransformIndexToPhysicalPoint((3, 4, 5)), atol=1e-4
        )

    def test_positions_rounded_by_the_scanner_are_even(self, tmp_path, dicom, rng):
        """Slices 1/3 mm apart whose positions were written with two digits."""
        places = [np.array([0, 0, round(k / 3, 2)]) for k in range(30)]
        dicom.series(tmp_path, rng.integers(0, 9, (30, 3, 2)).astype(np.uint16), places)
        assert io.read_volume(tmp_path).spacing_mm[0] == pytest.approx(1 / 3, abs=1e-3)

    def test_one_slice_has_the_thickness_that_it_says(self, tmp_path, dicom, voxels):
        (file,) = dicom.series(tmp_path, voxels[:1], dicom.places(1))
        assert io.read_volume(file).spacing_mm[0] == 9.0

    def test_an_enhanced_file_is_ordered_too(self, tmp_path, dicom, voxels):
        places = dicom.places(6, tilt=10)
        shuffled = [4, 1, 5, 0, 3, 2]
        path = dicom.enhanced(tmp_path / "e.dcm", voxels[shuffled], [places[n] for n in shuffled])
        volume = io.read_volume(path, window="raw")
        np.testing.assert_array_equal(volume.voxels, voxels)
        np.testing.assert_allclose(lps(volume, 0, 0, 4), places[4], atol=1e-4)

    def test_several_volumes_at_one_place_need_a_frame(self, tmp_path, dicom, voxels):
        places = dicom.places(6)
        uid = pydicom.uid.generate_uid()
        for t, kind in enumerate((voxels, voxels + 1000)):
            dicom.series(tmp_path, kind, places, first=10 * t, SeriesInstanceUID=uid,
                         TemporalPositionIdentifier=2 - t)  # fmt: skip
        with pytest.raises(errors.InvalidInput, match="2 volumes"):
            io.read_volume(tmp_path, window="raw")
        # ordered by time, not by name
        np.testing.assert_array_equal(
            io.read_volume(tmp_path, window="raw", frame=0).voxels, voxels + 1000
        )
        np.testing.assert_array_equal(
            io.read_volume(tmp_path, window="raw", frame=1).voxels, voxels
        )

    def test_what_differs_from_place_to_place_tells_no_volumes_apart(self, tmp_path, dicom, voxels):
        """Two echoes, triggered by a heart that does not keep time."""
        uid = pydicom.uid.generate_uid()
        triggers = [[12, 14, 13, 15, 12, 14], [13, 11, 14, 12, 15, 10]]

        def each(found, k):
            found.TriggerTime = triggers[found.EchoTime > 50][k]

        for t, echo in enumerate((80, 20)):
            dicom.series(tmp_path, voxels + echo, dicom.places(6), first=10 * t, EchoTime=echo,
                         SeriesInstanceUID=uid, each=each)  # fmt: skip
        for frame, echo in enumerate((20, 80)):
            found = io.read_volume(tmp_path, window="raw", frame=frame).voxels
            np.testing.assert_array_equal(found, voxels + echo)

    def test_volumes_that_nothing_tells_apart_are_not_guessed(self, tmp_path, dicom, voxels):
        uid = pydicom.uid.generate_uid()
        for t in range(2):
            dicom.series(tmp_path / str(t), voxels, dicom.places(6), SeriesInstanceUID=uid)
        with pytest.raises(errors.InvalidGeometry, match="nothing tells which"):
            io.read_volume(tmp_path, frame=0)


class TestWhatIsWrongIsNamed:
    def test_a_gap(self, tmp_path, dicom, voxels):
        files = dicom.series(tmp_path, voxels, dicom.places(6))
        files[2].unlink()
        with pytest.raises(
            errors.InvalidGeometry, match=r"missing: 1 between IM0001.dcm and IM0003.dcm \(5.00 mm"
        ):
            io.read_volume(tmp_path)
        assert io.read_volume(files[3:]).shape == (3, 5, 4)  # a part without gap

    def test_a_copy(self, tmp_path, dicom, voxels):
        files = dicom.series(tmp_path, voxels, dicom.places(6))
        (tmp_path / "copy of 2.dcm").write_bytes(files[2].read_bytes())
        with pytest.raises(errors.InvalidGeometry, match=r"IM0002.dcm and copy of 2.dcm are the"):
            io.read_volume(tmp_path)

    def test_a_second_image_at_one_place(self, tmp_path, dicom, voxels):
        places = dicom.places(6)
        uid = pydicom.uid.generate_uid()
        dicom.series(tmp_path, voxels, places, SeriesInstanceUID=uid)
        dicom.series(tmp_path, voxels[:1], places[3:4], first=50, SeriesInstanceUID=uid)
        with pytest.raises(errors.InvalidGeometry, match=r"IM0003.dcm, IM0050.dcm lie at the same"):
            io.read_volume(tmp_path)

    def test_uneven_slices(self, tmp_path, dicom, voxels):
        places = dicom.places(6)
        places[3] = places[3] + (0, 0, 0.7)
        dicom.series(tmp_path, voxels, places)
        with pytest.raises(errors.InvalidGeometry, match=r"unevenly: IM0003.dcm is 0.70 mm"):
            io.read_volume(tmp_path)

    def test_slices_that_wander_in_their_plane(self, tmp_path, dicom, voxels):
        places = dicom.places(6)
        places[2] = places[2] + (3, 0, 0)
        dicom.series(tmp_path, voxels, places)
        with pytest.raises(errors.InvalidGeometry, match=r"unevenly: IM0002.dcm is 3.00 mm"):
            io.read_volume(tmp_path)

    def test_several_series_and_how_to_choose(self, tmp_path, dicom, voxels):
        dicom.series(tmp_path / "a", voxels, dicom.places(6), SeriesNumber=4)
        dicom.series(tmp_path / "b", voxels[:5] + 7, dicom.places(5), SeriesNumber=9, Modality="CT")
        with pytest.raises(errors.InvalidInput, match=r"(?s)series=4.*series 9: CT, 5 images of 5"):
            io.read_volume(tmp_path)
        volume = io.read_volume(tmp_path, series=9, window="raw")
        np.testing.assert_array_equal(volume.voxels, voxels[:5] + 7)
        with pytest.raises(errors.InvalidInput, match="no series 5"):
            io.read_volume(tmp_path, series=5)

    def test_stacks_mixed_in_one_series(self, tmp_path, dicom, voxels):
        uid = pydicom.uid.generate_uid()
        sagittal = (0, 1, 0, 0, 0, -1)
        dicom.series(tmp_path, voxels, dicom.places(6), SeriesInstanceUID=uid)
        dicom.series(tmp_path, voxels[:4], dicom.places(4, orientation=sagittal), first=20,
                     orientation=sagittal, SeriesInstanceUID=uid)  # fmt: skip
        with pytest.raises(errors.InvalidInput, match="in one series"):
            io.read_volume(tmp_path)
        found = io.dicom_series(tmp_path)
        assert [s.shape for s in found] == [(6, 5, 4), (4, 5, 4)]
        assert io.read_volume(found[1].files, window="raw").shape == (4, 5, 4)

    def test_localizers_are_left_out(self, tmp_path, dicom, voxels):
        scout = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        dicom.series(tmp_path / "a", voxels[:1], dicom.places(1), SeriesNumber=1, ImageType=scout)
        files = dicom.series(tmp_path / "b", voxels, dicom.places(6))
        assert io.read_volume(tmp_path).shape == (6, 5, 4)
        assert io.read_volume(tmp_path, series=1).shape == (1, 5, 4)
        uid = pydicom.dcmread(files[0]).SeriesInstanceUID
        dicom.series(tmp_path / "b", voxels[:1], dicom.places(1), first=70, ImageType=scout,
                     SeriesInstanceUID=uid)  # fmt: skip
        with pytest.warns(UserWarning, match="localizers.*IM0070.dcm"):
            assert io.read_volume(tmp_path / "b").shape == (6, 5, 4)

    def test_what_has_no_place(self):
        with pytest.raises(errors.FileError, match=r"where in space.*read_frames"):
            io.read_volume(get_testdata_file("examples_ybr_color.dcm"))

    def test_a_folder_without_images(self, tmp_path):
        (tmp_path / "README.txt").write_text("nothing here")
        with pytest.raises(errors.FileError, match="no DICOM images"):
            io.read_volume(tmp_path)

    @pytest.mark.parametrize("cut", [140, 200, 300, 400, 500, 700, 900, -10])
    def test_a_file_cut_off(self, tmp_path, dicom, voxels, cut):
        """The last one, which nobody would miss."""
        files = dicom.series(tmp_path, voxels, dicom.places(6))
        files[5].write_bytes(files[5].read_bytes()[:cut])
        with pytest.raises(errors.FileError, match=r"IM0005\.dcm"):
            io.read_volume(tmp_path)

    def test_a_file_without_preamble_or_ending_is_not_missed(self, tmp_path, dicom, voxels):
        files = dicom.series(tmp_path, voxels, dicom.places(6))
        (tmp_path / "IM0005").write_bytes(files[5].read_bytes()[132:])
        files[5].unlink()
        np.testing.assert_array_equal(io.read_volume(tmp_path, window="raw").voxels, voxels)

    def test_an_enhanced_file_that_describes_too_few(self, tmp_path, dicom, voxels):
        path = dicom.enhanced(tmp_path / "e.dcm", voxels, dicom.places(6))
        found = pydicom.dcmread(path)
        del found.PerFrameFunctionalGroupsSequence[4:]
        found.save_as(path)
        with pytest.raises(errors.FileError, match="has 6 images and describes 4"):
            io.read_volume(path)


class TestValues:
    def test_ct_needs_a_window_whatever_its_values(self, tmp_path, dicom, voxels):
        dicom.series(tmp_path, voxels, dicom.places(6), Modality="CT", RescaleIntercept=-1024,
                     RescaleSlope=1)  # fmt: skip
        with pytest.raises(errors.InvalidInput, match="DICOM Modality CT"):
            io.read_volume(tmp_path)
        raw = io.read_volume(tmp_path, window="raw").voxels
        assert raw.dtype == np.int16
        np.testing.assert_array_equal(raw, voxels.astype(int) - 1024)
        shown = io.read_volume(tmp_path, window="lung")
        np.testing.assert_array_equal(shown.voxels, to_display(raw, WINDOWS["lung"]))

    def test_every_slice_has_a_slope_of_its_own(self, tmp_path, dicom, voxels):
        """As in PET."""

        def scale(found, k):
            found.RescaleSlope, found.RescaleIntercept = 0.5 * (k + 1), 0

        dicom.series(tmp_path, voxels, dicom.places(6), each=scale, Modality="PT")
        raw = io.read_volume(tmp_path, window="raw").voxels
        np.testing.assert_allclose(raw, voxels * 0.5 * np.arange(1, 7)[:, None, None], rtol=1e-6)

    def test_frames_of_an_enhanced_file_too(self, tmp_path, dicom, voxels):
        scale = [0.25, 1, 2, 3, 4, 5.5]
        path = dicom.enhanced(tmp_path / "e.dcm", voxels, dicom.places(6), scale=scale)
        raw = io.read_volume(path, window="raw").voxels
        np.testing.assert_allclose(raw, voxels * np.array(scale)[:, None, None], rtol=1e-6)

    @pytest.mark.parametrize("syntax", [RLELossless, JPEGLSLossless, JPEG2000Lossless])
    def test_compressed_files_hold_the_same(self, tmp_path, dicom, rng, syntax):
        voxels = rng.integers(0, 900, (6, 64, 72)).astype(np.uint16)
        dicom.series(tmp_path, voxels, dicom.places(6), each=lambda d, k: d.compress(syntax))
        np.testing.assert_array_equal(io.read_volume(tmp_path, window="raw").voxels, voxels)

    def test_a_real_file_is_the_same_in_every_compression(self):
        plain = io.read_volume(get_testdata_file("MR_small.dcm"), window="raw")
        for name in ("RLE", "jp2klossless", "jpeg_ls_lossless", "bigendian", "implicit"):
            path = get_testdata_file(f"MR_small_{name}.dcm", download=False)
            np.testing.assert_array_equal(io.read_volume(path, window="raw").voxels, plain.voxels)

    def test_a_missing_decoder_says_what_to_install(self, monkeypatch):
        from pydicom.pixels.decoders.base import Decoder

        monkeypatch.setattr(Decoder, "is_available", False)
        with pytest.raises(errors.MissingDependency, match=r"RLE.*medsegany\[dicom\]"):
            io.read_volume(get_testdata_file("MR_small_RLE.dcm"))


class TestPictures:
    def test_low_is_bright_where_the_file_says_so(self, tmp_path, dicom, rng):
        pixels = rng.integers(0, 4000, (9, 8)).astype(np.uint16)
        shown = {}
        for kind in ("MONOCHROME1", "MONOCHROME2"):
            found = dicom.blank(tmp_path / "x.dcm")
            dicom.pixels(found, pixels)
            found.PhotometricInterpretation, found.Modality = kind, "DX"
            found.save_as(tmp_path / "x.dcm", enforce_file_format=True)
            shown[kind] = io.read_image(tmp_path / "x.dcm")
        np.testing.assert_array_equal(shown["MONOCHROME1"], 255 - shown["MONOCHROME2"])
        np.testing.assert_array_equal(shown["MONOCHROME2"], to_display(pixels, "percentile"))

    def test_a_slice_of_ct_needs_a_window(self):
        path = get_testdata_file("CT_small.dcm")
        with pytest.raises(errors.InvalidInput, match="Modality CT"):
            io.read_image(path)
        assert io.read_image(path, window="brain").shape == (128, 128)

    def test_colour_is_rgb(self):
        path = get_testdata_file("SC_rgb_rle.dcm")
        expected = pydicom.dcmread(path).pixel_array
        np.testing.assert_array_equal(io.read_image(path), expected)

    def test_a_palette_is_looked_up(self):
        image = io.read_image(get_testdata_file("examples_palette.dcm"))
        assert image.shape == (350, 800, 3)
        assert (image[..., 0] != image[..., 1]).any()

    def test_a_volume_too(self, tmp_path, dicom, voxels):
        def each(found, k):
            found.PhotometricInterpretation = "MONOCHROME1"

        dicom.series(tmp_path, voxels, dicom.places(6), each=each)
        volume = io.read_volume(tmp_path)
        np.testing.assert_array_equal(volume.voxels, 255 - to_display(voxels, "percentile"))
        assert "inverted" in volume.preparation
        np.testing.assert_array_equal(io.read_volume(tmp_path, window="raw").voxels, voxels)

    @pytest.mark.parametrize("frame", [1, "a", True, 1.5])
    def test_a_frame_that_is_not_there(self, frame):
        path = get_testdata_file("MR_small.dcm")
        with pytest.raises(errors.InvalidInput, match="holds one"):
            io.read_image(path, frame=frame)

    def test_values_go_through_the_file_s_own_table(self, tmp_path, dicom):
        pixels = np.arange(12, dtype=np.uint8).reshape(3, 4)
        found = dicom.blank(tmp_path / "x.dcm")
        dicom.pixels(found, pixels)
        table = pydicom.Dataset()
        table.LUTDescriptor, table.ModalityLUTType = [12, 0, 16], "US"
        table.LUTData = [int(v) ** 2 for v in range(12)]
        found.ModalityLUTSequence, found.Modality = [table], "CR"
        found["ModalityLUTSequence"][0]["LUTDescriptor"].VR = "US"
        found["ModalityLUTSequence"][0]["LUTData"].VR = "US"
        found.save_as(tmp_path / "x.dcm", enforce_file_format=True)
        shown = io.read_image(tmp_path / "x.dcm")
        np.testing.assert_array_equal(shown, to_display(pixels.astype(int) ** 2, "percentile"))


class TestFilms:
    def test_frames_are_those_that_pydicom_decodes(self):
        path = get_testdata_file("examples_ybr_color.dcm")
        film = io.read_frames(path)
        expected = pydicom.dcmread(path).pixel_array
        assert len(film) == 30
        np.testing.assert_array_equal(film[17], pydicom.pixels.pixel_array(path, index=17))
        np.testing.assert_array_equal(film[17], expected[17])
        for index, frame in enumerate(film[3:9:2]):
            np.testing.assert_array_equal(frame, expected[3 + 2 * index])

    def test_a_palette_is_looked_up_in_every_frame(self, tmp_path, dicom):
        found = dicom.blank(tmp_path / "x.dcm")
        dicom.pixels(found, np.arange(60, dtype=np.uint8).reshape(3, 5, 4))
        found.NumberOfFrames, found.Modality = 3, "US"
        found.PhotometricInterpretation = "PALETTE COLOR"
        for n, colour in enumerate(("Red", "Green", "Blue"), start=1):
            setattr(found, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
            values = np.arange(256) * n % 256
            setattr(
                found, f"{colour}PaletteColorLookupTableData", values.astype(np.uint8).tobytes()
            )
        found.save_as(tmp_path / "x.dcm", enforce_file_format=True)
        film = io.read_frames(tmp_path / "x.dcm")
        assert film[2][0, 1].tolist() == [41, 82, 123]
        np.testing.assert_array_equal(film[2], list(film)[2])

    def test_small_fractions_use_the_whole_scale(self, tmp_path, dicom):
        found = dicom.blank(tmp_path / "x.dcm")
        dicom.pixels(found, np.arange(0, 120, dtype=np.uint16).reshape(2, 6, 10))
        found.NumberOfFrames, found.RescaleSlope, found.RescaleIntercept = 2, 0.001, 0
        found.save_as(tmp_path / "x.dcm", enforce_file_format=True)
        film = io.read_frames(tmp_path / "x.dcm")
        assert (film[0].min(), film[1].max()) == (0, 255)

    def test_ct_needs_a_window(self, tmp_path, dicom):
        found = dicom.blank(tmp_path / "x.dcm")
        dicom.pixels(found, np.zeros((2, 6, 10), np.int16))
        found.NumberOfFrames, found.Modality = 2, "CT"
        found.save_as(tmp_path / "x.dcm", enforce_file_format=True)
        with pytest.raises(errors.InvalidInput, match="Modality CT"):
            io.read_frames(tmp_path / "x.dcm")
        assert io.read_frames(tmp_path / "x.dcm", window="abdomen")[1].max() == 102

    def test_a_missing_decoder_is_named_in_films_too(self, tmp_path, dicom, monkeypatch):
        """As in volumes and single pictures: here the decoder of 12 bits is said to be missing."""

        def cannot(*_args, **_options):
            raise RuntimeError("no decoder")
            yield

        found = dicom.blank(tmp_path / "x.dcm")
        dicom.pixels(found, np.zeros((2, 6, 10), np.uint8))
        found.NumberOfFrames, found.Modality = 2, "US"
        found.save_as(tmp_path / "x.dcm", enforce_file_format=True)
        film = io.read_frames(tmp_path / "x.dcm")
        monkeypatch.setattr("medsegany.io._dicom._JPEG_12_BIT", {found.file_meta.TransferSyntaxUID})
        monkeypatch.setattr("medsegany.io._dicom.find_spec", lambda _: None)
        monkeypatch.setattr("pydicom.pixels.utils.iter_pixels", cannot)
        with pytest.raises(errors.MissingDependency, match="pip install pylibjpeg"):
            film[1]

    def test_no_filter_of_warnings_is_left_behind(self):
        before = list(warnings.filters)
        films = [iter(io.read_frames(get_testdata_file("examples_ybr_color.dcm"))) for _ in "ab"]
        for film in films:
            next(film)
            assert warnings.filters == before
        for film in films:
            film.close()
        assert warnings.filters == before

    def test_deep_frames_are_scaled_alike(self, tmp_path, dicom):
        """A second frame twice as bright stays brighter."""
        ramp = np.arange(1, 101, dtype=np.uint16).reshape(10, 10) * 10
        found = dicom.blank(tmp_path / "x.dcm")
        dicom.pixels(found, np.stack([ramp, ramp * 2]))
        found.NumberOfFrames, found.Modality, found.CineRate = 2, "XA", 12
        found.save_as(tmp_path / "x.dcm", enforce_file_format=True)
        film = io.read_frames(tmp_path / "x.dcm")
        assert film.fps == 12
        assert film[1].mean() > 1.5 * film[0].mean()


def test_no_more_than_a_few_tags_are_parsed():
    """What is never read cannot leak."""
    from medsegany.io._dicom_header import _TAGS

    names = [name for name in _TAGS if "Patient" in name]
    assert names == ["ImagePositionPatient", "ImageOrientationPatient"]
    assert not [n for n in _TAGS if "Name" in n or "Date" in n or "Description" in n]


@pytest.mark.slow  # 10,000 files are written and read: half a minute
def test_ten_thousand_slices(tmp_path, dicom):
    count = 10_000
    pixels = np.zeros((1, 2, 2), np.uint8)
    (one,) = dicom.series(tmp_path, pixels, dicom.places(1))
    found = pydicom.dcmread(one)
    one.unlink()
    order = np.random.default_rng(0).permutation(count)
    for n, k in enumerate(order):
        found.SOPInstanceUID = found.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{k}"
        found.ImagePositionPatient = [0, 0, 0.5 * int(k)]
        found.PixelData = bytes([k % 256, k // 256, 0, 0])
        found.save_as(tmp_path / f"{n}.dcm")
    volume = io.read_volume(tmp_path)
    low, high = volume.voxels[:, 0].astype(int).T
    read = low + 256 * high
    np.testing.assert_array_equal(read, np.arange(count))
