"""What DICOM files say of their images, without the pixels and without the patient."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from attrs import field, frozen
from numpy.typing import NDArray

from medsegany.errors import FileError
from medsegany.io._files import reading

if TYPE_CHECKING:
    from pydicom import Dataset

KIND = "DICOM"

# Only these are parsed, and of them only what `Header` and `Slice` hold is kept.
_TAGS = (
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "Modality",
    "ImageType",
    "InstanceNumber",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SliceThickness",
    "SpacingBetweenSlices",
    "RescaleSlope",
    "RescaleIntercept",
    "TemporalPositionIdentifier",
    "TriggerTime",
    "EchoTime",
    "DiffusionBValue",
    "AcquisitionNumber",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "CineRate",
    "FrameTime",
)
NAMED_SO = {".dcm", ".ima", ".dicom"}
_NO_IMAGES = {"SEG", "RTDOSE", "RTSTRUCT", "RTPLAN", "PR", "KO", "SR", "REG"}


@frozen(eq=False)
class Header:
    """One file.

    Attributes:
        path: Where it is.
        uid: Of the image, the same in every copy of it.
        series: Of the series.
        series_number: As scanners and viewers show it.
        modality: "CT", "MR", "US", ...
        localizer: Whether it says so of itself.
        mosaic: Whether many slices are tiled into one picture, as Siemens scanners do.
        shape: Rows and columns.
        samples: 1 for grey, 3 for colour.
        inverted: Whether low values are bright (MONOCHROME1).
        frames: How many images it holds.
        fps: Frames a second, where it is a film and says so.
    """

    path: Path
    uid: str = field(repr=False)
    series: str = field(repr=False)
    series_number: int | None
    modality: str
    localizer: bool
    mosaic: bool
    shape: tuple[int, int]
    samples: int
    inverted: bool
    frames: int
    fps: float | None


@frozen(eq=False)
class Slice:
    """One image of a file.

    Attributes:
        header: Its file.
        index: Its number in the file, from 0.
        position: `(3,)` LPS+ mm, the centre of its first pixel; None where it has no place.
        directions: `(2, 3)`, unit vectors along a row (as columns grow) and down a column; None
            where it has no place.
        spacing: Millimetres between rows and between columns; None where they are not known.
        thickness: Millimetres to the next slice as the file puts it, 1 where it does not.
        slope: Of stored to real values.
        intercept: The same.
        moment: May tell images at one place apart: time, trigger, echo, b-value, acquisition, and
            last its number.
    """

    header: Header
    index: int
    position: NDArray[np.float64] | None
    directions: NDArray[np.float64] | None
    spacing: tuple[float, float] | None
    thickness: float
    slope: float
    intercept: float
    moment: tuple[float, ...]

    @property
    def name(self) -> str:
        """The file's name, with the number of the image where there are several."""
        inside = f" (image {self.index})" if self.header.frames > 1 else ""
        return f"{self.header.path.name}{inside}"


@contextmanager
def parsing(path: Path) -> Iterator[None]:
    """As `reading`; pydicom's warnings, which may quote what a file says, are not shown."""
    with reading(path, KIND), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_dicom(path: Path) -> bool:
    """By its first bytes; files without the usual preamble by their ending or first tag."""
    try:
        with path.open("rb") as file:
            head = file.read(132)
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}."
        raise FileError(msg) from error
    if head[128:] == b"DICM":
        return True
    # A group of the standard's first two, and an element of small number.
    plausible = len(head) > 16 and head[:2] in {b"\x02\0", b"\x08\0"} and head[3:4] == b"\0"
    return plausible or (path.suffix.lower() in NAMED_SO and len(head) > 16)


def dataset(path: Path, **how: Any) -> "Dataset":  # noqa: ANN401 -- pydicom's own options
    """A file, parsed; one without preamble too."""
    from pydicom import dcmread  # noqa: PLC0415 -- only these files need it
    from pydicom.errors import InvalidDicomError  # noqa: PLC0415
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian  # noqa: PLC0415

    try:
        return dcmread(path, **how)
    except InvalidDicomError:
        if not is_dicom(path):
            msg = "it is no DICOM file"
            raise ValueError(msg) from None
    found = dcmread(path, force=True, **how)
    if "TransferSyntaxUID" not in found.file_meta:
        implicit = found.original_encoding[0]
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
        found.file_meta.TransferSyntaxUID = syntax
    return found


