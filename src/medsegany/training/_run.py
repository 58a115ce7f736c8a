"""Where a training stands: its steps, its best weights, and what is kept of it on the disk."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import define, field

from medsegany.backends.sam2 import SAM2VideoPredictor
from medsegany.errors import CheckpointError, InvalidInput, OutOfMemory, TrainingDiverged
from medsegany.io._files import atomically
from medsegany.training._attention import attention_for
from medsegany.training._batches import Batch, Prompted
from medsegany.training._draw import Draw
from medsegany.training._log import Log
from medsegany.training._parallel import agreed, everywhere_finite
from medsegany.training._recipe import Recipe
from medsegany.training._state import read_state, write_state
from medsegany.training._weights import State, averaged, copied, follow, write_best

NOT_FINITE = "not-finite.npz"

_TOO_LARGE = (
    "The device has not enough memory for this. What takes less, in this order: "
    'Machine(at_once=1), recompute=True, precision="bfloat16", embed_once=True for the decoder '
    "alone, and a base that was loaded with image_size=512."
)

Validate = Callable[[SAM2VideoPredictor], Mapping[str, float]]
"""Measures a model; its "dsc" decides which weights are kept."""


def _learnt(groups: Sequence[Mapping[str, Any]]) -> int:
    """How many tensors an optimiser trains."""
    return sum(len(group["params"]) for group in groups)


@define(eq=False)
class Run:
    """Where a training stands."""

    upstream: SAM2VideoPredictor
    optimiser: Any
    recipe: Recipe
    folder: Path
    seed: int
    dtype: torch.dtype
    model: Any = None
    step: int = 0
    best: float = -1.0
    best_step: int = 0
    waited: int = 0
    why: str = ""
    average: State = field(factory=dict)

    def resume(self, device: torch.device) -> None:
        """Take up what an earlier call left, if there was one."""
        state = read_state(self.folder, seed=self.seed, recipe=self.recipe.to_dict())
        if state is None:
            self.average = copied(self.upstream) if self.recipe.average else {}
            return
        begun = _learnt(state["optimiser"]["param_groups"])
        now = _learnt(self.optimiser.param_groups)
        if begun != now:  # by one recipe: two convolutions are not trained with stored features
            how = ("without", "with") if begun > now else ("with", "without")
            msg = (
                f"{self.folder} was begun {how[0]} embed_once, and now it is {how[1]}, which "
                "trains other weights. Go on as it was begun, or take another folder."
            )
            raise CheckpointError(msg)
        self.upstream.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.average = {name: value.to(device) for name, value in state["average"].items()}
        self.step, self.best, self.best_step = state["step"], state["best"], state["best_step"]
        self.waited, self.why = state["waited"], state["why"]
        if self.why == "paused":
            self.why = ""

    def save(self) -> None:
        """Write all of it down, in one go."""
        state = {
            "seed": self.seed,
            "recipe": self.recipe.to_dict(),
            "step": self.step,
            "best": self.best,
            "best_step": self.best_step,
            "waited": self.waited,
            "why": self.why,
            "model": self.upstream.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average,
        }
        write_state(self.folder, state)

    def is_to_be_saved(self, every: int, *, last: bool) -> bool:
        """Whether a state is due: weights in the folder that are the best belong to one, too."""
        return self.step % every == 0 or last or bool(self.why) or self.best_step == self.step

    def learn(self, draw: Draw, rate: float, accelerator: Any) -> dict[str, float]:  # noqa: ANN401
        """One step of the optimiser, on one batch; returns its row of the log."""
        began, rank = time.monotonic(), accelerator.process_index
        # All that is by chance comes from the seed and the step, so nothing else is to be kept.
        torch.manual_seed(_chance(self.seed, self.step, rank))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        row: dict[str, float] = {}
        for batch, share, last in draw.batches(self.step, rank, accelerator.num_processes):
            try:
                alone = nullcontext() if last else accelerator.no_sync(self.model)
                with alone, attention_for(accelerator.device, self.dtype):
                    found = self.model(_moved(batch, accelerator.device))
                    if not everywhere_finite(accelerator, found["loss"]):
                        raise self._diverged(batch, rank, found["loss"])
                    accelerator.backward(found["loss"] * share)
            except torch.OutOfMemoryError as error:
                raise OutOfMemory(_TOO_LARGE) from error
            for name, value in found.items():
                row[name] = row.get(name, 0.0) + float(value.detach()) * share
        trained = [p for p in self.upstream.parameters() if p.requires_grad]
        largest = float("inf") if self.recipe.clip_gradient is None else self.recipe.clip_gradient
        row["gradient"] = float(accelerator.clip_grad_norm_(trained, largest))
        if not isfinite(row["gradient"]):
            raise self._diverged(batch, rank, None)
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)
        self.step += 1
        if self.average:
            follow(self.average, self.upstream, self.recipe.average, self.step)
        return {**row, "step": self.step, "rate": rate, "seconds": time.monotonic() - began}

    def measure(self, validate: Validate, accelerator: Any, log: Log | None) -> None:  # noqa: ANN401
        """Validate, keep the weights when they are the best, and stop when patience runs out."""
        found: dict[str, float] = {}
        if accelerator.is_main_process:
            with averaged(self.upstream, self.average):
                found = dict(validate(self.upstream))
                if found["dsc"] > self.best:
                    write_best(self.folder, self.upstream)
            self.upstream.train()
        dsc = float(agreed(accelerator, found.get("dsc", 0.0)))
        if not isfinite(dsc):
            msg = f"validate gave a dsc of {dsc}, by which no weights can be chosen."
            raise InvalidInput(msg)
        better = dsc > self.best
        self.waited = 0 if better else self.waited + 1
        if better:
            self.best, self.best_step = dsc, self.step
        elif self.recipe.patience is not None and self.waited >= self.recipe.patience:
            self.why = "no improvement"
        if log is not None:
            log.measured(self.step, found)

    def keep_the_last(self, accelerator: Any) -> None:  # noqa: ANN401
        """Nothing chose among the weights: those at the end are the result."""
        if self.why == "paused":
            return
        self.best_step = self.step
        if accelerator.is_main_process:
            with averaged(self.upstream, self.average):
                write_best(self.folder, self.upstream)

    def said(self, row: Mapping[str, float]) -> str:
        """For a bar."""
        dsc = f", DSC {self.best:.3f}" if self.best >= 0 else ""
        return f"steps (loss {row['loss']:.3f}{dsc})"

    def _diverged(self, batch: Batch, rank: int, loss: torch.Tensor | None) -> TrainingDiverged:
        """Keep what it happened with, in the process where it did."""
        path = self.folder / (f"{rank}-{NOT_FINITE}" if rank else NOT_FINITE)
        if loss is None or not torch.isfinite(loss).all():
            arrays = _arrays(batch, self.step + 1)
            atomically(path, lambda to: np.savez_compressed(to, **arrays))
        what = "loss is" if loss is not None else "gradients are"
        msg = (
            f"At step {self.step + 1} the {what} no number any more, with "
            f"{'; '.join(batch.origins[:3]) or 'this batch'}. What was seen is kept in {path}. "
            "Begin again in another folder, with a lower learning rate, clip_gradient, or float32."
        )
        return TrainingDiverged(msg)


def _chance(*what: int) -> int:
    """A seed from several numbers."""
    return int(np.random.SeedSequence(what).generate_state(1)[0])


def _moved(batch: Batch, device: torch.device) -> Batch:
    def there(tensor: torch.Tensor | None) -> Any:  # noqa: ANN401 -- None stays None
        return None if tensor is None else tensor.to(device, non_blocking=True)

    prompts = {t: Prompted(there(p.points), there(p.labels)) for t, p in batch.prompts.items()}
    features = None if batch.features is None else [there(level) for level in batch.features]
    masks, targets = there(batch.masks), there(batch.targets)
    frames = there(batch.frames)
    return Batch(frames, masks, targets, prompts, batch.kind, features, batch.origins)


def _arrays(batch: Batch, step: int) -> dict[str, Any]:
    """A batch as numpy has it, to be looked at."""
    arrays: dict[str, Any] = {"masks": batch.masks.cpu().numpy(), "step": np.array(step)}
    arrays["origins"] = np.array(batch.origins)
    if batch.frames is not None:
        arrays["frames"] = batch.frames.cpu().numpy()
    for n, level in enumerate(batch.features or []):
        arrays[f"features_{n}"] = level.cpu().numpy()
    for t, prompted in batch.prompts.items():
        if prompted.points is not None and prompted.labels is not None:
            arrays[f"points_{t}"] = prompted.points.cpu().numpy()
            arrays[f"labels_{t}"] = prompted.labels.cpu().numpy()
    return arrays
