"""`medsegany benchmark run`: models measured on the cases of a manifest."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from attrs import evolve

from medsegany.cli import _common as common
from medsegany.cli._common import PARTIAL, NotUnderstood, out
from medsegany.errors import InvalidInput

if TYPE_CHECKING:
    from medsegany.benchmark import Engine, Protocol


def run(
    manifest: Annotated[
        Path, typer.Argument(help="The folder that `prepare` wrote.", metavar="MANIFEST")
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder of results.")
    ],
    model: Annotated[
        list[str],
        typer.Option("--model", "-m", help="A name, a folder or a file; or ellipse. Repeat it."),
    ],
    protocol: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="clean, paper, or a JSON file. Repeat it."),
    ] = None,
    init: Annotated[
        Literal["default", "medsam", "gt"] | None,
        typer.Option(help="Where the first mask of a volume comes from (Table 3)."),
    ] = None,
    engine: Annotated[
        Literal["serial", "ray", "inline"],
        typer.Option(help="One worker process; Ray, on many machines; or this process."),
    ] = "serial",
    workers: Annotated[int, typer.Option(help="Of Ray; each holds one model.")] = 1,
    timeout: Annotated[
        float | None, typer.Option(metavar="S", help="How long one case may take.")
    ] = None,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Only the I-th of N parts, from 1.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="MODALITY", help="Only these. Repeat it.")
    ] = None,
    masks: Annotated[bool, typer.Option("--masks", help="Keep the masks, too.")] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Try cases without a score once more.")
    ] = False,
    untrained: Annotated[
        bool,
        typer.Option("--untrained", help="Random weights: to see that it runs, and what it takes."),
    ] = False,
    name: Annotated[
        str, typer.Option(help="In results and tables, instead of the model's own; for one model.")
    ] = "",
    image_size: common.ImageSize = None,
    crop: common.Crop = "auto",
    device: common.Device = "auto",
    as_json: common.AsJson = False,
) -> None:
    """Measure models; the same command again does what is missing.

        medsegany benchmark run bench/ -o results/ -m nano -m classical -m ellipse

        medsegany benchmark run bench/ -o results/ -m sam2.1-t --protocol paper --shard 3/8

        medsegany benchmark run bench/ -o results/ -m nano --crop whole --name "nano, whole image"

        medsegany benchmark run bench/ -o trial/ -m sam1-h --untrained

    A case that fails, hangs or takes its process with it is noted with the reason; then the exit
    code is 3.
    """
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast

    every = cases = bench.Manifest.read(manifest)
    if only:
        cases = every.where(lambda case: case.modality in only)
        if not len(cases):
            there = ", ".join(sorted({case.modality for case in every}))
            msg = f"--only {', '.join(only)}: the manifest has cases of {there}."
            raise NotUnderstood(msg)
    if shard is not None:
        cases = cases.shard(*_shard(shard))
    if name and len(model) > 1:
        msg = f"--name {name} is for one model; {len(model)} are asked for."
        raise NotUnderstood(msg)
    protocols = [_protocol(word) for word in protocol or ["clean"]]
    if init is not None:
        protocols = [
            p if p.init == init else evolve(p, init=init, name=f"{p.name}-{init}")
            for p in protocols
        ]
    models = [
        bench.Model(
            word,
            device=device,
            image_size=image_size,
            crop=common.crop_of(crop),
            name=name,
            untrained=untrained,
        )
        for word in model
    ]
    with common.bars() as show:
        ran = bench.run(
            cases,
            models,
            output,
            protocols=protocols,
            engine=_engine(engine, workers, timeout),
            masks=masks,
            again=("failed", "hung", "killed") if again else (),
            on_progress=show,
        )
    if as_json:
        common.print_json(
            {"measured": ran.measured, "skipped": ran.skipped, "without": dict(ran.without)}
        )
    else:
        out.print(f"{ran.measured} measured, {ran.skipped} were there before.", highlight=False)
        for status, count in ran.without.items():
            out.print(f"{count} {status}: see `medsegany benchmark status {output}`.")
    if ran.without:
        raise typer.Exit(PARTIAL)


def _shard(text: str) -> tuple[int, int]:
    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        msg = f"--shard {text}: which one of how many, from 1 on, such as 3/8 for the 3rd of eight."
        raise NotUnderstood(msg)
    return int(number) - 1, int(of)


def _protocol(word: str) -> "Protocol":
    from medsegany.benchmark._protocol import PROTOCOLS, Protocol  # noqa: PLC0415 -- likewise

    if word in PROTOCOLS:
        return PROTOCOLS[word]
    path = common.file_of(word, "--protocol", PROTOCOLS)
    try:
        text = path.read_text("utf-8")
        found = Protocol.from_json(text)
    except (OSError, ValueError) as error:  # `InvalidInput` is one
        msg = f"{path} is no protocol. {error}"
        raise InvalidInput(msg) from error
    return found if "name" in json.loads(text) else evolve(found, name=path.stem)


def _engine(name: str, workers: int, timeout: float | None) -> "Engine":
    from medsegany import benchmark as bench  # noqa: PLC0415 -- keeps `medsegany --help` fast

    if workers != 1 and name != "ray":
        msg = f"--workers {workers} is for --engine ray; {name} has one."
        raise NotUnderstood(msg)
    if name == "inline":
        if timeout is not None:
            msg = "--timeout needs a process that can be stopped: --engine serial or ray."
            raise NotUnderstood(msg)
        return bench.Inline()
    return bench.Serial(timeout) if name == "serial" else bench.Ray(workers, timeout)
