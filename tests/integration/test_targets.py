"""Locks for many accelerators from indexes on loopback: the right build or a refusal, never another accelerator's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.integration.package_index import Server, make_wheel, served
from tests.integration.questions import ask, lock_for, make_recipe, plan_here, versions

from stemsep_envs.documents.environment import BuilderName
from stemsep_envs.environments import resolving
from stemsep_envs.environments.resolve_once import resolve_once
from stemsep_envs.environments.reuse_or_build import ensure_environment
from stemsep_envs.environments.verifying import verify
from stemsep_envs.errors import BuildError, InvalidDocumentError, MismatchError
from stemsep_envs.host.paths import Home

pytestmark = [pytest.mark.integration]

BUILDS = {"cpu": "2.7.1+cpu", "cu118": "2.7.1+cu118", "cu128": "2.9.0+cu128", "rocm6.4": "2.9.0+rocm6.4"}


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ordinary index, whose torch is newer and for CUDA 13, and one index an accelerator."""
    root = tmp_path_factory.mktemp("indexes")
    ordinary = root / "ordinary"
    make_wheel(ordinary / "torch", "torch", "2.13.0", ["nvidia-cuda==13.0"])
    make_wheel(ordinary / "torchvision", "torchvision", "0.28.0", ["torch==2.13.0"])
    make_wheel(ordinary / "nvidia-cuda", "nvidia-cuda", "13.0")
    make_wheel(ordinary / "einops", "einops", "0.8.1")
    make_wheel(ordinary / "beats", "beats", "1.0", ["torchvision", "einops"])
    for accelerator, version in BUILDS.items():
        folder = root / accelerator
        requires = ["einops"] + (["pytorch-triton-rocm==3.5.0"] if accelerator.startswith("rocm") else [])
        make_wheel(folder / "torch", "torch", version, requires)
        release = version.partition("+")[0]
        make_wheel(folder / "torchvision", "torchvision", f"0.22.1+{accelerator}", [f"torch=={release}"])
        make_wheel(folder / "einops", "einops", "0.1.0")  # a stale copy, as torch's own index has them
    make_wheel(root / "rocm6.4" / "pytorch-triton-rocm", "pytorch-triton-rocm", "3.5.0")
    return root


