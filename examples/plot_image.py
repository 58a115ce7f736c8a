"""I can draw a box around it. How do I get its mask?
==================================================

One image, one box, one mask; then a looser box, and two objects at once. The image is a photograph
of the back of an eye that comes with scikit-image. What we want is the optic disc, the bright round
spot where the nerve leaves.
"""

import matplotlib.pyplot as plt
from matplotlib.patches import Rectangle
from skimage.data import retina

import medsegany
from medsegany import Box
from medsegany.overlays import overlay

image = retina()
print(image.shape, image.dtype)

# %%
# The image is ``uint8`` and ``(H, W, 3)``: display values, which is what every verb takes. (For CT
# and other intensities there is ``medsegany.preprocess.to_display``.)
#
# The box
# -------
#
# A box is ``Box(x0, y0, x1, y1)``, where x is the column and y the row, and both corners belong to
# it. Pixel (0, 0) has its centre at 0, so a box is drawn from half a pixel before its first column
# to half a pixel after its last one.

disc = Box(118, 536, 330, 762)


def draw(axes: plt.Axes, box: Box, **style: object) -> None:
    """Draw a box where its pixels are."""
    width, height = box.x1 - box.x0 + 1, box.y1 - box.y0 + 1
    style = {"fill": False, "edgecolor": "white", "linewidth": 1.5, **style}
    axes.add_patch(Rectangle((box.x0 - 0.5, box.y0 - 0.5), width, height, **style))


segmenter = medsegany.load()
found = segmenter.segment_2d(image, disc)
print(found)
print(found.mask.shape, found.mask.dtype, f"{found.mask.sum():,} pixels")

# %%
# The mask lies on the image as given: same height, same width. The score is the overlap with the
# truth (IoU) that the model expects of it, about 0 to 1. The model is ``nano``, the small SAM 2
# that comes along; ``load("sam2.1-t")`` and its like take the same prompts.

blue = "#0b4f8a"  # shows on red and on yellow
figure, (whole, near) = plt.subplots(1, 2, figsize=(10, 5), layout="constrained")
whole.imshow(image)
draw(whole, disc)
whole.set_title("the prompt")
near.imshow(image)
draw(near, disc, linestyle="--")
near.contour(found.mask, levels=[0.5], colors=blue, linewidths=2)
near.set(xlim=(60, 390), ylim=(820, 480), title="the mask")
for axes in (whole, near):
    axes.set_axis_off()

# %%
# How tight must the box be?
# --------------------------
#
# ``embed`` takes the image once, and it is prompted three times. This is the way to go wherever one
# image gets several prompts: SAM encodes the image once then, which is most of its work. (``nano``
# looks at the surroundings of each object instead, and encodes those.)
#
# A box says where the object ends, and models believe it. Here the second and third box are 30 and
# 60 pixels larger on every side.

embedded = segmenter.embed(image)
figure, panels = plt.subplots(1, 3, figsize=(10, 3.7), layout="constrained")
for axes, margin in zip(panels, (0, 30, 60), strict=True):
    box = Box(disc.x0 - margin, disc.y0 - margin, disc.x1 + margin, disc.y1 + margin)
    mask = embedded.segment(box).mask
    axes.imshow(image)
    draw(axes, box, linestyle="--")
    axes.contour(mask, levels=[0.5], colors=blue, linewidths=2)
    axes.set(xlim=(30, 420), ylim=(850, 450), title=f"+{margin} px: {mask.sum():,} px")
    axes.set_axis_off()

# %%
# Two objects
# -----------
#
# Objects have ids, whole numbers from 1. Each one is segmented as if it were alone, so masks may
# overlap; ``labels()`` gives every pixel to one object at most. ``medsegany.overlays.overlay``
# draws such a map over its image.

fovea = Box(590, 590, 830, 820)
both = segmenter.segment_2d(image, {1: disc, 2: fovea})
labels = both.labels()
print({name: int(mask.sum()) for name, mask in both.masks.items()}, labels.dtype)

figure, axes = plt.subplots(figsize=(7, 7), layout="constrained")
axes.imshow(overlay(image, labels, boxes=[disc, fovea], thickness_px=4))
axes.set_title("1: optic disc, 2: fovea")
axes.set_axis_off()

# sphinx_gallery_thumbnail_number = 1
