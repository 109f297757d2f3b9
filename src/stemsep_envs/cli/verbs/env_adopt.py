"""Use an interpreter that is there in place of building an environment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from stemsep_envs.cli.console import Console
from stemsep_envs.cli.options import complete_model, registry_option, verb


@click.command("adopt")
@click.argument("python", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("model", shell_complete=complete_model)
@click.option("--target", default="auto", show_default=True, help="PLATFORM-ACCELERATOR, or an accelerator.")
@click.option("--runtime", help="Use this runtime; it must be one that the model allows.")
@registry_option
@verb
def command(console: Console, python: Path, model: str, **options: Any) -> int:
    """Use the interpreter PYTHON, with what is installed there, for MODEL and all that need the same.

    It is checked against the requirements, compared with the lock, and never changed. Receipts and run records say so.
    `env remove` undoes it.
    """
    from stemsep_envs.commands.env_adopt import adopt_interpreter
    from stemsep_envs.provisioning.adoption import AdoptOptions

    report = adopt_interpreter(
        AdoptOptions(python, model, options["target"], options["runtime"], options["registry_path"])
    )
    if console.json:
        console.document(report)
        return 0
    receipt = report.receipt
    console.line(f"{model}  {receipt.digest[:12]}  adopted  {python}")
    for words in receipt.adopted.differences if receipt.adopted else ():
        console.note(f"not as locked: {words}")
    return 0
