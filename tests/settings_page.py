"""The tables of docs/settings.md, made from the settings themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from agents.settings import PREFIX, Settings

SECTIONS: Mapping[str, Sequence[str]] = MappingProxyType(
    {
        "kafka": ("broker", "prefix", "group", "group_instance", "deployment"),
        "topics": ("predictions", "outcomes", "models", "partitions", "inputs_by_model", "sources"),
        "security": (
            "security_protocol",
            "tls_ca_file",
            "tls_cert_file",
            "tls_key_file",
            "sasl_mechanism",
            "username",
            "password",
            "password_file",
            "token_file",
            "registry_username",
            "registry_password",
        ),
        "worker": (
            "role",
            "max_payload_bytes",
            "idle_s",
            "dead_letter_ratio",
            "dead_letter_window",
            "max_models",
            "forget_after_s",
            "save_every_s",
            "clock_tolerance_s",
            "session_timeout_s",
            "stall_s",
        ),
        "seen": (
            "log_level",
            "page_url",
            "prometheus_port",
            "prometheus_host",
        ),
    }
)
_DERIVED = {"group": "from the prefix", "deployment": "from the prefix"}


def settings_tables() -> dict[str, str]:
    """Return the table of each section, by the mark that it has in the page."""
    return {f"settings {title}": _table(names) for title, names in SECTIONS.items()}


def _table(names: Sequence[str]) -> str:
    rows = ["| variable | default | meaning |\n| --- | --- | --- |\n"]
    for name in names:
        field = Settings.model_fields[name]
        rows.append(f"| `{PREFIX}{name.upper()}` | {_default(name, field)} | {_text(field)} |\n")
    return "".join(rows)


def _default(name: str, field: FieldInfo) -> str:
    if name in _DERIVED:
        return _DERIVED[name]
    if field.default is None or field.default is PydanticUndefined:
        return "none"
    if isinstance(field.default, float):
        return f"`{field.default:.15g}`"
    return f"`{field.default}`"


def _text(field: FieldInfo) -> str:
    return f"{field.description}.".replace("|", "\\|")
