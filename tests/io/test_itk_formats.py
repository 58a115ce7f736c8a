"""NRRD and MetaImage, against SimpleITK and pynrrd."""

import nrrd
import numpy as np
import pytest
import SimpleITK as sitk

from medsegany import Volume, errors, io

TURN = np.array([[0.36, 0.48, -0.8], [-0.8, 0.6, 0.0], [0.48, 0.64, 0.6]])


@pytest.fixture
def voxels(rng):
    return rng.integers(-900, 900, (4, 5, 6)).astype(np.int16)


@pytest.fixture
def image(voxels):
    found = sitk.GetImageFromArray(voxels)
    found.SetDirection(TURN.ravel().tolist())
    found.SetSpacing((0.7, 0.8, 2.5))
    found.SetOrigin((-11.25, 7.5, 300.125))
    return found


def same(volume, expected):
    np.testing.assert_array_equal(volume.voxels, expected.voxels)
    np.testing.assert_allclose(volume.affine, expected.affine, atol=1e-9)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("name", ["a.nrrd", "a.nhdr", "a.mha", "a.mhd"])
def test_what_simpleitk_wrote_lies_where_it_says(tmp_path, image, name, compressed):
    sitk.WriteImage(image, str(tmp_path / name), compressed)
    same(io.read_volume(tmp_path / name, window="raw"), Volume.from_sitk(image))


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_every_type_of_number(tmp_path, rng, name, kind):
    values = rng.integers(0, 100, (2, 3, 4)).astype(kind)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / name))
    volume = io.read_volume(tmp_path / name, window="raw")
    np.testing.assert_array_equal(volume.voxels, values)
    assert volume.voxels.dtype == kind


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_colour_is_the_last_axis(tmp_path, noise, name):
    pixels = noise(2, 3, 4, 3)
    sitk.WriteImage(sitk.GetImageFromArray(pixels, isVector=True), str(tmp_path / name))
    np.testing.assert_array_equal(io.read_volume(tmp_path / name).voxels, pixels)


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha"])
def test_4d_needs_a_frame(tmp_path, rng, name):
    values = rng.integers(0, 100, (5, 2, 3, 4)).astype(np.uint8)
    series = sitk.JoinSeries([sitk.GetImageFromArray(v) for v in values])
    sitk.WriteImage(series, str(tmp_path / name))
    with pytest.raises(errors.InvalidInput, match="5 volumes"):
        io.read_volume(tmp_path / name)
    np.testing.assert_array_equal(io.read_volume(tmp_path / name, frame=3).voxels, values[3])


