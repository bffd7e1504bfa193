"""Hypothesis strategies for events, valid and spoilt."""

import orjson
from hypothesis import strategies as st

from schemas.instants import FIRST_INSTANT_MS, LAST_INSTANT_MS
from schemas.wire import to_rfc3339

Json = dict[str, object]

characters = st.characters(exclude_categories=["Cs"])
ids = st.text(characters, min_size=1, max_size=12)
texts = st.text(characters, max_size=12)
epochs = st.integers(FIRST_INSTANT_MS, LAST_INSTANT_MS)
instants = epochs | epochs.map(to_rfc3339)
numbers = st.floats(allow_nan=False, allow_infinity=False)
labels = st.booleans() | st.integers(-(2**63), 2**63 - 1) | numbers | texts
probabilities = st.floats(0, 1) | st.integers(0, 1)
unknown_fields = st.dictionaries(ids.map("x-{}".format), st.none() | st.lists(texts), max_size=2)

predictions: st.SearchStrategy[Json] = st.builds(
    lambda event, unknown: unknown | event,
    st.fixed_dictionaries(
        {"prediction_id": ids, "model_id": ids, "predicted_at": instants, "prediction": labels},
        optional={
            "score": st.none() | probabilities,
            "scores": st.dictionaries(ids, probabilities, max_size=3),
            "model_version": ids,
            "features": st.dictionaries(ids, st.none() | labels, max_size=5),
            "segment": st.dictionaries(ids, texts, max_size=3),
            "status": st.sampled_from(["ok", "fallback", "error"]),
            "latency_ms": st.floats(0, 1e6),
            "explanation": st.dictionaries(ids, numbers, max_size=3),
        },
    ),
    unknown_fields,
)
outcomes: st.SearchStrategy[Json] = st.builds(
    lambda event, unknown: unknown | event,
    st.fixed_dictionaries(
        {"prediction_id": ids, "model_id": ids, "observed_at": instants, "outcome": labels},
        optional={"value": numbers, "source": ids},
    ),
    unknown_fields,
)


@st.composite
def spoilt(draw: st.DrawFn) -> bytes:
    """Draw a valid prediction with some of its bytes changed, cut out or put in."""
    value = bytearray(orjson.dumps(draw(predictions)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(value)))
        value[at : at + draw(st.integers(0, 3))] = draw(st.binary(max_size=3))
    return bytes(value)
