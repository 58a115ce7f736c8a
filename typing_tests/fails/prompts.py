"""What must not type-check: each line that ends in `# error` has an error, and no other has."""

import numpy as np
from numpy.typing import NDArray

import medsegany
from medsegany import Box, ByBox, ByMemory, Point, Segmenter

Image = NDArray[np.uint8]

Box("1", 2, 3, 4)  # error
Box(1, 2, 3)  # error
Point(1, 2, 3, 4)  # error
Box(1, 2, 3, 4).x0 = 5  # error
Box(1, 2, 3, 4).at("middle")  # error
ByBox(direction="up")  # error
ByMemory(prompted="box")  # error
ByMemory(directions="both")  # error


def wrong(segmenter: Segmenter, image: Image, real: NDArray[np.float64]) -> None:
    segmenter.segment_2d(real, Box(1, 2, 3, 4))  # error
    segmenter.segment_2d(image, (1, 2, 3, 4))  # error
    segmenter.segment_2d(image, {"liver": Box(1, 2, 3, 4)})  # error
    segmenter.segment_2d(image)  # error
    segmenter.segment_volume(image, Box(1, 2, 3, 4).at(5), init="middle")  # error
    segmenter.segment_volume(image, Box(1, 2, 3, 4).at(5), overlap="first")  # error
    segmenter.segment_volume(image, Box(1, 2, 3, 4).at(5), slices=5)  # error
    segmenter.track_video(image, Box(1, 2, 3, 4), direction="sideways")  # error
    segmenter.segment_2d(image, Box(1, 2, 3, 4)).mask.foo  # error
    medsegany.preprocess.to_display(image)  # error
    medsegany.prompts.boxes_from_labels(image, "centre")  # error
