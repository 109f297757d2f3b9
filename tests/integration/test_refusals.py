"""What cannot be met is known before anything is downloaded; what one Python cannot have, an older one may."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import SHIPPED
from tests.integration.package_index import Server, make_wheel, served
from tests.integration.questions import ask, lock_for, make_recipe, plan_here

from stemsep_envs.commands import lock
from stemsep_envs.commands.lock import LockOptions, lock_models
from stemsep_envs.documents.lock import Lock
from stemsep_envs.documents.lock_reports import LockAnswer
from stemsep_envs.environments import resolving, unsatisfiable_cache
from stemsep_envs.environments.environment_plan import EnvironmentPlan
from stemsep_envs.environments.resolve_once import resolve_once
from stemsep_envs.environments.reuse_or_build import ensure_environment, resolve_plan
from stemsep_envs.errors import BlockedError, BuildError
from stemsep_envs.host.interpreters import find_interpreters
from stemsep_envs.host.paths import Home
from stemsep_envs.planning import lock_requests
from stemsep_envs.planning.checks import package_statuses, torch_status
from stemsep_envs.planning.lock_requests import LockSelection
from stemsep_envs.provisioning.resolution import resolved

pytestmark = [pytest.mark.integration]

ENGINE = {"torch": None, "packages": ["engine"], "health": {"imports": ["engine"]}}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An index on loopback with a package that asks for a newer torch than there is."""
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    index = tmp_path / "indexes" / "ordinary"
    make_wheel(index / "torch", "torch", "2.3.0")
    make_wheel(index / "harmonics", "harmonics", "0.7", ["torch>=2.4"])
    make_wheel(index / "operator", "operator", "1.0", ["harmonics==0.7"])
    with served(index.parent) as running:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{running.url}/ordinary")
        monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX", "none")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("UV_HTTP_RETRIES", "0")
        yield running


def test_next_python_is_taken_where_the_newest_has_no_wheels(server: Server, home: Home) -> None:
    usable = [
        item.minor for item in find_interpreters(home) if item.release_level == "final" and not item.free_threaded
    ]
    minors = [minor for minor in dict.fromkeys(usable) if "3.10" <= minor <= "3.13"]
    if len(minors) < 2:
        pytest.skip("needs two Pythons")
    tag = f"cp{minors[1].replace('.', '')}"
    make_wheel(server.root / "ordinary" / "engine", "engine", "1.0", tag=f"{tag}-{tag}-manylinux_2_17_x86_64")
    plan = plan_here(make_recipe(**ENGINE), home)
    assert plan.python.minor == minors[0]
    built = ensure_environment(plan, home=home)
    assert built.receipt.inputs.interpreter.version.startswith(f"{minors[1]}.")
    again = plan_here(make_recipe(**ENGINE), home)
    assert (again.digest, again.state) == (built.digest, "ready")
    # That it is not the newest does not rest on what is remembered for a day.
    for path in (home.cache_dir / "refusals").iterdir():
        path.unlink()
    server.broken = {"ordinary"}
    later = plan_here(make_recipe(**ENGINE), home)
    assert (later.digest, later.state) == (built.digest, "ready")


def test_what_no_python_can_have_is_known_from_then_on(server: Server, home: Home, tmp_path: Path) -> None:
    plan = plan_here(make_recipe(torch={"max": "2.3"}, packages=["operator"]), home)
    assert plan.state == "to_lock"
    with pytest.raises(BuildError) as caught:
        resolve_plan(plan, home=home, offline=False)
    assert caught.value.code == "unsatisfiable"
    assert "and none on Python 3." in caught.value.message
    server.broken = {"ordinary"}  # whoever asks now does not ask the index
    known = plan_here(make_recipe(torch={"max": "2.3"}, packages=["operator"]), home)
    assert known.state == "impossible"
    (reason,) = known.reasons
    assert reason.code == "unsatisfiable"
    assert "harmonics depend on torch>=2.4" in (reason.details or "")
    with pytest.raises(BlockedError):
        ensure_environment(known, home=home)


