"""The paper's data sets, as they come from their authors, in miniature."""

import nibabel as nib
import numpy as np
import pytest
from benchmark_makers import discs, shown, write_case
from PIL import Image as Pillow

from medsegany.benchmark import RECIPES, prepare
from medsegany.errors import FileError, InvalidInput


def nifti(path, stack):
    """Frames or slices `(k, row, column)`, stored as NIfTI does: column first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(stack.transpose(2, 1, 0), np.eye(4)), path)


def prepared(name, folder):
    recipe = RECIPES[name]
    found = prepare(recipe.sources(folder), folder / "out", recipe.preparation)
    assert found.left_out == {}
    return found.manifest


def arrays(manifest, case):
    with np.load(manifest.path(case)) as file:
        return file["imgs"], file["gts"]


def test_camus_is_a_film_of_each_view(tmp_path):
    truth = np.stack(discs(4)).astype(np.uint8)
    for view in ("2CH", "4CH"):
        path = tmp_path / "database_nifti" / "patient0001" / f"patient0001_{view}_half_sequence"
        nifti(path.with_suffix(".nii.gz"), shown(truth > 0))
        nifti(path.with_name(f"{path.name}_gt.nii.gz"), truth)
        nifti(path.with_name(f"patient0001_{view}_ED.nii.gz"), shown(truth[:1] > 0))
    manifest = prepared("camus", tmp_path)
    assert [case.id for case in manifest] == ["patient0001_2CH", "patient0001_4CH"]
    for case in manifest:
        assert (case.patient, case.kind, case.modality) == ("patient0001", "video", "US")
        assert dict(case.labels) == {1: "left ventricle"}
        images, labels = arrays(manifest, case)
        assert (labels == truth).all()
        assert (images == shown(truth > 0)).all()


def test_sun_seg_is_films_of_pictures_whose_masks_are_white(tmp_path):
    """Frame 10 is the tenth, though its name comes before that of frame 9."""
    masks = discs(10)
    for n, mask in enumerate(masks, 1):
        for kind, picture in (("Frame", shown(mask)), ("GT", mask.astype(np.uint8) * 255)):
            folder = tmp_path / "TestEasyDataset" / "Seen" / kind / "case12_3"
            folder.mkdir(parents=True, exist_ok=True)
            Pillow.fromarray(picture).save(folder / f"{n}.png")
    (case,) = manifest = prepared("sun-seg", tmp_path)
    assert (case.id, case.patient, case.kind) == (
        "TestEasyDataset-Seen-case12_3",
        "case12",
        "video",
    )
    images, labels = arrays(manifest, case)
    assert (labels == np.stack(masks)).all()
    assert ((images > 100) == np.stack(masks)).all()


def test_flare22_has_the_window_of_the_abdomen_and_no_duodenum(tmp_path):
    truth = np.zeros((10, 40, 48), np.uint8)
    truth[:, 5:20, 5:20] = 1
    truth[:, 25:38, 25:45] = 12
    nifti(
        tmp_path / "images" / "FLARE22_Tr_0001_0000.nii.gz", np.where(truth, 40, -1000).astype("i2")
    )
    nifti(tmp_path / "labels" / "FLARE22_Tr_0001.nii.gz", truth)
    (case,) = manifest = prepared("flare22", tmp_path)
    assert (case.id, case.kind, dict(case.labels)) == ("FLARE22_Tr_0001", "3d", {1: "liver"})
    images, labels = arrays(manifest, case)
    assert set(np.unique(images)) == {0, 255}  # -160 is black; 40, the largest that occurs, white
    assert ((labels == 1) == (truth == 1)).all()


def test_the_challenges_npz_name_their_modality(tmp_path):
    """In the file's name or the folder's; labels may lie in another file of the same name."""
    flat = discs(1)[0].astype(np.uint8)
    write_case(tmp_path / "validation" / "imgs", "2DBox_X-Ray_0001", flat)
    folder = tmp_path / "train_npz" / "PET"
    write_case(folder, "3D_Lesion_7", np.stack([flat] * 3), spacing=(1.0, 1.0, 3.0))
    apart = tmp_path / "other" / "imgs"
    apart.mkdir(parents=True)
    np.savez(apart / "2DBox_MR_0133.npz", imgs=shown(flat > 0))
    (tmp_path / "other" / "gts").mkdir()
    np.savez(tmp_path / "other" / "gts" / "2DBox_MR_0133.npz", gts=flat * 2)
    manifest = prepared("cvpr24", tmp_path)
    assert {case.id: (case.modality, case.kind, *case.labels) for case in manifest} == {
        "2DBox_X-Ray_0001": ("XRay", "2d", 1),
        "3D_Lesion_7": ("PET", "3d", 1),
        "2DBox_MR_0133": ("MR", "2d", 2),
    }


def test_what_the_challenge_may_also_look_like(tmp_path):
    """One name twice; labels apart that say no spacing; the modality in the folder's own name."""
    flat = discs(1)[0].astype(np.uint8)
    stack = np.stack([flat] * 3)
    for part in ("a", "b"):
        write_case(tmp_path / "CT" / part, "lesion", flat)
    images = tmp_path / "CT" / "c" / "imgs"
    images.mkdir(parents=True)
    np.savez(images / "3D_1.npz", imgs=shown(stack > 0), spacing=(1.0, 1.0, 3.0))
    (images.parent / "gts").mkdir()
    np.savez(images.parent / "gts" / "3D_1.npz", gts=stack)
    manifest = prepared("cvpr24", tmp_path / "CT")
    assert {case.id: (case.modality, case.spacing_mm) for case in manifest} == {
        "a-lesion": ("CT", None),
        "b-lesion": ("CT", None),
        "3D_1": ("CT", (3, 1, 1)),
    }


def test_a_folder_of_something_else_is_told_what_it_should_hold(tmp_path):
    with pytest.raises(FileError, match=r"patient0001_2CH_half_sequence\.nii\.gz"):
        RECIPES["camus"].sources(tmp_path)
    with pytest.raises(FileError, match=r"FLARE22, which has images/FLARE22"):
        RECIPES["flare22"].sources(tmp_path)
    with pytest.raises(FileError, match="There is no folder .* https://"):
        RECIPES["sun-seg"].sources(tmp_path / "nowhere")
    write_case(tmp_path, "heart", discs(1)[0].astype(np.uint8))
    with pytest.raises(InvalidInput, match="heart.npz nor its folder names a modality"):
        RECIPES["cvpr24"].sources(tmp_path)
