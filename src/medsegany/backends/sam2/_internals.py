"""Sessions of `sam2`, step by step: its private names stand here and in `_tracker.py`.

`tests/backends/test_sam2_internals.py` fails when upstream moves one of them.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, cast

import numpy as np
import torch
from attrs import frozen
from PIL import Image as PillowImage

from medsegany.backends.sam2._build import MEAN, STD, SAM2VideoPredictor
from medsegany.backends.sam2._tracker import Banks, State, Tracker
from medsegany.types import Image

Features = tuple[torch.Tensor, dict[str, list[torch.Tensor]]]

# Stands for "no end is known": upstream compares it with frame indices and takes min(it, 16).
ENDLESS = 2**31
_OBJECT = 0  # a session holds one object, and this is its name there


@frozen
class Step:
    """What the model said of one object on one slice.

    Attributes:
        low_res: `(1, 1, h, w)` logits, holes filled.
        score: `(1, 1)` predicted IoU of that mask.
        object_score: `(1, 1)` logit of the object being there.
    """

    low_res: torch.Tensor
    score: torch.Tensor
    object_score: torch.Tensor


def new_state(tracker: Tracker, size: tuple[int, int], length: int) -> State:
    """What `init_state` makes, for frames that arrive one by one."""
    device = tracker.device
    return {
        "images": None,  # features are always put into the cache before upstream looks
        "num_frames": length,
        "offload_video_to_cpu": False,
        "offload_state_to_cpu": False,
        "video_height": size[0],
        "video_width": size[1],
        "device": device,
        "storage_device": device,
        "point_inputs_per_obj": {},
        "mask_inputs_per_obj": {},
        "cached_features": {},
        "constants": {},
        "obj_id_to_idx": OrderedDict(),
        "obj_idx_to_id": OrderedDict(),
        "obj_ids": [],
        "output_dict_per_obj": {},
        "temp_output_dict_per_obj": {},
        "frames_tracked_per_obj": {},
    }


def as_input(image: Image, size: int) -> torch.Tensor:
    """`(3, size, size)`: a frame as `load_video_frames` prepares it from a JPEG folder."""
    resized = PillowImage.fromarray(image).resize((size, size))
    unit = np.array(resized) / 255.0
    tensor = torch.from_numpy(unit).permute(2, 0, 1).to(torch.float32)
    tensor -= MEAN
    tensor /= STD
    return tensor


def encode(tracker: Tracker, frame: torch.Tensor) -> Features:
    """Features of one frame, as the session caches them."""
    batch = frame.to(tracker.device)[None]
    return batch, cast("dict[str, list[torch.Tensor]]", tracker.forward_image(batch))


def positions(features: Features) -> list[torch.Tensor]:
    """The encoding of positions, the same for all frames, without what the model never looks at.

    That is the finer levels, five times as large as the features of a frame; only their sizes
    count, so they have no channels here.
    """
    *finer, last = features[1]["vision_pos_enc"]
    return [level[:, :0].clone() for level in finer] + [last.clone()]


def stripped(features: Features, where: list[torch.Tensor]) -> Features:
    """Features without the frame itself, which nobody looks at any more."""
    image, backbone = features
    return image[:, :, :1, :1].clone(), {**backbone, "vision_pos_enc": where}


def size_of(features: Features) -> int:
    """Bytes of a frame's own features."""
    return _bytes(features[1]["backbone_fpn"])


def condition(
    tracker: Tracker,
    state: State,
    index: int,
    features: Features,
    *,
    box: np.ndarray[Any, Any] | None = None,
    points: np.ndarray[Any, Any] | None = None,
    labels: np.ndarray[Any, Any] | None = None,
    mask: np.ndarray[Any, Any] | None = None,
) -> Step:
    """Prompt a frame and remember it, as `add_new_*` and the next `propagate_in_video` do."""
    state["cached_features"] = {index: features}
    if mask is not None:
        tracker.add_new_mask(state, index, _OBJECT, mask)
    else:
        tracker.add_new_points_or_box(state, index, _OBJECT, points=points, labels=labels, box=box)
    # the memory encoder does not touch it, the preflight below does not run the heads
    score = tracker.last_score
    tracker.propagate_in_video_preflight(state)
    outputs = state["output_dict_per_obj"][0]
    record = outputs["cond_frame_outputs"].get(index)
    if record is None:  # a correction of a frame that was tracked before
        record = outputs["non_cond_frame_outputs"][index]
    return Step(record["pred_masks"], score, record["object_score_logits"])


