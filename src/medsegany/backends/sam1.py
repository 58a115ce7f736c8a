"""SAM (Kirillov et al., 2023) over the official `segment_anything` package."""

import torch
from segment_anything import SamPredictor
from segment_anything.modeling import Sam

from medsegany._segmentations import join
from medsegany.backends._batches import batches
from medsegany.backends._device import AnyDevice, AnyDtype, as_device, as_dtype, precision
from medsegany.backends._found import segmentation
from medsegany.backends._verbs import EVERYTHING, Embedded, Verbs
from medsegany.errors import InvalidImage
from medsegany.preprocess import as_rgb, check_image
from medsegany.prompts import ObjectPrompts
from medsegany.results import Segmentation
from medsegany.types import Image


class Sam1Segmenter(Verbs):
    """SAM: the image is scaled to 1024 px on its longest side, and one mask is asked for.

    Equal to `SamPredictor.predict(..., multimask_output=False)`, to the bit on a CPU.
    """

    def __init__(
        self, model: Sam, name: str, *, device: AnyDevice = "cpu", dtype: AnyDtype = None
    ) -> None:
        super().__init__(name, EVERYTHING)
        self._device = as_device(device)
        self._dtype = as_dtype(dtype, self._device)
        self.upstream = SamPredictor(model.to(self._device).eval())
        """The official predictor with these very weights."""

    @property
    def _runs_on(self) -> str:
        return str(self._device)

    def embed(self, image: Image) -> "Sam1Embedded":
        """Encode an image once; see `Segmenter.embed`."""
        rgb = as_rgb(check_image(image))
        predictor = SamPredictor(self.upstream.model)
        longest = self.upstream.model.image_encoder.img_size
        if 0 in predictor.transform.get_preprocess_shape(*rgb.shape[:2], longest):
            msg = f"An image of {rgb.shape[:2]} is too thin: nothing is left of it at {longest} px."
            raise InvalidImage(msg)
        with torch.inference_mode(), precision(self._device, self._dtype):
            predictor.set_image(rgb)
        return Sam1Embedded(self, predictor, self._device, self._dtype)


class Sam1Embedded(Embedded):
    """An image encoded by SAM."""

    def __init__(
        self,
        segmenter: Sam1Segmenter,
        predictor: SamPredictor,
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(segmenter, predictor.original_size)
        self._predictor = predictor  # holds its image from now on
        self._device = device
        self._dtype = dtype

    def _predict(self, asked: dict[int, ObjectPrompts]) -> Segmentation:
        transform, size = self._predictor.transform, self.shape
        parts = []
        for batch in batches(asked):
            boxes = points = labels = None
            # in float64 and then rounded, as SamPredictor.predict does
            if batch.boxes is not None:
                scaled = transform.apply_boxes(batch.boxes, size)
                boxes = torch.as_tensor(scaled, dtype=torch.float, device=self._device)
            if batch.points is not None:
                scaled = transform.apply_coords(batch.points, size)
                points = torch.as_tensor(scaled, dtype=torch.float, device=self._device)
                labels = torch.as_tensor(batch.positive, dtype=torch.int, device=self._device)
            with torch.inference_mode(), precision(self._device, self._dtype):
                logits, scores, low_res = self._predictor.predict_torch(
                    points, labels, boxes, multimask_output=False, return_logits=True
                )
            parts.append(segmentation(batch.names, logits, low_res, scores))
        return join(0, *parts)
