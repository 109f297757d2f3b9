"""What is tried once more after memory ran out."""

from __future__ import annotations

import math
from typing import Any

import pytest

from stemsep_envs.documents.run import ResolvedSetting
from stemsep_envs.documents.runtime import SettingDeclaration
from stemsep_envs.registry.settings import COMMAND_LINE, RUNTIME_DEFAULT
from stemsep_envs.separation.memory_retry import RETRY_SOURCE, smaller_settings

DECLARED = {
    "batch_size": SettingDeclaration(type="int", min=1, description="Chunks at once."),
    "chunk_size": SettingDeclaration(type="int", min=1000, unit="samples", description="Length of a chunk."),
}


def planned(source: str = RUNTIME_DEFAULT, **values: Any) -> dict[str, ResolvedSetting]:
    return {name: ResolvedSetting(value=value, unit=None, source=source) for name, value in values.items()}


def shrunk(planned: dict[str, ResolvedSetting], effective: dict[str, Any], segment: str | None = "chunk_size") -> Any:
    changes = smaller_settings(planned, effective, DECLARED, segment=segment)
    assert all(setting.source == RETRY_SOURCE for setting in changes.values())
    return {name: setting.value for name, setting in changes.items()}


def test_the_batch_goes_first_then_the_chunk_is_halved() -> None:
    assert shrunk(planned(batch_size=4, chunk_size=8001), {}) == {"batch_size": 1}
    assert shrunk(planned(batch_size=1, chunk_size=8001), {}) == {"chunk_size": 4000}


def test_what_the_engine_chose_counts() -> None:
    undecided = planned(batch_size=None, chunk_size=None)
    assert shrunk(undecided, {"batch_size": 2, "chunk_size": 9000}) == {"batch_size": 1}
    assert shrunk(undecided, {"batch_size": 1, "chunk_size": 9000}) == {"chunk_size": 4500}
    assert shrunk(undecided, {}) == {}


def test_the_users_own_values_are_left_alone() -> None:
    assert shrunk(planned(COMMAND_LINE, batch_size=4, chunk_size=9000), {}) == {}
    mixed = {**planned(COMMAND_LINE, batch_size=4), **planned(chunk_size=9000)}
    assert shrunk(mixed, {}) == {"chunk_size": 4500}


def test_nothing_is_made_smaller_than_the_runtime_takes() -> None:
    assert shrunk(planned(batch_size=1, chunk_size=1999), {}) == {}
    assert shrunk(planned(batch_size=1, chunk_size=9000), {}, segment=None) == {}


@pytest.mark.parametrize("nonsense", [True, "9000", math.nan, math.inf, -5, 0, 10**400, None, [9000]])
def test_a_worker_that_says_nonsense_is_not_believed(nonsense: Any) -> None:
    assert shrunk(planned(chunk_size=9000), {"batch_size": nonsense, "chunk_size": nonsense}) == {"chunk_size": 4500}
