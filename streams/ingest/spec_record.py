"""Read a record of ``models``."""

from typing import Any

import orjson

from schemas.model_spec import ModelSpec, SpecError, parse_spec
from schemas.wire import MAX_NAME


def read_spec_record(key: bytes | None, value: bytes | None) -> tuple[str, bytes]:
    """Read a record of the topic ``models``; return its model and the payload for the log.

    Raises
    ------
    SpecError
        Naming each field that is wrong, its value, and what would be right.
    """
    named = _name_of(key)
    if value is None:
        if named is None:
            msg = "a record without a value removes a model: its key must name the model"
            raise SpecError(msg)
        return named, _payload(named, None)
    try:
        data = orjson.loads(value)
    except orjson.JSONDecodeError as error:
        msg = f"the spec is not JSON: {error}"
        raise SpecError(msg) from None
    spec = parse_spec(data)
    model_id = spec.model_id or named
    if model_id is None:
        msg = "model_id: missing; the log knows no spec of all models, name one"
        raise SpecError(msg)
    if named not in {None, model_id}:
        # Compaction goes by the key: the spec of one model would delete another's.
        msg = f"model_id: is {model_id!r}, and the record's key {named!r}; they must be the same"
        raise SpecError(msg)
    if spec.reference.profile:
        _check_profile(spec)
    given = spec.model_copy(update={"model_id": model_id})
    return model_id, _payload(model_id, given.model_dump(mode="json", exclude_unset=True))


def _name_of(key: bytes | None) -> str | None:
    if not key:
        return None
    try:
        name = key.decode()
    except UnicodeDecodeError:
        msg = "the record's key is not UTF-8: it must be the model_id"
        raise SpecError(msg) from None
    if len(name) > MAX_NAME:
        msg = f"the record's key has {len(name):,} characters; a model_id has at most {MAX_NAME}"
        raise SpecError(msg)
    return name


def _payload(model_id: str, spec: dict[str, Any] | None) -> bytes:
    return orjson.dumps({"model_id": model_id, "spec": spec})


def _check_profile(spec: ModelSpec) -> None:
    # Loaded here: an ingest that never sees a profile needs no compiler.
    from streams.series.profile import check_profile  # noqa: PLC0415

    check_profile(spec)
