"""A container engine of the tests' own: docker's daemon, started and ended by them, apart from any other."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_START_SECONDS = 40.0


@contextmanager
def private_docker() -> Iterator[str | None]:
    """Yield the address of a daemon (for ``DOCKER_HOST``), or None where none can be started here."""
    daemon = shutil.which("dockerd")
    if daemon is None or shutil.which("docker") is None or os.geteuid() != 0:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="stemsep-env-docker-"))
    address = f"unix://{folder}/socket"
    command = [
        *(daemon, "--host", address, "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        # No network of its own: no worker has one, and the machine's rules are left alone.
        *("--pidfile", str(folder / "pid"), "--bridge", "none", "--iptables=false", "--ip6tables=false"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        yield address if _answers(address, process) else None
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for mounted in sorted(_mounts_below(folder), reverse=True):
            subprocess.run(["umount", "--lazy", mounted], check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(address: str, process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        asked = subprocess.run(["docker", "--host", address, "info"], capture_output=True, check=False)
        if asked.returncode == 0:
            return True
        time.sleep(0.2)
    return False


def _mounts_below(folder: Path) -> list[str]:
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [mount for mount in mounts if mount.startswith(f"{folder}/")]
