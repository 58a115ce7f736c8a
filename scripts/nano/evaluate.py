"""Measure nano beside what costs nothing: `classical`, and the ellipse in the box.

    uv run python scripts/nano/evaluate.py ../shared/data/eval -o runs/nano/eval
    uv run python scripts/nano/evaluate.py ../shared/data/eval -o runs/nano/eval --model runs/nano/x

Every object of at least 20 pixels counts. Numbers are means over modalities of means over objects;
intervals are those of `medsegany.metrics.summarize`, which draws patients. Volumes whose labels a
model made, and films whose motion was made, have rows of their own.
"""

import argparse
import csv
import json
from collections.abc import Callable, Iterator, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np
from attrs import evolve
from held_out import click
from numpy.typing import NDArray

import medsegany
from medsegany.benchmark import CLEAN, EllipseSegmenter, Protocol
from medsegany.metrics import Summary, dsc, summarize
from medsegany.prompts import Box, Placed, Point, boxes_from_labels
from medsegany.propagation import ByBox, ByMemory
from medsegany.protocols import Segmenter
from medsegany.types import Mask

_SMALLEST = 20  # pixels
_FLAGS = {
    "model_generated_reference": "labels by a model",
    "synthetic_motion": "motion made",
}
Row = dict[str, Any]


