"""NIfTI, through nibabel."""

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast
from xml.etree import ElementTree as ET

import numpy as np
from attrs import evolve
from numpy.typing import NDArray

from medsegany.errors import FileError, InvalidGeometry
from medsegany.io._files import identity, reading, refuse_a_swollen_header
from medsegany.io._frame import which
from medsegany.volume import Volume

if TYPE_CHECKING:
    import nibabel as nib

Colour: TypeAlias = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

KIND = "NIfTI"
# Connectome Workbench keeps a table of labels in a header extension of this code; TotalSegmentator
# keeps the same table in the first one, of code 0.
_TABLE = 30
_UNNAMED = 0
_ALIGNED = 2
_MOST_IN_NIFTI_1 = 32767
_LEVEL = 6  # labels are mostly zeros: packed well, they are packed fast too
_NO_LABEL = "???"  # what Workbench calls the background


def read_nifti(path: Path, frame: int | None) -> Volume:
    """Read a volume, or one of several."""
    with reading(path, KIND):
        image = _load(path)
        if len(image.shape) == 3:
            which(path, frame, 1)
        elif len(image.shape) == 4:
            image = image.slicer[..., which(path, frame, image.shape[3])]
        else:
            msg = f"{path} has {len(image.shape)} dimensions, {image.shape}; a volume has three."
            raise FileError(msg)
        return evolve(Volume.from_nibabel(image), file_id=identity(path))


def _load(path: Path) -> "nib.Nifti1Image":
    import nibabel as nib  # noqa: PLC0415 -- keeps `import medsegany` fast

    # Without a map of the file, its voxels are in memory once and not twice.
    image = cast("nib.Nifti1Image", nib.load(path, mmap=False))
    promised = int(np.prod([int(n) for n in image.shape], dtype=object))
    refuse_a_swollen_header(path, promised * image.get_data_dtype().itemsize, KIND)
    _refuse_odd_headers(path, image)
    return image


def _refuse_odd_headers(path: Path, image: "nib.Nifti1Image") -> None:
    """What nibabel passes over, and other tools take otherwise."""
    import nibabel as nib  # noqa: PLC0415 -- keeps `import medsegany` fast

    size = int(image.header["sizeof_hdr"])
    with nib.openers.ImageOpener(str(path)) as file:
        header = type(image.header)(file.read(size), check=False)  # nibabel has mended the other
    if bytes(header["magic"].tobytes())[:3] in {b"ni1", b"ni2"}:
        msg = f"{path} is the header of a .hdr and .img pair, without voxels of its own."
        raise FileError(msg)
    steps = header["pixdim"][1:4]
    if int(header["sform_code"]) == 0 and not (steps > 0).all():
        msg = (
            f"{path} has pixdim {steps.tolist()}, which are its only steps; each is above zero. "
            "A spacing of zero is a lost one."
        )
        raise InvalidGeometry(msg)


def read_table(path: Path) -> dict[int, tuple[str, Colour | None]]:
    """Names and colours of labels, where the header brings a table of them."""
    with reading(path, KIND):
        for extension in _load(path).header.extensions:
            text = _bytes(extension)
            if b"<LabelTable" in text:
                # expat, which this is, limits the growth of entities and opens no other files
                tree = ET.fromstring(text.rstrip(b"\0 \n"))  # noqa: S314
                found = {int(e.attrib["Key"]): (e.text or "", _rgb(e)) for e in tree.iter("Label")}
                return {n: words for n, words in found.items() if n or words[0] != _NO_LABEL}
    return {}


def _bytes(extension: Any) -> bytes:  # noqa: ANN401 -- nibabel has several classes for it
    # get_content, all that nibabel had before 5.3, fails there for codes that it knows by name
    content = extension.content if hasattr(extension, "content") else extension.get_content()
    return content if isinstance(content, bytes) else str(content).encode()


def _rgb(element: ET.Element) -> Colour | None:
    if "Red" not in element.attrib:
        return None
    red, green, blue = (round(float(element.attrib[c]) * 255) for c in ("Red", "Green", "Blue"))
    return red, green, blue


def write_nifti(
    path: Path,
    labels: NDArray[Any],
    like: Volume,
    names: dict[int, str],
    colours: dict[int, Colour],
) -> None:
    """Write labels with the source's affine, codes and units."""
    import nibabel as nib  # noqa: PLC0415 -- keeps `import medsegany` fast

    codes = like.nifti
    affine = like.affine.copy()
    affine[:3] /= codes.mm  # back to the unit of the file
    # Version 1 counts voxels in 16 bits.
    kind: Any = nib.Nifti2Image if max(labels.shape) > _MOST_IN_NIFTI_1 else nib.Nifti1Image
    image = kind(labels.T, affine)
    image.header.set_xyzt_units(*codes.units)
    sform_code = codes.sform_code
    if codes.sform_code == codes.qform_code == 0 and not _is_a_guess(image, affine):
        sform_code = _ALIGNED
    # A source without codes lies where each reader guesses: so does its result, at the same place.
    image.set_sform(affine, sform_code)
    if codes.qform is not None:
        # a shear cannot be held by the quaternion, the sform has it
        image.set_qform(codes.qform, codes.qform_code, strip_shears=True)
    elif codes.qform_code > 0 and not like.is_sheared:
        image.set_qform(affine, codes.qform_code)
    if names or colours:
        table = _table(names, colours)
        for code in (_UNNAMED, _TABLE):
            image.header.extensions.append(nib.nifti1.Nifti1Extension(code, table))
    # nib.save would leave its file open when the disk is full, and puts the time into a .gz.
    with path.open("wb") as file:
        if path.suffix == ".gz":
            with gzip.GzipFile("", "wb", _LEVEL, file, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(file)


def _is_a_guess(image: "nib.Nifti1Image", affine: NDArray[Any]) -> bool:
    """Whether the affine is what nibabel makes of a header without codes."""
    return bool(np.allclose(image.header.get_base_affine(), affine, atol=1e-3))


def _table(names: dict[int, str], colours: dict[int, Colour]) -> bytes:
    root = ET.Element("CaretExtension")
    volume = ET.SubElement(root, "VolumeInformation", Index="0")
    table = ET.SubElement(volume, "LabelTable")
    background = ET.SubElement(table, "Label", Key="0", Red="0", Green="0", Blue="0", Alpha="0")
    background.text = _NO_LABEL
    for label in sorted(names.keys() | colours.keys()):
        red, green, blue = (f"{c / 255:.6f}" for c in colours.get(label, (255, 255, 255)))
        entry = ET.SubElement(
            table, "Label", Key=str(label), Red=red, Green=green, Blue=blue, Alpha="1"
        )
        entry.text = names.get(label, f"Label {label}")
    ET.SubElement(volume, "VolumeType").text = "Label"
    written: bytes = ET.tostring(root, encoding="UTF-8", xml_declaration=True)
    return written
