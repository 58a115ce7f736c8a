"""`medsegany convert`: one format to another, on the same grid."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.text import Text

from medsegany.cli import _common as common
from medsegany.cli._common import out
from medsegany.errors import FileError, InvalidInput
from medsegany.io import ending, read_labels, read_volume, write_labels
from medsegany.io._files import atomically
from medsegany.io._npz import grid_arrays
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
    overwrite: common.Overwrite = False,
) -> None:
    """Convert a label map, or an image as display values, on the same grid.

    An `.npz` is the MedSAM challenges' form: `imgs`, `spacing` as (x, y, z), and `gts`.

        medsegany convert dicom-folder/ case.npz --window abdomen --reference truth.nii.gz

        medsegany convert --labels seg.nii.gz seg.seg.nrrd
    """
    if target.exists() and not overwrite:
        msg = f"{target} is there already: --overwrite replaces it."
        raise FileError(msg)
    if labels:
        _convert_labels(source, target)
    else:
        volume = read_volume(source, window=common.window_of(window), frame=frame, series=series)
        if volume.voxels.dtype != np.uint8:
            msg = f"--window {window}: a window that makes display values is needed."
            raise InvalidInput(msg)
        if ending(target) == ".npz":
            _write_case(target, volume, reference)
        else:
            write_labels(target, volume.voxels, like=volume)
    out.print(Text(str(target)), soft_wrap=True)


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
