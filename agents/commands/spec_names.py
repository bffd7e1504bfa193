"""Names in a spec that are those of nothing: a typing error there has no other effect."""

import difflib
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from schemas.model_spec import ModelSpec
from streams.model.spec import SpecInForce
from streams.model.state import features_of_snapshot, summary_of_snapshot

SHOWN_NAMES = 5
"""Names of models or features in a sentence; the others are counted."""


def absent_features(spec: ModelSpec, features: AbstractSet[str], owner: str) -> Iterator[str]:
    """Yield a sentence for each field of a spec that names features which are not there.

    Parameters
    ----------
    features
        Those that have come.
    owner
        Their owner, as the sentence names it.

    Examples
    --------
    >>> from schemas.model_spec import parse_spec
    >>> spec = parse_spec({"features": {"ignore": ["incom", "age"]}})
    >>> list(absent_features(spec, {"income", "age"}, "the input"))
    ['features.ignore names no feature of the input: incom. Did you mean income?']
    """
    named = {
        "features.ignore": spec.features.ignore,
        "features.categorical": spec.features.categorical,
        "reference.profile": [
            series.removeprefix("feature/")
            for series in spec.reference.profile
            if series.startswith("feature/")
        ],
    }
    for field_name, names in named.items():
        absent = sorted(set(names) - features)
        if absent:
            near = difflib.get_close_matches(absent[0], features, n=1)
            hint = f" Did you mean {near[0]}?" if near else ""
            yield f"{field_name} names no feature of {owner}: {listed(absent)}.{hint}"


def names_nothing(model_id: str, in_force: SpecInForce, snapshot: bytes) -> list[str]:
    """Return sentences about a spec in the log that names what its model has not had yet."""
    if not in_force.version:
        return []
    if not summary_of_snapshot(snapshot).predictions:
        return [f"No prediction of {model_id} has come yet: check its name, or wait for one."]
    features = features_of_snapshot(snapshot)
    return list(absent_features(in_force.spec, features, "the model so far"))


def listed(names: Sequence[str]) -> str:
    """Return names for a sentence, the first of many."""
    shown = ", ".join(names[:SHOWN_NAMES])
    return f"{shown} and {len(names) - SHOWN_NAMES} more" if len(names) > SHOWN_NAMES else shown
