"""Read a record of ``models``: the spec of a model, or its removal."""

from collections.abc import Callable
from typing import Any

import orjson

from schemas.model_spec import ModelSpec, SpecError, parse_spec
from schemas.wire import MAX_NAME

ProfileCheck = Callable[[ModelSpec], None]
"""Raises `SpecError` where a series of the spec's profile cannot be used."""


def refuse_profile(_spec: ModelSpec) -> None:
    """Refuse any profile: one that nobody has checked could stop every worker.

    Raises
    ------
    SpecError
        Always.
    """
    msg = "reference.profile: profiles are not taken here"
    raise SpecError(msg)


def read_spec_record(
    key: bytes | None, value: bytes | None, check_profile: ProfileCheck = refuse_profile
) -> tuple[str, bytes]:
    """Read a record of the topic ``models``; return its model and the payload for the log.

    Parameters
    ----------
    key, value
        The record; a value of None removes the model.
    check_profile
        Checks the profile of a spec that has one.

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
        msg = "model_id: missing; a spec in the log is of one model, name it"
        raise SpecError(msg)
    if named not in {None, model_id}:
        # Compaction keeps one record of each key: the spec of one model would delete another's.
        msg = f"model_id: is {model_id!r}, and the record's key {named!r}; they must be the same"
        raise SpecError(msg)
    if spec.reference.profile:
        check_profile(spec)
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
