"""Label maps: results on the grid of their source, and references on that of an image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany._validate import as_whole
from medsegany.errors import FileError, InvalidGeometry, InvalidInput
from medsegany.io._files import atomically, ending, existing, identity, reading, reason
from medsegany.io._images import read_pixels
from medsegany.io._itk_write import write_itk
from medsegany.io._nifti import Colour, read_table, write_nifti
from medsegany.io._npz import grid, read_arrays, write_npz
from medsegany.io._nrrd import has_layers, read_segments
from medsegany.io._png import read_png, write_png
from medsegany.io._volumes import READERS
from medsegany.results import label_dtype
from medsegany.types import Labels
from medsegany.volume import Volume
from medsegany.world import corners_of_bounds

T = TypeVar("T")

# What a format has a place for. DICOM SEG, once it is written here, is one more line of
# `write_labels`; it needs the source's files, which `DicomSeries.files` has.
_NAMES = {".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".npz", ".png"}
_COLOURS = _NAMES - {".npz"}
WRITTEN = (".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha", ".npz", ".png")

_OF_A_VOXEL = 0.05  # formats round affines; what is farther away lies elsewhere


@frozen(eq=False)
class LabelMap:
    """A label map as it was read.

    Attributes:
        labels: `(D, H, W)`, or `(H, W)` from a picture, unless it was read for a volume of one
            slice; 0 is the background.
        affine: As in `Volume`; None for a picture.
        names: Label -> name, where the file has some.
        colours: Label -> (red, green, blue), 0 to 255, where the file has some.
    """

    labels: Labels
    affine: NDArray[np.float64] | None = field(repr=False)
    names: Mapping[int, str] = field(factory=dict)
    colours: Mapping[int, Colour] = field(factory=dict)


def read_labels(path: str | Path, *, like: Volume | NDArray[Any] | None = None) -> LabelMap:
    """Read a label map: a reference, or a result that was written before.

    Args:
        path: NIfTI, NRRD (3D Slicer's `.seg.nrrd` too), MetaImage, `.npz` with `segs` or `gts`, or
            a PNG.
        like: The image it belongs to, a `Volume` or a picture: a label map that lies on another
            grid is refused, where numpy would only see that the shapes agree.

    Raises:
        FileError: The file is missing, broken, of another kind, or holds no whole numbers from 0.
        InvalidGeometry: It lies on another grid than `like`.
    """
    path = existing(path)
    kind = ending(path)
    affine: NDArray[np.float64] | None = None
    words: dict[int, tuple[str, Colour | None]] = {}
    if kind == ".png":
        values, words = read_png(path)
    elif kind == ".npz":
        values, affine, words = _from_npz(path)
    elif kind in READERS:
        if kind.endswith("nrrd") and has_layers(path):
            msg = (
                f"{path} keeps overlapping segments in layers, so a voxel has no one label. Export "
                "it from 3D Slicer as a labelmap volume."
            )
            raise FileError(msg)
        volume = READERS[kind](path, None)
        values, affine = volume.voxels, volume.affine
        words = read_table(path) if kind.startswith(".nii") else words
        words = read_segments(path) if kind.endswith("nrrd") else words
    else:
        msg = f"{path.name}: labels are read from {', '.join(READERS)} and .png files."
        raise FileError(msg)
    labels = whole_labels(values, path)
    if labels.ndim == 2 and isinstance(like, Volume) and like.shape[0] == 1:
        labels = labels[None]
    _refuse_another_grid(labels, affine, like, path)
    names = {label: name for label, (name, _) in words.items() if name}
    colours = {label: colour for label, (_, colour) in words.items() if colour}
    return LabelMap(labels, affine, names, colours)


def _from_npz(
    path: Path,
) -> tuple[NDArray[Any], NDArray[np.float64], dict[int, tuple[str, Colour | None]]]:
    content = read_arrays(path)
    key = next((key for key in ("segs", "gts") if key in content), None)
    if key is None:
        msg = f"{path} holds {sorted(content)}, and neither 'segs' nor 'gts'."
        raise FileError(msg)
    values = content[key]
    with reading(path, ".npz"):
        affine = grid(content, "xyz", path)
    words = enumerate(content["names"].tolist() if "names" in content else [])
    return (
        values[None] if values.ndim == 2 else values,
        affine,
        {label: (str(name), None) for label, name in words if name},
    )


def whole_labels(values: NDArray[Any], path: Path) -> Labels:
    """Values as labels: whole numbers from 0.

    Raises:
        FileError: They are none.
    """
    if values.ndim not in {2, 3} or values.dtype.kind not in "biuf":
        msg = f"{path} holds {values.dtype} of shape {values.shape}; labels are (D, H, W)."
        raise FileError(msg)
    if values.dtype.kind == "f" and not (values == np.round(values)).all():
        msg = f"{path} holds fractions, so it is no label map. An image, or resampled linearly?"
        raise FileError(msg)
    low, high = (values.min(), values.max()) if values.size else (0, 0)
    if low < 0 or high > np.iinfo(np.uint16).max:
        msg = f"{path} holds values from {low:g} to {high:g}; labels are 0 to 65535."
        raise FileError(msg)
    return cast("Labels", values.astype(label_dtype(int(high)), copy=False))


def _refuse_another_grid(
    labels: Labels,
    affine: NDArray[np.float64] | None,
    like: Volume | NDArray[Any] | None,
    path: Path,
) -> None:
    if like is None:
        return
    if not isinstance(like, Volume) and not hasattr(like, "shape"):
        msg = f"like= is a Volume or a picture, got {type(like).__name__}."
        raise InvalidInput(msg)
    shape = like.shape if isinstance(like, Volume) else like.shape[: labels.ndim]
    if labels.shape != shape:
        msg = f"The labels of {path} are {labels.shape}, the image {shape}."
        if sorted(labels.shape) == sorted(shape):
            msg += " Are its axes in another order?"
        raise InvalidGeometry(msg)
    if affine is None or not isinstance(like, Volume):
        return
    corners = np.c_[corners_of_bounds([(0, n - 1) for n in shape[::-1]]), np.ones(8)]
    off = np.linalg.norm(corners @ (affine - like.affine).T, axis=1).max()
    if off > _OF_A_VOXEL * min(like.spacing_mm):
        msg = (
            f"The labels of {path} lie up to {off:.4g} mm away from the image, though both are "
            f"{shape}: another orientation, origin or spacing."
        )
        raise InvalidGeometry(msg)


def write_labels(
    path: str | Path,
    labels: NDArray[Any],
    *,
    like: Volume | NDArray[Any],
    names: Mapping[int, str] | None = None,
    colours: Mapping[int, Colour] | None = None,
    overwrite: bool = True,
) -> None:
    """Write a label map beside its source: on the same grid, with the same affine.

    In NIfTI the source's codes and units are kept too; more than 32767 voxels along an axis make it
    NIfTI-2, which ITK does not read. The file appears under its name only when it
    is complete. Nothing but the labels and their grid is written: no name, date or description of
    the source.

    Args:
        path: `.nii`, `.nii.gz`, `.nrrd`, `.seg.nrrd` (3D Slicer's segmentations), `.mha`, `.npz`
            (`segs`, as the challenges want it) or, for one slice or picture, `.png`.
        labels: `(D, H, W)`, or `(H, W)` for a picture; bool or integers from 0: uint8 up to 255,
            else uint16 in the file.
        like: What was segmented: a `Volume`, or for `.png` the picture itself.
        names: Label -> name. Kept in NIfTI (in the table of Connectome Workbench and
            TotalSegmentator), NRRD (3D Slicer's), npz (`names[label]`) and PNG (text).
        colours: Label -> (red, green, blue), 0 to 255. Kept in NIfTI, NRRD and, up to 255 labels,
            PNG, which is then one of a palette: its numbers are still the labels, but some readers
            turn them into colours.
        overwrite: Whether a file of that name is replaced. The source itself never is: a volume
            knows its file, a picture is compared.

    Raises:
        InvalidInput: The labels lie on another grid, or are no labels; or there are names or
            colours that the format has no place for.
        FileError: The file cannot be written, is there already, or has another ending.
    """
    path = Path(path)
    kind = ending(path)
    if kind not in WRITTEN:
        msg = f"{path.name}: labels are written as {', '.join(WRITTEN)}."
        raise FileError(msg)
    array = _on_the_grid(_as_array(labels), like, kind)
    named = _checked_names(_mapping(names, "names"), kind)
    coloured = _checked_colours(_mapping(colours, "colours"), kind)
    _refuse_the_source(path, like)
    if kind == ".png":
        atomically(path, lambda p: write_png(p, array, named, coloured), overwrite=overwrite)
        return
    if not isinstance(like, Volume):
        msg = (
            f"{path.name} needs like=Volume: an array has no place in space. "
            "Volume.from_spacing(voxels, spacing_mm) gives it one."
        )
        raise InvalidInput(msg)
    source = like

    def write(neighbour: Path) -> None:
        if kind == ".npz":
            write_npz(neighbour, array, source, named)
        elif kind.startswith(".nii"):
            write_nifti(neighbour, array, source, named, coloured)
        else:
            write_itk(neighbour, array, source, named, coloured)

    atomically(path, write, overwrite=overwrite)


def _as_array(labels: object) -> NDArray[Any]:
    try:
        return np.asarray(labels)
    except ValueError as error:
        msg = f"Labels are an array: {reason(error)}"
        raise InvalidInput(msg) from error


def _on_the_grid(labels: NDArray[Any], like: Volume | NDArray[Any], kind: str) -> Labels:
    if kind == ".png":
        if labels.ndim == 3 and labels.shape[0] == 1:
            labels = labels[0]
        shape = like.shape[1:] if isinstance(like, Volume) else np.asarray(like).shape[:2]
        if isinstance(like, Volume) and like.shape[0] != 1:
            msg = (
                f"A .png holds one slice, the volume has {like.shape[0]}. Write .nii.gz, or one "
                "slice: write_labels(path, labels[k], like=volume.voxels[k])."
            )
            raise InvalidInput(msg)
    else:
        shape = like.shape if isinstance(like, Volume) else labels.shape
    if labels.shape != tuple(shape):
        what = "volume" if isinstance(like, Volume) else "picture"
        msg = f"The labels are {labels.shape}, the {what} {tuple(shape)}."
        raise InvalidInput(msg)
    if labels.dtype.kind not in "biu" or (labels.size and labels.min() < 0):
        lowest = f" from {labels.min()}" if labels.size else ""
        msg = f"Labels are whole numbers from 0, got {labels.dtype}{lowest}."
        raise InvalidInput(msg)
    return cast("Labels", labels.astype(label_dtype(int(labels.max())), copy=False))


def _mapping(given: Mapping[int, T] | None, what: str) -> Mapping[int, T]:
    found = {} if given is None else given
    if not hasattr(found, "items"):
        msg = f"{what} is a mapping from label, such as {{1: ...}}; got {type(found).__name__}."
        raise InvalidInput(msg)
    return found


def _checked_names(names: Mapping[int, str], kind: str) -> dict[int, str]:
    _refuse_without_place(names, kind, _NAMES, "names")
    for label, name in names.items():
        _check_label(label, "names")
        if not (type(name) is str and name and name.isprintable()):
            msg = f"names[{label}] is a name on one line, got {name!r}."
            raise InvalidInput(msg)
    return {int(label): name for label, name in names.items()}


def _checked_colours(colours: Mapping[int, Colour], kind: str) -> dict[int, Colour]:
    _refuse_without_place(colours, kind, _COLOURS, "colours")
    found: dict[int, Colour] = {}
    for label, colour in colours.items():
        _check_label(label, "colours")
        numbers = [as_whole(c) for c in np.asarray(colour).ravel()]
        if len(numbers) != 3 or not all(n is not None and 0 <= n <= 255 for n in numbers):
            msg = f"colours[{label}] is (red, green, blue), each 0 to 255; got {colour!r}."
            raise InvalidInput(msg)
        found[int(label)] = cast("Colour", tuple(numbers))
    return found


def _check_label(label: object, what: str) -> None:
    number = as_whole(label)
    if number is None or not 1 <= number <= np.iinfo(np.uint16).max:
        msg = f"{what} goes from labels, whole numbers from 1 to 65535; got {label!r}."
        raise InvalidInput(msg)


def _refuse_without_place(given: Mapping[int, Any], kind: str, have: set[str], what: str) -> None:
    if given and kind not in have:
        msg = f"{kind} has no place for {what}; {', '.join(sorted(have))} have one."
        raise InvalidInput(msg)


def _refuse_the_source(path: Path, like: Volume | NDArray[Any]) -> None:
    try:
        if isinstance(like, Volume):
            same = like.file_id is not None and identity(path) == like.file_id
        else:  # which does not know where it is from
            same = ending(path) == ".png" and np.array_equal(read_pixels(path), like)
    except (OSError, ValueError, FileError):  # there is nothing of that name, or nothing to lose
        return
    if same:
        msg = f"{path} is the image itself: its labels need a name of their own."
        raise FileError(msg)
