"""Print the tab completion of a shell."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from stemsep_envs.errors import UsageError

_VARIABLE = "_STEMSEP_ENV_COMPLETE"
_SHELLS = {
    "bash": 'eval "$(stemsep-env completion bash)"      in ~/.bashrc',
    "zsh": 'eval "$(stemsep-env completion zsh)"       in ~/.zshrc',
    "fish": "stemsep-env completion fish | source       in ~/.config/fish/config.fish",
}
"""Each with how it takes the completion, and where that is written."""

_HELP = "\n".join(
    [
        "Print the tab completion of a shell.",
        "",
        "\b",
        *(f"{f'{shell}:':6}{use}" for shell, use in _SHELLS.items()),
    ]
)


@click.command("completion", help=_HELP)
@click.argument("shell", type=click.Choice(tuple(_SHELLS)))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the tab completion of a shell."""
    completion = get_completion_class(shell)
    if completion is None:
        raise UsageError(f"no completion for {shell}")
    click.echo(completion(context.find_root().command, {}, "stemsep-env", _VARIABLE).source())
