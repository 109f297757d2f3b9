"""Which Python a lock is made for when the first has no packages, and what a report amounts to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stemsep_envs.documents.lock_reports import LockAnswer, LockReport, LockState
from stemsep_envs.documents.reports import Finding
from stemsep_envs.documents.target import parse_target
from stemsep_envs.environments.locking import lock_inputs
from stemsep_envs.environments.merging import merge, runtime_demands
from stemsep_envs.errors import BuildError, MismatchError
from stemsep_envs.host.paths import data_dir
from stemsep_envs.planning.lock_requests import LockRequest
from stemsep_envs.provisioning.locks import first_resolved, lock_failure, unneeded_locks
from stemsep_envs.registry.recipes import load_runtime

TARGET = parse_target("linux-x86_64-cpu")


@pytest.fixture
def request_() -> LockRequest:
    runtime = load_runtime(data_dir("runtimes"), "dsp")
    needs = merge(runtime.recipe, runtime_demands(runtime.recipe))
    inputs = lock_inputs(needs, TARGET, "3.12")
    return LockRequest(runtime, None, ("m",), needs, inputs, is_plain=True, older=("3.11", "3.10"))


def answered(
    python: str, state: LockState = "written", code: str | None = None, *, output: str | None = None
) -> LockAnswer:
    findings = (Finding(code=code, message=f"no {python}"),) if code else ()
    return LockAnswer(
        runtime="dsp",
        variant=None,
        models=("m",),
        target=TARGET,
        python=python,
        inputs="0" * 64,
        path=None,
        state=state,
        findings=findings,
        output=output,
    )


def by_python(**states: str) -> Callable[[LockRequest], LockAnswer]:
    """Answer as named: ``ok``, or the code of a failure."""

    def answer(request: LockRequest) -> LockAnswer:
        code = states[f"py{request.inputs.python.replace('.', '')}"]
        return answered(request.inputs.python) if code == "ok" else answered(request.inputs.python, "failed", code)

    return answer


@pytest.mark.parametrize(
    ("states", "python", "state"),
    [
        ({"py312": "ok"}, "3.12", "written"),
        ({"py312": "unsatisfiable", "py311": "ok"}, "3.11", "written"),
        ({"py312": "unsatisfiable", "py311": "unsatisfiable", "py310": "ok"}, "3.10", "written"),
        ({"py312": "unsatisfiable", "py311": "unsatisfiable", "py310": "unsatisfiable"}, "3.12", "failed"),
        ({"py312": "index_unreachable"}, "3.12", "failed"),
        ({"py312": "unsatisfiable", "py311": "index_unreachable"}, "3.11", "failed"),
    ],
)
def test_the_next_python_is_tried_where_packages_do_not_exist(
    request_: LockRequest, states: dict[str, str], python: str, state: str
) -> None:
    found = first_resolved(request_, by_python(**states))
    assert (found.python, found.state) == (python, state)


def test_locks_that_no_request_is_for_are_unneeded(request_: LockRequest, tmp_path: Path) -> None:
    shipped = data_dir("runtimes") / "dsp" / "locks"
    (tmp_path / "dsp").mkdir()
    (tmp_path / "dsp" / "locks").symlink_to(shipped)
    found = unneeded_locks([request_], tmp_path)
    names = {path.name for path in found}
    assert request_.name not in names
    assert names == {path.name for path in shipped.glob("*.txt")} - {request_.name}
    assert unneeded_locks([], tmp_path) == ()


def report_of(*answers: LockAnswer, check: bool = False, strangers: tuple[str, ...] = ()) -> LockReport:
    return LockReport(action="check" if check else "resolve", locks=answers, skipped=(), strangers=strangers)


def test_a_report_without_failures_is_no_error() -> None:
    assert lock_failure(report_of(answered("3.12"))) is None
    assert lock_failure(report_of(answered("3.12"), strangers=("old.txt",))) is None


def test_a_failed_lock_is_a_build_error_with_its_output() -> None:
    failed = answered("3.12", "failed", "offline", output="its words")
    error = lock_failure(report_of(answered("3.12"), failed, failed))
    assert isinstance(error, BuildError)
    assert (error.code, error.output) == ("offline", "its words")
    assert "(and 1 more)" in error.message


@pytest.mark.parametrize(("state", "strangers"), [("stale", ()), ("current", ("old.txt",))])
def test_a_stale_or_unneeded_lock_is_a_mismatch_when_checked(state: LockState, strangers: tuple[str, ...]) -> None:
    error = lock_failure(report_of(answered("3.12", state), check=True, strangers=strangers))
    assert isinstance(error, MismatchError)
    assert error.code == "lock_stale"