@pytest.fixture
def server(indexes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    for name in ("UV_FIND_LINKS", "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    with served(indexes) as running:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"{running.url}/ordinary")
        monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX", running.url)
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.mark.parametrize("accelerator", BUILDS)
def test_accelerator_gets_its_build_though_another_is_newer(server: Server, home: Home, accelerator: str) -> None:
    locked = versions(lock_for(f"linux-x86_64-{accelerator}", ask(make_recipe(packages=["beats"])), home))
    assert locked["torch"] == BUILDS[accelerator]
    assert locked["torchvision"] == f"0.22.1+{accelerator}"  # nobody asks for it directly
    assert locked["einops"] == "0.8.1"  # a stale copy beside torch hides nothing
    assert ("pytorch-triton-rocm" in locked) == accelerator.startswith("rocm")  # which is nowhere else
    assert "nvidia-cuda" not in locked


@pytest.mark.parametrize("target", ["linux-aarch64-cpu", "windows-x86_64-cu128", "macos-arm64-mps", "linux-x86_64-cpu"])
@pytest.mark.parametrize("python", ["3.10", "3.13"])
def test_any_target_and_python_from_this_host(server: Server, home: Home, target: str, python: str) -> None:
    lock = lock_for(target, ask(make_recipe()), home, python=python)
    accelerator = target.rpartition("-")[2].replace("mps", "cpu")  # Apple's builds lie with those of the processor
    assert versions(lock)["torch"] == BUILDS[accelerator]
    assert "127.0.0.1" not in lock.text()
    assert "://" not in lock.text()


def test_a_lock_is_deterministic(server: Server, tmp_path: Path) -> None:
    texts = {
        lock_for("linux-x86_64-cu128", ask(make_recipe(packages=["beats"])), Home(tmp_path / name)).body
        for name in ("one", "two")
    }
    assert len(texts) == 1


def test_local_versions_can_be_pinned(server: Server, home: Home) -> None:
    requirements = ask(make_recipe(), packages=("torch==2.7.1+cu118",))
    assert versions(lock_for("linux-x86_64-cu118", requirements, home))["torch"] == "2.7.1+cu118"
    with pytest.raises(BuildError) as caught:
        lock_for("linux-x86_64-cu128", requirements, home)
    assert caught.value.code == "unsatisfiable"


def test_accelerator_with_old_builds_is_refused_with_chain(server: Server, home: Home) -> None:
    with pytest.raises(BuildError) as caught:
        lock_for("linux-x86_64-cu118", ask(make_recipe(), torch=("2.8", None)), home)
    error = caught.value
    assert (error.code, error.exit_code) == ("unsatisfiable", 5)
    assert "torch>=2.8 (model song-model: requirements.torch.min)" in error.message
    assert "2.7.1+cu118" in error.output  # the resolver's own words
    assert not [path for path in server.asked if path.endswith(".whl") and "nvidia" in path]


def test_torch_indexes_by_variable_and_configuration(
    server: Server, home: Home, indexes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STEMSEP_ENV_TORCH_INDEX")
    home.root.mkdir(parents=True)
    config = home.root / "config.toml"
    config.write_text(f'[torch_index]\nbase = "{server.url}/nowhere"\ncu128 = "{server.url}/cu128"\n')
    assert versions(lock_for("linux-x86_64-cu128", ask(make_recipe()), home))["torch"] == BUILDS["cu128"]
    monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX_ROCM6_4", f"{server.url}/rocm6.4/")
    assert versions(lock_for("linux-x86_64-rocm6.4", ask(make_recipe()), home))["torch"] == BUILDS["rocm6.4"]
    monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX_CPU", "none")  # the ordinary index alone
    assert versions(lock_for("linux-x86_64-cpu", ask(make_recipe()), home))["torch"] == "2.13.0"
    config.write_text('[torch_index]\nbase = ""\ncu12 = "x"\nbuilder = 3\n')
    with pytest.raises(InvalidDocumentError) as caught:
        lock_for("linux-x86_64-cu118", ask(make_recipe()), home)
    assert caught.value.exit_code == 2


def test_a_folder_of_wheels_is_a_place(
    server: Server, home: Home, indexes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for accelerator in ("cpu", "cu118"):
        folder = tmp_path / "wheels" / accelerator
        folder.mkdir(parents=True)
        for wheel in (indexes / accelerator).glob("torch*/*.whl"):
            (folder / wheel.name).write_bytes(wheel.read_bytes())
    monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX", str(tmp_path / "wheels"))
    locked = versions(lock_for("linux-x86_64-cu118", ask(make_recipe(packages=["beats"])), home))
    assert locked["torch"] == BUILDS["cu118"]
    plan = plan_here(make_recipe(packages=["beats"]), home)
    built = ensure_environment(plan, home=home)
    assert {"torch": "2.7.1+cpu"}.items() <= {item.name: item.version for item in built.receipt.packages}.items()


def test_a_mirror_that_is_out_of_order_is_told_as_such(
    server: Server, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    server.broken = {"cu128"}
    with pytest.raises(BuildError) as caught:
        lock_for("linux-x86_64-cu128", ask(make_recipe()), home)
    assert caught.value.code == "index_unreachable"
    assert "/cu128/" in caught.value.output
    server.broken = set()
    assert versions(lock_for("linux-x86_64-cu128", ask(make_recipe()), home))["torch"] == BUILDS["cu128"]


def test_a_slow_mirror_is_waited_for(server: Server, home: Home) -> None:
    server.delay_seconds = 0.4
    assert versions(lock_for("linux-x86_64-cu118", ask(make_recipe()), home))["torch"] == BUILDS["cu118"]


def test_a_server_that_never_answers_is_given_up(server: Server, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_HTTP_TIMEOUT", "1")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    server.delay_seconds = 4
    with pytest.raises(BuildError) as caught:
        lock_for("linux-x86_64-cu118", ask(make_recipe()), home)
    assert caught.value.code == "index_unreachable"


def test_a_file_that_is_not_the_promised_one_is_refused(server: Server, home: Home) -> None:
    plan = plan_here(make_recipe(), home)
    assert ensure_environment(plan, home=home).receipt.inputs.target.accelerator == "cpu"


def test_another_file_than_the_locked_one_is_exit_4(
    server: Server, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock_for("linux-x86_64-cpu", ask(make_recipe()), home)  # warms nothing but metadata
    plan = plan_here(make_recipe(), home)
    assert plan.lock_inputs is not None
    resolve_once(plan.lock_inputs, plan.requirements, home=home, what="engine", offline=False, report=print)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "another-cache"))
    server.lying = {"einops-0.8.1-py3-none-any.whl"}
    with pytest.raises(MismatchError) as caught:
        ensure_environment(plan_here(make_recipe(), home), home=home)
    assert (caught.value.code, caught.value.exit_code) == ("hash_mismatch", 4)


def cuda_releases(indexes: Path) -> None:
    """Put releases of torch for three releases of CUDA on the ordinary index."""
    for version, runtime in (("2.15.0", "13.2.86"), ("2.14.1", "13.0.96")):
        make_wheel(indexes / "cuda" / "torch", "torch", version, [f"nvidia-cuda-runtime=={runtime}"])
        make_wheel(indexes / "cuda" / "nvidia-cuda-runtime", "nvidia-cuda-runtime", runtime)
    make_wheel(indexes / "cuda" / "torch", "torch", "2.10.0", ["nvidia-cuda-runtime-cu12==12.8.90"])
    make_wheel(indexes / "cuda" / "nvidia-cuda-runtime-cu12", "nvidia-cuda-runtime-cu12", "12.8.90")


@pytest.fixture
def cuda_server(server: Server, indexes: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    """Like `server`, with an ordinary index of CUDA builds alone, and no way to torch's own index."""
    cuda_releases(indexes)
    monkeypatch.delenv("STEMSEP_ENV_TORCH_INDEX")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{server.url}/cuda")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setattr(resolving, "_unreachable", set())
    return server


@pytest.mark.parametrize(("accelerator", "version"), [("cu132", "2.15.0"), ("cu130", "2.14.1"), ("cu128", "2.10.0")])
def test_ordinary_index_serves_the_cuda_its_build_is_for(
    cuda_server: Server, home: Home, accelerator: str, version: str
) -> None:
    assert versions(lock_for(f"linux-x86_64-{accelerator}", ask(make_recipe()), home))["torch"] == version


@pytest.mark.parametrize("accelerator", ["cu126", "cu118", "cpu", "rocm6.4"])
def test_ordinary_index_serves_no_other_accelerator(cuda_server: Server, home: Home, accelerator: str) -> None:
    with pytest.raises(BuildError) as caught:
        lock_for(f"linux-x86_64-{accelerator}", ask(make_recipe()), home)
    assert caught.value.code == "index_unreachable"
    assert "STEMSEP_ENV_TORCH_INDEX" in (caught.value.hint or "")


def test_folder_of_cpu_builds_hides_no_cuda_build(
    cuda_server: Server, home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_wheel(tmp_path / "wheels", "torch", "2.14.1+cpu")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX", "none")
    requirements = ask(make_recipe(), packages=("torch==2.14.1",))
    assert versions(lock_for("linux-x86_64-cu130", requirements, home))["torch"] == "2.14.1"


@pytest.mark.parametrize("builder", ["uv", "pip"])
def test_ordinary_lock_installs_with_a_torch_index_configured(
    server: Server, home: Home, indexes: Path, monkeypatch: pytest.MonkeyPatch, builder: BuilderName
) -> None:
    make_wheel(indexes / "plain" / "torch", "torch", "2.7.1")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{server.url}/plain")
    monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX", "none")
    requirements = ask(make_recipe())
    inputs = plan_here(make_recipe(), home).lock_inputs
    assert inputs is not None
    resolve_once(inputs, requirements, home=home, what="engine", offline=False, report=print)
    monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX", server.url)  # which has a torch 2.7.1+cpu
    built = ensure_environment(plan_here(make_recipe(), home, builder=builder), home=home)
    assert [item.version for item in built.receipt.packages] == ["2.7.1"]


def test_shown_command_repeats_a_failed_search_for_builds(server: Server, home: Home, tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        lock_for("linux-x86_64-cu118", ask(make_recipe(), torch=("2.8", None)), home)
    again = subprocess.run(
        caught.value.command or "false", shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "torch" in again.stderr
    assert "No solution found" in again.stderr


@pytest.mark.parametrize("builder", ["uv", "pip"])
@pytest.mark.parametrize("accelerator", ["cu128", "rocm6.4"])
@pytest.mark.parametrize("kind", ["index", "folder"])
def test_builds_are_installed_from_where_they_were_locked(  # noqa: PLR0917 - fixtures
    server: Server,
    home: Home,
    indexes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    builder: BuilderName,
    accelerator: str,
    kind: str,
) -> None:
    if kind == "folder":
        folder = tmp_path / "wheels" / accelerator
        folder.mkdir(parents=True)
        for wheel in (indexes / accelerator).glob("*torch*/*.whl"):
            (folder / wheel.name).write_bytes(wheel.read_bytes())
        monkeypatch.setenv("STEMSEP_ENV_TORCH_INDEX", str(tmp_path / "wheels"))
    recipe = make_recipe(packages=["beats"])
    built = ensure_environment(plan_here(recipe, home, accelerator=accelerator, builder=builder), home=home)
    installed = {item.name: item.version for item in built.receipt.packages}
    assert installed["torch"] == BUILDS[accelerator]
    assert installed["torchvision"] == f"0.22.1+{accelerator}"
    assert installed["einops"] == "0.8.1"
    assert built.receipt.builder.name == builder
    assert verify(home, built.digest).differences == ()
