"""I marked one slice of a scan. How do I get all of them?
=======================================================

One box on one slice of a head MR becomes a mask on every slice, which is then measured in
millilitres and written to a file on the grid of its source. The scan comes with nibabel. What we
want are the lateral ventricles, the two cavities in the middle of the brain, bright in this scan.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
from matplotlib.patches import Rectangle

import medsegany
from medsegany import Box, ByBox

source = Path(nib.__file__).parent / "tests" / "data" / "example4d.nii.gz"
volume = medsegany.io.read_volume(source, frame=0)
print(volume.shape, volume.voxels.dtype)
print("spacing along (k, j, i) in mm:", np.round(volume.spacing_mm, 2))
print(volume.preparation)

# %%
# ``frame=0`` picks the first time point of a 4D file. The intensities have become display values,
# cut at two percentiles, and the volume remembers which. The voxels are in the order of the file,
# ``voxels[k, j, i]``: slice, row, column. Nothing is turned.
#
# A prompt with a place
# ---------------------
#
# In a volume a prompt says on which slice it lies: ``.at(17)``. ``segment_volume`` makes the mask
# there and carries it up and down, as far as ``slices`` says.

prompt = Box(52, 34, 77, 63).at(17)

segmenter = medsegany.load()
out = segmenter.segment_volume(volume, prompt, slices=(12, 20))
print(out.mask.shape, "slices visited:", out.visited[1])

# %%
# ``nano`` is a SAM 2, and remembers the slices that it has been through: on the next one it looks
# for what looks alike. SAM and MedSAM have no memory and cross by boxes, where the box of each mask
# is the prompt on the next slice. The line of code is the same.
#
# In this file rows run from the back of the head to the front, so the pictures put row 0 at the
# bottom. Columns run from the patient's right to the left, as radiologists expect to see them.

orange, blue = "#e69f00", "#56b4e9"

figure, panels = plt.subplots(2, 4, figsize=(10, 4.6), layout="constrained")
figure.patch.set_facecolor("black")
for axes, k in zip(panels.flat, range(12, 20), strict=True):
    axes.imshow(volume.voxels[k], cmap="gray", origin="lower")
    axes.contour(out.mask[k], levels=[0.5], colors=orange, linewidths=1.2)
    if k == prompt.index:
        box = prompt.prompt
        corner = (box.x0 - 0.5, box.y0 - 0.5)  # pixel 0 reaches from -0.5 to 0.5
        size = (box.x1 - box.x0 + 1, box.y1 - box.y0 + 1)  # both corners belong to the box
        axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white", linewidth=1.5))
    axes.set_title(f"slice {k}", color="white", fontsize=10)
    axes.set_xlim(18, 110)
    axes.set_axis_off()

# %%
# Does it hold together?
# ----------------------
#
# A look across the slices shows what no single slice can: whether the mask jumps. The picture is
# stretched to millimetres, for slices and rows are not equally far apart. Beside it, on the same
# slices, is the area of the mask. Areas and volumes come from the spacing, not from the pixels.

slice_mm, row_mm, column_mm = volume.spacing_mm


def areas_cm2(mask: np.ndarray) -> np.ndarray:
    """Area on each slice, from a ``(D, H, W)`` mask."""
    return mask.sum(axis=(1, 2)) * row_mm * column_mm / 100


def show_across(axes: plt.Axes, mask: np.ndarray, column: int = 60) -> None:
    """Show the sagittal plane of one column, and the contour of a mask in it."""
    plane = volume.voxels[:, :, column]
    axes.imshow(plane, cmap="gray", origin="lower", aspect=slice_mm / row_mm)
    axes.contour(mask[:, :, column], levels=[0.5], colors=orange, linewidths=1.5)
    axes.set(xlabel="row j, from back to front", ylabel="slice k, upward")
    axes.set_title(f"across the slices, column {column}", fontsize=10)


mask = out.mask
millilitres = mask.sum() * slice_mm * row_mm * column_mm / 1000

ratios = {"width_ratios": [3, 1.2]}
figure, (across, chart) = plt.subplots(
    1, 2, figsize=(10, 2.55), layout="constrained", sharey=True, gridspec_kw=ratios
)
show_across(across, mask)
chart.plot(areas_cm2(mask), range(len(mask)), color=orange, marker="o", markersize=4)
chart.set(xlabel="area (cm$^2$)", xlim=(0, 16))
chart.set_title(f"{millilitres:.0f} ml in all", fontsize=10)
for axes in (across, chart):
    axes.axhline(prompt.index, color="0.6", linestyle=":", linewidth=1)

# %%
# What if nobody knows where it ends?
# -----------------------------------
#
# Without ``slices`` the model says itself where the object ends: after three slices in a row
# without it. That is a hard question, above all for a small model. ``nano`` goes on to the fluid in
# front of the brain, which looks alike; ``ByBox`` looks where the last box was, and finds something
# there on every slice. So give the first and the last slice where you can.

alone = segmenter.segment_volume(volume, prompt)
boxes = segmenter.segment_volume(volume, prompt, propagation=ByBox())

figure, (across, chart) = plt.subplots(
    1, 2, figsize=(10, 2.55), layout="constrained", sharey=True, gridspec_kw=ratios
)
show_across(across, alone.mask)
across.contour(boxes.mask[:, :, 60], levels=[0.5], colors=blue, linewidths=1.5)
every = range(len(mask))
chart.plot(areas_cm2(alone.mask), every, color=orange, marker="o", markersize=4, label="memory")
chart.plot(areas_cm2(boxes.mask), every, color=blue, marker="o", markersize=4, label="boxes")
chart.set(xlabel="area (cm$^2$)", xlim=(0, 24))
chart.legend(frameon=False, loc="upper right")

# %%
# Writing it down
# ---------------
#
# ``write_labels`` writes ``(D, H, W)`` labels on the grid of their source: same shape, same affine,
# same codes. Any viewer lays it over the scan.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "ventricles.nii.gz"
    medsegany.io.write_labels(path, out.labels(), like=volume)
    written, scan = nib.load(path), nib.load(source)
    print(written.shape, "like the scan's", scan.shape[:3])
    print("same affine:", np.array_equal(written.affine, scan.affine))

# sphinx_gallery_thumbnail_number = 1
