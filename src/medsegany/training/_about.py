"""What a run is begun with, written down in its folder."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, frozen

from medsegany.backends.sam2 import Sam2Segmenter
from medsegany.errors import InvalidInput
from medsegany.io._files import write_text
from medsegany.preprocess import AnyWindow
from medsegany.protocols import Segmenter
from medsegany.training._names import RUN
from medsegany.training._store import window_words
from medsegany.training._weights import hash_of

_WAY_OUT = "Go on as it was begun, or take another folder."


@frozen
class About:
    """What a run is begun with, and goes on with.

    Attributes:
        base: What `load` takes for the model.
        image_size: What it looks at.
        weights: Their hash.
        window: Of the images.
        frame: Of 4D files.
        crop: How much of an image is seen for one object; None for all of it.
    """

    base: str
    image_size: int
    weights: str
    window: str | list[float] | None
    frame: int | None
    crop: float | None

    @classmethod
    def of(
        cls,
        base: Segmenter | str | Path,
        segmenter: Sam2Segmenter,
        window: AnyWindow | None,
        frame: int | None,
    ) -> "About":
        """Of a call of `finetune`."""
        there = not isinstance(base, Segmenter) and Path(base).exists()
        return cls(
            str(Path(str(base)).resolve()) if there else segmenter.name,
            int(segmenter.upstream.image_size),
            hash_of(segmenter.upstream),
            window_words(window),
            frame,
            None if segmenter.crop is None else segmenter.crop.times,
        )

    def refuse_another(self, folder: Path) -> None:
        """A folder that was begun with something else.

        Raises:
            InvalidInput: With what differs.
        """
        found = _begun(folder)
        if found is None:
            return
        for key, value in asdict(self).items():
            if found.get(key) != value:
                msg = (
                    f"{folder} was begun with {key} {found.get(key)!r}, and now it is {value!r}. "
                    f"{_WAY_OUT}"
                )
                raise InvalidInput(msg)

    @staticmethod
    def refuse_other_labels(folder: Path, ids: Sequence[int]) -> None:
        """A folder whose model learns, or has learnt, other objects; their names may change.

        Raises:
            InvalidInput: With both.
        """
        begun = _begun(folder)
        if begun is None:
            return
        found = sorted(map(int, begun["labels"]))
        if found != sorted(ids):
            msg = (
                f"{folder} was begun with the labels {found}, and now they are {sorted(ids)}. "
                f"{_WAY_OUT}"
            )
            raise InvalidInput(msg)

    def write(self, folder: Path, labels: Mapping[int, str]) -> None:
        """Write it down, with the names of labels."""
        words = {**asdict(self), "labels": {str(n): name for n, name in labels.items()}}
        write_text(folder / RUN, json.dumps(words, indent=2) + "\n")


def _begun(folder: Path) -> dict[str, Any] | None:
    """What a folder was begun with; None where nothing has been written down."""
    path = folder / RUN
    return dict(json.loads(path.read_text("utf-8"))) if path.is_file() else None
