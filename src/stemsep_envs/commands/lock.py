"""`lock`: resolve what models need, for any target from any host, or say which locks must be made again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from stemsep_envs.documents.lock import Lock
from stemsep_envs.documents.lock_reports import LockAnswer, LockReport, LockState, PackageChange
from stemsep_envs.documents.reports import Finding
from stemsep_envs.environments.lock_files import FileState, file_state, package_changes, strangers
from stemsep_envs.environments.locking import home_lock_path, write_if_changed
from stemsep_envs.environments.pylock import export_pylock
from stemsep_envs.environments.reporting import Report
from stemsep_envs.environments.resolving import resolve
from stemsep_envs.environments.sources.sdist_metadata import sdist_metadata
from stemsep_envs.environments.unsatisfiable_cache import CODE
from stemsep_envs.errors import BuildError, MismatchError, Reason, StemsepEnvError, UsageError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import Home, data_dir, find_home
from stemsep_envs.planning.lock_requests import (
    Asked,
    Question,
    find_questions,
    older_question,
    refuse_unknown_minors,
)
from stemsep_envs.provisioning.build_confinement import BuildConfinement
from stemsep_envs.registry.recipes import RECIPE_NAME

Format = Literal["requirements", "pylock"]
_AT_ONCE = 4
"""Resolvers that run at a time: they wait for the network more than they compute."""


@dataclass(frozen=True)
class LockOptions:
    """What is to be done with the locks that are wanted.

    Attributes:
        asked: Which locks.
        check: Only say which must be made again.
        upgrade: Take the newest versions instead of keeping those of before; with `check`, ask the resolver too.
        format: As what they are written.
        output_dir: Where they are written: the ``runtimes`` folder of a checkout, or any folder; None for the home.
        offline: Forbid the network.
    """

    asked: Asked
    check: bool = False
    upgrade: bool = False
    format: Format = "requirements"
    output_dir: Path | None = None
    offline: bool = False


def lock_models(options: LockOptions, *, report: Report) -> LockReport:
    """Resolve the locks that are wanted, or check them. One that fails does not stop the others; it is reported.

    Raises:
        BlockedError: A model that was named cannot be locked.
        UsageError: An unknown model, runtime or Python; a folder that cannot be written.
        InvalidDocumentError: A registry entry, a recipe or the configuration is wrong.
    """
    home = find_home()
    runtimes_dir = options.output_dir or data_dir("runtimes")
    in_runtimes = (options.check or options.output_dir is not None) and _holds_runtimes(runtimes_dir)
    asked = replace(options.asked, shipped=in_runtimes and options.format == "requirements")
    questions, skipped = find_questions(asked, home=home)
    refuse_unknown_minors(asked, questions)

    def place(question: Question) -> Path:
        return _place(question, options, home=home, in_runtimes=in_runtimes)

    def work(question: Question) -> LockAnswer:
        answer = (_check if options.check else _answer)(question, place(question), options, home, report)
        following = older_question(question)
        while following is not None and _has_no_answer(answer):
            older = _answer(following, place(following), options, home, report)
            if not _has_no_answer(older):
                return older
            following = older_question(following)
        return answer

    with ThreadPoolExecutor(max_workers=min(_AT_ONCE, (os.cpu_count() or 1) + 1)) as pool:
        answers = list(pool.map(work, questions))
    unasked: tuple[Path, ...] = ()
    if asked.shipped and not (asked.model_ids or asked.targets or asked.pythons):
        unasked = _strangers(questions, runtimes_dir)
    return LockReport(
        action="check" if options.check else "resolve",
        locks=tuple(answers),
        skipped=skipped,
        strangers=tuple(map(str, unasked)),
        written=tuple(answer.path for answer in answers if answer.state == "written" and answer.path),
    )


def verdict(report: LockReport) -> StemsepEnvError | None:
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
        extra = f", {len(report.strangers)} answer no question any more" if report.strangers else ""
        hint = "lock them again: `stemsep-env lock`, in a checkout `make locks`"
        return MismatchError(f"{counted}{extra}", hint=hint, code="lock_stale")
    return None


def _has_no_answer(answer: LockAnswer) -> bool:
    return answer.state == "failed" and any(finding.code == CODE for finding in answer.findings)


def _holds_runtimes(folder: Path) -> bool:
    return any(folder.glob(f"*/{RECIPE_NAME}"))


def _place(question: Question, options: LockOptions, *, home: Home, in_runtimes: bool) -> Path:
    """Return the file of a lock."""
    if options.format == "pylock":
        stem = question.name.removesuffix(".txt").replace(".", "_")  # PEP 751 knows no dots in such names
        name = f"pylock.{question.runtime.recipe.id}-{stem}.toml"
        return (options.output_dir or Path.cwd()) / name
    if in_runtimes:
        folder = (options.output_dir or data_dir("runtimes")) / question.runtime.recipe.id
        return folder / "locks" / question.name
    if options.output_dir is not None:
        return options.output_dir / f"{question.runtime.recipe.id}-{question.name}"
    return home_lock_path(question.inputs, home)


def _strangers(questions: Sequence[Question], runtimes_dir: Path) -> tuple[Path, ...]:
    found: list[Path] = []
    for runtime_id in sorted({question.runtime.recipe.id for question in questions}):
        wanted = frozenset(item.inputs.digest for item in questions if item.runtime.recipe.id == runtime_id)
        found += strangers(runtimes_dir / runtime_id / "locks", wanted)
    return tuple(found)


def _check(question: Question, path: Path, options: LockOptions, home: Home, report: Report) -> LockAnswer:
    """Say whether the shipped lock still answers; with ``upgrade``, whether the resolver would say the same now."""
    state = file_state(question.inputs, path.parent, path.name)
    reasons: list[Reason] = list(state.reasons)
    changes: tuple[PackageChange, ...] = ()
    if options.upgrade and state.lock is not None and not reasons:
        try:
            now = _resolve(question, None, options, home, report)
        except StemsepEnvError as error:
            return _failed(question, state.path, error)
        changes = package_changes(state.lock, now)
        if changes:
            names = ", ".join(change.name for change in changes)
            words = f"the resolver finds other versions or files now: {names}"
            reasons.append(Reason("lock_outdated", words, hint="`stemsep-env lock --upgrade` takes them"))
    return _answer_of(question, state.path, "stale" if reasons else "current", state.lock, reasons, changes)


def _answer(question: Question, path: Path, options: LockOptions, home: Home, report: Report) -> LockAnswer:
    """Make sure of the lock of one question."""
    try:
        if options.format == "pylock":
            return _export(question, path, options, home, report)
        before = file_state(question.inputs, path.parent, path.name)
        if path == home_lock_path(question.inputs, home):
            shipped = file_state(question.inputs, question.runtime.locks_dir, question.name)
            if not shipped.reasons:  # that is what is used
                _refuse_to_upgrade_shipped(question, options)
                before = shipped
        if before.lock is not None and not before.reasons and not options.upgrade:
            return _answer_of(question, before.path, "current", before.lock)
        lock = _resolve(question, None if options.upgrade else before.lock, options, home, report)
        target = before.path if before.path is not None and not before.reasons else path
        changed = _write(target, lock, before)
        changes = package_changes(before.lock, lock) if before.lock is not None else ()
        return _answer_of(question, target, "written" if changed else "current", lock, (), changes)
    except (BuildError, MismatchError) as error:
        return _failed(question, None, error)


def _refuse_to_upgrade_shipped(question: Question, options: LockOptions) -> None:
    if options.upgrade:
        raise UsageError(
            f"the lock of {question.title} for {question.inputs.target} ships with the program and is what is used",
            hint="to see what the newest versions would be, write it elsewhere: --output FOLDER",
        )


def _export(question: Question, path: Path, options: LockOptions, home: Home, report: Report) -> LockAnswer:
    shipped = file_state(question.inputs, question.runtime.locks_dir, question.name)
    kept = home_lock_path(question.inputs, home)
    known = shipped if not shipped.reasons else file_state(question.inputs, kept.parent, kept.name)
    if known.lock is None or known.reasons or options.upgrade:
        lock = _resolve(question, None, options, home, report)
        write_if_changed(kept, lock)
    else:
        lock = known.lock
    report("export", question.title)
    text = export_pylock(lock, home=home, what=question.title, offline=options.offline)
    write_atomic(path, text.encode())
    return _answer_of(question, path, "written", lock)


def _resolve(question: Question, previous: Lock | None, options: LockOptions, home: Home, report: Report) -> Lock:
    report("lock", f"resolving {question.title} for {question.inputs.target} on Python {question.inputs.python}")
    return resolve(
        question.inputs,
        question.requirements,
        home=home,
        what=question.title,
        offline=options.offline,
        previous=previous,
        sdist_metadata=sdist_metadata(BuildConfinement(home), home=home, offline=options.offline, report=report),
    )


def _write(path: Path, lock: Lock, before: FileState) -> bool:
    if before.lock is None and path.is_file():  # unreadable, so that it cannot be compared
        write_atomic(path, lock.text().encode())
        return True
    return write_if_changed(path, lock)


def _failed(question: Question, path: Path | None, error: StemsepEnvError) -> LockAnswer:
    reason = Reason(error.code, error.message, hint=error.hint)
    built = error if isinstance(error, BuildError) else None
    answer = _answer_of(question, path, "failed", None, (reason,))
    return answer.model_copy(
        update={"output": (built.output or None) if built else None, "command": built.command if built else None}
    )


def _answer_of(
    question: Question,
    path: Path | None,
    state: LockState,
    lock: Lock | None,
    reasons: Sequence[Reason] = (),
    changes: Sequence[object] = (),
) -> LockAnswer:
    return LockAnswer.model_validate(
        {
            "runtime": question.runtime.recipe.id,
            "variant": question.variant,
            "models": question.models,
            "target": question.inputs.target,
            "python": question.inputs.python,
            "inputs": question.inputs.digest,
            "path": None if path is None else str(path),
            "state": state,
            "packages": None if lock is None else len(lock.pins),
            "changes": tuple(changes),
            "findings": tuple(
                Finding(code=reason.code, message=reason.message, hint=reason.hint) for reason in reasons
            ),
        }
    )
