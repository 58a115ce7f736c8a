"""From a folder of cases to a model of one's own."""

import copy
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import evolve, field, frozen
from safetensors.torch import load_file

from medsegany import checkpoints
from medsegany._validate import whole
from medsegany.backends.sam2 import Sam2Segmenter
from medsegany.errors import FileError, InvalidInput
from medsegany.io import read_labels
from medsegany.io._files import make_folder, write_text
from medsegany.preprocess import AnyWindow
from medsegany.progress import OnProgress, no_progress
from medsegany.protocols import Segmenter
from medsegany.registry import load, models, save
from medsegany.training._about import About
from medsegany.training._card import card
from medsegany.training._cases import Split, TrainingCase, split_cases
from medsegany.training._embeddings import StoredEmbeddings
from medsegany.training._log import CURVES, draw_curves
from medsegany.training._loop import Outcome, train
from medsegany.training._names import MODEL, SPLIT
from medsegany.training._parallel import processes
from medsegany.training._recipe import Machine, Recipe
from medsegany.training._source import CaseClips
from medsegany.training._store import Counts, StoredCase, count, store
from medsegany.training._validate import validation
from medsegany.training._weights import BEST, between, copied


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
    frame: int | None = None,
    name: str = "",
    licence: str = "",
    data: str = "",
    keep: float = 0.0,
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
        frame: Which volume of 4D files, from 0.
        name: Of the model; without one it is that of the folder.
        licence: Of the new weights; without one it is that of the base, where that is known: of a
            published model or file, or of a folder given by its path.
        data: Where the cases come from and under which licence, for the model card.
        keep: Part of the base in the weights that are written: 0.5 is half way between both, which
            forgets less of other organs and gains less with the new one (Wortsman et al., 2022,
            "Robust fine-tuning of zero-shot models"). The same call with another value writes the
            model anew, and trains nothing.
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
    begun, folder = time.monotonic(), Path(folder).resolve()
    whole(validate_on, 1, "validate_on")
    if not 0 <= keep < 1:
        msg = f"keep is a part of the base, from 0 to below 1, got {keep!r}."
        raise InvalidInput(msg)
    process = processes(machine)
    segmenter = _as_sam2(base, machine)
    came_from = About.of(base, segmenter, window, frame)
    with process.main_process_first():  # the others find the files that it makes
        make_folder(folder)
        came_from.refuse_another(folder)
        split = _the_split(folder, split, cases, seed)
        by_name = {case.name: case for case in cases}
        wanted = [by_name[n] for n in (*split.train, *split.validation)]
        shown = on_progress if process.is_main_process else no_progress
        where = folder / "cases"
        read = store(wanted, where, window=window, frame=frame, on_progress=shown)
        stored = {case.name: case for case in read}
        learning = [stored[n] for n in split.train]
        counts, ids = count(learning, None if labels is None else list(labels), recipe.smallest_px)
        came_from.refuse_other_labels(folder, ids)
        recipe = _fitting(recipe, machine, learning, segmenter)
        names = _names(labels, ids, wanted)
        came_from.write(folder, names)
        if not (folder / SPLIT).is_file():
            split.write(folder / SPLIT)
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
        crop=segmenter.crop,
        side=int(segmenter.upstream.image_size),
    )
    before = copied(segmenter.upstream) if keep else {}
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
            segmenter_of=lambda upstream: segmenter.over(upstream, dtype=machine.precision),
            seed=seed,
        )
        if split.validation
        else None,
        validate_every=validate_every,
        save_every=save_every,
        embeddings=embeddings,
        minutes=None if minutes is None else minutes - (time.monotonic() - begun) / 60,
        tensorboard=tensorboard,
        on_progress=shown,
    )
    model = None if outcome.why == "paused" else folder / MODEL
    if not process.is_main_process:
        process.wait_for_everyone()  # the model is there then
        return FineTuned(folder, model, outcome, split, counts)
    draw_curves(folder, f"{name or folder.name}")
    if model is None:
        process.wait_for_everyone()
        return FineTuned(folder, None, outcome, split, counts)
    segmenter.upstream.load_state_dict(between(load_file(folder / BEST), before, keep))
    text = card(
        name or folder.name,
        base=segmenter.name,
        licence=licence or _licence_of(base),
        recipe=recipe,
        counts=counts,
        labels=names,
        split=split,
        outcome=outcome,
        window=str(window or "none: values as stored, or percentiles"),
        seed=seed,
        data=data,
        keep=keep,
    )
    _write_model(segmenter, model, name or folder.name, licence or _licence_of(base), text)
    process.wait_for_everyone()
    return FineTuned(folder, model, outcome, split, counts)


