"""What is drawn in the patient is found there after reading, segmenting and writing.

nibabel and SimpleITK write the scans and read the results; this library is only in between.
"""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import given, settings, strategies as st

from medsegany import io, world
from medsegany.testing import FakeSegmenter

angles = st.floats(-np.pi, np.pi)
LPS = np.diag([-1.0, -1.0, 1.0])


@st.composite
def grids(draw):
    """A shape (i, j, k), and steps and origin in RAS: any turn, flip, permutation, shear."""
    shape = tuple(draw(st.integers(3, 12)) for _ in range(3))
    x, y, z = (draw(angles) for _ in range(3))
    turn = np.eye(3)
    if draw(st.booleans()):
        cx, sx, cy, sy, cz, sz = np.cos(x), np.sin(x), np.cos(y), np.sin(y), np.cos(z), np.sin(z)
        turn = (
            np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
            @ np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
            @ np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        )
    order = np.eye(3)[:, draw(st.permutations(range(3)))]
    flips = np.diag([draw(st.sampled_from([-1.0, 1.0])) for _ in range(3)])
    shear = np.eye(3)
    if draw(st.sampled_from([False, False, True])):
        shear[draw(st.sampled_from([(0, 1), (1, 2), (0, 2)]))] = draw(st.floats(-0.5, 0.5))
    spacing = np.diag([draw(st.floats(0.3, 6)) for _ in range(3)])
    origin = np.array([draw(st.floats(-300, 300)) for _ in range(3)])
    return shape, turn @ order @ flips @ shear @ spacing, origin


def save_scan(path, voxels, steps, origin):
    if path.name.endswith((".nii", ".nii.gz")):
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = steps, origin
        nib.save(nib.Nifti1Image(voxels.T, affine), path)
        return
    image = sitk.GetImageFromArray(voxels)
    spacing = np.linalg.norm(steps, axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((LPS @ steps / spacing).ravel().tolist())
    image.SetOrigin((LPS @ origin).tolist())
    sitk.WriteImage(image, str(path))


def places_by_nibabel(path):
    """RAS of every labelled voxel, in mm."""
    image = nib.load(path)
    ijk = np.argwhere(np.asanyarray(image.dataobj) == 1)
    return nib.affines.apply_affine(image.affine, ijk)


def places_by_simpleitk(path):
    image = sitk.ReadImage(str(path))
    kji = np.argwhere(sitk.GetArrayFromImage(image) == 1)
    points = [image.TransformIndexToPhysicalPoint(tuple(map(int, v[::-1]))) for v in kji]
    return np.array(points) @ LPS


@settings(max_examples=300)
@given(grids(), st.sampled_from([".nii", ".nii.gz", ".nrrd", ".mha"]), st.data())
def test_an_object_drawn_in_the_world_comes_back_there(tmp_path_factory, grid, ending, data):
    shape, steps, origin = grid
    folder = tmp_path_factory.mktemp("world")
    scan = folder / f"scan{ending}"

    # Drawn without this library: a bright block, and two of its opposite corners.
    ends = [sorted(data.draw(st.tuples(*[st.integers(0, n - 1)] * 2))) for n in shape]
    corners_ras = np.array(ends).T @ steps.T + origin
    inside = np.stack(np.meshgrid(*[np.arange(a, b + 1) for a, b in ends]), axis=-1).reshape(-1, 3)
    expected = inside @ steps.T + origin
    voxels = np.full(shape[::-1], 20, np.uint8)
    voxels[tuple(inside[:, ::-1].T)] = 200
    save_scan(scan, voxels, steps, origin)

    volume = io.read_volume(scan)
    region = world.box(volume, corners_ras @ LPS, space="LPS")
    out = FakeSegmenter().segment_volume(volume, region.prompt, slices=region.slices)

    axes = steps / np.linalg.norm(steps, axis=0)
    sheared = np.abs(axes.T @ axes - np.eye(3)).max() > 1e-5
    for name in ("seg.nii.gz", "seg.nrrd", "seg.mha"):
        io.write_labels(folder / name, out.labels(), like=volume)
        readers = [places_by_simpleitk]
        if ".nii" in name:
            # NIfTI holds a shear, in its sform; ITK refuses to read it.
            readers = [places_by_nibabel] if sheared else [places_by_nibabel, places_by_simpleitk]
        for read in readers:
            found = read(folder / name)
            assert len(found) == len(expected), name
            nearest = np.linalg.norm(found[:, None] - expected, axis=-1).min(axis=1)
            # float32 in NIfTI: 300 mm to 2e-5, and ITK may take the turn from a quaternion of them
            assert nearest.max() < 5e-3, name


@pytest.mark.parametrize("target", [".nii.gz", ".nrrd", ".mha", ".npz"])
@pytest.mark.parametrize("tilt", [0, 15])
def test_a_dicom_series_comes_back_at_its_place(tmp_path, dicom, rng, target, tilt):
    voxels = rng.integers(1, 900, (6, 8, 7)).astype(np.uint16)
    places = dicom.places(6, orientation=(0.8, 0, 0.6, 0.36, 0.8, -0.48), tilt=tilt)
    dicom.series(tmp_path / "d", voxels, places, orientation=(0.8, 0, 0.6, 0.36, 0.8, -0.48),
                 order=[2, 5, 1, 0, 4, 3])  # fmt: skip
    volume = io.read_volume(tmp_path / "d")
    labels = np.zeros(volume.shape, np.uint8)
    labels[4, 6, 5] = 1
    path = tmp_path / f"seg{target}"
    io.write_labels(path, labels, like=volume)
    step = (0.8 * np.array([0.36, 0.8, -0.48]) * 6, 0.7 * np.array([0.8, 0, 0.6]) * 5)
    expected = LPS @ (places[4] + sum(step))
    if target == ".npz":
        content = np.load(path)
        ((k, j, i),) = np.argwhere(content["segs"] == 1)
        (found,) = nib.affines.apply_affine(content["affine"], [(i, j, k)])
    else:
        read = places_by_nibabel if target == ".nii.gz" else places_by_simpleitk
        (found,) = read(path)
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert io.read_labels(path, like=volume).labels[4, 6, 5] == 1
