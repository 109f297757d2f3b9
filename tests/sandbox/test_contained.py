"""Root inside a container, as it is there: with an engine's usual capabilities and no more."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.sandbox.attacks import ATTACKS
from tests.sandbox.conftest import HERE, require

from stemsep_envs.sandbox.container import _image
from stemsep_envs.sandbox.landlock import Landlock
from stemsep_envs.sandbox.system_files import find_system

KEPT = [
    "chown",
    "dac_override",
    "fsetid",
    "fowner",
    "mknod",
    "net_raw",
    "setgid",
    "setuid",
    "setfcap",
    "setpcap",
    "net_bind_service",
    "sys_chroot",
    "kill",
    "audit_write",
]
"""What container engines leave to root by default."""

MEASURE = """
import json
from dataclasses import asdict
from stemsep_envs.sandbox.levels import level_named
print(json.dumps({name: asdict(level_named(name).measure()) for name in ("namespaces", "landlock")}))
"""


@pytest.fixture
def contained() -> list[str]:
    """The start of a command that runs what follows with those capabilities only."""
    if os.geteuid() != 0:
        pytest.skip("only root can give capabilities up")
    found = Landlock().measure()
    require(found.available, f"no level landlock: {found.reason}")
    require(shutil.which("setpriv") is not None, "setpriv (util-linux) is not installed")
    kept = ",".join(["-all", *(f"+{name}" for name in KEPT)])
    return ["setpriv", f"--bounding-set={kept}", f"--inh-caps={kept}"]


def run(command: list[str]) -> str:
    paths = os.pathsep.join([str(HERE.parents[1] / "src"), str(HERE.parents[1])])
    environ = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environ)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_namespaces_are_not_to_be_had_and_landlock_is(contained: list[str]) -> None:
    found = json.loads(run([*contained, sys.executable, "-c", MEASURE]))
    assert not found["namespaces"]["available"]
    assert "landlock" in found["namespaces"]["remedy"]
    assert found["landlock"]["available"], found["landlock"]


def test_landlock_holds_there(contained: list[str]) -> None:
    fought = json.loads(run([*contained, sys.executable, str(HERE / "fight_all.py"), "landlock"]))
    happened = {name for name, result in fought.items() if result["happened"]}
    assert happened <= {attack.name for attack in ATTACKS if "landlock" not in attack.held_by}


def test_a_private_interpreter_is_still_readable(contained: list[str], tmp_path: Path) -> None:
    """Below root's home nothing is readable to others: one capability stays for that, and Landlock rules over it."""
    code = """
import sys
from pathlib import Path
from stemsep_envs.host.processes import run
from stemsep_envs.sandbox.landlock import Landlock
from stemsep_envs.sandbox.policy import Policy
from stemsep_envs.sandbox.system_files import interpreter_dirs
private = Path(sys.argv[1])
policy = Policy((*interpreter_dirs(), private / "weights"), private / "work", {})
inside = "import sys; print(open(sys.argv[1]).read(), end=''); open(sys.argv[2]).read()"
argv = (sys.executable, "-I", "-S", "-c", inside, str(private / "weights"), str(private / "other"))
with Landlock().confine(argv, policy) as command:
    done = run(command, timeout_seconds=60)
    print(done.stdout, "PermissionError" in done.stderr)
"""
    private = tmp_path / "private"
    (private / "work").mkdir(parents=True)
    for name in ("weights", "other"):
        (private / name).write_text(name)
        (private / name).chmod(0o600)
    private.chmod(0o700)
    assert run([*contained, sys.executable, "-c", code, str(private)]) == "weights True\n"


@pytest.fixture
def container(docker: None, tmp_path: Path) -> Callable[..., str]:
    """Runs a Python program of the checkout in a container as an engine starts it by default."""
    image = "stemsep-env-host:1"
    subprocess.run(["docker", "import", "-", image], input=_image(find_system()), check=True, capture_output=True)
    shown = {Path("/usr"), Path("/etc"), HERE.parents[1], Path(sys.base_prefix), Path(sys.prefix)}
    shown = {path for path in shown if not any(path != other and path.is_relative_to(other) for other in shown)}

    def run_in_it(user: str, *arguments: str) -> str:
        mounts = [word for path in shown for word in ("--volume", f"{path}:{path}:ro")]
        paths = os.pathsep.join([str(HERE.parents[1] / "src"), str(HERE.parents[1])])
        command = ["docker", "run", "--rm", "--network", "none", "--user", user, *mounts]
        command += ["--tmpfs", "/tmp:exec,mode=1777,size=512m", "--env", f"PYTHONPATH={paths}", image]
        return run([*command, sys.executable, *arguments])

    return run_in_it


@pytest.mark.xdist_group("docker")
@pytest.mark.parametrize("inner_user", ["0:0", "1000:1000"])
def test_inside_a_real_container_landlock_holds(container: Callable[..., str], inner_user: str) -> None:
    found = json.loads(container(inner_user, "-c", MEASURE))
    assert not found["namespaces"]["available"]
    assert "landlock" in found["namespaces"]["remedy"]
    assert found["landlock"]["available"], found["landlock"]
    assert found["landlock"]["axes"]["memory"] == "limited", "no control group can be made there, and it says so"
    fought = json.loads(container(inner_user, str(HERE / "fight_all.py"), "landlock"))
    happened = {name for name, result in fought.items() if result["happened"]}
    of_groups = {"memory_bomb_of_many"}
    assert happened <= {attack.name for attack in ATTACKS if "landlock" not in attack.held_by} | of_groups