def _as_sam2(base: Segmenter | str | Path, machine: Machine) -> Sam2Segmenter:
    segmenter = base
    if not isinstance(segmenter, Segmenter):
        segmenter = load(segmenter, device=machine.device)
    if not isinstance(segmenter, Sam2Segmenter):
        msg = f"{segmenter.name} is no SAM 2: the models that can be trained are those of SAM 2."
        raise InvalidInput(msg)
    if segmenter is not base:
        return segmenter
    # A copy: the next fold begins with this one, too, and Table 5 compares with it.
    return segmenter.over(copy.deepcopy(segmenter.upstream))


def _licence_of(base: Segmenter | str | Path) -> str:
    known = {model.name: model.licence for model in models()}
    name = base.name if isinstance(base, Segmenter) else str(base)
    if name in known:
        return known[name]
    if isinstance(base, Segmenter):  # its name is no path
        return "not said"
    path = Path(base)
    if path.is_file():
        published = checkpoints.recognise(path)
        return "not said" if published is None else published.licence
    about = path / "medsegany.json"
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
    patients = {case.name: case.patient for case in cases}
    return evolve(chosen, patients=patients)


def _fitting(
    recipe: Recipe, machine: Machine, cases: Sequence[StoredCase], segmenter: Sam2Segmenter
) -> Recipe:
    """The recipe for these cases: single images make no clips."""
    if all(case.depth == 1 for case in cases):
        recipe = evolve(recipe, frames=1, clips=0.0)
    if machine.embed_once:
        if "image_encoder" in recipe.train:
            msg = 'embed_once is for an image encoder that is not trained: train=("mask_decoder",).'
            raise InvalidInput(msg)
        if recipe.augmentation is not None:
            msg = "embed_once looks at images as they are: augmentation=None."
            raise InvalidInput(msg)
        if segmenter.crop is not None:
            msg = (
                f"embed_once looks at whole slices, and {segmenter.name} at a crop for each "
                "object: begin with load(base, crop=None), or without embed_once."
            )
            raise InvalidInput(msg)
    return recipe


def _names(
    labels: Mapping[int, str] | Sequence[int] | None,
    ids: Sequence[int],
    cases: Sequence[TrainingCase],
) -> dict[int, str]:
    """Those given, else those of the first label map."""
    given = labels if isinstance(labels, Mapping) else {}
    first = next((case.labels for case in cases if case.labels is not None), None)
    known: Mapping[int, str] = {} if first is None else read_labels(first).names
    return {n: given.get(n) or known.get(n, "") for n in ids}


def _write_model(segmenter: Sam2Segmenter, model: Path, name: str, licence: str, text: str) -> None:
    """The model's folder, in one go; one of an earlier end of this run is replaced."""
    fresh = model.with_name(f".{model.name}")
    shutil.rmtree(fresh, ignore_errors=True)
    save(segmenter, fresh, name=name, licence=licence, base=segmenter.name)
    try:
        write_text(fresh / "README.md", text)
        shutil.copy(model.with_name(CURVES), fresh)
        if model.exists():
            shutil.rmtree(model)
        fresh.rename(model)
    except OSError as error:
        msg = f"{model} cannot be written: {error.strerror or error}."
        raise FileError(msg) from error
