"""Converted checkpoints are made once, whole or not at all, and only from output that keeps the rules."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.artifacts import converted, safetensors
from stemsep_envs.artifacts.converted import converted_dir, ensure_converted, find_converted, verify_converted
from stemsep_envs.artifacts.safetensors import BrokenOutputError, check_converted
from stemsep_envs.errors import MismatchError, ModelError
from stemsep_envs.host.paths import Home
from stemsep_envs.inside.checkpoints import converting, reading, storing, tree, tree_building

SHA256 = "ab" * 32
Header = dict[str, Any]
WEIGHT = {"at": "w", "dtype": "float32", "shape": [2], "stride": [1], "offset": 0}


def header(**changes: Any) -> Header:
    nodes = [["dict", [1, 2, 3, 4]], ["str", "w"], ["tensor", WEIGHT], ["str", "n"], ["tuple", [1]]]
    value: Header = {
        "w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "tree": {"version": 1, "root": 0, "nodes": nodes},
        "report": {"format": "zip", "inert": [{"name": "os.system", "named": 1, "called": 1}], "left_out": []},
    }
    return {**value, **changes}


def output(value: Header, data: bytes = bytes(8)) -> bytes:
    entries = {key: entry for key, entry in value.items() if key not in ("tree", "report")}
    metadata = {f"stemsep.{key}": json.dumps(value[key]) for key in ("tree", "report") if key in value}
    text = json.dumps({"__metadata__": metadata, **entries}).encode()
    return len(text).to_bytes(8, "little") + text + data


def writing(content: bytes) -> Callable[[Path], Path]:
    def convert(folder: Path) -> Path:
        (folder / "out").write_bytes(content)
        return folder / "out"

    return convert


def forbidden(_: Path) -> Path:
    raise AssertionError("converted again")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def nothing_left(home: Home) -> bool:
    folder = home.artifacts_dir / "converted"
    return not folder.exists() or not list(folder.iterdir())


def test_both_sides_mean_the_same_format() -> None:
    assert safetensors.TREE_KEY == reading.TREE_KEY
    assert safetensors.REPORT_KEY == converting.REPORT_KEY
    assert safetensors.TREE_VERSION == tree.VERSION
    assert safetensors.MAX_HEADER_BYTES == storing.MAX_HEADER_BYTES
    assert safetensors.MAX_NAMES == converting.MAX_NAMES
    assert safetensors.MAX_NOTES == converting.MAX_NOTES
    assert safetensors.MAX_KEY_PARTS == tree_building.MAX_KEY_PARTS


def test_a_checkpoint_is_converted_once(home: Home) -> None:
    made = ensure_converted(home, SHA256, 100, sandbox="namespaces", convert=writing(output(header())))
    again = ensure_converted(home, SHA256, 100, sandbox="hygiene", convert=forbidden)
    assert made == again == find_converted(home, SHA256) == verify_converted(home, SHA256)
    assert made.report.dangerous == ("os.system",)
    assert (made.report.tensors, made.report.parameters, made.report.sandbox) == (1, 2, "namespaces")
    assert made.path.stat().st_mode & 0o777 == 0o444
    assert sorted(path.name for path in made.path.parent.iterdir()) == ["checkpoint.safetensors", "report.json"]
    assert [path.name for path in (home.artifacts_dir / "converted").iterdir()] == [made.path.parent.name]


def name_list(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "named": 1, "called": 1} for name in names]


def test_dangerous_names_come_first_and_are_never_left_out(home: Home) -> None:
    decoys = [f"a.B{number:04}" for number in range(3000)]
    names = name_list("collections.OrderedDict", *decoys, "zlib.x", "os.system")
    report = {"format": "pickle", "inert": names, "left_out": []}
    made = ensure_converted(home, SHA256, 100, sandbox="hygiene", convert=writing(output(header(report=report))))
    assert made.report.dangerous == ("os.system", "zlib.x") == tuple(found.name for found in made.report.inert[:2])
    assert len(made.report.inert) == 1000
    assert len(made.report.unknown) == 998
    assert made.report.left_out == (
        "2003 further names, none of them known to be dangerous; do not trust a checkpoint that names so many",
    )


def test_however_many_dangerous_names_there_are_all_are_told(home: Home) -> None:
    names = name_list(*[f"os.x{number}" for number in range(2500)], "harmless.looking")
    report = {"format": "pickle", "inert": names, "left_out": []}
    made = ensure_converted(home, SHA256, 100, sandbox="hygiene", convert=writing(output(header(report=report))))
    assert len(made.report.dangerous) == 2500


@pytest.mark.parametrize(
    "report",
    [
        {"format": "pickle", "inert": name_list(*map(str, range(10_001))), "left_out": []},
        {"format": "pickle", "inert": [], "left_out": ["x"] * 101},
        {"format": "pickle", "inert": [], "left_out": ["x" * 5000]},
        {"format": "pickle", "inert": [], "left_out": [1]},
    ],
)
def test_a_report_is_no_longer_than_the_converter_writes_it(home: Home, report: dict[str, Any]) -> None:
    with pytest.raises(ModelError):
        ensure_converted(home, SHA256, 100, sandbox="hygiene", convert=writing(output(header(report=report))))


def test_no_large_header_is_parsed(home: Home, tmp_path: Path) -> None:
    content = output(header(report={"format": "zip", "inert": [], "left_out": [], "more": "x" * (17 << 20)}))
    with pytest.raises(ModelError):
        ensure_converted(home, SHA256, 100, sandbox="hygiene", convert=writing(content))
    (tmp_path / "m.safetensors").write_bytes(content)
    assert safetensors.tensor_names(tmp_path / "m.safetensors") == ()


def test_another_version_of_the_converter_converts_anew(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ensure_converted(home, SHA256, 100, sandbox="hygiene", convert=writing(output(header())))
    monkeypatch.setattr(converted, "CONVERTER_VERSION", "9")
    second = ensure_converted(home, SHA256, 100, sandbox="hygiene", convert=writing(output(header())))
    assert first.path != second.path
    assert second.report.converter == "9"


def test_damage_is_found_and_mended(home: Home) -> None:
    made = ensure_converted(home, SHA256, 100, sandbox="hygiene", convert=writing(output(header())))
    made.path.chmod(0o644)
    made.path.write_bytes(made.path.read_bytes()[:-1] + b"x")
    with pytest.raises(MismatchError):
        verify_converted(home, SHA256)
    made.path.write_bytes(b"short")
    assert find_converted(home, SHA256) is None
    ensure_converted(home, SHA256, 100, sandbox="hygiene", convert=writing(output(header())))
    verify_converted(home, SHA256)
    (converted_dir(home, SHA256) / "report.json").write_bytes(b"{")
    assert find_converted(home, SHA256) is None


def replaced(**members: Any) -> list[Any]:
    return [["tensor", {**WEIGHT, **members}]]


BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "no header": (1 << 40).to_bytes(8, "little") + b"{}",
    "no json": (5).to_bytes(8, "little") + b"hello",
    "deep json": output(header()).replace(b'"shape": [2]', b'"shape": ' + b"[" * 4000 + b"]" * 4000),
    "a gap": output(header(w={"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}), bytes(12)),
    "too much data": output(header(), bytes(9)),
    "too little data": output(header(), bytes(7)),
    "an overlap": output(header(v={"dtype": "F32", "shape": [2], "data_offsets": [0, 8]})),
    "a negative range": output(header(w={"dtype": "F32", "shape": [2], "data_offsets": [8, 0]})),
    "a huge shape": output(header(w={"dtype": "F32", "shape": [1 << 62, 1 << 62], "data_offsets": [0, 8]})),
    "a shape beside its data": output(header(w={"dtype": "F32", "shape": [3], "data_offsets": [0, 8]})),
    "an unknown type": output(header(w={"dtype": "EXE", "shape": [2], "data_offsets": [0, 8]})),
    "no tree": output({key: value for key, value in header().items() if key != "tree"}),
    "no report": output({key: value for key, value in header().items() if key != "report"}),
    "a name that clears the screen": output(
        header(**{"\x1b[2J": {"dtype": "F32", "shape": [0], "data_offsets": [8, 8]}})
    ),
}
NODES: dict[str, list[Any]] = {
    "no nodes": [],
    "a reference to nothing": [["list", [7]]],
    "a negative reference": [["list", [-1]]],
    "a reference that is true": [["list", [True]]],
    "a tuple of itself": [["tuple", [0]]],
    "tuples in the wrong order": [["tuple", [1]], ["tuple", []]],
    "an unknown kind": [["call", "os.system"]],
    "an odd dict": [["dict", [0]]],
    "a tensor beyond its entry": replaced(shape=[3]),
    "a tensor behind its entry": replaced(offset=1),
    "a tensor of no entry": replaced(at="v"),
    "a tensor with huge strides": replaced(stride=[1 << 62]),
    "a tensor with negative strides": replaced(stride=[-1], offset=1),
    "a tensor of unknown type": replaced(dtype="load"),
    "a tensor with more to say": replaced(code="exec"),
    "an array of objects": [["array", {"at": "w", "dtype": "|O8", "shape": [1], "fortran": False}]],
    "an array beyond its entry": [["array", {"at": "w", "dtype": "<f8", "shape": [2], "fortran": False}]],
    "a type that is a list": [["dtype", ["float32"]]],
    "a type that is an object": [["dtype", {}]],
    "a device that no machine has": [["device", "cuda", 1 << 40]],
    "a device with a negative number": [["device", "cuda", -1]],
    "a key that is a list": [["dict", [1, 2]], ["list", []], ["const", None]],
    "a key of a list": [["ordered", [2, 0], None], ["list", []], ["tuple", [1]]],
    "a set of a list": [["set", [1]], ["list", []]],
    "a key that takes forever": [
        ["tuple", []],
        *[["tuple", [number, number]] for number in range(60)],
        ["dict", [60, 0]],
    ],
    "a long name": [["inert", {"name": "x" * 10_000}]],
}


@pytest.mark.parametrize("which", sorted([*BROKEN, *NODES]))
def test_output_that_breaks_a_rule_is_refused(home: Home, which: str) -> None:
    content = BROKEN.get(which) or output(header(tree={"version": 1, "root": 0, "nodes": NODES.get(which, [])}))
    if which == "nothing":
        content = b""
    with pytest.raises(ModelError) as error:
        ensure_converted(home, SHA256, 100, sandbox="namespaces", convert=writing(content))
    assert error.value.code == "conversion_broken"
    assert nothing_left(home)


@pytest.mark.skipif(os.name == "nt", reason="links and pipes are made as on POSIX")
@pytest.mark.parametrize("kind", ["link", "pipe", "hard link", "folder", "missing"])
def test_output_that_is_no_plain_file_is_refused(home: Home, tmp_path: Path, kind: str) -> None:
    good = tmp_path / "good"
    good.write_bytes(output(header()))

    def convert(folder: Path) -> Path:
        make: dict[str, Callable[[Path], object]] = {
            "link": lambda path: path.symlink_to(good),
            "pipe": os.mkfifo,
            "hard link": lambda path: path.hardlink_to(good),
            "folder": Path.mkdir,
            "missing": lambda _: None,
        }
        make[kind](folder / "out")
        return folder / "out"

    with pytest.raises(ModelError):
        ensure_converted(home, SHA256, 100, sandbox="namespaces", convert=convert)
    assert nothing_left(home)
    assert good.read_bytes() == output(header())
    assert good.stat().st_mode & 0o200


@given(st.integers(0, 400), st.binary(min_size=1, max_size=6))
def test_no_header_makes_the_check_fail_otherwise(
    tmp_path_factory: pytest.TempPathFactory, at: int, data: bytes
) -> None:
    content = output(header())
    content = content[:at] + data + content[at + len(data) :]
    path = tmp_path_factory.getbasetemp() / "out"
    path.write_bytes(content)
    with path.open("rb") as stream, suppress(BrokenOutputError):
        check_converted(stream, len(content))


PROGRAM = """
import sys, time
from pathlib import Path
from stemsep_envs.artifacts.converted import ensure_converted
from stemsep_envs.host.paths import Home
root, content, log = map(Path, sys.argv[1:4])

