"""A guard around what people send and libraries read: a failure is an answer, not an end."""

from collections.abc import Callable


def failure_of(act: Callable[[], object]) -> str | None:
    """Return how an act failed; None where it did not.

    It catches whatever a library throws: a panic of Rust is a BaseException and no Exception.
    What says nothing about the act is raised: a lack of memory, a stop of the process.
    """
    try:
        act()
    except (MemoryError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001 # a panic of Rust is no Exception
        return f"{type(error).__name__}: {error}"
    return None
