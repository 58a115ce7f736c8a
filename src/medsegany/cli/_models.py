"""`medsegany models`: which there are, and their weights."""

from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

import medsegany
from medsegany import checkpoints
from medsegany.cards import BY_NAME, ModelCard
from medsegany.cli import _common as common
from medsegany.cli._common import NotUnderstood, err, out
from medsegany.cli._runs import end
from medsegany.errors import MedSegAnyError, UnknownModel
from medsegany.progress import on_terminal

app = typer.Typer(help="List models; fetch and check their weights.")

Names = Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Models.")]
Every = Annotated[bool, typer.Option("--all", help="All models that have weights.")]


@app.callback(invoke_without_command=True)
def models(context: typer.Context, as_json: common.AsJson = False) -> None:
    """List models; fetch and check their weights."""
    if context.invoked_subcommand is None:
        list_(as_json)


@app.command("list")
def list_(as_json: common.AsJson = False) -> None:
    """List the models, and which weights are on this machine."""
    cards = medsegany.models()
    if as_json:
        common.print_json([_about(card) for card in cards])
        return
    table = Table("name", "family", "parameters", "pixels", "licence", "MB", "here")
    for card in cards:
        table.add_row(
            card.name,
            card.family,
            f"{card.parameters / 1e6:.1f} M" if card.parameters else "-",
            str(card.image_size or "any"),
            card.licence,
            f"{card.bytes / 1e6:.0f}" if card.bytes else "-",
            "yes" if card.here else "no",
        )
    out.print(table)
    folder = checkpoints.home() / "checkpoints"
    out.print(f"Weights are looked for in {folder}", highlight=False, soft_wrap=True)


def _about(card: ModelCard) -> dict[str, object]:
    return {
        "name": card.name,
        "family": card.family,
        "parameters": card.parameters,
        "image_size": card.image_size,
        "licence": card.licence,
        "url": card.url,
        "bytes": card.bytes,
        "sha256": card.sha256,
        "here": card.here,
    }


@app.command()
def pull(names: Names = None, every: Every = False) -> None:
    """Fetch weights, and check them. What broke off goes on where it stopped."""
    failed = 0
    chosen = _chosen(names, every)
    for card in chosen:
        try:
            with on_terminal(card.name) as tell:
                path = checkpoints.pull(card, on_progress=tell)
        except MedSegAnyError as error:
            failed += 1
            common.say_error(error, f"{card.name}: ")
            continue
        err.print(f"{card.name} ({card.licence})", highlight=False)
        out.print(Text(str(path)), soft_wrap=True)
    end(failed, len(chosen))


@app.command()
def verify(names: Names = None, every: Every = False, as_json: common.AsJson = False) -> None:
    """Compare the weights on this machine with what was published. Without names: all of them."""
    chosen = _chosen(names, every or not names)
    states = {card.name: checkpoints.verify(card) for card in chosen}
    if as_json:
        common.print_json(dict(states))
    else:
        table = Table("name", "weights")
        for name, state in states.items():
            table.add_row(name, state)
        out.print(table)
    bad = {"wrong", "missing"} if names else {"wrong"}
    end(sum(state in bad for state in states.values()), len(states))


@app.command()
def path(name: Annotated[str, typer.Argument(help="A model.")]) -> None:
    """Print where the weights of a model belong, whether they are there or not."""
    (card,) = _chosen([name], every=False)
    out.print(Text(str(checkpoints.expected_path(card))), soft_wrap=True)


def _chosen(names: list[str] | None, every: bool) -> list[ModelCard]:
    if every:
        return [card for card in BY_NAME.values() if card.url is not None]
    if not names:
        msg = "Which model? Give names from `medsegany models`, or --all."
        raise NotUnderstood(msg)
    unknown = [name for name in names if name not in BY_NAME]
    if unknown:
        msg = f"There is no model {unknown[0]!r}. Models: {', '.join(BY_NAME)}."
        raise UnknownModel(msg)
    without = [name for name in names if BY_NAME[name].url is None]
    if without:
        msg = f"{without[0]} has no weights, and needs none."
        raise NotUnderstood(msg)
    return [BY_NAME[name] for name in names]
