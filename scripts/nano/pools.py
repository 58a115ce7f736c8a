"""Real images with masks, from folders of pools.

A pool is an npz: with `imgs` and `gts`, or with `img_0000`, `gt_0000` and so on, which
`manifest.json` lists, or with JPEG and PNG files in flat arrays of bytes, which
`manifest_extra.json` lists. Its name begins with its modality: `ct_`, `mr_`, `us_`.

Some are held out by image, to see how training goes; a number decides which, so it never changes.
"""

import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
from attrs import evolve, frozen
from moving import in_motion
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.measure import regionprops
from skimage.segmentation import felzenszwalb

from medsegany.training import Clip

_SMALLEST = 20  # pixels
_MODALITIES = {"us": "Ultrasound", "ct": "CT", "mr": "MR", "micro": "Microscopy", "pet": "PET",
               "derm": "Dermoscopy", "endo": "Endoscopy", "fundus": "Fundus",
               "mammo": "Mammography", "oct": "OCT"}  # fmt: skip
_VESSELS = {"fundus_chase_vessels", "fundus_hrf", "oct_octa500"}
_HIDDEN = {"ct_ich", "ct_phe_sich"}  # bleedings, in a window that does not show them
_SMALLEST_PART = 60  # pixels of what is taken for an object of its own
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
    """Clips of pictures: first a modality, then a pool, then a picture, then an object.

    Modalities and pools are drawn with the square root of their number of pictures, so that the few
    dozen of a rare one are seen often, and not by heart.

    Args:
        found: The pictures.
        seed: Of what is drawn.
        vessels: How often trees of vessels are drawn, as a part of what is usual: a mask of a
            quarter of a small input can hardly show one.
        regions: Part of the clips whose object is a region that looks alike, and no annotation:
            what a border is can be learnt from those, too.
    """

    def __init__(
        self,
        found: Sequence[Picture],
        seed: int,
        *,
        vessels: float = 0.25,
        regions: float = 0.0,
    ) -> None:
        self._seed, self._vessels, self._regions = seed, vessels, regions
        self._pictures: dict[str, dict[str, list[Picture]]] = {}
        for picture in found:
            pools = self._pictures.setdefault(picture.modality, {})
            pools.setdefault(picture.pool, []).append(picture)

    def __len__(self) -> int:
        return sum(len(many) for pools in self._pictures.values() for many in pools.values())

    def clip(self, number: int, frames: int) -> Clip:
        """The clip of this number; of several frames it is one image in motion."""
        rng = np.random.default_rng([self._seed, number])
        sizes = {name: sum(map(len, pools.values())) for name, pools in self._pictures.items()}
        pools = self._pictures[self._drawn(sizes, rng)]
        many = pools[self._drawn({name: len(these) for name, these in pools.items()}, rng)]
        picture = many[int(rng.integers(len(many)))]
        mask = picture.labels == int(rng.choice(picture.objects))
        if rng.random() < 0.1 and picture.modality not in _BY_PARTS:
            mask = _with_neighbours(picture.labels, mask)
        elif rng.random() < 0.25:  # one of its parts
            parts, count = ndimage.label(mask)
            part = parts == 1 + int(rng.integers(count))
            mask = part if part.sum() >= _SMALLEST else mask
        image = picture.image
        if self._regions and rng.random() < self._regions:
            mask = _region(image, mask, rng)
        if rng.random() < 0.5:
            turns = int(rng.integers(4))
            image, mask = np.rot90(image, turns), np.rot90(mask, turns)
        image, mask = np.ascontiguousarray(image), np.ascontiguousarray(mask)
        if frames > 1:
            return Clip(*in_motion(image, mask, frames, rng), picture.pool)
        return Clip(image[None], mask[None], picture.pool)

    def thin(self, modalities: Collection[str] = ()) -> "Pools":
        """Pictures with something large in them that fills little of its box; all modalities'."""
        found = [
            evolve(picture, objects=thin)
            for modality, pools in self._pictures.items()
            if modality in modalities or not modalities
            for many in pools.values()
            for picture in many
            if (thin := tuple(n for n in picture.objects if _is_thin(picture.labels == n)))
        ]
        return Pools(found, self._seed, vessels=1.0)

    def hollow(self) -> "Pools":
        """Parts of what people marked that are bent, branched or hollow, each an object."""
        found = []
        for pools in self._pictures.values():
            for picture in (one for many in pools.values() for one in many):
                parts = np.zeros_like(picture.labels)
                for n in picture.objects:
                    names, _ = ndimage.label(picture.labels == n)
                    for part in regionprops(names):
                        if part.area >= _SMALLEST_PART and part.solidity < 0.7:
                            parts[names == part.label] = parts.max() + 1
                if parts.any():
                    objects = tuple(range(1, int(parts.max()) + 1))
                    found.append(evolve(picture, labels=parts, objects=objects))
        return Pools([one for one in found if one.pool not in _VESSELS | _HIDDEN], self._seed)

    def _drawn(self, sizes: Mapping[str, int], rng: np.random.Generator) -> str:
        weights = np.sqrt(list(sizes.values()))
        weights[[name in _VESSELS for name in sizes]] *= self._vessels
        return str(rng.choice(list(sizes), p=weights / weights.sum()))


def _with_neighbours(labels: NDArray[np.uint16], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """An object and all that it touches: a brain of its tissues, a heart of its chambers."""
    together, _ = ndimage.label(labels > 0, np.ones((3, 3)))
    whole: NDArray[np.bool_] = np.isin(together, np.unique(together[mask]))
    return whole


def _is_thin(mask: NDArray[np.bool_]) -> bool:
    rows, columns = np.nonzero(mask)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    return bool(max(height, width) > 100 and len(rows) < 0.12 * height * width)


def _region(
    image: NDArray[np.uint8], instead: NDArray[np.bool_], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """A region that looks alike and other than what is around it: not tiny, large or ragged."""
    grey = image.mean(-1) if image.ndim == 3 else image
    coarse = float(np.exp(rng.uniform(np.log(50), np.log(800))))
    regions = felzenszwalb(image, scale=coarse, sigma=rng.uniform(0.6, 2.0), min_size=60)
    sizes = np.bincount(regions.ravel())
    fit = np.flatnonzero((sizes >= 60) & (sizes <= 0.3 * regions.size))
    for label in rng.permutation(fit)[:5]:
        mask: NDArray[np.bool_] = ndimage.binary_opening(regions == label, iterations=1)
        rows, columns = np.nonzero(mask)
        if len(rows) < 40 or len(rows) < 0.35 * (np.ptp(rows) + 1) * (np.ptp(columns) + 1):
            continue
        mask = ndimage.binary_fill_holes(mask)
        around = ndimage.binary_dilation(mask, iterations=5) & ~mask
        differ = abs(float(grey[mask].mean()) - float(grey[around].mean()))
        if differ > max(15.0, float(grey[mask].std())):
            return mask
    return instead
