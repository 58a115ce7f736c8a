"""NRRD, through pynrrd: a damaged header is a Python error there, and can crash ITK."""

import re
import warnings
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medsegany._lps import affine_from_lps
from medsegany.errors import FileError, InvalidGeometry
from medsegany.io._files import identity, reading, refuse_a_swollen_header
from medsegany.io._frame import which
from medsegany.io._nifti import Colour
from medsegany.types import Affine
from medsegany.volume import Volume

KIND = "NRRD"

# Frames without anatomy in their name are taken for LPS+, as ITK and 3D Slicer do.
_NAMELESS = {"", "scanner-xyz", "3d-right-handed", "3d-left-handed"}
_LETTERS = {"l": "left", "r": "right", "p": "posterior", "a": "anterior", "s": "superior",
            "i": "inferior"}  # fmt: skip
_TO_LPS = {"left": 1, "right": -1, "posterior": 1, "anterior": -1, "superior": 1, "inferior": -1}
_AXES = ({"left", "right"}, {"posterior", "anterior"}, {"superior", "inferior"})
_MM = {"m": 1000.0, "meter": 1000.0, "cm": 10.0, "centimeter": 10.0, "mm": 1.0, "millimeter": 1.0,
       "um": 1e-3, "\u00b5m": 1e-3, "\u03bcm": 1e-3, "micron": 1e-3, "micrometer": 1e-3,
       "nm": 1e-6, "nanometer": 1e-6, "": 1.0, "pixel": 1.0}  # fmt: skip
_TIMES = {"s", "ms", "sec", "second", "millisecond", "none", "unknown", "no"}
_COLOURS = {"rgb-color", "3-color"}
_LONGEST_HEADER = 1 << 20


def read_nrrd(path: Path, frame: int | None) -> Volume:
    """Read a volume, or one of several."""
    with reading(path, KIND):
        header, data = _read(path)
        _part_from_time(header)
        spatial = _spatial_axes(header, path)
        others = [axis for axis in range(data.ndim) if axis not in spatial]
        data = np.transpose(data, (*spatial[::-1], *others))  # to [k, j, i, ...]
        kinds = [str(kind).lower() for kind in header.get("kinds", [])]
        kind = kinds[others[0]] if kinds and others else ""
        colour = kind in _COLOURS or (kind in {"vector", "3-vector"} and others == [0])
        if len(others) > 1:
            msg = f"{path} has {data.ndim} dimensions; a volume has three."
            raise FileError(msg)
        if others and colour and data.shape[3] == 3 and data.dtype == np.uint8:
            which(path, frame, 1)
        elif others:
            data = data[..., which(path, frame, data.shape[3])]
        else:
            which(path, frame, 1)
        # a view would keep all of a 4D file in memory
        data = data if data.base is None or data.size == data.base.size else data.copy()
        return Volume(data, _affine(header, spatial, _fields(path)), file_id=identity(path))


def read_segments(path: Path) -> dict[int, tuple[str, Colour | None]]:
    """Names and colours of labels, where 3D Slicer (or `write_labels`) has noted them."""
    with reading(path, KIND):
        fields = _fields(path)
        found: dict[int, tuple[str, Colour | None]] = {}
        for key, value in fields.items():
            match = re.fullmatch(r"Segment(\d+)_LabelValue", key)
            if match:
                segment = f"Segment{match[1]}"
                colour = _rgb(fields.get(f"{segment}_Color"))
                found[int(value)] = (fields.get(f"{segment}_Name", ""), colour)
        return found


def has_layers(path: Path) -> bool:
    """Whether labels overlap, so that 3D Slicer keeps them in layers."""
    with reading(path, KIND):
        fields = _fields(path).items()
        return any(re.fullmatch(r"Segment\d+_Layer", key) and value != "0" for key, value in fields)


