"""Rows that were never measured."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from benchmarks.rows import About, Row


@pytest.fixture
def row() -> Callable[..., Row]:
    """Make a row that takes twice as long as its reference."""

    def make(name: str, bar: float | None = 3.0) -> Row:
        about = About(name, f"what {name} is", "ours", "theirs", bar=bar, note="a note")
        return Row(about, "ratio", 2.0, 1.0, 2.0, 1.9, 4)

    return make
