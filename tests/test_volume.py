import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from medsegany import Volume, errors

OBLIQUE = np.array([[-0.8, 0.1, 0.3, 90], [0.2, -1.1, 0.4, -30], [0.1, 0.5, 4.8, 12], [0, 0, 0, 1]])


def test_spacing_is_in_the_order_of_the_array_s_axes():
    volume = Volume(np.zeros((2, 3, 4)), np.diag([0.8, 0.9, 5.0, 1]))
    assert volume.spacing_mm == (5.0, 0.9, 0.8)
    assert Volume.from_spacing(np.zeros((2, 3, 4)), (5.0, 0.9, 0.8)).spacing_mm == (5.0, 0.9, 0.8)


def test_voxel_kji_lies_where_the_affine_puts_ijk():
    volume = Volume(np.zeros((2, 3, 4)), OBLIQUE)
    k, j, i = 1, 2, 3
    x, y, z, _ = volume.affine @ (i, j, k, 1)
    assert (x, y, z) == pytest.approx((-0.8 * 3 + 0.1 * 2 + 0.3 + 90, 0.6 - 2.2 + 0.4 - 30, 18.1))


def test_nibabel_s_array_is_transposed_and_nothing_else():
    data = np.arange(24).reshape(4, 3, 2).astype(np.int16)  # i, j, k
    volume = Volume.from_nibabel(nib.Nifti1Image(data, OBLIQUE))
    assert volume.shape == (2, 3, 4)
    assert volume.voxels[1, 2, 3] == data[3, 2, 1]
    np.testing.assert_array_equal(volume.affine, OBLIQUE)


def test_a_voxel_lies_at_the_same_place_in_simpleitk_and_here():
    image = sitk.GetImageFromArray(np.arange(24).reshape(2, 3, 4))
    image.SetSpacing((0.8, 0.9, 5.0))
    image.SetOrigin((-100.0, 20.0, 7.0))
    image.SetDirection((0, 1, 0, -1, 0, 0, 0, 0, 1))
    volume = Volume.from_sitk(image)
    assert volume.voxels[1, 2, 3] == image[3, 2, 1]
    lps = np.array(image.TransformIndexToPhysicalPoint((3, 2, 1)))
    np.testing.assert_allclose(volume.affine @ (3, 2, 1, 1), [*(lps * (-1, -1, 1)), 1])


@pytest.mark.parametrize(
    ("affine", "words"),
    [
        (np.eye(3), "4x4"),
        (np.diag([1.0, 1, 0, 1]), "singular"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [5, 6, 7, 1]]), "transposed"),
    ],
)
def test_an_affine_that_describes_no_grid_is_refused(affine, words):
    with pytest.raises(errors.InvalidGeometry, match=words):
        Volume(np.zeros((2, 3, 4)), affine)


@pytest.mark.parametrize("spacing", [(0, 1, 1), (-1, 1, 1), (1, 1), (1, np.nan, 1)])
def test_a_spacing_is_three_numbers_above_zero(spacing):
    with pytest.raises(errors.InvalidGeometry, match="spacing_mm"):
        Volume.from_spacing(np.zeros((2, 3, 4)), spacing)


@pytest.mark.parametrize("shape", [(3, 4), (0, 3, 4), (2, 3, 4, 2), (1, 2, 3, 4, 3)])
def test_voxels_are_a_stack(shape):
    with pytest.raises(errors.InvalidImage):
        Volume(np.zeros(shape), np.eye(4))


def test_colour_volumes_exist():
    assert Volume(np.zeros((2, 3, 4, 3)), np.eye(4)).shape == (2, 3, 4)


def test_other_values_keep_the_grid_and_add_to_the_record():
    volume = Volume(np.zeros((2, 3, 4)), OBLIQUE).with_voxels(np.ones((2, 3, 4)), "a")
    volume = volume.with_voxels(np.ones((2, 3, 4)), "b")
    assert volume.preparation == "a; b"
    np.testing.assert_array_equal(volume.affine, OBLIQUE)
    with pytest.raises(errors.InvalidImage, match=r"\(2, 3, 5\)"):
        volume.with_voxels(np.ones((2, 3, 5)))


def test_the_affine_cannot_be_changed_behind_the_volume_s_back():
    affine = np.eye(4)
    volume = Volume(np.zeros((2, 3, 4)), affine)
    affine[0, 0] = 9
    assert volume.affine[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        volume.affine[0, 0] = 9


def test_a_4d_image_says_how_to_take_one_of_it():
    image = nib.Nifti1Image(np.zeros((4, 3, 2, 5)), np.eye(4))
    with pytest.raises(errors.InvalidImage, match=r"slicer\[\.\.\., 0\]"):
        Volume.from_nibabel(image)


def test_a_volume_is_shown_by_what_matters():
    volume = Volume.from_spacing(np.zeros((2, 3, 4), np.int16), (5, 0.9, 0.8))
    assert repr(volume) == "<Volume int16 (2, 3, 4), (5, 0.9, 0.8) mm>"
