"""Making the official classes; the only place that knows hydra."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from medsegany._validate import whole
from medsegany.cards import NANO
from medsegany.errors import InvalidInput


@contextmanager
def _hydra_as_it_was() -> Iterator[None]:
    """Use `sam2` and leave the caller's hydra, whose state is global, as it was.

    `import sam2` initialises hydra: a caller who did so next would fail. Undoing that alone would
    leave a `sam2` whose own builders fail, since its import has happened. So the package is put
    back as well: a caller who imports it later starts hydra then, as ever.
    """
    if "sam2" in sys.modules:  # the caller's own import
        yield
        return
    from hydra.core.singleton import Singleton  # noqa: PLC0415 -- its home is here

    instances: dict[Any, Any] = Singleton._instances  # noqa: SLF001 -- hydra has no other door
    kept = {kind: (one, dict(vars(one))) for kind, one in instances.items()}
    try:
        yield
    finally:
        instances.clear()
        for kind, (one, state) in kept.items():
            vars(one).clear()
            vars(one).update(state)
            instances[kind] = one
        if "sam2" in sys.modules:
            sys.meta_path.insert(0, _NextImport(sys.modules.pop("sam2")))


class _NextImport:
    """Finds `sam2` once: the module that there is, whose `__init__.py` then runs again."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """As `importlib` asks every finder."""
        if name != "sam2":
            return None
        sys.meta_path.remove(self)
        try:
            spec = find_spec(name)  # by everybody else
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None and spec.loader is not None:
            spec.loader.create_module = self._take  # type: ignore[assignment,method-assign]
        return spec

    def _take(self, _: ModuleSpec) -> ModuleType:
        sys.meta_path.remove(self)
        return self._module


with _hydra_as_it_was():
    from sam2.sam2_image_predictor import SAM2ImagePredictor
    from sam2.sam2_video_predictor import SAM2VideoPredictor

__all__ = ["MEAN", "STD", "SAM2ImagePredictor", "SAM2VideoPredictor", "build", "config"]

# Of the images that SAM 2 is shown; upstream has them in two places, and exports neither.
MEAN = torch.tensor((0.485, 0.456, 0.406))[:, None, None]
STD = torch.tensor((0.229, 0.224, 0.225))[:, None, None]

# What build_sam2_video_predictor adds to the configuration (apply_postprocessing=True).
_POSTPROCESSING = {
    "sam_mask_decoder_extra_args": {
        "dynamic_multimask_via_stability": True,
        "dynamic_multimask_stability_delta": 0.05,
        "dynamic_multimask_stability_thresh": 0.98,
    },
    "binarize_mask_from_pts_for_mem_enc": True,
    "fill_hole_area": 8,
}
# What nano says first is better than the best of its other three, stable or not: docs/nano.md.
_AS_SAID = {"sam_mask_decoder_extra_args": {"dynamic_multimask_via_stability": False}}


def config(architecture: str) -> DictConfig:
    """The configuration of a model: an official one, or `NANO`.

    Args:
        architecture: As cards name it, for instance "sam2.1/sam2.1_hiera_t".
    """
    if architecture == NANO:
        return _nano()
    with _hydra_as_it_was():
        file = resources.files("sam2").joinpath("configs", f"{architecture}.yaml")
        text = file.read_text("utf-8")
    content = OmegaConf.create(text)
    assert isinstance(content, DictConfig)
    model = content.model
    assert isinstance(model, DictConfig)
    return model


def _nano() -> DictConfig:
    """SAM 2.1 with half the channels everywhere and a Hiera of 1-2-3-1 blocks: 6.5 M parameters."""
    model = config("sam2.1/sam2.1_hiera_t")
    model.image_size = 256
    model.image_encoder.trunk.embed_dim = 48
    model.image_encoder.trunk.stages = [1, 2, 3, 1]
    model.image_encoder.trunk.global_att_blocks = [5]
    model.image_encoder.neck.backbone_channel_list = [384, 192, 96, 48]
    width = 128
    model.image_encoder.neck.d_model = width
    model.image_encoder.neck.position_encoding.num_pos_feats = width
    attention = model.memory_attention
    attention.d_model = attention.layer.d_model = width
    attention.layer.dim_feedforward = 4 * width
    attention.layer.self_attention.embedding_dim = width
    attention.layer.cross_attention.embedding_dim = width
    encoder = model.memory_encoder
    encoder.in_dim = encoder.fuser.layer.dim = encoder.mask_downsampler.embed_dim = width
    return model


def build(
    architecture: str | DictConfig, image_size: int | None = None, **overrides: object
) -> SAM2VideoPredictor:
    """An official `SAM2VideoPredictor` with random weights.

    As `sam2.build_sam.build_sam2_video_predictor` makes it, without hydra's global state.

    Args:
        architecture: Name of an official configuration, or the model part of one.
        image_size: Side of the square the model looks at; None for the configuration's own.
        overrides: Other values of the configuration.
    """
    from hydra.utils import instantiate  # noqa: PLC0415 -- its home is here

    model = OmegaConf.merge(
        config(architecture) if isinstance(architecture, str) else architecture,
        {"_target_": "sam2.sam2_video_predictor.SAM2VideoPredictor"},
        _POSTPROCESSING,
        _AS_SAID if architecture == NANO else {},
        overrides,
    )
    if image_size is not None:
        if whole(image_size, 64, "image_size") % 32:
            msg = f"image_size of SAM2 is a multiple of 32, got {image_size}."
            raise InvalidInput(msg)
        model.image_size = image_size
        sides = [image_size // 16] * 2
        model.memory_attention.layer.self_attention.feat_sizes = sides
        model.memory_attention.layer.cross_attention.feat_sizes = sides
    with _hydra_as_it_was():
        predictor = instantiate(model, _recursive_=True)
    assert isinstance(predictor, SAM2VideoPredictor)
    return predictor.eval()
