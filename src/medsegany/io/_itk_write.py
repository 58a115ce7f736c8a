"""NRRD and MetaImage, written by SimpleITK: both hold any affine, sheared ones too."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany._lps import lps_from_affine
from medsegany.io._nifti import Colour
from medsegany.overlays import COLOURS
from medsegany.volume import Volume


def write_itk(
    path: Path,
    labels: NDArray[Any],
    like: Volume,
    names: dict[int, str],
    colours: dict[int, Colour],
) -> None:
    """Write labels; in NRRD with names and colours in the words of 3D Slicer."""
    import SimpleITK as sitk  # noqa: PLC0415 -- heavy, and most users never need it

    steps, origin = lps_from_affine(like.affine)
    spacing = np.linalg.norm(steps, axis=0)
    image = sitk.GetImageFromArray(labels)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(origin.tolist())
    image.SetDirection((steps / spacing).ravel().tolist())
    slicer = path.name.lower().endswith(".seg.nrrd")
    if slicer or names or colours:
        present = np.unique(labels).tolist() if slicer else []
        every = sorted({label for label in present if label} | names.keys() | colours.keys())
        for key, value in _segments(every, names, colours).items():
            image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path), useCompression=True)


def _segments(
    every: list[int], names: dict[int, str], colours: dict[int, Colour]
) -> dict[str, str]:
    words = {
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
    }
    for n, label in enumerate(every):
        colour = colours.get(label, COLOURS[(label - 1) % len(COLOURS)])
        words |= {
            f"Segment{n}_ID": f"Segment_{label}",
            f"Segment{n}_Name": names.get(label, f"Segment_{label}"),
            f"Segment{n}_Color": " ".join(f"{c / 255:.6f}" for c in colour),
            f"Segment{n}_LabelValue": str(label),
            f"Segment{n}_Layer": "0",
        }
    return words
