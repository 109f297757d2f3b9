"""Plans as JSON: written here, carried out by another process that sees the same home.

Only a process that is trusted may write one, since a plan names the sandbox that its worker gets.
"""

from __future__ import annotations

from functools import cache

from pydantic import TypeAdapter, ValidationError

from stemsep_envs._version import __version__
from stemsep_envs.documents.base import problems_of
from stemsep_envs.documents.strict_json import load_json
from stemsep_envs.errors import InvalidDocumentError, Problem
from stemsep_envs.planning.plan import Plan


def write_plan(plan: Plan) -> bytes:
    """Return a plan as JSON text, led by the version of the program that can read it."""
    return b'{"version":"%s","plan":%s}' % (
        __version__.encode(),
        _adapter().dump_json(plan, by_alias=True, exclude_unset=True),
    )


def read_plan(data: bytes, *, origin: str = "plan") -> Plan:
    """Read a plan that `write_plan` wrote.

    Args:
        data: The text.
        origin: What to call it in messages.

    Raises:
        InvalidDocumentError: It is not a plan, or one of another version of the program.
    """
    document = load_json(data, origin=origin)
    version = document.get("version") if isinstance(document, dict) else None
    if version != __version__:
        words = f"must be {__version__}, the version of this program, not {version!r}"
        raise InvalidDocumentError(origin, (Problem("version", words),), hint="plan the model again")
    try:
        return _adapter().validate_python(document.get("plan"))
    except ValidationError as error:
        raise InvalidDocumentError(origin, problems_of(error)) from None


@cache
def _adapter() -> TypeAdapter[Plan]:
    return TypeAdapter(Plan)
