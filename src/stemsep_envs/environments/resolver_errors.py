"""Telling why requirements cannot be met: the resolver's chain, joined with who asks for what is in it. Pure."""

from __future__ import annotations

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from stemsep_envs.documents.lock import LockInputs
from stemsep_envs.documents.requirements import Requirements
from stemsep_envs.environments.uv_words import lacks_wheels, packages_in
from stemsep_envs.errors import BuildError


def unsatisfiable(error: BuildError, asked: Requirements, inputs: LockInputs, *, what: str) -> BuildError:
    """Return the error that a resolver's failure is: who asks for what cannot be met together, and its own words.

    Args:
        error: The failure, with the resolver's reasoning as its output.
        asked: The requirements behind the question.
        inputs: The question.
        what: What was to be locked, in words.
    """
    named = packages_in(error.output)
    sides, about = [], []
    for text, source in _asks(asked, inputs):
        name = canonicalize_name(Requirement(text).name)
        if name in named:
            sides.append(f"{text} ({source})")
            about.append(name)
    words = f"{what} cannot be resolved: "
    words += f"nothing meets {_joined(sides)}" if sides else "no versions meet all that is asked for"
    hint = "the chain that makes it so is above; change one of its ends, or choose another runtime or target"
    if lacks_wheels(error.output):
        allowed = f" ({', '.join(inputs.builds)})" if inputs.builds else ""
        hint += f". Only wheels are installed, but for what a runtime lists under source_distributions{allowed}"
    return BuildError(
        words,
        hint=hint,
        code="unsatisfiable",
        output=error.output,
        command=error.command,
        about=tuple(dict.fromkeys(about)),
    )


def _asks(asked: Requirements, inputs: LockInputs) -> list[tuple[str, str]]:
    """Return every requirement with who asks for it, the ends of torch's range each on their own."""
    asks = [(want.text, str(want.source)) for want in asked.packages_on(inputs.target.family.name)]
    if asked.torch is not None:
        if asked.torch.lower is not None:
            asks.append((f"torch>={asked.torch.lower.version}", str(asked.torch.lower.source)))
        if asked.torch.upper is not None:
            asks.append((f"torch<{asked.torch.upper.ceiling}", str(asked.torch.upper.source)))
    return asks


def _joined(sides: list[str]) -> str:
    return sides[0] if len(sides) == 1 else f"{', '.join(sides[:-1])} and {sides[-1]} together"
