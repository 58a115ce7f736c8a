"""Which DICOM images form a volume, in which order, and where it lies."""

import warnings
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany._lps import affine_from_lps
from medsegany.errors import FileError, InvalidGeometry, InvalidInput
from medsegany.io._dicom_header import Slice, is_dicom, read_header
from medsegany.io._files import is_folder
from medsegany.io._frame import which
from medsegany.types import Affine

_SAME_PLACE_MM = 0.005  # half a unit of the last digit that most scanners write
_ROUNDED_MM = 0.011  # two positions of two digits each
_OF_A_STEP = 0.05  # how far a slice may lie from its place in the grid, as a part of the step
_SAME_DIRECTION = 1e-3
_LISTED = 20


@frozen(eq=False)
class DicomSeries:
    """Images that lie in one stack: a series, or that part of one which does.

    A series may hold several stacks, such as a scan and the localizer it was planned on.

    Attributes:
        number: The series number, as scanners and viewers show it.
        modality: "CT", "MR", "PT", "US", ...
        shape: Images, rows and columns.
        is_localizer: Whether the files say that they are one.
        files: For `read_volume(series.files)`. One may hold many images.
        uid: The SeriesInstanceUID, the same for all stacks of a series.
        slices: What is known of each image.
    """

    number: int | None
    modality: str
    shape: tuple[int, int, int]
    is_localizer: bool
    files: tuple[Path, ...] = field(repr=lambda files: f"<{len(files)} files>")
    uid: str = field(repr=False)
    slices: tuple[Slice, ...] = field(repr=False)

    def __str__(self) -> str:
        images, rows, columns = self.shape
        name = "a series without number" if self.number is None else f"series {self.number}"
        what = ", localizer" if self.is_localizer else ""
        plural = "image" if images == 1 else "images"
        return f"{name}: {self.modality or '?'}, {images} {plural} of {rows} x {columns}{what}"


def dicom_series(path: str | Path | Iterable[str | Path]) -> list[DicomSeries]:
    """The stacks of images in a folder and its subfolders, by series number.

    Nothing that names a patient is read.

    Args:
        path: A folder, a file, or several files.

    Raises:
        FileError: There are no DICOM images, or a file is damaged.
    """
    slices = [image for file in _files(path) for image in read_header(file)]
    if not slices:
        msg = f"{_called(path)} holds no DICOM images."
        raise FileError(msg)
    stacks: list[list[Slice]] = []
    for image in slices:
        home = next((s for s in stacks if _together(s[0], image)), None)
        if home is None:
            stacks.append(home := [])
        home.append(image)
    found = []
    for stack in stacks:
        header = stack[0].header
        found.append(
            DicomSeries(
                number=header.series_number,
                modality=header.modality,
                shape=(len(stack), *header.shape),
                is_localizer=header.localizer,
                files=tuple(dict.fromkeys(image.header.path for image in stack)),
                uid=header.series,
                slices=tuple(stack),
            )
        )
    return sorted(found, key=lambda s: (s.number is None, s.number or 0, s.uid, -s.shape[0]))


def _files(path: str | Path | Iterable[str | Path]) -> list[Path]:
    if not isinstance(path, (str, Path)):
        return [Path(file) for file in path]
    path = Path(path)
    if not is_folder(path):
        return [path]
    try:
        every = sorted(p for p in path.rglob("*") if p.is_file())
    except OSError as error:
        msg = f"{path} cannot be looked through: {error.strerror}."
        raise FileError(msg) from error
    return [p for p in every if p.name[0] != "." and p.name != "DICOMDIR" and is_dicom(p)]


def _called(path: object) -> str:
    return str(path) if isinstance(path, (str, Path)) else "The list of files"


def _together(one: Slice, other: Slice) -> bool:
    a, b = one.header, other.header
    if (a.series, a.shape, a.samples, a.localizer) != (b.series, b.shape, b.samples, b.localizer):
        return False
    if a.frames > 1 and b.frames > 1 and a is not b and one.position is None:
        return False  # two films
    return _alike(one.directions, other.directions) and _alike(one.spacing, other.spacing)


def _alike(one: object, other: object) -> bool:
    if one is None or other is None:
        return one is other
    a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
    return bool(np.abs(a - b).max() < _SAME_DIRECTION)


