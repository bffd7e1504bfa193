"""Learn the references of a model from recorded events, so that it need not learn them live."""

from dataclasses import dataclass
from pathlib import Path

import orjson
from rich.console import Console
from rich.markup import escape

from agents.commands.backtest import reading
from agents.commands.recording import Recording, Refusals, read_spec
from agents.commands.tables import SourceRecording
from agents.errors import FileError, OperatorError
from agents.worker.assembly import tune_gc
from schemas.error_model import ErrorModel
from schemas.model_spec import ModelSpec
from schemas.topics import Topics
from streams.ingest.batches import pack
from streams.monitor import Monitor
from streams.performance.error_fit import FEWEST_ROWS, ErrorRow, fit_errors
from streams.series.profile import FEWEST_VALUES, RecordingSeries

_TYPE = "tidegauge.profile.v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileOptions:
    """The options of the command."""

    predictions: str | None
    outcomes: str | None
    source: Path | None = None
    records: tuple[str, ...] = ()
    out: Path
    spec: str | None
    estimate: bool = False


def make_profile(options: ProfileOptions, console: Console) -> int:
    """Write the profile of the one model that the files hold; return the exit code."""
    tune_gc()
    model_id, panel, labelled = _read(options, console)
    profiles = panel.profiles()
    made: dict[str, object] = {
        "type": _TYPE,
        "model_id": model_id,
        "series": {series: each.model_dump() for series, each in profiles.items()},
    }
    if options.estimate:
        made["error_model"] = _error_model(labelled).model_dump()
    try:
        options.out.write_bytes(orjson.dumps(made, option=orjson.OPT_INDENT_2) + b"\n")
    except OSError as error:
        msg = f"{options.out}: cannot be written: {error.strerror}"
        raise FileError(msg) from error
    console.print(f"Wrote the references of {len(profiles)} series to {options.out}.")
    if not profiles:
        console.print(f"A series needs at least {FEWEST_VALUES} values.")
    if options.estimate:
        console.print(f"It tells the error without labels, learnt from {len(labelled):,} rows.")
    return 0


def _read(options: ProfileOptions, console: Console) -> tuple[str, RecordingSeries, list[ErrorRow]]:
    """Return the one model of the files, its series, and its labelled rows if they are wanted.

    Raises
    ------
    OperatorError
        When the files hold none, or several models.
    """
    spec = read_spec(options.spec)
    panels: list[RecordingSeries] = []

    def panel_of(spec: ModelSpec) -> RecordingSeries:
        panels.append(RecordingSeries(spec))
        return panels[-1]

    monitor = Monitor(0, Topics(), lambda _model_id: spec, panel_of)
    recording = _recording(options)
    refusals, labelled = Refusals(), list[ErrorRow]()
    with reading(recording, console) as on_bytes:
        batches = (events for events, _ in recording.batches(refusals, on_bytes))
        records = (record for events in batches for _, _, record, _ in pack(events, 1))
        for offset, record in enumerate(records):
            emissions = monitor.apply(offset, record)
            if options.estimate:
                rows = (each.value for each in emissions if each.role == "labelled")
                labelled += [row for value in rows for row in _error_row(value)]
    for refusal in refusals.first:
        console.print(f"Refused {escape(refusal)}")
    if len(panels) != 1:
        found = ", ".join(sorted(monitor.models)) or "none"
        msg = f"a profile describes one model; the files hold {len(panels)}: {found}"
        raise OperatorError(msg)
    return next(iter(monitor.models)), panels[0], labelled


def _error_row(value: bytes) -> list[ErrorRow]:
    """Return a labelled row of a regression; none of classes."""
    row = orjson.loads(value)
    answer, error = row["prediction"].get("prediction"), row["error"]
    if error is None or not row["prediction"].get("features"):
        return []
    return [ErrorRow(row["prediction"]["features"], float(answer), error)]


def _error_model(labelled: list[ErrorRow]) -> ErrorModel:
    """Return the model of the errors of labelled rows.

    Raises
    ------
    OperatorError
        When they are too few.
    """
    found = fit_errors(labelled)
    if found is None:
        msg = (
            f"--estimate needs {FEWEST_ROWS:,} labelled rows of a regression with features, whose "
            f"answers are not all exact; the files hold {len(labelled):,}. Name more with "
            "--outcomes, or leave --estimate out: classes need only `calibration: {}` in the spec."
        )
        raise OperatorError(msg)
    return found


def _recording(options: ProfileOptions) -> Recording | SourceRecording:
    """Return the recording that the options name.

    Raises
    ------
    OperatorError
        When they name none, or two; or when a source or a file is wrong.
    """
    of_sources = options.source is not None and bool(options.records)
    if options.source is not None and of_sources and not options.predictions:
        return SourceRecording.of_options(options.source, options.records)
    if options.predictions and options.source is None and not options.records:
        return Recording(predictions=options.predictions, outcomes=options.outcomes)
    msg = "name a FILE of predictions, or --source with --records"
    raise OperatorError(msg)
