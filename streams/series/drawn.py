"""Orders drawn by a hash: for values of which the order says nothing. No generator, no state."""

import numpy as np
from numpy.typing import NDArray

_MASK = 2**64 - 1


def drawn(number: int, salt: int, rows: int) -> NDArray[np.uint64]:
    """Return a number of 64 bits for each of so many rows of a place."""
    seed = (number * 64 + salt) * 0x9E3779B97F4A7C15 & _MASK
    return mixed(np.arange(rows, dtype=np.uint64) + np.uint64(seed))


def mixed(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return the hash of numbers of 64 bits (splitmix64; Steele, Lea and Flood 2014)."""
    with np.errstate(over="ignore"):
        z = keys + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def order_of(number: int, salt: int, rows: int) -> list[int]:
    """Return the places of so many rows in the order of their numbers."""
    order: list[int] = np.argsort(drawn(number, salt, rows), kind="stable").tolist()
    return order
