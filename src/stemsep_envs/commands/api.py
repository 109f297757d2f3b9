"""The Python interface: preflight, ensure, a session, and separating in one call.

Audio stays in files: stems are WAV (or another format) of shape (frames, channels), with as many frames as the part of
the input that was asked for, at the input's sample rate unless another is named. Times are in seconds, rates in hertz.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from stemsep_envs.commands.ensure import ensure_models
from stemsep_envs.commands.preflight import preflight_model
from stemsep_envs.commands.run import run
from stemsep_envs.documents.ensure_report import EnsureReport
from stemsep_envs.documents.events import OnEvent, ignore_event
from stemsep_envs.documents.preflight import PreflightReport
from stemsep_envs.documents.run import OutputOptions, RunRecord, RunTrack
from stemsep_envs.errors import UsageError
from stemsep_envs.planning.plan import PlanOptions, refuse_if_blocked
from stemsep_envs.planning.preflight import plan_model
from stemsep_envs.provisioning.provision import provision
from stemsep_envs.separation.existing import Existing
from stemsep_envs.separation.opening import open_planned
from stemsep_envs.separation.output_options import output_options, output_plan
from stemsep_envs.separation.run import RunRequest
from stemsep_envs.separation.session import ModelSession
from stemsep_envs.separation.track_plan import plan_tracks, refuse_unwritable
from stemsep_envs.separation.tracks import frame_of, separate_and_publish
from stemsep_envs.worker.deadlines import Deadlines, OnProgress

AnyPath = str | os.PathLike[str]


def preflight(
    model: str,
    input: AnyPath | None = None,  # noqa: A002
    *,
    options: PlanOptions | None = None,
) -> PreflightReport:
    """Say whether a model will run here, how, and if not why. Nothing is downloaded, built or started.

    Args:
        model: The registry's id.
        input: An audio file whose header is checked against the model.
        options: Runtime, target, settings, enforcement; see `PlanOptions`.

    Raises:
        UsageError: Unknown model, setting or target.
        InvalidDocumentError: The registry entry is wrong.
    """
    return preflight_model(model, options or PlanOptions(), input_path=Path(input) if input is not None else None)


def ensure(*models: str, options: PlanOptions | None = None, on_event: OnEvent = ignore_event) -> EnsureReport:
    """Build or reuse the environment of each model.

    Raises:
        BlockedError: Preflight refuses one; carries every reason.
        BuildError: Resolving or building failed.
        MismatchError: A lock or a file is not what was promised.
        LimitError: No space, or a deadline passed.
        UsageError: Unknown model, setting or target.
    """
    return ensure_models(models, options or PlanOptions(), on_event=on_event).report


def separate(
    model: str,
    inputs: AnyPath | Sequence[AnyPath],
    output_dir: AnyPath,
    *,
    options: PlanOptions | None = None,
    output: OutputOptions | None = None,
    existing: Existing = "skip",
    on_event: OnEvent = ignore_event,
) -> RunRecord:
    """Separate files or folders, as ``stemsep-env run`` does.

    Args:
        model: The registry's id.
        inputs: One or several audio files or folders.
        output_dir: Stems go to ``output_dir/model/track/stem.wav``.
        options: Runtime, target, settings, enforcement.
        output: From `output_options`: format, bit depth, sample rate, stems, range; WAV of 32-bit float by default.
        existing: What to do about outputs that are there: ``skip``, ``error``, ``overwrite`` or ``rename``.
        on_event: Called with everything that happens.

    Returns:
        The record. A track that failed has its ``error`` there; the others are done all the same.

    Raises:
        BlockedError: Preflight refuses the model.
        BuildError: Its environment cannot be built.
        ModelError: The worker did not start, or the model did not load.
        UsageError: Wrong model, option, input or output folder.
    """
    paths = [inputs] if isinstance(inputs, str | os.PathLike) else inputs
    request = RunRequest(
        model=model,
        inputs=[Path(path) for path in paths],
        output=output_plan(Path(output_dir), output or output_options(), existing=existing),
        planning=options or PlanOptions(),
    )
    return run(request, on_event=on_event)


@contextmanager
def open_session(
    model: str,
    *,
    options: PlanOptions | None = None,
    scratch_dir: AnyPath | None = None,
    on_event: OnEvent = ignore_event,
    deadlines: Deadlines | None = None,
) -> Iterator[Session]:
    """Open a session: the environment built if need be, the worker started, the model loaded.

    Args:
        model: The registry's id.
        options: Runtime, target, settings, enforcement.
        scratch_dir: Where unfinished stems are kept; best on the disk the stems will go to. The home's by default.
        on_event: Called with each step and log line.
        deadlines: How long the worker may take.

    Yields:
        The session. Leaving the block ends the worker and everything it started.

    Raises:
        BlockedError: Preflight refuses the model.
        BuildError: Its environment cannot be built, or one of its files cannot be fetched.
        MismatchError: One of its files is not what was promised.
        ModelError: The worker did not start, or the model did not load.
        LimitError: A deadline passed, downloads stalled, or the disk is full.
        UsageError: Unknown model, setting or target.
    """
    plan = refuse_if_blocked(plan_model(model, options or PlanOptions()))
    ready = provision(plan, on_event=on_event)
    parent = Path(scratch_dir) if scratch_dir is not None else ready.plan.home.cache_dir / "scratch"
    with open_planned(
        ready.plan, ready.environment, scratch_parent=parent, on_event=on_event, deadlines=deadlines
    ) as loaded:
        yield Session(loaded)


class Session:
    """A loaded model that separates one track after another; made by `open_session`."""

    def __init__(self, loaded: ModelSession) -> None:
        self._loaded = loaded

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that the model makes."""
        return self._loaded.stems

    @property
    def sample_rate(self) -> int | None:
        """The model's own sample rate in hertz; None when it works at the rate of its input."""
        return self._loaded.loaded.sample_rate

    def separate(
        self,
        input: AnyPath,  # noqa: A002
        output_dir: AnyPath,
        *,
        output: OutputOptions | None = None,
        overwrite: bool = False,
        on_progress: OnProgress | None = None,
        cancelled: threading.Event | None = None,
    ) -> RunTrack:
        """Separate one file.

        Args:
            input: An audio file of any sample rate and length, with as many channels as the model takes.
            output_dir: Stems go to ``output_dir/model/track/stem.wav``, with a ``run.json`` beside them, written last.
            output: From `output_options`.
            overwrite: Replace stems that are there.
            on_progress: Called with each sign of progress, in frames of the input.
            cancelled: Set it from another thread to give the track up.

        Returns:
            What was done: for each stem its path below ``output_dir``, digest and shape (``frames``, ``channels``).

        Raises:
            UsageError: The input is not readable audio or does not fit the model; stems are there already; the session
                is closed, or busy with a track of another thread's.
            ModelError: The model's code failed or its worker died. The session stays usable.
            LimitError: A deadline passed, or memory or disk ran out.
            InterruptedRunError: It was cancelled, or another thread left the session's block.
        """
        source = Path(os.path.abspath(input))  # noqa: PTH100 - keeps links as they were named
        if source.is_dir():
            raise UsageError(f"{source} is a folder", hint="name the files in it, one by one", code="input_unreadable")
        existing: Existing = "overwrite" if overwrite else "error"
        plan = output_plan(Path(output_dir), output or output_options(), existing=existing)
        (track,) = plan_tracks(self._loaded.plan, [source], plan)
        if track.error is not None:
            raise track.error
        refuse_unwritable(plan.dir)
        frame = frame_of(self._loaded, plan)
        return separate_and_publish(self._loaded, frame, track, on_progress=on_progress, cancelled=cancelled)
