"""What torch saves, converted by an ordinary Python without torch, is what torch loads: bit for bit."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.artifacts.safetensors import check_converted

CHECKOUT = Path(__file__).resolve().parents[3]
CONVERTER = CHECKOUT / "src" / "stemsep_envs" / "inside" / "convert.py"
KINDS = Path(__file__).with_name("kinds.py")


def convert(source: Path, python: Path = Path(sys.executable)) -> dict[str, Any]:
    """Convert beside; returns what the converter said, or nothing."""
    output = source.with_suffix(".safetensors")
    done = subprocess.run(
        [python, "-I", "-S", CONVERTER, source, output], capture_output=True, text=True, check=False, timeout=120
    )
    assert "Traceback" not in done.stderr, done.stderr
    said = json.loads(done.stdout) if done.stdout else {}
    assert (done.returncode == 0) == (not said)
    return dict(said)


def in_torch(python: Path, *arguments: object) -> str:
    done = subprocess.run(
        [python, "-I", *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def saved(torch_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    in_torch(torch_python, KINDS, "make", folder)
    return folder


def test_every_kind_comes_back_bit_for_bit(torch_python: Path, saved: Path) -> None:
    files = sorted(saved.glob("*.ckpt"))
    assert len(files) > 50
    for file in files:
        assert convert(file) == {}, file.name
        output = file.with_suffix(".safetensors")
        with output.open("rb") as stream:
            check_converted(stream, output.stat().st_size)  # what the converter writes, the host takes
        # A view of a part does not bring the rest.
        assert output.stat().st_size < file.stat().st_size + 20_000
    assert (saved / "slice-of-large.safetensors").stat().st_size < 2000
    assert int(in_torch(torch_python, KINDS, "compare", saved)) == len(files)


def test_other_readers_of_safetensors_find_the_tensors_by_name(saved: Path) -> None:
    output = saved / "lightning.safetensors"
    output.unlink(missing_ok=True)
    assert convert(saved / "lightning.ckpt") == {}
    data = output.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    assert header["state_dict.first.weight"]["shape"] == [4, 3]
    assert header["state_dict.first.weight"]["dtype"] == "F32"
    report = json.loads(header["__metadata__"]["stemsep.report"])
    assert {found["name"] for found in report["inert"]} == {
        "argparse.Namespace",
        "datetime.datetime",
        "torch._C._nn.gelu",
    }


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("torch.save(torch.quantize_per_tensor(torch.randn(3), 0.1, 0, torch.qint8), path)", "quantised"),
        ("torch.save(torch.eye(3).to_sparse(), path)", "no form for: sparse_tensor"),
        ("torch.jit.script(torch.nn.Linear(2, 2)).save(path)", "TorchScript program"),
        ("torch.save(torch.empty(3, device='meta'), path)", "no form for: meta_tensor"),
    ],
)
def test_what_has_no_form_is_refused_in_words(torch_python: Path, tmp_path: Path, script: str, said: str) -> None:
    path = tmp_path / "m.ckpt"
    in_torch(torch_python, "-W", "ignore", "-c", f"import torch; path = {str(path)!r}; {script}")
    assert said in convert(path)["message"]
    assert not path.with_suffix(".safetensors").exists()
