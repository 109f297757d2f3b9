"""What the record takes over of a worker's word."""

from __future__ import annotations

from stemsep_envs.separation.track_facts import plain_settings


def test_plain_settings_of_sane_size_are_taken_over() -> None:
    said = {"chunk_size": 8000, "tta": False, "ratio": 0.5, "precision": "x" * 999}
    assert plain_settings(said) == {"chunk_size": 8000, "tta": False, "ratio": 0.5, "precision": "x" * 200}
    assert plain_settings({"deep": {"a": 1}, "list": [1], "nothing": None, "huge": 10**30}) == {}
