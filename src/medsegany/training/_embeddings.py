"""Features of every slice, computed once, for an encoder that is not trained."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from medsegany.backends.sam2 import SAM2VideoPredictor
from medsegany.errors import FileError, InvalidInput
from medsegany.io._files import atomically, make_folder, write_text
from medsegany.progress import OnProgress, Progress, no_progress
from medsegany.training._batches import as_input
from medsegany.training._clips import Clip
from medsegany.training._store import StoredCase
from medsegany.training._weights import hash_of

_TOGETHER = 4


class StoredEmbeddings:
    """The encoder's maps of stored cases, float16 on the disk; see `Batch.features`.

    Args:
        upstream: The model that computes them, in its present state. Its encoder is not to change
            any more, nor the two convolutions of its decoder that belong to the finer maps.
        cases: Those to be encoded.
        folder: Where they lie; what is there from an earlier start is used again.
        on_progress: Told of slices.

    Raises:
        FileError: The disk has not enough room.
    """

    def __init__(
        self,
        upstream: SAM2VideoPredictor,
        cases: Sequence[StoredCase],
        folder: Path,
        *,
        on_progress: OnProgress = no_progress,
    ) -> None:
        make_folder(folder)
        self._paths: dict[str, list[Path]] = {}
        total, done = sum(case.depth for case in cases), 0
        self._refuse_a_full_disk(upstream, cases, folder)
        weights = hash_of(upstream)
        for case in cases:
            paths = [folder / f"{case.name}-{n}.npy" for n in range(3)]
            about = folder / f"{case.name}.json"
            if not about.is_file() or about.read_text("utf-8") != weights + case.source:
                about.unlink(missing_ok=True)
                for path, level in zip(paths, _encoded(upstream, case), strict=True):
                    atomically(path, lambda to, level=level: np.save(to, level))  # type: ignore[misc]
                write_text(about, weights + case.source)
            self._paths[case.name] = paths
            done += case.depth
            on_progress(Progress("slices encoded", done, total))

    def of(self, clips: Sequence[Clip]) -> list[torch.Tensor]:
        """See `Embeddings.of`.

        Raises:
            InvalidInput: A clip's frames are not those that were encoded.
        """
        parts: list[list[np.ndarray]] = [[], [], []]
        for clip in clips:
            if clip.source is None:
                msg = "Images that are changed have no stored features: augmentation=None."
                raise InvalidInput(msg)
            name, slices = clip.source
            for part, path in zip(parts, self._paths[name], strict=True):
                part.append(np.load(path, mmap_mode="r")[list(slices)])
        return [torch.from_numpy(np.concatenate(part)).float() for part in parts]

    @staticmethod
    def _refuse_a_full_disk(
        upstream: SAM2VideoPredictor, cases: Sequence[StoredCase], folder: Path
    ) -> None:
        side, width = upstream.image_size, upstream.hidden_dim
        shapes = ((width // 8, side // 4), (width // 4, side // 8), (width, side // 16))
        each = sum(2 * channels * size * size for channels, size in shapes)
        there = sum(path.stat().st_size for path in folder.glob("*.npy"))
        needed = each * sum(case.depth for case in cases) - there
        free = shutil.disk_usage(folder).free
        if needed > free:
            msg = (
                f"Features of all slices take {needed / 1e9:.1f} GB more, and {folder} has "
                f"{free / 1e9:.1f} GB. Train without embed_once, or in a folder elsewhere."
            )
            raise FileError(msg)


def _encoded(upstream: SAM2VideoPredictor, case: StoredCase) -> list[np.ndarray]:
    parts: list[list[np.ndarray]] = [[], [], []]
    device = next(upstream.parameters()).device
    with torch.inference_mode():
        for begin in range(0, case.depth, _TOGETHER):
            images = np.asarray(case.images[begin : begin + _TOGETHER])
            clip = Clip(images, np.ones(images.shape[:3], np.bool_))
            found = upstream.forward_image(as_input(clip, upstream.image_size).to(device))
            for part, level in zip(parts, found["backbone_fpn"][-3:], strict=True):
                part.append(level.cpu().numpy().astype(np.float16))
    return [np.concatenate(part) for part in parts]