class TestNrrd:
    HEADER = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 4 3 2\nencoding: raw\n"

    def read(self, tmp_path, *lines, data=bytes(range(24))):
        (tmp_path / "a.nrrd").write_bytes("\n".join([self.HEADER.strip(), *lines, "", ""]).encode())
        with (tmp_path / "a.nrrd").open("ab") as file:
            file.write(data)
        return io.read_volume(tmp_path / "a.nrrd")

    @pytest.mark.parametrize(
        ("space", "ras"),
        [
            ("left-posterior-superior", (-10, -20, 30)),
            ("LPS", (-10, -20, 30)),
            ("right-anterior-superior", (10, 20, 30)),
            ("RAS", (10, 20, 30)),
            ("left-anterior-superior", (-10, 20, 30)),
            ("scanner-xyz", (-10, -20, 30)),
        ],
    )
    def test_every_frame_of_reference(self, tmp_path, space, ras):
        volume = self.read(
            tmp_path,
            f"space: {space}",
            "space directions: (2,0,0) (0,3,0) (0,0,4)",
            "space origin: (10,20,30)",
        )
        assert tuple(volume.affine[:3, 3]) == ras
        theirs = Volume.from_sitk(sitk.ReadImage(str(tmp_path / "a.nrrd")))
        np.testing.assert_allclose(volume.affine, theirs.affine)
        np.testing.assert_array_equal(volume.voxels, theirs.voxels)

    def test_a_spacing_alone(self, tmp_path):
        volume = self.read(tmp_path, "spacings: 2 3 4")
        assert volume.spacing_mm == (4, 3, 2)
        theirs = Volume.from_sitk(sitk.ReadImage(str(tmp_path / "a.nrrd")))
        np.testing.assert_allclose(volume.affine, theirs.affine)

    @pytest.mark.parametrize(
        ("unit", "mm"), [("cm", 10), ("µm", 1e-3), ("μm", 1e-3), ("meters", 1e3), ("", 1)]
    )
    def test_units_are_millimetres_here(self, tmp_path, unit, mm):
        volume = self.read(
            tmp_path,
            "space: LPS",
            "space directions: (2,0,0) (0,3,0) (0,0,4)",
            f'space units: "{unit}" "{unit}" "{unit}"',
            "space origin: (1,2,3)",
        )
        assert volume.spacing_mm == pytest.approx((4 * mm, 3 * mm, 2 * mm))
        np.testing.assert_allclose(volume.affine[:3, 3], (-mm, -2 * mm, 3 * mm))
        volume = self.read(tmp_path, "spacings: 2 3 4", f'units: "{unit}" "{unit}" "{unit}"')
        assert volume.spacing_mm == pytest.approx((4 * mm, 3 * mm, 2 * mm))

    @pytest.mark.parametrize("centers", ["cell", "node", None])
    def test_a_minimum_is_the_edge_of_a_cell_and_the_centre_of_a_node(self, tmp_path, centers):
        lines = ["spacings: 1 2 3", "axis mins: 10 20 30"]
        self.read(
            tmp_path, *lines, *([f"centers: {centers} {centers} {centers}"] if centers else [])
        )
        ours = io.read_volume(tmp_path / "a.nrrd")
        theirs = Volume.from_sitk(sitk.ReadImage(str(tmp_path / "a.nrrd")))
        np.testing.assert_allclose(ours.affine, theirs.affine)

    def test_ends_alone_say_the_spacing(self, tmp_path):
        ends = ["axis mins: 0 0 0", "axis maxs: 8 9 8"]  # of 4, 3 and 2 samples
        assert self.read(tmp_path, *ends, "centers: cell cell cell").spacing_mm == (4, 3, 2)
        assert self.read(tmp_path, *ends, "centers: node node node").spacing_mm == pytest.approx(
            (8, 4.5, 8 / 3)
        )

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            (["space: RAS", "spacings: 1 1 1"], "no space directions"),
            (["space: sideways", "space directions: (2,0,0) (0,3,0) (0,0,4)"], "sideways"),
            (
                [
                    "space: RAS",
                    "space directions: (2,0,0) (0,3,0) (0,0,4)",
                    'space units: "in" "in" "in"',
                ],
                "unit 'in'",
            ),
        ],
    )
    def test_what_cannot_be_understood_is_refused(self, tmp_path, lines, words):
        with pytest.raises(errors.InvalidGeometry, match=rf"a\.nrrd.*{words}"):
            self.read(tmp_path, *lines)

    def test_every_pair_of_ends_is_a_frame(self, tmp_path):
        steps = "space directions: (2,0,0) (0,3,0) (0,0,4)"
        volume = self.read(tmp_path, "space: right-posterior-superior", steps)
        assert volume.affine[:3, :3].tolist() == [[2, 0, 0], [0, -3, 0], [0, 0, 4]]

    def test_three_volumes_are_no_colours(self, tmp_path, rng):
        data = rng.integers(0, 200, (4, 5, 6, 3)).astype(np.uint8)
        for more in ({"kinds": ["domain", "domain", "domain", "list"]}, {}):
            nrrd.write(str(tmp_path / "a.nrrd"), data, more)
            with pytest.raises(errors.InvalidInput, match="3 volumes"):
                io.read_volume(tmp_path / "a.nrrd")
            np.testing.assert_array_equal(
                io.read_volume(tmp_path / "a.nrrd", frame=2).voxels, data[..., 2].T
            )

    @pytest.mark.parametrize("encoding", ["raw", "gzip", "bzip2", "ascii"])
    @pytest.mark.parametrize("order", ["little", "big"])
    def test_what_pynrrd_wrote(self, tmp_path, rng, encoding, order):
        data = rng.integers(0, 900, (4, 3, 2)).astype("<i2" if order == "little" else ">i2")
        header = {"encoding": encoding, "space": "RAS", "space directions": np.diag([1.0, 2, 3]),
                  "space origin": [1.0, 2, 3], "endian": order}  # fmt: skip
        nrrd.write(str(tmp_path / "a.nrrd"), data, header)
        volume = io.read_volume(tmp_path / "a.nrrd", window="raw")
        np.testing.assert_array_equal(volume.voxels, data.T)
        assert volume.spacing_mm == (3, 2, 1)

    def test_a_list_of_volumes_may_come_first_or_last(self, tmp_path, rng):
        data = rng.integers(0, 200, (5, 4, 3, 2)).astype(np.uint8)
        directions = np.vstack([np.full(3, np.nan), np.diag([1.0, 2, 3])])
        kinds = ["list", "domain", "domain", "domain"]
        header = {"space": "LPS", "space directions": directions, "kinds": kinds}
        nrrd.write(str(tmp_path / "a.nrrd"), data, header)
        header = {
            "space": "LPS",
            "space directions": directions[[1, 2, 3, 0]],
            "kinds": kinds[::-1],
        }
        nrrd.write(str(tmp_path / "b.nrrd"), np.moveaxis(data, 0, -1), header)
        for name in ("a.nrrd", "b.nrrd"):
            volume = io.read_volume(tmp_path / name, frame=4)
            np.testing.assert_array_equal(volume.voxels, data[4].T)
            assert volume.spacing_mm == (3, 2, 1)

    def test_a_file_beside_it(self, tmp_path):
        (tmp_path / "a.raw").write_bytes(bytes(range(24)))
        assert self.read(tmp_path, "data file: ./a.raw", data=b"").voxels[1, 2, 3] == 23

    def test_zeros_pack_well_in_bzip2(self, tmp_path):
        data = np.zeros((512, 512, 20), np.uint8)
        nrrd.write(str(tmp_path / "a.nrrd"), data, {"encoding": "bzip2"})
        assert io.read_volume(tmp_path / "a.nrrd").shape == (20, 512, 512)

    @pytest.mark.parametrize("name", ["/etc/hostname", "../other.raw", "gone.raw"])
    def test_a_header_chooses_no_file_elsewhere(self, tmp_path, name):
        with pytest.raises(errors.FileError, match="same folder"):
            self.read(tmp_path, f"data file: {name}", data=b"")


