"""The health check: what it compiles, and where that goes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from stemsep_envs.environments import health


def test_only_bytecode_of_the_environment_is_put_beside(tmp_path: Path) -> None:
    root, beside = tmp_path / "environment", tmp_path / "beside"
    root.mkdir()
    (root / "loaded_early.py").write_text("")
    (root / "engine.py").write_text("import wave\n")
    prelude = f"import sys; sys.path.insert(0, {str(root)!r}); sys.dont_write_bytecode = True; import loaded_early\n"
    program = f"{prelude}sys.dont_write_bytecode = False\n{health._BYTECODE_BESIDE}{health._IMPORTS}"
    command = [sys.executable, "-I", "-c", program, str(root), str(beside), "engine"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert list(json.loads(done.stdout)["imports"]) == ["engine"]
    compiled = {path.name.partition(".")[0] for path in beside.rglob("*.pyc")}
    assert compiled == {"engine", "loaded_early"}  # and not wave
    assert not list(root.rglob("*.pyc"))
