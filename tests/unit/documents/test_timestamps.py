"""Points in time."""

from __future__ import annotations

from stemsep_envs.documents.timestamps import utc_text


def test_a_time_is_written_in_utc_to_the_second() -> None:
    assert utc_text(1_700_000_000.9) == "2023-11-14T22:13:20Z"
    assert utc_text(None) is None
