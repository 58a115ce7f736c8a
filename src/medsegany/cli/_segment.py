"""`medsegany segment`: pictures and volumes."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from attrs import frozen
from rich.table import Table
from rich.text import Text

from medsegany.cli import _common as common
from medsegany.cli._cases import IMAGES, Case, find_cases, volume_of
from medsegany.cli._common import NotUnderstood
from medsegany.cli._prompts import Asked, Built, in_order, on_image, on_volume
from medsegany.cli._report import geometry_of
from medsegany.cli._runs import Row, Run
from medsegany.errors import InvalidInput
from medsegany.io import (
    PICTURES,
    VIDEOS,
    ending,
    read_image,
    read_labels,
    read_npz,
    write_labels,
)
from medsegany.progress import OnProgress
from medsegany.prompts import Box, Placed, boxes_from_labels
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
    series: str | None
    stack: int | None


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
    object_: common.Objects = None,
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
    frame: common.Frame = None,
    series: common.Series = None,
    stack: common.Stack = None,
    device: common.Device = "auto",
    image_size: common.ImageSize = None,
    crop: common.Crop = "auto",
    overwrite: common.Overwrite = False,
    as_json: common.AsJson = False,
    report: common.Report = None,
    report_paths: common.ReportPaths = False,
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
        asked=in_order(context, world),
        space=world,
        init=init,
        slices=_slices(slices),
        window=common.window_of(window),
        frame=frame,
        series=series,
        stack=stack,
    )
    if window == "raw":
        msg = "--window raw keeps intensities, and models look at display values: give a window."
        raise NotUnderstood(msg)
    cases = find_cases(inputs, output, reference, kinds=IMAGES)
    run = Run(
        command="segment",
        cases=cases,
        asked=options.asked,
        model=model,
        checkpoint=checkpoint,
        device=device,
        image_size=image_size,
        crop=common.crop_of(crop),
        overwrite=overwrite,
        report=report,
        report_paths=report_paths,
    )
    run.do(
        lambda case, segmenter, tell: _one(case, options, segmenter, tell),
        {
            "init": init,
            "slices": slices,
            "window": window,
            "world": world,
            "frame": frame,
            "series": series,
            "stack": stack,
            "from_reference": reference is not None and not options.asked,
        },
        _table,
        as_json=as_json,
    )


def _slices(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    words = text.split(",")
    if len(words) != 2 or not all(word.strip().isdecimal() and len(word) < 9 for word in words):
        msg = f"--slices {text}: the first and the last slice are needed, such as 40,75."
        raise NotUnderstood(msg)
    return int(words[0]), int(words[1])


# --- one case ------------------------------------------------------------------------------------


def _one(case: Case, options: Options, segmenter: Segmenter, tell: OnProgress) -> dict[str, Any]:
    if ending(case.source) in VIDEOS:
        msg = f"{case.name} is a video: medsegany track."
        raise InvalidInput(msg)
    if ending(case.source) in PICTURES:
        return _picture(case, options, segmenter)
    volume = volume_of(
        case.source,
        window=options.window,
        frame=options.frame,
        series=options.series,
        stack=options.stack,
    )
    return _volume(case, volume, options, segmenter, tell)


def _picture(case: Case, options: Options, segmenter: Segmenter) -> dict[str, Any]:
    image = read_image(case.source, window=options.window, frame=options.frame)
    if options.space or options.init != "default" or options.slices:
        msg = "--world, --init and --slices are for volumes."
        raise NotUnderstood(msg)
    if options.asked:
        built = on_image(options.asked, image)
    else:
        labels = read_labels(_needed(case), like=image).labels
        built = Built({n: [box] for n, box in boxes_from_labels(labels).items()})
    found = segmenter.segment_2d(image, built.prompts)
    write_labels(case.target, found.labels(), like=image)
    objects = {
        str(name): {"pixels": int(mask.sum()), "score": _score(found.scores[name])}
        for name, mask in found.masks.items()
    }
    geometry = {"shape": list(image.shape[:2])}
    return {"objects": objects, "geometry": geometry} | _boxes(built, options)


def _volume(
    case: Case, volume: Volume, options: Options, segmenter: Segmenter, tell: OnProgress
) -> dict[str, Any]:
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
    return {"objects": objects, "geometry": geometry_of(volume)} | _boxes(built, options)


def _boxes(built: Built, options: Options) -> Row:
    """Those that were not given in words, in the words in which they could be."""
    if options.asked or not built.prompts:
        return {}
    words = {}
    for name, prompts in built.prompts.items():
        for prompt in prompts:
            box = prompt.prompt if isinstance(prompt, Placed) else prompt
            at = f"@{prompt.index}" if isinstance(prompt, Placed) else ""
            if isinstance(box, Box):
                words[str(name)] = f"{box.x0:g},{box.y0:g},{box.x1:g},{box.y1:g}{at}"
    return {"boxes": words}


def _prompts(case: Case, volume: Volume, options: Options, truth: Any) -> Built:  # noqa: ANN401
    if options.asked:
        return on_volume(options.asked, volume, options.space)
    if options.init == "gt":
        if truth is None:
            msg = "--init gt needs --reference, the true labels."
            raise NotUnderstood(msg)
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
    for name, row in enumerate(boxes.tolist(), start=1):
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
        raise NotUnderstood(msg)
    return case.reference


def _score(value: float) -> float | None:
    return None if math.isnan(value) else round(float(value), 4)


def _table(rows: Sequence[Row], cases: Sequence[Case]) -> Table:
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
