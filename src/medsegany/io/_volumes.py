"""Volumes, whichever format they come in."""

from collections.abc import Callable, Sequence
from pathlib import Path

from medsegany.errors import FileError, InvalidInput
from medsegany.io._dicom import Stack, read_dicom
from medsegany.io._dicom_header import is_dicom
from medsegany.io._display import displayed
from medsegany.io._files import ending, existing, is_folder, looks_like, reading
from medsegany.io._frame import which
from medsegany.io._metaimage import read_metaimage
from medsegany.io._nifti import read_nifti
from medsegany.io._npz import read_npz
from medsegany.io._nrrd import read_nrrd
from medsegany.preprocess import AnyWindow
from medsegany.volume import Volume


def _read_npz(path: Path, frame: int | None) -> Volume:
    which(path, frame, 1)
    return read_npz(path).volume


READERS: dict[str, Callable[[Path, int | None], Volume]] = {
    ".nii": read_nifti,
    ".nii.gz": read_nifti,
    ".nrrd": read_nrrd,
    ".seg.nrrd": read_nrrd,
    ".nhdr": read_nrrd,
    ".mha": read_metaimage,
    ".mhd": read_metaimage,
    ".npz": _read_npz,
}

VOLUMES = frozenset(READERS)
"""Endings of volumes; DICOM needs none."""


def read_volume(
    path: str | Path | Sequence[str | Path],
    *,
    window: AnyWindow | None = None,
    frame: int | None = None,
    series: int | str | None = None,
) -> Volume:
    """Read a volume, ready for `segment_volume`.

    DICOM slices are put in order by their position along the normal of the slices, whatever their
    names and instance numbers say. Missing, doubled and uneven slices are errors that name the
    files. A tilted gantry gives a sheared affine, so that every voxel lies where it was measured.

    Args:
        path: NIfTI (`.nii`, `.nii.gz`), NRRD (`.nrrd`, `.nhdr`), MetaImage (`.mha`, `.mhd`), an
            `.npz` of the MedSAM challenges; a folder of DICOM files, one such file, or a list of
            those that form the volume.
        window: How intensities become display values; see `preprocess.to_display`. For CT a name
            such as "abdomen" or a `Window(level, width)`, for anything else "percentile". "raw"
            keeps the intensities. None leaves uint8 alone, takes percentiles for other data, and
            refuses what is or looks like CT. DICOM in which low means bright is inverted, but for
            "raw".
        frame: Which volume of a 4D file or series, counted from 0.
        series: Which DICOM series of a folder, by its number (or its SeriesInstanceUID), when
            there are several; `io.dicom_series(folder)` lists them. Localizers are left out unless
            they are asked for.

    Returns:
        The voxels in storage order, and where they lie.

    Raises:
        FileError: The file is missing, broken, or of another kind.
        InvalidInput: 4D without `frame`, a `frame` that does not exist, CT without `window`,
            several DICOM series.
        InvalidGeometry: The file describes no grid: a spacing of zero, DICOM slices that are
            missing or lie unevenly.
        MissingDependency: DICOM in a compression for which no decoder is installed.
    """
    found = _read(path, frame, series)
    shown = displayed(found.volume, path, window, found.modality)
    if found.inverted and window != "raw":
        return shown.with_voxels(255 - shown.voxels, "inverted (MONOCHROME1)")
    return shown


def _read(
    path: str | Path | Sequence[str | Path], frame: int | None, series: int | str | None
) -> Stack:
    if not isinstance(path, (str, Path)):
        with reading(Path(), "DICOM"):
            return read_dicom(path, series, frame)
    path = Path(path)
    read = READERS.get(ending(path))
    if read is None:
        if not is_folder(path):
            path = existing(path)
            if not is_dicom(path):
                raise FileError(_of_no_known_kind(path))
        with reading(path, "DICOM"):
            return read_dicom(path, series, frame)
    if series is not None:
        msg = f"series={series!r} is for DICOM, and {path.name} is not."
        raise InvalidInput(msg)
    return Stack(read(existing(path), frame), modality="", inverted=False)


def _of_no_known_kind(path: Path) -> str:
    msg = f"{path.name}: volumes are read from {', '.join(READERS)} files and from DICOM."
    found = looks_like(path)
    if found in {"PNG", "JPEG", "TIFF"}:
        return f"{msg} By its content it is {found}, a picture: io.read_image."
    return f"{msg} By its content it is {found}: give it that ending." if found else msg