def test_preflight_can_ask_the_resolver(server: Server, home: Home) -> None:
    plan = plan_here(make_recipe(torch={"max": "2.3"}, packages=["operator"]), home)
    answer, doubts = resolved(plan, home=home, offline=False)
    assert (answer.state, doubts) == ("impossible", ())
    good, doubts = resolved(plan_here(make_recipe(packages=["harmonics"], torch=None), home), home=home, offline=False)
    assert good.state == "impossible"  # harmonics asks for torch too
    fine, doubts = resolved(plan_here(make_recipe(), home), home=home, offline=False)
    assert (fine.state, doubts, fine.lock is not None) == ("to_build", (), True)
    server.broken = {"ordinary"}
    other = plan_here(make_recipe(packages=["torch>=2.1"]), home)
    answer, (doubt,) = resolved(other, home=home, offline=False)
    assert (answer.state, doubt.code) == ("to_lock", "requirements_unresolved")


def test_refusal_is_forgotten_with_time_and_with_its_indexes(
    server: Server, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requirements = ask(make_recipe(torch={"max": "2.3"}, packages=["operator"]))
    with pytest.raises(BuildError):
        lock_for("linux-x86_64-cpu", requirements, home)
    inputs = plan_here(make_recipe(torch={"max": "2.3"}, packages=["operator"]), home).lock_inputs
    assert inputs is not None
    inputs = replace(inputs, python="3.11", target=replace(inputs.target, platform="linux-x86_64"))
    assert unsatisfiable_cache.recall(inputs, home=home) is not None
    now = time.time()
    for shifted in (now + 90_000, now - 90_000):  # a day later; a clock that was wrong when it was written
        with monkeypatch.context() as clock:
            clock.setattr(time, "time", lambda shifted=shifted: shifted)
            assert unsatisfiable_cache.recall(inputs, home=home) is None
    folder = tmp_path / "wheels"
    folder.mkdir()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("UV_FIND_LINKS", str(folder))
        assert unsatisfiable_cache.recall(inputs, home=home) is None
        unsatisfiable_cache.remember(inputs, BuildError("no", code="unsatisfiable"), home=home)
        assert unsatisfiable_cache.recall(inputs, home=home) is not None
        os.utime(folder, ns=(1, 1))  # a wheel came
        assert unsatisfiable_cache.recall(inputs, home=home) is None
    unsatisfiable_cache.remember(inputs, BuildError("no", code="unsatisfiable"), home=home)
    (path,) = (home.cache_dir / "refusals").iterdir()
    path.write_bytes(b"{")
    assert unsatisfiable_cache.recall(inputs, home=home) is None


def test_a_new_answer_takes_a_refusal_back(server: Server, home: Home) -> None:
    requirements = ask(make_recipe(torch={"max": "2.4"}, packages=["operator"]))
    with pytest.raises(BuildError):
        lock_for("linux-x86_64-cpu", requirements, home)
    assert list((home.cache_dir / "refusals").iterdir())
    make_wheel(server.root / "ordinary" / "torch", "torch", "2.4.0")
    lock_for("linux-x86_64-cpu", requirements, home)
    assert not list((home.cache_dir / "refusals").iterdir())


RECIPE = """
schema_version = 1
id = "engine"
title = "Engine"
description = "For tests."
accelerators = ["cpu"]
packages = ["engine"]
decodes = ["wav"]
encodes = ["wav"]
[python]
min = "3.10"
max = "3.13"
[health]
imports = ["engine"]
[model_types.plain]
stems = ["one"]
"""


def test_lock_takes_the_newest_python_with_an_answer(
    server: Server, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    minors = [item.minor for item in find_interpreters(home) if "3.10" <= item.minor <= "3.13"]
    oldest = f"cp{min(minors, key=lambda minor: int(minor[2:])).replace('.', '')}"
    make_wheel(server.root / "ordinary" / "engine", "engine", "1.0", tag=f"{oldest}-{oldest}-manylinux_2_17_x86_64")
    folder = tmp_path / "runtimes" / "engine"
    folder.mkdir(parents=True)
    (folder / "runtime.toml").write_text(RECIPE)
    (folder / "adapter.py").touch()
    runtime = {"allowed": ["engine"], "preferred": "engine", "model_type": "plain"}
    entry = {"architecture": "Other", "links": {}, "stems": ["one"], "runtime": runtime}
    models = [{**entry, "id": f"model-{number}", "name": "A model"} for number in range(3)]
    registry = tmp_path / "registry.json"
    registry.write_text(json.dumps({**json.loads(SHIPPED.read_bytes()), "models": models}))
    monkeypatch.setenv("STEMSEP_ENV_HOME", str(home.root))
    for module in (lock, lock_requests):
        monkeypatch.setattr(module, "data_dir", lambda name: tmp_path / name)
    said: list[str] = []

    def made() -> LockAnswer:
        said.clear()
        options = LockOptions(LockSelection(registry_path=registry))
        (answer,) = lock_models(options, report=lambda _, detail: said.append(detail)).locks
        return answer

    first = made()
    assert (first.state, f"cp{first.python.replace('.', '')}") == ("written", oldest)
    assert len(first.models) == 3
    assert len(said) == len(set(minors))
    assert (made().state, said) == ("current", [])
    Path(first.path or "").unlink()
    assert (made().state, len(said)) == ("written", 1)  # what had no answer before is not asked first


def test_an_empty_range_of_pythons_is_told_once_with_both_sides(home: Home) -> None:
    plan = plan_here(make_recipe(torch=None), home, model={"python": (None, "3.8")})
    (reason,) = plan.reasons
    assert reason.code == "python_unsatisfiable"
    assert "runtime engine: python.min asks for 3.10 or newer" in reason.message


def statuses(plan: EnvironmentPlan) -> dict[str, str]:
    """What preflight says of each package, and of torch."""
    found: dict[str, str] = {item.name: item.status for item in package_statuses(plan)}
    torch = torch_status(plan)
    return found if torch is None else {**found, "torch": torch.status}


def test_only_what_stands_in_the_way_is_called_so(server: Server, home: Home) -> None:
    packages = ["numpy>=2", "einops"]
    contradicting = make_recipe(packages=packages, torch=None)
    plan = plan_here(contradicting, home, model={"packages": ("numpy<2",)})
    assert statuses(plan) == {"numpy>=2": "unsatisfiable", "numpy<2": "unsatisfiable", "einops": "will_install"}
    plan = plan_here(make_recipe(packages=packages, torch={"min": "2.4"}), home, model={"torch": (None, "2.3")})
    assert statuses(plan) == {"numpy>=2": "will_install", "einops": "will_install", "torch": "unsatisfiable"}
    asked = make_recipe(torch={"max": "2.3"}, packages=["operator", "engine"])
    make_wheel(server.root / "ordinary" / "engine", "engine", "1.0")
    plan, _ = resolved(plan_here(asked, home), home=home, offline=False)
    assert statuses(plan) == {"operator": "unsatisfiable", "engine": "will_install", "torch": "unsatisfiable"}


def test_who_asks_for_certainty_is_not_told_yesterday_s_answer(server: Server, home: Home) -> None:
    asked = make_recipe(torch={"max": "2.4"}, packages=["operator"])
    answer, _ = resolved(plan_here(asked, home), home=home, offline=False)
    assert answer.state == "impossible"
    make_wheel(server.root / "ordinary" / "torch", "torch", "2.4.0")
    known = plan_here(asked, home)
    assert known.state == "impossible"
    assert "--resolve" in (known.reasons[0].hint or "")
    answer, _ = resolved(plan_here(asked, home, anew=True), home=home, offline=False)
    assert answer.state == "to_build"
    assert plan_here(asked, home).state == "to_build"


def test_one_of_several_processes_asks_the_resolver(
    server: Server, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_here(make_recipe(torch={"max": "2.3"}, packages=["operator"]), home)
    inputs = plan.lock_inputs
    assert inputs is not None
    asked: list[object] = []

    def slowly(*arguments: object, **options: Any) -> Lock:
        asked.append(arguments)
        time.sleep(0.5)
        return resolve(*arguments, **options)  # type: ignore[arg-type]

    resolve = resolving.resolve
    monkeypatch.setattr(resolving, "resolve", slowly)

    def ask_once(_: int) -> str:
        try:
            resolve_once(inputs, plan.requirements, home=home, what="engine", offline=False, report=lambda *_: None)
        except BuildError as error:
            return error.code
        return ""

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(ask_once, range(4))) == ["unsatisfiable"] * 4
    assert len(asked) == 1
