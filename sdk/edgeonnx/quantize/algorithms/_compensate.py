"""Round the weights of one layer so that its results change least, given the products of its inputs."""

import numpy as np

_BLOCK = 128
_DAMPING = 0.01
_SWEEPS = 3


def compensate(
    weights: np.ndarray, products: np.ndarray, scale: np.ndarray, zero: np.ndarray, lowest: int, highest: int
) -> np.ndarray:
    """Integers that make the squared error of `inputs @ weights.T` small.

    GPTQ first: columns are rounded one by one, those with the largest inputs first, and the error each leaves is made
    up for by those not yet rounded (Frantar et al. 2022, arXiv:2210.17323). Then descent on one integer at a time,
    which can only lower the error: it makes up for the order (Behdin et al. 2023, QuantEase, arXiv:2309.01885).

    Args:
        weights: float64 (rows, columns).
        products: float64 (columns, columns), inputs.T @ inputs, or its mean.
        scale: float64 (rows,).
        zero: float64 (rows,).
        lowest: of the integers.
        highest: of the integers.

    Returns:
        int64 (rows, columns).
    """
    order = np.argsort(-np.diag(products), kind="stable")
    back = np.argsort(order)
    ordered = products[np.ix_(order, order)]
    integers = _gptq(weights[:, order], ordered, scale, zero, lowest, highest)
    return _descend(weights[:, order], ordered, integers, scale, zero, lowest, highest)[:, back].astype(np.int64)


def _gptq(
    weights: np.ndarray, products: np.ndarray, scale: np.ndarray, zero: np.ndarray, lowest: int, highest: int
) -> np.ndarray:
    columns = weights.shape[1]
    damped = products + np.eye(columns) * (_DAMPING * float(np.mean(np.diag(products))) + 1e-12)
    # Row j of the upper factor tells how later columns make up for an error in column j.
    spread = np.ascontiguousarray(np.linalg.cholesky(np.linalg.inv(damped)).T)
    left = weights.copy()
    integers = np.empty_like(left)
    for start in range(0, columns, _BLOCK):
        end = min(start + _BLOCK, columns)
        errors = np.empty((len(left), end - start))
        for column in range(start, end):
            integers[:, column] = _nearest(left[:, column], scale, zero, lowest, highest)
            real = (integers[:, column] - zero) * scale
            error = (left[:, column] - real) / spread[column, column]
            left[:, column + 1 : end] -= np.outer(error, spread[column, column + 1 : end])
            errors[:, column - start] = error
        left[:, end:] -= errors @ spread[start:end, end:]
    return integers


def _descend(
    weights: np.ndarray,
    products: np.ndarray,
    integers: np.ndarray,
    scale: np.ndarray,
    zero: np.ndarray,
    lowest: int,
    highest: int,
) -> np.ndarray:
    """Give each integer in turn the value that is best beside the others, until none moves."""
    integers = integers.copy()
    slope = (weights - (integers - zero[:, None]) * scale[:, None]) @ products
    for _ in range(_SWEEPS):
        moved = False
        for column in range(weights.shape[1]):
            weight = products[column, column]
            if weight <= 0:
                continue
            now = (integers[:, column] - zero) * scale
            best = _nearest(now + slope[:, column] / weight, scale, zero, lowest, highest)
            step = (best - integers[:, column]) * scale
            rows = np.flatnonzero(step)
            if rows.size:
                integers[rows, column] = best[rows]
                slope[rows] -= np.outer(step[rows], products[column])
                moved = True
        if not moved:
            break
    return integers


def _nearest(values: np.ndarray, scale: np.ndarray, zero: np.ndarray, lowest: int, highest: int) -> np.ndarray:
    nearest: np.ndarray = np.clip(np.round(values / scale) + zero, lowest, highest)
    return nearest
