"""SAM2 on clips: what the predictors do, with gradients.

An image is a clip of one frame, whose features get the same `no_mem_embed` that the official image
predictor adds. So one way through the model serves images, volumes and videos.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own name for it
from attrs import frozen

from medsegany.backends._device import precision
from medsegany.backends.sam2 import SAM2VideoPredictor, ellipse_logits
from medsegany.training._batches import Batch
from medsegany.training._losses import Loss, cross_entropy, dice_loss, iou
from medsegany.training._prompting import WITH_BOX

# SAM2 tells time by min(number of frames, 16). A clip stands for a part of a long stack, so what is
# learnt is the time of long ones.
_LONG = 16


class ClipModel(torch.nn.Module):
    """The official model, asked for a loss.

    Args:
        upstream: The model.
        loss: What is asked of it.
        box_hint: Whether boxes are given as an ellipse, too; see `backends.sam2.ellipse_logits`.
        dtype: What is computed in.
    """

    def __init__(
        self,
        upstream: SAM2VideoPredictor,
        loss: Loss,
        *,
        box_hint: bool = False,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.upstream = upstream
        self.loss = loss
        self.box_hint = box_hint
        self.dtype = dtype

    def forward(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Losses of a batch: "loss", and for logs its parts and the IoU of the returned masks."""
        with precision(batch.masks.device, self.dtype):
            return self._losses(batch)

    def _losses(self, batch: Batch) -> dict[str, torch.Tensor]:
        length, count = batch.masks.shape[1], len(batch.masks)
        levels = self._features(batch)
        banks: dict[str, dict[int, Any]] = {"cond_frame_outputs": {}, "non_cond_frame_outputs": {}}
        order = [*batch.prompts, *(t for t in range(length) if t not in batch.prompts)]
        parts: list[dict[str, torch.Tensor]] = []
        for t in order:
            features, positions, sizes = _of_frame(levels, t, count, length)
            prompted = batch.prompts.get(t)
            target = batch.targets[:, t]
            asked = self._asked(batch, t)
            with _every_mask(self.upstream.sam_mask_decoder) as said:
                out = self.upstream.track_step(
                    frame_idx=t,
                    is_init_cond_frame=prompted is not None,
                    current_vision_feats=features,
                    current_vision_pos_embeds=positions,
                    feat_sizes=sizes,
                    output_dict=banks,
                    num_frames=max(_LONG, length),
                    run_mem_encoder=length > 1,
                    **asked,
                )
            bank = "non_cond_frame_outputs" if prompted is None else "cond_frame_outputs"
            banks[bank][t] = out
            if asked["mask_inputs"] is None:  # a given mask is the result: nothing to be learnt
                tracked = prompted is None
                parts.append(self._compared(said[-1], target, tracked=tracked))
        names = {name for part in parts for name in part}
        return {n: torch.stack([p[n] for p in parts if n in p]).mean() for n in sorted(names)}

    def _features(self, batch: Batch) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Feature maps of all frames and the encoding of their positions, finest level first."""
        if batch.features is not None:
            encode = self.upstream.image_encoder.neck.position_encoding
            return [(level, encode(level[:1])) for level in batch.features]
        assert batch.frames is not None
        found = self.upstream.forward_image(batch.frames.flatten(0, 1))
        count = self.upstream.num_feature_levels
        return list(
            zip(
                found["backbone_fpn"][-count:],
                (level[:1] for level in found["vision_pos_enc"][-count:]),
                strict=True,
            )
        )

    def _asked(self, batch: Batch, t: int) -> dict[str, Any]:
        prompted = batch.prompts.get(t)
        asked: dict[str, Any] = {"point_inputs": None, "mask_inputs": None}
        if prompted is None:
            return asked
        if prompted.points is None:
            asked["mask_inputs"] = (batch.masks[:, t, None] > 0.5).float()
            return asked
        asked["point_inputs"] = {"point_coords": prompted.points, "point_labels": prompted.labels}
        if self.box_hint and batch.kind in WITH_BOX:
            hint = ellipse_logits(prompted.points[:, :2], self.upstream.image_size)
            asked["prev_sam_mask_logits"] = hint
        return asked

    def _compared(
        self, said: "_Said", target: torch.Tensor, *, tracked: bool
    ) -> dict[str, torch.Tensor]:
        """One frame's part of the loss.

        Args:
            said: Everything the decoder said.
            target: `(B, h, w)`, of the input's or the decoder's size.
            tracked: Whether the frame had no prompt: then the object may be absent from it.
        """
        logits = said.masks.float()
        if self.loss.at == "input":
            size = target.shape[-2:]
            logits = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        there = target.flatten(1).any(1).float()
        wanted = target[:, None]
        per_mask = dice_loss(logits, wanted) + cross_entropy(logits, wanted)  # (B, 4)
        true_iou = iou(logits.detach(), wanted)
        single, several = per_mask[:, 0], per_mask[:, 1:].min(1).values
        # Where nothing is to be found, only the object score is asked for, as upstream does.
        mask_loss = single + several if self.loss.every_token else single
        mask_loss = (mask_loss * there).mean()
        total = mask_loss
        parts = {"mask": mask_loss.detach()}
        if self.loss.iou:
            wrong = (said.ious.float() - true_iou).abs()
            wrong = wrong.mean(1) if self.loss.every_token else wrong[:, 0]
            iou_loss = (wrong * there).mean()
            total = total + self.loss.iou * iou_loss
            parts["iou_error"] = iou_loss.detach()
        if self.loss.presence:
            presence = F.binary_cross_entropy_with_logits(said.object_score[:, 0].float(), there)
            total = total + self.loss.presence * presence
            parts["presence"] = presence.detach()
        best = said.ious[:, 1:].argmax(1, keepdim=True)
        returned = true_iou[:, 1:].gather(1, best)[:, 0] if tracked else true_iou[:, 0]
        name = "tracked_iou" if tracked else "prompted_iou"
        parts[name] = (returned * there).sum() / there.sum().clamp(min=1)
        return {"loss": total, **parts}


@frozen(eq=False)
class _Said:
    """What the decoder says of all its tokens: masks `(B, 4, h, w)`, the first the single one."""

    masks: torch.Tensor
    ious: torch.Tensor
    object_score: torch.Tensor


@contextmanager
def _every_mask(decoder: Any) -> Iterator[list[_Said]]:  # noqa: ANN401 -- upstream has no types
    """Note what the decoder predicts before it chooses what to return."""
    predict = decoder.predict_masks
    said: list[_Said] = []

    def predict_and_note(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 -- upstream's own
        found = predict(*args, **kwargs)
        masks, ious, _, object_score = found
        said.append(_Said(masks, ious, object_score))
        return found

    decoder.predict_masks = predict_and_note
    try:
        yield said
    finally:
        del decoder.predict_masks  # the class's own method is seen again


def _of_frame(
    levels: list[tuple[torch.Tensor, torch.Tensor]], t: int, count: int, length: int
) -> tuple[list[torch.Tensor], list[torch.Tensor], list[tuple[int, int]]]:
    """As `SAM2Base._prepare_backbone_features`: `(HW, B, C)` per level, and the sizes."""
    features, positions, sizes = [], [], []
    for level, where in levels:
        _, channels, height, width = level.shape
        one = level.view(count, length, channels, height, width)[:, t]
        features.append(one.flatten(2).permute(2, 0, 1))
        positions.append(where.flatten(2).permute(2, 0, 1).expand(-1, count, -1))
        sizes.append((height, width))
    return features, positions, sizes
