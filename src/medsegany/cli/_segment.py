"""`medsegany segment`: pictures and volumes."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from attrs import frozen
from rich.table import Table
from rich.text import Text

import medsegany
from medsegany import checkpoints
from medsegany.cli import _common as common
from medsegany.cli._cases import IMAGES, Case, find_cases
from medsegany.cli._common import err, out
from medsegany.cli._prompts import Asked, Built, in_order, on_image, on_volume
from medsegany.cli._report import (
    check_report,
    geometry_of,
    model_of,
    prompts_of,
    write_report,
)
from medsegany.errors import FileError, InvalidInput, MedSegAnyError
from medsegany.io import (
    PICTURES,
    VIDEOS,
    ending,
    read_image,
    read_labels,
    read_npz,
    read_volume,
    write_labels,
)
from medsegany.preprocess import to_display
from medsegany.progress import OnProgress
from medsegany.prompts import Box, boxes_from_labels
from medsegany.protocols import Segmenter
from medsegany.registry import DEFAULT
from medsegany.volume import Volume

Init = Literal["default", "medsam", "gt"]


@frozen
class Options:
    """What holds for every case."""

    asked: list[Asked]
    space: Literal["RAS", "LPS"] | None
    init: Init
    slices: tuple[int, int] | None
    window: Any
    frame: int | None
    series: int | None


def segment(
    context: typer.Context,
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Pictures, volumes, folders of DICOM; or folders of such files.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "-o", "--output", metavar="PATH", help="A label map; for several inputs a folder."
        ),
    ],
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="X0,Y0,X1,Y1@K", help="A box on slice K; corners belong to it."),
    ] = None,
    point: Annotated[
        list[str] | None, typer.Option(metavar="X,Y@K", help="A click on the object.")
    ] = None,
    negative_point: Annotated[
        list[str] | None, typer.Option(metavar="X,Y@K", help="A click where it is not.")
    ] = None,
    mask: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE[@K]", help="Its mask on slice K, or on its middle slice."),
    ] = None,
    object_: Annotated[
        list[int] | None,
        typer.Option("--object", metavar="ID", help="The prompts after this are for object ID."),
    ] = None,
    world: Annotated[
        Literal["RAS", "LPS"] | None,
        typer.Option(help="Prompts are in millimetres: x,y,z and x0,y0,z0,x1,y1,z1."),
    ] = None,
    model: common.Model = DEFAULT,
    checkpoint: common.Checkpoint = None,
    init: Annotated[
        Init, typer.Option(help="How the prompted slice of a volume gets its mask.")
    ] = "default",
    reference: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="True labels. Without prompts, their tight boxes are the prompts; with "
            "--init gt, they are the masks.",
        ),
    ] = None,
    slices: Annotated[
        str | None, typer.Option(metavar="FIRST,LAST", help="Only these slices, both inclusive.")
    ] = None,
    window: common.WindowOption = None,
    frame: Annotated[int | None, typer.Option(help="Which volume of a 4D file, from 0.")] = None,
    series: Annotated[int | None, typer.Option(help="Which DICOM series of a folder.")] = None,
    device: common.Device = "auto",
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what was done, as JSON.")
    ] = None,
    report_paths: Annotated[
        bool, typer.Option("--report-paths", help="With the names of files, too.")
    ] = False,
) -> None:
    """Segment objects in pictures and volumes.

    Prompts are in pixels: x is the column, y the row, slices count from 0. Several inputs are done
    one after the other; what is done already is left out, so a run that was stopped goes on.

        medsegany segment ct.nii.gz --window abdomen --box 30,42,118,97@57 -o liver.nii.gz

        medsegany segment slide.png --object 1 --point 74,70 --object 2 --point 20,31 -o cells.png

        medsegany segment cases/ --reference labels/ -o results/ --model sam2.1-t --json
    """
    del box, point, negative_point, mask, object_  # read in their order, below
    options = Options(
        in_order(context), world, init, _slices(slices), common.window_of(window), frame, series
    )
    cases = find_cases(inputs, output, reference, kinds=IMAGES)
    check_report(report, cases)
    start = time.perf_counter()
    segmenter = loaded(cases, overwrite, model, checkpoint, device)
    rows = run_cases(cases, overwrite, lambda case, tell: _one(case, options, segmenter, tell))
    content = {
        "model": model_of(model, checkpoint, device),
        "init": init,
        "prompts": prompts_of(options.asked, paths=report_paths),
        "slices": slices,
        "window": window,
        "cases": told(rows, cases, paths=report_paths),
        "seconds": round(time.perf_counter() - start, 3),
    }
    if report is not None:
        write_report(report, "segment", content, paths=report_paths)
    finish(rows, cases, as_json=as_json, table=_table)


def told(rows: list[dict[str, Any]], cases: list[Case], *, paths: bool) -> list[dict[str, Any]]:
    """What a report says of the cases: inputs by their hash, errors by their kind.

    The words of an error name files, and names of files often name patients.
    """
    found = []
    for row, case in zip(rows, cases, strict=True):
        said = {key: value for key, value in row.items() if key != "error" or paths}
        said["input_sha256"] = checkpoints.sha256(case.source) if case.source.is_file() else None
        if paths:
            said["input"], said["output"] = str(case.source), str(case.target)
        found.append(said)
    return found


def loaded(
    cases: list[Case], overwrite: bool, model: str, checkpoint: Path | None, device: str
) -> Segmenter:
    """The model; one that cannot be loaded is said once, and not for every case."""
    if not overwrite and all(case.target.exists() for case in cases):
        return medsegany.load("classical")  # nothing will be done: any model, quickly
    return medsegany.load(model, checkpoint=checkpoint, device=device)


def run_cases(
    cases: list[Case], overwrite: bool, one: Callable[[Case, OnProgress], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Every case that is not done yet; one that fails does not stop the others.

    Returns:
        What came of each, in order; with an "error" where it failed.

    Raises:
        MedSegAnyError: There is a single case, and it failed.
    """
    rows: list[dict[str, Any]] = []
    for number, case in enumerate(cases, start=1):
        row: dict[str, Any] = {"case": number}
        rows.append(row)
        if case.target.exists() and not overwrite:
            if not case.in_folder:
                msg = f"{case.target} is there already: --overwrite replaces it."
                raise FileError(msg)
            row["skipped"] = True
            continue
        start = time.perf_counter()
        try:
            if case.in_folder:
                _make(case.target.parent)
            with common.bar(f"{case.name} ({number} of {len(cases)})") as tell:
                row |= one(case, tell)
        except MedSegAnyError as error:
            if len(cases) == 1:
                raise
            row |= {"error": str(error), "error_kind": type(error).__name__}
            common.say_error(error, f"{case.name}: ")
        row["seconds"] = round(time.perf_counter() - start, 3)
    return rows


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The folder {folder} cannot be made: {error.strerror}."
        raise FileError(msg) from error


