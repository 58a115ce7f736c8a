"""The loop that trains: visible, resumable, and the same in one process or in several."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from math import ceil, isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import frozen
from safetensors.torch import save_file
from torch.utils.checkpoint import checkpoint

from medsegany._optional import optional_import
from medsegany.backends.sam2 import SAM2VideoPredictor
from medsegany.errors import InvalidInput, TrainingDiverged
from medsegany.io._files import atomically, make_folder
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.training._batches import Batch, Embeddings, Prompted, as_batch
from medsegany.training._clips import Clips
from medsegany.training._log import Log
from medsegany.training._model import ClipModel
from medsegany.training._recipe import Machine, Part, Recipe
from medsegany.training._state import read_state, write_state

BEST, NOT_FINITE = "best.safetensors", "not-finite.npz"

Validate = Callable[[SAM2VideoPredictor], Mapping[str, float]]
"""Measures a model; its "dsc" decides which weights are kept."""


@frozen
class Outcome:
    """How a training ended.

    Attributes:
        step: Steps done, in all.
        steps: Steps that the recipe asks for.
        best_step: The step whose weights were kept.
        best: Its DSC on the validation cases; nan without validation.
        why: "done", "no improvement" or "paused" for the time given.
    """

    step: int
    steps: int
    best_step: int
    best: float
    why: str


def train(
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
        InvalidInput: The batch cannot be divided among processes.
        CheckpointError: The folder was begun with another recipe or seed.
    """
    begun, folder = time.monotonic(), Path(folder)
    accelerate = optional_import("accelerate", extra="train", purpose="train models")
    accelerator = _accelerator(accelerate, machine)
    ranks, rank = accelerator.num_processes, accelerator.process_index
    if recipe.batch % ranks:
        msg = f"A batch of {recipe.batch} cannot be divided among {ranks} processes."
        raise InvalidInput(msg)
    if accelerator.is_main_process:
        make_folder(folder)
    accelerator.wait_for_everyone()

    choose_parts(upstream, recipe.train)
    module = ClipModel(upstream.to(accelerator.device), recipe.loss, box_hint=box_hint)
    trained = [p for p in upstream.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    per_epoch = ceil(len(clips) / recipe.batch)
    steps = recipe.epochs * per_epoch
    start, best, best_step, waited = 0, -1.0, 0, 0
    average: dict[str, torch.Tensor] = {}
    state = read_state(folder, seed=seed, recipe=recipe.to_dict())
    if state is not None:
        upstream.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        average = {k: v.to(accelerator.device) for k, v in state["average"].items()}
        start, best, best_step = state["step"], state["best"], state["best_step"]
        waited = state["waited"]
    elif recipe.average:
        average = {k: v.detach().clone() for k, v in upstream.state_dict().items()}
    model, optimiser = accelerator.prepare(module, optimiser)

    log = Log(folder, start, tensorboard=tensorboard) if accelerator.is_main_process else None
    draw = partial(_draw, clips=clips, recipe=recipe, seed=seed, size=upstream.image_size)
    step, why, shown = start, "done", ""
    upstream.train()
    try:
        with _recomputing(upstream) if machine.recompute else nullcontext():
            while step < steps:
                began = time.monotonic()
                torch.manual_seed(_chance(seed, step, rank))
                numbers = range(step * recipe.batch + rank, (step + 1) * recipe.batch, ranks)
                rate = recipe.rate(step, steps)
                for group in optimiser.param_groups:
                    group["lr"] = rate
                row: dict[str, float] = {}
                parts = list(_parts(numbers, machine.at_once or len(numbers)))
                for n, part in enumerate(parts):
                    batch = draw(step, part, embeddings=embeddings)
                    last = n == len(parts) - 1
                    with nullcontext() if last else accelerator.no_sync(model):
                        found = model(_moved(batch, accelerator.device))
                        share = len(part) / len(numbers)
                        if not _all_finite(accelerator, found["loss"]):
                            raise _diverged(folder, batch, step + 1, accelerator)
                        accelerator.backward(found["loss"] * share)
                    for name, value in found.items():
                        row[name] = row.get(name, 0.0) + float(value.detach()) * share
                norm = accelerator.clip_grad_norm_(trained, recipe.clip_gradient or float("inf"))
                if not isfinite(float(norm)):
                    raise _diverged(folder, batch, step + 1, accelerator)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                step += 1
                if average:
                    _follow(average, upstream, recipe.average, step)
                epoch, seconds = 1 + (step - 1) // per_epoch, time.monotonic() - began
                row |= {"step": step, "epoch": epoch, "seconds": seconds, "rate": rate}
                row["gradient"] = float(norm)

                late = minutes is not None and time.monotonic() - begun > 60 * minutes
                late = _agreed(accelerator, late)
                if validate is not None and (
                    step % (validate_every or per_epoch) == 0 or step == steps
                ):
                    measured: dict[str, float] = {}
                    if accelerator.is_main_process:
                        with _averaged(upstream, average):
                            measured = dict(validate(upstream))
                            if measured["dsc"] > best:
                                _write_weights(folder, upstream)
                        upstream.train()
                    dsc = _agreed(accelerator, measured.get("dsc"))
                    row |= measured
                    waited = 0 if dsc > best else waited + 1
                    if dsc > best:
                        best, best_step = dsc, step
                    shown = f", DSC {dsc:.3f}"
                    if recipe.patience is not None and waited >= recipe.patience:
                        why = "no improvement"
                ended = why != "done" or step == steps
                if log is not None:
                    log.add(row)
                    if step % save_every == 0 or ended or late:
                        log.flush()
                        write_state(
                            folder,
                            {
                                "seed": seed,
                                "recipe": recipe.to_dict(),
                                "step": step,
                                "best": best,
                                "best_step": best_step,
                                "waited": waited,
                                "model": upstream.state_dict(),
                                "optimiser": optimiser.state_dict(),
                                "average": average,
                            },
                        )
                on_progress(Progress(f"steps (loss {row['loss']:.3f}{shown})", step, steps))
                if ended:
                    break
                if late:
                    why = "paused"
                    break
        if validate is None and why != "paused":
            best_step = step
            if accelerator.is_main_process:
                with _averaged(upstream, average):
                    _write_weights(folder, upstream)
    finally:
        upstream.eval()
        if log is not None:
            log.close()
    accelerator.wait_for_everyone()
    return Outcome(step, steps, best_step, best if validate is not None else float("nan"), why)


def choose_parts(upstream: SAM2VideoPredictor, parts: Sequence[Part]) -> None:
    """Let gradients into these parts of the model, and into no others."""
    for name, parameter in upstream.named_parameters():
        parameter.requires_grad_(part_of(name) in parts)


def part_of(parameter: str) -> Part:
    """The part of SAM2 that a parameter belongs to, by its name."""
    if parameter.startswith("image_encoder."):
        return "image_encoder"
    if parameter.startswith("sam_prompt_encoder."):
        return "prompt_encoder"
    return "mask_decoder" if parameter.startswith("sam_mask_decoder.") else "memory"


def _accelerator(accelerate: Any, machine: Machine) -> Any:  # noqa: ANN401 -- an optional package
    precision = "bf16" if machine.precision == "bfloat16" else "no"
    # Which parts of the model a batch needs depends on its prompts.
    unused = accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)
    return accelerate.Accelerator(
        cpu=machine.device == "cpu", mixed_precision=precision, kwargs_handlers=[unused]
    )


