"""MetaImage (.mha, .mhd), read here: ITK's own reader can crash Python at a damaged header."""

import zlib
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from medsegany._lps import affine_from_lps
from medsegany.errors import FileError
from medsegany.io._files import identity, reading, refuse_a_swollen_header
from medsegany.io._frame import which
from medsegany.types import Affine
from medsegany.volume import Volume

KIND = "MetaImage"

_TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",  # as ITK reads it, whatever a long is on the machine
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
_LONGEST_HEADER = 1 << 20
_CHUNK = 1 << 20


def read_metaimage(path: Path, frame: int | None) -> Volume:
    """Read a volume, or one of several."""
    with reading(path, KIND), path.open("rb") as file:
        header = _header(file)
        shape = _shape(header, path)
        data = _voxels(file, header, path, shape)
        affine = _affine(header)
        if len(shape) == 5 and shape[-1] > 1:
            msg = f"{path} has four dimensions and {shape[-1]} channels; a volume has three."
            raise FileError(msg)
        channels = shape[-1]
        if len(shape) == 5:
            voxels = data[which(path, frame, shape[0]), ..., 0].copy()
        elif channels == 1 or (channels == 3 and data.dtype == np.uint8):
            which(path, frame, 1)
            voxels = data[..., 0] if channels == 1 else data
        else:
            voxels = data[..., which(path, frame, channels, "channels")].copy()
        return Volume(voxels, affine, file_id=identity(path))


def _header(file: IO[bytes]) -> dict[str, str]:
    """`key = value`, a line each; the last one tells where the voxels are."""
    header: dict[str, str] = {}
    while "ElementDataFile" not in header:
        line = file.readline(_LONGEST_HEADER)
        if line and not line.strip():
            continue
        if not line or file.tell() > _LONGEST_HEADER or b"=" not in line:
            msg = "its header is cut off, damaged, or none"
            raise ValueError(msg)
        key, _, value = line.decode("utf-8", "replace").partition("=")
        header[key.strip()] = value.strip()
    return header


def _numbers(header: dict[str, str], *keys: str) -> list[float]:
    """The numbers under the first of several names that the format has had for it."""
    return next(([float(n) for n in header[key].split()] for key in keys if key in header), [])


def _true(header: dict[str, str], *keys: str, otherwise: str = "F") -> bool:
    """As ITK reads it, by the first letter; what is neither yes nor no is refused."""
    word = next((header[key] for key in keys if key in header), otherwise)
    if word[:1] not in set("TtYy1FfNn0"):
        msg = f"{keys[0]} is True or False, got {word!r}"
        raise ValueError(msg)
    return word[:1] in set("TtYy1")


def _shape(header: dict[str, str], path: Path) -> tuple[int, ...]:
    """`([T,] D, H, W, channels)`."""
    dims = int(header["NDims"])
    sizes = [int(n) for n in header["DimSize"].split()]
    channels = int(header.get("ElementNumberOfChannels", "1"))
    if len(sizes) != dims or dims not in {3, 4} or min(sizes) < 1 or channels < 1:
        msg = f"{path} has {dims} dimensions of sizes {sizes}; a volume has three."
        raise FileError(msg)
    return (*sizes[::-1], channels)


def _voxels(
    file: IO[bytes], header: dict[str, str], path: Path, shape: tuple[int, ...]
) -> NDArray[np.generic]:
    if not _true(header, "BinaryData", otherwise="T"):
        msg = f"{path} keeps its voxels as text, which is not read here."
        raise FileError(msg)
    swapped = _true(header, "BinaryDataByteOrderMSB", "ElementByteOrderMSB")
    kind = header["ElementType"].removesuffix("_ARRAY")
    if kind not in _TYPES:
        msg = f"{path} has elements of type {kind}; there are {', '.join(_TYPES)}."
        raise FileError(msg)
    dtype = np.dtype((">" if swapped else "<") + _TYPES[kind])
    promised = prod(shape) * dtype.itemsize
    name = header["ElementDataFile"]
    skip = int(header.get("HeaderSize", "0"))
    if name.upper() == "LOCAL":
        if skip > 0:
            msg = f"{path} has HeaderSize {skip} and its voxels in the same file: one is wrong."
            raise FileError(msg)
        if skip == -1:
            file.seek(path.stat().st_size - promised)
        content = _content(file, header, path, promised)
    else:
        where = path.parent / name
        # A header from somewhere else does not choose which of the user's files is read.
        if where.parent != path.parent or not where.is_file():
            msg = f"{path} keeps its voxels in {name!r}; a file in the same folder is needed."
            raise FileError(msg)
        with where.open("rb") as other:
            other.seek(where.stat().st_size - promised if skip == -1 else max(skip, 0))
            content = _content(other, header, where, promised)
    data = np.frombuffer(content, dtype).reshape(shape)
    return data.astype(dtype.newbyteorder("="), copy=False)


def _content(file: IO[bytes], header: dict[str, str], path: Path, promised: int) -> bytearray:
    refuse_a_swollen_header(path, promised, KIND)
    content = bytearray(promised)
    view, filled = memoryview(content), 0
    inflate = zlib.decompressobj(zlib.MAX_WBITS | 32) if _true(header, "CompressedData") else None
    while filled < promised and (chunk := file.read(_CHUNK)):
        part = inflate.decompress(chunk, promised - filled) if inflate else chunk
        part = part[: promised - filled]
        view[filled : filled + len(part)] = part
        filled += len(part)
    if filled < promised:
        msg = f"{path} is cut off: {promised:,} bytes of voxels announced, {filled:,} there."
        raise FileError(msg)
    return content


def _affine(header: dict[str, str]) -> Affine:
    dims = int(header["NDims"])
    spacing = _numbers(header, "ElementSpacing", "ElementSize") or [1.0] * dims
    matrix = _numbers(header, "TransformMatrix", "Rotation", "Orientation")
    origin = _numbers(header, "Offset", "Position", "Origin") or [0.0] * dims
    if len(spacing) != dims or len(origin) != dims:
        msg = f"{dims} dimensions have as many spacings and origins, got {spacing} and {origin}"
        raise ValueError(msg)
    # Rows are the directions of i, j and k.
    directions = np.reshape(matrix, (dims, dims)) if matrix else np.eye(dims)
    steps = directions[:3, :3].T * np.array(spacing[:3])
    return affine_from_lps(steps, origin[:3])
