"""How a model is trained, as a value."""

from collections.abc import Iterable, Mapping
from math import cos, pi
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from attrs import asdict, evolve, field, fields_dict, frozen

from medsegany._validate import Check, above_zero, at_least, not_negative, one_of, share
from medsegany.errors import InvalidInput
from medsegany.training._augment import Augmentation
from medsegany.training._losses import Loss
from medsegany.training._prompting import KINDS, BoxJitter, PromptKind

Part: TypeAlias = Literal["image_encoder", "prompt_encoder", "mask_decoder", "memory"]
"""A part of SAM2 that is trained or left as it is."""

PARTS: tuple[Part, ...] = get_args(Part)


def _above_zero_or_none(instance: object, attribute: object, value: float | None) -> None:
    if value is not None:
        above_zero(instance, attribute, value)


def _plain(value: Any) -> Any:  # noqa: ANN401 -- numpy's numbers, among others
    return value.item() if isinstance(value, np.generic) else value


def _parts(_: object, __: object, value: tuple[str, ...]) -> None:
    if not value or not set(value) <= set(PARTS):
        msg = f"train is some of {', '.join(PARTS)}, got {value!r}."
        raise InvalidInput(msg)


def _as_parts(value: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(value)


def _a(kind: type, *, optional: bool = False) -> Check:
    def check(_: object, field: Any, value: object) -> None:  # noqa: ANN401 -- attrs' Attribute
        if not (isinstance(value, kind) or (optional and value is None)):
            msg = f"{field.name} is of {kind.__name__}{' or None' * optional}, got {value!r}."
            raise InvalidInput(msg)

    return check


def _shares(_: object, __: object, value: object) -> None:
    if not isinstance(value, Mapping) or not set(value) <= set(KINDS) or sum(value.values()) <= 0:
        msg = f"prompts gives shares to some of {', '.join(KINDS)}, got {value!r}."
        raise InvalidInput(msg)
    if min(value.values()) < 0:
        msg = f"A share of prompts is at least 0, got {dict(value)!r}."
        raise InvalidInput(msg)


@frozen
class Recipe:
    """What changes the weights that come out; `Machine` holds what does not.

    The defaults are the library's own. `PAPER` is that of Ma et al., 2024, section 2.6, and
    `RELEASED` what their script really does.

    Attributes:
        epochs: How often every slice that holds an object is seen. Training ends earlier when
            `patience` runs out.
        batch: Clips for one step of the optimiser.
        learning_rate: Of AdamW, at its highest.
        weight_decay: Of AdamW.
        warmup: Part of all steps during which the learning rate rises from zero.
        decay: "cosine" lets it fall to a hundredth by the last step; "constant" does not.
        clip_gradient: The largest norm of all gradients together; None for any.
        shuffle: Whether slices come in another order in every epoch.
        train: The parts that are trained.
        loss: What is asked of the decoder.
        prompts: Kind of prompt -> how often it is drawn.
        jitter: How loose boxes are.
        augmentation: How images are changed; None, the default, for not at all: in a few epochs
            on a few dozen scans it cost more than it gave (see "Fine-tuning" in the documentation).
        frames: Length of clips for the memory; 1 for no clips.
        clips: Part of the batches that are clips; the others are single images.
        reprompt: How often another frame of a clip is prompted, too.
        smallest_px: Pixels that an object needs on a slice to be prompted there.
        patience: How many validations in a row may bring nothing better; None for any.
        average: Of the weights over steps, exponentially: 0.999 remembers about 1000 steps, 0
            keeps the last weights.
    """

    epochs: int = field(default=50, validator=at_least(1))
    batch: int = field(default=16, validator=at_least(1))
    learning_rate: float = field(default=1e-4, validator=above_zero)
    weight_decay: float = field(default=0.01, validator=not_negative)
    warmup: float = field(default=0.05, validator=share)
    decay: Literal["cosine", "constant"] = field(
        default="cosine", validator=one_of("cosine", "constant")
    )
    clip_gradient: float | None = field(default=1.0, validator=_above_zero_or_none)
    shuffle: bool = True
    train: tuple[Part, ...] = field(
        default=("image_encoder", "mask_decoder", "memory"), converter=_as_parts, validator=_parts
    )
    loss: Loss = field(factory=Loss, validator=_a(Loss))
    prompts: Mapping[PromptKind, float] = field(
        factory=lambda: {"box": 0.8, "point": 0.1, "clicks": 0.1}, validator=_shares
    )
    jitter: BoxJitter = field(
        factory=lambda: BoxJitter(outward_px=0, fraction=0.05), validator=_a(BoxJitter)
    )
    augmentation: Augmentation | None = field(
        default=None, validator=_a(Augmentation, optional=True)
    )
    frames: int = field(default=4, validator=at_least(1))
    clips: float = field(default=0.5, validator=share)
    reprompt: float = field(default=0.1, validator=share)
    smallest_px: int = field(default=20, validator=at_least(1))
    patience: int | None = field(default=10, validator=at_least(1, optional=True))
    average: float = field(default=0.0, validator=share)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of a step, counted from 0, of so many."""
        highest = float(self.learning_rate)
        rising = max(1, round(self.warmup * steps))
        begin = min(1.0, (step + 1) / rising) if self.warmup else 1.0
        if self.decay == "constant":
            return highest * begin
        gone = max(0, step - rising) / max(1, steps - rising)
        return highest * begin * (0.01 + 0.99 * (1 + cos(pi * min(1.0, gone))) / 2)

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return asdict(self, value_serializer=lambda _, __, value: _plain(value))

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Recipe":
        """What `to_dict` gave.

        Raises:
            InvalidInput: Something in it is not known.
        """
        given = dict(content)
        if unknown := given.keys() - fields_dict(cls).keys():
            msg = f"A recipe has no {min(unknown)!r}. It has {', '.join(fields_dict(cls))}."
            raise InvalidInput(msg)
        try:
            for name, kind in (
                ("loss", Loss),
                ("jitter", BoxJitter),
                ("augmentation", Augmentation),
            ):
                if isinstance(given.get(name), Mapping):
                    given[name] = kind(**given[name])
            return cls(**given)
        except TypeError as error:
            msg = f"A recipe is not understood: {error}."
            raise InvalidInput(msg) from error


PAPER = Recipe(
    epochs=1000,
    batch=16,
    learning_rate=6e-5,
    weight_decay=0.01,
    warmup=0.0,
    decay="constant",
    clip_gradient=None,
    shuffle=True,
    train=("image_encoder", "mask_decoder"),
    loss=Loss(every_token=False, iou=0.0, presence=0.0, at="decoder"),
    prompts={"box": 1.0},
    jitter=BoxJitter(outward_px=5),
    augmentation=None,
    frames=1,
    clips=0.0,
    reprompt=0.0,
    smallest_px=1,
    patience=None,
)
"""Section 2.6 of the paper: prompt encoder frozen, image encoder and mask decoder trained in 2D,
unweighted sum of Dice and cross-entropy at the decoder's resolution, AdamW at 6e-5, batches of 16,
boxes up to 5 px larger on each side, in pixels of the model's input."""

RELEASED = evolve(PAPER, shuffle=False, jitter=BoxJitter(outward_px=5, grid_px=256))
"""What `finetune_sam2_img.py` does where it differs from the paper: slices always in one order, and
boxes up to 5 px larger on a grid of 256, which are 20 px at 1024."""


@frozen
class Machine:
    """Where and how economically training runs.

    Attributes:
        device: "auto" for the GPUs that are there, else Apple's, else the CPU; or "cpu".
        precision: "float32" or "bfloat16", which halves what activations take.
        at_once: Clips that go through the model together; None for the whole batch. Gradients of
            the parts are added up, so a step stays a step.
        recompute: Whether blocks of the image encoder forget what they computed, and compute it
            again on the way back (gradient checkpointing): slower by a third, far less memory.
        embed_once: Whether every slice is encoded once and its features kept on the disk. For an
            image encoder that is not trained, and images that are not changed.
    """

    device: str = field(default="auto", validator=one_of("auto", "cpu"))
    precision: Literal["float32", "bfloat16"] = field(
        default="float32", validator=one_of("float32", "bfloat16")
    )
    at_once: int | None = field(default=None, validator=at_least(1, optional=True))
    recompute: bool = False
    embed_once: bool = False
