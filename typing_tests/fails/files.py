"""What must not type-check: each line that ends in `# error` has an error, and no other has."""

from medsegany import Volume, io, world

volume = io.read_volume("ct.nii.gz")

world.point(volume, (1, 2, 3))  # error
world.point(volume, (1, 2, 3), space="ras")  # error
world.box(volume.voxels, [(1, 2, 3), (4, 5, 6)], space="RAS")  # error
io.read_npz("a.npz", spacing_order="xzy")  # error
io.write_labels("a.nii", volume.voxels)  # error
io.write_labels("a.nii", volume.voxels, like="a.nii.gz")  # error
io.write_labels("a.nii", volume.voxels, like=volume, names={"liver": 1})  # error
io.read_volume("ct", window=40)  # error
Volume.from_spacing(volume.voxels, 1.0)  # error
