"""A host that starts one worker and does nothing else, to be killed: ``host.py LEVEL CODE ARGUMENT FOLDER``."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

for folder in (Path(__file__).resolve().parents[2], Path(__file__).resolve().parents[2] / "src"):
    sys.path.append(str(folder))

from tests.sandbox.arena import Said

from stemsep_envs.host.child_process import Child, start
from stemsep_envs.sandbox.levels import level_named
from stemsep_envs.sandbox.policy import Limits, Policy
from stemsep_envs.sandbox.system_files import interpreter_dirs
from stemsep_envs.sandbox.worker_environ import worker_environ


def main() -> None:
    level, code, word, work = sys.argv[1:]
    folder = Path(work)
    policy = Policy(interpreter_dirs(), folder, worker_environ(folder, keep_memory=False), Limits(memory_bytes=1 << 28))
    argv = (sys.executable, "-I", "-S", "-c", code, word)
    with level_named(level).confine(argv, policy) as command:
        said = Said()
        children: list[Child] = []
        # From a thread that ends at once: what a kernel ties to the starting thread must not end the worker.
        starter = threading.Thread(target=lambda: children.append(start(command, on_stdout=said)))
        starter.start()
        starter.join()
        print(json.dumps({"pid": children[0].pid, "said": said.line()}), flush=True)
        children[0].wait(None)


if __name__ == "__main__":
    main()
