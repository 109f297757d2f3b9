"""Runs a Python program as an unprivileged user, from root: ``as_user.py UID STAGE SCRIPT ARGUMENT...``.

The interpreter that runs the tests may lie where that user can't read (root's home). It is shown to it elsewhere, in a
mount namespace of this process only.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[2] / "src"))

from stemsep_envs.sandbox.launcher import kernel


def main() -> None:
    uid, stage, script, *arguments = sys.argv[1:]
    tree = kernel.clone_tree(sys.base_prefix)
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.make_mounts_private()
    kernel.attach_tree(tree, stage)
    os.setgroups([])
    os.setresgid(int(uid), int(uid), int(uid))
    os.setresuid(int(uid), int(uid), int(uid))
    python = Path(stage) / Path(os.path.realpath(sys.executable)).relative_to(sys.base_prefix)
    packages = [path for path in sys.path if path and not path.startswith(sys.base_prefix)]
    os.chdir("/")
    os.execve(
        python,
        [str(python), "-B", script, *arguments],
        {"PYTHONPATH": os.pathsep.join(packages), "PATH": "/usr/bin:/bin"},
    )


if __name__ == "__main__":
    main()