def main() -> None:
    """Measure, and write rows and tables."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("data", type=Path, help="The folder with manifest.json.")
    options.add_argument("-o", "--output", type=Path, required=True)
    options.add_argument("--model", default="nano", help="A name or a folder.")
    options.add_argument("--image-size", type=int)
    options.add_argument("--only", choices=("images", "stacks"))
    given = options.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    nano = medsegany.load(given.model, image_size=given.image_size)
    if given.only != "stacks":
        whole = medsegany.load(given.model, image_size=given.image_size, crop=None)
        once = medsegany.load(given.model, image_size=given.image_size)
        once.crop, once.tiles = evolve(once.crop, search=False), None
        models = {
            "nano": nano,
            "nano, one look": once,
            "nano, whole image": whole,
            "classical": medsegany.load("classical"),
            "ellipse": EllipseSegmenter(),
        }
        rows = [row for case in _cases(given.data, "2d") for row in _of_image(*case, models)]
        _write(given.output / "images.csv", rows)
        (given.output / "images.md").write_text(_images_table(rows, list(models)), "utf-8")
        print(_images_table(rows, list(models)))
    if given.only != "images":
        rows = [row for kind in ("3d", "video") for case in _cases(given.data, kind)
                for row in _of_stack(*case, kind, nano)]  # fmt: skip
        _write(given.output / "stacks.csv", rows)
        (given.output / "stacks.md").write_text(_stacks_table(rows), "utf-8")
        print(_stacks_table(rows))


def _cases(data: Path, kind: str) -> Iterator[tuple[Row, NDArray[np.uint8], NDArray[Any]]]:
    for about in json.loads((data / "manifest.json").read_text())["cases"]:
        if about["kind"] == kind:
            with np.load(data / about["npz"], allow_pickle=False) as file:
                yield about, file["imgs"], file["gts"]


# --- images --------------------------------------------------------------------------------------


_PROMPTS: dict[str, Callable[[Mask, str, int], Box | Point]] = {
    "tight box": CLEAN.box,
    "box off by 5 %": Protocol(jitter_share=0.05).box,
    "box off by 10 %": Protocol(jitter_share=0.1).box,
    "one click": lambda mask, *_: click(mask),
}


def _of_image(
    about: Row, image: NDArray[np.uint8], labels: NDArray[Any], models: dict[str, Segmenter]
) -> Iterator[Row]:
    embedded = {name: model.embed(image) for name, model in models.items()}
    for label in np.unique(labels[labels > 0]).tolist():
        mask = labels == label
        if mask.sum() < _SMALLEST:
            continue
        for how, prompt in _PROMPTS.items():
            asked = prompt(mask, about["case"], label)
            for name, model in embedded.items():
                if name == "ellipse" and isinstance(asked, Point):
                    continue
                found = model.segment(asked).mask
                yield {**_who(about, label), "model": name, "prompt": how, "dsc": dsc(found, mask)}


def _who(about: Row, label: int) -> Row:
    words = [word for flag, word in _FLAGS.items() if flag in about["flags"]]
    return {
        "modality": ", ".join([about["modality"], *words]),
        "case": about["case"],
        "patient": about["patient"] or about["case"],
        "label": label,
    }


def _images_table(rows: Sequence[Row], models: Sequence[str]) -> str:
    parts = []
    for how in _PROMPTS:
        here = [row for row in rows if row["prompt"] == how]
        shown = [name for name in models if any(row["model"] == name for row in here)]
        lines = _lines(how, "images", here, shown)
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _lines(title: str, counted: str, rows: Sequence[Row], models: Sequence[str]) -> list[str]:
    """A table of modalities and models; the last line is the mean of those labelled by people."""
    lines = [f"**{title}**", "", f"| | objects ({counted}) | {' | '.join(models)} |"]
    lines.append("|---|---|" + "---|" * len(models))
    means: dict[str, list[float]] = {name: [] for name in models}
    for modality in sorted({row["modality"] for row in rows}):
        of = {n: [r for r in rows if r["model"] == n and r["modality"] == modality]
              for n in models}  # fmt: skip
        first = of[models[0]]
        words = [modality, f"{len(first)} ({len({r['case'] for r in first})})"]
        for name in models:
            found = summarize([r["dsc"] for r in of[name]], patients=_patients(of[name]))
            words.append(_with_interval(found))
            if _by_people(first[0]):
                means[name].append(found.mean)
        lines.append(f"| {' | '.join(words)} |")
    words = [f"**{np.mean(means[name]):.3f}**" for name in models]
    count = sum(_by_people(row) for row in rows if row["model"] == models[0])
    what = "mean of modalities" + ("" if all(map(_by_people, rows)) else ", labels by people")
    return [*lines, f"| **{what}** | {count} | {' | '.join(words)} |"]


def _with_interval(found: Summary) -> str:
    interval = "" if isnan(found.low) else f" [{found.low:.2f}, {found.high:.2f}]"
    return f"{found.mean:.3f}{interval}"


def _patients(rows: Sequence[Row]) -> list[str]:
    return [row["patient"] for row in rows]


# --- volumes and videos --------------------------------------------------------------------------


def _of_stack(
    about: Row, stack: NDArray[np.uint8], labels: NDArray[Any], kind: str, nano: Segmenter
) -> Iterator[Row]:
    for label in np.unique(labels[labels > 0]).tolist():
        truth = labels == label
        there = np.flatnonzero(truth.any((1, 2)))
        where = "middle" if kind == "3d" else "first"
        prompt = boxes_from_labels(truth.astype(np.uint8), where)[1]
        assert isinstance(prompt, Placed)
        if truth[prompt.index].sum() < _SMALLEST:
            continue
        span = (int(there[0]), int(there[-1]))
        for name, dice in _crossed(stack, truth, prompt, span, kind, nano).items():
            print(about["case"], label, name, round(dice, 3), flush=True)
            yield {**_who(about, label), "kind": kind, "model": name, "dsc": dice}


def _crossed(
    stack: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    prompt: Placed[Box],
    span: tuple[int, int],
    kind: str,
    nano: Segmenter,
) -> dict[str, float]:
    ellipse = EllipseSegmenter()
    if kind == "video":  # the first frame is prompted; how it went there does not count

        def followed(model: Segmenter, way: ByBox | ByMemory) -> float:
            found = model.track_video(stack, prompt, propagation=way)
            masks = np.stack(
                [frame.masks.get(1, np.zeros(truth.shape[1:], bool)) for frame in found]
            )
            return dsc(masks[prompt.index + 1 :], truth[prompt.index + 1 :])

        return {
            "nano, ByMemory": followed(nano, ByMemory()),
            "nano, ByBox": followed(nano, ByBox()),
            "ellipse, carried": followed(ellipse, ByBox()),
        }
    found = {}
    for name, model, way in (
        ("nano, ByMemory", nano, ByMemory()),
        ("nano, ByBox", nano, ByBox()),
        ("ellipse, carried", ellipse, ByBox()),
    ):
        out = model.segment_volume(stack, prompt, slices=span, propagation=way)
        found[name] = dsc(out.mask, truth)
    out = nano.segment_volume(
        stack,
        prompt,
        slices=span,
        init="gt",
        reference=truth.astype(np.uint8),
        propagation=ByMemory(),
    )
    found["nano, ByMemory, gt"] = dsc(out.mask, truth)
    return found


def _stacks_table(rows: Sequence[Row]) -> str:
    parts = []
    for kind, title in (("3d", "Volumes"), ("video", "Videos")):
        here = [row for row in rows if row["kind"] == kind]
        shown = list(dict.fromkeys(row["model"] for row in here))
        lines = _lines(title, "cases", here, shown)
        parts.append("\n".join(lines))
        for better, worse in (
            ("nano, ByMemory", "nano, ByBox"),
            ("nano, ByMemory", "ellipse, carried"),
            ("nano, ByMemory, gt", "nano, ByMemory"),
        ):
            if better not in shown:
                continue
            pairs = [
                [r for r in here if r["model"] == name and _by_people(r)]
                for name in (better, worse)
            ]
            gain = [a["dsc"] - b["dsc"] for a, b in zip(*pairs, strict=True)]
            found = summarize(gain, patients=_patients(pairs[0]))
            parts.append(f"{title}, object by object: {better} - {worse}: {found.mean:+.3f} "
                         f"[{found.low:+.3f}, {found.high:+.3f}], n={found.count}")  # fmt: skip
    return "\n\n".join(parts) + "\n"


def _by_people(row: Row) -> bool:
    return _FLAGS["model_generated_reference"] not in row["modality"]


def _write(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()
