"""``artifacts``: put in, list and verify weights and configs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemsep_envs.cli.console import Console, human_bytes
from stemsep_envs.cli.options import complete_model, registry_option, verb
from stemsep_envs.cli.progress import shown_events
from stemsep_envs.errors import MismatchError, UsageError

if TYPE_CHECKING:
    from stemsep_envs.documents.artifacts import ArtifactCollectionReport, ListedArtifact
    from stemsep_envs.documents.checkpoint import InspectedCheckpoint

_HASH_CHARACTERS = 12
_TRUST_WORDS = {"registry": "registry", "first-use": "first use", "added": "by hand"}


def _complete_hash(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    from stemsep_envs.artifacts.blobs import stored_hashes
    from stemsep_envs.errors import StemsepEnvError
    from stemsep_envs.host.paths import find_home

    try:
        return [sha256[:16] for sha256 in stored_hashes(find_home()) if sha256[:16].startswith(incomplete)]
    except (StemsepEnvError, OSError):
        return []


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


@click.group("artifacts")
def command() -> None:
    """Put in, list and verify weights, configs and patch files."""


@command.command("add")
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.option("--url", help="The address that the file is from, as the registry has it.")
@click.option("--model", "model_id", metavar="MODEL", shell_complete=complete_model, help="Or: the model it is for.")
@click.option(
    "--name",
    default="primary",
    show_default=True,
    shell_complete=_complete_name,
    help="With --model: which of its files (primary, config, additional[0]).",
)
@click.option("--replace", is_flag=True, help="Let it take the place of another file that was here for it before.")
@registry_option
@verb
def add(
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
        raise UsageError("say what the file is for", hint="either --url URL, or --model MODEL --name NAME")
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
        console.note("the registry knows no hash of it: from now on its address must give this file")
    return 0


@command.command("list")
@registry_option
@verb
def list_command(console: Console, registry_path: Path | None) -> int:
    """List the files of this home.

    What each is, whose, how its hash is known, and when it was last used.
    """
    from stemsep_envs.commands.artifacts_list import list_artifacts

    listing = list_artifacts(registry_path)
    if console.json:
        console.document(listing)
        return 0
    console.table(("ARTIFACT", "SIZE", "HASH FROM", "LAST USED", "FILE"), map(_row, listing.artifacts))
    unfinished = f"; downloads not ended: {human_bytes(listing.unfinished_bytes)}" if listing.unfinished_bytes else ""
    converted = f"; converted forms: {human_bytes(listing.converted_bytes)}" if listing.converted_bytes else ""
    console.line(f"together {human_bytes(listing.total_bytes)}{converted}{unfinished}")
    return 0


@command.command("verify")
@click.argument("artifacts", nargs=-1, metavar="[ARTIFACT]...", shell_complete=_complete_hash)
@click.option("--all", "everything", is_flag=True, help="Verify all (so it is when none is named).")
@verb
def verify(console: Console, artifacts: tuple[str, ...], everything: bool) -> int:
    """Read files again and compare them with their hashes.

    Name them by the beginning of their hashes. What is damaged is set aside, and fetched again by the next run that
    needs it. Ends with 4 when something was.
    """
    from stemsep_envs.commands.artifacts_verify import verify_artifacts

    with shown_events(console, None) as on_event:
        report = verify_artifacts(() if everything else artifacts, on_event=on_event)
    if console.json:
        console.document(report)
    else:
        for item in report.artifacts:
            kind = "  converted" if item.kind == "converted" else ""
            console.line(f"{item.sha256[:_HASH_CHARACTERS]}{kind}  {item.detail}")
            if item.set_aside:
                console.line(f"  moved to {item.set_aside}")
        console.line(f"{len(report.artifacts)} read, {human_bytes(report.bytes_read)}")
    return 0 if report.ok else MismatchError.exit_code


@command.command("inspect")
@click.argument("what", metavar="MODEL|FILE", shell_complete=complete_model)
@registry_option
@verb
def inspect(console: Console, what: str, registry_path: Path | None) -> int:
    """Say what a checkpoint contains, without unpickling it.

    Of a MODEL, every checkpoint of its that is here; or of a FILE. It is converted to safetensors on the way, as before
    it is loaded, and the converted form is kept.
    """
    from stemsep_envs.commands.artifacts_inspect import inspect_checkpoints

    with shown_events(console, None) as on_event:
        listing = inspect_checkpoints(what, registry_path=registry_path, on_event=on_event)
    if console.json:
        console.document(listing)
        return 0
    for item in listing.checkpoints:
        _tell_checkpoint(console, item)
    return 0


def _tell_checkpoint(console: Console, item: InspectedCheckpoint) -> None:
    report = item.report
    console.line(f"{item.name}  {human_bytes(report.input_bytes)}  {report.input_sha256[:_HASH_CHARACTERS]}")
    types = ", ".join(f"{count} {dtype}" for dtype, count in report.dtypes.items())
    console.line(f"  tensors     {report.tensors} ({types or 'none'}), {report.parameters} parameters")
    console.line(f"  beside them {report.arrays} arrays, {report.values} values")
    console.line(f"  safetensors {human_bytes(report.output_bytes)}, converted at level {report.sandbox}")
    for found in report.inert:
        times = f"called {found.called} times" if found.called else f"named {found.named} times"
        kind = "DANGEROUS" if found.dangerous else "harmless " if found.harmless else "unknown  "
        console.line(f"  {kind}  {found.name} ({times})")
    for words in report.left_out:
        console.line(f"  left out   {words}")
    if report.dangerous:
        console.note("a checkpoint of data has no use for the dangerous names; nothing of it was run")
    elif report.unknown:
        console.note("what the unknown names would do is not known; nothing of it was run")


@command.command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would go and what would come back; change nothing.")
@click.option("--max-age", type=click.FloatRange(min=0), metavar="DAYS", help="Remove what was not used for so long.")
@click.option("--unused", is_flag=True, help="Remove what no model of the registry asks for.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@registry_option
@verb
def collect(
    console: Console, dry_run: bool, max_age: float | None, unused: bool, yes: bool, registry_path: Path | None
) -> int:
    """Free disk.

    Files that the options choose, damaged files that were set aside, and downloads that nobody continued for a week.
    What an address stood for stays known: when it is fetched again, it must be the same.
    """
    from stemsep_envs.commands.artifacts_gc import collect_artifacts

    seconds = None if max_age is None else max_age * 86400

    def collected(*, dry: bool) -> ArtifactCollectionReport:
        return collect_artifacts(registry_path=registry_path, unused=unused, max_age_seconds=seconds, dry_run=dry)

    if not dry_run and not yes and not console.json and sys.stdin.isatty():
        _tell_collection(console, collected(dry=True))
        click.confirm("go on?", abort=True, err=True)
    _tell_collection(console, collected(dry=dry_run))
    return 0


def _tell_collection(console: Console, report: ArtifactCollectionReport) -> None:
    if console.json:
        console.document(report)
        return
    for item in report.removed:
        name = item.name[:_HASH_CHARACTERS] if item.kind in {"artifact", "converted"} else item.name
        console.line(f"{'would remove' if report.dry_run else 'removed'} {item.kind} {name}: {item.why}")
    freed, left = human_bytes(report.freed_bytes), human_bytes(report.remaining_bytes)
    console.line(
        f"{freed} {'would come' if report.dry_run else 'came'} back; {left} {'would be ' * report.dry_run}left"
    )


def _row(item: ListedArtifact) -> tuple[str, ...]:
    trust = "registry" if not item.origins else _TRUST_WORDS[item.origins[0].trust]
    use = item.used_by[0] if item.used_by else None
    more = f" and {len(item.used_by) - 1} more" if len(item.used_by) > 1 else ""
    names = [origin.filename for origin in item.origins if origin.filename]
    what = f"{use.filename} of {use.model_id}{more}" if use else (names[0] if names else "unknown")
    size = human_bytes(item.size_bytes) if item.state == "here" else "gone"
    last_used = item.last_used[:10] if item.last_used else "-"
    return item.sha256[:_HASH_CHARACTERS], size, trust, last_used, what
