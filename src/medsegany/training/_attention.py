"""Attention in float32, where bfloat16 would make it slower."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own name for it
from torch.overrides import TorchFunctionMode


def attention_for(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """How attention is computed while a model learns.

    On a CPU the way back through attention takes seven times as long in bfloat16 as in float32
    (torch 2.15, with AMX), which is more than all the rest of a step gains.
    """
    if device.type == "cpu" and dtype == torch.bfloat16:
        return _InFloat32()
    return nullcontext()


class _InFloat32(TorchFunctionMode):
    """Gives attention float32, whatever autocast says; everything else goes on as it was."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 -- whatever torch gives
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention:
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            return func(*map(_wide, args), **{name: _wide(one) for name, one in kwargs.items()})


def _wide(value: Any) -> Any:  # noqa: ANN401 -- tensors among other things
    return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
