"""Objects that go through a model together, and come out to the bit as each does alone."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 -- torch's own name for it
from torch.overrides import TorchFunctionMode

# Operations whose last digits may depend on how many objects there are, and how many of their
# first arguments hold the objects. All others compute each object by itself.
_MAY_DIFFER: dict[Callable[..., Any], int] = {
    F.linear: 1,
    torch.conv2d: 1,
    torch.conv_transpose2d: 1,
    torch.matmul: 2,
    torch.Tensor.__matmul__: 2,
    torch.Tensor.matmul: 2,
    F.scaled_dot_product_attention: 3,
}
_CONVOLUTIONS = {torch.conv2d, torch.conv_transpose2d}

# So many numbers are not the same by chance; what makes fewer is cheap to do object by object.
_EVIDENCE = 4096

# What has been seen: whether an operation on arguments of these shapes is the same together.
_is_same: dict[tuple[Any, ...], bool] = {}


class AsAlone(TorchFunctionMode):
    """Inside, the first axis of every tensor is that of objects.

    How a library adds up a product of matrices or a convolution depends on its size: one vector
    goes another way than two, two images another way than one. Which sizes agree differs from
    machine to machine, so it is tried: the first time that an operation meets arguments of some
    shapes, it is done both ways, and if a bit differs, from then on object by object.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        count = _MAY_DIFFER.get(func, 0)
        batched, others = args[:count], args[count:]
        sizes = {values.shape[0] for values in batched}
        of_objects = count == 1 or all(values.ndim > 2 for values in batched)
        if len(batched) < count or len(sizes) != 1 or sizes == {1} or not of_objects:
            return func(*args, **kwargs)
        if func in _CONVOLUTIONS:
            # The layout of its result, which says in which order later sums are made, follows from
            # that of its input, and a batch of one is never taken for channels-last.
            batched = (batched[0].contiguous(),)
        key = (func, torch.get_num_threads(), *map(_signature, (*batched, *others)))
        same = _is_same.get(key)
        if same is True:
            return func(*batched, *others, **kwargs)
        parts = zip(*(values.split(1) for values in batched), strict=True)
        alone = torch.cat([func(*part, *others, **kwargs) for part in parts])
        if same is None:
            enough = alone.numel() >= _EVIDENCE
            _is_same[key] = enough and torch.equal(alone, func(*batched, *others, **kwargs))
        return alone


def _signature(argument: object) -> object:
    if isinstance(argument, torch.Tensor):
        return (*argument.shape, argument.dtype, argument.device.type)
    return tuple(argument) if isinstance(argument, list) else argument