def _chance(*what: int) -> int:
    """A seed from several numbers."""
    return int(np.random.SeedSequence(what).generate_state(1)[0])


def _parts(numbers: range, size: int) -> Iterator[range]:
    for begin in range(0, len(numbers), size):
        yield numbers[begin : begin + size]


def _draw(
    step: int,
    numbers: Sequence[int],
    *,
    clips: Clips,
    recipe: Recipe,
    seed: int,
    size: int,
    embeddings: Embeddings | None,
) -> Batch:
    """What a step's part of the batch holds: a function of the seed and of numbers."""
    chance = np.random.default_rng([seed, 3, step])
    kinds = list(recipe.prompts)
    shares = np.array([recipe.prompts[kind] for kind in kinds], float)
    kind = kinds[int(chance.choice(len(kinds), p=shares / shares.sum()))]
    frames = recipe.frames if chance.random() < recipe.clips else 1
    prompted = [0, *(t for t in range(1, frames) if chance.random() < recipe.reprompt)]
    if kind == "mask" and frames == 1:
        kind = "box"  # a mask on a single image is its own result
    drawn = [clips.clip(number, frames) for number in numbers]
    rngs = [np.random.default_rng([seed, 4, number]) for number in numbers]
    return as_batch(drawn, size, kind, recipe.jitter, rngs, prompted, features=embeddings)


