"""DICOM pixels: volumes, films and single pictures, decoded by pydicom."""

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, overload

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany._rescale import rescale
from medsegany.errors import FileError, MissingDependency
from medsegany.io._dicom_header import Slice, dataset, parsing, read_header
from medsegany.io._dicom_series import choose, dicom_series, ordered
from medsegany.io._display import IS_CT, refuse_ct
from medsegany.io._files import existing
from medsegany.io._frame import one_of_several
from medsegany.preprocess import AnyWindow, Window, percentile_bounds, to_display
from medsegany.types import Image
from medsegany.volume import Volume

# Process 2 and 4: the decoders of medsegany[dicom] take its 8-bit form only.
_JPEG_12_BIT = {"1.2.840.10008.1.2.4.51"}


def read_dicom(
    path: str | Path | Iterable[str | Path], series: int | str | None, frame: int | None
) -> tuple[Volume, str]:
    """The volume of a folder, of a file, or of several files, and its modality."""
    if not isinstance(path, (str, Path)):
        path = [existing(file) for file in path]
    found = dicom_series(path)
    stack = choose(found, series, path)
    where = Path(path) if isinstance(path, (str, Path)) else stack.files[0].parent
    slices, affine = ordered(stack, where, frame)
    return Volume(_pixels(slices), affine), stack.modality


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
    """Images of a file, colour as RGB."""
    from pydicom.pixels.processing import apply_color_lut  # noqa: PLC0415
    from pydicom.pixels.utils import iter_pixels  # noqa: PLC0415 -- only these files need it

    with parsing(path):
        found = dataset(path)
        _refuse_without_decoder(found, path)
        palette = found.get("PhotometricInterpretation") == "PALETTE COLOR"
        try:
            for pixels in iter_pixels(found, indices=list(indices)):
                if palette:
                    coloured = apply_color_lut(pixels, found)[..., :3]
                    deep = 8 * coloured.dtype.itemsize - 8
                    yield (coloured >> deep).astype(np.uint8)
                else:
                    yield np.asarray(pixels)
        except RuntimeError as error:
            if found.file_meta.TransferSyntaxUID not in _JPEG_12_BIT or find_spec("libjpeg"):
                raise
            msg = (
                f"{path} cannot be decoded. JPEG with 12 bits needs one more decoder, which is "
                "under the GPL: pip install pylibjpeg-libjpeg"
            )
            raise MissingDependency(msg) from error


def _refuse_without_decoder(found: Any, path: Path) -> None:  # noqa: ANN401 -- pydicom.Dataset
    from pydicom.pixels.decoders.base import get_decoder  # noqa: PLC0415

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


def read_picture(path: Path, window: AnyWindow | None, frame: int | None) -> Image:
    """One image as display values, bright where the file means bright."""
    slices = read_header(path)
    if not slices:
        msg = f"{path} is a DICOM file without an image."
        raise FileError(msg)
    index = one_of_several(path, frame, len(slices), "images") if len(slices) > 1 else 0
    chosen = slices[index]
    (pixels,) = _decoded(path, [index])
    values = rescale(pixels, chosen.slope, chosen.intercept)
    if chosen.header.modality == "CT" and window is None:
        refuse_ct(path, IS_CT)
    return _shown(values, chosen, window)


def _shown(values: NDArray[Any], image: Slice, window: AnyWindow | None) -> Image:
    if values.ndim == 3 and values.dtype != np.uint8:
        values = values >> (8 * values.dtype.itemsize - 8)  # deep colour, rare
    if values.dtype == np.uint8 and window is None:
        shown = values
    else:
        shown = to_display(values, window or "percentile")
    return 255 - shown if image.header.inverted else shown.astype(np.uint8, copy=False)


@frozen(eq=False)
class DicomFilm(Sequence[Image]):
    """A multi-frame file as a sequence; each frame is decoded when it is asked for.

    Attributes:
        path: The file.
        fps: Frames a second, where the file says so.
    """

    path: Path
    fps: float | None
    _slices: Sequence[Slice] = field(repr=False)
    _window: Any = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self._slices)

    @overload
    def __getitem__(self, index: int) -> Image: ...
    @overload
    def __getitem__(self, index: slice) -> "DicomFilm": ...
    def __getitem__(self, index: int | slice) -> "Image | DicomFilm":
        if isinstance(index, slice):
            return DicomFilm(self.path, self.fps, self._slices[index], self._window)
        image = self._slices[index]
        return _shown(self.values(image), image, self._window)

    def __iter__(self) -> Iterator[Image]:
        pixels = _decoded(self.path, [image.index for image in self._slices])
        for image, values in zip(self._slices, pixels, strict=True):
            real = rescale(values, image.slope, image.intercept)
            yield _shown(real, image, self._window)

    def values(self, image: Slice) -> NDArray[Any]:
        """A frame in real values, not yet scaled for display."""
        from pydicom.pixels.utils import pixel_array  # noqa: PLC0415 -- only these files need it

        if image.header.frames == 1:
            (pixels,) = _decoded(self.path, [0])
        else:
            with parsing(self.path):  # of the file, only this frame is read
                pixels = pixel_array(self.path, index=image.index)
        return rescale(pixels, image.slope, image.intercept)


def read_film(path: Path) -> DicomFilm:
    """The frames of a multi-frame file.

    Raises:
        FileError: It holds no images.
    """
    slices = read_header(path)
    if not slices:
        msg = f"{path} is a DICOM file without an image."
        raise FileError(msg)
    with parsing(path):
        _refuse_without_decoder(dataset(path, stop_before_pixels=True), path)
    film = DicomFilm(path, slices[0].header.fps, slices)
    first = film.values(slices[0])
    if first.ndim == 3 or first.dtype == np.uint8:
        return film
    # All frames are scaled alike, by some of them: a flicker would look like motion.
    some = [film.values(image) for image in slices[:: max(1, len(slices) // 8)]]
    low, high = percentile_bounds(np.stack(some))
    return DicomFilm(path, film.fps, slices, Window((low + high) / 2, max(high - low, 1.0)))
