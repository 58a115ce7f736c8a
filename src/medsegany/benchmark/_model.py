"""Which model is measured, in words that another process understands."""

import json
import sys
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from attrs import asdict, evolve, field, frozen

from medsegany.benchmark._trivial import EllipseSegmenter
from medsegany.cards import BY_NAME
from medsegany.errors import InvalidInput
from medsegany.protocols import Segmenter
from medsegany.registry import load

ELLIPSE = "ellipse"
"""Loads `EllipseSegmenter`, which is no model that anybody would ask `load` for."""


@frozen
class Identity:
    """Which model a result is of.

    Attributes:
        name: In tables.
        key: A hash of its weights, and of what else changes masks.
        words: What it was loaded by; see `Model.to_json`.
        known: Whether more than its name and its class tell it apart.
    """

    name: str
    key: str
    words: str
    known: bool = True


@frozen
class Model:
    """What `medsegany.load` is asked for.

    Attributes:
        load: A name, the path of a file or folder, an entry point of another package, or "ellipse".
        checkpoint: See `load`.
        device: See `load`.
        dtype: See `load`.
        image_size: See `load`.
        crop: See `load`.
        name: In tables; "" for the model's own.
        untrained: Random weights, of the real size: to see that a model runs here, and what it
            takes, before gigabytes are fetched. Its results are in no table.
    """

    load: str = field(converter=str)
    checkpoint: str | None = None
    device: str = "auto"
    dtype: str | None = None
    image_size: int | None = None
    crop: float | Literal["auto"] | None = "auto"
    name: str = ""
    untrained: bool = False

    def open(self) -> Segmenter:
        """Load it; see `medsegany.load` for what it may raise."""
        if self.untrained:
            if self.checkpoint is not None:
                msg = f"{self.load} is either untrained or has the weights of {self.checkpoint}."
                raise InvalidInput(msg)
            from medsegany.testing.models import untrained  # noqa: PLC0415 -- needs torch

            return untrained(
                self.load,
                device=self.device,
                dtype=self.dtype,
                image_size=self.image_size,
                crop=self.crop,
            )
        if self.load == ELLIPSE:
            plain = Model(ELLIPSE, device=self.device, name=self.name)
            for option in ("checkpoint", "dtype", "image_size", "crop"):
                if getattr(self, option) != getattr(plain, option):
                    msg = f"{ELLIPSE} has no option {option}."
                    raise InvalidInput(msg)
            return EllipseSegmenter()
        return load(
            self.load,
            checkpoint=self.checkpoint,
            device=self.device,
            dtype=self.dtype,
            image_size=self.image_size,
            crop=self.crop,
        )

    def to_json(self) -> str:
        """As one line."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Model":
        """What `to_json` wrote."""
        return cls(**json.loads(text))

    def identity(self, segmenter: Segmenter) -> Identity:
        """Who it is, once it is loaded.

        The key knows the weights themselves, of every torch module that the segmenter has, its
        class, the version of its package, and its own `version`, where it has such an attribute.
        Where it has neither, nothing but its name tells two segmenters of one class apart. The
        device is no part of it: what differs between devices is rounding.
        """
        name = (self.name or segmenter.name) + (" (untrained)" if self.untrained else "")
        how = [self.dtype, self.image_size, self.crop, *_class_of(segmenter)]
        weights, said = weights_of(segmenter), getattr(segmenter, "version", "")
        content = [*how, weights or name, *([str(said)] if said else [])]
        key = sha256(json.dumps(content).encode()).hexdigest()[:16]
        ours = type(segmenter).__module__.split(".")[0] == "medsegany"
        return Identity(name, key, self.to_json(), bool(weights or said or ours))


def loadable(model: Model | Segmenter) -> Model:
    """The model, where another process can load it.

    Raises:
        InvalidInput: It is an object of this process.
    """
    if isinstance(model, Model):
        return model
    msg = (
        f"{model.name} is an object of this process; another one can only load a name. "
        "Give a name, a folder or an entry point, or use the engine of this process."
    )
    raise InvalidInput(msg)


def with_whole_paths(model: Model) -> Model:
    """The same, for a process that works in another folder."""

    def whole(word: str) -> str:
        return str(Path(word).resolve()) if Path(word).exists() else word

    known = model.load in BY_NAME or model.load == ELLIPSE
    return evolve(
        model,
        load=model.load if known else whole(model.load),
        checkpoint=None if model.checkpoint is None else whole(model.checkpoint),
    )


def weights_of(segmenter: Segmenter) -> str:
    """The sha256 of all weights of a model of torch, by name; "" for one without."""
    modules = _modules_of(segmenter)
    if not modules:
        return ""
    found = sha256()
    for module in modules:
        for name, value in sorted(module.state_dict().items()):
            found.update(name.encode())
            found.update(_bytes_of(value))
    return found.hexdigest()


def _bytes_of(tensor: Any) -> bytes:  # noqa: ANN401 -- torch's
    flat = tensor.detach().cpu().contiguous().view(-1)
    plain = flat.view(sys.modules["torch"].uint8)  # numpy knows no bfloat16
    content: bytes = plain.numpy().tobytes()
    return content


def device_of(segmenter: Segmenter) -> str:
    """Where the weights of a model of torch are; "cpu" for one without."""
    first = next((p for module in _modules_of(segmenter) for p in module.parameters()), None)
    return "cpu" if first is None else str(first.device)


def _modules_of(segmenter: Segmenter) -> list[Any]:
    """Those of torch, which is not loaded here: the official one, or all that it has."""
    official: Any = getattr(segmenter, "upstream", None)
    official = getattr(official, "model", official)  # a SamPredictor has one
    if hasattr(official, "state_dict"):
        return [official]
    mine = getattr(segmenter, "__dict__", {})
    return [
        v for _, v in sorted(mine.items()) if hasattr(v, "state_dict") and hasattr(v, "parameters")
    ]


def _class_of(segmenter: Segmenter) -> list[Any]:
    """The class, and the version of the package that it is from."""
    kind = type(segmenter)
    package = kind.__module__.split(".")[0]
    try:
        return [kind.__module__, kind.__qualname__, version(package)]
    except PackageNotFoundError:  # a script
        return [kind.__module__, kind.__qualname__, ""]
