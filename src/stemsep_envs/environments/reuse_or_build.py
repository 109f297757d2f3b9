"""Making sure of an environment: use the one that is there, or build it, whoever else is doing the same."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

from stemsep_envs.environments import environment_store, uv
from stemsep_envs.environments.building import BuildJob, Stopwatch
from stemsep_envs.environments.built_environment import Environment, environment_at, ready_environment
from stemsep_envs.environments.confining import Confine
from stemsep_envs.environments.environment_plan import (
    EnvironmentPlan,
    environment_inputs,
    plan_environment,
    with_lock,
)
from stemsep_envs.environments.pythons import choose_python
from stemsep_envs.environments.repairing import build_clean
from stemsep_envs.environments.reporting import Report, silent
from stemsep_envs.environments.unsatisfiable_cache import CODE
from stemsep_envs.errors import BlockedError, BuildError
from stemsep_envs.host import digest_store, locks
from stemsep_envs.host.interpreters import Interpreter, find_interpreters, managed_dir
from stemsep_envs.host.paths import Home


def ensure_environment(
    plan: EnvironmentPlan,
    *,
    home: Home,
    offline: bool = False,
    report: Report = silent,
    confine: Confine | None = None,
) -> Environment:
    """Return the planned environment, building it if it is not there.

    Args:
        plan: From `environment_plan.plan_environment`.
        home: Where environments are.
        offline: Forbid the network.
        report: Told of each step as it begins.
        confine: Confines what a build runs of the packages' code.

    Raises:
        BlockedError: The plan is impossible; carries every reason.
        BuildError: Resolving, installing or the health check failed.
        MismatchError: A lock or a downloaded file is not what was promised.
        LimitError: No space, or a deadline passed.
        UsageError: The home cannot be written.
    """
    if plan.reasons:
        raise BlockedError(f"no environment can serve {plan.title}: {plan.reasons[0].message}", plan.reasons)
    if plan.state == "to_fetch":
        raise ValueError(f"the engine of {plan.title} is not known: plan again once the model's files are here")
    found = ready_environment(plan, home)
    if found is not None:
        return found
    watch = Stopwatch()
    with watch.step("lock"):
        plan = resolve_plan(plan, home=home, offline=offline, report=report, confine=confine)
    lock = plan.lock
    if lock is None:
        raise ValueError("a resolved plan has a lock")
    with watch.step("interpreter"):
        interpreter = plan.python.interpreter or _install_interpreter(plan, home=home, offline=offline, report=report)
    job = BuildJob(
        title=plan.title,
        inputs=environment_inputs(interpreter, plan.target, lock, plan.question.engine_digest),
        interpreter=interpreter,
        lock=lock.lock,
        lock_path=lock.path,
        health_imports=plan.question.health_imports,
        built_for=tuple(map(str, plan.requirements.parties)),
        builder=plan.builder,
        source_reasons=plan.question.source_reasons,
        confine=confine,
    )
    return _build_once(job, home=home, offline=offline, watch=watch, report=report)


def _build_once(job: BuildJob, *, home: Home, offline: bool, watch: Stopwatch, report: Report) -> Environment:
    """Build, unless another process did meanwhile."""
    digest = job.inputs.digest
    with ExitStack() as waiting:
        waiting.enter_context(watch.step("wait"))

        def build() -> None:
            waiting.close()
            build_clean(job, home=home, offline=offline, watch=watch, report=report)

        reused = digest_store.ensure(
            environment_store.store_of(home),
            digest,
            build,
            on_wait=lambda: report("wait", "another process is building this environment"),
        )
    return environment_at(home, digest, reused=reused, steps_seconds=watch.seconds)


def _install_interpreter(plan: EnvironmentPlan, *, home: Home, offline: bool, report: Report) -> Interpreter:
    minor = plan.python.minor
    if minor is None:
        raise ValueError("a plan without a Python has reasons")
    report("interpreter", f"installing Python {minor}")
    with locks.hold(home.holds_dir / f"python-{minor}"):
        uv.install_python(minor, into=managed_dir(home), home=home, offline=offline)
    choice = choose_python(
        find_interpreters(home),
        plan.requirements.python,
        minors=(minor,),
        locked_minors=frozenset(),
        platform=plan.target.platform,
    )
    if choice.interpreter is None:
        raise BuildError(f"Python {minor} was installed and is not found", output="\n".join(choice.refused))
    return choice.interpreter


def resolve_plan(
    plan: EnvironmentPlan,
    *,
    home: Home,
    offline: bool,
    report: Report = silent,
    confine: Confine | None = None,
) -> EnvironmentPlan:
    """Return a plan that has its lock: resolved where there is none, for the newest Python that has an answer.

    Where nothing meets the requirements on one Python, the next one in range is tried: an engine may need a release
    that newer Pythons have no wheels of.

    Raises:
        BuildError: It cannot be resolved; when that is so on every Python, the error is that of the first.
        MismatchError: What an index serves is not what it promises.
    """
    if plan.lock is not None:
        return plan
    # Most locks are there already, and what resolves is slow to load.
    from stemsep_envs.environments.resolve_once import resolve_once  # noqa: PLC0415
    from stemsep_envs.environments.sources.sdist_metadata import sdist_metadata  # noqa: PLC0415

    metadata = sdist_metadata(confine, home=home, offline=offline, report=report)
    first: BuildError | None = None
    tried: list[str] = []
    while True:
        if plan.lock_inputs is None:
            raise ValueError("a plan without a question has reasons")
        what = plan.question.recipe_title
        asked = plan.lock_inputs
        tried.append(asked.python)
        try:
            lock = resolve_once(
                asked,
                plan.requirements,
                home=home,
                what=what,
                offline=offline,
                report=report,
                sdist_metadata=metadata,
            )
        except BuildError as error:
            if error.code != CODE:
                raise
            first = first or error
            following = plan_environment(plan.question, home=home)
            if following.reasons or following.lock_inputs is None or following.lock_inputs.python in tried:
                _say_others(first, tried)
                raise first from None
            plan = following
        else:
            return with_lock(plan, lock, home=home)


def _say_others(error: BuildError, tried: Sequence[str]) -> None:
    if len(tried) > 1:
        error.message += f", and none on Python {', '.join(tried[1:])} either"