def _moved(batch: Batch, device: torch.device) -> Batch:
    def there(tensor: torch.Tensor | None) -> Any:  # noqa: ANN401 -- None stays None
        return None if tensor is None else tensor.to(device, non_blocking=True)

    prompts = {t: Prompted(there(p.points), there(p.labels)) for t, p in batch.prompts.items()}
    features = None if batch.features is None else [there(level) for level in batch.features]
    return Batch(there(batch.frames), there(batch.masks), prompts, batch.kind, features)


def _all_finite(accelerator: Any, loss: torch.Tensor) -> bool:  # noqa: ANN401
    here = torch.isfinite(loss.detach()).all()
    if accelerator.num_processes > 1:
        here = accelerator.gather(here.to(torch.int32)[None]).all()
    return bool(here)


def _agreed(accelerator: Any, value: Any) -> Any:  # noqa: ANN401
    """What the main process says."""
    if accelerator.num_processes == 1:
        return value
    utils = optional_import("accelerate.utils", extra="train", purpose="train models")
    return utils.broadcast_object_list([value])[0]


def _follow(
    average: dict[str, torch.Tensor], upstream: SAM2VideoPredictor, keep: float, step: int
) -> None:
    """A step of the average, which forgets the first weights sooner than later ones."""
    keep = min(keep, (1 + step) / (10 + step))
    with torch.no_grad():
        for name, value in upstream.state_dict().items():
            if value.dtype.is_floating_point:
                average[name].lerp_(value, 1 - keep)


@contextmanager
def _averaged(upstream: SAM2VideoPredictor, average: dict[str, torch.Tensor]) -> Iterator[None]:
    """The model with the average of its weights, if there is one; then with its own again."""
    if not average:
        yield
        return
    own = {name: value.detach().clone() for name, value in upstream.state_dict().items()}
    upstream.load_state_dict(average)
    try:
        yield
    finally:
        upstream.load_state_dict(own)


@contextmanager
def _recomputing(upstream: SAM2VideoPredictor) -> Iterator[None]:
    """Blocks of the image encoder that keep their input and nothing else."""
    blocks = list(upstream.image_encoder.trunk.blocks)
    for block in blocks:
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
    try:
        yield
    finally:
        for block in blocks:
            del block.forward  # the class's own is seen again


def _write_weights(folder: Path, upstream: SAM2VideoPredictor) -> None:
    state = {k: v.detach().cpu().contiguous().clone() for k, v in upstream.state_dict().items()}
    atomically(folder / BEST, lambda path: save_file(state, path))


def _diverged(folder: Path, batch: Batch, step: int, accelerator: Any) -> TrainingDiverged:  # noqa: ANN401
    """Keep what it happened with."""
    path = folder / NOT_FINITE
    if accelerator.is_main_process:
        arrays = {"masks": batch.masks.cpu().numpy(), "step": np.array(step)}
        if batch.frames is not None:
            arrays["frames"] = batch.frames.cpu().numpy()
        for t, prompted in batch.prompts.items():
            if prompted.points is not None and prompted.labels is not None:
                arrays[f"points_{t}"] = prompted.points.cpu().numpy()
                arrays[f"labels_{t}"] = prompted.labels.cpu().numpy()
        atomically(path, lambda neighbour: np.savez_compressed(neighbour, **arrays))  # type: ignore[arg-type]
    msg = (
        f"At step {step} the loss is no number any more. What the model saw is kept in {path}, and "
        "the state before it in the same folder. A lower learning rate, clip_gradient, or float32 "
        "usually help."
    )
    return TrainingDiverged(msg)
