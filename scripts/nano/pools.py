"""Real images with masks, from folders of pools; see the data's own README for their layout.

Some are held out by image, to see how training goes; a number decides which, so it never changes.
"""

import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from medsegany.prompts import box_from_mask
from medsegany.training import Clip

_SMALLEST = 20  # pixels
_MODALITIES = {"us": "Ultrasound", "ct": "CT", "mr": "MR", "micro": "Microscopy", "pet": "PET",
               "derm": "Dermoscopy", "endo": "Endoscopy", "fundus": "Fundus",
               "mammo": "Mammography", "oct": "OCT"}  # fmt: skip
_BY_PARTS = {"Microscopy"}  # one label is many cells


@frozen(eq=False)
class Picture:
    """An image and its objects, each a value of the map; objects of less than 20 pixels are out."""

    pool: str
    modality: str
    image: NDArray[np.uint8]
    labels: NDArray[np.uint16]
    objects: tuple[int, ...]


def pictures(folder: Path, *, held_out: bool) -> list[Picture]:
    """Every image of every pool that has an object; a twelfth is held out."""
    found = []
    for pool, pairs in _pools(folder):
        modality = _MODALITIES[pool.split("_")[0]]
        for n, (image, labels) in enumerate(pairs):
            # Pools of slices keep patients together: neighbours share their tens.
            group = n // 10 if pool.endswith("_sts_slices") else n
            if (crc32(f"{pool}/{group}".encode()) % 12 == 0) is held_out:
                picture = _picture(pool, modality, image, labels)
                if picture.objects:
                    found.append(picture)
    return found


def _picture(pool: str, modality: str, image: Any, labels: Any) -> Picture:  # noqa: ANN401
    names = labels.astype(np.uint16)
    if modality in _BY_PARTS and names.max() <= 8:
        names = sum(
            (np.where(parts := ndimage.label(names == v)[0], parts + 1000 * int(v), 0)
             for v in np.unique(names) if v), start=np.zeros(names.shape, int)
        ).astype(np.uint16)  # fmt: skip
    values, counts = np.unique(names[names > 0], return_counts=True)
    objects = tuple(int(v) for v, count in zip(values, counts, strict=True) if count >= _SMALLEST)
    return Picture(pool, modality, np.asarray(image), names, objects)


def _pools(folder: Path) -> Iterator[tuple[str, Iterator[tuple[Any, Any]]]]:
    for name, about in json.loads((folder / "manifest.json").read_text())["pools"].items():
        if not name.startswith("mr3d"):
            yield name, _arrays(folder / about["file"])
    for about in json.loads((folder / "manifest_extra.json").read_text())["pools"]:
        yield Path(about["file"]).stem, _files(folder / about["file"])


def _arrays(path: Path) -> Iterator[tuple[Any, Any]]:
    with np.load(path, allow_pickle=False) as file:
        if "imgs" in file.files:
            yield from zip(file["imgs"], file["gts"], strict=True)
            return
        for key in sorted(k for k in file.files if k.startswith("img_")):
            yield file[key], file[key.replace("img_", "gt_")]


def _files(path: Path) -> Iterator[tuple[Any, Any]]:
    with np.load(path, allow_pickle=False) as file:
        parts = {key: file[key] for key in file.files}

    def decoded(kind: str, n: int) -> Any:  # noqa: ANN401
        ends = parts[f"{kind}_offsets"]
        content = parts[f"{kind}_bytes"][ends[n] : ends[n + 1]].tobytes()
        return np.asarray(Image.open(io.BytesIO(content)))

    for n in range(len(parts["names"])):
        yield decoded("jpg", n), decoded("png", n)


class Pools:
    """Clips of one frame from pictures: first a modality, then a picture, then an object.

    Modalities are drawn with the square root of their number of pictures, so that the few dozen of
    a rare one are seen often, and not by heart.
    """

    def __init__(self, found: Sequence[Picture], seed: int, *, window: float = 0.7) -> None:
        self._seed, self._window = seed, window
        self._by_modality: dict[str, list[Picture]] = {}
        for picture in found:
            self._by_modality.setdefault(picture.modality, []).append(picture)
        self._names = sorted(self._by_modality)
        weights = np.sqrt([len(self._by_modality[name]) for name in self._names])
        self._weights = weights / weights.sum()

    def __len__(self) -> int:
        return sum(len(many) for many in self._by_modality.values())

    def clip(self, number: int, frames: int) -> Clip:
        """The clip of this number; always one frame."""
        del frames
        rng = np.random.default_rng([self._seed, number])
        many = self._by_modality[str(rng.choice(self._names, p=self._weights))]
        picture = many[int(rng.integers(len(many)))]
        name = int(rng.choice(picture.objects))
        mask = picture.labels == name
        if rng.random() < 0.25:  # one of its parts
            parts, count = ndimage.label(mask)
            part = parts == 1 + int(rng.integers(count))
            mask = part if part.sum() >= _SMALLEST else mask
        image = picture.image
        if rng.random() < 0.5:
            turns = int(rng.integers(4))
            image, mask = np.rot90(image, turns), np.rot90(mask, turns)
        if rng.random() < self._window:
            image, mask = window(image, mask, rng)
        return Clip(
            np.ascontiguousarray(image)[None], np.ascontiguousarray(mask)[None], picture.pool
        )


def window(image: Any, mask: Any, rng: np.random.Generator) -> tuple[Any, Any]:  # noqa: ANN401
    """What lies around an object: 1.2 to 2.2 times its box, not in its middle."""
    box = box_from_mask(mask)
    sides = np.array([box.y1 - box.y0 + 1, box.x1 - box.x0 + 1], float)
    centre = np.array([box.y0 + box.y1 + 1, box.x0 + box.x1 + 1]) / 2
    square = rng.random() < 0.7
    wide = np.maximum(np.full(2, sides.max()) if square else sides, 8) * rng.uniform(1.2, 2.2)
    centre = centre + rng.uniform(-0.5, 0.5, 2) * np.maximum(wide - sides * 1.1, 0)
    first = np.floor(centre - wide / 2).astype(int).clip(0)
    last = np.ceil(centre + wide / 2).astype(int)
    part = (slice(first[0], last[0]), slice(first[1], last[1]))
    return image[part], mask[part]
