import json

import nibabel as nib
import numpy as np
import pytest
from benchmark_makers import discs, shown, three_kinds, write_case
from PIL import Image as Pillow

from medsegany import Volume, io
from medsegany.benchmark import (
    PAPER_PREPARATION,
    Manifest,
    Preparation,
    Source,
    prepare,
    read_sources,
    sources,
)
from medsegany.errors import FileError, InvalidInput


def of(cases, folder, **how):
    """The one case that was prepared, and its arrays."""
    prepared = prepare(cases, folder, Preparation(**how))
    assert prepared.left_out == {}
    (case,) = prepared.manifest
    with np.load(prepared.manifest.path(case)) as file:
        return case, dict(file)


def test_challenge_npz_are_found_with_their_kind_and_spacing(tmp_path):
    manifest = prepare(three_kinds(tmp_path / "in"), tmp_path / "out").manifest
    assert {case.id: case.kind for case in manifest} == {
        "flat-1": "2d",
        "flat-2": "2d",
        "ct-1": "3d",
        "film-1": "video",
    }
    spacing = {case.id: case.spacing_mm for case in manifest}
    assert spacing["ct-1"] == (3, 1, 1)
    assert spacing["flat-1"] is None
    assert spacing["film-1"] is None


def test_pictures_with_label_maps(tmp_path):
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    mask = discs(1)[0]
    Pillow.fromarray(shown(mask)).save(tmp_path / "images" / "a.png")
    Pillow.fromarray(mask.astype(np.uint8) * 3).save(tmp_path / "labels" / "a.png")
    found = sources(tmp_path / "images", "X-ray", labels=tmp_path / "labels", names={3: "lung"})
    case, arrays = of(found, tmp_path / "out")
    assert (case.id, case.modality, case.kind, dict(case.labels)) == (
        "a",
        "X-ray",
        "2d",
        {3: "lung"},
    )
    assert (arrays["imgs"] == shown(mask)).all()
    assert ((arrays["gts"] == 3) == mask).all()


@pytest.mark.parametrize(("names", "label"), [(None, 1), ({1: "polyp"}, 1), ({255: "polyp"}, 255)])
def test_a_picture_with_a_mask_of_255_has_one_object(tmp_path, names, label):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    mask = discs(1)[0]
    Pillow.fromarray(shown(mask)).save(tmp_path / "images" / "a.png")
    Pillow.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "masks" / "a.png")
    case, arrays = of(sources(tmp_path, "Endoscopy", names=names), tmp_path / "out")
    assert dict(case.labels) == {label: "polyp" if names else ""}
    assert set(np.unique(arrays["gts"])) == {0, label}


def test_nifti_gets_its_window_and_keeps_its_spacing(tmp_path):
    (tmp_path / "imagesTr").mkdir()
    (tmp_path / "labelsTr").mkdir()
    masks = np.stack(discs(3))
    volume = Volume.from_spacing(np.where(masks, 60, -900).astype(np.int16), (2.5, 0.7, 0.7))
    voxels = volume.voxels.transpose(2, 1, 0)  # nibabel's order
    nib.save(nib.Nifti1Image(voxels, volume.affine), tmp_path / "imagesTr" / "p_0000.nii.gz")
    io.write_labels(tmp_path / "labelsTr" / "p.nii.gz", masks.astype(np.uint8), like=volume)
    case, arrays = of(sources(tmp_path, "CT"), tmp_path / "out", window="abdomen")
    assert case.spacing_mm == pytest.approx((2.5, 0.7, 0.7))
    assert arrays["imgs"].dtype == np.uint8
    assert json.loads(case.steps[0])["step"] == "intensities"
    assert (arrays["imgs"][masks] > arrays["imgs"][~masks].max()).all()


def test_a_film_with_masks_of_255(tmp_path):
    path = tmp_path / "film"
    path.mkdir()
    for n, mask in enumerate(discs(4)):
        Pillow.fromarray(shown(mask)).save(path / f"{n:03}.png")
    np.savez(tmp_path / "truth.npz", gts=np.stack(discs(4)).astype(np.uint8) * 255)
    case, arrays = of(
        [Source("film", "p", "Endoscopy", path, tmp_path / "truth.npz")], tmp_path / "out"
    )
    assert case.kind == "video"
    assert set(np.unique(arrays["gts"])) == {0, 1}
    assert arrays["imgs"].shape[:3] == (4, 40, 48)


def a_film_with_masks(folder, masks):
    """Four frames of 40 x 48 pixels, and label maps as pictures."""
    for name in ("film", "truth"):
        (folder / name).mkdir()
    for n, (mask, other) in enumerate(zip(discs(4), masks, strict=True)):
        Pillow.fromarray(shown(mask)).save(folder / "film" / f"{n:03}.png")
        Pillow.fromarray(other.astype(np.uint8)).save(folder / "truth" / f"{n:03}.png")
    return Source("film", "p", "Endoscopy", folder / "film", folder / "truth")


def test_a_film_with_a_mask_for_each_frame(tmp_path):
    _, arrays = of([a_film_with_masks(tmp_path, discs(4))], tmp_path / "out")
    assert (arrays["gts"] == np.stack(discs(4))).all()


