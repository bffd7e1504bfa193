"""The compose file and the image, as far as they can be checked without a docker engine."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.cli.main import cli
from agents.kernels import SHIPPED
from agents.settings import PREFIX, Settings
from tests.conftest import require_kafka
from tests.kafka import KAFKA_VERSION, format_log_folder

ROOT = Path(__file__).resolve().parents[1]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
DOCKERFILE = [
    (words[0], words[1:])
    for words in map(shlex.split, (ROOT / "deploy" / "Dockerfile").read_text().splitlines())
    if words and not words[0].startswith("#")
]


DIGEST = r"@sha256:[0-9a-f]{64}"
OBSERVABILITY = ["notify", "prometheus", "alertmanager", "grafana"]


def test_kafka_the_topics_a_worker_and_the_page_are_there_and_more_where_it_is_asked_for() -> None:
    asked = [name for name, service in SERVICES.items() if "profiles" in service]

    assert [name for name in SERVICES if name not in asked] == ["kafka", "topics", "worker", "page"]
    assert asked == OBSERVABILITY
    assert set(OURS) == {"topics", "worker", "page", "notify"}


def test_what_is_mounted_exists_and_cannot_be_written() -> None:
    volumes = [
        each.split(":") for name in OBSERVABILITY for each in SERVICES[name].get("volumes", [])
    ]
    files = [each for each in volumes if each[0].startswith("./")]

    assert {each[0] for each in volumes} - {each[0] for each in files} <= set(COMPOSE["volumes"])
    assert len(files) == 4
    assert all((ROOT / path).is_dir() and mode == ["ro"] for path, _, *mode in files)


def test_prometheus_scrapes_services_and_the_port_of_the_compose_file() -> None:
    scraped = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job["dns_sd_configs"][0] for job in scraped["scrape_configs"]}

    for name in ("worker", "notify"):
        job, environment = jobs[f"tidegauge-{name}"], SERVICES[name]["environment"]
        assert job["names"] == [name]
        assert str(job["port"]) == environment["TIDEGAUGE_PROMETHEUS_PORT"]
    (targets,) = scraped["alerting"]["alertmanagers"][0]["static_configs"]
    assert targets == {"targets": ["alertmanager:9093"]}


@pytest.mark.parametrize("name", OURS)
def test_notifications_link_to_the_page_that_is_published_here(name: str) -> None:
    (port,) = SERVICES["page"]["ports"]

    assert (
        SERVICES[name]["environment"]["TIDEGAUGE_PAGE_URL"] == f"http://{port.rpartition(':')[0]}"
    )


def test_nothing_is_published_beyond_this_machine() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert not any("network_mode" in service for service in SERVICES.values())


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_has_rights_it_does_not_need(name: str) -> None:
    service = SERVICES[name]

    assert service["user"].split(":")[0] not in {"", "0", "root"}
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_write_to_memory_only(name: str) -> None:
    assert SERVICES[name]["read_only"] is True
    assert SERVICES[name]["tmpfs"] == ["/tmp"]  # noqa: S108 - a path in the container
    environment = dict(
        pair.split("=") for word, words in DOCKERFILE if word == "ENV" for pair in words
    )
    assert environment["NUMBA_CACHE_DIR"].startswith("/tmp/")  # noqa: S108 - as above


def test_the_image_ships_kernels_for_any_processor_that_a_worker_finds() -> None:
    steps = [" ".join([word, *words]) for word, words in DOCKERFILE]
    (compiled,) = (step for step in steps if "tidegauge compile" in step)
    before = steps[: steps.index(compiled)]

    assert f"NUMBA_CACHE_DIR=/app/{SHIPPED.relative_to(ROOT)} " in compiled
    assert "chmod -R a+rX" in compiled  # root compiles, nobody special reads
    assert any("NUMBA_CPU_NAME=generic" in step for step in before if step.startswith("ENV"))
    assert not any("NUMBA_CACHE_DIR" in step for step in before)


def test_the_broker_is_the_one_that_the_tests_run_with() -> None:
    assert SERVICES["kafka"]["image"].partition("@")[0] == f"apache/kafka:{KAFKA_VERSION}"


def test_what_depends_on_a_service_waits_until_it_is_ready() -> None:
    assert SERVICES["topics"]["depends_on"] == {"kafka": {"condition": "service_healthy"}}
    assert SERVICES["worker"]["depends_on"] == {
        "topics": {"condition": "service_completed_successfully"}
    }
    assert "healthcheck" in SERVICES["kafka"]
    assert "healthcheck" in SERVICES["worker"]


@pytest.mark.parametrize("name", OURS)
def test_our_settings_exist_and_point_at_kafkas_inner_listener(name: str) -> None:
    environment = SERVICES[name]["environment"]

    fields = {key.removeprefix(PREFIX).lower(): value for key, value in environment.items()}
    assert set(fields) <= set(Settings.model_fields)
    assert fields["broker"] == "kafka:19092"
    advertised = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert "://kafka:19092" in advertised


def test_every_command_that_a_container_runs_exists() -> None:
    run = [SERVICES[name]["command"] for name in OURS]
    run.append(SERVICES["worker"]["healthcheck"]["test"][2:])
    run.append(yaml.safe_load(" ".join(dict(DOCKERFILE)["CMD"])))

    for name, *rest in run:
        command = cli.commands[name]
        flags = {flag for parameter in command.params for flag in parameter.opts}
        named = {word.partition("=")[0] for word in rest if word.startswith("--")}
        assert named <= flags
        assert not rest or named or rest[0] in getattr(command, "commands", {})


def test_the_image_takes_only_files_that_exist_and_are_sent_to_the_engine() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    sources = [
        source
        for word, words in DOCKERFILE
        if word == "COPY" and not words[0].startswith("--from")
        for source in words[:-1]
    ]

    assert {"agents", "locks/runtime.txt", "tidegauge"} <= set(sources)
    assert ignored[1] == "*"
    for source in sources:
        assert (ROOT / source).exists()
        assert f"!{source}" in ignored


def test_the_image_installs_what_has_a_known_hash_and_runs_as_nobody_special() -> None:
    steps = dict(DOCKERFILE)

    (install,) = (words for word, words in DOCKERFILE if word == "RUN" and "install" in words)
    assert install[-3:] == [":all:", "-r", "runtime.txt"]
    assert "--require-hashes" in install
    assert steps["USER"] == ["10001:10001"]
    bases = [words[0] for word, words in DOCKERFILE if word == "FROM"]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(rf"python:3\.11\.\d+-slim-bookworm{DIGEST}", bases[0])


def test_images_of_others_are_named_with_their_digests() -> None:
    foreign = {name: each["image"] for name, each in SERVICES.items() if name not in OURS}

    assert set(foreign) == {"kafka", "prometheus", "alertmanager", "grafana"}
    assert all(re.fullmatch(rf"[a-z/]+:v?[\d.]+{DIGEST}", image) for image in foreign.values())


def test_apache_kafka_accepts_the_settings_of_the_compose_file(tmp_path: Path) -> None:
    require_kafka()
    environment = SERVICES["kafka"]["environment"]
    settings = {
        re.sub("_", ".", key.removeprefix("KAFKA_")).lower(): value
        for key, value in environment.items()
        if key.startswith("KAFKA_")
    }
    properties = tmp_path / "server.properties"
    lines = settings | {"log.dirs": str(tmp_path / "log")}
    properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))

    format_log_folder(properties, environment["CLUSTER_ID"])

    assert (tmp_path / "log" / "meta.properties").exists()
