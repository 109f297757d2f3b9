"""What was changed in an environment, or in the package cache beneath it, is found, and rebuilt from clean files."""

from __future__ import annotations

import json
import os
import py_compile
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.integration import tiny

from stemsep_envs.cli.app import app
from stemsep_envs.environments import environment_store, linking
from stemsep_envs.environments.built_environment import Environment
from stemsep_envs.environments.repairing import repair
from stemsep_envs.environments.verifying import verify
from stemsep_envs.errors import BuildError
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_tree

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform == "win32", reason="links and modes as POSIX has them"),
]


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return tiny.offer_wheels(tmp_path, monkeypatch)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("STEMSEP_ENV_HOME", str(tmp_path / "home"))
    return Home(tmp_path / "home")


@pytest.fixture
def built(home: Home, wheels: Path) -> Environment:
    return tiny.ensured(home, wheels, "one")


def site_of(environment: Environment) -> Path:
    (site,) = environment.dir.glob("venv/lib/python3.*/site-packages")
    return site


def found(home: Home, environment: Environment, *, quick: bool = False) -> dict[str, str]:
    """What differs: the last two parts of each path, and how."""
    differences = verify(home, environment.digest, quick=quick).differences
    return {"/".join(item.path.split("/")[-2:]): item.kind for item in differences}


def add_pth(environment: Environment) -> None:
    (site_of(environment) / "planted.pth").write_text("import os\n")


def edit(environment: Environment) -> None:
    path = site_of(environment) / "alpha" / "late.py"
    path.write_bytes(path.read_bytes().replace(b"1", b"2"))  # of the same size


def add_sitecustomize(environment: Environment) -> None:
    (site_of(environment) / "sitecustomize.py").touch()


def add_package(environment: Environment) -> None:
    info = site_of(environment) / "evil-1.0.dist-info"
    info.mkdir()
    (info / "RECORD").write_text("evil-1.0.dist-info/RECORD,,\n")


def add_bytecode(environment: Environment) -> None:
    source = site_of(environment) / "alpha" / "late.py"
    py_compile.compile(str(source), cfile=str(source.parent / "__pycache__" / "late.cpython-999.pyc"), doraise=True)


def change_bytecode(environment: Environment) -> None:
    (path,) = site_of(environment).glob("alpha/__pycache__/__init__.*.pyc")
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def change_record(environment: Environment) -> None:
    add_pth(environment)
    record = site_of(environment) / "alpha-1.0.dist-info" / "RECORD"
    record.write_text(record.read_text() + "planted.pth,sha256=V8gpT1B1jMxQkVgk,10\n")


def change_cfg(environment: Environment) -> None:
    path = environment.dir / "venv" / "pyvenv.cfg"
    path.write_text(
        path.read_text().replace("include-system-site-packages = false", "include-system-site-packages = true")
    )


def change_python(environment: Environment) -> None:
    environment.python.unlink()
    environment.python.symlink_to(sys.executable + "-other")


def swap_for_link(environment: Environment) -> None:
    path = site_of(environment) / "alpha" / "late.py"
    path.rename(environment.dir.parent / "elsewhere.py")
    path.symlink_to(environment.dir.parent / "elsewhere.py")


def add_link(environment: Environment) -> None:
    (site_of(environment) / "more").symlink_to("/etc")


def add_fifo(environment: Environment) -> None:
    os.mkfifo(site_of(environment) / "pipe.py")


def allow_all(environment: Environment) -> None:
    (site_of(environment) / "beta.py").chmod(0o666)


def forbid_running(environment: Environment) -> None:
    (environment.dir / "venv" / "bin" / "activate").chmod(0o000)


def remove_module(environment: Environment) -> None:
    (site_of(environment) / "beta.py").unlink()


def change_lock(environment: Environment) -> None:
    with (environment.dir / environment_store.LOCK).open("a") as stream:
        stream.write("\n")


def change_manifest(environment: Environment) -> None:
    path = environment.dir / environment_store.MANIFEST
    path.write_text(path.read_text().replace("0644", "0666"))


