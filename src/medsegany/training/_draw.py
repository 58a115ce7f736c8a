"""What each step of a training sees."""

from collections.abc import Iterator

import numpy as np
from attrs import frozen

from medsegany.training._batches import Batch, Embeddings, as_batch
from medsegany.training._clips import Clips
from medsegany.training._recipe import Recipe


@frozen(eq=False)
class Draw:
    """What a step sees: a function of the seed and of numbers, whatever was drawn before."""

    clips: Clips
    recipe: Recipe
    seed: int
    size: int
    embeddings: Embeddings | None
    at_once: int | None

    def batches(self, step: int, rank: int, ranks: int) -> Iterator[tuple[Batch, float, bool]]:
        """This process's parts of the batch, the share of each, and whether it is the last."""
        recipe, size = self.recipe, self.recipe.batch
        numbers = range(step * size + rank, (step + 1) * size, ranks)
        # The same for all parts and processes: what has gradients is the same, too.
        chance = np.random.default_rng([self.seed, 3, step])
        kinds = list(recipe.prompts)
        shares = np.array([recipe.prompts[kind] for kind in kinds], float)
        kind = kinds[int(chance.choice(len(kinds), p=shares / shares.sum()))]
        frames = recipe.frames if chance.random() < recipe.clips else 1
        prompted = [0, *(t for t in range(1, frames) if chance.random() < recipe.reprompt)]
        if kind == "mask":  # where it is given it is the result, and nothing can be learnt
            kind = "box" if frames == 1 else kind
            prompted = prompted[: max(1, frames - 1)]
        together = self.at_once or len(numbers)
        for begin in range(0, len(numbers), together):
            part = numbers[begin : begin + together]
            batch = as_batch(
                [self.clips.clip(number, frames) for number in part],
                self.size,
                kind,
                recipe.jitter,
                [np.random.default_rng([self.seed, 4, number]) for number in part],
                prompted,
                at=recipe.loss.at,
                smallest_px=recipe.smallest_px,
                features=self.embeddings,
            )
            yield batch, len(part) / len(numbers), begin + together >= len(numbers)