def convert(folder):
    with log.open("a") as stream:
        stream.write("converting\\n")
    (folder / "out").write_bytes(content.read_bytes())
    time.sleep(float(sys.argv[4]))
    return folder / "out"

made = ensure_converted(Home(root), "ab" * 32, 1, sandbox="hygiene", convert=convert)
print(made.report.output_sha256)
"""


def process(home: Home, tmp_path: Path, seconds: float) -> subprocess.Popen[str]:
    (tmp_path / "content").write_bytes(output(header()))
    arguments = map(str, (home.root, tmp_path / "content", tmp_path / "log", seconds))
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True)


def test_of_many_at_once_one_converts(home: Home, tmp_path: Path) -> None:
    processes = [process(home, tmp_path, 0.2) for _ in range(4)]
    said = {child.communicate(timeout=120)[0] for child in processes}
    assert len(said) == 1
    assert len(said.pop().strip()) == 64
    assert (tmp_path / "log").read_text() == "converting\n"


@pytest.mark.skipif(os.name == "nt", reason="kills as on POSIX")
def test_one_that_is_killed_leaves_nothing_in_the_way(home: Home, tmp_path: Path) -> None:
    child = process(home, tmp_path, 600)
    while not (tmp_path / "log").exists() or not list((home.artifacts_dir / "converted").glob(".*/work/out")):
        assert child.poll() is None
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert find_converted(home, SHA256) is None
    ensure_converted(home, SHA256, 100, sandbox="hygiene", convert=writing(output(header())))
    assert [path.name for path in (home.artifacts_dir / "converted").iterdir()] == [converted_dir(home, SHA256).name]
