"""What cannot be met is known before anything is downloaded; what one Python cannot have, an older one may."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.package_index import Server, make_wheel, served
from tests.integration.questions import ask, lock_for, make_recipe, plan_here

from stemsep_envs.commands.resolution import resolved
from stemsep_envs.environments import refusals
from stemsep_envs.environments.ensure import ensure_environment, resolve_plan
from stemsep_envs.errors import BlockedError, BuildError
from stemsep_envs.host.interpreters import find_interpreters
from stemsep_envs.host.paths import Home

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


def test_the_next_python_is_taken_where_the_newest_has_no_wheels(server: Server, home: Home) -> None:
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


def test_a_refusal_is_forgotten_with_time_and_with_the_places_it_was_found_in(
    server: Server, home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    requirements = ask(make_recipe(torch={"max": "2.3"}, packages=["operator"]))
    with pytest.raises(BuildError):
        lock_for("linux-x86_64-cpu", requirements, home)
    inputs = plan_here(make_recipe(torch={"max": "2.3"}, packages=["operator"]), home).lock_inputs
    assert inputs is not None
    inputs = replace(inputs, python="3.11", target=replace(inputs.target, platform="linux-x86_64"))
    assert refusals.recall(inputs, home=home) is not None
    now = time.time()
    for shifted in (now + 90_000, now - 90_000):  # a day later; a clock that was wrong when it was written
        with monkeypatch.context() as clock:
            clock.setattr(time, "time", lambda shifted=shifted: shifted)
            assert refusals.recall(inputs, home=home) is None
    folder = tmp_path / "wheels"
    folder.mkdir()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("UV_FIND_LINKS", str(folder))
        assert refusals.recall(inputs, home=home) is None
        refusals.remember(inputs, BuildError("no", code="unsatisfiable"), home=home)
        assert refusals.recall(inputs, home=home) is not None
        os.utime(folder, ns=(1, 1))  # a wheel came
        assert refusals.recall(inputs, home=home) is None
    refusals.remember(inputs, BuildError("no", code="unsatisfiable"), home=home)
    (path,) = (home.cache_dir / "refusals").iterdir()
    path.write_bytes(b"{")
    assert refusals.recall(inputs, home=home) is None


def test_a_new_answer_takes_a_refusal_back(server: Server, home: Home) -> None:
    requirements = ask(make_recipe(torch={"max": "2.4"}, packages=["operator"]))
    with pytest.raises(BuildError):
        lock_for("linux-x86_64-cpu", requirements, home)
    assert list((home.cache_dir / "refusals").iterdir())
    make_wheel(server.root / "ordinary" / "torch", "torch", "2.4.0")
    lock_for("linux-x86_64-cpu", requirements, home)
    assert not list((home.cache_dir / "refusals").iterdir())
