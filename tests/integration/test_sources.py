"""Source distributions are strangers' programs: they are asked and built confined, and uv and pip never run one."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.confining import At
from tests.integration.package_index import Server, make_sdist, make_wheel, served
from tests.integration.questions import ask, make_recipe, plan_here, versions

from stemsep_envs.documents.environment import BuilderName
from stemsep_envs.documents.lock import Lock
from stemsep_envs.documents.target import Target
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.environments.gc import Rules, collect, remove_environment
from stemsep_envs.environments.locking import lock_inputs
from stemsep_envs.environments.pylock import export_pylock
from stemsep_envs.environments.repairing import repair
from stemsep_envs.environments.resolving import resolve
from stemsep_envs.environments.reuse_or_build import ensure_environment
from stemsep_envs.environments.sources import source_cache
from stemsep_envs.environments.sources.sdist_metadata import sdist_metadata
from stemsep_envs.environments.sources.source_cache import built_dir, sources_dir
from stemsep_envs.environments.verifying import verify
from stemsep_envs.errors import BuildError, MismatchError, StemsepEnvError
from stemsep_envs.host.machine import this_machine
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_tree
from stemsep_envs.provisioning.build_confinement import BuildConfinement
from stemsep_envs.sandbox.policy import LevelName

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="the levels are Linux's"),
]

ATTACK = """
import os as _os, socket as _socket
def _attempt(act):
    try:
        act()
    except Exception as error:
        print("held:", error)
def _write(path, text):
    with open(path, "a") as stream:
        stream.write(text)
_attempt(lambda: _write({outside!r} + "/marker", "built here"))
_attempt(lambda: _write({outside!r} + "/stolen", open({outside!r} + "/secret").read()))
_attempt(lambda: _write({outside!r} + "/environ", _os.environ["STEMSEP_TEST_TOKEN"]))
_attempt(lambda: _socket.create_connection(("127.0.0.1", {port}), 2).close())
"""
WANTS = {"torch": None, "packages": ["harmonics"], "health": {"imports": ["harmonics", "tempo"]}}
LISTED = {**WANTS, "source_distributions": {"harmonics": "no wheels are published"}}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that every user may write and read, so that only a sandbox keeps anybody out."""
    folder = tmp_path / "outside"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "secret").write_text("secret")
    return folder


