"""A model ready to separate: its worker running in its environment, confined, with the weights loaded.

One session serves many tracks. A track ends as a `RunTrack` with its stems under their final names, or as an error with
nothing left behind. A worker that died is started again for the next track; one that keeps dying is not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from stemsep_envs.artifacts.uses import in_use as artifacts_in_use
from stemsep_envs.documents.events import Event, OnEvent, ignore_event
from stemsep_envs.documents.protocol import (
    LoadedArtifact,
    LoadedModel,
    LoadParams,
    LoadResult,
    OutputRequest,
    ProgressParams,
    SeparateParams,
    SeparateResult,
)
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import ResolvedSetting, RunTrack
from stemsep_envs.environments import environment_store
from stemsep_envs.environments.linking import make_private
from stemsep_envs.environments.reuse_or_build import Environment
from stemsep_envs.errors import InterruptedRunError, LimitError, ModelError, StemsepEnvError, UsageError
from stemsep_envs.host.files import ensure_dir, make_owned_dir, remove_tree
from stemsep_envs.host.installation import parts_of, readable_for
from stemsep_envs.host.paths import INSIDE_DIR, Home
from stemsep_envs.host.processes import Ending
from stemsep_envs.planning.checks import channel_reasons
from stemsep_envs.planning.plan import Plan
from stemsep_envs.provisioning.conversion import convert_artifacts
from stemsep_envs.provisioning.environment import ensure_planned
from stemsep_envs.sandbox.environ import worker_environ
from stemsep_envs.sandbox.launch import end_in_words, is_over_limit
from stemsep_envs.sandbox.policy import Policy
from stemsep_envs.separation.input_view import shown_input
from stemsep_envs.separation.memory_retry import OUT_OF_MEMORY_CODES, smaller_settings
from stemsep_envs.separation.output_limits import FLOOR_BYTES, idle_bound, set_bound, track_bound, track_seconds
from stemsep_envs.separation.output_names import TrackNames
from stemsep_envs.separation.output_options import OutputPlan
from stemsep_envs.separation.publishing import placed
from stemsep_envs.separation.scratch import Scratch, session_scratch
from stemsep_envs.separation.session_lock import Turns
from stemsep_envs.separation.stem_collection import TrackWork, take_stems
from stemsep_envs.separation.track_facts import (
    effective_settings,
    input_facts,
    output_facts,
    read_through,
    track_timings,
    worker_warnings,
)
from stemsep_envs.worker.connection import Deadlines, WorkerSession

ENTRY_PATH = INSIDE_DIR / "entry.py"

MAX_CRASHES_IN_A_ROW = 3

_TRIES = 3
"""How often an environment may be removed by others between being found and being used."""


class Session:
    """A loaded model. Made by `open_session`; separates one track at a time, whichever thread asks.

    Attributes:
        plan: What was planned for the model.
        environment: The environment the worker runs in.
        loaded: What the worker said of the model: stems, sample rate, accepted channel counts.
        start_seconds: From starting the worker to its first reply.
        load_seconds: Loading the model.
    """

    def __init__(
        self, plan: Plan, environment: Environment, scratch: Scratch, *, on_event: OnEvent, deadlines: Deadlines | None
    ) -> None:
        self.plan = plan
        self.environment = environment
        self._scratch = scratch
        self._on_event = on_event
        self._deadlines = deadlines
        self._hashing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="hash")
        self._tracks = 0
        self._crashes = 0
        self._shrunk: dict[str, ResolvedSetting] = {}
        self._turns = Turns()
        self._resources = ExitStack()
        self._start()

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that the model makes."""
        return tuple(self.loaded.stems)

    def separate(
        self,
        source: Path,
        names: TrackNames,
        output: OutputPlan,
        *,
        record: Callable[[RunTrack], None],
        on_progress: Callable[[ProgressParams], None] | None = None,
        cancelled: threading.Event | None = None,
    ) -> RunTrack:
        """Separate one track and put its stems and its record in place, together or not at all.

        Args:
            source: The audio file.
            names: Where each stem goes, relative to ``output.dir``.
            output: Where and how to write.
            record: Writes the track's own record. Where that fails, or is interrupted, the stems are taken away again.
            on_progress: Called with each sign of progress (frames of the input).
            cancelled: Set it from another thread to give the track up.

        Returns:
            The track's part of the record.

        Raises:
            ModelError: The model's code failed or its worker died.
            UsageError: The input is not readable audio or does not fit the model, or the session is at another track.
            LimitError: A deadline passed, or memory or disk ran out.
            InterruptedRunError: It was cancelled, or the session was closed by another thread.
        """
        with self._turns.taken():
            while True:
                try:
                    return self._separate(source, names, output, record, on_progress, cancelled)
                except LimitError as error:
                    if error.code not in OUT_OF_MEMORY_CODES or not self._shrink(error, cancelled):
                        raise

    def _separate(
        self,
        source: Path,
        names: TrackNames,
        output: OutputPlan,
        record: Callable[[RunTrack], None],
        on_progress: Callable[[ProgressParams], None] | None,
        cancelled: threading.Event | None,
    ) -> RunTrack:
        began = time.monotonic()
        self._restart_if_dead(cancelled)
        self._tracks += 1
        scratch = make_owned_dir(self._scratch.work_dir, ours=self._scratch.taken_dir)
        ours = ensure_dir(self._scratch.taken_dir / f"track-{self._tracks}")
        bound = self._bound(source, names, output)
        set_bound(self._bound_file, bound)
        try:
            with self._host_work(source, cancelled) as work:
                reading = work.start(read_through, source, work.check)
                with self._shown(source) as shown:
                    result = self._ask(shown, names, output, scratch, on_progress, cancelled)
                read = reading.result()
                doubts = self._channel_doubts(result.input.channels)
                files = {stem.stem: stem.file for stem in result.outputs}
                taken = take_stems(files, scratch, ours, work, max_bytes=bound, confined=self._confined)
            with placed(taken, names, output.dir, home=self._home_to_note(output.dir)):
                track = RunTrack(
                    status="done",
                    input=input_facts(source, read, result),
                    start_frame=result.range.start_frame,
                    frames=result.range.frames,
                    outputs=output_facts(result, taken, names, output),
                    gain=result.gain,
                    gain_reason=result.gain_reason,
                    warnings=(*doubts, *self._retry_warnings(), *worker_warnings(result, read)),
                    settings=self._shrunk,
                    effective_settings=effective_settings(self.loaded.settings),
                    timings=track_timings(result, time.monotonic() - began),
                    peak_memory_bytes=result.peak_memory_bytes,
                    record=str(names.record),
                )
                record(track)
        finally:
            for folder in (scratch, ours):
                with suppress(OSError):  # a worker that goes on writing there; all of it goes when the session ends
                    remove_tree(folder)
            with suppress(StemsepEnvError):  # no space even for a few digits: the track's bound stays
                set_bound(self._bound_file, idle_bound(self._scratch.work_dir))
        return track

    def _home_to_note(self, output_dir: Path) -> Home | None:
        """Return the home that is to note where stems are being placed; none where it notes the folder already."""
        return None if output_dir == self._scratch.parent else self.plan.home

    def _host_work(self, source: Path, cancelled: threading.Event | None) -> TrackWork:
        stated = self._deadlines.total_seconds if self._deadlines is not None else None
        return TrackWork(
            self._hashing, cancelled=cancelled, total_seconds=track_seconds(source) if stated is None else stated
        )

    @property
    def _bound_file(self) -> Path:
        return self._scratch.taken_dir / "bound"

    def _bound(self, source: Path, names: TrackNames, output: OutputPlan) -> int:
        rates = [rate for rate in (self.loaded.sample_rate, output.options.sample_rate) if isinstance(rate, int)]
        rate = max(rates, default=None)
        return track_bound(source, stems=len(names.stems), sample_rate=rate, folder=self._scratch.work_dir)

    def _shrink(self, error: LimitError, cancelled: threading.Event | None) -> bool:
        """Begin anew with smaller settings, once a session; say whether there are any. The old worker is ended."""
        recipe = self.plan.runtime.recipe
        declared = recipe.declared_settings(self.plan.model_type or "")
        spelled = recipe.segment_of(self.plan.model_type or "")
        segment = spelled.setting if spelled else None
        smaller = {}
        if not self._shrunk:
            smaller = smaller_settings(self.plan.settings, self.loaded.settings, declared, segment=segment)
        if not smaller:
            options = {"batch_size": "--batch-size 1", segment: "a shorter --segment"}
            advice = " or ".join(words for name, words in options.items() if name in declared)
            error.hint = "\n".join(filter(None, (advice and f"try {advice}", error.hint)))
            return False
        self._shrunk = smaller
        self._on_event(Event(event="log", level="warning", message=f"{error.message}; {self._retry_words()}"))
        self._worker.close(politely=False)
        self._resources.close()
        try:
            self._start(cancelled)
        except InterruptedRunError:
            raise
        except StemsepEnvError as refusal:  # some models are built for one length of chunks
            self._shrunk = {}
            error.hint = "\n".join(filter(None, (f"smaller settings were refused: {refusal.message}", error.hint)))
            return False
        return True

    def _retry_words(self) -> str:
        return "once more with " + ", ".join(f"{name} = {setting.value}" for name, setting in self._shrunk.items())

    def _retry_warnings(self) -> tuple[Finding, ...]:
        if not self._shrunk:
            return ()
        return (Finding(code="retried_smaller", message=f"memory ran out; it was done {self._retry_words()}"),)

    def close(self, *, politely: bool = True) -> None:
        """End the worker and everything it started; nothing can be separated any more.

        A track that another thread is at is interrupted, and its end waited for.
        """
        self._turns.close(interrupt=lambda: self._worker.close(politely=False))
        self._worker.close(politely=politely)
        self._resources.close()
        self._hashing.shutdown(cancel_futures=True)  # the scratch folder, where it works, goes next

    @contextmanager
    def _shown(self, source: Path) -> Iterator[Path]:
        """Yield the path under which the worker sees an input; errors speak of the path that the user knows."""
        if not self._confined:
            yield source
            return
        with shown_input(source, self._scratch.inputs_dir, self._tracks) as shown:
            try:
                yield shown
            except StemsepEnvError as error:
                error.message = error.message.replace(str(shown), str(source))
                raise

    @property
    def _confined(self) -> bool:
        return self.plan.level.name != "hygiene"

    def _start(self, cancelled: threading.Event | None = None) -> None:
        if self._turns.closed:
            raise InterruptedRunError("the session was closed")
        plan, environment = self.plan, self.environment
        self._scratch.renew_work()
        self._on_event(Event(event="step", step="start", message=f"starting {plan.runtime.recipe.id}"))
        policy = Policy(
            readable=(
                environment.dir,
                *readable_for(Path(environment.receipt.base_interpreter.path)),
                *_adopted_dirs(environment),
                INSIDE_DIR,
                plan.runtime.dir,
                *([plan.engine.tree_dir(plan.home)] if plan.engine else []),
                self._scratch.inputs_dir,
                *(artifact.path for artifact in plan.artifacts),
            ),
            writable_dir=self._scratch.work_dir,
            env=worker_environ(self._scratch.work_dir, keep_memory=plan.runtime.recipe.torch is not None),
            limits=replace(plan.limits, output_bytes=FLOOR_BYTES),
            gpu=plan.target.accelerator != "cpu",
            output_file=self._bound_file,
        )
        adapter = str(plan.runtime.adapter_path)
        engine = ("--engine", str(plan.engine.import_dir(plan.home))) if plan.engine else ()
        argv = (str(environment.python), "-I", "-B", str(ENTRY_PATH), "--adapter", adapter, *engine)
        began = time.monotonic()
        command = self._resources.enter_context(plan.level.confine(argv, policy))
        self._worker = WorkerSession(
            command,
            deadlines=self._deadlines,
            explain_end=lambda status: Ending(end_in_words(command, status), over_limit=is_over_limit(command, status)),
            on_log=lambda level, text: self._on_event(Event(event="log", level=level, message=text)),
        )
        try:
            self._worker.initialize(cancelled=cancelled)
            self.start_seconds = time.monotonic() - began
            self._on_event(Event(event="step", step="load", message=f"loading {plan.entry.id}"))
            began = time.monotonic()
            self.loaded: LoadResult = self._worker.load(self._load_params(), cancelled=cancelled)
            self.load_seconds = time.monotonic() - began
            self._startable = True
        except BaseException as error:
            self._startable = not isinstance(error, StemsepEnvError) or isinstance(error, InterruptedRunError)
            self._worker.close(politely=False)
            self._resources.close()
            raise

    def _load_params(self) -> LoadParams:
        entry = self.plan.entry
        settings = {name: setting.value for name, setting in {**self.plan.settings, **self._shrunk}.items()}
        return LoadParams(
            model=LoadedModel(
                id=entry.id,
                model_type=self.plan.model_type,
                variant=self.plan.variant,
                architecture=entry.architecture,
            ),
            artifacts={
                artifact.record.name: LoadedArtifact(
                    path=str(artifact.path),
                    filename=artifact.record.filename,
                    kind=artifact.kind,
                    format=artifact.format,
                )
                for artifact in self.plan.artifacts
            },
            device=self.plan.target.device,
            settings={name: value for name, value in settings.items() if value is not None},
        )

    def _restart_if_dead(self, cancelled: threading.Event | None) -> None:
        """Start the worker again if it has ended; not if it did so by its own doing too often in a row."""
        if self._worker.alive:
            self._crashes = 0
            return
        if self._crashes < MAX_CRASHES_IN_A_ROW and (self._worker.crashed or not self._startable):
            self._crashes += 1
        if self._crashes == MAX_CRASHES_IN_A_ROW:
            raise ModelError(
                f"the worker died {self._crashes} times in a row and is not started again",
                hint=f"its last words:\n{self._worker.log.tail()}",
                code="crash_loop",
            )
        self._resources.close()
        self._start(cancelled)

    def _ask(
        self,
        source: Path,
        names: TrackNames,
        output: OutputPlan,
        scratch: Path,
        on_progress: Callable[[ProgressParams], None] | None,
        cancelled: threading.Event | None,
    ) -> SeparateResult:
        options = output.options
        files = {stem: f"{index}.{options.format}" for index, stem in enumerate(names.stems)}
        params = SeparateParams(
            input=str(source),
            start_seconds=options.start_seconds,
            duration_seconds=options.duration_seconds,
            stems=tuple(names.stems),
            output=OutputRequest(
                dir=str(scratch),
                files=files,
                format=options.format,
                bit_depth=options.bit_depth,
                sample_rate=options.sample_rate,
                normalize=options.normalize,
            ),
        )
        result = self._worker.separate(
            params, on_progress=on_progress, cancelled=cancelled, total_seconds=track_seconds(source)
        )
        made = {output.stem: output.file for output in result.outputs}
        if made != files:
            raise ModelError(
                f"the worker was asked for {', '.join(files)} and reported {', '.join(made) or 'nothing'}",
                code="protocol_violation",
            )
        return result

    def _channel_doubts(self, channels: int) -> tuple[Finding, ...]:
        """Refuse an input that the registry says the model does not take, whatever its engine did with it."""
        reasons = channel_reasons(self.plan.entry, self.plan.runtime.recipe, channels)
        if reasons and self.plan.enforcement == "strict":
            raise UsageError(reasons[0].message, hint=reasons[0].hint, code=reasons[0].code)
        return tuple(Finding(code=reason.code, message=reason.message, path=reason.path) for reason in reasons)


