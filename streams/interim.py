"""TO BE DELETED."""

import msgspec

from streams import codec
from streams.series.recovery import RecoveryCheck
from streams.series.watch import SeriesWatch
from streams.series.watch_spec import WatchSpec
from streams.tree_codec import pack, unpack


def _w(w):
    return msgspec.msgpack.encode(
        (w._spec.role, w._spec.kind, w._spec.reference_rows, w.snapshot())
    )


def _r(b):
    role, kind, rows, snap = msgspec.msgpack.decode(b)
    return SeriesWatch.restore(WatchSpec(role=role, kind=kind, reference_rows=rows), snap)


codec.extend(SeriesWatch, _w, _r)
codec.extend(
    RecoveryCheck, lambda c: pack(c.snapshot()), lambda b: RecoveryCheck.restore(unpack(b))
)
