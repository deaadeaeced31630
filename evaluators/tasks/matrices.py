"""Matrices that people hand in: refused with their name where they are none, or hold what is no number."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ...dataset_scripts.errors import InputError

_Array = npt.NDArray[Any]


def as_matrix(values: npt.ArrayLike, name: str, kinds: str = "fiu") -> _Array:
    """Returns a matrix of numbers in the type that it has.

    Args:
        values: number[n, d], neither of them 0.
        name: what messages call it.
        kinds: which of numpy's kinds of types are taken: floats, integers, unsigned integers; `b` for truth values too.

    Raises:
        InputError: rows of different lengths, another shape, or no numbers.
    """
    try:
        found = np.asarray(values)
    except ValueError as problem:
        raise InputError(f"{name} has rows of different lengths; expected a matrix of numbers.") from problem
    if found.ndim != 2 or not all(found.shape):
        raise InputError(f"{name} has the shape {found.shape}; expected a matrix with at least one row and one column.")
    if found.dtype.kind not in kinds:
        raise InputError(f"{name} holds {found.dtype}; expected numbers.")
    return found


def check_finite(rows: _Array, name: str, begin: int = 0) -> None:
    """Refuses NaN and infinite numbers.

    Args:
        rows: float[n, d], the rows from `begin` on of the matrix.
        name: what messages call it.
        begin: the first row's number.

    Raises:
        InputError: there is one; the message says where.
    """
    if not np.isfinite(rows).all():
        row, column = (int(one[0]) for one in np.nonzero(~np.isfinite(rows)))
        raise InputError(f"{name}[{begin + row}, {column}] is {rows[row, column]}; expected a number.")
