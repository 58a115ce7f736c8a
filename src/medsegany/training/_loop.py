"""The loop that trains: visible, resumable, and the same in one process or in several."""

import time
from math import ceil
from pathlib import Path
from typing import Any

import torch
from attrs import frozen

from medsegany._validate import whole
from medsegany.backends._device import as_dtype
from medsegany.backends.sam2 import SAM2VideoPredictor
from medsegany.io._files import make_folder
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.training._batches import Embeddings
from medsegany.training._clips import Clips
from medsegany.training._draw import Draw
from medsegany.training._log import Log
from medsegany.training._model import ClipModel
from medsegany.training._parallel import accelerator_for, agreed
from medsegany.training._recipe import Machine, Recipe
from medsegany.training._run import Run, Validate
from medsegany.training._weights import choose_parts, recomputing


@frozen
class Outcome:
    """How a training ended.

    Attributes:
        step: Steps done, in all.
        steps: Steps that the recipe asks for.
        best_step: The step whose weights were kept; 0 where nothing was better than the base.
        best: Its DSC on the validation cases; nan without validation.
        why: "done", "no improvement" or "paused" for the time given.
    """

    step: int
    steps: int
    best_step: int
    best: float
    why: str


def train(  # noqa: PLR0913 -- what a run is made of
    upstream: SAM2VideoPredictor,
    clips: Clips,
    recipe: Recipe,
    folder: str | Path,
    *,
    machine: Machine = Machine(),  # noqa: B008 -- a frozen value
    seed: int = 0,
    box_hint: bool = False,
    validate: Validate | None = None,
    validate_every: int | None = None,
    save_every: int = 100,
    embeddings: Embeddings | None = None,
    minutes: float | None = None,
    tensorboard: bool = False,
    on_progress: OnProgress = no_progress,
) -> Outcome:
    """Train a model in place, or go on where an earlier call in this folder was stopped.

    On a CPU a run that was stopped and resumed ends with the very bits of one that was not.

    Args:
        upstream: The official model; its weights are changed.
        clips: What it is trained on.
        recipe: How.
        folder: For the state, the log and the best weights; made when it is not there.
        machine: Where, and how economically.
        seed: Of everything that is by chance.
        box_hint: Whether boxes are given as an ellipse, too, now and later.
        validate: Measures the model now and then.
        validate_every: After so many steps; None for once an epoch.
        save_every: Steps after which the state is written; what a kill costs at most.
        embeddings: Features of all clips, for `machine.embed_once`.
        minutes: Stop after this time, for another call to go on; None for no limit.
        tensorboard: Whether its events are written, too.
        on_progress: Told of steps.

    Returns:
        How it ended. The best weights lie in the folder as `best.safetensors`; without validation
        they are the last.

    Raises:
        TrainingDiverged: The loss is no number any more; the batch lies in the folder.
        InvalidInput: The batch cannot be divided among processes, or `validate` gives no number.
        OutOfMemory: The device has not enough; the message says what takes less.
        CheckpointError: The folder was begun with another recipe or seed.
    """
    begun, folder = time.monotonic(), Path(folder)
    seed, save_every = whole(seed, 0, "seed"), whole(save_every, 1, "save_every")
    per_epoch = ceil(len(clips) / recipe.batch)
    steps = recipe.epochs * per_epoch
    between = per_epoch if validate_every is None else whole(validate_every, 1, "validate_every")
    accelerator = accelerator_for(machine, recipe.batch)
    if accelerator.is_main_process:
        make_folder(folder)
    accelerator.wait_for_everyone()
    run = _begin(upstream, recipe, folder, seed, machine, accelerator, box_hint, embeddings)
    draw = Draw(clips, recipe, seed, upstream.image_size, embeddings, machine.at_once)
    log = Log(folder, run.step, tensorboard=tensorboard) if accelerator.is_main_process else None
    try:
        if validate is not None and run.step == 0:  # what there is before anything is learnt
            run.measure(validate, accelerator, log)
        upstream.train()
        with recomputing(upstream, machine.recompute):
            while run.step < steps and not run.why:
                row = run.learn(draw, recipe.rate(run.step, steps), accelerator)
                row["epoch"] = 1 + (run.step - 1) // per_epoch
                last = run.step == steps
                if log is not None:
                    log.add(row)
                if validate is not None and (run.step % between == 0 or last):
                    run.measure(validate, accelerator, log)
                late = minutes is not None and time.monotonic() - begun > 60 * minutes
                if agreed(accelerator, late) and not (last or run.why):
                    run.why = "paused"
                if log is not None and run.is_to_be_saved(save_every, last=last):
                    log.flush()
                    run.save()
                on_progress(Progress(run.said(row), run.step, steps))
        if validate is None:
            run.keep_the_last(accelerator)
    finally:
        upstream.eval()
        if log is not None:
            log.close()
    accelerator.wait_for_everyone()
    best = float("nan") if validate is None else run.best
    return Outcome(run.step, steps, run.best_step, best, run.why or "done")


def _begin(
    upstream: SAM2VideoPredictor,
    recipe: Recipe,
    folder: Path,
    seed: int,
    machine: Machine,
    accelerator: Any,  # noqa: ANN401
    box_hint: bool,  # noqa: FBT001
    embeddings: Embeddings | None,
) -> Run:
    """A run at its beginning, or where it was left."""
    choose_parts(upstream, recipe.train, encoded=embeddings is not None)
    upstream.to(accelerator.device)
    for module in upstream.modules():  # made in inference mode, they have no way back
        if isinstance(getattr(module, "freqs_cis", None), torch.Tensor):
            module.freqs_cis = module.freqs_cis.to(accelerator.device).clone()
    dtype = as_dtype(machine.precision, accelerator.device)
    model = ClipModel(upstream, recipe.loss, box_hint=box_hint, dtype=dtype)
    optimiser = torch.optim.AdamW(
        [p for p in upstream.parameters() if p.requires_grad],
        lr=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
    )
    run = Run(upstream, optimiser, recipe, folder, seed, dtype)
    run.resume(accelerator.device)
    run.model, run.optimiser = accelerator.prepare(model, optimiser)
    return run
