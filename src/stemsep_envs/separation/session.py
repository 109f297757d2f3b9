"""A model ready to separate: its worker running in its environment, confined, with the weights loaded.

One session serves many tracks. A track ends as stems that are out of the worker's reach, or as an error with nothing
left behind; publishing and recording them are other steps. A worker that died is started again for the next track; one
that keeps dying is not.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from stemsep_envs.documents.events import Event, OnEvent
from stemsep_envs.documents.protocol import LoadResult, SeparateResult
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.run import ResolvedSetting
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.errors import InterruptedRunError, LimitError, ModelError, StemsepEnvError, UsageError
from stemsep_envs.host.folders import ensure_dir, make_owned_dir
from stemsep_envs.host.tree_removal import remove_tree
from stemsep_envs.planning.checks import channel_reasons
from stemsep_envs.planning.plan import Plan
from stemsep_envs.sandbox.level_table import level_row
from stemsep_envs.separation.code_digests import code_digests
from stemsep_envs.separation.input_reading import read_through
from stemsep_envs.separation.input_view import shown_input
from stemsep_envs.separation.memory_retry import OUT_OF_MEMORY_CODES, memory_advice, retry_words, settings_for_retry
from stemsep_envs.separation.output_limits import TrackLimits, idle_bound, set_bound, track_limits
from stemsep_envs.separation.scratch import Scratch
from stemsep_envs.separation.separated_track import SeparatedTrack, TrackRequest
from stemsep_envs.separation.session_lock import SessionLock
from stemsep_envs.separation.stem_collection import TrackWork, take_stems
from stemsep_envs.separation.worker_launch import launch_worker
from stemsep_envs.separation.worker_params import load_params, separate_params
from stemsep_envs.worker.connection import WorkerConnection
from stemsep_envs.worker.deadlines import Deadlines, OnProgress

MAX_CRASHES_IN_A_ROW = 3


class ModelSession:
    """A loaded model. Made by `opening.open_planned`; separates one track at a time, whichever thread asks.

    Attributes:
        plan: What was planned for the model.
        environment: The environment the worker runs in.
        scratch: The session's own folders.
        loaded: What the worker said of the model: stems, sample rate, accepted channel counts.
        code: Digests of the code of ours that the worker loaded.
        start_seconds: From starting the worker to its first reply.
        load_seconds: Loading the model.
    """

    def __init__(
        self, plan: Plan, environment: Environment, scratch: Scratch, *, on_event: OnEvent, deadlines: Deadlines | None
    ) -> None:
        self.plan = plan
        self.environment = environment
        self.scratch = scratch
        self._on_event = on_event
        self._deadlines = deadlines
        self._hashing = ThreadPoolExecutor(max_workers=2, thread_name_prefix="hash")
        self._tracks = 0
        self._crashes = 0
        self._smaller: dict[str, ResolvedSetting] = {}
        self._lock = SessionLock()
        self._resources = ExitStack()
        self._start()

    @property
    def stems(self) -> tuple[str, ...]:
        """The stems that the model makes."""
        return tuple(self.loaded.stems)

    @contextmanager
    def separate(
        self,
        request: TrackRequest,
        *,
        on_progress: OnProgress | None = None,
        cancelled: threading.Event | None = None,
    ) -> Iterator[SeparatedTrack]:
        """Separate one track and yield its stems; they are gone at the end of the block unless it moved them.

        The session is busy until then, and is not closed by another thread before.

        Args:
            request: The track.
            on_progress: Called with each sign of progress (frames of the input).
            cancelled: Set it from another thread to give the track up.

        Raises:
            ModelError: The model's code failed or its worker died.
            UsageError: The input is not readable audio or does not fit the model, or the session is busy.
            LimitError: A deadline passed, or memory or disk ran out.
            InterruptedRunError: It was cancelled, or the session was closed by another thread.
        """
        with self._lock.held(), ExitStack() as folders:
            while True:
                try:
                    separated = self._separate(request, folders, on_progress, cancelled)
                    break
                except LimitError as error:
                    folders.close()
                    if error.code not in OUT_OF_MEMORY_CODES or not self._restart_smaller(error, cancelled):
                        raise
            yield separated

    def close(self, *, politely: bool = True) -> None:
        """End the worker and everything it started; nothing can be separated any more.

        A track that another thread is busy with is interrupted, and its end waited for.
        """
        self._lock.close(interrupt=lambda: self._connection.close(politely=False))
        self._connection.close(politely=politely)
        self._resources.close()
        self._hashing.shutdown(cancel_futures=True)  # the scratch folder, where it works, goes next

    def _separate(
        self,
        request: TrackRequest,
        folders: ExitStack,
        on_progress: OnProgress | None,
        cancelled: threading.Event | None,
    ) -> SeparatedTrack:
        began = time.monotonic()
        self._restart_if_dead(cancelled)
        self._tracks += 1
        theirs = make_owned_dir(self.scratch.work_dir, ours=self.scratch.taken_dir)
        ours = ensure_dir(self.scratch.taken_dir / f"track-{self._tracks}")
        folders.callback(self._clear, theirs, ours)
        limits = self._limits(request)
        set_bound(self.scratch.output_limit_file, limits.output_bytes)
        with self._host_work(limits, cancelled) as work:
            reading = work.start(read_through, request.source, work.check)
            with self._shown(request.source) as shown:
                result = self._ask(shown, request, theirs, limits, on_progress, cancelled)
            read = reading.result()
            doubts = self._channel_doubts(result.input.channels)
            files = {stem.stem: stem.file for stem in result.outputs}
            taken = take_stems(files, theirs, ours, work, max_bytes=limits.output_bytes, confined=self._is_confined)
        return SeparatedTrack(
            request=request,
            stems=taken,
            read=read,
            result=result,
            settings=dict(self._smaller),
            effective_settings=self.loaded.settings,
            warnings=(*doubts, *self._retry_warnings()),
            began=began,
        )

    def _clear(self, *folders: Path) -> None:
        for folder in folders:
            with suppress(OSError):  # a worker that goes on writing there; all of it goes when the session ends
                remove_tree(folder)
        with suppress(StemsepEnvError):  # no space even for a few digits: the track's bound stays
            set_bound(self.scratch.output_limit_file, idle_bound(self.scratch.work_dir))

    def _ask(
        self,
        source: Path,
        request: TrackRequest,
        folder: Path,
        limits: TrackLimits,
        on_progress: OnProgress | None,
        cancelled: threading.Event | None,
    ) -> SeparateResult:
        params = separate_params(request, source, folder)
        result = self._connection.separate(
            params, on_progress=on_progress, cancelled=cancelled, total_seconds=limits.seconds
        )
        made = {output.stem: output.file for output in result.outputs}
        if made != params.output.files:
            asked, reported = ", ".join(params.output.files), ", ".join(made) or "nothing"
            raise ModelError(f"the worker was asked for {asked} and reported {reported}", code="protocol_violation")
        return result

    @contextmanager
    def _shown(self, source: Path) -> Iterator[Path]:
        """Yield the path under which the worker sees an input; errors speak of the path that the user knows."""
        if not self._is_confined:
            yield source
            return
        with shown_input(source, self.scratch.inputs_dir, self._tracks) as shown:
            try:
                yield shown
            except StemsepEnvError as error:
                error.message = error.message.replace(str(shown), str(source))
                raise

    def _host_work(self, limits: TrackLimits, cancelled: threading.Event | None) -> TrackWork:
        stated = self._deadlines.total_seconds if self._deadlines is not None else None
        return TrackWork(self._hashing, cancelled=cancelled, total_seconds=limits.seconds if stated is None else stated)

    def _limits(self, request: TrackRequest) -> TrackLimits:
        rates = [rate for rate in (self.loaded.sample_rate, request.output.sample_rate) if isinstance(rate, int)]
        rate = max(rates, default=None)
        stems = len(request.stems)
        return track_limits(request.source, stems=stems, sample_rate=rate, folder=self.scratch.work_dir)

    @property
    def _is_confined(self) -> bool:
        return level_row(self.plan.level).is_boundary

    def _channel_doubts(self, channels: int) -> tuple[Finding, ...]:
        """Refuse an input that the registry says the model does not take, whatever its engine did with it."""
        reasons = channel_reasons(self.plan.entry, self.plan.runtime.recipe, channels)
        if reasons and self.plan.options.enforcement == "strict":
            raise UsageError(reasons[0].message, hint=reasons[0].hint, code=reasons[0].code)
        return tuple(Finding(code=reason.code, message=reason.message, path=reason.path) for reason in reasons)

    def _start(self, cancelled: threading.Event | None = None) -> None:
        if self._lock.closed:
            raise InterruptedRunError("the session was closed")
        self.scratch.renew_work()
        self.code = code_digests(self.plan.runtime)
        began = time.monotonic()
        self._connection: WorkerConnection = launch_worker(
            self.plan,
            self.environment,
            self.scratch,
            resources=self._resources,
            deadlines=self._deadlines,
            on_event=self._on_event,
        )
        try:
            self._connection.initialize(cancelled=cancelled)
            self.start_seconds = time.monotonic() - began
            self._on_event(Event(event="step", step="load", message=f"loading {self.plan.entry.id}"))
            began = time.monotonic()
            params = load_params(self.plan, {**self.plan.settings, **self._smaller})
            self.loaded: LoadResult = self._connection.load(params, cancelled=cancelled)
            self.load_seconds = time.monotonic() - began
            self._is_startable = True
        except BaseException as error:
            self._is_startable = not isinstance(error, StemsepEnvError) or isinstance(error, InterruptedRunError)
            self._connection.close(politely=False)
            self._resources.close()
            raise

    def _restart_if_dead(self, cancelled: threading.Event | None) -> None:
        """Start the worker again if it has ended; not if it did so by its own doing too often in a row."""
        if self._connection.alive:
            self._crashes = 0
            return
        if self._crashes < MAX_CRASHES_IN_A_ROW and (self._connection.crashed or not self._is_startable):
            self._crashes += 1
        if self._crashes == MAX_CRASHES_IN_A_ROW:
            raise ModelError(
                f"the worker died {self._crashes} times in a row and is not started again",
                hint=f"the end of its log:\n{self._connection.log.tail()}",
                code="crash_loop",
            )
        self._resources.close()
        self._start(cancelled)

    def _restart_smaller(self, error: LimitError, cancelled: threading.Event | None) -> bool:
        """Restart with smaller settings after memory ran out, once a session; say whether there are any."""
        smaller = {} if self._smaller else settings_for_retry(self.plan, self.loaded.settings)
        if not smaller:
            error.hint = "\n".join(filter(None, (memory_advice(self.plan), error.hint)))
            return False
        self._smaller = smaller
        message = f"{error.message}; {retry_words(smaller)}"
        self._on_event(Event(event="log", level="warning", message=message))
        self._connection.close(politely=False)
        self._resources.close()
        try:
            self._start(cancelled)
        except InterruptedRunError:
            raise
        except StemsepEnvError as refusal:  # some models are built for one length of chunks
            self._smaller = {}
            error.hint = "\n".join(filter(None, (f"smaller settings were refused: {refusal.message}", error.hint)))
            return False
        return True

    def _retry_warnings(self) -> tuple[Finding, ...]:
        if not self._smaller:
            return ()
        return (Finding(code="retried_smaller", message=f"memory ran out; it was done {retry_words(self._smaller)}"),)
