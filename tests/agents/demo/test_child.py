from __future__ import annotations

from pathlib import Path

import pytest

from agents.demo.child import last_message


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (b'{"level":"info","message":"Starting"}\n{"level":"critical","message":"No"}\n', "No"),
        (b'{"message":"Unexpected error","exception":"Traceback: x"}\n', "Unexpected error\nTr"),
        (b'{"message":"Starting"}\nKilled\n', "Killed"),
        (b"[1]\n", "[1]"),
        (b"", "its log is empty"),
    ],
)
def test_the_end_of_a_log_is_a_sentence(tmp_path: Path, log: bytes, sentence: str) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(log)

    assert last_message(path).startswith(sentence)
