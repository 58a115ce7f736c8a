"""What a trained model says of itself."""

from collections.abc import Mapping
from typing import Any

from medsegany.training._cases import Split
from medsegany.training._loop import Outcome
from medsegany.training._recipe import Recipe
from medsegany.training._store import Counts


def card(  # noqa: PLR0913 -- all that there is to say
    name: str,
    *,
    base: str,
    licence: str,
    recipe: Recipe,
    counts: Counts,
    labels: Mapping[int, str],
    split: Split,
    outcome: Outcome,
    window: str,
    seed: int,
    data: str,
    keep: float = 0.0,
) -> str:
    """A model card, as Markdown."""
    names = ", ".join(f"{n} {word}".strip() for n, word in labels.items())
    absent = ", ".join(f"{n} in {many} cases" for n, many in counts.absent.items() if many)
    memory = "memory" in recipe.train and recipe.frames > 1 and recipe.clips > 0
    carried = (
        "Its memory was trained on clips of the same cases."
        if memory
        else "Its image encoder and its memory are those of the base."
        if "image_encoder" not in recipe.train
        else "**Its memory was not trained.** Its image encoder has changed and the memory has not "
        "followed, so volumes and videos with `ByMemory` may have become worse than with the "
        "base; `ByBox` uses images alone."
    )
    if not recipe.loss.every_token:
        carried += (
            " **Only the decoder's single mask was trained.** Where that is unstable, for a single "
            "click, and on slices that are carried by memory, SAM 2 returns one of three others."
        )
    chosen = (
        f"The weights are those of step {outcome.best_step} of {outcome.step}, with a mean DSC of "
        f"{outcome.best:.4f} on the validation cases{' (with a box, and carried)' * memory}."
        if split.validation
        else f"The weights are those of the last step, {outcome.step}: there was no validation."
    )
    if keep:
        chosen += (
            f" A part of {keep:g} of the base was then mixed into them, for other organs' sake."
        )
    return f"""# {name}

Trained by medsegany from {base}. For research; not a medical device, and not for clinical use.

- Licence of these weights: {licence}
- Data: {data or "not said"}
- Window: {window}
- Labels: {names}
- Cases: {counts.cases} to learn from, with {counts.slices} slices, {counts.empty_slices} of them
  without an object; {counts.objects} objects on slices, and {counts.too_small} smaller than
  {recipe.smallest_px} pixels, which were never prompted
- Absent: {absent or "every label is in every case"}
- Split: by patient; {len(split.train)} cases to learn from, {len(split.validation)} to choose the
  weights, {len(split.test)} kept for the table. Seed {seed}.

{chosen} {carried}

It is promptable: it needs a box, a click or a mask, and knows no names of organs.

## Recipe

{_table(recipe.to_dict())}

## Cases

- train: {", ".join(split.train)}
- validation: {", ".join(split.validation) or "none"}
- test: {", ".join(split.test) or "none"}
"""


def _table(content: Mapping[str, Any], before: str = "") -> str:
    rows = []
    for key, value in content.items():
        if isinstance(value, Mapping):
            rows.append(_table(value, f"{before}{key}."))
        else:
            rows.append(f"| `{before}{key}` | {value} |")
    head = "" if before else "| | |\n|---|---|\n"
    return head + "\n".join(rows)
