"""Checkpoints made to harm whoever reads them: nothing of them runs, nothing grows, and refusals have words."""

from __future__ import annotations

import io
import json
import pickle
import resource
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsep_envs.artifacts.safetensors import BrokenOutputError
from stemsep_envs.inside.checkpoints import pickle_machine
from stemsep_envs.inside.checkpoints.inert import Inert
from stemsep_envs.inside.checkpoints.values import CheckpointError

from .assembling import (
    BUILD,
    EMPTY_DICT,
    FLOATS,
    MARK,
    REDUCE,
    SETITEMS,
    archive,
    call,
    converted,
    name,
    number,
    program,
    row,
    storage,
    tensor,
    text,
)

CONVERTER = Path(__file__).resolve().parents[4] / "src" / "stemsep_envs" / "inside" / "convert.py"


def attacks(marker: Path) -> dict[str, tuple[bytes, str]]:
    """Pickles that make a file when they are unpickled, and the name that gives each away."""
    command = text(f"echo > {marker}")
    script = text(f"open({str(marker)!r}, 'w')")
    old = f"(S'echo > {marker}'\n"
    return {
        "reduce": (program(call("os", "system", command)), "os.system"),
        "posix": (program(call("posix", "system", command)), "posix.system"),
        "exec": (program(call("builtins", "exec", script)), "builtins.exec"),
        "python 2": (program(call("__builtin__", "eval", script)), "builtins.eval"),
        "inst": (old.encode() + b"ios\nsystem\n.", "os.system"),
        "obj": (b"(" + name("os", "system") + command + b"o.", "os.system"),
        "stack global": (
            b"\x80\x04" + text("os") + text("system") + b"\x93" + row(command) + REDUCE + b".",
            "os.system",
        ),
        "getattr": (
            program(
                call("builtins", "getattr", call("builtins", "__import__", text("os")), text("system"))
                + row(command)
                + REDUCE
            ),
            "builtins.getattr",
        ),
        "nested pickle": (
            program(
                call(
                    "pickle", "loads", call("_codecs", "encode", text(f"cos\nsystem\n{old[:-1]}\ntR."), text("latin1"))
                )
            ),
            "pickle.loads",
        ),
        "in a dict": (
            program(EMPTY_DICT + MARK + text("state_dict") + call("os", "system", command) + SETITEMS),
            "os.system",
        ),
        "as a key": (program(EMPTY_DICT + MARK + call("os", "system", command) + text("x") + SETITEMS), "os.system"),
        "with state": (program(call("os", "system", command) + EMPTY_DICT + BUILD), "os.system"),
        "runpy": (program(call("runpy", "_run_code", script, EMPTY_DICT)), "runpy._run_code"),
        "thrown away": (program(call("os", "system", command) + b"0" + text("weights")), "os.system"),
    }


@pytest.mark.parametrize("which", sorted(attacks(Path("x"))))
def test_what_unpickling_runs_conversion_only_names(which: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    attack, culprit = attacks(marker)[which]
    control = "import pickle, sys\ntry:\n    pickle.loads(sys.stdin.buffer.read())\nexcept Exception:\n    pass"
    subprocess.run([sys.executable, "-c", control], input=attack, check=True, timeout=60)
    assert marker.exists(), "the attack does not work where nothing stops it"
    marker.unlink()
    for content in (attack, archive(attack)):
        _, report, _ = converted(tmp_path, content)
        assert culprit in {found["name"] for found in report["inert"]}
        assert not marker.exists()


def test_a_name_stays_a_record(tmp_path: Path) -> None:
    made, report, facts = converted(tmp_path, program(call("os", "system", text("true"))))
    assert isinstance(made, Inert)
    assert (made.name, made.args) == ("os.system", ("true",))
    assert report["inert"] == [{"name": "os.system", "named": 1, "called": 1}]
    assert facts.tensors == 0


def nested(attack: bytes, levels: int) -> bytes:
    for _ in range(levels):
        attack = b"\x80\x04" + loading(attack) + b"."
    return attack


def loading(pickled: bytes) -> bytes:
    return call("torch.storage", "_load_from_bytes", b"\x8e" + struct.pack("<Q", len(pickled)) + pickled)


def test_nested_pickles_are_followed_or_refused(tmp_path: Path) -> None:
    attack = program(call("os", "system", text("true")))
    for levels in (1, 2, 4):
        _, report, _ = converted(tmp_path, nested(attack, levels))
        assert "os.system" in {found["name"] for found in report["inert"]}
    with pytest.raises(CheckpointError, match="pickles within pickles"):
        converted(tmp_path, nested(attack, 5))


def test_what_is_met_within_and_without_is_counted_together(tmp_path: Path) -> None:
    outer, inner = call("os", "system", text("false")), loading(program(call("os", "system", text("true"))))
    for parts in ((outer, inner), (inner, outer)):
        _, report, _ = converted(tmp_path, program(row(*parts)))
        assert {found["name"]: found["named"] for found in report["inert"]}["os.system"] == 2


def test_instructions_of_pickles_in_pickles_count_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_machine, "_MAX_INSTRUCTIONS", 1000)
    one = loading(program(b"N0" * 200 + b"N"))
    converted(tmp_path, program(row(one, one)))
    with pytest.raises(CheckpointError, match="larger than that of a real"):
        converted(tmp_path, program(row(one, one, one)))


