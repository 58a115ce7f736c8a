"""DICOM pixels: volumes, films and single pictures, decoded by pydicom."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from medsegany._rescale import rescale
from medsegany.errors import FileError, MissingDependency
from medsegany.io._dicom_header import Slice, dataset, parsing, read_header
from medsegany.io._dicom_series import choose, dicom_series, ordered
from medsegany.io._display import IS_CT, refuse_ct
from medsegany.io._files import existing
from medsegany.io._frame import which
from medsegany.io._lazy import LazyFrames, display
from medsegany.preprocess import AnyWindow
from medsegany.types import Image
from medsegany.volume import Volume

if TYPE_CHECKING:
    from pydicom import Dataset

# Process 2 and 4: the decoders of medsegany[dicom] take its 8-bit form only.
_JPEG_12_BIT = {"1.2.840.10008.1.2.4.51"}


@frozen(eq=False)
class Stack:
    """A volume as DICOM has it.

    Attributes:
        volume: Real values, and where they lie.
        modality: "CT", "MR", ...
        inverted: Whether low values mean bright.
    """

    volume: Volume
    modality: str
    inverted: bool


def read_dicom(
    path: str | Path | Iterable[str | Path], series: int | str | None, frame: int | None
) -> Stack:
    """The volume of a folder, of a file, or of several files."""
    if not isinstance(path, (str, Path)):
        path = [existing(file) for file in path]
    found = dicom_series(path)
    stack = choose(found, series, path)
    where = Path(path) if isinstance(path, (str, Path)) else stack.files[0].parent
    slices, affine = ordered(stack, where, frame)
    return Stack(Volume(_pixels(slices), affine), stack.modality, slices[0].header.inverted)


def _pixels(slices: Sequence[Slice]) -> NDArray[Any]:
    """`(D, H, W[, 3])`, in real values; the stack grows wider when a slice does not fit."""
    places: dict[Path, dict[int, int]] = {}  # file -> image in it -> slice
    for k, image in enumerate(slices):
        places.setdefault(image.header.path, {})[image.index] = k
    voxels: NDArray[Any] | None = None
    for path, wanted in places.items():
        inside = sorted(wanted)
        for index, pixels in zip(inside, _decoded(path, inside), strict=True):
            k = wanted[index]
            with parsing(path):
                values = rescale(pixels, slices[k].slope, slices[k].intercept)
                if voxels is None:
                    voxels = np.empty((len(slices), *values.shape), values.dtype)
                if values.shape != voxels.shape[1:]:
                    msg = f"{path} has pixels of shape {values.shape}, not {voxels.shape[1:]}."
                    raise FileError(msg)
                wider = np.promote_types(voxels.dtype, values.dtype)
                voxels = voxels.astype(wider, copy=False)
                voxels[k] = values
    assert voxels is not None
    return voxels


def _decoded(path: Path, indices: Sequence[int]) -> Iterator[NDArray[Any]]:
    """Images of a file: grey as stored, colour as 8-bit RGB."""
    from pydicom.pixels.utils import iter_pixels  # noqa: PLC0415 -- only these files need it

    with parsing(path):
        found = dataset(path)
        _refuse_without_decoder(found, path)
        images = iter_pixels(found, indices=list(indices))
    for _ in indices:
        with parsing(path):  # not around the yield: the caller's warnings are the caller's
            pixels = _next(images, found, path)
        yield pixels


def _next(images: Iterator[NDArray[Any]], found: "Dataset", path: Path) -> NDArray[Any]:
    try:
        return _looked_up(next(images), found)
    except RuntimeError as error:
        if found.file_meta.TransferSyntaxUID not in _JPEG_12_BIT or find_spec("libjpeg"):
            raise
        msg = (
            f"{path} cannot be decoded. JPEG with 12 bits needs one more decoder, which is under "
            "the GPL: pip install pylibjpeg pylibjpeg-libjpeg"
        )
        raise MissingDependency(msg) from error


def _looked_up(pixels: NDArray[Any], found: "Dataset") -> NDArray[Any]:
    """Through the file's own tables, of colours or of values, where it has some."""
    from pydicom.pixels.processing import (  # noqa: PLC0415 -- only these files need it
        apply_color_lut,
        apply_modality_lut,
    )

    if found.get("PhotometricInterpretation") == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, found)[..., :3]
    elif "ModalityLUTSequence" in found:
        return np.asarray(apply_modality_lut(pixels, found))
    if pixels.ndim == 3:
        return (pixels >> (8 * pixels.dtype.itemsize - 8)).astype(np.uint8)
    return pixels


def _refuse_without_decoder(found: "Dataset", path: Path) -> None:
    from pydicom.pixels.decoders.base import get_decoder  # noqa: PLC0415 -- only these files need it

    syntax = found.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        msg = f"{path} holds {syntax.name}, which pydicom does not decode."
        raise FileError(msg) from error
    if not decoder.is_available:
        msg = (
            f"{path} is compressed as {syntax.name}, and no decoder for it is installed. "
            "Install them with: pip install 'medsegany[dicom]'"
        )
        raise MissingDependency(msg)


def _images(path: Path, window: AnyWindow | None) -> list[Slice]:
    """What a file holds, when its display needs no guess."""
    slices = read_header(path)
    if not slices:
        msg = f"{path} is a DICOM file without an image."
        raise FileError(msg)
    if slices[0].header.modality == "CT" and window is None:
        refuse_ct(path, IS_CT)
    return slices


def read_picture(path: Path, window: AnyWindow | None, frame: int | None) -> Image:
    """One image as display values, bright where the file means bright."""
    slices = _images(path, window)
    chosen = slices[which(path, frame, len(slices), "images")]
    (pixels,) = _decoded(path, [chosen.index])
    values = rescale(pixels, chosen.slope, chosen.intercept)
    return display(values, window, inverted=chosen.header.inverted)


def read_film(path: Path, window: AnyWindow | None) -> LazyFrames[Slice]:
    """The images of a file, each decoded when it is asked for."""
    slices = _images(path, window)
    header = slices[0].header
    with parsing(path):
        found = dataset(path, stop_before_pixels=True)
        _refuse_without_decoder(found, path)
    read = partial(_one, found)
    return LazyFrames(slices, header.fps, read, window, header.inverted).scaled_alike()


def _one(found: "Dataset", image: Slice) -> NDArray[Any]:
    from pydicom.pixels.utils import iter_pixels  # noqa: PLC0415 -- only these files need it

    path = image.header.path
    if image.header.frames == 1:
        (pixels,) = _decoded(path, [0])
    else:
        with parsing(path):
            # Of the file, only this frame is read.
            pixels = _next(iter_pixels(path, indices=[image.index]), found, path)
    return rescale(pixels, image.slope, image.intercept)
