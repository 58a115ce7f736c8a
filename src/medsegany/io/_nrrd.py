"""NRRD, through pynrrd: a damaged header is a Python error there, and can crash ITK."""

import re
import warnings
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany._lps import affine_from_lps
from medsegany.errors import FileError
from medsegany.io._files import identity, reading, refuse_a_swollen_header
from medsegany.io._frame import one_of_several, the_only
from medsegany.io._nifti import Colour
from medsegany.types import Affine
from medsegany.volume import Volume

KIND = "NRRD"

# Signs that turn a direction of the file into LPS+. NRRD's frames without anatomy ("scanner-xyz",
# "3D-right-handed", or only a dimension) are taken for LPS+, as ITK and 3D Slicer do.
_TO_LPS = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_MM = {"m": 1000.0, "cm": 10.0, "mm": 1.0, "um": 0.001, "µm": 0.001, "micron": 0.001}
_COLOURS = {"rgb-color", "3-color"}


def read_nrrd(path: Path, frame: int | None) -> Volume:
    """Read a volume, or one of several."""
    with reading(path, KIND):
        header, data = _read(path)
        _part_from_time(header)
        spatial = _spatial_axes(header, path)
        others = [axis for axis in range(data.ndim) if axis not in spatial]
        data = np.transpose(data, (*spatial[::-1], *others))  # to [k, j, i, ...]
        kinds = [str(kind).lower() for kind in header.get("kinds", [])]
        colour = len(others) == 1 and data.shape[3] == 3 and data.dtype == np.uint8
        if colour and (not kinds or kinds[others[0]] in _COLOURS | {"vector", "3-vector", "list"}):
            the_only(path, frame)
        elif len(others) == 1 and data.shape[3] > 1:
            data = data[..., one_of_several(path, frame, data.shape[3])]
        elif others and data.shape[3:] != (1,):
            msg = f"{path} has {data.ndim} dimensions; a volume has three."
            raise FileError(msg)
        else:
            the_only(path, frame)
            data = data.reshape(data.shape[:3])
        # a view would keep all of a 4D file in memory
        data = data if data.base is None or data.size == data.base.size else data.copy()
        return Volume(data, _affine(header, spatial), file_id=identity(path))


def read_segments(path: Path) -> dict[int, tuple[str, Colour | None]]:
    """Names and colours of labels, where 3D Slicer (or `write_labels`) has noted them."""
    with reading(path, KIND):
        header = _header(path)
        found: dict[int, tuple[str, Colour | None]] = {}
        for key, value in header.items():
            match = re.fullmatch(r"Segment(\d+)_LabelValue", str(key))
            if match:
                segment = f"Segment{match[1]}"
                name = str(header.get(f"{segment}_Name", ""))
                found[int(value)] = (name, _rgb(header.get(f"{segment}_Color")))
        return found


def has_layers(path: Path) -> bool:
    """Whether labels overlap, so that 3D Slicer keeps them in layers."""
    with reading(path, KIND):
        header = _header(path)
        return any(re.fullmatch(r"Segment\d+_Layer", str(k)) and str(v) != "0"
                   for k, v in header.items())  # fmt: skip


def _rgb(text: object) -> Colour | None:
    if text is None:
        return None
    red, green, blue = (round(float(c) * 255) for c in str(text).split())
    return red, green, blue


def _header(path: Path) -> dict[str, Any]:
    import nrrd  # noqa: PLC0415 -- only these files need it

    with warnings.catch_warnings():  # of oddities that do no harm
        warnings.simplefilter("ignore")
        header: dict[str, Any] = nrrd.read_header(str(path))
    return header


def _read(path: Path) -> tuple[dict[str, Any], NDArray[Any]]:
    import nrrd  # noqa: PLC0415 -- only these files need it

    with path.open("rb") as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header: dict[str, Any] = nrrd.read_header(file)
        where = _data_file(header, path)
        sizes = [int(n) for n in header["sizes"]]
        if min(sizes, default=0) < 1:
            msg = f"{path} has sizes {sizes}; each is above zero."
            raise FileError(msg)
        itemsize = nrrd.reader._determine_datatype(header).itemsize  # noqa: SLF001 -- no public one
        refuse_a_swollen_header(where, prod(sizes) * itemsize, KIND)
        return header, nrrd.read_data(header, file, str(path))  # index order F: as in the header


def _data_file(header: dict[str, Any], path: Path) -> Path:
    name = header.get("data file", header.get("datafile"))
    if name is None:
        return path
    # A header from somewhere else does not choose which of the user's files is read.
    where = path.parent / str(name)
    if Path(name).name != name or not where.is_file():
        msg = (
            f"{path} keeps its voxels in {name!r}, and only a single file in the same folder is "
            "read." + ("" if Path(name).name != name else " There is none of this name.")
        )
        raise FileError(msg)
    return where


def _part_from_time(header: dict[str, Any]) -> None:
    """ITK writes 4D as a space of four dimensions; the fourth, when apart, is time."""
    directions = np.asarray(header.get("space directions", np.zeros((0, 0))), np.float64)
    if directions.shape == (4, 4) and not directions[:3, 3].any() and not directions[3, :3].any():
        header["space directions"] = np.vstack([directions[:3, :3], np.full(3, np.nan)])
        header["space origin"] = np.asarray(header.get("space origin", np.zeros(4)))[:3]


def _spatial_axes(header: dict[str, Any], path: Path) -> list[int]:
    """The file's axes that lie in space, fastest first: i, j, k."""
    dims = int(header["dimension"])
    directions = header.get("space directions")
    if directions is not None:
        spatial = [n for n, step in enumerate(directions) if np.isfinite(step).all()]
    else:
        kinds = [str(kind).lower() for kind in header.get("kinds", ["domain"] * dims)]
        spatial = [n for n, kind in enumerate(kinds) if kind in {"domain", "space", "???"}]
        spatial = spatial[:3] if len(spatial) > 3 else spatial
    if len(spatial) != 3:
        msg = f"{path} has {len(spatial)} axes in space of {dims} in all; a volume has three."
        raise FileError(msg)
    return spatial


def _affine(header: dict[str, Any], spatial: list[int]) -> Affine:
    signs = np.array(_TO_LPS.get(str(header.get("space", "")).lower(), (1, 1, 1)))
    directions = header.get("space directions")
    if directions is not None:
        units = header.get("space units") or ["mm"] * 3
        mm = np.array([_MM.get(str(unit).strip('"').lower(), 1.0) for unit in units])
        origin = header.get("space origin", np.zeros(3))
        steps = (np.asarray(directions)[spatial] * signs * mm).T
        return affine_from_lps(steps, np.asarray(origin) * signs * mm)
    every = np.asarray(header.get("spacings", np.ones(header["dimension"])))
    spacings = np.where(np.isfinite(every), every, 1.0)[spatial]
    mins = np.asarray(header.get("axis mins", header.get("axismins", np.zeros(len(every)))))
    origin = np.where(np.isfinite(mins), mins, 0.0)[spatial]
    return affine_from_lps(np.diag(spacings), origin)
