"""The stable codes of errors, reasons and warnings: programs match on them, and the docs list them from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Code:
    """What a code means in one line, and whether it stops the work."""

    meaning: str
    severity: Severity = "error"


CODES: dict[str, Code] = {
    # Registry and routing.
    "unknown_model": Code("The registry has no model of this id; the hint names the nearest."),
    "registry_missing": Code("The registry file does not exist."),
    "registry_unreadable": Code("The registry file cannot be read."),
    "model_blocked": Code("The registry says that this model must not be run."),
    "model_online_only": Code("The model exists as an online service only; there is nothing to run here."),
    "runtime_unknown": Code("There is no recipe here for the runtime that was named or that the registry prefers."),
    "runtime_not_allowed": Code("The runtime that was named is not in the model's runtime.allowed."),
    "variant_unknown": Code("The runtime has no variant of the name that the model asks for."),
    "model_type_missing": Code("The registry does not say which of the runtime's model types the model is."),
    "model_type_unknown": Code("The runtime has no model type of the name that the model asks for."),
    # Settings.
    "setting_unknown": Code("The runtime has no setting of this name for this model."),
    "setting_invalid": Code("A setting has the wrong type, or lies outside what the runtime takes."),
    "overlap_unusable": Code("The overlap cannot be expressed in the runtime's unit."),
    "segment_unusable": Code("The segment length cannot be expressed in the runtime's unit."),
    "overlap_adjusted": Code("The overlap was clamped or rounded to what the runtime takes.", "warning"),
    "setting_ignored": Code("A setting that the registry recommends is not one of the runtime's.", "warning"),
    "meaning_unknown": Code("The registry gives overlap a meaning that is not known here.", "warning"),
}
"""Every code, in the order in which the docs show them."""
