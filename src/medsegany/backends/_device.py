"""Where a model runs and in which precision."""

import platform
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import TypeAlias

import torch

from medsegany.errors import InvalidInput

AnyDevice: TypeAlias = torch.device | str
AnyDtype: TypeAlias = torch.dtype | str | None

_DTYPES = {
    "float32": torch.float32,
    "float16": torch.float16,
    "bfloat16": torch.bfloat16,
}


def as_device(device: AnyDevice) -> torch.device:
    """The device of this name; "auto" is CUDA, else Apple's MPS, else the CPU.

    Raises:
        InvalidInput: There is no such device here.
    """
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError) as error:
        msg = f'device is "auto", "cpu", "cuda", "cuda:1", "mps" or a torch.device, got {device!r}.'
        raise InvalidInput(msg) from error
    missing = (chosen.type == "cuda" and not torch.cuda.is_available()) or (
        chosen.type == "mps" and not torch.backends.mps.is_available()
    )
    missing = missing or chosen.type not in {"cuda", "mps", "cpu"}
    if chosen.type == "cuda" and not missing:
        missing = (chosen.index or 0) >= torch.cuda.device_count()
    if missing:
        msg = f'This machine has no {chosen} that medsegany can use. device="auto" works.'
        raise InvalidInput(msg)
    return chosen


def as_dtype(dtype: AnyDtype, device: torch.device) -> torch.dtype:
    """The precision to compute in; None is float32.

    Raises:
        InvalidInput: The device is known to be wrong or unbearably slow in it.
    """
    if isinstance(dtype, str):
        if dtype not in _DTYPES:
            msg = f"dtype is one of {', '.join(_DTYPES)}, got {dtype!r}."
            raise InvalidInput(msg)
        dtype = _DTYPES[dtype]
    chosen = dtype or torch.float32
    if chosen not in _DTYPES.values():
        msg = f"dtype is one of {', '.join(_DTYPES)}, got {chosen}."
        raise InvalidInput(msg)
    if chosen == torch.float16 and device.type == "cpu":
        msg = "float16 is not computed on a CPU: use float32, or bfloat16 where the CPU has it."
        raise InvalidInput(msg)
    if chosen == torch.bfloat16 and device.type == "cpu" and computes_in_bfloat16() is False:
        msg = "This CPU does not compute in bfloat16: float32, the default, will be faster."
        warnings.warn(msg, stacklevel=2)
    if chosen != torch.float32 and device.type == "mps":
        msg = "On MPS the models are right in float32 only."
        raise InvalidInput(msg)
    return chosen


def computes_in_bfloat16() -> bool | None:
    """Whether this CPU has instructions for it; None where torch cannot tell."""
    asks = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    if platform.machine().lower() not in {"x86_64", "amd64"} or asks is None:
        return None
    return bool(asks())


def precision(device: torch.device, dtype: torch.dtype) -> AbstractContextManager[object]:
    """Autocast to `dtype`; for float32 none, not even one that the caller has on."""
    if device.type not in {"cuda", "cpu"}:
        return nullcontext()
    if dtype == torch.float32:
        return torch.autocast(device.type, enabled=False)
    return torch.autocast(device.type, dtype=dtype)
