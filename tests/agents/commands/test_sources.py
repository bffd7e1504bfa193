"""The commands for sources, the guides, and a backtest over tables."""

from __future__ import annotations

import csv
import io
import random
import re
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

from agents.commands.backtest import BacktestOptions, backtest
from agents.commands.profile import ProfileOptions, make_profile
from agents.commands.source_draft import draft
from agents.commands.sources import show
from agents.errors import OperatorError
from agents.sources import mapped_topics, read_sources
from schemas.event import Source
from schemas.wire import MAX_PAYLOAD_BYTES
from streams.ingest.records import Accepted
from streams.ingest.sources.source_map import Sources, parse_sources
from tests.doubles.shapes import Shape, events_of, shapes

GUIDES = Path(__file__).parents[3] / "docs" / "guides"
TOPIC_OF = {"bentoml-monitor": "bentoml-monitor", "seldon-v1-request": "seldon-requests"}


def guide(name: str) -> tuple[str, Sources]:
    """Return the text of a guide, and its map."""
    text = (GUIDES / f"{name}.md").read_text("utf-8")
    (block,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    return text, parse_sources(yaml.safe_load(block))


V2 = {
    "response": {"outputs": [{"name": "predict", "shape": [2], "data": [1, 0]}]},
    "request": {"inputs": [{"name": "x", "shape": [2, 2], "data": [[1, 2], [3, 4]]}]},
}


def v2(half: str) -> Shape:
    shape = shapes()[f"kserve-v1-{half}"]
    return Shape(f"kserve-v2-{half}", orjson.dumps(V2[half]), headers=shape.headers)


@pytest.mark.parametrize(
    ("name", "record", "kinds"),
    [
        ("kserve", "kserve-v1-response", ["half", "half"]),
        ("kserve", "kserve-v1-request", ["inputs", "inputs"]),
        ("seldon-bentoml", "seldon-v1-request", ["inputs", "inputs"]),
        ("seldon-bentoml", "bentoml-monitor", ["prediction"]),
        ("debezium", "debezium-envelope", ["outcome"]),
        ("debezium", "debezium-delete", []),
        ("debezium", "tombstone", []),
    ],
)
def test_the_map_of_a_guide_reads_what_it_is_about(
    name: str, record: str, kinds: list[str]
) -> None:
    _, sources = guide(name)
    topic = TOPIC_OF.get(record, next(iter(sources.by_topic)))

    events = events_of(sources, topic, shapes()[record])

    assert [kind for event in events for kind in event] == kinds


def test_the_guide_of_kserve_reads_protocol_v2_too() -> None:
    _, sources = guide("kserve")
    (topic,) = sources.by_topic

    answers = [event["half"] for event in events_of(sources, topic, v2("response"))]
    requests = [event["inputs"] for event in events_of(sources, topic, v2("request"))]

    assert [answer["prediction"] for answer in answers] == [1, 0]
    assert [request["features"] for request in requests] == [
        {"x_0": 1, "x_1": 2},
        {"x_0": 3, "x_1": 4},
    ]
    assert [each["prediction_id"] for each in answers] == [
        each["prediction_id"] for each in requests
    ]


@pytest.mark.parametrize("name", ["kserve", "seldon-bentoml", "debezium"])
def test_a_guide_shows_what_sources_try_says(name: str) -> None:
    text, sources = guide(name)
    (shown,) = re.findall(r"```text\n(.*?)```", text, re.DOTALL)

    assert shown == f"{tried(name, sources)}\n"


def tried(name: str, sources: Sources) -> str:
    """Return what `sources try` says of the records that a guide shows."""
    records = {
        "kserve": ["kserve-v1-response", "kserve-v1-request"],
        "seldon-bentoml": ["bentoml-monitor"],
        "debezium": ["debezium-envelope", "debezium-delete", "tombstone"],
    }[name]
    topics = mapped_topics(sources, MAX_PAYLOAD_BYTES)
    found = []
    for offset, record in enumerate(records):
        topic = TOPIC_OF.get(record, next(iter(topics)))
        source = Source("prediction", topic, 0)
        place = f"{topic}-0 offset {offset}"
        found.append((place, topics[topic].accept(source, shapes()[record], None)))
    return show(found)


@pytest.mark.parametrize("name", sorted(shapes()))
def test_a_draft_of_any_record_is_a_map_that_can_be_tried(name: str) -> None:
    shape = shapes()[name]
    if shape.value is None:
        return
    text = draft("t", [shape])

    sources = yaml.safe_load(text)
    if "confluent" in text:
        sources["registry"] = "http://127.0.0.1:8081"
    assert list(parse_sources(sources).by_topic) == ["t"]


def test_a_draft_finds_ids_times_scores_and_the_envelope() -> None:
    debezium = draft("t", [shapes()["debezium-envelope"]])
    fraud = draft("t", [shapes()["home-fraud"]])

    assert "# A Debezium change event: the row is in value.after" in debezium
    assert "prediction_id: value.after.application_id" in debezium
    assert "outcome: value.after.repaid" in debezium
    assert "predicted_at: utc(value.timestamp)" in fraud
    assert "score: value.fraud_prob" in fraud


# Tables

ROWS = 3_000


def table() -> list[dict[str, Any]]:
    """Return a month of a model whose inputs and errors change after two thirds."""
    chance = random.Random(5)  # noqa: S311 - a reproducible table
    rows = []
    for number in range(ROWS):
        has_changed = number >= 2 * ROWS // 3
        decision = chance.random() < 0.5
        is_wrong = chance.random() < (0.5 if has_changed else 0.1)
        day, rest = divmod(number * 600, 86_400)
        clock = f"{rest // 3_600:02}:{rest // 60 % 60:02}:00"
        rows.append(
            {
                "id": number,
                "scored_at": f"2026-03-{1 + day:02} {clock}",
                "decision": decision,
                "probability": round(chance.random(), 3),
                "settled_at": f"2026-03-{4 + day:02} {clock}",
                "repaid": decision != is_wrong,
                "income": round(chance.gauss(50 if has_changed else 40, 5), 2),
                "job": chance.choice(["a", "b", "007"]),
                "age": None if chance.random() < 0.05 else chance.randrange(20, 70),
            }
        )
    return rows


def run(folder: Path, *, name: str, source: Path) -> tuple[int, bytes, str]:
    out = folder / f"{name}.alerts"
    options = BacktestOptions(
        predictions=None,
        outcomes=None,
        source=source,
        records=(str(folder / name),),
        out=str(out),
        feedback=None,
        labelled=None,
        metrics=None,
        spec=None,
        budget=None,
        what_if=(),
    )
    told = io.StringIO()
    code = backtest(options, Console(file=told, width=200))
    return code, out.read_bytes(), told.getvalue()


def test_a_table_gives_the_same_alerts_as_csv_parquet_and_json_lines(tmp_path: Path) -> None:
    rows = table()
    source = tmp_path / "sources.yaml"
    (block,) = re.findall(r"```yaml\n(.*?)```", (GUIDES / "csv.md").read_text(), re.DOTALL)
    source.write_text(block)
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))

    runs = [
        run(tmp_path, name=f"rows.{each}", source=source) for each in ("csv", "parquet", "jsonl")
    ]

    assert [code for code, _, _ in runs] == [0, 0, 0]
    assert len({alerts for _, alerts, _ in runs}) == 1
    series = {orjson.loads(line)["series"] for line in runs[0][1].splitlines()}
    assert "feature/income" in series
    assert [told for _, _, told in runs if "3,000 outcomes, 3,000 pairs" not in told] == []


