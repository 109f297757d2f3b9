"""Put in a file that was fetched elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from stemsep_envs.cli.console import Console, human_bytes
from stemsep_envs.cli.options import complete_model, registry_option, verb
from stemsep_envs.errors import UsageError


def _complete_name(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    from stemsep_envs.artifacts.model_files import wanted_files
    from stemsep_envs.errors import StemsepEnvError
    from stemsep_envs.registry.catalogue import catalogue_at

    model_id = context.params.get("model_id")
    if not model_id:
        return []
    try:
        entry = catalogue_at(context.params.get("registry_path")).get(model_id)
    except StemsepEnvError:
        return []
    return [wanted.name for wanted in wanted_files(entry) if wanted.name.startswith(incomplete)]


@click.command("add")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--url", help="The address that the file is from, as in the registry.")
@click.option(
    "--model",
    "model_id",
    metavar="MODEL",
    shell_complete=complete_model,
    help="In place of --url: the model that the file is for.",
)
@click.option(
    "--name",
    default="primary",
    show_default=True,
    shell_complete=_complete_name,
    help="With --model: which of its files (primary, config, additional[0]).",
)
@click.option("--replace", is_flag=True, help="Replace another file that was stored for it before.")
@registry_option
@verb
def command(
    console: Console,
    file: Path,
    url: str | None,
    model_id: str | None,
    name: str,
    replace: bool,
    registry_path: Path | None,
) -> int:
    """Put in a FILE that was fetched elsewhere.

    For machines without internet, and for models whose files have no address. The file is copied, and checked against
    what the registry knows of it.
    """
    from stemsep_envs.commands.artifacts_add import add_for_model, add_for_url

    if (url is None) == (model_id is None):
        raise UsageError("state what the file is for", hint="either --url URL, or --model MODEL --name NAME")
    if url is not None:
        added = add_for_url(url, file, registry_path=registry_path, replace=replace)
    else:
        added = add_for_model(model_id or "", name, file, registry_path=registry_path, replace=replace)
    if console.json:
        console.document(added)
        return 0
    console.line(f"{added.sha256}  {human_bytes(added.size_bytes)}")
    for use in added.used_by:
        console.line(f"  {use.model_id} {use.name} ({use.filename})")
    if not added.used_by:
        console.note("no model of the registry has this address")
    if added.trust != "registry":
        console.note("the registry has no hash for it: from now on, its address must give exactly this file")
    return 0
