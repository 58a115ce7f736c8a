"""The official predictor, which keeps what upstream drops, and several objects at once."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, cast

import torch
from attrs import frozen

from medsegany.backends.sam2._alone import AsAlone
from medsegany.backends.sam2._build import SAM2VideoPredictor
from medsegany.backends.sam2._hint import ellipse_logits
from medsegany.postprocess import fill_holes

State = dict[str, Any]
_CORNER = 2  # the label of a box's first corner


class Tracker(SAM2VideoPredictor):  # type: ignore[misc]  # sam2 is published without types
    """The official predictor, sharing the weights of another one, in which

    - the predicted IoU of the returned mask is kept (upstream's `track_step` drops it), and
    - holes are filled on every device (upstream needs its CUDA extension), at the same moment.
    """  # noqa: D415 -- the sentence is the list

    fill_holes_px: int
    box_hint: bool
    last_score: torch.Tensor
    asked: "list[_Asked] | None"

    @classmethod
    def over(
        cls, upstream: SAM2VideoPredictor, fill_holes_px: int, *, box_hint: bool = False
    ) -> "Tracker":
        """A tracker with the modules of `upstream`: no weight is copied."""
        tracker = cls.__new__(cls)
        tracker.__dict__.update(upstream.__dict__)
        tracker.last_score = torch.full((1, 1), float("nan"))
        tracker.asked = None
        tracker.fill_hole_area = 0
        tracker.fill_holes_px = fill_holes_px
        tracker.box_hint = box_hint
        return tracker

    def _forward_sam_heads(self, **given: Any) -> tuple[torch.Tensor, ...]:  # noqa: ANN401
        with _together(given["backbone_features"]):
            heads: tuple[torch.Tensor, ...] = super()._forward_sam_heads(**given)
        ious = heads[2]
        # with three candidates upstream returns the one that argmax(ious) names
        self.last_score = ious.max(dim=-1, keepdim=True).values
        return heads

    def _encode_new_memory(self, **given: Any) -> Any:  # noqa: ANN401
        with _together(given["pred_masks_high_res"]):
            return super()._encode_new_memory(**given)

    def _run_single_frame_inference(
        self,
        *args: object,
        **kwargs: Any,  # noqa: ANN401 -- upstream's own
    ) -> tuple[State, torch.Tensor]:
        asked = kwargs.get("point_inputs")
        if self.box_hint and asked is not None and kwargs.get("prev_sam_mask_logits") is None:
            coords, labels = asked["point_coords"], asked["point_labels"]
            if labels[0, 0] == _CORNER:
                hint = ellipse_logits(coords[:, :2], self.image_size)
                kwargs["prev_sam_mask_logits"] = hint
        record, masks = super()._run_single_frame_inference(*args, **kwargs)
        record["pred_masks"] = masks = self.filled(masks)
        return record, masks

    def filled(self, masks: torch.Tensor) -> torch.Tensor:
        """`(1, 1, h, w)` logits without small holes."""
        if not self.fill_holes_px:
            return masks
        filled = fill_holes(masks[0, 0].float().cpu().numpy(), self.fill_holes_px)
        return torch.from_numpy(filled)[None, None].to(masks)

    @property
    def memory_attention(self) -> Callable[..., torch.Tensor]:
        """Upstream's module; while `asked` is a list, a recorder of what it would be asked."""
        if self.asked is None:
            return cast("Callable[..., torch.Tensor]", self._modules["memory_attention"])
        return self._record

    def _record(self, *, curr: list[torch.Tensor], **asked: Any) -> torch.Tensor:  # noqa: ANN401
        assert self.asked is not None
        self.asked.append(_Asked(asked["memory"], asked["memory_pos"], asked["num_obj_ptr_tokens"]))
        return curr[0]

    def _prepare_memory_conditioned_features(self, **given: Any) -> torch.Tensor:  # noqa: ANN401
        """Upstream's, for one object or for `Banks` of them.

        Upstream gathers what each object remembers, and would then attend to it. Here the objects
        attend together, those whose memories are equally large.
        """
        banks = given["output_dict"]
        if not isinstance(banks, Banks):
            features: torch.Tensor = super()._prepare_memory_conditioned_features(**given)
            return features
        (curr,), (curr_pos,) = given["current_vision_feats"], given["current_vision_pos_embeds"]
        one = {
            **given,
            "current_vision_feats": [curr[:, :1]],
            "current_vision_pos_embeds": [curr_pos[:, :1]],
        }
        self.asked = []
        try:
            for state, index in banks.objects:
                one["frame_idx"], one["num_frames"] = index, state["num_frames"]
                one["output_dict"] = state["output_dict_per_obj"][0]
                super()._prepare_memory_conditioned_features(**one)
            asked = self.asked
        finally:
            self.asked = None
        groups: dict[tuple[int, int], list[int]] = {}
        for n, it in enumerate(asked):
            groups.setdefault((len(it.memory), it.pointer_tokens), []).append(n)
        found: list[torch.Tensor] = [curr[:, :1].transpose(0, 1)] * len(asked)
        for (_, pointer_tokens), members in groups.items():
            memory = torch.cat([asked[n].memory for n in members], dim=1)
            with _together(memory.transpose(0, 1)):
                fused = self.memory_attention(
                    curr=[curr[:, : len(members)]],
                    curr_pos=[curr_pos[:, : len(members)]],
                    memory=memory,
                    memory_pos=torch.cat([asked[n].memory_pos for n in members], dim=1),
                    num_obj_ptr_tokens=pointer_tokens,
                )
            for n, part in zip(members, torch.split(fused.transpose(0, 1), 1), strict=True):
                found[n] = part
        (size,) = given["feat_sizes"]
        # The layout in memory is upstream's too, for convolutions add up by it.
        return torch.cat(found).permute(0, 2, 1).view(len(found), -1, *size)


def _together(values: torch.Tensor) -> AbstractContextManager[object]:
    """On a CPU, to the bit; elsewhere nobody is promised that."""
    several = len(values) > 1 and values.device.type == "cpu"
    return AsAlone() if several else nullcontext()


@frozen(eq=False)
class _Asked:
    """What the memory attention is asked for one object: `(tokens, 1, channels)` each."""

    memory: torch.Tensor
    memory_pos: torch.Tensor
    pointer_tokens: int


@frozen(eq=False)
class Banks:
    """The memories of several objects, and which frame this one is for each."""

    objects: Sequence[tuple[State, int]]
