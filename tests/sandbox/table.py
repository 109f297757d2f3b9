"""The table of docs/explanation/security.md, made from the attacks; ``python tests/sandbox/table.py`` renews it."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
for folder in (ROOT, ROOT / "src"):
    sys.path.append(str(folder))

from tests.sandbox.attacks import ATTACKS, BOUNDARIES

from stemsep_envs.sandbox.policy import AXES

DOCUMENT = ROOT / "docs" / "explanation" / "security.md"
BEGIN, END = "<!-- attacks: begin -->", "<!-- attacks: end -->"
MOST_USERS = ("root", "user")


def table() -> str:
    """Return the table in Markdown: an attack a line, grouped by what it is aimed at."""
    lines = [f"| a worker tries to | {' | '.join(BOUNDARIES)} |", f"|---|{'---|' * len(BOUNDARIES)}"]
    for axis in AXES:
        attacks = [attack for attack in ATTACKS if attack.axis == axis]
        if attacks:
            lines.append(f"| **{axis.replace('_', ' ')}** |{' |' * len(BOUNDARIES)}")
        for attack in attacks:
            marks = ["held" if level in attack.held_by else attack.instead for level in BOUNDARIES]
            words = f"{attack.words} (as root)" if attack.only_root else attack.words
            lines.append(f"| {words} | {' | '.join(marks)} |")
    return "\n".join(lines)


def updated(document: str) -> str:
    """Return the document with the table as it is now."""
    before, _, rest = document.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(updated(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