def test_so_many_names_that_one_could_hide_are_refused(tmp_path: Path) -> None:
    decoys = b"".join(name("a", f"b{number:05}") + b"0" for number in range(10_000))
    with pytest.raises(CheckpointError, match="names 10001 classes and functions"):
        converted(tmp_path, program(decoys, call("os", "system", text("true"))))
    _, report, _ = converted(tmp_path, program(decoys[:100_000], call("os", "system", text("true"))))
    assert "os.system" in {found["name"] for found in report["inert"]}


def test_the_things_that_are_left_out_are_not_told_without_end(tmp_path: Path) -> None:
    states = [name("a", f"b{number}") + EMPTY_DICT + BUILD for number in range(300)]
    _, report, _ = converted(tmp_path, program(row(*states)))
    assert len(report["left_out"]) == 100
    assert report["left_out"][-1] == "201 things more"


def test_a_device_that_no_machine_has_is_a_record(tmp_path: Path) -> None:
    made, _, _ = converted(tmp_path, program(call("torch", "device", text("cuda"), number(1 << 59))))
    assert isinstance(made, Inert)


def test_a_call_within_itself_is_refused(tmp_path: Path) -> None:
    function = name("torch._tensor", "_rebuild_from_type_v2")
    arguments = b"]q\x01(" + function + b"N" + b"h\x01" + b"Ne"  # a list whose third member is the list
    with pytest.raises(CheckpointError, match="a call within itself"):
        converted(
            tmp_path, program(row(function + b"q\x02" + b"N" + arguments + b"N"), b"0h\x02(h\x02Nh\x01Nt", REDUCE)
        )


