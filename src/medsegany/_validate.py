"""Checks of users' values, in words that a user understands; for attrs fields and arguments."""

import math
import operator
from collections.abc import Callable, Collection
from typing import Any

import numpy as np

from medsegany.errors import InvalidInput

Check = Callable[[Any, Any, Any], None]
"""As attrs calls a validator: with the instance, the attribute and the value."""


def as_whole(value: object) -> int | None:
    """The whole number, numpy's included; None for anything else, True and 1.0 included."""
    if isinstance(value, (bool, np.bool_)) or not hasattr(value, "__index__"):
        return None
    try:
        return operator.index(value)
    except TypeError:  # an array of several
        return None


def choice(value: object, allowed: Collection[object], name: str) -> None:
    """Refuse a value that is not among those allowed.

    Raises:
        InvalidInput: With the allowed ones.
    """
    if not any(value is other or value == other for other in allowed):
        msg = f"{name} is one of {', '.join(map(repr, allowed))}, got {value!r}."
        raise InvalidInput(msg)


def whole(value: object, least: int, name: str) -> int:
    """The whole number, of at least `least`.

    Raises:
        InvalidInput: It is none, or less.
    """
    number = as_whole(value)
    if number is None or number < least:
        msg = f"{name} is a whole number from {least}, got {value!r}."
        raise InvalidInput(msg)
    return number


def one_of(*allowed: object) -> Check:
    """An attrs validator: the value is among those allowed."""
    return lambda _, field, value: choice(value, allowed, field.name)


def at_least(least: int, *, optional: bool = False) -> Check:
    """An attrs validator: a whole number of at least `least`, or None where that is allowed."""

    def check(_: object, field: Any, value: object) -> None:  # noqa: ANN401 -- attrs' Attribute
        if not (optional and value is None):
            whole(value, least, field.name)

    return check


def above_zero(_: object, field: Any, value: Any) -> None:  # noqa: ANN401 -- attrs' Attribute
    """An attrs validator: a finite number above zero."""
    finite(_, field, value)
    if not value > 0:
        msg = f"{field.name} is above zero, got {value!r}."
        raise InvalidInput(msg)


def not_negative(_: object, field: Any, value: Any) -> None:  # noqa: ANN401 -- attrs' Attribute
    """An attrs validator: a finite number, zero or above."""
    finite(_, field, value)
    if value < 0:
        msg = f"{field.name} is at least 0, got {value!r}."
        raise InvalidInput(msg)


def share(_: object, field: Any, value: Any) -> None:  # noqa: ANN401 -- attrs' Attribute
    """An attrs validator: a part of 1."""
    finite(_, field, value)
    if not 0 <= value <= 1:
        msg = f"{field.name} is a part of 1, got {value!r}."
        raise InvalidInput(msg)


def finite(_: object, field: Any, value: Any) -> None:  # noqa: ANN401 -- attrs' Attribute
    """An attrs validator: a finite number."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float, np.number))
        or not math.isfinite(value)
    ):
        msg = f"{field.name} is a finite number, got {value!r}."
        raise InvalidInput(msg)
