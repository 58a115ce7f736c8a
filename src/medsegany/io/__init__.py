"""Files in and out: NIfTI, the MedSAM challenge's npz, PNG and JPEG, and videos."""

from medsegany.io._frames import read_frames
from medsegany.io._images import read_image
from medsegany.io._volumes import NpzCase, read_npz, read_volume
from medsegany.io._write import write_labels

__all__ = ["NpzCase", "read_frames", "read_image", "read_npz", "read_volume", "write_labels"]
