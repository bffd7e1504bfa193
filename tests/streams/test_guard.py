"""What a library throws is an answer; what says nothing about the act goes on."""

from typing import NoReturn

import pytest

from streams.guard import failure_of


class Panic(BaseException):
    """As pyo3 raises a panic of Rust: no Exception."""


def _raise(error: BaseException) -> NoReturn:
    raise error


def test_an_act_that_succeeds_has_no_failure() -> None:
    assert failure_of(lambda: 1) is None


@pytest.mark.parametrize("error", [Panic("gone"), ValueError("gone"), RecursionError("gone")])
def test_whatever_is_thrown_is_named(error: BaseException) -> None:
    assert failure_of(lambda: _raise(error)) == f"{type(error).__name__}: gone"


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), SystemExit()])
def test_what_says_nothing_about_the_act_is_raised(error: BaseException) -> None:
    with pytest.raises(type(error)):
        failure_of(lambda: _raise(error))
