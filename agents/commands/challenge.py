"""Where the challengers of a model stand."""

from __future__ import annotations

from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from agents.errors import WorkerError
from agents.kafka.read import last_values, read_json
from agents.settings import Settings
from agents.text import printable


class NoChallengeError(WorkerError):
    """No challenger has been compared yet."""

    exit_code = 1


async def show_challenge(settings: Settings, model_id: str) -> Table:
    """Return the pairs, the evidence against its limit, and the interval of each challenger.

    Raises
    ------
    NoChallengeError
        When nothing has been compared yet.
    """
    found = await last_values(settings, settings.topics.name("metrics"))
    records = [
        record
        for key, value in sorted(found.items())
        if key.startswith(f"{model_id}|challenge|")
        if (record := read_json(value, "challenge_id"))
    ]
    if not records:
        msg = (
            f"no challenger of model {model_id!r} has been compared: its spec needs `challenge`, "
            "predictions of a `variant`, and a day that is older than `challenge.mature_s`"
        )
        raise NoChallengeError(msg)
    return as_table(records)


def as_table(records: list[dict[str, Any]]) -> Table:
    """Return the records as a table."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column("challenger")
    for heading in ("pairs", "waiting", "better", "worse", "limit", "better by", "interval"):
        table.add_column(heading, justify="right")
    table.add_column("verdict")
    for each in records:
        unit = 100 if each["unit"] == "rate" else 1
        table.add_row(
            printable(each["variant"]),
            f"{each['pairs']:,}",
            f"{each['waiting']:,}",
            f"{each['e_better']:.3g}",
            f"{each['e_worse']:.3g}",
            f"{each['limit']:g}",
            f"{unit * each['difference']:+.3g}",
            f"{unit * each['low']:+.3g} .. {unit * each['high']:+.3g}",
            printable(each["summary"]),
        )
    return table