def _fields(path: Path) -> dict[str, str]:
    """The header's lines as text: pynrrd drops what is not ASCII, such as names and micrometres."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        while file.tell() < _LONGEST_HEADER and (line := file.readline(_LONGEST_HEADER).strip()):
            text = line.decode("utf-8", "replace")
            match = re.match(r"([^#][^:]*?)\s*:(=|\s)\s*(.*)", text)
            if match:
                escaped = match[2] == "="
                fields[match[1]] = _unescaped(match[3]) if escaped else match[3]
    return fields


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda m: {"n": "\n"}.get(m[1], m[1]), text)


def _rgb(text: str | None) -> Colour | None:
    if text is None:
        return None
    red, green, blue = (round(float(c) * 255) for c in text.split())
    return red, green, blue


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
        if str(header.get("encoding")).lower() not in {"bzip2", "bz2"}:  # which packs any number
            refuse_a_swollen_header(where, prod(sizes) * itemsize, KIND)
        return header, nrrd.read_data(header, file, str(path))  # index order F: as in the header


def _data_file(header: dict[str, Any], path: Path) -> Path:
    name = header.get("data file", header.get("datafile"))
    if name is None:
        return path
    # A header from somewhere else does not choose which of the user's files is read.
    where = path.parent / str(name)
    if where.parent != path.parent or not where.is_file():
        msg = f"{path} keeps its voxels in {name!r}; a single file in the same folder is needed."
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


def _affine(header: dict[str, Any], spatial: list[int], fields: dict[str, str]) -> Affine:
    space = str(header.get("space", "")).strip().lower().removesuffix("-time")
    directions = header.get("space directions")
    if directions is not None:
        signs = _signs(space)
        mm = _millimetres(fields.get("space units"), 3)
        origin = np.asarray(header.get("space origin", np.zeros(3)), np.float64)
        steps = (np.asarray(directions, np.float64)[spatial] * signs * mm).T
        return affine_from_lps(steps, np.nan_to_num(origin) * signs * mm)
    if space not in _NAMELESS:
        msg = f"It says space: {space}, and has no space directions to lie along."
        raise InvalidGeometry(msg)
    dims = int(header["dimension"])
    low, high = (_per_axis(header, key, dims) for key in ("axis mins", "axis maxs"))
    said = header.get("centerings", header.get("centers", ["?"] * dims))
    centers = [str(c).lower() for c in (said.split() if isinstance(said, str) else said)]
    nodes = np.array([center == "node" for center in centers])
    sizes = np.asarray(header["sizes"], np.float64)
    spacings = _per_axis(header, "spacings", dims)
    spans = (high - low) / np.where(nodes, np.maximum(sizes - 1, 1), sizes)
    spacings = np.where(np.isfinite(spacings), spacings, np.where(np.isfinite(spans), spans, 1.0))
    # A minimum is the edge of the first cell, unless the samples are nodes.
    origin = np.where(np.isfinite(low), low + np.where(nodes, 0, spacings / 2), 0.0)
    mm = _millimetres(fields.get("units"), dims)
    return affine_from_lps(np.diag((spacings * mm)[spatial]), (origin * mm)[spatial])


def _per_axis(header: dict[str, Any], key: str, dims: int) -> NDArray[np.float64]:
    """Numbers, one for each axis; nan where there is none."""
    value = header.get(key, header.get(key.replace(" ", "")))
    return np.full(dims, np.nan) if value is None else np.asarray(value, np.float64)


def _signs(space: str) -> NDArray[np.float64]:
    """What turns a direction of this frame into LPS+."""
    if space in _NAMELESS:
        return np.ones(3)
    words = [_LETTERS.get(c, c) for c in space] if len(space) == 3 else space.split("-")
    if len(words) != 3 or not all(w in axis for w, axis in zip(words, _AXES, strict=True)):
        msg = f"Its space is {space!r}; left-posterior-superior (or LPS) is one that is known."
        raise InvalidGeometry(msg)
    return np.array([float(_TO_LPS[word]) for word in words])


def _millimetres(text: str | None, count: int) -> NDArray[np.float64]:
    """How many millimetres the units have, one for each axis; none said is taken for mm."""
    said = re.findall(r'"([^"]*)"|(\S+)', text or "")
    units = [(quoted or bare).strip().lower() for quoted, bare in said]
    units = [unit if unit in _MM else unit.removesuffix("s").replace("metre", "meter")
             for unit in units]  # fmt: skip
    unknown = [unit for unit in units if unit not in _MM and unit not in _TIMES]
    if unknown:
        msg = f"Its unit {unknown[0]!r} is not known; {', '.join(filter(None, _MM))} are."
        raise InvalidGeometry(msg)
    factors = [_MM.get(unit, 1.0) for unit in units]
    return np.array((factors + [1.0] * count)[:count])