DAMAGES: dict[Callable[[Environment], None], dict[str, str]] = {
    add_pth: {"site-packages/planted.pth": "extra"},
    edit: {"alpha/late.py": "changed"},
    add_sitecustomize: {"site-packages/sitecustomize.py": "extra"},
    add_package: {"evil-1.0.dist-info/RECORD": "extra"},
    add_bytecode: {"__pycache__/late.cpython-999.pyc": "extra"},
    change_record: {"alpha-1.0.dist-info/RECORD": "changed", "site-packages/planted.pth": "extra"},
    change_cfg: {"venv/pyvenv.cfg": "changed"},
    change_python: {"bin/python": "link"},
    swap_for_link: {"alpha/late.py": "changed"},
    add_link: {"site-packages/more": "extra"},
    add_fifo: {"site-packages/pipe.py": "extra"},
    allow_all: {"site-packages/beta.py": "permissions"},
    remove_module: {"site-packages/beta.py": "missing"},
    change_lock: {"lock.txt": "changed"},
    change_manifest: {"manifest.json": "changed"},
}


def test_what_was_just_built_is_as_it_was_built(home: Home, built: Environment) -> None:
    full, quick = verify(home, built.digest), verify(home, built.digest, quick=True)
    assert full.differences == quick.differences == ()
    assert (
        full.files == quick.files == len([path for path in built.dir.rglob("*") if path.is_symlink() or path.is_file()])
    )
    assert full.hashed_bytes > 1 << 20
    assert quick.hashed_bytes == 0
    assert environment_store.problem_with(home, built.digest) is None


@pytest.mark.parametrize("quick", [False, True], ids=["whole", "quick"])
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_damaged_environment_is_unused_until_repaired(
    home: Home, wheels: Path, built: Environment, damage: Callable[[Environment], None], quick: bool
) -> None:
    damage(built)
    differences = found(home, built, quick=quick)
    assert differences.items() >= DAMAGES[damage].items()
    assert environment_store.problem_with(home, built.digest) is not None
    done = repair(home, built.digest, offline=False, report=tiny.silent)
    if damage is change_lock:  # then nothing says what to build it from
        assert done.removed_because is not None
    assert tiny.ensured(home, wheels, "one").reused == (done.receipt is not None)
    assert found(home, built) == {}


def test_bytecode_that_was_changed_is_found(home: Home, built: Environment) -> None:
    change_bytecode(built)
    assert list(found(home, built).values()) == ["changed"]


def test_an_environment_that_is_whole_again_is_used_again(home: Home, built: Environment) -> None:
    add_pth(built)
    assert found(home, built) == {"site-packages/planted.pth": "extra"}
    assert environment_store.problem_with(home, built.digest) is not None
    (site_of(built) / "planted.pth").unlink()
    assert found(home, built) == {}
    assert environment_store.problem_with(home, built.digest) is None


def test_ensure_rebuilds_what_verify_found_damaged(home: Home, wheels: Path, built: Environment) -> None:
    edit(built)
    assert found(home, built)
    assert not tiny.ensured(home, wheels, "one").reused
    assert found(home, built) == {}


def poisoned(environment: Environment) -> bool:
    return b"poison" in (site_of(environment) / "alpha" / "late.py").read_bytes()


def poison(environment: Environment, text: bytes = b"# poison\n") -> None:
    """Write through the hard link, in place: the package cache has it now too."""
    path = site_of(environment) / "alpha" / "late.py"
    if path.stat().st_nlink == 1:
        pytest.skip("this file system clones: there is nothing to write through")
    with path.open("ab") as stream:
        stream.write(text)


@pytest.mark.parametrize("text", [b"# poison\n", b"poison!\n"], ids=["working", "that breaks the import"])
def test_nothing_is_published_from_a_poisoned_cache(home: Home, wheels: Path, built: Environment, text: bytes) -> None:
    poison(built, text)
    steps: list[str] = []
    from stemsep_envs.environments.reuse_or_build import ensure_environment

    other = ensure_environment(tiny.planned(home, wheels, "two"), home=home, report=lambda step, _: steps.append(step))
    assert "refresh" in steps
    assert not poisoned(other)
    assert found(home, other) == {}
    assert found(home, built) == {"alpha/late.py": "changed"}
    repair(home, built.digest, offline=False, report=tiny.silent)
    assert not poisoned(built)


def test_a_poison_that_fits_its_record_is_found(home: Home, wheels: Path, built: Environment) -> None:
    (archive,) = home.cache_dir.glob("uv/archive-v*/*/alpha")
    poison_data = b"VALUE = 'poison'\n"
    (archive / "late.py").write_bytes(poison_data)
    record = archive.parent / "alpha-1.0.dist-info" / "RECORD"
    lines = [line for line in record.read_text().splitlines(keepends=True) if "late.py" not in line]
    record.write_text("".join([tiny._row("alpha/late.py", poison_data), *lines]))
    other = tiny.ensured(home, wheels, "two")
    assert not poisoned(other)
    assert found(home, other) == {}


