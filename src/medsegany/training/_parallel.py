"""Devices and processes, by Hugging Face's Accelerate."""

from datetime import timedelta
from typing import Any, TypeVar, cast

import torch

from medsegany._optional import optional_import
from medsegany.errors import InvalidInput
from medsegany.training._recipe import Machine

T = TypeVar("T")


def accelerator_for(machine: Machine, batch: int) -> Any:  # noqa: ANN401 -- an optional package
    """What moves models and gradients about; one process, or those that `accelerate launch` made.

    Raises:
        InvalidInput: The batch cannot be divided among the processes.
        MissingDependency: Accelerate is not installed.
    """
    accelerate = optional_import("accelerate", extra="train", purpose="train models")
    # Which parts of the model a batch needs depends on its prompts.
    processes(machine)
    unused = accelerate.DistributedDataParallelKwargs(find_unused_parameters=True)
    try:
        accelerator = accelerate.Accelerator(
            cpu=machine.device == "cpu", mixed_precision="no", kwargs_handlers=[unused]
        )
    except ValueError as error:  # it has one state for a process
        msg = (
            f"device={machine.device!r}, and this process has trained on another device before: "
            "start a new one."
        )
        raise InvalidInput(msg) from error
    if batch % accelerator.num_processes:
        msg = f"A batch of {batch} cannot be divided among {accelerator.num_processes} processes."
        raise InvalidInput(msg)
    return accelerator


def everywhere_finite(accelerator: Any, value: torch.Tensor) -> bool:  # noqa: ANN401
    """Whether it is a number in every process."""
    here = torch.isfinite(value.detach()).all()
    if accelerator.num_processes > 1:
        here = accelerator.gather(here.to(torch.int32)[None]).all()
    return bool(here)


def agreed(accelerator: Any, value: T) -> T:  # noqa: ANN401
    """What the main process says."""
    if accelerator.num_processes == 1:
        return value
    utils = optional_import("accelerate.utils", extra="train", purpose="train models")
    return cast("T", utils.broadcast_object_list([value])[0])


def processes(machine: Machine) -> Any:  # noqa: ANN401 -- Accelerate's PartialState
    """Which process this is: `is_main_process`, and `main_process_first()` where files are made.

    Raises:
        MissingDependency: Accelerate is not installed.
    """
    accelerate = optional_import("accelerate", extra="train", purpose="train models")
    # While the main process reads hundreds of scans, or validates, the others wait.
    return accelerate.PartialState(cpu=machine.device == "cpu", timeout=timedelta(days=1))
