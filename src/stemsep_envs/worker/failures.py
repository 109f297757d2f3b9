"""What a worker's failure becomes for the user: one error, its words cleaned and bounded, its kind among known ones."""

from __future__ import annotations

from stemsep_envs.documents.protocol import ErrorObject
from stemsep_envs.documents.terminal import clean
from stemsep_envs.errors import InterruptedRunError, LimitError, ModelError, StemsepEnvError, UsageError
from stemsep_envs.host.exit_cause import ExitCause
from stemsep_envs.worker.log import WorkerLog

USAGE_KINDS = {
    "input_missing",
    "input_unreadable",
    "input_empty",
    "input_channels",
    "input_nonfinite",
    "range_empty",
    "unsupported_format",
    "unsupported_setting",
    "output_failed",
}
LIMIT_KINDS = {"no_space", "out_of_memory"}

_MESSAGE_CHARS = 2_000
_TRACEBACK_CHARS = 8_000


def replied_error(error: ErrorObject) -> StemsepEnvError:
    """Turn an error reply into the error to raise; the session goes on."""
    kind = error.data.kind
    message = clean(error.message).strip()[:_MESSAGE_CHARS] or "the model failed and did not say why"
    hint = clean(error.data.hint or "")[:_MESSAGE_CHARS] or None
    if kind == "cancelled":
        return InterruptedRunError("cancelled")
    if kind in USAGE_KINDS:
        return UsageError(message, hint=hint, code=kind)
    if kind in LIMIT_KINDS:
        return LimitError(message, hint=hint, code=kind)
    traceback = clean(error.data.traceback or "")[-_TRACEBACK_CHARS:]
    return ModelError(message, hint="\n".join(filter(None, (hint, traceback))) or None)


def violation_error(method: str, words: str, log: WorkerLog) -> ModelError:
    """Return the error for a worker that said something that is not the protocol."""
    message = f"the worker broke the protocol during {method} and was ended: {clean(words)[:500]}"
    return ModelError(message, hint=last_words(log), code="protocol_violation")


def ended_error(method: str, ending: ExitCause | None, log: WorkerLog) -> StemsepEnvError:
    """Return the error for a worker that ended in a request; ``ending`` None: it lived on and closed its side."""
    if ending is None:
        message = f"the worker closed its output during {method} and was ended"
        return ModelError(message, hint=last_words(log), code="worker_died")
    message = f"the worker died during {method}: {ending.words}"
    if ending.over_limit:
        return LimitError(message, hint=last_words(log), code="worker_killed")
    return ModelError(message, hint=last_words(log), code="worker_died")


def late_error(words: str, log: WorkerLog) -> LimitError:
    """Return the error for a worker that was ended at a deadline."""
    return LimitError(f"the worker {words} and was ended", hint=last_words(log), code="deadline")


def last_words(log: WorkerLog) -> str | None:
    """Return the end of a log as a hint, or None when there is nothing in it."""
    tail = log.tail()
    return f"the end of its log:\n{tail}" if tail else None
