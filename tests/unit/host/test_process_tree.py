"""Holding a process's descendants, also where descriptors run out."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from stemsep_envs.host.process_tree import descendants_of, hold_descendants

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux lists them")

PARENT = """
import subprocess, sys
children = [subprocess.Popen(["sleep", "60"]) for _ in range(30)]
print("ready", flush=True)
sys.stdin.read()
for child in children:
    child.kill()
"""


def test_few_descriptors_hold_as_many_as_there_are() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert parent.stdout is not None
        parent.stdout.readline()
        assert len(descendants_of(parent.pid)) == 30
        held = hold_descendants(parent.pid)
        assert len(held) == 30
        for descriptor in held:
            os.close(descriptor)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        taken = {int(path.name) for path in Path("/proc/self/fd").iterdir()}
        most = [number for number in range(soft) if number not in taken][20]
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        try:
            some = hold_descendants(parent.pid)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in some:
            os.close(descriptor)
        assert 5 <= len(some) < 30
    finally:
        parent.communicate()