def carry(
    tracker: Tracker,
    objects: Sequence[tuple[State, int]],
    features: Features,
    *,
    reverse: bool,
) -> list[Step]:
    """Track objects to a frame and remember it: one turn of `propagate_in_video`'s loop for each.

    Args:
        tracker: The model.
        objects: Each one's session, and the index of the frame in it.
        features: Of the frame.
        reverse: Whether time runs backward.
    """
    _, backbone = features
    _, now, positions, sizes = tracker._prepare_backbone_features(backbone)  # noqa: SLF001
    out = tracker.track_step(
        frame_idx=0,
        is_init_cond_frame=False,
        current_vision_feats=[level.expand(-1, len(objects), -1) for level in now],
        current_vision_pos_embeds=[level.expand(-1, len(objects), -1) for level in positions],
        feat_sizes=sizes,
        point_inputs=None,
        mask_inputs=None,
        output_dict=Banks(objects),
        num_frames=0,  # each object's own, see the tracker
        track_in_reverse=reverse,
        run_mem_encoder=True,
    )
    steps = []
    for n, (state, index) in enumerate(objects):
        # Copies, for a part of a tensor keeps the whole of it alive.
        part = {
            "maskmem_features": out["maskmem_features"][n : n + 1].to(torch.bfloat16, copy=True),
            "maskmem_pos_enc": [level[n : n + 1] for level in out["maskmem_pos_enc"]],
        }
        masks = tracker.filled(out["pred_masks"][n : n + 1])
        record = {
            **part,
            "maskmem_pos_enc": tracker._get_maskmem_pos_enc(state, part),  # noqa: SLF001
            "pred_masks": masks,
            "obj_ptr": out["obj_ptr"][n : n + 1].clone(),
            "object_score_logits": out["object_score_logits"][n : n + 1].clone(),
        }
        state["output_dict_per_obj"][0]["non_cond_frame_outputs"][index] = record
        state["frames_tracked_per_obj"][0][index] = {"reverse": reverse}
        score = tracker.last_score[n : n + 1]
        steps.append(Step(masks, score, record["object_score_logits"]))
    return steps


@frozen
class Horizon:
    """How many frames the model can look at, the one just tracked included.

    Attributes:
        maps: Those whose map it can look at.
        pointers: Those whose object pointer it can look at.
    """

    maps: int
    pointers: int

    @classmethod
    def of(cls, tracker: Tracker) -> "Horizon":
        """Of this model."""
        maps = (tracker.num_maskmem - 1) * tracker.memory_temporal_stride_for_eval
        return cls(int(maps), int(tracker.max_obj_ptrs_in_encoder) - 1)


def prune(
    state: State, index: int, horizon: Horizon, anchor: int | None, *, corrected: bool
) -> None:
    """Drop what the model cannot look at any more; what it says stays the same.

    Args:
        state: The session.
        index: The frame just tracked.
        horizon: How far it can look.
        anchor: What lies near this frame is kept too, for a later way back from it.
        corrected: Whether the frame just tracked may be prompted yet, which begins with its mask.
    """
    outputs = state["output_dict_per_obj"][0]
    tracked, conditioned = outputs["non_cond_frame_outputs"], outputs["cond_frame_outputs"]
    for t, record in list(tracked.items()):
        away = abs(t - index) if anchor is None else min(abs(t - index), abs(t - anchor))
        away -= corrected  # then the model looks from there once more
        if away >= max(horizon.maps, horizon.pointers):
            del tracked[t]
            state["frames_tracked_per_obj"][0].pop(t, None)
        elif away >= horizon.maps:
            record["maskmem_features"] = None
    for t, record in (*tracked.items(), *conditioned.items()):
        if t != index or not corrected:
            record["pred_masks"] = None
    masks = state["mask_inputs_per_obj"][0]
    masks.update(dict.fromkeys(masks))  # upstream counts them, and looks at none twice


def bytes_of(state: State) -> int:
    """What a session holds."""
    outputs = state["output_dict_per_obj"][0]
    records = [*outputs["cond_frame_outputs"].values(), *outputs["non_cond_frame_outputs"].values()]
    tensors = [
        record[key]
        for record in records
        for key in ("maskmem_features", "pred_masks", "obj_ptr", "object_score_logits")
    ]
    masks = state["mask_inputs_per_obj"][0].values()
    return _bytes(t for t in (*tensors, *masks) if t is not None)


def _bytes(tensors: Iterable[torch.Tensor]) -> int:
    return sum(t.element_size() * t.nelement() for t in tensors)


def features_bytes(model: SAM2VideoPredictor) -> int:
    """Of one encoded frame in float32: maps of the image's 4th, 8th and 16th part."""
    side, width = model.image_size, model.hidden_dim
    channels = (width // 8, width // 4, width)
    sides = (side // 4, side // 8, side // 16)
    return int(sum(4 * c * s * s for c, s in zip(channels, sides, strict=True)))


def object_bytes(model: SAM2VideoPredictor, prompted: int) -> int:
    """Of what is remembered of an object in the middle of a stack."""
    one_map = 2 * model.mem_dim * (model.image_size // 16) ** 2  # always bfloat16
    pointer = 4 * (model.hidden_dim + 1)
    horizon = Horizon.of(model)
    tracked = horizon.maps * one_map + horizon.pointers * pointer
    return int(tracked + prompted * (one_map + pointer))


def forget_mask(state: State, index: int) -> None:
    """Leave a frame without its mask, with which upstream begins a correction."""
    outputs = state["output_dict_per_obj"][0]
    for records in (outputs["cond_frame_outputs"], outputs["non_cond_frame_outputs"]):
        if index in records:
            records[index]["pred_masks"] = None


def forget(state: State) -> None:
    """Leave only what was prompted: the state after `reset_state` and the same prompts again."""
    state["output_dict_per_obj"][0]["non_cond_frame_outputs"].clear()
    state["frames_tracked_per_obj"][0].clear()
