"""Every private name of `sam2` that a memory needs, in one file.

`tests/backends/test_sam2_internals.py` fails when upstream moves one of them.
"""

from collections import OrderedDict
from typing import Any, cast

import numpy as np
import torch
from attrs import frozen
from PIL import Image as PillowImage

from medsegany.backends.sam2._build import SAM2VideoPredictor
from medsegany.postprocess import fill_holes
from medsegany.types import Image

State = dict[str, Any]
Features = tuple[torch.Tensor, dict[str, list[torch.Tensor]]]

_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
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


class Tracker(SAM2VideoPredictor):  # type: ignore[misc]  # sam2 is published without types
    """The official predictor, sharing the weights of another one, in which

    - the predicted IoU of the returned mask is kept (upstream's `track_step` drops it), and
    - holes are filled on every device (upstream needs its CUDA extension), at the same moment.
    """  # noqa: D415 -- the sentence is the list

    fill_holes_px: int
    last_score: torch.Tensor

    @classmethod
    def over(cls, upstream: SAM2VideoPredictor, fill_holes_px: int) -> "Tracker":
        """A tracker with the modules of `upstream`: no weight is copied."""
        tracker = cls.__new__(cls)
        tracker.__dict__.update(upstream.__dict__)
        tracker.last_score = torch.full((1, 1), float("nan"))
        tracker.fill_hole_area = 0
        tracker.fill_holes_px = fill_holes_px
        return tracker

    def _forward_sam_heads(self, *args: object, **kwargs: object) -> tuple[torch.Tensor, ...]:
        heads: tuple[torch.Tensor, ...] = super()._forward_sam_heads(*args, **kwargs)
        ious = heads[2]
        # with three candidates upstream returns the one that argmax(ious) names
        self.last_score = ious.max(dim=-1, keepdim=True).values
        return heads

    def _run_single_frame_inference(
        self, *args: object, **kwargs: object
    ) -> tuple[State, torch.Tensor]:
        record, masks = super()._run_single_frame_inference(*args, **kwargs)
        if self.fill_holes_px:
            filled = fill_holes(masks[0, 0].float().cpu().numpy(), self.fill_holes_px)
            masks = torch.from_numpy(filled)[None, None].to(masks)
            record["pred_masks"] = masks
        return record, masks


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
    tensor -= torch.tensor(_MEAN)[:, None, None]
    tensor /= torch.tensor(_STD)[:, None, None]
    return tensor


def encode(tracker: Tracker, frame: torch.Tensor) -> Features:
    """Features of one frame, as the session caches them."""
    batch = frame.to(tracker.device)[None]
    return batch, cast("dict[str, list[torch.Tensor]]", tracker.forward_image(batch))


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


def carry(tracker: Tracker, state: State, index: int, features: Features, *, reverse: bool) -> Step:
    """Track the object to a frame and remember it: one turn of `propagate_in_video`'s loop."""
    state["cached_features"] = {index: features}
    outputs = state["output_dict_per_obj"][0]
    record, masks = tracker._run_single_frame_inference(  # noqa: SLF001 -- its home is here
        inference_state=state,
        output_dict=outputs,
        frame_idx=index,
        batch_size=1,
        is_init_cond_frame=False,
        point_inputs=None,
        mask_inputs=None,
        reverse=reverse,
        run_mem_encoder=True,
    )
    outputs["non_cond_frame_outputs"][index] = record
    state["frames_tracked_per_obj"][0][index] = {"reverse": reverse}
    return Step(masks, tracker.last_score, record["object_score_logits"])


def horizon(tracker: Tracker) -> int:
    """How many frames back the model can look."""
    maps = (tracker.num_maskmem - 1) * tracker.memory_temporal_stride_for_eval
    return int(max(maps, tracker.max_obj_ptrs_in_encoder))


def prune(state: State, index: int, reach: int, anchor: int | None) -> None:
    """Drop tracked frames that the model cannot look at any more; what it says stays the same.

    Args:
        state: The session.
        index: The frame just tracked.
        reach: See `horizon`.
        anchor: Frames near this one are kept too, for a later way back from it.
    """
    for kept in (
        state["output_dict_per_obj"][0]["non_cond_frame_outputs"],
        state["frames_tracked_per_obj"][0],
    ):
        for t in [t for t in kept if abs(t - index) > reach]:
            if anchor is None or abs(t - anchor) > reach:
                del kept[t]


def forget(state: State) -> None:
    """Leave only what was prompted: the state after `reset_state` and the same prompts again."""
    state["output_dict_per_obj"][0]["non_cond_frame_outputs"].clear()
    state["frames_tracked_per_obj"][0].clear()
