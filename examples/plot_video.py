"""How do I follow something through a film, and correct it on the way?
====================================================================

A box on the first frame of an ultrasound film, masks frame by frame as they are made, and a new box
where the first one no longer fits. The film shows a beating heart, and comes with pydicom.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Rectangle
from pydicom.examples import get_path

import medsegany
from medsegany import Box

film = medsegany.io.read_frames(get_path("ybr_color"))
print(len(film), "frames of", film[0].shape, film[0].dtype)
frames = [film[t] for t in range(24)]

# %%
# Thirty frames, ``(H, W, 3)`` and ``uint8``, each decoded when it is asked for. We want the cavity
# of the left ventricle, for one beat of the heart, which takes 24 of them.
#
# ``track_video`` computes nothing by itself: it hands out one frame each time it is asked, so the
# first mask is there long before the last frame has been read. Frames may come from an array, a
# folder, a video file or a camera.

ventricle = Box(156, 68, 203, 130)

segmenter = medsegany.load()
masks = [found.mask for found in segmenter.track_video(frames, ventricle)]
print(len(masks), "masks of", masks[0].shape)

# %%
# What was found
# --------------
#
# The heart empties and fills. ``nano``, the small SAM 2 that comes along, remembers what the cavity
# looked like, and looks for it on the next frame. A small model needs to be watched: on the frames
# after these it loses the wall, and runs out into the dark.

orange, blue = "#e69f00", "#56b4e9"
shown = (0, 6, 10, 18, 23)


def show(found: list[np.ndarray], boxes: dict[int, Box], colour: str) -> None:
    """Show some frames around the ventricle, with the contours of masks and with boxes."""
    figure, panels = plt.subplots(1, len(shown), figsize=(10, 2.6), layout="constrained")
    figure.patch.set_facecolor("black")
    for axes, t in zip(panels, shown, strict=True):
        axes.imshow(frames[t])
        axes.contour(found[t], levels=[0.5], colors=colour, linewidths=1.5)
        if t in boxes:
            x0, y0, x1, y1 = boxes[t].as_array()
            corner, size = (x0 - 0.5, y0 - 0.5), (x1 - x0 + 1, y1 - y0 + 1)
            axes.add_patch(Rectangle(corner, *size, fill=False, edgecolor="white"))
        axes.set(xlim=(100, 260), ylim=(205, 20))
        axes.set_title(f"frame {t}", color="white", fontsize=10)
        axes.set_axis_off()


show(masks, {0: ventricle}, orange)

# %%
# Corrections on the way
# ----------------------
#
# Whoever watches the frames go by can step in. ``tracking.prompt`` takes prompts for the frame last
# yielded, or for a later one, and says at once what it made of them. The frames after that start
# from there; those that are gone stay as they were.

corrections = {10: Box(156, 66, 209, 138)}

tracking = segmenter.track_video(frames, ventricle)
corrected = []
for found in tracking:
    box = corrections.get(found.index)
    result = found if box is None else tracking.prompt(box)
    corrected.append(result.mask)

show(corrected, {0: ventricle, **corrections}, blue)

# %%
# The area over time, with and without the corrections. Frames of this film are 33 ms apart.

milliseconds = np.arange(len(frames)) * 33.333
figure, axes = plt.subplots(figsize=(7.5, 3.2), layout="constrained")
for found, colour, label in ((masks, orange, "one box"), (corrected, blue, "with corrections")):
    areas = [int(mask.sum()) for mask in found]
    axes.plot(milliseconds, areas, color=colour, marker="o", markersize=4, label=label)
for t in corrections:
    axes.axvline(milliseconds[t], color="0.6", linestyle=":", linewidth=1)
axes.set(xlabel="time (ms)", ylabel="area of the mask (px)", ylim=(0, None))
axes.legend(frameon=False, loc="lower right")

# sphinx_gallery_thumbnail_number = 2
