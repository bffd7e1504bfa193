"""Run the monitor over recorded files: the same core, no broker.

The output files hold the records that a worker would publish.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

from agents.commands.backtest_report import Replayed, print_closing, what_if_table
from agents.commands.recording import STANDARD_STREAM, Recording, Refusals, read_spec
from agents.commands.spec_names import absent_features, listed
from agents.commands.tables import SourceRecording
from agents.errors import FileError, OperatorError
from agents.worker.assembly import tune_gc
from schemas.alert import Alert
from schemas.model_spec import MetricRules, ModelSpec, SpecError
from schemas.topics import TopicRole, Topics
from streams.clock import NEVER_MS
from streams.emission import Emission, Place, place_of
from streams.ingest.batches import pack_with_ticks
from streams.ingest.records import Accepted
from streams.model.model import ModelMonitor
from streams.monitor import Monitor
from streams.series.profile_check import check_profile
from streams.traffic.disagreement import unjoined_because
from streams.traffic.silence import SHORTEST_MS

_NO_OUTPUTS: Mapping[TopicRole, IO[bytes]] = {}
OnEmission = Callable[[Emission], object]


def _ignore(_emission: Emission) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """The options of the command: paths, where "-" is standard input or output.

    Parameters
    ----------
    source, records
        File of sources, and the records that they map: ``FILE`` or ``TOPIC=FILE`` each. In their
        place ``predictions`` and ``outcomes``.
    budget
        Replaces the alert budget of the spec.
    what_if
        Other budgets, for comparison.
    """

    predictions: str | None
    outcomes: str | None
    source: Path | None
    records: tuple[str, ...]
    out: str
    feedback: str | None
    labelled: str | None
    metrics: str | None
    spec: str | None
    budget: float | None
    what_if: tuple[float, ...]


class Backtest:
    """One run of the core over a log.

    Parameters
    ----------
    spec
        The spec of the model that it names, or of every model when it names none.
    outputs
        The file of each output topic; other topics are not written.
    on_emission
        Is given each record that a worker would publish.
    """

    def __init__(
        self,
        spec: ModelSpec,
        outputs: Mapping[TopicRole, IO[bytes]] = _NO_OUTPUTS,
        on_emission: OnEmission = _ignore,
    ) -> None:
        self.spec = spec
        self._on_emission = on_emission
        self.replayed = Replayed()
        self._outputs = outputs
        self._monitor = Monitor(0, Topics(partitions=1), self._spec_of, is_guarded=True)
        self._offset = 0
        self._clock_ms = 0

    def apply(self, events: Sequence[Accepted], *, is_predicted: bool) -> None:
        """Apply the next events of the log, with the ticks that a live log would have among them.

        Parameters
        ----------
        events
            The events, in log order.
        is_predicted
            Whether the last of them is a prediction, or predictions follow. Without, there are no
            ticks: the end of a file is no silence.
        """
        due_ms = self._monitor.tick_due_ms if is_predicted else _never_due
        emissions: list[Emission] = []
        for record in pack_with_ticks(events, self._clock_ms, due_ms, SHORTEST_MS):
            emissions += self._monitor.ingest([(self._offset, record)])
            self._offset += 1
        self._clock_ms = max(self._clock_ms, *(event.logged_at for event in events))
        emissions += self._monitor.evaluate_all()
        for emission in sorted(emissions, key=place_of):
            self._keep(emission)

    def close(self) -> None:
        """Write what the end brings: quarantines, the last load, the figures of open cohorts."""
        for emission in self._monitor.settle():
            self._keep(emission)
        for model in self._monitor.models.values():
            for emission in model.closing(Place(self._offset, 0)):
                self._keep(emission)

    def _keep(self, emission: Emission) -> None:
        self._on_emission(emission)
        if emission.role == "alerts":
            self.replayed.add(Alert.model_validate_json(emission.value))
        elif emission.role == "feedback":
            self.replayed.feedback += 1
        if (output := self._outputs.get(emission.role)) is not None:
            output.write(emission.value + b"\n")

    @property
    def budget(self) -> float:
        """The alert budget of the models of the input."""
        is_applied = self.spec.model_id is None or self.spec.model_id in self._monitor.models
        return (self.spec if is_applied else ModelSpec()).alert_budget

    def results(self) -> Replayed:
        """Return the results."""
        self._monitor.known.add_counts(self.replayed.counts)
        models = self._monitor.models
        for model_id, model in models.items():
            self.replayed.left_out.update(model.counts.left_out)
            self.replayed.without_inputs += model.join.halves.counts.without_inputs
            disjoint = model.join.why_unjoined()
            if disjoint is not None:
                because = unjoined_because(disjoint, model.in_force.spec.outcome.wait_s)
                found = round(disjoint.share * disjoint.rows)
                self.replayed.remarks.append(
                    f"Model {model_id}: {found:,} of {disjoint.rows:,} outcomes found their "
                    f"prediction: {because}."
                )
        self.replayed.remarks += _names_nothing(self.spec, models)
        return self.replayed

    def _spec_of(self, model_id: str) -> ModelSpec:
        return self.spec if self.spec.model_id in {None, model_id} else ModelSpec()


def _names_nothing(spec: ModelSpec, models: Mapping[str, ModelMonitor]) -> Iterator[str]:
    """Yield a sentence for each part of a spec that names what the input does not have."""
    if spec.model_id is not None and spec.model_id not in models:
        yield (
            f"The spec names model {spec.model_id}, and no line does: it was applied to none of "
            f"{listed(sorted(models))}."
        )
        return
    features = {
        name
        for model_id, model in models.items()
        if spec.model_id in {None, model_id}
        for name in model.series.state.feature_series
    }
    yield from absent_features(spec, features, "the input")


def backtest(
    options: BacktestOptions, console: Console, on_emission: OnEmission | None = None
) -> int:
    """Run a backtest with progress and a closing table; return the exit code.

    Parameters
    ----------
    options
        The options of the command.
    console
        Receives progress and tables; never standard output, which may carry records.
    on_emission
        Is given each record that a worker would publish, figures by the day among them.
    """
    tune_gc()
    spec = read_spec(options.spec, alert_budget=options.budget)
    if (options.metrics or on_emission) and spec.metrics is None:
        spec = spec.model_copy(update={"metrics": MetricRules()})
    try:
        check_profile(spec)
    except SpecError as error:
        msg = f"{options.spec}: a reference of its profile cannot be used: {error}"
        raise OperatorError(msg) from error
    recording = _recording(options)
    refusals = Refusals()
    began_s = time.monotonic()
    with ExitStack() as stack:
        paths: dict[TopicRole, str | None] = {
            "alerts": options.out,
            "feedback": options.feedback,
            "labelled": options.labelled,
            "metrics": options.metrics,
        }
        outputs = {role: _open_output(path, stack) for role, path in paths.items() if path}
        run = Backtest(spec, outputs, on_emission or _ignore)
        others = [
            Backtest(spec.model_copy(update={"alert_budget": budget})) for budget in options.what_if
        ]
        on_bytes = stack.enter_context(reading(recording, console))
        for events, is_predicted in recording.batches(refusals, on_bytes):
            for each in (run, *others):
                each.apply(events, is_predicted=is_predicted)
        run.close()
    replayed = run.results()
    replayed.refusals = refusals
    print_closing(replayed, time.monotonic() - began_s, run.budget, console)
    if others:
        runs = [(each.spec.alert_budget, each.results()) for each in others]
        console.print(what_if_table([(run.spec.alert_budget, replayed), *runs]))
    if not replayed.counts.predictions:
        console.print("No line was a prediction: are --predictions and --outcomes swapped?")
        return 1
    return 0


def _recording(options: BacktestOptions) -> Recording | SourceRecording:
    """Return the recording that the options name.

    Raises
    ------
    OperatorError
        When they name none, or a source or a file is wrong.
    """
    if options.source is not None and options.records:
        return SourceRecording.of_options(options.source, options.records)
    if options.source is None and options.predictions and options.outcomes:
        return Recording(predictions=options.predictions, outcomes=options.outcomes)
    msg = "name --predictions and --outcomes, or --source with --records"
    raise OperatorError(msg)


def _never_due(_until_ms: int) -> int:
    return NEVER_MS


@contextmanager
def reading(
    recording: Recording | SourceRecording, console: Console
) -> Iterator[Callable[[int], None]]:
    """Show the progress of reading; return a function that adds bytes to it."""
    columns = (TextColumn("reading"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=recording.total_bytes())
        yield lambda more: progress.advance(task, more)


def _open_output(name: str, stack: ExitStack) -> IO[bytes]:
    if name == STANDARD_STREAM:
        return sys.stdout.buffer
    try:
        return stack.enter_context(Path(name).open("wb"))
    except OSError as error:
        msg = f"{name}: cannot be written: {error.strerror}"
        raise FileError(msg) from error
