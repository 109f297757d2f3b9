"""Real builds of the dsp runtime's environment: reuse, damage, many at once, killed at any point."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stemsep_envs.documents.base import validate
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import Target
from stemsep_envs.environments import environment_store
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.environments.environment_plan import EnvironmentPlan, plan_environment
from stemsep_envs.environments.environment_question import question_of
from stemsep_envs.environments.lookup import named_environment
from stemsep_envs.environments.merging import merge, model_demand, runtime_demands
from stemsep_envs.environments.reuse_or_build import ensure_environment
from stemsep_envs.errors import BlockedError, BuildError, MismatchError
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home, data_dir
from stemsep_envs.host.tree_removal import remove_tree

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = [
    pytest.mark.integration,
    pytest.mark.xdist_group("builds"),
    pytest.mark.skipif(sys.platform == "win32", reason="kills and links as POSIX does"),
]

DSP = data_dir("runtimes") / "dsp"
Plan = Callable[..., EnvironmentPlan]

CHILD = """
import sys
from pathlib import Path
from stemsep_envs.documents.base import validate
from stemsep_envs.documents.runtime import RuntimeRecipe
from stemsep_envs.documents.target import Target
from stemsep_envs.environments.reuse_or_build import ensure_environment
from stemsep_envs.environments.merging import merge, runtime_demands
from stemsep_envs.environments.environment_plan import plan_environment
from stemsep_envs.environments.environment_question import question_of
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home
try:
    import tomllib
except ModuleNotFoundError:
    import tomli as tomllib