@pytest.fixture
def attack(outside: Path, listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STEMSEP_TEST_TOKEN", "token")
    return ATTACK.format(outside=str(outside), port=listener.getsockname()[1])


@pytest.fixture
def index(tmp_path: Path) -> Path:
    folder = tmp_path / "index"
    make_wheel(folder / "tempo", "tempo", "1.1")
    make_wheel(folder / "tempo", "tempo", "2.0")
    return folder


@pytest.fixture
def server(tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    with served(tmp_path) as running:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{running.url}/index")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def ensured(
    home: Home, level: LevelName = "namespaces", builder: BuilderName = "uv", *, offline: bool = False
) -> Environment:
    plan = plan_here(make_recipe(**LISTED), home, builder=builder)
    return ensure_environment(plan, home=home, confine=At(level), offline=offline)


def resolved(home: Home, **recipe: object) -> Lock:
    requirements = ask(make_recipe(**{**LISTED, **recipe}))
    inputs = lock_inputs(requirements, Target(this_machine().platform, "cpu"), "3.11")
    metadata = sdist_metadata(At("namespaces"), home=home, offline=False)
    return resolve(inputs, requirements, home=home, what="engine", sdist_metadata=metadata)


def was_reached(listener: socket.socket) -> bool:
    with contextlib.suppress(BlockingIOError):
        listener.accept()[0].close()
        return True
    return False


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_attack_works_where_nothing_stops_it(
    server: Server, home: Home, index: Path, attack: str, outside: Path, listener: socket.socket
) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"], code=attack)
    ensured(home, "hygiene")
    assert names(outside) == ["marker", "secret", "stolen"]  # its environment is not the user's at any level
    assert was_reached(listener)


@pytest.mark.parametrize("builder", ["uv", "pip"])
@pytest.mark.parametrize("level", ["namespaces", "landlock"])
def test_a_build_reaches_nothing(  # noqa: PLR0917 - fixtures
    server: Server,
    home: Home,
    index: Path,
    attack: str,
    outside: Path,
    listener: socket.socket,
    level: LevelName,
    builder: BuilderName,
) -> None:
    sdist = make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"], code=attack, build_requires=["bellows"])
    # What a build needs is as strange as what it builds, and code in a .pth file runs whenever Python starts.
    make_wheel(index / "bellows", "bellows", "1.0", pth="import bellows\n", code=attack)
    environment = ensured(home, level, builder)
    assert names(outside) == ["secret"]
    assert not was_reached(listener)

    build = environment.receipt.built_from_source["harmonics"]
    assert (build.confined_by, build.source) == (level, "harmonics-0.7.tar.gz")
    assert build.source_sha256 == hashlib.sha256(sdist.read_bytes()).hexdigest()
    assert [(package.name, package.version) for package in build.built_with] == [("bellows", "1.0")]
    done = subprocess.run(
        [environment.python, "-I", "-c", "import harmonics; print(harmonics.built_from_source)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "True\n"
    assert not verify(home, environment.digest).differences
    assert not list((environment.dir / "venv").glob("lib/*/site-packages/bellows"))


@pytest.mark.parametrize("builder", ["uv", "pip"])
def test_packages_do_not_run_unconfined_once_they_are_installed(
    server: Server, home: Home, index: Path, attack: str, outside: Path, listener: socket.socket, builder: BuilderName
) -> None:
    """Lines of ``.pth`` files run whenever the environment's Python starts, isolated or not."""
    (index / "tempo" / "tempo-2.0-py3-none-any.whl").unlink()
    make_wheel(index / "tempo", "tempo", "2.0", pth="import tempo\n", code=attack)
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    environment = ensured(home, builder=builder)
    assert not verify(home, environment.digest).differences
    module = next((environment.dir / "venv").glob("lib/*/site-packages/tempo/__init__.py"))
    module.unlink()
    assert verify(home, environment.digest).differences
    assert repair(home, environment.digest, offline=False, report=print, confine=At("namespaces")).receipt is not None
    assert names(outside) == ["secret"]
    assert not was_reached(listener)


@pytest.mark.parametrize("place", ["ordinary", "folder"])
def test_a_resolver_asks_confined(  # noqa: PLR0917 - fixtures
    server: Server,
    home: Home,
    index: Path,
    tmp_path: Path,
    attack: str,
    outside: Path,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo<2"], code=attack)
    recipe: dict[str, object] = {}
    if place == "folder":  # torch has a place of its own, where another command of uv's looks first
        make_wheel(tmp_path / "torches", "torch", "2.7.1+cpu")
        monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX_CPU", str(tmp_path / "torches"))
        recipe = {"torch": {"min": "2.3"}}
    lock = resolved(home, **recipe)
    assert versions(lock)["tempo"] == "1.1"  # what only the build could tell
    text = export_pylock(lock, home=home, what="engine", offline=False)
    assert "harmonics-0.7.tar.gz" in text
    assert names(outside) == ["secret"]


def test_what_a_source_says_for_certain_is_read_not_asked(server: Server, home: Home, index: Path) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo<2"], code="1 / 0\n", metadata_version="2.2")
    assert versions(resolved(home))["tempo"] == "1.1"


def test_a_version_whose_needs_exclude_others_is_gone_back_from(server: Server, home: Home, index: Path) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    make_sdist(index / "harmonics", "harmonics", "0.8", ["tempo>=3"])
    make_sdist(index / "harmonics", "harmonics", "0.9", ["tempo", "nowhere"])
    found = versions(resolved(home))
    assert found == {"harmonics": "0.7", "tempo": "2.0"}


def test_what_excludes_each_other_is_refused_with_the_chain(server: Server, home: Home, index: Path) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo>=3"])
    with pytest.raises(BuildError) as caught:
        resolved(home)
    assert caught.value.code == "unsatisfiable"
    assert "tempo>=3" in caught.value.output


def test_a_wheel_is_built_once_and_kept(server: Server, home: Home, index: Path) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"], build_requires=["tempo"])
    first = ensured(home)
    remove_tree(home.environments_dir)
    again = ensured(home, offline=True)
    assert not again.reused
    assert again.receipt.built_from_source == first.receipt.built_from_source

    remove_tree(home.environments_dir)
    (wheel,) = built_dir(home).glob("*/*.whl")
    wheel.write_bytes(wheel.read_bytes() + b"changed")
    anew = ensured(home)  # a damaged one is built again
    assert not verify(home, anew.digest).differences

    remove_tree(home.environments_dir)
    remove_tree(built_dir(home))
    remove_tree(sources_dir(home))
    with pytest.raises(BuildError) as caught:
        ensured(home, offline=True)
    assert caught.value.code == "offline"
    assert "harmonics 0.7" in caught.value.message


def test_two_at_once_build_one_wheel(server: Server, home: Home, index: Path) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"], ending="import time\ntime.sleep(1)\n")
    resolved(home)
    told: list[str] = []

    def build(builder: BuilderName) -> None:
        recipe = make_recipe(**{**LISTED, "health": {"imports": ["harmonics"] if builder == "pip" else ["tempo"]}})
        plan = plan_here(recipe, home, builder=builder)
        ensure_environment(
            plan, home=home, confine=At("namespaces"), report=lambda step, detail: told.append(f"{step} {detail}")
        )

    threads = [threading.Thread(target=build, args=(builder,)) for builder in ("uv", "pip")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([line for line in told if line.startswith("build harmonics 0.7 from its source, confined")]) == 1
    assert len(list(built_dir(home).glob("*/*.whl"))) == 1


@pytest.mark.parametrize(
    ("ending", "why"),
    [
        ("os.unlink(path); os.symlink('/etc/hostname', path)", "refused: it cannot be opened"),
        ("os.unlink(path); os.mkfifo(path)", "is not a regular file"),
        ("os.link(path, path + '.too')", "more than one hard link"),
        ("os.unlink(path)", "cannot be moved"),
        ("name = 'other-0.7-py3-none-any.whl'; os.rename(path, os.path.join(folder, name))", "made another thing"),
        ("name = '../harmonics-0.7-py3-none-any.whl'; os.rename(path, os.path.join(folder, name))", "another thing"),
        ("name = 'harmonics-0.8-py3-none-any.whl'; os.rename(path, os.path.join(folder, name))", "made another thing"),
        ("name = 'harmonics.txt'; os.rename(path, os.path.join(folder, name))", "made another thing"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("os._exit(7)", "exit status 7"),
        ("os.kill(os.getpid(), 11)", "SIGSEGV"),
    ],
)
def test_what_a_hostile_build_leaves_is_refused(server: Server, home: Home, index: Path, ending: str, why: str) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", metadata_version="2.2", ending=ending)
    with pytest.raises(BuildError) as caught:
        ensured(home)
    assert caught.value.code == "source_build_failed"
    assert why in caught.value.message
    assert names(built_dir(home)) == []
    assert not list(home.environments_dir.glob("[0-9a-f]*"))


TMP_REPLACED = """
import os
os.rmdir(os.environ["TMPDIR"])  # fails where it is no folder
{deed}
"""


@pytest.mark.parametrize(
    "deed", ["open(os.environ['TMPDIR'], 'w').close()", "os.symlink('/etc', os.environ['TMPDIR'])"]
)
def test_a_step_of_a_build_begins_with_a_folder_for_its_files(
    server: Server, home: Home, index: Path, deed: str
) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"], code=TMP_REPLACED.format(deed=deed))
    assert ensured(home).receipt.inputs.lock


@pytest.mark.parametrize(
    "forged",
    [
        "{}",
        '{"requires": ["tempo", 5]}',
        '{"requires": "tempo"}',
        '{"name": 1e999}',
        "[" * 100_000,
        '{"requires": ["tempo @ https://example.org/tempo.whl"]}',
        '{"requires": ["-r /etc/passwd"]}',
        '{"requires": ["tempo\\n--index-url https://example.org"]}',
        '{"requires": ["tempo\\ud800"]}',
        '{"name": "' + "x" * 300_000 + '"}',
    ],
)
def test_forged_answers_are_refused(server: Server, home: Home, index: Path, forged: str) -> None:
    """The backend takes the program's own descriptor and answers in its place."""
    code = f"""
import os
for number in range(3, 20):
    try:
        os.write(number, {forged!r}.encode("utf-8", "surrogatepass"))
        os._exit(0)
    except OSError:
        pass
"""
    make_sdist(index / "harmonics", "harmonics", "0.7", metadata_version="2.2", code=code)
    with pytest.raises(StemsepEnvError) as caught:
        ensured(home)
    assert caught.value.code == "source_build_failed"
    assert names(built_dir(home)) == []


@pytest.mark.parametrize(
    "requires", [["tempo @ https://example.org/tempo.whl"], ["-r other.txt"], ["tempo; nonsense"], ["./here"]]
)
def test_builds_that_need_what_no_lock_can_name_are_refused(
    server: Server, home: Home, index: Path, requires: list[str]
) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", build_requires=requires)
    with pytest.raises(BuildError) as caught:
        ensured(home)
    assert caught.value.code == "source_build_failed"


def test_a_swapped_source_is_refused(server: Server, home: Home, index: Path) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    resolved(home)
    plan = plan_here(make_recipe(**LISTED), home, python="3.11")
    ensure_environment(plan, home=home, confine=At("namespaces"))
    for folder in (home.environments_dir, built_dir(home), sources_dir(home), home.root.parent / "cache"):
        remove_tree(folder)
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"], code="swapped = True\n")
    with pytest.raises(MismatchError) as caught:
        ensure_environment(plan_here(make_recipe(**LISTED), home, python="3.11"), home=home, confine=At("namespaces"))
    assert (caught.value.code, caught.value.exit_code) == ("hash_mismatch", 4)
    server.lying.add("harmonics-0.7.tar.gz")
    with pytest.raises(MismatchError):
        resolved(Home(home.root.parent / "other"))


def test_without_a_sandbox_nothing_is_built(server: Server, home: Home, index: Path) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    with pytest.raises(ValueError, match="sandbox"):
        ensure_environment(plan_here(make_recipe(**LISTED), home), home=home)
    resolved(home)
    with pytest.raises(ValueError, match="sandbox"):
        ensure_environment(plan_here(make_recipe(**LISTED), home, python="3.11"), home=home)


def test_the_program_confines_builds_as_well_as_it_can(server: Server, home: Home, index: Path) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    confine = BuildConfinement(home)
    environment = ensure_environment(plan_here(make_recipe(**LISTED), home), home=home, confine=confine)
    written = json.loads((environment.dir / "receipt.json").read_bytes())
    assert written["built_from_source"]["harmonics"]["confined_by"] == confine.level != "hygiene"


def test_a_failed_build_says_what_failed_and_what_helps(server: Server, home: Home, index: Path) -> None:
    ending = "import subprocess\nsubprocess.run(['no-such-compiler', 'x.c'], check=True)\n"
    make_sdist(index / "harmonics", "harmonics", "0.7", metadata_version="2.2", ending=ending)
    with pytest.raises(BuildError) as caught:
        ensured(home)
    error = caught.value
    assert "harmonics 0.7 cannot be built from its source" in error.message
    assert "no-such-compiler" in error.message
    assert "system's compilers" in str(error.hint)
    assert "Traceback" in error.output
    assert error.exit_code == 5


@pytest.mark.parametrize("builder", ["uv", "pip"])
@pytest.mark.parametrize(
    "inner",
    [
        "scripts/python",
        "scripts/python3",
        "scripts/sub/../python",
        "data/bin/python",
        "data/bin/../bin/python",
        "data/pyvenv.cfg",
    ],
)
def test_a_package_that_brings_a_python_of_its_own_is_refused(
    server: Server, home: Home, index: Path, outside: Path, inner: str, builder: BuilderName
) -> None:
    fake = f"#!/bin/sh\necho run >> {outside}/marker\necho '{{}}'\n"
    (index / "tempo" / "tempo-2.0-py3-none-any.whl").unlink()
    make_wheel(index / "tempo", "tempo", "2.0", data={inner: fake})
    recipe = make_recipe(torch=None, packages=["tempo"], health={"imports": ["tempo"]})
    before = hashlib.sha256(Path(os.path.realpath(sys.executable)).read_bytes()).hexdigest()
    with pytest.raises(BuildError) as caught:  # refused by the builder, or by us
        ensure_environment(plan_here(recipe, home, builder=builder), home=home, confine=At("namespaces"))
    assert caught.value.code in {"package_refused", "build_failed"}
    assert not (outside / "marker").exists()
    assert hashlib.sha256(Path(os.path.realpath(sys.executable)).read_bytes()).hexdigest() == before
    assert not list(home.environments_dir.glob("[0-9a-f]*"))


def test_a_script_called_python_does_not_start_itself(server: Server, home: Home, index: Path) -> None:
    (index / "tempo" / "tempo-2.0-py3-none-any.whl").unlink()
    make_wheel(index / "tempo", "tempo", "2.0", code="def main(): pass\n", script="python")
    recipe = make_recipe(torch=None, packages=["tempo"], health={"imports": ["tempo"]})
    with pytest.raises(BuildError) as caught:
        ensure_environment(plan_here(recipe, home, builder="pip"), home=home, confine=At("namespaces"))
    assert caught.value.code == "package_refused"


def test_nobody_else_may_write_in_an_environment(server: Server, home: Home, index: Path) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    environment = ensured(home)
    everything = [path for path in environment.dir.rglob("*") if not path.is_symlink()]
    assert not [path for path in everything if path.stat().st_mode & 0o022]


def test_what_was_built_goes_when_no_environment_has_it(
    server: Server, home: Home, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    environment = ensured(home)
    monkeypatch.setattr(source_cache, "_YOUNG_SECONDS", -1.0)
    collect(home, Rules(), served=(), dry_run=False)
    assert len(list(built_dir(home).glob("*/*.whl"))) == 1
    remove_environment(home, environment.digest)
    monkeypatch.setattr(source_cache, "_YOUNG_SECONDS", 3600.0)
    collect(home, Rules(), served=(), dry_run=False)
    assert len(list(built_dir(home).glob("*/*.whl"))) == 1  # a build that goes on may want it
    monkeypatch.setattr(source_cache, "_YOUNG_SECONDS", -1.0)
    gone = collect(home, Rules(), served=(), dry_run=False)
    assert "harmonics" in gone.distributions
    assert not list(built_dir(home).glob("*/*.whl"))
    assert not list(sources_dir(home).glob("*/*.tar.gz"))
    ensured(home)


def test_a_source_lies_in_a_folder(server: Server, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_sdist(tmp_path / "Ordner-ü", "harmonics", "0.7", ["tempo"])
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "Ordner-ü"))
    monkeypatch.chdir(tmp_path)
    assert ensured(home).receipt.built_from_source["harmonics"].source == "harmonics-0.7.tar.gz"


@pytest.mark.parametrize("variable", ["UV_DEFAULT_INDEX", "UV_INDEX"])
def test_a_source_is_fetched_with_the_login_of_its_index(
    server: Server, home: Home, index: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    server.login = "user:pass word"
    address = f"{server.url}/index".replace("://", "://user:pass%20word@")
    monkeypatch.setenv(variable, f"own={address}" if variable == "UV_INDEX" else address)
    environment = ensured(home)
    assert environment.receipt.built_from_source["harmonics"].source == "harmonics-0.7.tar.gz"
    assert "word" not in (environment.dir / "receipt.json").read_text()
    remove_tree(built_dir(home))
    remove_tree(sources_dir(home))
    remove_tree(home.environments_dir)
    server.lying.add("harmonics-0.7.tar.gz")
    with pytest.raises(MismatchError) as caught:
        ensured(home)
    assert "word" not in caught.value.message


def test_a_killed_build_leaves_nothing_that_stays(server: Server, home: Home, index: Path, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"], metadata_version="2.2")
    program = f"""
import time
from pathlib import Path
from tests.integration.test_sources import ensured
from stemsep_envs.environments.sources import backend
from stemsep_envs.host.paths import Home
def build_wheel(*arguments, **named):
    Path({str(begun)!r}).touch()
    time.sleep(60)
backend.build_wheel = build_wheel
ensured(Home(Path({str(home.root)!r})))
"""
    child = subprocess.Popen([sys.executable, "-c", program], cwd=Path(__file__).parents[2])
    while not begun.exists():
        assert child.poll() is None
        time.sleep(0.05)
    child.kill()
    child.wait()
    assert len(list(built_dir(home).glob(".making-*"))) == 1
    ensured(home)
    assert not list(built_dir(home).glob(".*"))
    assert not list(sources_dir(home).glob(".*"))


@pytest.mark.parametrize("builder", ["uv", "pip"])
def test_files_that_everyone_may_write_are_nobodys_attack(
    server: Server, home: Home, index: Path, builder: BuilderName
) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    before = os.umask(0)
    try:
        environment = ensured(home, builder=builder)
    finally:
        os.umask(before)
    assert not verify(home, environment.digest).differences
    plain = [path for path in environment.dir.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not [
        path for path in plain if path.stat().st_mode & 0o002 and path.name not in {"receipt.json", "manifest.json"}
    ]


def test_addresses_that_are_none_are_passed_over(
    server: Server, home: Home, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:pa/ss@host:port/simple")
    assert ensured(home).receipt.built_from_source
