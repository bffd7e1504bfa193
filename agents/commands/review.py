"""Reviews on a terminal: the next case, one key an answer, and a count of what is left."""

from __future__ import annotations

import getpass
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from agents.commands.models import Write
from agents.errors import WorkerError
from agents.kafka.read import last_values, read_json
from agents.kafka.send import send_record
from agents.settings import Settings
from agents.text import printable
from schemas.outcome import Outcome
from schemas.report import Report

Json = dict[str, Any]
ReadKey = Callable[[], str]
Publish = Callable[[Json], Awaitable[None]]

BACK, SKIP, QUIT = "b", "s", "q"
_KEYS = "1234567890"
_DIGITS, _ENTER, _RUBOUT = frozenset("0123456789.-"), ("\r", "\n"), ("\x7f", "\b")


class NoCaseError(WorkerError):
    """No case is open."""

    exit_code = 1


async def review(settings: Settings, model_id: str, read_key: ReadKey, write: Write) -> None:
    """Show the open cases of a model, and publish the verdicts.

    Raises
    ------
    NoCaseError
        When the model has none.
    """
    found = await last_values(settings, settings.topics.name("reviews"))
    cases = open_cases(
        [read_json(value, "review_id") for value in found.values()], model_id, _now_ms()
    )
    if not cases:
        msg = (
            f"no review of model {model_id!r} is open: its spec needs `review`, and predictions "
            "after that"
        )
        raise NoCaseError(msg)
    answers = sorted({orjson.dumps(each["answer"]).decode() for each in cases})
    outcomes, key = settings.topics.outcomes, model_id.encode()

    async def publish(verdict: Json) -> None:
        await send_record(settings, outcomes, key, orjson.dumps(verdict))

    await answer_all(cases, _classes(answers), read_key, write, publish)


def open_cases(records: Sequence[Json | None], model_id: str, now_ms: int) -> list[Json]:
    """Return the open cases of a model: the dearest first, then the most uncertain."""
    now = datetime.fromtimestamp(now_ms / 1_000, UTC).isoformat()
    cases = [
        each
        for each in records
        if each and each["model_id"] == model_id and each["status"] == "open"
        if each["due_at"] > now
    ]

    def order(case: Json) -> tuple[float, float, str]:
        return -(case["expected_cost"] or 0.0), -case["risk"], case["review_id"]

    return sorted(cases, key=order)


async def answer_all(
    cases: Sequence[Json],
    classes: Sequence[Any],
    read_key: ReadKey,
    write: Write,
    publish: Publish,
) -> int:
    """Show cases one after the other; return how many were answered.

    Parameters
    ----------
    classes
        The possible answers: the first key is for the first of them.
    read_key
        Returns one key.
    """
    place, answered = 0, set[int]()
    while place < len(cases):
        case = cases[place]
        write(shown(case, classes, left=len(cases) - place))
        key = read_key()
        if key == QUIT:
            break
        if key == BACK:
            place = max(0, place - 1)
        elif key == SKIP:
            place += 1
        elif (right := _right(case, classes, key, read_key)) is not None:
            await publish(verdict_of(case, right))
            answered.add(place)
            place += 1
    write(f"{len(answered)} answered, {len(cases) - len(answered)} left.")
    return len(answered)


def _right(case: Json, classes: Sequence[Any], key: str, read_key: ReadKey) -> Any:
    """Return the answer that begins with a key: a class, or a number up to Enter; None: neither."""
    if case["unit"] == "rate":
        return classes[_KEYS.index(key)] if key in _KEYS[: len(classes)] else None
    typed = ""
    while key in _DIGITS or key in _RUBOUT:
        typed = typed[:-1] if key in _RUBOUT else typed + key
        key = read_key()
    if key not in _ENTER:
        return None
    try:
        return float(typed)
    except ValueError:
        return None


def shown(case: Json, classes: Sequence[Any], left: int) -> str:
    """Return a case for a terminal."""
    score = "" if case["score"] is None else f", score {case['score']:.3f}"
    lines = [f"{left} left. {case['prediction_id']} of {case['model_id']} ({case['why']})"]
    lines.append(f"  the model said {orjson.dumps(case['answer']).decode()}{score}")
    for name, value in (case["features"] or {}).items():
        lines.append(f"  {name}: {value}")
    keys = ["the number, then Enter"]
    if case["unit"] == "rate":
        keys = [f"{_KEYS[at]} {orjson.dumps(each).decode()}" for at, each in enumerate(classes)]
    lines.append(f"What is right?  {'  '.join(keys)}   {SKIP} skip  {BACK} back  {QUIT} quit")
    return printable("\n".join(lines))


def verdict_of(case: Json, right: Any) -> Json:
    """Return the outcome that answers a case."""
    fields = {
        "prediction_id": case["prediction_id"],
        "model_id": case["model_id"],
        "observed_at": _now_ms(),
        "outcome": right,
        "source": "review",
        "review_id": case["review_id"],
        "reviewer": getpass.getuser(),
    }
    Outcome.model_validate(fields)
    return fields


async def send_report(
    settings: Settings, prediction_id: str, model_id: str, because: str | None, write: Write
) -> None:
    """Publish that an answer was wrong."""
    now_ms = _now_ms()
    report = Report(
        report_id=f"{prediction_id}/{now_ms}",
        prediction_id=prediction_id,
        model_id=model_id,
        at=now_ms,
        because=because,
        by=getpass.getuser(),
    )
    value = report.model_dump_json(exclude_none=True).encode()
    topic = settings.topics.name("reports")
    partition, offset = await send_record(settings, topic, model_id.encode(), value)
    write(f"Reported: {topic}-{partition} at offset {offset}.")


def _classes(answers: Sequence[str]) -> list[Any]:
    """Return the classes that people choose from: those answered, and the other of two."""
    classes = [orjson.loads(each) for each in answers]
    for pair in ([False, True], [0, 1], ["0", "1"]):
        if any(type(each) is type(pair[0]) and each in pair for each in classes):
            return [*pair, *(each for each in classes if each not in pair)]
    return classes


def _now_ms() -> int:
    return int(datetime.now(UTC).timestamp() * 1_000)
