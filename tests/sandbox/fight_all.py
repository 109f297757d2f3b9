"""Carries out all attacks in one level, or in none, and prints what happened: ``fight_all.py LEVEL [ATTACK...]``."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

for folder in (Path(__file__).resolve().parents[2], Path(__file__).resolve().parents[2] / "src"):
    sys.path.append(str(folder))

from tests.sandbox.arena import arena, fight
from tests.sandbox.attacks import ATTACKS

from stemsep_envs.sandbox.levels import level_named


def main() -> None:
    logging.basicConfig(level=logging.DEBUG)  # to stderr: read when a fight goes wrong
    word = sys.argv[1]
    chosen = sys.argv[2:]
    level = None if word == "none" else level_named(word)
    results: dict[str, object] = {}
    for attack in ATTACKS:
        if chosen and attack.name not in chosen:
            continue
        if attack.only_root and os.geteuid() != 0 and level is None:
            continue
        with arena() as targets:
            os.environ["STEMSEP_SECRET"] = targets.word
            done = fight(attack.name, level.name if level else None, targets)
            happened = attack.happened(targets, done)
        results[attack.name] = {"happened": happened, "stdout": done.stdout[-300:], "stderr": done.stderr[-600:]}
    print(json.dumps(results))


if __name__ == "__main__":
    main()
