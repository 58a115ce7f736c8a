"""From a folder of cases to a model of one's own."""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import astuple, evolve, field, frozen
from safetensors.torch import load_file

import medsegany
from medsegany.backends.sam2 import Sam2Segmenter
from medsegany.errors import FileError, InvalidInput
from medsegany.io import read_labels
from medsegany.io._files import atomically, make_folder
from medsegany.preprocess import AnyWindow, Window
from medsegany.progress import OnProgress, no_progress
from medsegany.protocols import Segmenter
from medsegany.training._card import card
from medsegany.training._cases import Split, TrainingCase, split_cases
from medsegany.training._embeddings import StoredEmbeddings
from medsegany.training._log import draw_curves
from medsegany.training._loop import Outcome, train
from medsegany.training._parallel import processes
from medsegany.training._recipe import Machine, Recipe
from medsegany.training._source import CaseClips
from medsegany.training._store import Counts, StoredCase, count, store
from medsegany.training._validate import validation
from medsegany.training._weights import BEST

MODEL, RUN, SPLIT = "model", "run.json", "split.json"


@frozen
class FineTuned:
    """What a fine-tuning left.

    Attributes:
        folder: Of the run.
        model: The folder that `medsegany.load` takes; None while the run is paused.
        outcome: How it ended.
        split: Which cases were for what.
        counts: What there was to learn from.
    """

    folder: Path
    model: Path | None
    outcome: Outcome
    split: Split
    counts: Counts = field(repr=False)


def finetune(  # noqa: PLR0913 -- what a run is made of
    base: Segmenter | str | Path,
    cases: Sequence[TrainingCase],
    folder: str | Path,
    *,
    recipe: Recipe = Recipe(),  # noqa: B008 -- a frozen value
    machine: Machine = Machine(),  # noqa: B008
    split: Split | None = None,
    labels: Mapping[int, str] | Sequence[int] | None = None,
    window: AnyWindow | None = None,
    name: str = "",
    licence: str = "",
    data: str = "",
    seed: int = 0,
    validate_every: int | None = None,
    validate_on: int = 64,
    save_every: int = 100,
    minutes: float | None = None,
    tensorboard: bool = False,
    on_progress: OnProgress = no_progress,
) -> FineTuned:
    """Adapt SAM 2 to your own organs (Ma et al., 2024, section 2.6).

    The same call again goes on where an earlier one was stopped, killed or paused.

    Args:
        base: A SAM 2 model, or what `medsegany.load` takes for one.
        cases: See `find_cases`.
        folder: Of the run: the state, logs, curves and, at the end, the folder `model`.
        recipe: How it is trained.
        machine: Where, and how economically.
        split: Which cases are for what; None divides patients by chance from the seed, 70 : 10 :
            20, and writes that down.
        labels: Those to learn, with names if you like; None for all that occur.
        window: For all cases; see `io.read_volume`.
        name: Of the model; without one it is that of the folder.
        licence: Of the new weights; without one it is that of the base.
        data: Where the cases come from and under which licence, for the model card.
        seed: Of everything that is by chance.
        validate_every: After so many steps; None for once an epoch.
        validate_on: How many slices of the validation cases are looked at.
        save_every: Steps after which the state is written: what a kill costs at most.
        minutes: Stop after this time, to go on another day.
        tensorboard: Whether its events are written, too.
        on_progress: Told of cases, slices and steps.

    Raises:
        InvalidInput: The base is no SAM 2, nothing can be learnt, or options contradict.
        FileError: A file cannot be read or written.
        CheckpointError: The folder was begun in another way.
        TrainingDiverged: The loss is no number any more.
        MissingDependency: The extra `train` is not installed.
    """
    folder = Path(folder)
    process = processes(machine)
    segmenter = _as_sam2(base, machine)
    came_from = segmenter.name if isinstance(base, Segmenter) else str(base)
    with process.main_process_first():  # the others find the files that it makes
        make_folder(folder)
        split = _the_split(folder, split, cases, seed)
        by_name = {case.name: case for case in cases}
        wanted = [by_name[n] for n in (*split.train, *split.validation)]
        shown = on_progress if process.is_main_process else no_progress
        read = store(wanted, folder / "cases", window=window, on_progress=shown)
        stored = {case.name: case for case in read}
        learning = [stored[n] for n in split.train]
        counts, ids = count(learning, None if labels is None else list(labels), recipe.smallest_px)
        recipe = _fitting(recipe, machine, learning)
        names = _names(labels, ids, wanted)
        _refuse_another_run(folder, came_from, window, names)
        embeddings = None
        if machine.embed_once:
            embeddings = StoredEmbeddings(
                segmenter.upstream, learning, folder / "features", on_progress=shown
            )
    clips = CaseClips(
        learning,
        ids,
        smallest_px=recipe.smallest_px,
        seed=seed,
        shuffle=recipe.shuffle,
        augmentation=recipe.augmentation,
    )
    outcome = train(
        segmenter.upstream,
        clips,
        recipe,
        folder,
        machine=machine,
        seed=seed,
        box_hint=segmenter.box_hint,
        validate=validation(
            [stored[n] for n in split.validation],
            ids,
            smallest_px=recipe.smallest_px,
            at_most=validate_on,
            clips=recipe.frames > 1 and recipe.clips > 0,
            box_hint=segmenter.box_hint,
            precision=None if machine.precision == "float32" else machine.precision,
            seed=seed,
        )
        if split.validation
        else None,
        validate_every=validate_every,
        save_every=save_every,
        embeddings=embeddings,
        minutes=minutes,
        tensorboard=tensorboard,
        on_progress=shown,
    )
    if not process.is_main_process:
        return FineTuned(folder, folder / MODEL, outcome, split, counts)
    draw_curves(folder, f"{name or folder.name}")
    if outcome.why == "paused":
        return FineTuned(folder, None, outcome, split, counts)
    segmenter.upstream.load_state_dict(load_file(folder / BEST))
    text = card(
        name or folder.name,
        base=came_from,
        licence=licence or _licence_of(base),
        recipe=recipe,
        counts=counts,
        labels=names,
        split=split,
        outcome=outcome,
        window=str(window or "none: values as stored, or percentiles"),
        seed=seed,
        data=data,
    )
    model = _written(
        segmenter, folder, name or folder.name, licence or _licence_of(base), came_from, text
    )
    return FineTuned(folder, model, outcome, split, counts)


