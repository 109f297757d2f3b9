"""One lock at a time: kept where it still holds, else resolved and written; checked; exported for other installers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemsep_envs.documents.lock import Lock
from stemsep_envs.documents.lock_reports import LockAnswer, LockReport, LockState, PackageChange
from stemsep_envs.documents.reports import finding_of
from stemsep_envs.environments.lock_files import FileState, file_state, package_changes, strangers
from stemsep_envs.environments.locking import home_lock_path, write_if_changed
from stemsep_envs.environments.pylock import export_pylock
from stemsep_envs.environments.reporting import Report
from stemsep_envs.environments.resolving import resolve
from stemsep_envs.environments.sources.sdist_metadata import sdist_metadata
from stemsep_envs.environments.unsatisfiable_cache import CODE
from stemsep_envs.errors import BuildError, MismatchError, Reason, StemsepEnvError, UsageError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import Home
from stemsep_envs.planning.lock_requests import LockRequest, next_request
from stemsep_envs.provisioning.build_confinement import BuildConfinement


@dataclass(frozen=True)
class Resolver:
    """How locks are resolved.

    Attributes:
        home: Whose locks, package cache and configuration are used.
        upgrade: Take the newest versions instead of keeping those of before; when checking, ask at all.
        offline: Forbid the network.
        report: Told of each step as it begins.
    """

    home: Home
    upgrade: bool
    offline: bool
    report: Report

    def resolve(self, request: LockRequest, previous: Lock | None) -> Lock:
        """Resolve a lock anew; raises as `stemsep_envs.environments.resolving.resolve` does."""
        home, inputs = self.home, request.inputs
        self.report("lock", f"resolving {request.title} for {inputs.target} on Python {inputs.python}")
        sources = sdist_metadata(BuildConfinement(home), home=home, offline=self.offline, report=self.report)
        return resolve(
            inputs,
            request.requirements,
            home=home,
            what=request.title,
            offline=self.offline,
            previous=None if self.upgrade else previous,
            sdist_metadata=sources,
        )


def first_resolved(request: LockRequest, answer: Callable[[LockRequest], LockAnswer]) -> LockAnswer:
    """Answer a request for the first of its Pythons whose packages exist; when none has them, for the first of all."""
    first = answer(request)
    found, following = first, next_request(request)
    while _is_unsatisfiable(found) and following is not None:
        found, following = answer(following), next_request(following)
    return first if _is_unsatisfiable(found) else found


def check_lock(request: LockRequest, path: Path, resolver: Resolver) -> LockAnswer:
    """Say whether the lock in a file still holds; with ``upgrade``, whether the resolver would say the same now."""
    state = file_state(request.inputs, path.parent, path.name)
    reasons: list[Reason] = list(state.reasons)
    changes: tuple[PackageChange, ...] = ()
    if resolver.upgrade and state.lock is not None and not reasons:
        try:
            now = resolver.resolve(request, None)
        except StemsepEnvError as error:
            return _failed(request, state.path, error)
        changes = package_changes(state.lock, now)
        if changes:
            names = ", ".join(change.name for change in changes)
            words = f"the resolver finds other versions or files now: {names}"
            reasons.append(Reason("lock_outdated", words, hint="`stemsep-env lock --upgrade` takes them"))
    return _answer(request, state.path, "stale" if reasons else "current", state.lock, reasons, changes)


def ensure_lock(request: LockRequest, path: Path, resolver: Resolver) -> LockAnswer:
    """Make sure that a file holds the lock of a request; one of the home gives way to the lock that ships.

    Raises:
        UsageError: The lock that ships is to be upgraded, or the folder cannot be written.
    """
    try:
        before = file_state(request.inputs, path.parent, path.name)
        if path == home_lock_path(request.inputs, resolver.home):
            shipped = file_state(request.inputs, request.runtime.locks_dir, request.name)
            if not shipped.reasons:  # that is what is used
                _refuse_to_upgrade_shipped(request, resolver)
                before = shipped
        if before.lock is not None and not before.reasons and not resolver.upgrade:
            return _answer(request, before.path, "current", before.lock)
        lock = resolver.resolve(request, before.lock)
    except (BuildError, MismatchError) as error:
        return _failed(request, None, error)
    target = before.path if before.path is not None and not before.reasons else path
    changed = _write(target, lock, before)
    changes = package_changes(before.lock, lock) if before.lock is not None else ()
    return _answer(request, target, "written" if changed else "current", lock, (), changes)


def export_lock(request: LockRequest, path: Path, resolver: Resolver) -> LockAnswer:
    """Write the lock of a request as a ``pylock.toml``, resolved first where there is none.

    Raises:
        UsageError: The folder cannot be written.
    """
    home = resolver.home
    try:
        shipped = file_state(request.inputs, request.runtime.locks_dir, request.name)
        kept = home_lock_path(request.inputs, home)
        known = shipped if not shipped.reasons else file_state(request.inputs, kept.parent, kept.name)
        lock = known.lock
        if lock is None or known.reasons or resolver.upgrade:
            lock = resolver.resolve(request, None)
            write_if_changed(kept, lock)
        resolver.report("export", request.title)
        text = export_pylock(lock, home=home, what=request.title, offline=resolver.offline)
    except (BuildError, MismatchError) as error:
        return _failed(request, None, error)
    write_atomic(path, text.encode())
    return _answer(request, path, "written", lock)


def unneeded_locks(requests: Sequence[LockRequest], runtimes_dir: Path) -> tuple[Path, ...]:
    """Return the lock files of the runtimes in ``requests`` that none of the requests is for."""
    found: list[Path] = []
    for runtime_id in sorted({request.runtime.recipe.id for request in requests}):
        needed = frozenset(item.inputs.digest for item in requests if item.runtime.recipe.id == runtime_id)
        found += strangers(runtimes_dir / runtime_id / "locks", needed)
    return tuple(found)


def lock_failure(report: LockReport) -> StemsepEnvError | None:
    """Return the error that a report amounts to: a lock that failed, or, checking, one that must be made again."""
    failed = [answer for answer in report.locks if answer.state == "failed"]
    if failed:
        first = failed[0]
        words = first.findings[0].message if first.findings else "it failed"
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return BuildError(f"{words}{more}", code=first.findings[0].code, output=first.output or "")
    stale = [answer for answer in report.locks if answer.state == "stale"]
    if stale or (report.action == "check" and report.strangers):
        counted = f"{len(stale)} of {len(report.locks)} locks must be made again"
        extra = f", {len(report.strangers)} are needed by no model any more" if report.strangers else ""
        hint = "lock them again: `stemsep-env lock`, in a checkout `make locks`"
        return MismatchError(f"{counted}{extra}", hint=hint, code="lock_stale")
    return None


def _is_unsatisfiable(answer: LockAnswer) -> bool:
    return answer.state == "failed" and any(finding.code == CODE for finding in answer.findings)


def _refuse_to_upgrade_shipped(request: LockRequest, resolver: Resolver) -> None:
    if resolver.upgrade:
        raise UsageError(
            f"the lock of {request.title} for {request.inputs.target} ships with the program and is what is used",
            hint="to see what the newest versions would be, write it elsewhere: --output FOLDER",
        )


def _write(path: Path, lock: Lock, before: FileState) -> bool:
    if before.lock is None and path.is_file():  # unreadable, so that it cannot be compared
        write_atomic(path, lock.text().encode())
        return True
    return write_if_changed(path, lock)


def _failed(request: LockRequest, path: Path | None, error: StemsepEnvError) -> LockAnswer:
    answer = _answer(request, path, "failed", None, (Reason(error.code, error.message, hint=error.hint),))
    if not isinstance(error, BuildError):
        return answer
    return answer.model_copy(update={"output": error.output or None, "command": error.command})


def _answer(
    request: LockRequest,
    path: Path | None,
    state: LockState,
    lock: Lock | None,
    reasons: Sequence[Reason] = (),
    changes: Sequence[PackageChange] = (),
) -> LockAnswer:
    return LockAnswer(
        runtime=request.runtime.recipe.id,
        variant=request.variant,
        models=request.models,
        target=request.inputs.target,
        python=request.inputs.python,
        inputs=request.inputs.digest,
        path=None if path is None else str(path),
        state=state,
        packages=None if lock is None else len(lock.pins),
        changes=tuple(changes),
        findings=tuple(map(finding_of, reasons)),
    )