def test_a_full_disk_is_told_as_one(tmp_path: Path) -> None:
    (tmp_path / "m.ckpt").write_bytes(archive(program(tensor()), _0=FLOATS))
    limited = (
        "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); sys.argv.pop(0); "
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", limited, CONVERTER, tmp_path / "m.ckpt", tmp_path / "out"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done
    assert json.loads(done.stdout)["no_room"] is True


def laughs(levels: int, ending: bytes = b"") -> bytes:
    """A tuple of two of a tuple of two ...: small to write, and 2 ** levels large to walk through."""
    return program(text("ha") + b"2\x86" * levels + ending)


BOMBS = {
    "laughs": laughs(100_000),
    "laughing keys": program(EMPTY_DICT + MARK + text("ha") + b"2\x86" * 100 + text("v") + SETITEMS),
    "deep lists": program(b"]" * 500_000 + b"a" * 499_999),
    "deep tuples": program(b")" + b"\x85" * 500_000),
    "deep dicts": program(b"}" * 200_000 + b"".join([b"K\x01"]) + b"0"),
    "many marks": program(MARK * 1_000_000),
    "a huge number": program(number(1 << 40_000)),
    "a huge decimal": b"L" + b"9" * 300_000 + b"L\n.",
    "memo far away": b"K\x01r" + struct.pack("<I", 0xFFFFFFF0) + b".",
    "bytes that are not there": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b".",
    "long text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b".",
    "long name": program(name("os" * 100_000, "system")),
    "extension": b"\x80\x02\x82\x01.",
    "out-of-band buffer": b"\x80\x05\x97.",
    "text persistent id": b"Pstorage\n.",
    "nothing on the stack": b".",
    "a key without a value": program(EMPTY_DICT + MARK + text("a") + SETITEMS),
    "build of a class": program(name("os", "environ") + EMPTY_DICT + BUILD),
    "a tuple within itself": b"\x80\x02]q\x00h\x00\x85a0h\x00.",
    "a list as a key": program(EMPTY_DICT + MARK + b"]" + text("v") + SETITEMS),
    "a set of itself": b"\x80\x04\x8fq\x00(h\x00\x90.",
    "no pickle": b"this is not a pickle at all",
    "nothing": b"",
    "tar": bytes(257) + b"ustar" + bytes(250),
}


@pytest.mark.parametrize("which", sorted(BOMBS))
def test_a_bomb_takes_little_time_and_memory(which: str, tmp_path: Path) -> None:
    source = tmp_path / "m.ckpt"
    source.write_bytes(BOMBS[which])

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (20, 20))
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", CONVERTER, source, tmp_path / "out"],
        capture_output=True,
        check=False,
        preexec_fn=limit,
        timeout=120,
    )
    assert done.returncode in (0, 1), done.stderr
    assert not done.stderr
    assert (done.returncode == 1) == (b'"message"' in done.stdout)


def refused(tmp_path: Path, content: bytes) -> str:
    with pytest.raises(CheckpointError) as error:
        converted(tmp_path, content)
    return str(error.value)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (tensor((5,)), "beyond its data"),
        (tensor((4,), offset=1), "beyond its data"),
        (tensor((2, 2), (1, 3)), "beyond its data"),
        (tensor((4,), (-1,), offset=3), "impossible shape"),
        (tensor((-4,)), "impossible shape"),
        (tensor((4,), (1,), offset=-1), "impossible shape"),
        (tensor((4,), (1, 1)), "impossible shape"),
        (tensor((1 << 62,), (0,)), "impossible shape"),
        (tensor((1 << 30, 1 << 30), (0, 0)), "more elements"),
        (tensor((1,) * 65, (1,) * 65), "impossible shape"),
        (tensor(data=storage(elements=1 << 40)), "cut short"),
        (tensor(data=storage(elements=-1)), "not in the file"),
        (tensor(data=storage(key="1")), "missing"),
        (tensor(data=storage(key="../../../../etc/passwd")), "missing"),
        (tensor(data=storage(kind="QInt8Storage")), "quantised"),
        (tensor(data=storage(kind="system")), "unknown type"),
        (tensor(data=text("no storage")), "no storage"),
        (row(text("file"), text("/etc/passwd")) + b"Q", "not in the file"),
        (storage(), "by itself"),
        (call("torch._utils", "_rebuild_qtensor", text("x")), "no form"),
        (call("numpy.core.multiarray", "_reconstruct", name("numpy", "ndarray")) + row(number(1)) + BUILD, "damaged"),
    ],
)
def test_impossible_tensors_are_refused(tmp_path: Path, code: bytes, said: str) -> None:
    assert said in refused(tmp_path, archive(program(code), _0=FLOATS))


def test_an_expanded_tensor_takes_no_room(tmp_path: Path) -> None:
    _, _, facts = converted(tmp_path, archive(program(tensor((1 << 40,), (0,))), _0=FLOATS))
    assert facts.parameters == 1 << 40
    assert (tmp_path / "m.safetensors").stat().st_size < 2000