def _as_sam2(base: Segmenter | str | Path, machine: Machine) -> Sam2Segmenter:
    segmenter = base
    if not isinstance(segmenter, Segmenter):
        segmenter = medsegany.load(segmenter, device=machine.device)
    if not isinstance(segmenter, Sam2Segmenter):
        msg = f"{segmenter.name} is no SAM 2: the models that can be trained are those of SAM 2."
        raise InvalidInput(msg)
    return segmenter


def _licence_of(base: Segmenter | str | Path) -> str:
    if isinstance(base, Segmenter):
        base = base.name
    known = {model.name: model.licence for model in medsegany.models()}
    if str(base) in known:
        return known[str(base)]
    about = Path(base) / "medsegany.json"
    return str(json.loads(about.read_text("utf-8"))["licence"]) if about.is_file() else "not said"


def _the_split(
    folder: Path, split: Split | None, cases: Sequence[TrainingCase], seed: int
) -> Split:
    """The one that was written down, the one that is given, or a new one."""
    path = folder / SPLIT
    if path.is_file():
        found = Split.read(path, cases)
        if split is not None and split != found:
            msg = f"{path} divides the cases in another way than asked. Take another folder."
            raise InvalidInput(msg)
        return found
    chosen = split_cases(cases, seed=seed) if split is None else split
    chosen.check(cases)
    chosen.write(path)
    return chosen


def _refuse_another_run(
    folder: Path, base: str, window: AnyWindow | None, labels: Mapping[int, str]
) -> None:
    """A run goes on with the model, the window and the labels that it was begun with."""
    path = folder / RUN
    shown = list(astuple(window)) if isinstance(window, Window) else window
    words = {"base": base, "window": shown, "labels": {str(n): w for n, w in labels.items()}}
    if not path.is_file():
        text = json.dumps(words, indent=2) + "\n"
        atomically(path, lambda to: _write(to, text))
        return
    found = json.loads(path.read_text("utf-8"))
    for key, value in words.items():
        if found.get(key) != value:
            msg = f"{folder} was begun with {key} {found.get(key)!r}, and now it is {value!r}."
            raise InvalidInput(msg)


def _fitting(recipe: Recipe, machine: Machine, cases: Sequence[StoredCase]) -> Recipe:
    """The recipe for these cases: single images make no clips."""
    if all(len(case.images) == 1 for case in cases):
        recipe = evolve(recipe, frames=1, clips=0.0)
    if machine.embed_once:
        if "image_encoder" in recipe.train:
            msg = 'embed_once is for an image encoder that is not trained: train=("mask_decoder",).'
            raise InvalidInput(msg)
        if recipe.augmentation is not None:
            msg = "embed_once looks at images as they are: augmentation=None."
            raise InvalidInput(msg)
    return recipe


def _names(
    labels: Mapping[int, str] | Sequence[int] | None,
    ids: Sequence[int],
    cases: Sequence[TrainingCase],
) -> dict[int, str]:
    """Those given, else those of the first label map that has some."""
    if isinstance(labels, Mapping):
        return {n: labels[n] for n in ids}
    first = next((case.labels for case in cases if case.labels is not None), None)
    known: Mapping[int, Any] = {} if first is None else read_labels(first).names
    return {n: known.get(n, "") for n in ids}


def _written(
    segmenter: Sam2Segmenter, folder: Path, name: str, licence: str, base: str, text: str
) -> Path:
    """The model's folder, in one go; one of an earlier end of this run is replaced."""
    fresh, model = folder / ".model", folder / MODEL
    shutil.rmtree(fresh, ignore_errors=True)
    medsegany.save(segmenter, fresh, name=name, licence=licence, base=base)
    try:
        _write(fresh / "README.md", text)
        shutil.copy(folder / "curves.png", fresh)
        if model.exists():
            shutil.rmtree(model)
        fresh.rename(model)
    except OSError as error:
        msg = f"{model} cannot be written: {error.strerror or error}."
        raise FileError(msg) from error
    return model


def _write(path: Path, text: str) -> None:
    path.write_text(text, "utf-8")
