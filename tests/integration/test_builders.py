"""uv and pip build the same environment; what may be built from source is; nothing else is."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.package_index import Server, make_sdist, make_wheel, served
from tests.integration.questions import make_recipe, plan_here

from stemsep_envs.documents.environment import BuilderName
from stemsep_envs.environments import environment_store, uv
from stemsep_envs.environments.reuse_or_build import ensure_environment
from stemsep_envs.errors import BuildError, MismatchError, UsageError
from stemsep_envs.host.paths import Home
from stemsep_envs.host.tree_removal import remove_tree
from stemsep_envs.provisioning.build_confinement import BuildConfinement

pytestmark = [pytest.mark.integration]

RECIPE = {"torch": None, "packages": ["beats"], "health": {"imports": ["beats"]}}
MAIN = "def main():\n    import sys\n    print(sys.prefix)\n"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    index = tmp_path / "index"
    make_wheel(index / "beats", "beats", "1.0", ["tempo"], code=MAIN, script="count-beats")
    make_wheel(index / "tempo", "tempo", "1.1")
    make_sdist(index / "harmonics", "harmonics", "0.7", ["tempo"])
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with served(tmp_path) as running:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{running.url}/index")
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        yield running


@pytest.mark.parametrize("recipe", [RECIPE])
def test_both_builders_give_equivalent_environments(server: Server, tmp_path: Path, recipe: dict[str, object]) -> None:
    built = {}
    names: tuple[BuilderName, ...] = ("uv", "pip")
    for name in names:
        home = Home(tmp_path / f"{name} Größe")
        built[name] = ensure_environment(plan_here(make_recipe(**recipe), home, builder=name), home=home)
    one, two = built["uv"].receipt, built["pip"].receipt
    assert one.digest == two.digest
    assert one.packages == two.packages
    assert set(one.health.imports) == set(two.health.imports)
    assert (one.builder.name, two.builder.name) == names
    assert two.builder.link_mode == "copy"
    assert not list((built["pip"].dir / "venv").glob("lib/*/site-packages/pip"))
    for environment in built.values():
        script = environment.dir / "venv" / "bin" / "count-beats"
        done = subprocess.run([script], capture_output=True, text=True, check=True)
        assert Path(done.stdout.strip()) == environment.dir / "venv"
        assert not [
            path
            for path in (environment.dir / "venv").rglob("*")
            if path.is_file() and path.suffix != ".pyc" and environment_store.BUILDING.encode() in path.read_bytes()
        ]


def test_an_environment_of_pip_serves_as_it_is(server: Server, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    recipe = make_recipe(**RECIPE)
    built = ensure_environment(plan_here(recipe, home, builder="pip"), home=home)
    again = ensure_environment(plan_here(recipe, home, builder="uv"), home=home)
    assert (again.reused, again.digest) == (True, built.digest)
    moved = Home(tmp_path / "moved")
    home.root.rename(moved.root)
    done = subprocess.run(
        [environment_store.environment_dir(moved, built.digest) / "venv" / "bin" / "count-beats"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(moved.root) in done.stdout


@pytest.mark.parametrize("builder", ["uv", "pip"])
def test_a_swapped_file_is_refused(
    server: Server, tmp_path: Path, builder: BuilderName, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    recipe = make_recipe(**RECIPE)
    ensure_environment(plan_here(recipe, home, builder=builder), home=home)
    remove_tree(home.environments_dir)
    for name in ("UV_CACHE_DIR", "PIP_CACHE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "empty" / name))
    make_wheel(tmp_path / "index" / "tempo", "tempo", "1.1", code="swapped = True\n")
    with pytest.raises(MismatchError) as caught:
        ensure_environment(plan_here(recipe, home, builder=builder), home=home)
    assert (caught.value.code, caught.value.exit_code) == ("hash_mismatch", 4)


def test_builder_by_option_variable_and_configuration(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Home(tmp_path / "home")
    recipe = make_recipe(**RECIPE)
    assert plan_here(recipe, home).builder == "uv"
    home.root.mkdir(exist_ok=True)
    (home.root / "config.toml").write_text('builder = "pip"\n')
    assert plan_here(recipe, home).builder == "pip"
    monkeypatch.setenv("STEMSEP_ENV_BUILDER", "uv")
    assert plan_here(recipe, home).builder == "uv"
    assert plan_here(recipe, home, builder="pip").builder == "pip"
    monkeypatch.setenv("STEMSEP_ENV_BUILDER", "make")
    with pytest.raises(UsageError, match="write uv or pip"):
        plan_here(recipe, home)


@pytest.mark.parametrize("builder", ["uv", "pip"])
def test_sdist_is_built_only_where_the_runtime_says_why(server: Server, tmp_path: Path, builder: BuilderName) -> None:
    home = Home(tmp_path / "home")
    wants = {**RECIPE, "packages": ["harmonics"], "health": {"imports": ["harmonics", "tempo"]}}
    with pytest.raises(BuildError) as caught:
        ensure_environment(plan_here(make_recipe(**wants), home, builder=builder), home=home)
    assert caught.value.code == "unsatisfiable"
    assert "source_distributions" in str(caught.value.hint)

    recipe = make_recipe(**wants, source_distributions={"Harmonics": "no wheels are published"})
    told: list[str] = []
    built = ensure_environment(
        plan_here(recipe, home, builder=builder),
        home=home,
        report=lambda _, detail: told.append(detail),
        confine=BuildConfinement(home),
    )
    assert any("harmonics 0.7 from its source, confined by" in line for line in told)
    assert built.receipt.source_distributions == {"harmonics": "no wheels are published"}
    code = "import harmonics, json; print(json.dumps(harmonics.built_from_source))"
    done = subprocess.run([built.python, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is True


def test_wheel_is_preferred_to_the_source_distribution(server: Server, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    make_wheel(tmp_path / "index" / "harmonics", "harmonics", "0.7", ["tempo"])
    wants = {**RECIPE, "packages": ["harmonics"], "health": {"imports": ["harmonics"]}}
    recipe = make_recipe(**wants, source_distributions={"harmonics": "not for every platform"})
    built = ensure_environment(plan_here(recipe, home), home=home, confine=BuildConfinement(home))
    assert built.receipt.built_from_source == {}
    done = subprocess.run([built.python, "-I", "-c", "import harmonics; print(harmonics.__version__)"], check=False)
    assert done.returncode == 0


def test_uv_offline_names_only_what_is_missing(server: Server, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    recipe = make_recipe(**RECIPE)
    ensure_environment(plan_here(recipe, home, builder="uv"), home=home)
    remove_tree(home.environments_dir)
    uv.call_uv(("cache", "clean", "tempo"), home=home, what="emptying", offline=False, timeout_seconds=60)
    with pytest.raises(BuildError, match="1 of 2 packages are not in the cache") as caught:
        ensure_environment(plan_here(recipe, home, builder="uv"), home=home, offline=True)
    assert (caught.value.code, caught.value.output) == ("offline", "missing: tempo 1.1")


def test_pip_offline_names_everything_that_is_missing(server: Server, tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    recipe = make_recipe(**RECIPE)
    ensure_environment(plan_here(recipe, home, builder="pip"), home=home)
    remove_tree(home.environments_dir)
    with pytest.raises(BuildError) as caught:
        ensure_environment(plan_here(recipe, home, builder="pip"), home=home, offline=True)
    assert caught.value.code == "offline"
    assert "beats 1.0, tempo 1.1" in caught.value.output
