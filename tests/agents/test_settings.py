from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from kafka import KafkaAdminClient

from agents.errors import OperatorError
from agents.settings import PREFIX, Settings, load_settings
from schemas.describe import fill
from tests.kafka import RealKafka
from tests.regenerate import COMMAND, ROOT
from tests.settings_page import SECTIONS, settings_tables


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)


def refusal(**overrides: object) -> str:
    with pytest.raises(OperatorError) as caught:
        load_settings(**overrides)
    return str(caught.value)


def test_nothing_has_to_be_set() -> None:
    settings = load_settings()

    assert settings.brokers == ["127.0.0.1:9092"]
    assert settings.topics.name("events") == "tidegauge.events"
    assert settings.connection() == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "PLAINTEXT",
    }


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_GROUP", "from-environment")
    monkeypatch.setenv("TIDEGAUGE_PARTITIONS", "8")

    settings = load_settings(group="from-flag", partitions=None)

    assert (settings.group, settings.partitions) == ("from-flag", 8)


@pytest.mark.parametrize(
    ("prefix", "group", "deployment"),
    [
        ("tidegauge.", "tidegauge", "tidegauge"),
        ("staging.", "tidegauge-staging", "staging"),
        ("tidegauge.staging.", "tidegauge.staging", "tidegauge.staging"),
        (".", "tidegauge", "tidegauge"),
    ],
)
def test_the_names_of_group_and_deployment_follow_the_prefix(
    prefix: str, group: str, deployment: str
) -> None:
    settings = load_settings(prefix=prefix)

    assert (settings.group, settings.deployment) == (group, deployment)
    assert load_settings(prefix=prefix, group="ours", deployment="eu").group == "ours"


def test_a_wrong_prefix_is_the_only_problem_that_it_makes() -> None:
    (line,) = refusal(prefix="a b").splitlines()

    assert "TIDEGAUGE_PREFIX" in line


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_PREFIX", "")

    assert load_settings().prefix == "tidegauge."


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("broker", "kafka"),
        ("broker", "kafka:0"),
        ("broker", "kafka:9092,"),
        ("broker", "kafka:port"),
        ("group", "a b"),
        ("group_instance", "a/b"),
        ("prefix", "x" * 240),
        ("predictions", "a topic"),
        ("role", "everything"),
        ("partitions", 0),
        ("partitions", "four"),
        ("max_payload_bytes", 10),
        ("idle_s", "nan"),
        ("idle_s", 0),
        ("dead_letter_ratio", 0),
        ("dead_letter_ratio", 1.5),
        ("dead_letter_window", 0),
        ("security_protocol", "TLS"),
        ("tls_ca_file", "/nowhere/ca.pem"),
        ("sasl_mechanism", "GSSAPI"),
        ("session_timeout_s", 5),
        ("stall_s", 1),
        ("log_level", "loud"),
    ],
)
def test_a_bad_value_is_refused_with_its_name_value_and_remedy(name: str, value: object) -> None:
    message = refusal(**{name: value})

    assert message.startswith(f"{name} (TIDEGAUGE_{name.upper()}) = {value!r}: ")
    assert message.endswith(f"{Settings.model_fields[name].description}.")
    assert "\n" not in message


def test_every_problem_has_a_line_of_its_own() -> None:
    lines = refusal(broker="x", partitions=0, role="y").splitlines()

    assert [line.split(" ")[0] for line in lines] == ["broker", "role", "partitions"]


def test_a_setting_that_does_not_exist_is_refused() -> None:
    assert refusal(brokers="a:1") == "There is no setting 'brokers'."


def test_settings_cannot_change() -> None:
    settings = load_settings()

    with pytest.raises(ValueError, match="frozen"):
        settings.group = "other"  # type: ignore[misc]


def test_the_limit_on_dead_letters_can_be_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_DEAD_LETTER_RATIO", "none")

    assert load_settings().dead_letter_ratio is None


def test_the_inputs_are_two_topics() -> None:
    assert refusal(outcomes="predictions").startswith("predictions and outcomes are the same topic")


def test_scram_over_plaintext_takes_a_user_and_a_password() -> None:
    settings = load_settings(
        security_protocol="SASL_PLAINTEXT",
        username="ada",
        password="mellon",  # noqa: S106
    )

    assert settings.connection() == {
        "bootstrap_servers": ["127.0.0.1:9092"],
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "SCRAM-SHA-512",
        "sasl_plain_username": "ada",
        "sasl_plain_password": "mellon",
    }


def test_a_password_comes_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("mellon\n")

    settings = load_settings(
        security_protocol="SASL_PLAINTEXT", username="ada", password_file=str(file)
    )

    assert "mellon" in settings.connection().values()


def test_two_passwords_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("mellon")

    message = refusal(password="friend", password_file=str(file))  # noqa: S106

    assert "keep one of the two" in message
    assert "friend" not in message


def test_a_password_is_never_shown() -> None:
    settings = load_settings(username="ada", password="mellon")  # noqa: S106

    assert "mellon" not in f"{settings!r} {settings} {settings.model_dump()}"
    assert "mellon" not in refusal(password="mellon", partitions=0)  # noqa: S106


def test_a_plain_password_does_not_travel_without_tls() -> None:
    message = refusal(
        security_protocol="SASL_PLAINTEXT",
        sasl_mechanism="PLAIN",
        username="ada",
        password="mellon",  # noqa: S106
    )

    assert message == "sasl_mechanism PLAIN reveals the password; set security_protocol SASL_SSL."


def test_sasl_without_a_user_is_refused() -> None:
    assert "needs username, and password" in refusal(security_protocol="SASL_SSL")


def test_a_certificate_needs_its_key(tmp_path: Path) -> None:
    file = tmp_path / "cert.pem"
    file.write_text("x")

    assert "belong together" in refusal(tls_cert_file=str(file))


def test_tls_verifies_the_brokers_certificate_and_name() -> None:
    context = load_settings(security_protocol="SSL").connection()["ssl_context"]

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_a_file_that_is_not_pem_is_refused_by_name(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("not a certificate")
    settings = load_settings(security_protocol="SSL", tls_ca_file=str(file))

    with pytest.raises(OperatorError, match=f"tls_ca_file={file}"):
        settings.connection()


def test_kafka_python_takes_the_same_connection(kafka: RealKafka) -> None:
    settings = load_settings(broker=kafka.bootstrap)

    with KafkaAdminClient(**settings.connection()) as admin:
        assert len(admin.describe_cluster()["brokers"]) == 1


def test_a_misspelt_variable_is_named_with_what_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_BROKERS", "127.0.0.1:9092")

    with pytest.raises(OperatorError, match=r"TIDEGAUGE_BROKERS .* did you mean TIDEGAUGE_BROKER"):
        load_settings()


def test_a_variable_of_somebody_else_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGAUGE_REQUIRE_KAFKA", "1")

    assert load_settings().broker == "127.0.0.1:9092"


def test_the_page_of_settings_has_every_one_of_them_once_as_it_is() -> None:
    listed = [name for names in SECTIONS.values() for name in names]

    assert sorted(listed) == sorted(Settings.model_fields)
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    assert fill(page, settings_tables()) == page, COMMAND
    assert all(f"| `{PREFIX}{name.upper()}` |" in page for name in Settings.model_fields)
