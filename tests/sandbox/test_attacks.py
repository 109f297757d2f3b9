"""Every attack works where nothing confines it, and is held by the levels that promise it, for root and a user."""

from __future__ import annotations

import os
from typing import Any

import pytest
from tests.sandbox.attacks import ATTACKS, Attack
from tests.sandbox.table import DOCUMENT, updated

from stemsep_envs.sandbox.policy import LevelName

Results = dict[str, dict[str, Any]]

every_attack = pytest.mark.parametrize("attack", ATTACKS, ids=[attack.name for attack in ATTACKS])


@every_attack
def test_control_works_unconfined(attack: Attack, user: str, fought_without: Results) -> None:
    if attack.only_root and (user != "root" or os.geteuid() != 0):
        pytest.skip("only root could do it")
    result = fought_without[attack.name]
    if attack.may_lack and not result["happened"]:
        pytest.skip(f"does not work here even unconfined: {attack.may_lack}")
    assert result["happened"], result


@every_attack
def test_attack_is_held(attack: Attack, level: LevelName, fought: Results) -> None:
    result = fought[attack.name]
    if level in attack.held_by:
        assert not result["happened"], result
    elif attack.instead == "not held":
        # Kept honest both ways: a level that has come to hold it says so in the table.
        assert result["happened"], result


def test_the_document_has_the_table() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == updated(text), "run python tests/sandbox/table.py"
