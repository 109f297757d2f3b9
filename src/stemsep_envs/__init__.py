"""Run music-source-separation models, each in the environment it needs, confined.

    >>> from stemsep_envs import open_session
    >>> with open_session("dsp-hpss") as session:                       # doctest: +SKIP
    ...     track = session.separate("song.flac", "out")

The layers, imports only downward and without a circle (`tests/unit/test_layers.py` holds both):

================  ======================================================================
``cli``           parse, print, exit code
``commands``      one short file a verb, and the Python interface; they compose what follows
``separation``    sessions, the tracks of a run, inputs, names, publishing of stems, records
``provisioning``  a plan made real: files fetched, checkpoints converted, environment built
``planning``      a model's id to a plan, with nothing touched
``registry``      the catalogue of models, the runtimes that execute them, routing, settings
``environments``  requirements to locks to built environments; engines
``artifacts``     weights and configs by hash
``sandbox``       what confines a worker
``worker``        our side of the conversation with the process inside an environment
``host``          the only code that touches the machine
``documents``     every document as a model; parsing, validation, digests; no I/O
``errors``        what can go wrong, and its exit code
================  ======================================================================

``inside`` is apart: it runs inside environments and sandboxes, knows nothing of the rest, and nothing imports it.

Names are loaded when they are used: importing this package costs next to nothing.
"""

from __future__ import annotations

from stemsep_envs._version import __version__

TYPE_CHECKING = False  # every command starts here: importing typing for its constant would cost it milliseconds
if TYPE_CHECKING:
    from typing import Any

    from stemsep_envs.commands.api import Session, ensure, open_session, preflight, separate
    from stemsep_envs.errors import StemsepEnvError
    from stemsep_envs.planning.plan import PlanOptions
    from stemsep_envs.separation.output_options import output_options
    from stemsep_envs.worker.deadlines import Deadlines

_PLACES = {
    "Deadlines": "stemsep_envs.worker.deadlines",
    "PlanOptions": "stemsep_envs.planning.plan",
    "Session": "stemsep_envs.commands.api",
    "StemsepEnvError": "stemsep_envs.errors",
    "ensure": "stemsep_envs.commands.api",
    "open_session": "stemsep_envs.commands.api",
    "output_options": "stemsep_envs.separation.output_options",
    "preflight": "stemsep_envs.commands.api",
    "separate": "stemsep_envs.commands.api",
}

__all__ = [
    "Deadlines",
    "PlanOptions",
    "Session",
    "StemsepEnvError",
    "__version__",
    "ensure",
    "open_session",
    "output_options",
    "preflight",
    "separate",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        from importlib import import_module  # noqa: PLC0415 - see above

        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
