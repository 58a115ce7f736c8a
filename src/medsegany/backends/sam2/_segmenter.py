"""SAM2 on images, and the door to its memory."""

import copy
import warnings
from collections.abc import Mapping

import torch

from medsegany._segmentations import join
from medsegany.backends._batches import Batch, batches
from medsegany.backends._device import AnyDevice, AnyDtype, as_device, as_dtype, precision
from medsegany.backends._found import segmentation
from medsegany.backends._verbs import EVERYTHING, Embedded, Verbs
from medsegany.backends.sam2 import _internals as internals
from medsegany.backends.sam2._build import SAM2ImagePredictor, SAM2VideoPredictor
from medsegany.backends.sam2._crop import Crop
from medsegany.backends.sam2._cropped import CroppedEmbedded, CroppedMemory
from medsegany.backends.sam2._hint import ellipse_logits
from medsegany.backends.sam2._memory import Sam2Memory
from medsegany.backends.sam2._tiles import Tiles
from medsegany.preprocess import as_rgb, check_image
from medsegany.prompts import Box, ObjectPrompts, box_from_mask
from medsegany.protocols import Span
from medsegany.results import Segmentation
from medsegany.types import Image


class Sam2Segmenter(Verbs):
    """SAM2 and its relatives: the image is resized to a square, and one mask is asked for.

    On images equal to `SAM2ImagePredictor.predict(..., multimask_output=False)`, which falls back
    to the best of three masks when the single one is not stable, unless the model was built not to;
    in stacks, with `ByMemory`, to one `SAM2VideoPredictor` session per object. Both to the bit on a
    CPU.
    """

    def __init__(
        self,
        model: SAM2VideoPredictor,
        name: str,
        *,
        device: AnyDevice = "cpu",
        dtype: AnyDtype = None,
        box_hint: bool = False,
        crop: Crop | None = None,
        tiles: Tiles | None = None,
    ) -> None:
        super().__init__(name, EVERYTHING)
        self.box_hint = box_hint
        """Whether boxes are given to the model as an ellipse, too; see `ellipse_logits`."""
        self.crop = crop
        """How much of an image is looked at for each object; None for all of it at once."""
        self.tiles = tiles
        """When an object in an image is looked at again from near; None for never. Needs a crop."""
        self._device = as_device(device)
        self._dtype = as_dtype(dtype, self._device)
        self.upstream: SAM2VideoPredictor = model.to(self._device).eval()
        """The official predictor with these very weights."""
        with warnings.catch_warnings():
            # upstream scripts its transforms, which newer torch deprecates; the user can't help it
            warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
            self._predictor = SAM2ImagePredictor(self.upstream)
        side = self._side = int(self.upstream.image_size)
        # upstream has the sizes of a 1024 px model written down
        self._predictor._bb_feat_sizes = [(side // s, side // s) for s in (4, 8, 16)]  # noqa: SLF001

    def over(self, model: SAM2VideoPredictor, *, dtype: AnyDtype = None) -> "Sam2Segmenter":
        """A segmenter with another model, which is seen and prompted as this one's is."""
        return Sam2Segmenter(
            model,
            self.name,
            device=next(model.parameters()).device,
            dtype=dtype,
            box_hint=self.box_hint,
            crop=self.crop,
            tiles=self.tiles,
        )

    @property
    def _runs_on(self) -> str:
        return str(self._device)

    def embed(self, image: Image) -> "Sam2Embedded | CroppedEmbedded":
        """Encode an image once, or with `crop` each crop once; see `Segmenter.embed`."""
        check_image(image)
        return self._embed(image) if self.crop is None else self._cropped(image)

    def _cropped(self, image: Image) -> CroppedEmbedded:
        assert self.crop is not None
        return CroppedEmbedded(self, image, self.crop, self._side, self._embed, tiles=self.tiles)

    def _embed(self, image: Image) -> "Sam2Embedded":
        rgb = as_rgb(image)
        predictor = copy.copy(self._predictor)
        with torch.inference_mode(), precision(self._device, self._dtype):
            predictor.set_image(rgb)
        return Sam2Embedded(self, predictor, self._device, self._dtype)

    def remember(
        self,
        whole: Span,
        spans: Mapping[int, Span],
        *,
        fill_holes_px: int,
        memory_budget: int,
        shared: bool = False,
    ) -> Sam2Memory | CroppedMemory:
        """Start with an empty memory; see `RemembersSlices.remember`."""

        def remember(budget: int) -> Sam2Memory:
            return Sam2Memory(
                self.upstream,
                whole,
                spans,
                fill_holes_px=fill_holes_px,
                budget=budget,
                shared=shared,
                box_hint=self.box_hint,
                precision=lambda: precision(self._device, self._dtype),
            )

        if self.crop is None:
            return remember(memory_budget)
        # No crop is looked at twice, by another object or on the way back: nothing is kept.
        return CroppedMemory(self.crop, self._side, self._locate, lambda: remember(0))

    def _locate(self, image: Image, asked: ObjectPrompts) -> Box | None:
        """The box of what some points mean."""
        mask = self._cropped(image).sought(1, asked).mask
        return box_from_mask(mask) if mask.any() else None

    def features_bytes(self) -> int:
        """Of one encoded slice; see `propagation.estimate_memory`."""
        return internals.features_bytes(self.upstream)

    def object_bytes(self, prompted: int) -> int:
        """Of one object; see `propagation.estimate_memory`."""
        return internals.object_bytes(self.upstream, prompted)


class Sam2Embedded(Embedded):
    """An image encoded by SAM2."""

    def __init__(
        self,
        segmenter: Sam2Segmenter,
        predictor: SAM2ImagePredictor,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        (size,) = predictor._orig_hw  # noqa: SLF001 -- upstream keeps it there
        super().__init__(segmenter, size)
        self._box_hint = segmenter.box_hint
        self._predictor = predictor  # holds its image from now on
        self._device = device
        self._dtype = dtype

    def _predict(self, asked: dict[int, ObjectPrompts]) -> Segmentation:
        with torch.inference_mode(), precision(self._device, self._dtype):
            return join(0, *[self._decode(batch) for batch in batches(asked)])

    def _decode(self, batch: Batch) -> Segmentation:
        """`SAM2ImagePredictor._predict`, which drops the object score and clamps its logits."""
        model, transforms = self._predictor.model, self._predictor._transforms  # noqa: SLF001
        features = self._predictor._features  # noqa: SLF001
        coords, labels, hint = [], [], None
        if batch.boxes is not None:
            boxes = torch.as_tensor(batch.boxes, dtype=torch.float, device=self._device)
            corners = transforms.transform_boxes(boxes, normalize=True, orig_hw=self.shape)
            coords.append(corners)
            if self._box_hint:
                hint = ellipse_logits(corners, model.image_size)
            labels.append(torch.tensor([[2, 3]], dtype=torch.int).repeat(len(batch.names), 1))
        if batch.points is not None:
            points = torch.as_tensor(batch.points, dtype=torch.float, device=self._device)
            coords.append(transforms.transform_coords(points, normalize=True, orig_hw=self.shape))
            labels.append(torch.as_tensor(batch.positive, dtype=torch.int))
        clicks = (torch.cat(coords, dim=1), torch.cat(labels, dim=1).to(self._device))
        sparse, dense = model.sam_prompt_encoder(points=clicks, boxes=None, masks=hint)
        low_res, scores, _, object_scores = model.sam_mask_decoder(
            image_embeddings=features["image_embed"],
            image_pe=model.sam_prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
            repeat_image=len(batch.names) > 1,
            high_res_features=features["high_res_feats"],
        )
        logits = transforms.postprocess_masks(low_res, self.shape)
        return segmentation(batch.names, logits, low_res, scores, object_scores)