def read_header(path: Path) -> list[Slice]:
    """The images of a file, in its order; empty where it holds none (a report, a plan).

    Raises:
        FileError: The file is damaged.
        InvalidGeometry: Its directions are none.
    """
    with parsing(path):
        found = dataset(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        rows, columns = found.get("Rows"), found.get("Columns")
        if str(found.get("Modality", "")) in _NO_IMAGES:
            return []
        if not rows or not columns:
            _refuse_half_an_image(found, path)
            return []
        said = {str(word).strip().upper() for word in _several(found.get("ImageType"))}
        number = found.get("SeriesNumber")
        header = Header(
            path=path,
            uid=str(found.get("SOPInstanceUID", "")),
            series=str(found.get("SeriesInstanceUID", "")),
            series_number=None if number is None else int(number),
            modality=str(found.get("Modality", "")).strip(),
            localizer="LOCALIZER" in said,
            mosaic="MOSAIC" in said,
            shape=(int(rows), int(columns)),
            samples=int(found.get("SamplesPerPixel", 1)),
            inverted=str(found.get("PhotometricInterpretation", "")).strip() == "MONOCHROME1",
            frames=int(found.get("NumberOfFrames") or 1),
            fps=_fps(found),
        )
        groups = found.get("PerFrameFunctionalGroupsSequence")
        if not groups:
            # Without functional groups a position is that of the file, so of its only image.
            alone = header.frames == 1
            return [_plain(header, found, index, alone) for index in range(header.frames)]
        shared = found.get("SharedFunctionalGroupsSequence") or [None]
        if len(groups) != header.frames:
            msg = f"{path} has {header.frames} images and describes {len(groups)}. It is damaged."
            raise FileError(msg)
        return [_grouped(header, groups[n], shared[0], n) for n in range(header.frames)]


def _refuse_half_an_image(found: "Dataset", path: Path) -> None:
    """Without its size, a file is no image, or one that is cut off before it."""
    storage = found.file_meta.get("MediaStorageSOPClassUID")
    if storage is None or "Image Storage" in storage.name:
        msg = f"{path} is cut off: it should hold an image, and does not say of which size."
        raise FileError(msg)


def _plain(header: Header, found: "Dataset", index: int, alone: bool) -> Slice:  # noqa: FBT001
    moment = ("TemporalPositionIdentifier", "TriggerTime", "EchoTime", "DiffusionBValue",
              "AcquisitionNumber", "InstanceNumber")  # fmt: skip
    return Slice(
        header,
        index,
        _vector(found.get("ImagePositionPatient"), 3) if alone else None,
        _directions(found.get("ImageOrientationPatient"), header.path),
        _pair(found.get("PixelSpacing")),
        _number(found.get("SpacingBetweenSlices")) or _number(found.get("SliceThickness")) or 1.0,
        _number(found.get("RescaleSlope"), 1.0),
        _number(found.get("RescaleIntercept")),
        tuple(_number(found.get(name)) for name in moment),
    )


def _grouped(header: Header, own: "Dataset", shared: "Dataset | None", index: int) -> Slice:
    """An image of an enhanced file, described in groups of its own or shared by all."""

    def one(sequence: str, name: str) -> Any:  # noqa: ANN401 -- whatever the tag holds
        for group in (own, shared):
            items = None if group is None else group.get(sequence)
            if items and items[0].get(name) is not None:
                return items[0].get(name)
        return None

    moment = (
        one("FrameContentSequence", "TemporalPositionIndex"),
        one("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime"),
        one("MREchoSequence", "EffectiveEchoTime"),
        one("MRDiffusionSequence", "DiffusionBValue"),
        one("FrameContentSequence", "FrameAcquisitionNumber"),
        index,
    )
    return Slice(
        header,
        index,
        _vector(one("PlanePositionSequence", "ImagePositionPatient"), 3),
        _directions(one("PlaneOrientationSequence", "ImageOrientationPatient"), header.path),
        _pair(one("PixelMeasuresSequence", "PixelSpacing")),
        _number(one("PixelMeasuresSequence", "SpacingBetweenSlices"))
        or _number(one("PixelMeasuresSequence", "SliceThickness"))
        or 1.0,
        _number(one("PixelValueTransformationSequence", "RescaleSlope"), 1.0),
        _number(one("PixelValueTransformationSequence", "RescaleIntercept")),
        tuple(_number(value) for value in moment),
    )


def _fps(found: "Dataset") -> float | None:
    rate, time = _number(found.get("CineRate")), _number(found.get("FrameTime"))
    return rate or (1000 / time if time > 0 else None)


def _several(value: Any) -> list[Any]:  # noqa: ANN401 -- whatever the tag holds
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)


def _number(value: Any, otherwise: float = 0.0) -> float:  # noqa: ANN401
    return otherwise if value in (None, "") else float(value)


def _vector(value: Any, length: int) -> NDArray[np.float64] | None:  # noqa: ANN401
    numbers = [float(v) for v in _several(value)]
    return np.array(numbers) if len(numbers) == length and np.isfinite(numbers).all() else None


def _pair(value: Any) -> tuple[float, float] | None:  # noqa: ANN401
    numbers = _vector(value, 2)
    return None if numbers is None else (float(numbers[0]), float(numbers[1]))


def _directions(value: Any, path: Path) -> NDArray[np.float64] | None:  # noqa: ANN401
    """Unit vectors; files round theirs to a few digits."""
    numbers = _vector(value, 6)
    if numbers is None:
        return None
    both = numbers.reshape(2, 3)
    length = np.linalg.norm(both, axis=1)
    if np.abs(length - 1).max() > 0.01 or abs(both[0] @ both[1]) > 0.01:
        msg = (
            f"{path}: ImageOrientationPatient is two unit vectors at right angles, "
            f"got {numbers.tolist()}."
        )
        raise FileError(msg)
    unit: NDArray[np.float64] = both / length[:, None]
    return unit