@pytest.mark.parametrize("shape", [(48, 40), (20, 24)])
def test_a_film_whose_masks_have_another_shape_is_left_out(tmp_path, shape):
    """Turned masks have as many pixels: taken in another order they would be noise."""
    masks = [np.ones(shape)] * 4
    prepared = prepare([a_film_with_masks(tmp_path, masks)], tmp_path / "out", Preparation())
    assert str(shape) in prepared.left_out["film"]


@pytest.mark.parametrize(
    ("value", "said"), [(-1, "values from -1 to 1"), (65537, "values from 0 to 65537")]
)
@pytest.mark.parametrize("apart", [False, True])
def test_labels_that_are_none_are_left_out(tmp_path, value, said, apart):
    """As uint16 they would be objects 65535 and 1."""
    right = np.stack(discs(3)).astype(np.int32)
    wrong = right.copy()
    wrong[0, 0] = value
    path = write_case(tmp_path, "x", right if apart else wrong, shown(right > 0))
    truth = write_case(tmp_path, "y", wrong, shown(right > 0)) if apart else None
    source = Source("x", "p", "CT", path, truth)
    assert said in prepare([source], tmp_path / "out", Preparation()).left_out["x"]


def test_a_table_names_everything(tmp_path):
    write_case(tmp_path, "x", discs(1)[0].astype(np.uint8))
    (tmp_path / "cases.csv").write_text(
        "case,patient,modality,image,licence,1\nx,p7,OCT,x.npz,CC0,retina\n"
    )
    (source,) = read_sources(tmp_path / "cases.csv")
    case, _ = of([source], tmp_path / "out")
    assert (case.patient, case.modality, case.licence) == ("p7", "OCT", "CC0")
    assert dict(case.labels) == {1: "retina"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("case,image\nx,x.npz\n", "needs the columns case, modality and image; it has case, image"),
        ("", "it has no line"),
        ("case,modality,image,patent\nx,CT,x.npz,p\n", "has a column 'patent'"),
        ("case,modality,image\nx,CT,x.npz\ny,CT,\n", "line 3: image is empty"),
        ("case,modality,image\nx,CT,x.npz,p\n", "line 2: it has more fields than"),
    ],
)
def test_a_wrong_table_is_named(tmp_path, text, said):
    (tmp_path / "cases.csv").write_text(text)
    with pytest.raises(FileError, match=said):
        read_sources(tmp_path / "cases.csv")


def test_lines_that_a_spreadsheet_left_are_no_cases(tmp_path):
    (tmp_path / "cases.csv").write_text("case,modality,image\nx,CT,x.npz\n,,\n")
    assert [source.id for source in read_sources(tmp_path / "cases.csv")] == ["x"]


@pytest.mark.parametrize("name", ["sub-01/ses-1", "a:b", "", ".hidden", "x ", "caf\udce9", "a\n"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="A case becomes a file"):
        Source(name, "p", "CT", tmp_path / "x.npz")


def test_names_that_differ_in_case_alone_are_one_file_somewhere(tmp_path):
    path = write_case(tmp_path, "x", discs(1)[0].astype(np.uint8))
    both = [Source(name, "p", "CT", path) for name in ("Case1", "case1")]
    prepared = prepare(both, tmp_path / "out")
    assert [case.id for case in prepared.manifest] == ["Case1"]
    assert prepared.left_out == {"case1": "'Case1' differs from it in nothing but case."}


@pytest.mark.parametrize("kind", ["2d", "video"])
def test_the_papers_preparation_is_for_volumes(tmp_path, kind):
    small = np.zeros((40, 48), np.uint8)
    small[10:15, 10:15] = 1  # the paper removes what has less than 1000 voxels
    truth = small if kind == "2d" else np.stack([small, small * 0, small])
    source = Source("x", "p", "OCT", write_case(tmp_path, "x", truth), kind=kind)
    manifest = prepare([source], tmp_path / "out", PAPER_PREPARATION).manifest
    with np.load(manifest.path(manifest.cases[0])) as file:
        assert (file["gts"] == truth).all()


def test_the_same_again_changes_nothing(tmp_path):
    cases = three_kinds(tmp_path / "in")
    first = prepare(cases[:2], tmp_path / "out").manifest
    both = prepare(cases, tmp_path / "out").manifest
    assert both.cases[:2] == first.cases
    assert Manifest.read(tmp_path / "out") == both
    assert len(both) == 4


def test_a_case_that_changed_is_refused_and_nothing_is_lost(tmp_path):
    cases = three_kinds(tmp_path / "in")
    before = prepare(cases, tmp_path / "out").manifest
    write_case(tmp_path / "in", "flat-1", discs(2)[1].astype(np.uint8))
    with pytest.raises(InvalidInput, match="has a case 'flat-1' already"):
        prepare(cases, tmp_path / "out")
    assert Manifest.read(tmp_path / "out") == before
    assert not list((tmp_path / "out" / "cases").glob(".*"))


def test_one_that_cannot_be_read_does_not_stop_the_others(tmp_path):
    cases = three_kinds(tmp_path / "in")
    (tmp_path / "in" / "flat-2.npz").write_bytes(b"broken")
    wrong = Source("none", "p", "CT", write_case(tmp_path, "none", np.zeros((8, 8), np.uint8)))
    prepared = prepare([*cases, wrong], tmp_path / "out")
    assert set(prepared.left_out) == {"flat-2", "none"}
    assert prepared.left_out["none"] == "No object is left."
    assert len(prepared.manifest) == 3
