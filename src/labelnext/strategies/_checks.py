"""Checks of parameters that several strategies have."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np


def check_integer(name: str, value: Any, least: int) -> None:
    """Raise if a parameter is no integer, or below the least that makes sense."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}.")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def check_number(name: str, value: Any, least: float = 0.0) -> None:
    """Raise if a parameter is no finite number, or below the least that makes sense."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}.")
    if not least <= float(value) < np.inf:
        raise ValueError(f"{name} must be finite and at least {least:g}, got {value}.")


def check_positive(name: str, value: Any) -> None:
    """Raise if a parameter is no finite number over 0."""
    check_number(name, value)
    if value == 0:
        raise ValueError(f"{name} must be over 0, got {value}.")


def check_flag(name: str, value: Any) -> None:
    """Raise if a parameter is neither True nor False."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
