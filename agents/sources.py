"""The file of sources, and the schema registry that some of them need."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import yaml

from agents.errors import FileError, OperatorError, WorkerError
from streams.ingest.sources.decode import DecodeError, Schema
from streams.ingest.sources.mapping import MappedTopic
from streams.ingest.sources.source_map import Sources, SourcesError, parse_sources

_ANSWER_S = 10.0
"""Seconds for one answer of the registry."""
_MOST_BYTES = 4 * 1024 * 1024
"""Bytes of an answer: a schema has some kilobytes."""
_NO_SCHEMA = 404
_DENIED = frozenset((401, 403))
_AVRO = frozenset(("avro", "confluent"))


class RegistryUnreachableError(WorkerError):
    """The schema registry does not answer. Start it, or correct its address; then start again."""

    exit_code = os.EX_UNAVAILABLE


class SchemaRegistry:
    """Confluent's schema registry; each schema is fetched once. Safe to use from several threads.

    Parameters
    ----------
    address
        Its address, as http://registry:8081.
    credentials
        User and password; None without.
    """

    def __init__(self, address: str, credentials: tuple[str, str] | None = None) -> None:
        self._address = address.rstrip("/")
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if credentials is not None:
            pair = ":".join(credentials).encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        self._known: dict[int, Schema | None] = {}
        self._lock = threading.Lock()

    def fetch(self, number: int) -> None:
        """Fetch a schema, if it is not known yet.

        Raises
        ------
        RegistryUnreachableError
            When the registry does not answer.
        OperatorError
            When it refuses the request.
        """
        with self._lock:
            if number not in self._known:
                self._known[number] = self._fetched(number)

    def schema(self, number: int) -> Schema:
        """Return a schema that was fetched.

        Raises
        ------
        DecodeError
            When the registry has none under this id.
        """
        schema = self._known.get(number)
        if schema is None:
            raise DecodeError(
                reason="invalid", detail=f"the registry has no schema {number} that can be read"
            )
        return schema

    def fetched(self, number: int) -> Schema:
        """Return a schema; fetch it where it is not known yet."""
        self.fetch(number)
        return self.schema(number)

    def _fetched(self, number: int) -> Schema | None:
        request = urllib.request.Request(  # noqa: S310 - the address was checked to be http
            f"{self._address}/schemas/ids/{number}", headers=self._headers
        )
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:  # noqa: S310
                found = json.loads(answer.read(_MOST_BYTES))
        except urllib.error.HTTPError as error:
            if error.code == _NO_SCHEMA:
                return None
            if error.code in _DENIED:
                msg = (
                    f"the schema registry at {self._address} refuses this user ({error.code}): see "
                    "TIDEGAUGE_REGISTRY_USERNAME and TIDEGAUGE_REGISTRY_PASSWORD"
                )
                raise OperatorError(msg) from error
            raise self._unreachable(f"status {error.code}") from error
        except (OSError, ValueError) as error:
            raise self._unreachable(type(error).__name__) from error
        return _parsed(found)

    def _unreachable(self, cause: str) -> RegistryUnreachableError:
        return RegistryUnreachableError(
            f"the schema registry at {self._address} does not answer ({cause}): start it, or "
            "correct `registry` in the sources"
        )


def _parsed(answer: Any) -> Schema | None:
    """Return the schema in an answer of the registry; None where it cannot be used."""
    if not isinstance(answer, dict) or answer.get("references"):
        return None
    kind = str(answer.get("schemaType", "AVRO"))
    if kind != "AVRO":
        return Schema(kind)
    import fastavro  # noqa: PLC0415 - an extra

    try:
        return Schema(kind, fastavro.parse_schema(json.loads(answer["schema"])))
    except Exception:  # noqa: BLE001 - fastavro has many errors for a schema that it cannot read
        return None


def read_sources(path: Path, own_topics: Iterable[str] = ()) -> Sources:
    """Read a file of sources.

    Raises
    ------
    FileError
        When it cannot be read.
    OperatorError
        When something in it is wrong: field, value and remedy.
    """
    try:
        data = yaml.safe_load(path.read_bytes())
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise FileError(msg) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        msg = (
            f"{path}: is no YAML{where}; an expression with a colon, a brace or a quote at its "
            "begin is put in double quotes"
        )
        raise OperatorError(msg) from error
    try:
        sources = parse_sources(data, own_topics)
    except SourcesError as error:
        msg = f"{path}: {error}"
        raise OperatorError(msg) from error
    _check_extras(path, sources)
    return sources


def _check_extras(path: Path, sources: Sources) -> None:
    """Refuse a decoder whose package is not installed."""
    for each in sources.by_topic.values():
        if each.decode in _AVRO and importlib.util.find_spec("fastavro") is None:
            msg = (
                f"{path}: decode: {each.decode!r} of {each.topic} needs a package that is not "
                "installed: pip install fastavro"
            )
            raise OperatorError(msg)


def registry_of(sources: Sources, credentials: tuple[str, str] | None) -> SchemaRegistry | None:
    """Return the schema registry that sources name; None without one."""
    return None if sources.registry is None else SchemaRegistry(sources.registry, credentials)


def mapped_topics(
    sources: Sources,
    max_payload_bytes: int,
    schema_of: Callable[[int], Schema] | None = None,
) -> dict[str, MappedTopic]:
    """Return the topics of sources, ready to read records.

    Parameters
    ----------
    sources
        The sources.
    max_payload_bytes
        Size of an event above which it is refused.
    schema_of
        Gives a schema of the registry; None where there is none.
    """
    more = {} if schema_of is None else {"schema_of": schema_of}
    return {
        topic: MappedTopic(
            each, halves=sources.has_inputs, max_payload_bytes=max_payload_bytes, **more
        )
        for topic, each in sources.by_topic.items()
    }
