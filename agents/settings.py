"""The settings of an operator, all checked before anything starts.

Every setting is an environment variable ``TIDEGAUGE_<NAME>``; a flag on the command line wins.
"""

from __future__ import annotations

import difflib
import os
import re
import ssl
from dataclasses import replace
from functools import cached_property
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

from agents.credentials import RenewingContext, TlsFiles, TokenFile
from agents.errors import OperatorError
from agents.sources import mapped_topics, read_sources, registry_of
from schemas.topics import TopicRole, Topics
from streams.ingest.sources.mapping import MappedTopic
from streams.ingest.sources.source_map import Sources

PREFIX = "TIDEGAUGE_"

WorkerRole = Literal["ingest", "monitor", "both"]

_OURS = "tidegauge"
_UNDERIVED = "default_factory_not_called"
_LEGAL_NAME = re.compile(r"[A-Za-z0-9._-]+")
_TOPIC_NAME_MAX = 249
"""Characters of a topic's name at most, as Kafka has it."""
_SENT_AS_IS = {"PLAIN": "password", "OAUTHBEARER": "token"}
"""Mechanisms by which a listener could read the secret."""
_LONGEST_ROLE = max(map(len, get_args(TopicRole)))


def _addresses(value: str) -> str:
    for address in value.split(","):
        host, colon, port = address.strip().rpartition(":")
        if not (colon and host and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError(f"{address.strip()!r} is not host:port")
    return value


def _name(value: str) -> str:
    if not _LEGAL_NAME.fullmatch(value):
        msg = "a name in Kafka consists of letters, digits, '.', '_' and '-'"
        raise ValueError(msg)
    return value


def _readable(value: Path) -> Path:
    try:
        value.read_bytes()
    except OSError as error:
        raise ValueError(f"the file cannot be read: {error.strerror}") from error
    return value


def _deployment_of(checked: dict[str, Any]) -> str:
    prefix: str = checked["prefix"]
    return prefix.rstrip("._-") or _OURS


def _group_of(checked: dict[str, Any]) -> str:
    deployment = _deployment_of(checked)
    return deployment if deployment.startswith(_OURS) else f"{_OURS}-{deployment}"


def _web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        msg = "an address is http://HOST or https://HOST, without a query"
        raise ValueError(msg)
    return value.rstrip("/")


Name = Annotated[str, AfterValidator(_name)]
ReadableFile = Annotated[Path, AfterValidator(_readable)]


class Settings(BaseSettings):
    """All settings. The description of each field is the remedy in its error messages."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True, validate_default=True
    )

    broker: Annotated[str, AfterValidator(_addresses)] = Field(
        "127.0.0.1:9092", description="Addresses of Kafka, as host:port or host:port,host:port"
    )
    prefix: Name = Field(
        f"{_OURS}.",
        max_length=_TOPIC_NAME_MAX - _LONGEST_ROLE,
        description="The prefix of the names of all topics owned by Tidegauge",
    )
    group: Name = Field(
        default_factory=_group_of,
        max_length=200,
        description="The consumer group, of one prefix only; unless set it is tidegauge, or "
        "tidegauge-NAME where the prefix is NAME",
    )
    deployment: Name = Field(
        default_factory=_deployment_of,
        max_length=200,
        description="The name of this deployment in alerts and notifications; unless set it is the "
        "prefix without the dot at its end",
    )
    group_instance: Name | None = Field(
        None,
        max_length=200,
        description="A name of this worker that is unique in the group and survives restarts; a "
        "worker that returns within session_timeout_s keeps its partitions",
    )
    predictions: Name = Field(
        "predictions", max_length=_TOPIC_NAME_MAX, description="The topic with predictions"
    )
    outcomes: Name = Field(
        "outcomes", max_length=_TOPIC_NAME_MAX, description="The topic with outcomes"
    )
    models: Name = Field(
        "models", max_length=_TOPIC_NAME_MAX, description="The topic with the models' specs"
    )
    sources: ReadableFile | None = Field(
        None, description="File that maps records of other topics to events, see docs/sources.md"
    )
    registry_username: str | None = Field(None, description="The user of the schema registry")
    registry_password: SecretStr | None = Field(None, description="The password of that user")
    role: WorkerRole = Field(
        "both", description="The role of this worker: ingest, monitor, or both"
    )
    partitions: int = Field(
        4,
        ge=1,
        le=1024,
        description="Partitions of events, a whole number from 1 to 1024, fixed for "
        "the life of the topic",
    )
    inputs_by_model: bool = Field(
        False,
        description="Whether records of all inputs are keyed by model_id with Kafka's own "
        "partitioner, and several workers may read them, see docs/scaling.md; true or false",
    )
    max_payload_bytes: int = Field(
        262_144,
        ge=1_024,
        le=900_000,
        description="Size of an input above which it is refused; from 1024 to 900000 bytes",
    )
    idle_s: float = Field(
        1.0,
        ge=0.1,
        le=60.0,
        description="Seconds that ingest waits for older records: a tenth of it after a record's "
        "timestamp, 60 times as long for a partition of which the broker says nothing; 0.1 to 60",
    )
    dead_letter_ratio: float | None = Field(
        None,
        gt=0.0,
        le=1.0,
        description="Share of refused inputs that stops the worker, above 0 and at most 1; 'none', "
        "the default, for no limit",
    )
    max_models: int = Field(
        20_000,
        ge=1,
        le=1_000_000,
        description="Model ids that are known, over all partitions, from 1; the same for all "
        "workers and for verify",
    )
    forget_after_s: float = Field(
        30 * 86_400.0,
        ge=86_400.0,
        le=10 * 366 * 86_400.0,
        description="Seconds without an event after which a model is put away, from a day; the "
        "same for all workers and for verify",
    )
    dead_letter_window: int = Field(
        20_000,
        ge=1,
        le=1_000_000,
        description="Inputs of one topic over which that share is computed, at least 1",
    )
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="One of PLAINTEXT, SSL, SASL_PLAINTEXT and SASL_SSL"
    )
    tls_ca_file: ReadableFile | None = Field(
        None, description="PEM file of the authority that signed the brokers' certificates"
    )
    tls_cert_file: ReadableFile | None = Field(
        None, description="PEM file of this worker's certificate"
    )
    tls_key_file: ReadableFile | None = Field(
        None, description="PEM file of the certificate's private key"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] = Field(
        "SCRAM-SHA-512",
        description="SCRAM-SHA-256, SCRAM-SHA-512, or over TLS only PLAIN and OAUTHBEARER",
    )
    username: str | None = Field(None, description="The SASL user")
    password: SecretStr | None = Field(
        None, description="The SASL password; better in a file, see password_file"
    )
    password_file: ReadableFile | None = Field(
        None, description="File that holds the SASL password"
    )
    token_file: ReadableFile | None = Field(
        None, description="File that holds the token of OAUTHBEARER; read for each connection"
    )
    save_every_s: float = Field(
        2.0,
        ge=0.1,
        le=60.0,
        description="Seconds between two saves of the monitors' state; 0.1 to 60",
    )
    clock_tolerance_s: float = Field(
        30.0,
        ge=1.0,
        le=3_600.0,
        description="Seconds by which a worker's clock may differ from the broker's; 1 to 3600",
    )
    session_timeout_s: float = Field(
        10.0,
        ge=6.0,
        le=300.0,
        description="Seconds without a heartbeat after which a worker's partitions go to others; "
        "6 to 300",
    )
    stall_s: float = Field(
        600.0,
        ge=10.0,
        le=86_400.0,
        description="Seconds without progress of a partition whose log grows, after which the "
        "worker ends; 10 to 86400",
    )
    prometheus_port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description="Port at which a worker or notify serves /metrics, from 1 to 65535, another "
        "one for each process of a machine; unless set none is open",
    )
    prometheus_host: str = Field(
        "127.0.0.1",
        min_length=1,
        max_length=253,
        description="Address of that port; 0.0.0.0 opens it to the network, without a password",
    )
    page_url: Annotated[str, AfterValidator(_web_address)] | None = Field(
        None,
        description="Address at which people reach the page, as https://gauge.example.org; links "
        "in alerts, logs and notifications begin with it",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="One of debug, info, warning and error"
    )

    @field_validator("dead_letter_ratio", mode="before")
    @classmethod
    def _none_is_off(cls, value: object) -> object:
        return None if isinstance(value, str) and value.lower() == "none" else value

    @field_validator("password_file")
    @classmethod
    def _one_password(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is not None and info.data.get("password") is not None:
            msg = "password is set as well; keep one of the two"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _security_is_complete(self) -> Self:
        if self._uses_sasl:
            self._sasl_is_complete()
        if (self.tls_cert_file is None) != (self.tls_key_file is None):
            msg = "tls_cert_file and tls_key_file belong together: set both or neither"
            raise ValueError(msg)
        inputs = {name: getattr(self, name) for name in ("predictions", "outcomes", "models")}
        for (name, topic), (other, same) in combinations(inputs.items(), 2):
            if topic == same:
                raise ValueError(f"{name} and {other} are the same topic, {topic!r}")
        return self

    def _sasl_is_complete(self) -> None:
        secret = _SENT_AS_IS.get(self.sasl_mechanism)
        if secret is not None and self.security_protocol != "SASL_SSL":
            raise ValueError(
                f"sasl_mechanism {self.sasl_mechanism} reveals the {secret}; set security_protocol "
                "SASL_SSL"
            )
        if self.sasl_mechanism == "OAUTHBEARER":
            if self.token_file is None:
                msg = "sasl_mechanism OAUTHBEARER needs token_file"
                raise ValueError(msg)
        elif self.username is None or self._password is None:
            raise ValueError(
                f"security_protocol {self.security_protocol} needs username, and password or "
                "password_file"
            )

    @property
    def topics(self) -> Topics:
        """The topics of this deployment."""
        mapped = () if self.source_map is None else tuple(self.source_map.by_topic)
        return replace(self._own_topics, mapped=mapped)

    @property
    def _own_topics(self) -> Topics:
        return Topics(
            prefix=self.prefix,
            predictions=self.predictions,
            outcomes=self.outcomes,
            models=self.models,
            partitions=self.partitions,
        )

    @cached_property
    def source_map(self) -> Sources | None:
        """The sources of the file that is named; None without one."""
        if self.sources is None:
            return None
        table = self._own_topics.table()
        inputs = {self.predictions, self.outcomes}
        return read_sources(self.sources, {topic.name for topic in table} - inputs)

    @property
    def registry_credentials(self) -> tuple[str, str] | None:
        """User and password of the schema registry: never log them."""
        if self.registry_username is None or self.registry_password is None:
            return None
        return self.registry_username, self.registry_password.get_secret_value()

    @property
    def brokers(self) -> list[str]:
        """Kafka's addresses, one ``host:port`` each."""
        return [address.strip() for address in self.broker.split(",")]

    @property
    def whose_user(self) -> str:
        """The user in Kafka, in words."""
        return f"user {self.username!r}" if self.username else "this user"

    @property
    def _uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @property
    def _uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    @property
    def _password(self) -> str | None:
        if self.password is not None:
            return self.password.get_secret_value()
        if self.password_file is not None:
            return self.password_file.read_text(encoding="utf-8").rstrip("\r\n")
        return None

    def _ssl_context(self) -> ssl.SSLContext:
        try:
            return RenewingContext(
                TlsFiles(self.tls_ca_file, self.tls_cert_file, self.tls_key_file)
            )
        except ssl.SSLError as error:
            raise OperatorError(
                "the TLS files do not match or are not PEM "
                f"(tls_ca_file={self.tls_ca_file}, tls_cert_file={self.tls_cert_file}, "
                f"tls_key_file={self.tls_key_file}): {error.reason}"
            ) from error

    def connection(self) -> dict[str, Any]:
        """Return the connection arguments of a Kafka client.

        kafka-python has the same ones, but for OAUTHBEARER. They hold secrets: never log them.
        """
        arguments: dict[str, Any] = {
            "bootstrap_servers": self.brokers,
            "security_protocol": self.security_protocol,
        }
        if self._uses_tls:
            arguments["ssl_context"] = self._ssl_context()
        if self._uses_sasl:
            arguments["sasl_mechanism"] = self.sasl_mechanism
            if self.sasl_mechanism == "OAUTHBEARER" and self.token_file is not None:
                arguments["sasl_oauth_token_provider"] = TokenFile(self.token_file)
            else:
                arguments["sasl_plain_username"] = self.username
                arguments["sasl_plain_password"] = self._password
        return arguments


def load_settings(**overrides: Any) -> Settings:
    """Return the settings from the environment, overridden by the arguments that are not None.

    Raises
    ------
    OperatorError
        One line for each problem: the value, the error, and the remedy.
    """
    _refuse_misspelt_variables()
    try:
        settings = Settings(
            **{name: value for name, value in overrides.items() if value is not None}
        )
    except ValidationError as error:
        # A default that is derived from a wrong value is no problem of its own.
        problems = [each for each in error.errors() if each["type"] != _UNDERIVED]
        raise OperatorError("\n".join(map(_problem, problems))) from None
    _ = settings.source_map  # a mistake in the sources is found at start
    return settings


def _refuse_misspelt_variables() -> None:
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    for name in sorted(os.environ):
        # Another program may share the prefix; a near miss of one of our names is a typing error.
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
            if near:
                raise OperatorError(f"{name} is not a setting; did you mean {near[0]}?")


def _problem(detail: Any) -> str:
    message = str(detail["msg"]).removeprefix("Value error, ")
    if not detail["loc"]:
        return f"{message}."
    name = str(detail["loc"][0])
    field = Settings.model_fields.get(name)
    if field is None:
        return f"There is no setting {name!r}."
    shown = "" if name in {"password", "registry_password"} else f" = {detail['input']!r}"
    return f"{name} ({PREFIX}{name.upper()}){shown}: {message}. {field.description}."


def mapped_topics_of(settings: Settings) -> dict[str, MappedTopic]:
    """Return the topics that have sources, ready to read records outside a worker."""
    sources = settings.source_map
    if sources is None:
        return {}
    registry = registry_of(sources, settings.registry_credentials)
    schema_of = None if registry is None else registry.fetched
    return mapped_topics(sources, settings.max_payload_bytes, schema_of)