def choose(found: Sequence[DicomSeries], series: int | str | None, path: object) -> DicomSeries:
    """The stack that is meant.

    Localizers are left out where there is anything else, unless one is asked for: nobody means
    them, and every study has them.

    Raises:
        InvalidInput: Several could be.
    """
    asked = [s for s in found if series is None or series in (s.number, s.uid)]
    stacks = [s for s in asked if not s.is_localizer] or asked
    if len(stacks) == 1:
        _warn_of_localizers(stacks[0], asked)
        return stacks[0]
    what = "\n".join(f"  found[{n}]: {stack}" for n, stack in enumerate(found[:_LISTED]))
    what += f"\n  and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    if not stacks:
        msg = f"{_called(path)} has no series {series!r}. There is\n{what}"
        raise InvalidInput(msg)
    numbers = [s.number for s in stacks]
    by_number = series is None and None not in numbers and len(set(numbers)) == len(numbers)
    how = f"with series={numbers[0]}, or" if by_number else "with"
    mixed = "in one series" if len({s.uid for s in stacks}) == 1 else "in several series"
    msg = (
        f"{_called(path)} holds {len(stacks)} stacks of images {mixed}: say which {how}\n"
        f"  found = io.dicom_series(path)\n  io.read_volume(found[0].files)\n{what}"
    )
    raise InvalidInput(msg)


def _warn_of_localizers(chosen: DicomSeries, asked: Sequence[DicomSeries]) -> None:
    """Those of other series are expected; one within the series may surprise."""
    names = [s.slices[0].name for s in asked if s is not chosen and s.uid == chosen.uid]
    if names:
        msg = f"{chosen} also holds localizers, which are left out: {', '.join(names[:5])}."
        warnings.warn(msg, stacklevel=2)


def ordered(stack: DicomSeries, path: Path, frame: int | None) -> tuple[list[Slice], Affine]:
    """The slices of one volume along their normal, and where it lies.

    Raises:
        InvalidGeometry: Slices are missing, doubled, or lie unevenly.
        InvalidInput: There are several volumes, and `frame` does not say which.
        FileError: The images have no place in space.
    """
    _refuse_what_has_no_place(stack, path)
    _refuse_copies(stack.slices)
    directions = cast("NDArray[np.float64]", stack.slices[0].directions)
    normal = np.cross(*directions)
    along = sorted(stack.slices, key=lambda s: float(_position(s) @ normal))
    places: list[list[Slice]] = []
    for image in along:
        if places and (_position(image) - _position(places[-1][0])) @ normal < _SAME_PLACE_MM:
            places[-1].append(image)
        else:
            places.append([image])
    index = which(path, frame, _same_number(places))
    chosen = [place[index] for place in _in_volumes(places)]
    return chosen, _affine(chosen, normal)


def _position(image: Slice) -> NDArray[np.float64]:
    return cast("NDArray[np.float64]", image.position)


def _refuse_what_has_no_place(stack: DicomSeries, path: Path) -> None:
    lost = [s for s in stack.slices if s.position is None or s.directions is None or not s.spacing]
    if stack.slices[0].header.mosaic:
        msg = (
            f"{path} holds Siemens mosaics, many slices tiled into one picture. dcm2niix makes "
            "NIfTI files of them, which are read here."
        )
        raise FileError(msg)
    if lost:
        film = lost[0].header.frames > 1
        hint = (
            "A film? io.read_frames reads it, and segmenter.track_video takes it."
            if film
            else "A projection, or an ultrasound picture? io.read_image reads it."
        )
        msg = f"{path.parent / lost[0].name} does not say where in space it lies. {hint}"
        raise FileError(msg)


def _refuse_copies(slices: Sequence[Slice]) -> None:
    seen: dict[tuple[str, int], Slice] = {}
    for image in slices:
        twin = seen.setdefault((image.header.uid, image.index), image)
        if twin is not image and image.header.uid:
            msg = f"{twin.name} and {image.name} are the same image: remove one of them."
            raise InvalidGeometry(msg)


