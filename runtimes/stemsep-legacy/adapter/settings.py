"""What can be asked for, checked against what the model allows."""

from __future__ import annotations

from typing import Any, Dict, NamedTuple, Optional

from .context import Context


class Settings(NamedTuple):
    """Every setting, in effect. `segment` in seconds; None for each model's own, which those of a bag may differ in."""

    overlap: float
    segment: Optional[float]
    shifts: int
    seed: int
    jobs: int
    two_stems: Optional[str]


_DEFAULTS = Settings(overlap=0.25, segment=None, shifts=0, seed=0, jobs=0, two_stems=None)


def resolve(model: Any, given: Dict[str, Any], context: Context) -> Settings:
    """The settings for a model, with defaults where none is given. Fails with `unsupported_setting`."""
    for name in given:
        if name not in Settings._fields:
            hint = "It has: {}.".format(", ".join(Settings._fields))
            context.fail("unsupported_setting", f"demucs has no setting {name!r}", hint=hint)
    settings = _DEFAULTS._replace(**{name: value for name, value in given.items() if value is not None})
    _check_segment(settings, model, context)
    if settings.two_stems is not None and settings.two_stems not in model.sources:
        words = f"two_stems is {settings.two_stems!r}, and the model makes {', '.join(model.sources)}"
        context.fail("unsupported_setting", words)
    return settings


def _check_segment(settings: Settings, model: Any, context: Context) -> None:
    from demucs.htdemucs import HTDemucs

    members = list(getattr(model, "models", [model]))
    longest = min((float(one.segment) for one in members if isinstance(one, HTDemucs)), default=None)
    if settings.segment is None:
        return
    if longest is not None and settings.segment > longest:
        context.fail(
            "unsupported_setting",
            f"segment is {settings.segment:g} s, and this model was trained with {longest:g} s: no longer ones work",
            hint=f"Take {longest:g} or less, or leave it to the model.",
        )
    if int((1 - settings.overlap) * int(model.samplerate * settings.segment)) < 1:
        context.fail(
            "unsupported_setting",
            f"a segment of {settings.segment:g} s overlapping by {settings.overlap:g} never advances",
        )
