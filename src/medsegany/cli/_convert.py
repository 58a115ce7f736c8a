"""`medsegany convert`: one format to another, on the same grid."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.text import Text

from medsegany.cli import _common as common
from medsegany.cli._cases import volume_of
from medsegany.cli._common import NotUnderstood, out
from medsegany.errors import FileError
from medsegany.io import ending, read_image, read_labels, write_labels
from medsegany.io._files import atomically, identity
from medsegany.io._npz import grid_arrays
from medsegany.preprocess import AnyWindow
from medsegany.volume import Volume


def convert(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="A file or a DICOM folder.")],
    target: Annotated[Path, typer.Argument(metavar="OUTPUT", help="Its ending says the format.")],
    labels: Annotated[
        bool, typer.Option("--labels", help="It is a label map: names and colours come along.")
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Labels to put beside the image, in an .npz."),
    ] = None,
    window: common.WindowOption = None,
    frame: common.Frame = None,
    series: common.Series = None,
    stack: common.Stack = None,
    overwrite: common.Overwrite = False,
) -> None:
    """Convert a label map, a volume as display values, or a picture, on the same grid.

    An `.npz` is the MedSAM challenges' form: `imgs`, `spacing` as (x, y, z), and `gts`.

        medsegany convert dicom-folder/ case.npz --window abdomen --reference truth.nii.gz

        medsegany convert --labels seg.nii.gz seg.seg.nrrd

        medsegany convert chest.dcm chest.png
    """
    _refuse_what_would_be_ignored(
        labels=labels,
        picture=ending(target) == ".png",
        npz=ending(target) == ".npz",
        given={
            "--reference": reference,
            "--window": window,
            "--frame": frame,
            "--series": series,
            "--stack": stack,
        },
    )
    if target.exists():
        if source.exists() and identity(source) == identity(target):
            msg = f"{target} is the file that is converted: the result needs a name of its own."
            raise FileError(msg)
        if not overwrite:
            msg = f"{target} is there already: --overwrite replaces it."
            raise FileError(msg)
    if labels:
        _convert_labels(source, target)
    elif ending(target) == ".png":
        _convert_picture(source, target, common.window_of(window), frame)
    else:
        shown = common.window_of(window)
        volume = volume_of(source, window=shown, frame=frame, series=series, stack=stack)
        if ending(target) == ".npz":
            _write_case(target, volume, reference)
        else:
            write_labels(target, volume.voxels, like=volume)
    out.print(Text(str(target)), soft_wrap=True)


def _refuse_what_would_be_ignored(
    *, labels: bool, picture: bool, npz: bool, given: dict[str, object]
) -> None:
    used = {"--reference"} if npz and not labels else set()
    if not labels:
        used |= {"--window", "--frame"} | (set() if picture else {"--series", "--stack"})
    if given["--window"] == "raw":
        msg = "--window raw: a window that makes display values is needed."
        raise NotUnderstood(msg)
    ignored = [name for name, value in given.items() if value is not None and name not in used]
    if ignored:
        what = "a label map" if labels else "a picture" if picture else "a file other than .npz"
        msg = f"{', '.join(ignored)}: not an option for {what}."
        raise NotUnderstood(msg)


def _convert_picture(
    source: Path, target: Path, window: AnyWindow | None, frame: int | None
) -> None:
    from PIL import Image as Pillow  # noqa: PLC0415 -- keeps `medsegany --help` fast

    picture = Pillow.fromarray(read_image(source, window=window, frame=frame))
    atomically(target, picture.save)


def _convert_labels(source: Path, target: Path) -> None:
    found = read_labels(source)
    if found.affine is None:
        write_labels(target, found.labels, like=found.labels)
        return
    grid = Volume(found.labels, found.affine)
    names = found.names if ending(target) != ".mha" else {}
    colours = found.colours if ending(target) not in {".mha", ".npz"} else {}
    lost = [what for what, kept, had in (("names", names, found.names),
            ("colours", colours, found.colours)) if had and not kept]  # fmt: skip
    if lost:
        common.err.print(f"{ending(target)} has no place for {' and '.join(lost)}: left out.")
    write_labels(target, found.labels, like=grid, names=names, colours=colours)


def _write_case(target: Path, volume: Volume, reference: Path | None) -> None:
    arrays = {"imgs": volume.voxels, **grid_arrays(volume)}
    if reference is not None:
        arrays["gts"] = read_labels(reference, like=volume).labels
    atomically(target, lambda path: np.savez_compressed(path, **arrays))  # type: ignore[arg-type]
