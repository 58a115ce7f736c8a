"""MedSAM (Ma et al., Nature Communications 2024), over `segment_anything`.

The weights have the keys of SAM's ViT-B and the preprocessing is another: the published recipe is
`MedSAM_Inference.py` of the authors' repository.
"""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own name for it
from segment_anything.modeling import Sam
from skimage.transform import resize

from medsegany._segmentations import join
from medsegany.backends._batches import batches
from medsegany.backends._device import AnyDevice, AnyDtype, as_device, as_dtype, precision
from medsegany.backends._found import segmentation
from medsegany.backends._verbs import Embedded, Verbs
from medsegany.preprocess import as_rgb, check_image
from medsegany.prompts import Box, ObjectPrompts
from medsegany.results import Segmentation
from medsegany.types import Image

# float32 log-odds of a probability of 1 would be infinite; 1 - 2**-24 is the last one below it
_MOST = 17.0


class MedSamSegmenter(Verbs):
    """MedSAM: boxes only.

    The image becomes a 1024 px square (anti-aliased bicubic, cut to uint8) and is scaled to 0..1 by
    its own extremes. Probabilities, not logits, are interpolated and cut at 0.5. Low-resolution
    logits are equal to the published recipe's, to the bit on a CPU.
    """

    def __init__(
        self, model: Sam, name: str = "medsam", *, device: AnyDevice = "cpu", dtype: AnyDtype = None
    ) -> None:
        super().__init__(name, frozenset({Box}))
        self._device = as_device(device)
        self._dtype = as_dtype(dtype, self._device)
        self.upstream = model.to(self._device).eval()
        """The official `Sam` module with these very weights. (`SamPredictor` would preprocess
        wrongly.)"""

    @property
    def _runs_on(self) -> str:
        return str(self._device)

    def embed(self, image: Image) -> "MedSamEmbedded":
        """Encode an image once; see `Segmenter.embed`."""
        rgb = as_rgb(check_image(image))
        size = self.upstream.image_encoder.img_size
        square = resize(rgb, (size, size), order=3, preserve_range=True, anti_aliasing=True)
        square = square.astype(np.uint8)
        low, high = square.min(), square.max()
        unit = (square - low) / np.clip(high - low, a_min=1e-8, a_max=None)
        tensor = torch.tensor(unit).float().permute(2, 0, 1).unsqueeze(0).to(self._device)
        with torch.inference_mode(), precision(self._device, self._dtype):
            features = self.upstream.image_encoder(tensor)
        shape = (image.shape[0], image.shape[1])
        return MedSamEmbedded(self, features, shape, self._device, self._dtype)


class MedSamEmbedded(Embedded):
    """An image encoded by MedSAM."""

    def __init__(
        self,
        segmenter: MedSamSegmenter,
        features: torch.Tensor,
        shape: tuple[int, int],
        device: torch.device,
        dtype: torch.dtype,
    ) -> None:
        super().__init__(segmenter, shape)
        self._model = segmenter.upstream
        self._features = features
        self._device = device
        self._dtype = dtype

    def _predict(self, asked: dict[int, ObjectPrompts]) -> Segmentation:
        height, width = self.shape
        size = self._model.image_encoder.img_size
        parts = []
        for batch in batches(asked):
            assert batch.boxes is not None
            scaled = batch.boxes / np.array([width, height, width, height]) * size
            boxes = torch.as_tensor(scaled, dtype=torch.float, device=self._device)[:, None, :]
            with torch.inference_mode(), precision(self._device, self._dtype):
                sparse, dense = self._model.prompt_encoder(points=None, boxes=boxes, masks=None)
                low_res, scores = self._model.mask_decoder(
                    image_embeddings=self._features,
                    image_pe=self._model.prompt_encoder.get_dense_pe(),
                    sparse_prompt_embeddings=sparse,
                    dense_prompt_embeddings=dense,
                    multimask_output=False,
                )
                probability = F.interpolate(
                    torch.sigmoid(low_res.float()),
                    size=(height, width),
                    mode="bilinear",
                    align_corners=False,
                )
                logits = _log_odds(probability)
            parts.append(segmentation(batch.names, logits, low_res, scores))
        return join(0, *parts)


def _log_odds(probability: torch.Tensor) -> torch.Tensor:
    """`log(p / (1 - p))`, finite, and above zero just where `p > 0.5`."""
    precise = torch.device(probability.device).type != "mps"  # MPS has no float64
    p = probability.double() if precise else probability
    return torch.logit(p).clamp(-_MOST, _MOST).float()
