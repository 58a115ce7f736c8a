"""`medsegany track`: videos."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal
from uuid import uuid4

import typer
from rich.table import Table
from rich.text import Text

from medsegany.cli import _common as common
from medsegany.cli._cases import FILMS, Case, find_cases
from medsegany.cli._common import NotUnderstood
from medsegany.cli._prompts import Asked, in_order, on_frames
from medsegany.cli._runs import Row, Run
from medsegany.errors import FileError
from medsegany.io import read_frames, write_video
from medsegany.progress import OnProgress
from medsegany.protocols import Segmenter
from medsegany.registry import DEFAULT

Direction = Literal["forward", "backward", "both"]


def track(
    context: typer.Context,
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Videos, DICOM films, folders of frames."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="DIR", help="A new folder; one inside it for each input."
        ),
    ],
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="X0,Y0,X1,Y1@T", help="A box on frame T; without @T on frame 0."),
    ] = None,
    point: Annotated[
        list[str] | None, typer.Option(metavar="X,Y@T", help="A click on the object.")
    ] = None,
    negative_point: Annotated[
        list[str] | None, typer.Option(metavar="X,Y@T", help="A click where it is not.")
    ] = None,
    mask: Annotated[
        list[str] | None, typer.Option(metavar="FILE[@T]", help="Its mask on frame T, a PNG.")
    ] = None,
    object_: common.Objects = None,
    model: common.Model = DEFAULT,
    checkpoint: common.Checkpoint = None,
    direction: Annotated[Direction, typer.Option(help="From the prompted frames.")] = "forward",
    overlay: Annotated[
        bool, typer.Option("--overlay/--no-overlay", help="Write a film to look at.")
    ] = True,
    window: common.WindowOption = None,
    device: common.Device = "auto",
    image_size: common.ImageSize = None,
    crop: common.Crop = "auto",
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
    report: common.Report = None,
    report_paths: common.ReportPaths = False,
) -> None:
    """Follow objects through videos.

    Each result is a folder with `masks/000000.png` and so on, the numbers of objects, and a film
    to look at, `overlay.mp4`. It appears when it is complete.

        medsegany track cine.mp4 --box 156,68,203,130 -o ventricle/
    """
    del box, point, negative_point, mask, object_  # read in their order, below
    asked = in_order(context)
    if not asked:
        msg = "What is to be followed? Give --box, --point or --mask."
        raise NotUnderstood(msg)
    shown = common.window_of(window)
    several = len(inputs) > 1 or (len(inputs) == 1 and _holds_videos(inputs[0]))
    if several:
        cases = find_cases(inputs, output, None, kinds=FILMS, written="")
    else:
        cases = [Case(inputs[0], output)]

    def one(case: Case, segmenter: Segmenter, tell: OnProgress) -> Row:
        _refuse_what_is_no_result(case.target)
        part = case.target.with_name(f".{case.target.name}.{uuid4().hex}")
        try:
            found = _one(case, part, asked, segmenter, direction, shown, tell, overlay=overlay)
            _put(part, case.target, overwrite=overwrite)
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return found

    run = Run(
        command="track",
        cases=cases,
        asked=asked,
        model=model,
        checkpoint=checkpoint,
        device=device,
        image_size=image_size,
        crop=common.crop_of(crop),
        overwrite=overwrite,
        report=report,
        report_paths=report_paths,
    )
    run.do(one, {"direction": direction, "window": window}, _table, as_json=as_json)


def _holds_videos(path: Path) -> bool:
    return path.is_dir() and any(p.suffix.lower() in FILMS for p in path.iterdir())


def _one(
    case: Case,
    part: Path,
    asked: list[Asked],
    segmenter: Segmenter,
    direction: Direction,
    window: Any,  # noqa: ANN401 -- any window
    tell: OnProgress,
    *,
    overlay: bool,
) -> Row:
    frames = read_frames(case.source, window=window)
    built = on_frames(asked, frames[0])
    with segmenter.track_video(
        frames, built.prompts, direction=direction, on_progress=tell
    ) as tracking:
        written = write_video(part, tracking, like=frames, overlay=overlay)
    return {"frames": written.frames, "objects": sorted(built.prompts)}


def _put(part: Path, target: Path, *, overwrite: bool) -> None:
    """Under its name in one step: a folder of that name is always a whole result."""
    old = target.with_name(f"{part.name}.old")
    try:
        if target.exists():
            if not overwrite:
                msg = f"{target} has appeared meanwhile: is it being tracked twice?"
                raise FileError(msg)
            target.rename(old)
        part.rename(target)
    except OSError as error:
        msg = f"{target} cannot be written: {error.strerror or error}."
        raise FileError(msg) from error
    finally:
        shutil.rmtree(old, ignore_errors=True)


def _refuse_what_is_no_result(target: Path) -> None:
    """Before the work: --overwrite replaces an older result, and nothing else."""
    if not target.name:
        msg = f"{target} has no name that a folder could have."
        raise FileError(msg)
    if target.exists() and not target.is_dir():
        msg = f"{target} is a file, and the result of track is a folder."
        raise FileError(msg)
    if target.is_dir() and not {p.name for p in target.iterdir()} <= {"masks", "overlay.mp4"}:
        msg = f"{target} holds more than a result of track, so it is not replaced."
        raise FileError(msg)


def _table(rows: Sequence[Row], cases: Sequence[Case]) -> Table:
    table = Table("input", "frames", "objects", "seconds", "written to")
    for row, case in zip(rows, cases, strict=True):
        if "frames" in row:
            objects = ", ".join(map(str, row["objects"]))
            seconds = f"{row['seconds']:.1f}"
            table.add_row(
                Text(case.name), str(row["frames"]), objects, seconds, Text(str(case.target))
            )
    return table
