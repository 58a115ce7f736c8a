"""What the parts of the default recipe are worth: each left out, and the paper's recipe.

Every variant begins with the same weights, sees the same slices and is measured on the validation
cases, volume by volume, before and after; the test cases are not looked at. Folders of finished
runs are not trained again.

    uv run python benchmarks/finetuning.py base/ dataset/ runs/ --epochs 1
"""

import argparse
import time
from pathlib import Path

from attrs import evolve

from medsegany.benchmark import table5
from medsegany.training import (
    PAPER,
    RELEASED,
    Augmentation,
    Loss,
    Machine,
    Recipe,
    find_cases,
    finetune,
)

DEFAULT = Recipe()
IMAGES = evolve(DEFAULT, frames=1, clips=0.0)  # clips take most of the time
LITTLE = Augmentation(degrees=5, scale=1.1, shear_degrees=0, intensity=0.1, noise=2, blur=0)
VARIANTS = {
    "default": DEFAULT,
    "images only": IMAGES,
    "paper": PAPER,
    "released": RELEASED,
    "images only, augmented": evolve(IMAGES, augmentation=Augmentation()),
    "images only, augmented a little": evolve(IMAGES, augmentation=LITTLE),
    "images only, first token only": evolve(IMAGES, loss=Loss(every_token=False)),
    "images only, compared at the decoder": evolve(IMAGES, loss=Loss(at="decoder")),
    "images only, constant rate": evolve(IMAGES, warmup=0.0, decay="constant"),
    "images only, not shuffled": evolve(IMAGES, shuffle=False),
    "images only, boxes only": evolve(IMAGES, prompts={"box": 1.0}),
    "images only, three times the rate": evolve(IMAGES, learning_rate=3 * DEFAULT.learning_rate),
    "images only, averaged": evolve(IMAGES, average=0.99),
}


def main() -> None:
    """Train and measure each, and print a row for it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("base", type=Path)
    options.add_argument("data", type=Path)
    options.add_argument("runs", type=Path)
    options.add_argument("--epochs", type=int, default=1)
    options.add_argument("--window")
    options.add_argument("--only", nargs="*", choices=list(VARIANTS), default=list(VARIANTS))
    given = options.parse_args()
    cases = find_cases(given.data)
    print("| recipe | minutes | ByBox before | after | gain | ByMemory before | after | gain |")
    print("|---|---|---|---|---|---|---|---|")
    for name in given.only:
        begun = time.monotonic()
        folder = given.runs / name.replace(", ", "_").replace(" ", "-")
        finetune(
            given.base,
            cases,
            folder,
            recipe=evolve(VARIANTS[name], epochs=given.epochs),
            machine=Machine("cpu"),
            window=given.window,
            name=name,
        )
        minutes = (time.monotonic() - begun) / 60
        table = table5(folder, cases, side="validation", device="cpu")
        cells = {c.way: c for c in table.cells if c.metric == "dsc" and c.label == 0}
        words = []
        for way in ("ByBox", "ByMemory"):
            cell = cells[way]
            words += [f"{cell.before.mean:.3f}", f"{cell.after.mean:.3f}"]
            words += [f"{cell.gain.mean:+.3f} [{cell.gain.low:+.3f}, {cell.gain.high:+.3f}]"]
        print(f"| {name} | {minutes:.1f} | {' | '.join(words)} |", flush=True)


if __name__ == "__main__":
    main()
