"""Write, or with ``--check`` compare, what is generated: JSON Schemas, the tables of codes and of lint rules."""

from __future__ import annotations

import sys
from pathlib import Path

from stemsep_envs.documents.codes import CODES
from stemsep_envs.documents.schemas import schema_texts
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.tree_removal import remove_file
from stemsep_envs.registry.lint.rules import rules_page

CHECKOUT = Path(__file__).resolve().parents[1]

CODES_HEAD = """# Codes

Every error, reason and warning has a code that stays the same, so that programs can match on it. This page is generated
from `src/stemsep_envs/documents/codes.py` by `make generate`.

| code | severity | meaning |
|---|---|---|
"""


def generated() -> dict[Path, str]:
    """Return the content of every generated file."""
    schemas = {CHECKOUT / "schemas" / name: text for name, text in schema_texts().items()}
    rows = "".join(f"| `{name}` | {code.severity} | {code.meaning} |\n" for name, code in CODES.items())
    reference = CHECKOUT / "docs" / "reference"
    return {**schemas, reference / "codes.md": CODES_HEAD + rows, reference / "registry-lint.md": rules_page()}


def main(arguments: list[str]) -> int:
    """Write or check; return an exit code."""
    wanted = generated()
    strangers = [path for path in (CHECKOUT / "schemas").glob("*.json") if path not in wanted]
    stale = [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]
    if "--check" in arguments:
        for path in (*stale, *strangers):
            print(f"{path.relative_to(CHECKOUT)} is not what `make generate` writes")
        return 1 if stale or strangers else 0
    for path in stale:
        write_atomic(path, wanted[path].encode())
        print(f"wrote {path.relative_to(CHECKOUT)}")
    for path in strangers:
        remove_file(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
