"""How strictly preflight's findings are enforced (`planning.judgement` weighs them)."""

from __future__ import annotations

from typing import Literal, get_args

Enforcement = Literal["strict", "warn"]
"""``strict`` stops at every reason against a model; ``warn`` lets those pass that a developer may override."""

ENFORCEMENTS: tuple[Enforcement, ...] = get_args(Enforcement)