@contextmanager
def _used(plan: Plan, environment: Environment, on_event: OnEvent) -> Iterator[Environment]:
    """Keep an environment while the block runs; one that someone removed since it was found is built again."""
    with ExitStack() as used:
        for attempt in range(_TRIES):
            try:
                mark = environment_store.in_use(
                    plan.home, environment.digest, prepare=partial(_make_safe, plan, environment)
                )
                used.enter_context(mark)
                break
            except StemsepEnvError as error:
                if error.code != "environment_gone" or attempt + 1 == _TRIES:
                    raise
            environment = ensure_planned(plan, on_event=on_event)
        yield environment


@contextmanager
def open_planned(
    plan: Plan,
    environment: Environment,
    *,
    scratch_parent: Path,
    on_event: OnEvent = ignore_event,
    deadlines: Deadlines | None = None,
) -> Iterator[Session]:
    """Open a session for a plan whose environment is built; at the end every process and the scratch folder are gone.

    Args:
        plan: From preflight.
        environment: From ensure.
        scratch_parent: Where the worker's scratch folder is made: best on the file system the stems will be on.
        on_event: Called with each step and log line.
        deadlines: How long the worker may take.

    Raises:
        ModelError: The worker did not start or the model did not load.
        UsageError: ``scratch_parent`` cannot be written.
        LimitError: Converting a checkpoint took too long, or too much memory or disk.
    """
    with artifacts_in_use(plan.home, {artifact.record.sha256 for artifact in plan.artifacts}):
        yield from _opened(plan, environment, scratch_parent, on_event, deadlines)


def _opened(
    plan: Plan, environment: Environment, scratch_parent: Path, on_event: OnEvent, deadlines: Deadlines | None
) -> Iterator[Session]:
    plan = convert_artifacts(plan, report=lambda step, words: on_event(Event(event="step", step=step, message=words)))
    with _used(plan, environment, on_event) as used, session_scratch(scratch_parent, home=plan.home) as scratch:
        session = Session(plan, used, scratch, on_event=on_event, deadlines=deadlines)
        try:
            yield session
        except BaseException as error:
            session.close(politely=isinstance(error, StemsepEnvError))
            raise
        session.close()


def _make_safe(plan: Plan, environment: Environment) -> None:
    """Keep a worker that could write to its environment from reaching the package cache through it."""
    if plan.level.name == "hygiene":
        make_private(plan.home, environment.digest)


def _adopted_dirs(environment: Environment) -> tuple[Path, ...]:
    """Return what a worker reads of an interpreter that was adopted: its distributions, and libraries beside them."""
    adopted = environment.receipt.adopted
    return (*parts_of(Path(adopted.prefix)), *map(Path, adopted.site_dirs)) if adopted is not None else ()
