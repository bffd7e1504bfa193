"""The same job by everyone, on Apache Kafka, one after another, in the same run.

The job: consume `predictions` and `outcomes` (outcomes 1,000 predictions later), validate, join,
watch every feature, the score and the error, publish each pair and each alert. Everything is
published first; then each contender in turn, as one process, takes it to topics of its own, in
rounds whose order turns. What a contender published is read back and counted, so that one that
loses or doubles pairs is seen. Its process is charged for user and system time, children included,
from its start until the last pair is in the topic. A run over 2,000 pairs tells what the start
alone costs. Wall time is Kafka's own, from the first pair in the topic to the last. Contenders too
slow for the whole job get fewer pairs, and figures are by pair.

    python -m benchmarks.contest --rounds 3 --write
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient

from agents.demo.child import log_tail, start_child, stop_child
from agents.kafka.topics import create_topics
from agents.settings import load_settings
from benchmarks.contenders import CONTENDERS, PARTITIONS, CannotInstallError, Contender, Stage
from benchmarks.contest_report import show
from benchmarks.machine import machine
from benchmarks.measure import Topic, produced, usage
from benchmarks.pages import save
from benchmarks.standings import JOBS, START, Job, Run
from benchmarks.throughput import ROOT, events, publish
from tests.kafka import RealKafka

FIRST_PAIR_S = 120.0
STALLED_S = 45.0
SETTLE_S = 1.0
LOOK_EVERY_S = 0.1
BROKER_JAVA = ("-Xms1g", "-Xmx1g", "-XX:+UseSerialGC")


class Contest:
    """The contenders at one broker.

    Parameters
    ----------
    broker
        Its address.
    folder
        For logs and what contenders keep.
    """

    def __init__(self, broker: str, folder: Path) -> None:
        self._broker = broker
        self._folder = folder
        self._published: set[str] = set()
        self._runs = 0

    def run(self, contender: Contender, job: Job, number: int) -> Run:
        """Let one contender do the job."""
        given = job.pairs_of(contender)
        group = f"run-{self._runs}"
        self._runs += 1
        folder = self._folder / group
        folder.mkdir()
        stage = Stage(self._broker, self._inputs(job, given), group, folder)
        pairs_topic = stage.prepare(contender)
        log_path = folder / "log"
        process = start_child(
            stage.command(contender),
            log_path=log_path,
            env=stage.environment(contender),
            cwd=ROOT,
        )
        with Topic(self._broker, pairs_topic, PARTITIONS) as topic:
            try:
                remark = self._watch(process, topic, given, contender)
                used = usage([process.pid])
                time.sleep(SETTLE_S)
            finally:
                stop_child(process, grace_s=20.0)
            found = produced(topic)
        if remark:
            print(f"{contender.name}: {remark}; its log ends with:\n{log_tail(log_path)}")
        self._delete(group)
        return Run(
            job=job.name,
            contender=contender.name,
            round=number,
            given=given,
            rows=found.rows,
            pairs=found.pairs,
            wall_s=found.wall_s,
            cpu_s=round(used.cpu_s, 2),
            peak_mb=round(used.peak_mb, 1),
            remark=remark,
        )

    def _watch(
        self, process: subprocess.Popen[bytes], topic: Topic, given: int, contender: Contender
    ) -> str:
        """Wait for the last pair; return what went wrong, if anything."""
        began_s = moved_s = time.monotonic()
        rows = 0
        while rows < given:
            time.sleep(LOOK_EVERY_S)
            before, rows = rows, topic.rows()
            now_s = time.monotonic()
            moved_s = now_s if rows > before else moved_s
            if process.poll() is not None:
                return f"ended by itself with code {process.returncode} after {rows:,} pairs"
            if now_s - moved_s > (STALLED_S if rows else FIRST_PAIR_S):
                return f"stood still at {rows:,} of {given:,} pairs"
            if now_s - began_s > FIRST_PAIR_S + given / contender.pairs_a_second:
                return f"was stopped at {rows:,} of {given:,} pairs"
        return ""

    def _inputs(self, job: Job, given: int) -> str:
        """Publish the job, once; return what the names of its topics begin with."""
        inputs = f"in-{job.models}-{job.features}-{given}."
        if inputs not in self._published:
            self._published.add(inputs)
            print(f"Publishing {2 * given:,} events of the job {job.name!r} ...", flush=True)
            settings = load_settings(
                broker=self._broker,
                prefix=inputs,
                predictions=f"{inputs}predictions",
                outcomes=f"{inputs}outcomes",
            )
            asyncio.run(create_topics(settings))
            asyncio.run(publish(settings, events(given, job.models, features=job.features)))
        return inputs

    def _delete(self, group: str) -> None:
        """Delete what one run has left at the broker: the disk must hold all rounds."""
        admin = KafkaAdminClient(bootstrap_servers=self._broker)
        try:
            left = [name for name in admin.list_topics() if f"{group}." in name or group in name]
            admin.delete_topics([name for name in left if not name.startswith("in-")])
        finally:
            admin.close()


def compete(
    contest: Contest, contenders: Sequence[Contender], jobs: Sequence[Job], rounds: int
) -> list[Run]:
    """Run every round; return every run."""
    # Compiles the kernels and fills the disk's cache: not counted.
    contest.run(CONTENDERS[0], START, -1)
    runs: list[Run] = []
    for number in range(rounds):
        shift = number % len(contenders)
        for job in (START, *jobs):
            for contender in (*contenders[shift:], *contenders[:shift]):
                if job.only and contender.name not in job.only:
                    continue
                run = contest.run(contender, job, number)
                runs.append(run)
                print(
                    f"round {number + 1} of {rounds}, {job.name}, {contender.name}: "
                    f"{run.pairs:,} of {run.given:,} pairs, {run.wall_s:.1f} s, "
                    f"{run.cpu_s:.1f} CPU s, {run.peak_mb:,.0f} MB",
                    flush=True,
                )
    return runs


def installed(names: Sequence[str]) -> tuple[list[Contender], dict[str, str], list[str]]:
    """Return who can take part, on which versions, and who cannot and why."""
    taking_part: list[Contender] = []
    versions: dict[str, str] = {}
    left_out: list[str] = []
    for contender in CONTENDERS:
        if names and contender.name not in names:
            continue
        try:
            versions[contender.name] = contender.versions()
        except (CannotInstallError, subprocess.CalledProcessError) as error:
            left_out.append(f"{contender.name} is left out: it cannot be installed ({error})")
            print(left_out[-1], flush=True)
        else:
            taking_part.append(contender)
    return taking_part, versions, left_out


def main() -> None:
    """Hold the contest, print the tables, and with --write renew the docs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, help="instead of each job's own number")
    parser.add_argument("--jobs", nargs="+", default=[], choices=[job.name for job in JOBS])
    names = [each.name for each in CONTENDERS]
    parser.add_argument("--contenders", nargs="+", default=[], choices=names)
    parser.add_argument("--quick", action="store_true", help="one round, a tenth of the pairs")
    parser.add_argument("--write", action="store_true", help="renew docs/benchmarks and figures")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds
    jobs = [job for job in JOBS if not options.jobs or job.name in options.jobs]
    if options.pairs:
        jobs = [replace(job, pairs=options.pairs) for job in jobs]
    if options.quick:
        jobs = [replace(job, pairs=job.pairs // 10) for job in jobs]
    began_s = time.monotonic()
    contenders, versions, left_out = installed(options.contenders)
    with (
        RealKafka(java_options=BROKER_JAVA) as broker,
        tempfile.TemporaryDirectory(prefix="tidegauge-contest-") as folder,
    ):
        runs = compete(Contest(broker.bootstrap, Path(folder)), contenders, jobs, rounds)
    results: dict[str, Any] = {
        "command": " ".join(["python -m benchmarks.contest", *sys.argv[1:]]),
        "machine": machine(),
        "minutes": round((time.monotonic() - began_s) / 60),
        "versions": versions,
        "left_out": left_out,
        "jobs": [asdict(job) for job in jobs],
        "runs": [asdict(run) for run in runs],
    }
    show(runs, jobs)
    if options.write:
        save("contest", results)


if __name__ == "__main__":
    main()