def test_names_are_only_names(tmp_path: Path) -> None:
    code = program(
        EMPTY_DICT + MARK + text("../../etc/x\n\x1b[2J") + tensor() + text("__metadata__") + tensor((2,)) + SETITEMS
    )
    made, _, _ = converted(tmp_path, archive(code, _0=FLOATS))
    assert list(made) == ["../../etc/x\n\x1b[2J", "__metadata__"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.ckpt", "m.safetensors"]


def patched(archive_bytes: bytes, find: bytes, at: int, data: bytes, last: bool = False) -> bytes:
    """Overwrite bytes at an offset from where a signature stands first (or last)."""
    start = (archive_bytes.rfind if last else archive_bytes.find)(find) + at
    return archive_bytes[:start] + data + archive_bytes[start + len(data) :]


GOOD = archive(program(tensor()), _0=FLOATS)
CENTRAL, LOCAL = b"PK\1\2", b"PK\3\4"


def compressed() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("m/data.pkl", program(tensor()))
        made.writestr("m/data/0", FLOATS)
    return buffer.getvalue()


ARCHIVES: dict[str, tuple[Callable[[], bytes], str]] = {
    "compressed": (compressed, "compressed"),
    "encrypted": (lambda: patched(GOOD, CENTRAL, 8, b"\1\0"), "encrypted"),
    "a size beyond the file": (lambda: patched(GOOD, CENTRAL, 20, struct.pack("<II", 1 << 30, 1 << 30)), "overlap"),
    "sizes that differ": (lambda: patched(GOOD, CENTRAL, 24, struct.pack("<I", 1 << 30)), "compressed"),
    "overlapping": (lambda: patched(GOOD, CENTRAL, 42, struct.pack("<I", 0), last=True), "overlap"),
    "an offset beyond the file": (
        lambda: patched(GOOD, CENTRAL, 42, struct.pack("<I", 1 << 30), last=True),
        "cut short",
    ),
    "an offset into data": (lambda: patched(GOOD, CENTRAL, 42, struct.pack("<I", 40), last=True), "not where"),
    "a long local name": (lambda: patched(GOOD, LOCAL, 26, struct.pack("<HH", 60_000, 60_000)), "overlap"),
    "no data.pkl": (lambda: archive(b"").replace(b"data.pkl", b"data.txt"), "no single data.pkl"),
    "cut short": (lambda: GOOD[:-30], "damaged zip"),
    "only the beginning": (lambda: GOOD[:40], "damaged zip"),
    "code": (lambda: archive(program(tensor()), _0=FLOATS).replace(b"m/data/0", b"m/code/0"), "TorchScript"),
}


@pytest.mark.parametrize("which", sorted(ARCHIVES))
def test_lying_archives_are_refused(which: str, tmp_path: Path) -> None:
    make, said = ARCHIVES[which]
    assert said in refused(tmp_path, make())


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO(GOOD)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(buffer, "a") as made:
        made.writestr("m/data/0", bytes(16))
    assert "two members of one name" in refused(tmp_path, buffer.getvalue())


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_any_bytes_are_followed_or_refused(tmp_path_factory: pytest.TempPathFactory, code: bytes) -> None:
    _survives(tmp_path_factory.getbasetemp(), code)
    _survives(tmp_path_factory.getbasetemp(), archive(code))


@settings(max_examples=300)
@given(st.integers(0, len(GOOD) - 1), st.binary(min_size=1, max_size=8))
def test_any_damage_is_followed_or_refused(tmp_path_factory: pytest.TempPathFactory, at: int, data: bytes) -> None:
    _survives(tmp_path_factory.getbasetemp(), GOOD[:at] + data + GOOD[at + len(data) :])


_OPCODES = [
    getattr(pickle, word) for word in dir(pickle) if word.isupper() and isinstance(getattr(pickle, word), bytes)
]


@settings(max_examples=500)
@given(
    st.lists(st.sampled_from([*_OPCODES, text("a"), number(3), name("os", "system"), storage(), tensor()]), max_size=40)
)
def test_any_program_is_followed_or_refused(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    _survives(tmp_path_factory.getbasetemp(), archive(program(*parts), _0=FLOATS))


def _survives(folder: Path, content: bytes) -> None:
    """What is not refused passes the host's check and can be read; nothing else happens."""
    try:
        converted(folder, content)
    except CheckpointError:
        pass
    except BrokenOutputError as error:
        raise AssertionError("the converter writes what the host refuses") from error
