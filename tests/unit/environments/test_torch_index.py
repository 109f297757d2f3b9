"""Where torch comes from."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemsep_envs.documents.lock import Lock, LockInputs, Pin
from stemsep_envs.documents.target import parse_target
from stemsep_envs.environments.torch_index import (
    VARIABLE,
    TorchIndex,
    find_torch_index,
    pip_arguments,
    torch_index_of,
    unlabelled_pins,
    uv_arguments,
)
from stemsep_envs.errors import InvalidDocumentError
from stemsep_envs.host.paths import Home

MIRROR = "https://mirror.example.org/whl"


def index(target: str, home: Path, **variables: str) -> TorchIndex:
    return find_torch_index(parse_target(target), ("torch",), home=Home(home), environ=variables)


@pytest.mark.parametrize(
    ("target", "variables", "kind", "address"),
    [
        ("linux-x86_64-cu128", {}, "builtin", ""),
        ("macos-arm64-mps", {}, "ordinary", ""),
        ("windows-x86_64-cpu", {}, "ordinary", ""),
        ("windows-x86_64-cu128", {}, "builtin", ""),
        ("macos-arm64-mps", {VARIABLE: MIRROR}, "index", f"{MIRROR}/cpu"),
        ("linux-x86_64-cu128", {VARIABLE: "none"}, "ordinary", ""),
        ("linux-x86_64-cu128", {VARIABLE: f"{MIRROR}/"}, "index", f"{MIRROR}/cu128"),
        ("linux-x86_64-rocm6.4", {f"{VARIABLE}_ROCM6_4": f"{MIRROR}/amd"}, "index", f"{MIRROR}/amd"),
        ("linux-x86_64-cu128", {f"{VARIABLE}_ROCM6_4": MIRROR, VARIABLE: "none"}, "ordinary", ""),
        ("linux-x86_64-xpu", {f"{VARIABLE}_XPU": "none", VARIABLE: MIRROR}, "ordinary", ""),
    ],
)
def test_variables(tmp_path: Path, target: str, variables: dict[str, str], kind: str, address: str) -> None:
    found = index(target, tmp_path, **variables)
    assert (found.kind, found.address) == (kind, address)


def test_the_configuration_holds_where_no_variable_does(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'[torch_index]\nbase = "{MIRROR}"\n"rocm6.4" = "none"\n')
    assert index("linux-x86_64-cu118", tmp_path).address == f"{MIRROR}/cu118"
    assert index("linux-x86_64-rocm6.4", tmp_path).kind == "ordinary"
    assert index("linux-x86_64-cu118", tmp_path, **{VARIABLE: "none"}).named_by == f"${VARIABLE}"


@pytest.mark.parametrize("text", ["torch_index = 3", '[torch_index]\ncu12x = "a"', '[torch_index]\ncpu = " "', "["])
def test_a_wrong_configuration_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(InvalidDocumentError):
        index("linux-x86_64-cpu", tmp_path)


def test_a_folder_may_hold_one_folder_an_accelerator(tmp_path: Path) -> None:
    assert index("linux-x86_64-cpu", tmp_path, **{VARIABLE: str(tmp_path)}).address == str(tmp_path)
    (tmp_path / "cpu").mkdir()
    assert index("linux-x86_64-cpu", tmp_path, **{VARIABLE: str(tmp_path)}).address == str(tmp_path / "cpu")


def test_without_torch_packages_there_is_nothing_to_look_for(tmp_path: Path) -> None:
    found = find_torch_index(parse_target("linux-x86_64-cu128"), (), home=Home(tmp_path), environ={VARIABLE: MIRROR})
    assert found.kind == "ordinary"


def test_options_of_the_tools() -> None:
    target = parse_target("linux-x86_64-cu128")
    assert uv_arguments(TorchIndex("builtin"), target) == ("--torch-backend", "cu128")
    assert uv_arguments(TorchIndex("folder", "/srv"), target) == pip_arguments(TorchIndex("folder", "/srv"))
    assert uv_arguments(TorchIndex("index", MIRROR), target)[:2] == ("--index", MIRROR)
    assert pip_arguments(TorchIndex("index", MIRROR)) == ("--extra-index-url", MIRROR)
    assert uv_arguments(TorchIndex("ordinary"), target) == pip_arguments(TorchIndex("ordinary")) == ()


@pytest.mark.parametrize("variable", ["UV_FIND_LINKS", "PIP_FIND_LINKS"])
def test_find_links_folder_serves_the_builds_it_has(tmp_path: Path, variable: str) -> None:
    folder, other = tmp_path / "wheels", tmp_path / "other"
    folder.mkdir()
    (folder / "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl").touch()
    (folder / "torch-2.9.0-cp311-cp311-win_amd64.whl").touch()
    (folder / "torch-nonsense.whl").touch()
    told = {variable: f"https://links.example.org {other} {folder}"}
    found = index("linux-x86_64-cpu", tmp_path, **told)
    assert (found.kind, found.address, found.named_by) == ("folder", str(folder), f"${variable}")
    for elsewhere in ("linux-x86_64-cu128", "linux-aarch64-cpu"):
        assert index(elsewhere, tmp_path, **told).kind == "builtin"
    assert index("linux-x86_64-cpu", tmp_path, **told, **{VARIABLE: MIRROR}).kind == "index"


def lock_of(*pins: str, target: str = "linux-x86_64-cu130") -> Lock:
    inputs = LockInputs(parse_target(target), "3.11", ("torch",), torch_packages=("torch",))
    split = [pin.partition("==") for pin in pins]
    return Lock(inputs, "uv", "2026-01-01", tuple(Pin(name, version, ("0" * 64,)) for name, _, version in split))


def test_a_lock_of_the_ordinary_index_is_installed_from_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, "UV_FIND_LINKS", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    assert torch_index_of(lock_of("numpy==2.0", "torch==2.14.0"), home=Home(tmp_path)).kind == "ordinary"
    assert torch_index_of(lock_of("numpy==2.0", "torch==2.14.0+cu130"), home=Home(tmp_path)).kind == "builtin"
    monkeypatch.setenv(VARIABLE, MIRROR)
    mirror = torch_index_of(lock_of("torch==2.14.0"), home=Home(tmp_path))
    assert mirror.kind == "index"
    assert unlabelled_pins(lock_of("einops==1.0", "torch==2.14.0"), mirror) == "torch===2.14.0\n"
    assert unlabelled_pins(lock_of("einops==1.0", "torch==2.14.0+cu130"), mirror) == ""
