"""What a user writes with files and millimetres is understood by type checkers."""

from collections.abc import Sequence
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

from medsegany import Box, Point, Volume, io, world
from medsegany.preprocess import Window, to_display
from medsegany.prompts import Placed
from medsegany.types import Image

volume = io.read_volume("ct.nii.gz", window=Window(40, 400))
assert_type(volume, Volume)
io.read_volume(["a.dcm", "b.dcm"], window="abdomen", series=3, frame=0)
assert_type(io.dicom_series("folder"), list[io.DicomSeries])

assert_type(to_display(volume, "abdomen", legacy_minmax=True), Volume)
assert_type(to_display(volume.voxels, "abdomen"), NDArray[np.uint8])

io.write_labels("a.nrrd", volume.voxels, like=volume, names={1: "liver"}, colours={1: (9, 8, 7)})
names = io.read_labels("a.nrrd", like=volume).names
assert_type(names[1], str)

region = world.box(volume, [(0, 0, 0), (1, 2, 3)], space="LPS")
assert_type(region.prompt, Placed[Box])
assert_type(region.slices, tuple[int, int])
assert_type(world.point(volume, (1, 2, 3), space="RAS"), Placed[Point])

frames = io.read_frames("film.mp4")
assert_type(frames, Sequence[Image] | NDArray[np.uint8])