def _same_number(places: Sequence[Sequence[Slice]]) -> int:
    """How many images lie at each place."""
    counts = [len(place) for place in places]
    usual = int(np.median(counts))
    odd = [place for place in places if len(place) != usual]
    if odd:
        few = ", ".join(sorted(image.name for image in odd[0])[:4])
        msg = (
            f"Most places of the stack have {usual} image{'s' if usual > 1 else ''}, and "
            f"{len(odd)} of {len(places)} have another number: {few} lie at the same place."
            if len(odd[0]) > usual
            else f"Most places of the stack have {usual} images, and {len(odd)} of {len(places)} "
            f"have fewer, such as that of {few}. Are files missing?"
        )
        raise InvalidGeometry(msg)
    return usual


def _in_volumes(places: Sequence[Sequence[Slice]]) -> list[list[Slice]]:
    """The images of each place in the order of the volumes they belong to.

    What a scanner counts alike at every place (times, echoes, b-values) tells the volumes apart;
    what differs from place to place (a trigger's time, say) does not. Numbers come last.
    """
    if len(places[0]) == 1:
        return [list(place) for place in places]
    moments = np.round([sorted(image.moment for image in place) for place in places], 3)
    count = moments.shape[-1] - 1
    alike = [
        n
        for n in range(count)
        if (np.sort(moments[..., n], axis=1) == np.sort(moments[0, :, n])).all()
        and len(np.unique(moments[0, :, n])) > 1
    ]

    def rank(image: Slice) -> tuple[float, ...]:
        return (*(round(image.moment[n], 3) for n in alike), image.moment[-1])

    found = [sorted(place, key=rank) for place in places]
    for place in found:
        if len({rank(image) for image in place}) < len(place):
            msg = (
                f"{place[0].name} and {place[1].name} lie at the same place, and nothing tells "
                "which of them belongs to which volume. Read one: io.read_volume(list_of_files)."
            )
            raise InvalidGeometry(msg)
    return found


def _affine(slices: Sequence[Slice], normal: NDArray[np.float64]) -> Affine:
    first, last = slices[0], slices[-1]
    if len(slices) == 1:
        step = normal * abs(first.thickness)
    else:
        # Not the normal times a distance: a tilted gantry shifts each slice within its plane.
        step = (_position(last) - _position(first)) / (len(slices) - 1)
        _refuse_gaps(slices, normal)
        _refuse_wandering(slices, step)
    (row_mm, column_mm) = cast("tuple[float, float]", first.spacing)
    along_row, down_column = cast("NDArray[np.float64]", first.directions)
    steps = np.stack([along_row * column_mm, down_column * row_mm, step], axis=1)
    return affine_from_lps(steps, _position(first))


def _refuse_gaps(slices: Sequence[Slice], normal: NDArray[np.float64]) -> None:
    heights = np.array([_position(s) @ normal for s in slices])
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    words = []
    for gap, (below, above) in zip(gaps, pairwise(slices), strict=True):
        if gap > 1.5 * usual + _ROUNDED_MM:
            missing = round(gap / usual) - 1
            words.append(
                f"{missing} between {below.name} and {above.name} ({gap:.2f} mm apart, the others "
                f"{usual:.2f} mm)"
            )
    if words:
        more = f", and in {len(words) - 3} more places" if len(words) > 3 else ""
        msg = (
            f"Slices are missing: {'; '.join(words[:3])}{more}. Copy the series again, or read a "
            "part without gaps: io.read_volume(list_of_files, ...)."
        )
        raise InvalidGeometry(msg)


def _refuse_wandering(slices: Sequence[Slice], step: NDArray[np.float64]) -> None:
    places = np.array([_position(s) for s in slices])
    grid = places[0] + np.arange(len(slices))[:, None] * step
    off = np.linalg.norm(places - grid, axis=1)
    worst = int(off.argmax())
    length = float(np.linalg.norm(step))
    if off[worst] > _OF_A_STEP * length + _ROUNDED_MM:
        msg = (
            f"The slices lie unevenly: {slices[worst].name} is {off[worst]:.2f} mm away from its "
            f"place in an even grid of {length:.2f} mm steps, so one affine would put it wrong. "
            "Resample the series to even slices first, or read an even part of it: "
            "io.read_volume(list_of_files, ...)."
        )
        raise InvalidGeometry(msg)