def test_a_table_gives_the_profile_of_the_events_that_it_becomes(tmp_path: Path) -> None:
    _, sources = guide("csv")
    source = tmp_path / "sources.yaml"
    (block,) = re.findall(r"```yaml\n(.*?)```", (GUIDES / "csv.md").read_text(), re.DOTALL)
    source.write_text(block)
    rows = table()[:600]
    (tmp_path / "rows.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    topic = mapped_topics(sources, MAX_PAYLOAD_BYTES)["loans"]
    events = [
        item
        for row in rows
        for item in topic.accept(Source("prediction", "loans", 0), Shape("", orjson.dumps(row)), 0)
        if isinstance(item, Accepted)
    ]
    for kind in ("prediction", "outcome"):
        lines = [each.payload for each in events if each.source.kind == kind]
        (tmp_path / f"{kind}s").write_bytes(b"\n".join(lines))
    outcomes = str(tmp_path / "outcomes")

    made = profile(tmp_path, source=source, records=(str(tmp_path / "rows.jsonl"),))

    assert made == profile(tmp_path, predictions=str(tmp_path / "predictions"), outcomes=outcomes)
    assert {"feature/income", "error"} <= set(orjson.loads(made)["series"])


def profile(folder: Path, **given: Any) -> bytes:
    options = {"predictions": None, "outcomes": None, "spec": None}
    out = folder / "profile.json"
    assert make_profile(ProfileOptions(**{**options, **given}, out=out), Console(quiet=True)) == 0
    return out.read_bytes()


@pytest.mark.parametrize(
    "given", [{}, {"predictions": "p", "records": ("r",)}, {"records": ("r",)}]
)
def test_a_profile_is_made_of_one_recording(tmp_path: Path, given: dict[str, Any]) -> None:
    with pytest.raises(OperatorError, match="name a FILE of predictions, or --source with"):
        profile(tmp_path, **given)


def test_a_topic_that_no_source_reads_is_refused_with_those_there_are(tmp_path: Path) -> None:
    source = tmp_path / "sources.yaml"
    (block,) = re.findall(r"```yaml\n(.*?)```", (GUIDES / "csv.md").read_text(), re.DOTALL)
    source.write_text(block)

    with pytest.raises(OperatorError, match=r"must be TOPIC=FILE, with a topic of .*: loans"):
        run(tmp_path, name="cards=rows.csv", source=source)


def test_a_file_that_is_no_yaml_is_refused_with_the_place(tmp_path: Path) -> None:
    path = tmp_path / "sources.yaml"
    path.write_text("sources:\n- topic: a: b\n")

    with pytest.raises(OperatorError, match=r"is no YAML at line 2, column \d+"):
        read_sources(path)
