"""Reading images, volumes and videos, and writing results."""

from medsegany.io._dicom_series import DicomSeries, dicom_series
from medsegany.io._files import ending, stem
from medsegany.io._frames import read_frames
from medsegany.io._images import PICTURES, read_image
from medsegany.io._labels import LabelMap, read_labels, write_labels
from medsegany.io._nifti import Colour
from medsegany.io._npz import NpzCase, read_npz
from medsegany.io._video import VIDEOS
from medsegany.io._volumes import VOLUMES, read_volume
from medsegany.io._write_video import WrittenVideo, write_video

__all__ = [
    "PICTURES",
    "VIDEOS",
    "VOLUMES",
    "Colour",
    "DicomSeries",
    "LabelMap",
    "NpzCase",
    "WrittenVideo",
    "dicom_series",
    "ending",
    "read_frames",
    "read_image",
    "read_labels",
    "read_npz",
    "read_volume",
    "stem",
    "write_labels",
    "write_video",
]