def finish(
    rows: list[dict[str, Any]],
    cases: list[Case],
    *,
    as_json: bool,
    table: Callable[[list[dict[str, Any]], list[Case]], Table],
) -> None:
    """Print what came of it, and end with the code that says so."""
    failed = [(row, case) for row, case in zip(rows, cases, strict=True) if "error" in row]
    skipped = sum("skipped" in row for row in rows)
    if as_json:
        common.print_json(
            [
                {"input": str(case.source), "output": str(case.target), **row}
                for row, case in zip(rows, cases, strict=True)
            ]
        )
    elif len(rows) > len(failed) + skipped:
        out.print(table(rows, cases))
    if skipped:
        err.print(f"{skipped} of {len(rows)} were there already (--overwrite does them again).")
    if failed:
        shown = Table("input", "error", title=f"{len(failed)} of {len(rows)} failed")
        for row, case in failed:
            shown.add_row(Text(case.name), Text(row["error"]))
        err.print(shown)
        raise typer.Exit(common.FAILED if len(failed) == len(rows) else common.PARTIAL)


def _slices(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    words = text.split(",")
    if len(words) != 2 or not all(word.strip().isdecimal() and len(word) < 9 for word in words):
        msg = f"--slices {text}: the first and the last slice are needed, such as 40,75."
        raise InvalidInput(msg)
    return int(words[0]), int(words[1])


# --- one case ------------------------------------------------------------------------------------


def _one(case: Case, options: Options, segmenter: Segmenter, tell: OnProgress) -> dict[str, Any]:
    if ending(case.source) in VIDEOS:
        msg = f"{case.name} is a video: medsegany track."
        raise InvalidInput(msg)
    if ending(case.source) in PICTURES:
        return _picture(case, options, segmenter)
    volume = read_volume(
        case.source, window=options.window, frame=options.frame, series=options.series
    )
    return _volume(case, volume, options, segmenter, tell)


def _picture(case: Case, options: Options, segmenter: Segmenter) -> dict[str, Any]:
    image = read_image(case.source, window=options.window, frame=options.frame)
    if options.space or options.init != "default" or options.slices:
        msg = "--world, --init and --slices are for volumes."
        raise InvalidInput(msg)
    if options.asked:
        prompts = on_image(options.asked, image).prompts
    else:
        labels = read_labels(_needed(case), like=image).labels
        prompts = {n: [box] for n, box in boxes_from_labels(labels).items()}
    found = segmenter.segment_2d(image, prompts)
    write_labels(case.target, found.labels(), like=image)
    objects = {
        str(name): {"pixels": int(mask.sum()), "score": _score(found.scores[name])}
        for name, mask in found.masks.items()
    }
    return {"objects": objects, "geometry": {"shape": list(image.shape[:2])}}


def _volume(
    case: Case, volume: Volume, options: Options, segmenter: Segmenter, tell: OnProgress
) -> dict[str, Any]:
    if volume.voxels.dtype != np.uint8:  # --window raw is for other commands
        volume = to_display(volume, "percentile")
    truth = None
    if case.reference is not None:
        truth = read_labels(case.reference, like=volume).labels
    built = _prompts(case, volume, options, truth)
    slices = options.slices or built.slices or None
    result = segmenter.segment_volume(
        volume,
        built.prompts or None,
        init=options.init,
        reference=truth if options.init == "gt" else None,
        slices=slices,
        on_progress=tell,
    )
    write_labels(case.target, result.labels(), like=volume)
    litres = abs(np.linalg.det(volume.affine[:3, :3])) / 1000
    objects = {}
    for name, mask in result.masks.items():
        count = int(mask.sum())
        scores = result.scores[name]
        known = scores[~np.isnan(scores)]
        objects[str(name)] = {
            "voxels": count,
            "millilitres": round(count * float(litres), 3),
            "slices": list(result.visited[name]),
            "score": round(float(known.mean()), 4) if known.size else None,
        }
    return {"objects": objects, "geometry": geometry_of(volume)}


def _prompts(case: Case, volume: Volume, options: Options, truth: Any) -> Built:  # noqa: ANN401
    if options.asked:
        return on_volume(options.asked, volume, options.space)
    if options.init == "gt":
        if truth is None:
            msg = "--init gt needs --reference, the true labels."
            raise InvalidInput(msg)
        return Built()
    if truth is not None:
        return Built({n: [box] for n, box in boxes_from_labels(truth).items()})
    if ending(case.source) == ".npz":
        return _boxes_of_npz(case)
    _needed(case)
    return Built()


def _boxes_of_npz(case: Case) -> Built:
    """The challenges' files bring their boxes, object after object."""
    boxes = read_npz(case.source).boxes
    built = Built()
    if boxes is None:
        _needed(case)
        return built
    for name, row in enumerate(np.atleast_2d(boxes).tolist(), start=1):
        if len(row) == 4:
            built.prompts[name] = [Box(*row).at(0)]
        else:
            x0, y0, z0, x1, y1, z1 = row
            first, last = int(min(z0, z1)), int(max(z0, z1))
            built.prompts[name] = [Box(x0, y0, x1, y1).at((first + last) // 2)]
            built.slices[name] = (first, last)
    return built


def _needed(case: Case) -> Path:
    if case.reference is None:
        msg = (
            f"What is to be found in {case.name}? Give --box, --point or --mask, or --reference "
            "with true labels, whose boxes are then the prompts."
        )
        raise InvalidInput(msg)
    return case.reference


def _score(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def _table(rows: list[dict[str, Any]], cases: list[Case]) -> Table:
    table = Table("input", "object", "size", "slices", "score", "written to")
    for row, case in zip(rows, cases, strict=True):
        for name, found in row.get("objects", {}).items():
            size = (
                f"{found['millilitres']:,.1f} ml"
                if "voxels" in found
                else (f"{found['pixels']:,} pixels")
            )
            span = found.get("slices")
            score = found.get("score")
            table.add_row(
                Text(case.name),
                name,
                size,
                f"{span[0]} to {span[1]}" if span else "",
                "" if score is None else f"{score:.3f}",
                Text(str(case.target)),
            )
    return table
