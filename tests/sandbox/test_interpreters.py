"""An interpreter that is a link in a user's home runs confined, and shows nothing of that home."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from stemsep_envs.host.interpreter_files import readable_for
from stemsep_envs.host.processes import run
from stemsep_envs.host.scratch_dirs import scratch_dir
from stemsep_envs.sandbox.levels import level_named
from stemsep_envs.sandbox.policy import LevelName, Policy
from stemsep_envs.sandbox.worker_environ import worker_environ


def test_a_link_in_the_home_shows_nothing_of_the_home(level: LevelName, monkeypatch: pytest.MonkeyPatch) -> None:
    with scratch_dir(Path("/tmp"), "stemsep-env-interpreters-") as folder:
        folder.chmod(0o755)
        link = folder / "home" / ".local" / "bin" / "python3"
        secret = folder / "home" / ".local" / "share" / "login.keyring"
        for file in (link, secret):
            file.parent.mkdir(parents=True)
        link.symlink_to(Path(sys.executable).resolve())
        secret.write_text("secret")
        monkeypatch.setenv("HOME", str(folder / "home"))
        work = folder / "work"
        work.mkdir()
        code = f"import json, os; print(os.__file__)\nprint(open({str(secret)!r}).read())"
        policy = Policy(readable_for(link), work, worker_environ(work, keep_memory=False))
        with level_named(level).confine((str(link), "-I", "-c", code), policy) as command:
            done = run(command, timeout_seconds=60)
    assert Path(done.stdout.strip()).name == "os.py", done.stderr
    assert "login.keyring" in done.stderr
    assert "secret" not in done.stdout
