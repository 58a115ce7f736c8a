"""I marked one slice of a scan. How do I get all of them?
=======================================================

One box on one slice of a head MR becomes a mask on every slice, which is then measured in
millilitres and written to a file on the grid of its source. The scan comes with nibabel.
"""

import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nib
import numpy as np
from matplotlib.patches import Rectangle

import medsegany
from medsegany import Box

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
# In a volume a prompt says on which slice it lies: ``.at(12)``. ``segment_volume`` makes the mask
# there and carries it up and down.

prompt = Box(30, 4, 98, 91).at(12)

segmenter = medsegany.load()
out = segmenter.segment_volume(volume, prompt)
print(out.mask.shape, "slices visited:", out.visited[1])

# %%
# This model has no memory, so it crosses by boxes: the box of each mask is the prompt on the next
# slice. SAM 2 would remember the slices instead. The line of code is the same.
#
# In this file rows run from the back of the head to the front, so the pictures put row 0 at the
# bottom. Columns run from the patient's right to the left, as radiologists expect to see them.

orange, blue = "#e69f00", "#56b4e9"

figure, panels = plt.subplots(2, 4, figsize=(10, 4.6), layout="constrained")
figure.patch.set_facecolor("black")
for axes, k in zip(panels.flat, (1, 4, 7, 10, 12, 15, 18, 21), strict=True):
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


def show_across(axes: plt.Axes, mask: np.ndarray, column: int = 48) -> None:
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
chart.set(xlabel="area (cm²)", xlim=(0, 190))
chart.set_title(f"{millilitres:.0f} ml in all", fontsize=10)
for axes in (across, chart):
    axes.axhline(prompt.index, color="0.6", linestyle=":", linewidth=1)

# %%
# Which slice should be prompted?
# -------------------------------
#
# One where the object is large. A mask of this model stays inside its box, so the box that goes on
# to the next slice can shrink and never grow. Started from the top of the head, where the brain is
# narrow, it stays narrow all the way down.
#
# An object may be prompted on several slices. Each other slice is then reached from the nearest
# prompted one, and a second box repairs the lower half. (``propagation=ByBox(margin_px=2)`` would
# be the other way out: boxes that may grow, on every slice.)

top, low = Box(34, 8, 92, 85).at(23), Box(31, 2, 96, 89).at(9)
narrow = segmenter.segment_volume(volume, top)
repaired = segmenter.segment_volume(volume, [top, low])

figure, (across, chart) = plt.subplots(
    1, 2, figsize=(10, 2.55), layout="constrained", sharey=True, gridspec_kw=ratios
)
show_across(across, narrow.mask)
across.contour(repaired.mask[:, :, 48], levels=[0.5], colors=blue, linewidths=1.5)
slices = range(len(mask))
chart.plot(areas_cm2(narrow.mask), slices, color=orange, marker="o", markersize=4, label="one box")
chart.plot(areas_cm2(repaired.mask), slices, color=blue, marker="o", markersize=4, label="two")
chart.set(xlabel="area (cm²)", xlim=(0, 190))
chart.legend(frameon=False, loc="center left")

# %%
# Writing it down
# ---------------
#
# ``write_labels`` writes ``(D, H, W)`` labels on the grid of their source: same shape, same affine,
# same codes. Any viewer lays it over the scan.

with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "brain.nii.gz"
    medsegany.io.write_labels(path, repaired.labels(), like=volume)
    written, scan = nib.load(path), nib.load(source)
    print(written.shape, "like the scan's", scan.shape[:3])
    print("same affine:", np.array_equal(written.affine, scan.affine))

# sphinx_gallery_thumbnail_number = 1
