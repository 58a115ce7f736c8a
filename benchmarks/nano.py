"""How long nano takes, beside SAM 2.1 T at its 1024 px, on this machine's CPU.

    uv run python benchmarks/nano.py

Prints medians; nothing is asserted. The goal is an encoder of less than 60 ms a slice on two cores.
SAM 2.1 T has random weights here, which take as long as trained ones.
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from timing import median

import medsegany
from medsegany import Point
from medsegany.backends.sam2 import Sam2Segmenter, build
from medsegany.cards import BY_NAME
from medsegany.prompts import box_from_mask
from medsegany.protocols import Segmenter
from medsegany.testing import phantoms

DISC = phantoms.disc((512, 512), centre=(255, 235), radius=55)
IMAGE = phantoms.image_of(DISC)
BOX = box_from_mask(DISC)
CLICK = Point(255, 235)


def encoder(segmenter: Sam2Segmenter, runs: int) -> float:
    """Seconds for the image encoder alone."""
    model = segmenter.upstream
    square = torch.zeros(1, 3, model.image_size, model.image_size)

    def work() -> None:
        with torch.inference_mode():
            model.forward_image(square)

    return median(work, runs)


def main() -> None:
    """Print a table."""
    start = time.perf_counter()
    nano = medsegany.load()
    print(f"load: {time.perf_counter() - start:.2f} s, torch's import included")
    card = BY_NAME["sam2.1-t"]
    tiny = Sam2Segmenter(build(card.architecture), card.name)
    print(f"{torch.get_num_threads()} threads, {torch.__version__}\n")
    print(f"{'':<36}{'nano':>10}{'sam2.1-t':>10}{'ratio':>8}")

    def line(what: str, measure: Callable[[Segmenter, int], float]) -> None:
        ours, theirs = measure(nano, 15), measure(tiny, 2)
        print(f"{what:<36}{ours:>9.3f}s{theirs:>9.3f}s{theirs / ours:>7.0f}x")

    line("image encoder", encoder)  # type: ignore[arg-type]
    line("one box on an image of 512 px", lambda m, n: median(lambda: m.segment_2d(IMAGE, BOX), n))
    line("one click on it", lambda m, n: median(lambda: m.segment_2d(IMAGE, CLICK), n))
    stack = np.stack([IMAGE] * 8)
    line(
        "a slice of a volume, one object",
        lambda m, n: median(lambda: m.segment_volume(stack, BOX.at(4)), 1 + n // 5) / len(stack),
    )


if __name__ == "__main__":
    main()