class TestMetaImage:
    HEADER = "NDims = 3\nDimSize = 4 3 2\nElementType = MET_USHORT\n"

    def read(self, tmp_path, *lines, data=None):
        text = self.HEADER + "\n".join([*lines, "ElementDataFile = LOCAL", ""])
        data = np.arange(24, dtype="<u2").tobytes() if data is None else data
        (tmp_path / "a.mha").write_bytes(text.encode() + data)
        return io.read_volume(tmp_path / "a.mha", window="raw")

    def test_a_header_of_few_words(self, tmp_path):
        volume = self.read(tmp_path)
        assert volume.spacing_mm == (1, 1, 1)
        assert volume.voxels[1, 2, 3] == 23

    def test_older_words_for_the_same(self, tmp_path):
        volume = self.read(
            tmp_path,
            "Position = 10 20 30",
            "ElementSize = 2 3 4",
            "Orientation = 0 1 0 1 0 0 0 0 1",
        )
        theirs = Volume.from_sitk(sitk.ReadImage(str(tmp_path / "a.mha")))
        np.testing.assert_allclose(volume.affine, theirs.affine)

    @pytest.mark.parametrize("word", ["True", "T", "1"])
    @pytest.mark.parametrize("key", ["BinaryDataByteOrderMSB", "ElementByteOrderMSB"])
    def test_bytes_in_the_other_order(self, tmp_path, key, word):
        data = np.arange(24, dtype=">u2").tobytes()
        volume = self.read(tmp_path, f"{key} = {word}", data=data)
        assert volume.voxels[1, 2, 3] == 23
        assert volume.voxels.dtype.isnative

    def test_voxels_at_the_end_of_the_file(self, tmp_path):
        data = b"something" + np.arange(24, dtype="<u2").tobytes()
        assert self.read(tmp_path, "HeaderSize = -1", data=data).voxels[1, 2, 3] == 23

    def test_voxels_at_the_end_of_another_file(self, tmp_path):
        (tmp_path / "a.raw").write_bytes(b"header" + np.arange(24, dtype="<u2").tobytes())
        text = self.HEADER + "HeaderSize = -1\nElementDataFile = a.raw\n"
        (tmp_path / "a.mhd").write_text(text)
        assert io.read_volume(tmp_path / "a.mhd", window="raw").voxels[1, 2, 3] == 23

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            (["BinaryData = False"], "as text"),
            (["BinaryData = F"], "as text"),
            (["BinaryData = perhaps"], "True or False, got 'perhaps'"),
            (["ElementSpacing = 2"], "as many spacings"),
            (["HeaderSize = 6"], "HeaderSize 6"),
            (["ElementType = MET_STRING"], "MET_STRING"),
            (["ElementSpacing = 0 1 1"], "singular"),
            (["DimSize = 4 3"], r"3 dimensions of sizes \[4, 3\]"),
            (["DimSize = 4000 3000 20000"], "announces 480,000,000,000 bytes"),
            (["DimSize = 4 3 3"], "cut off: 72 bytes of voxels announced, 48"),
        ],
    )
    def test_what_cannot_be_is_said(self, tmp_path, lines, words):
        with pytest.raises(errors.MedSegAnyError, match=words):
            self.read(tmp_path, *lines)
