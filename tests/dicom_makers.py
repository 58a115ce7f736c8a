"""Makers of DICOM files, for the tests of reading and of the command line."""

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

AXIAL = (1, 0, 0, 0, 1, 0)


def blank(path, storage=MRImageStorage):
    """A file without an image."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = storage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    found.SOPClassUID = storage
    found.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    return found


def put_pixels(found, pixels):
    """Grey, of the type that the array has."""
    found.Rows, found.Columns = pixels.shape[-2:]
    found.SamplesPerPixel = 1
    found.PhotometricInterpretation = "MONOCHROME2"
    found.BitsAllocated = found.BitsStored = 8 * pixels.dtype.itemsize
    found.HighBit = found.BitsStored - 1
    found.PixelRepresentation = int(pixels.dtype.kind == "i")
    found.PixelData = np.ascontiguousarray(pixels).tobytes()


def positions(count, *, origin=(-100.0, -80.0, 20.0), orientation=AXIAL, gap=2.5, tilt=0.0):
    """Where the slices lie: along the normal, each shifted down its columns by the gantry's tilt.

    Args:
        tilt: In degrees.
    """
    row, column = np.array(orientation[:3], float), np.array(orientation[3:], float)
    step = np.cross(row, column) * gap + column * gap * np.tan(np.radians(tilt))
    return [np.array(origin) + n * step for n in range(count)]


def write_series(
    folder: Path,
    voxels,
    places,
    *,
    orientation=AXIAL,
    spacing=(0.8, 0.7),
    order=None,
    first=0,
    each=lambda found, k: None,
    **tags,
):
    """A file per slice.

    Args:
        voxels: `(D, H, W)`; slice k lies at `places[k]`.
        order: The instance number of slice k is `order[k]`, and its name too.
        first: Added to the numbers in the names.
        each: Changes what it likes in slice k.
        tags: Of all slices.
    """
    folder.mkdir(exist_ok=True, parents=True)
    common = {
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        "SeriesNumber": 3,
        "Modality": "MR",
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SliceThickness": 9.0,  # not the distance between slices
        **tags,
    }
    order = list(range(len(voxels))) if order is None else order
    paths = []
    for k, (pixels, place) in enumerate(zip(voxels, places, strict=True)):
        path = folder / f"IM{first + order[k]:04d}.dcm"
        found = blank(path, CTImageStorage if common["Modality"] == "CT" else MRImageStorage)
        for name, value in common.items():
            setattr(found, name, value)
        found.InstanceNumber = order[k] + 1
        found.ImagePositionPatient = [f"{c:.6f}"[:16] for c in place]
        found.ImageOrientationPatient = [f"{c:.9f}"[:16] for c in orientation]
        found.PixelSpacing = list(spacing)
        put_pixels(found, pixels)
        each(found, k)
        found.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def group(**tags):
    found = Dataset()
    for name, value in tags.items():
        setattr(found, name, value)
    return Sequence([found])


def write_enhanced(path: Path, voxels, places, *, orientation=AXIAL, spacing=(0.8, 0.7), scale=()):
    """One enhanced file of all slices, in the order given."""
    found = blank(path, EnhancedMRImageStorage)
    found.Modality = "MR"
    found.SeriesInstanceUID = generate_uid()
    found.SeriesNumber = 7
    found.NumberOfFrames = len(voxels)
    found.SharedFunctionalGroupsSequence = group(
        PlaneOrientationSequence=group(ImageOrientationPatient=list(orientation)),
        PixelMeasuresSequence=group(PixelSpacing=list(spacing), SliceThickness=4.0),
    )
    frames = []
    for k, place in enumerate(places):
        frame = Dataset()
        frame.PlanePositionSequence = group(
            ImagePositionPatient=[round(float(c), 6) for c in place]
        )
        if scale:
            frame.PixelValueTransformationSequence = group(
                RescaleSlope=scale[k], RescaleIntercept=0, RescaleType="US"
            )
        frames.append(frame)
    found.PerFrameFunctionalGroupsSequence = Sequence(frames)
    put_pixels(found, voxels)
    found.save_as(path, enforce_file_format=True)
    return path


@pytest.fixture(scope="session")
def dicom():
    """Makers of DICOM files with a known place and order."""

    class Makers:
        series = staticmethod(write_series)
        enhanced = staticmethod(write_enhanced)
        places = staticmethod(positions)
        blank = staticmethod(blank)
        pixels = staticmethod(put_pixels)

    return Makers
