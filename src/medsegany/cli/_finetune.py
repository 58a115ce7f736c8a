"""`medsegany finetune`: SAM 2 adapted to a folder of cases, and the table that shows the gain."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from attrs import asdict, evolve
from rich.markdown import Markdown

from medsegany.cli import _common as common
from medsegany.cli._common import NotUnderstood, err, out
from medsegany.errors import FileError, InvalidInput
from medsegany.metrics import FLARE22_LABELS

if TYPE_CHECKING:
    from medsegany.training import Counts, Recipe

_Labels = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="The label maps, where they are not beside the images."),
]
_Patients = Annotated[
    Path | None,
    typer.Option(metavar="CSV", help="Columns case and patient; else each case is a patient."),
]


def finetune(
    base: Annotated[str, typer.Argument(help="A SAM 2 model: a name, or a folder.")],
    data: Annotated[Path, typer.Argument(help="A folder: imagesTr and labelsTr, or npz files.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The folder of the run.")
    ],
    labels: _Labels = None,
    patients: _Patients = None,
    objects: Annotated[
        str | None,
        typer.Option(
            "--objects", metavar="L,...", help="Only these: 1=liver,2=kidney; or flare22."
        ),
    ] = None,
    window: common.WindowOption = None,
    frame: common.Frame = None,
    recipe: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="default, paper, released, or a JSON file.")
    ] = "default",
    epochs: Annotated[int | None, typer.Option(help="How often every slice is seen.")] = None,
    batch: Annotated[int | None, typer.Option(help="Clips for one step.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of AdamW, at its highest.")] = None,
    train: Annotated[
        str | None,
        typer.Option(
            metavar="PART,...", help="image_encoder, mask_decoder, memory, prompt_encoder."
        ),
    ] = None,
    images_only: Annotated[
        bool, typer.Option("--images-only", help="No clips: the memory is not trained.")
    ] = False,
    augment: Annotated[
        bool, typer.Option("--augment", help="Images turned, scaled, mirrored, shaded, noisier.")
    ] = False,
    split: Annotated[
        Path | None, typer.Option(metavar="JSON", help="Who is for what: train, validation, test.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything that is by chance.")] = 0,
    device: Annotated[str, typer.Option(help="auto, or cpu.")] = "auto",
    precision: Annotated[
        Literal["float32", "bfloat16"], typer.Option(help="bfloat16 takes less memory.")
    ] = "float32",
    at_once: Annotated[
        int | None, typer.Option(help="Clips in the memory at once; a batch is made of parts.")
    ] = None,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Far less memory, a third slower.")
    ] = False,
    embed_once: Annotated[
        bool, typer.Option("--embed-once", help="Encode every slice once; trains the decoder only.")
    ] = False,
    validate_every: Annotated[
        int | None, typer.Option(metavar="STEPS", help="Without it once an epoch.")
    ] = None,
    save_every: Annotated[int, typer.Option(metavar="STEPS", help="What a kill costs.")] = 100,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after this time; the same command goes on.")
    ] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write its events.")] = False,
    keep: Annotated[
        float, typer.Option(help="Part of the base in the result: 0.5 forgets less, gains less.")
    ] = 0.0,
    name: Annotated[str, typer.Option(help="Of the model; without it that of the folder.")] = "",
    licence: Annotated[str, typer.Option(help="Of the new weights.")] = "",
    source: Annotated[
        str, typer.Option("--source", help="Where the data comes from, for the model card.")
    ] = "",
    as_json: common.AsJson = False,
) -> None:
    """Adapt a SAM 2 model to your own organs.

    The same command again goes on where it was stopped. The result is the folder DIR/model, which
    every command takes as --model, with a card, its curves and the split beside it.

        medsegany finetune sam2.1-t Dataset042/ -o run/ --window abdomen --at-once 2 --recompute

        medsegany benchmark table5 run/ Dataset042/
    """
    from medsegany import training  # noqa: PLC0415 -- keeps `medsegany --help` fast
    from medsegany.training._parallel import processes  # noqa: PLC0415

    chosen = _recipe(recipe)
    changes: dict[str, Any] = {
        "epochs": epochs,
        "batch": batch,
        "learning_rate": learning_rate,
        "augmentation": training.Augmentation() if augment else None,
        "train": None if train is None else tuple(train.split(",")),
    }
    if images_only:
        changes |= {"frames": 1, "clips": 0.0}
    if embed_once:
        changes |= {"train": changes["train"] or ("mask_decoder",)}
        changes |= {} if train else {"frames": 1, "clips": 0.0}
    try:
        chosen = evolve(chosen, **{k: v for k, v in changes.items() if v is not None})
        machine = training.Machine(device, precision, at_once, recompute, embed_once)
    except InvalidInput as error:
        raise NotUnderstood(str(error)) from error
    cases = training.find_cases(data, labels, patients=patients)
    with common.bars() as show:
        found = training.finetune(
            base,
            cases,
            output,
            recipe=chosen,
            machine=machine,
            split=None if split is None else training.Split.read(split, cases),
            labels=_objects(objects),
            window=common.window_of(window),
            frame=frame,
            name=name,
            licence=licence,
            data=source,
            keep=keep,
            seed=seed,
            validate_every=validate_every,
            save_every=save_every,
            minutes=minutes,
            tensorboard=tensorboard,
            on_progress=show,
        )
    if not processes(machine).is_main_process:
        return  # one of them speaks
    how = found.outcome
    if as_json:
        common.print_json(
            {
                "model": None if found.model is None else str(found.model),
                "step": how.step,
                "steps": how.steps,
                "best_step": how.best_step,
                "dsc": None if how.best != how.best else how.best,
                "why": how.why,
                "counts": asdict(found.counts),
            }
        )
        return
    _say_counts(found.counts)
    if found.model is None:
        out.print(f"Paused at step {how.step} of {how.steps}. The same command goes on.")
        return
    out.print(f"{how.why.capitalize()} after {how.step} of {how.steps} steps.", highlight=False)
    if how.best == how.best:
        out.print(f"Best at step {how.best_step}: DSC {how.best:.4f} on the validation cases.")
        if how.best_step == 0:
            out.print("Nothing was better than the base, and the model is the base as it was.")
    out.print(f"--model {found.model}", highlight=False, soft_wrap=True)


def table5(
    run: Annotated[Path, typer.Argument(help="The folder of a finished fine-tuning.")],
    data: Annotated[Path, typer.Argument(help="The folder of its cases.")],
    labels: _Labels = None,
    patients: _Patients = None,
    base: Annotated[
        str | None, typer.Option(help="The model before; without it the one the run began with.")
    ] = None,
    side: Annotated[
        Literal["test", "validation"], typer.Option(help="Which cases of the split.")
    ] = "test",
    tolerance: Annotated[float, typer.Option(metavar="MM", help="Of the NSD.")] = 2.0,
    device: common.Device = "auto",
    as_json: common.AsJson = False,
) -> None:
    """The paper's Table 5: organ by organ, before and after, on cases that nothing was learnt from.

    Written as table5.md and table5.csv into the folder of the run.

        medsegany benchmark table5 run/ Dataset042/
    """
    from medsegany import benchmark, training  # noqa: PLC0415 -- keeps `medsegany --help` fast

    cases = training.find_cases(data, labels, patients=patients)
    with common.bars() as show:
        table = benchmark.table5(
            run,
            cases,
            base=base,
            side=side,
            tolerance_mm=tolerance,
            device=device,
            on_progress=show,
        )
    text, scores = table.write(run)
    if as_json:
        common.print_json([dict(row) for row in table.rows])
        return
    out.print(Markdown(table.markdown()))
    err.print(f"{text}, {scores}", highlight=False, soft_wrap=True)


def _say_counts(counts: "Counts") -> None:
    """What was learnt from, and what was left out."""
    err.print(
        f"{counts.cases} cases, {counts.objects} objects on {counts.slices} slices. Left out: "
        f"{counts.empty_slices} slices without an object, {counts.too_small} objects that are too "
        "small.",
        highlight=False,
    )
    for label, many in counts.absent.items():
        if many:
            err.print(f"Label {label} is absent from {many} cases.", highlight=False)


def _recipe(text: str) -> "Recipe":
    from medsegany import training  # noqa: PLC0415 -- keeps `medsegany --help` fast

    known = {"default": training.Recipe(), "paper": training.PAPER, "released": training.RELEASED}
    if text in known:
        return known[text]
    path = common.file_of(text, "--recipe", known)
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read as JSON: {error}."
        raise FileError(msg) from error
    if not isinstance(content, dict):
        msg = f"{path} holds no recipe: a JSON object was expected."
        raise FileError(msg)
    return training.Recipe.from_dict(content)


def _objects(text: str | None) -> dict[int, str] | None:
    if text is None:
        return None
    if text == "flare22":  # the paper's twelve: its script leaves the duodenum out
        return {n: name for n, name in FLARE22_LABELS.items() if name != "duodenum"}
    return common.labels_of(text, "--objects")