dsp, home = Path(sys.argv[1]), Home(Path(sys.argv[2]))
recipe = validate(tomllib.loads((dsp / "runtime.toml").read_text()), RuntimeRecipe, origin="dsp")
requirements = merge(recipe, runtime_demands(recipe))
target = Target(this_machine().platform, "cpu")
plan = plan_environment(question_of(recipe, requirements, target, locks_dir=dsp / "locks"), home=home)
print("reused" if ensure_environment(plan, home=home).reused else "built", flush=True)
"""
"""What another process does: make sure of the dsp environment, and say whether it had to build."""


@pytest.fixture(scope="module", autouse=True)
def package_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Use the package cache of this machine, or one for all of these tests."""
    return Path(os.environ.setdefault("UV_CACHE_DIR", str(tmp_path_factory.mktemp("uv-cache"))))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home, on a path as users have them."""
    return Home(tmp_path / "Müller's home")


@pytest.fixture
def plan(home: Home) -> Plan:
    """Plan the dsp environment; keyword arguments change the question."""

    def make(
        *, locks_dir: Path = DSP / "locks", packages: tuple[str, ...] = (), python: str | None = None
    ) -> EnvironmentPlan:
        tables = tomllib.loads((DSP / "runtime.toml").read_text(encoding="utf-8"))
        recipe = validate(tables, RuntimeRecipe, origin="dsp")
        requirements = merge(recipe, [*runtime_demands(recipe), model_demand("m", packages=packages)])
        target = Target(this_machine().platform, "cpu")
        question = question_of(recipe, requirements, target, locks_dir=locks_dir, python=python)
        return plan_environment(question, home=home)

    return make


def works(environment: Environment) -> bool:
    """Say whether its interpreter imports what it is for."""
    done = subprocess.run([environment.python, "-I", "-c", "import numpy, soundfile, soxr"], check=False)
    return done.returncode == 0


def hidden(home: Home) -> list[str]:
    """What a build or a removal left behind."""
    return [path.name for path in home.environments_dir.iterdir() if path.name.startswith(".")]


def test_built_once_then_reused_by_all_with_the_same_needs(home: Home, plan: Plan) -> None:
    first = plan()
    assert first.state == "to_build"
    assert first.lock is not None
    assert first.lock.origin == "shipped"
    steps: list[str] = []
    built = ensure_environment(first, home=home, report=lambda step, _: steps.append(step))
    assert steps == ["create", "install", "check"]
    assert not built.reused
    assert built.digest == first.digest
    assert works(built)
    assert hidden(home) == []

    again = plan()
    assert (again.state, again.digest) == ("ready", first.digest)
    reused = ensure_environment(again, home=home)
    assert reused.reused
    assert reused.receipt == built.receipt
    (stored,) = environment_store.list_environments(home)
    assert (stored.digest, stored.problem, stored.live_uses) == (built.digest, None, 0)
    assert named_environment(home, built.digest[:8].upper()) == stored


def test_the_receipt_says_what_went_in(home: Home, plan: Plan) -> None:
    planned = plan()
    built = ensure_environment(planned, home=home)
    receipt = built.receipt
    assert planned.lock is not None
    assert [(item.name, item.version) for item in receipt.packages] == [
        (pin.name, pin.version) for pin in planned.lock.lock.pins
    ]
    assert receipt.inputs.lock == planned.lock.lock.digest
    assert set(receipt.health.imports) == set(planned.question.health_imports)
    assert receipt.size.files > 100
    assert receipt.builder.link_mode == "hardlink" or receipt.size.shared_bytes == 0
    document = json.loads((built.dir / environment_store.RECEIPT).read_bytes())
    assert document["digest"] == built.digest
    assert str(home.root) not in json.dumps(document)


def test_nothing_names_the_folder_in_which_it_was_built(home: Home, plan: Plan) -> None:
    built = ensure_environment(plan(), home=home)
    scripts = [path for path in (built.dir / "venv" / "bin").iterdir() if path.is_file() and not path.is_symlink()]
    assert scripts
    for path in [*scripts, built.dir / "venv" / "pyvenv.cfg"]:
        assert environment_store.BUILDING.encode() not in path.read_bytes(), path


def test_a_moved_home_is_used_as_it_is(home: Home, plan: Plan, tmp_path: Path) -> None:
    built = ensure_environment(plan(), home=home)
    moved = Home(tmp_path / "moved")
    home.root.rename(moved.root)
    assert environment_store.problem_with(moved, built.digest) is None
    python = environment_store.python_path(environment_store.environment_dir(moved, built.digest))
    assert subprocess.run([python, "-I", "-c", "import numpy"], check=False).returncode == 0


@pytest.mark.parametrize("damage", ["receipt", "half a receipt", "interpreter", "all but the receipt"])
def test_what_is_broken_is_built_anew(home: Home, plan: Plan, damage: str) -> None:
    built = ensure_environment(plan(), home=home)
    receipt = built.dir / environment_store.RECEIPT
    if damage == "receipt":
        receipt.unlink()
    elif damage == "half a receipt":
        receipt.write_bytes(receipt.read_bytes()[:100])
    elif damage == "interpreter":
        built.python.unlink()
        built.python.symlink_to("/nonexistent/python")
    else:
        remove_tree(built.dir / "venv")
    (stored,) = environment_store.list_environments(home)
    assert stored.problem is not None
    planned = plan()
    assert planned.state == "to_build"
    repaired = ensure_environment(planned, home=home)
    assert not repaired.reused
    assert works(repaired)
    assert hidden(home) == []


def test_a_replaced_base_interpreter_is_noticed(home: Home, plan: Plan) -> None:
    built = ensure_environment(plan(), home=home)
    path = built.dir / environment_store.RECEIPT
    document = json.loads(path.read_bytes())
    document["base_interpreter"]["mtime_us"] -= 1
    path.write_text(json.dumps(document))
    problem = environment_store.problem_with(home, built.digest)
    assert problem is not None
    assert "was replaced" in problem
    assert plan().state == "to_build"


def test_a_tampered_lock_is_refused_before_anything_is_fetched(home: Home, plan: Plan, tmp_path: Path) -> None:
    locks_dir = tmp_path / "locks"
    locks_dir.mkdir()
    for path in (DSP / "locks").glob("*.txt"):
        text = path.read_text(encoding="utf-8")
        head, _, tail = text.rpartition("--hash=sha256:")
        (locks_dir / path.name).write_text(f"{head}--hash=sha256:{'0' * 64}{tail[64:]}", encoding="utf-8")
    with pytest.raises(MismatchError, match="body: the text below the header was changed") as caught:
        plan(locks_dir=locks_dir)
    assert caught.value.exit_code == 4
    assert not home.environments_dir.exists()


def test_a_file_that_is_not_the_locked_one_is_refused(home: Home, plan: Plan, tmp_path: Path) -> None:
    import dataclasses

    planned = plan()
    assert planned.lock is not None
    lock = planned.lock.lock
    pins = tuple(dataclasses.replace(pin, hashes=("0" * 64,)) for pin in lock.pins)
    swapped = dataclasses.replace(planned.lock, lock=dataclasses.replace(lock, pins=pins))
    with pytest.raises((MismatchError, BuildError)):
        ensure_environment(dataclasses.replace(planned, lock=swapped, digest=None), home=home)
    assert environment_store.list_environments(home) == ()
    assert hidden(home) == []


def test_resolved_on_first_use_where_no_lock_ships(home: Home, plan: Plan, tmp_path: Path) -> None:
    planned = plan(locks_dir=tmp_path / "none", packages=("einops==0.8.1",))
    assert (planned.state, planned.digest, planned.lock) == ("to_lock", None, None)
    built = ensure_environment(planned, home=home)
    assert "einops" in {package.name for package in built.receipt.packages}
    known = plan(locks_dir=tmp_path / "none", packages=("einops==0.8.1",))
    assert known.state == "ready"
    assert known.lock is not None
    assert known.lock.origin == "home"
    for path in home.locks_dir.iterdir():
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert "/" not in text


def test_what_cannot_be_resolved_quotes_the_resolver(home: Home, plan: Plan, tmp_path: Path) -> None:
    planned = plan(locks_dir=tmp_path / "none", packages=("einops==99999.0",))
    with pytest.raises(BuildError, match=r"cannot be resolved: nothing meets einops==99999\.0") as caught:
        ensure_environment(planned, home=home)
    assert caught.value.exit_code == 5
    assert "einops" in caught.value.output
    assert caught.value.command is not None
    assert "einops==99999" in caught.value.command
    assert list(home.locks_dir.glob("*")) == []


def test_offline_names_everything_that_is_missing(
    home: Home, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty-cache"))
    planned = plan()
    with pytest.raises(BuildError, match="packages are not in the cache") as caught:
        ensure_environment(planned, home=home, offline=True)
    assert caught.value.code == "offline"
    assert planned.lock is not None
    assert all(f"{pin.name} {pin.version}" in caught.value.output for pin in planned.lock.lock.pins)
    assert hidden(home) == []


def test_a_command_to_repeat_can_be_repeated(
    home: Home, plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "empty-cache"))
    with pytest.raises(BuildError) as caught:
        ensure_environment(plan(), home=home, offline=True)
    assert caught.value.command is not None
    done = subprocess.run(caught.value.command, shell=True, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "network was disabled" in done.stderr


def test_impossible_plans_are_refused_with_every_reason(home: Home, plan: Plan) -> None:
    planned = plan(packages=("numpy<1",), python="2.7")
    assert planned.state == "impossible"
    with pytest.raises(BlockedError) as caught:
        ensure_environment(planned, home=home)
    assert {reason.code for reason in caught.value.reasons} == {"packages_conflict", "python_unsatisfiable"}


def start(home: Home) -> subprocess.Popen[str]:
    """Start another process that makes sure of the environment."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(DSP), str(home.root)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("count", [2, 16])
