"""`registry show`: the entry as it is written."""

from __future__ import annotations

import json
from pathlib import Path

from stemsep_envs.commands.registry_show import show_entry


def test_an_entry_is_shown_as_it_is(registry: Path) -> None:
    written = json.loads(registry.read_text("utf-8"))["models"]
    assert [json.loads(show_entry(registry, model)) for model in ("dsp-hpss", "other")] == written
