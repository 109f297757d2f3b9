"""Which builds of the torch family answer a question, when they come from an index or a folder of their own.

The ordinary index carries torch too, in newer releases and for another accelerator. Given both, a resolver takes the
newer and the wrong one. Only uv's project commands can say that some distributions come from one index and from nowhere
else, also where nobody asks for them directly: so the question is put as a throw-away project first, and the builds it
finds bind the real resolution (`locking.resolve`).
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from stemsep_envs.documents.lock import LockInputs
from stemsep_envs.documents.platforms import platform_row
from stemsep_envs.environments import uv
from stemsep_envs.environments.torch_index import FAMILY, TorchIndex
from stemsep_envs.environments.uv_options import Declared, declaring_lines
from stemsep_envs.errors import BuildError
from stemsep_envs.host.atomic_write import write_atomic
from stemsep_envs.host.paths import Home

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_SECONDS = 900.0


def find_builds(
    inputs: LockInputs,
    index: TorchIndex,
    *,
    home: Home,
    what: str,
    offline: bool,
    scratch: Path,
    declared: Sequence[Declared] = (),
) -> tuple[str, ...]:
    """Return the exact builds (``torch==2.7.1+cu118``) that meet a question from an index of their own.

    Args:
        inputs: The question.
        index: Where the family comes from; `TorchIndex.separate` holds.
        home: Whose package cache is used.
        what: What is locked, in words.
        offline: Use only what the cache holds.
        scratch: A folder to work in.
        declared: What source distributions were found to need.

    Raises:
        BuildError: No builds there meet the question; the resolver's reasoning is in `BuildError.output`.
    """
    text = project_text(inputs, index, declared)
    write_atomic(scratch / "pyproject.toml", text.encode())
    wheels = ["--no-build", *(option for name in inputs.builds for option in ("--no-binary-package", name))]
    common = ("--project", str(scratch), "--python", sys.executable, "--no-python-downloads")
    try:
        uv.call_uv(
            ("lock", *common, *wheels),
            home=home,
            what=f"choosing the builds of torch for {what}",
            offline=offline,
            timeout_seconds=_SECONDS,
            own_project=True,
        )
    except BuildError as error:  # the folder is gone when the user reads it
        made = f"mkdir -p repeated && printf %s {shlex.quote(text)} > repeated/pyproject.toml"
        error.command = f"{made} && {(error.command or '').replace(str(scratch), 'repeated')}"
        raise
    locked = tomllib.loads((scratch / "uv.lock").read_text("utf-8"))
    pins = tuple(
        f"{package['name']}=={package['version']}" for package in locked["package"] if package["name"] in FAMILY
    )
    if not pins:
        raise BuildError(f"{index.address} has no torch for {what}", hint=f"it is named by {index.named_by}")
    return pins


def project_text(inputs: LockInputs, index: TorchIndex, declared: Sequence[Declared] = ()) -> str:
    """Return the project that asks the question with the torch family bound to one index."""
    major, minor = map(int, inputs.python.split("."))
    marker = (
        f"{platform_row(inputs.target.platform).marker} and python_full_version >= '{inputs.python}' "
        f"and python_full_version < '{major}.{minor + 1}'"
    )
    lines = [
        "[project]",
        'name = "requirements"',
        'version = "0"',
        'requires-python = ">=3.8"',  # the marker below says it exactly, whatever interpreter is here
        f"dependencies = {json.dumps(inputs.requires)}",
        "[tool.uv]",
        f"environments = {json.dumps([marker])}",
        f"constraint-dependencies = {json.dumps(FAMILY)}",  # bare names: what makes the sources hold for them too
        *([f"exclude-dependencies = {json.dumps(inputs.excluded)}"] if inputs.excluded else []),
        'index-strategy = "unsafe-best-match"',
        "[tool.uv.workspace]",  # so that no project above is looked for
        "[[tool.uv.index]]",
        'name = "torch"',
        f"url = {json.dumps(index.address)}",
        f"format = {json.dumps('flat' if index.kind == 'folder' else 'simple')}",
        "[tool.uv.sources]",
        *(f'{name} = {{ index = "torch" }}' for name in FAMILY),
        *declaring_lines(inputs.builds, declared),
    ]
    return "\n".join(lines) + "\n"