def test_many_at_once_build_once(home: Home, plan: Plan, count: int) -> None:
    children = [start(home) for _ in range(count)]
    answers = [child.communicate(timeout=120) for child in children]
    assert [child.returncode for child in children] == [0] * count, answers
    assert sorted(out.strip() for out, _ in answers) == ["built"] + ["reused"] * (count - 1)
    assert hidden(home) == []
    assert works(ensure_environment(plan(), home=home))


def test_killed_at_any_point(home: Home, plan: Plan) -> None:
    began = time.monotonic()
    first = start(home)
    assert first.communicate(timeout=120)[0] == "built\n"
    whole_seconds = time.monotonic() - began
    chance = random.Random(20261120)
    for _ in range(12):
        remove_tree(home.environments_dir)
        child = start(home)
        time.sleep(chance.uniform(0.2, 1.1) * whole_seconds)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert [item.problem for item in environment_store.list_environments(home) if item.problem] == []
    environment = ensure_environment(plan(), home=home)
    assert works(environment)
    deadline = time.monotonic() + 30  # an installer that outlived its killed parent ends soon
    while hidden(home) and time.monotonic() < deadline:
        environment_store.clear_leftovers(home)
        time.sleep(0.2)
    assert hidden(home) == []


def test_an_environment_in_use_is_marked_while_its_user_lives(home: Home, plan: Plan) -> None:
    digest = ensure_environment(plan(), home=home).digest
    with environment_store.in_use(home, digest), environment_store.in_use(home, digest):
        (stored,) = environment_store.list_environments(home)
        assert stored.live_uses == 2
        assert stored.last_used_at is not None
    assert environment_store.live_uses(home, digest) == 0
    code = (
        "import sys, time; from pathlib import Path; from stemsep_envs.environments import environment_store\n"
        "from stemsep_envs.host.paths import Home\n"
        "with environment_store.in_use(Home(Path(sys.argv[1])), sys.argv[2]):\n"
        "    print('using', flush=True); time.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(home.root), digest], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "using\n"
    assert environment_store.live_uses(home, digest) == 1
    child.kill()
    child.communicate()
    assert environment_store.live_uses(home, digest) == 0