def test_a_planted_file_in_the_cache_is_not_installed(home: Home, wheels: Path, built: Environment) -> None:
    (archive,) = home.cache_dir.glob("uv/archive-v*/*/alpha")
    (archive.parent / "planted.pth").write_text("import os\n")
    other = tiny.ensured(home, wheels, "two")
    assert not (site_of(other) / "planted.pth").exists()


def test_offline_a_poisoned_cache_is_a_clear_error(home: Home, wheels: Path, built: Environment) -> None:
    poison(built)
    with pytest.raises(
        BuildError, match="cannot be built offline: 1 files in the package cache were changed"
    ) as caught:
        tiny.ensured(home, wheels, "two", offline=True)
    assert caught.value.code == "cache_poisoned"
    assert "late.py" in caught.value.output
    assert [item.digest for item in environment_store.list_environments(home)] == [built.digest]


def test_wheel_with_a_wrong_record_is_accepted_and_noted(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = tiny.offer_wheels(tmp_path, monkeypatch, wrong_record="alpha")
    first = tiny.ensured(home, wheels, "one")
    assert "refresh" in first.steps_seconds
    assert found(home, first) == {}
    second = tiny.ensured(home, wheels, "two", offline=True)
    assert "refresh" not in second.steps_seconds
    edit(second)
    assert found(home, second) == {"alpha/late.py": "changed"}


def test_a_worker_that_is_not_confined_reaches_no_shared_file(home: Home, wheels: Path, built: Environment) -> None:
    other = tiny.ensured(home, wheels, "two")
    if other.receipt.builder.link_mode != "hardlink":
        pytest.skip("this file system clones")
    before = (site_of(built) / "alpha" / "late.py").read_bytes()
    with environment_store.in_use(home, other.digest, prepare=lambda: linking.make_private(home, other.digest)):
        for path in site_of(other).rglob("*"):
            if path.is_file():
                assert path.stat().st_nlink == 1, path
                with path.open("ab") as stream:
                    stream.write(b"# worker\n")
    assert (site_of(built) / "alpha" / "late.py").read_bytes() == before
    assert found(home, built) == {}
    assert environment_store.read_receipt(home, other.digest).builder.link_mode == "copy"
    assert found(home, other)


def test_private_copies_are_equal_and_verified(home: Home, built: Environment) -> None:
    expected = built.receipt.builder.link_mode == "hardlink"
    with environment_store.in_use(home, built.digest, prepare=lambda: linking.make_private(home, built.digest)):
        assert found(home, built) == {}
    assert (environment_store.read_receipt(home, built.digest).size.shared_bytes == 0) or not expected
    assert not [path for path in home.environments_dir.iterdir() if path.name.startswith(".")]


def test_the_receipt_of_the_dead_cannot_be_repaired_so_it_goes(home: Home, wheels: Path, built: Environment) -> None:
    (built.dir / environment_store.RECEIPT).write_text("{")
    done = repair(home, built.digest, offline=False, report=tiny.silent)
    assert done.receipt is None
    assert environment_store.list_environments(home) == ()
    assert not tiny.ensured(home, wheels, "one").reused


def test_the_command_line_lists_what_differs_and_repairs_it(home: Home, built: Environment) -> None:
    def call(*arguments: str) -> tuple[int, dict[str, object]]:
        result = CliRunner().invoke(app, ["env", *arguments, "--json", "--quiet"], standalone_mode=False)
        return int(result.return_value or 0), json.loads(result.stdout)

    assert call("verify")[0] == 0
    add_pth(built)
    code, report = call("verify", built.digest[:10])
    assert (code, report["ok"]) == (4, False)
    code, report = call("repair", "--all-broken")
    assert code == 0
    assert [item["action"] for item in report["environments"]] == ["rebuilt"]  # type: ignore[attr-defined]
    assert call("verify", "--quick")[0] == 0


def test_an_environment_of_an_older_version_is_rebuilt(home: Home, built: Environment) -> None:
    document = json.loads((built.dir / environment_store.RECEIPT).read_text())
    document["manifest"] = None
    (built.dir / environment_store.RECEIPT).write_text(json.dumps(document))
    assert list(found(home, built)) == ["manifest.json"]
    assert repair(home, built.digest, offline=False, report=tiny.silent).receipt is not None


def test_verify_of_what_is_gone(home: Home, built: Environment) -> None:
    remove_tree(built.dir)
    assert found(home, built) == {".": "missing"}
