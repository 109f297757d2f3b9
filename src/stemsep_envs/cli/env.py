"""``env``: list, show and tend built environments."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from stemsep_envs.cli.console import Console, human_bytes, human_seconds
from stemsep_envs.cli.env_adopt import command as adopt
from stemsep_envs.cli.options import registry_option, verb
from stemsep_envs.cli.progress import shown_events

if TYPE_CHECKING:
    from stemsep_envs.documents.environment_reports import CollectionReport, Difference, ListedEnvironment

_DIFFERS = 4
_FAILED = 5
_MOST_NAMED = 3
_MOST_SHOWN = 50
_SIZE = re.compile(r"(?P<count>\d+(?:\.\d+)?)\s*(?P<unit>[kmgt]?)(?:i?b)?", re.IGNORECASE)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def _bytes(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Return the bytes of a size as people write it: ``20G``, ``512 MiB``."""
    if value is None:
        return None
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise click.BadParameter(f"{value!r} is no size; write 20G or 512M")
    return int(float(match["count"]) * _UNITS[match["unit"].lower()])


@click.group("env")
def command() -> None:
    """List, show and tend built environments."""


@command.command("list")
@registry_option
@verb
def list_environments(console: Console, registry_path: Path | None) -> int:
    """List the environments of this home.

    What each takes, what would come back without it, and who uses it.

    SIZE is all that an environment has; OWN is what comes back when it alone is removed: the rest is shared.
    """
    from stemsep_envs.commands.env_list import environment_listing

    listing = environment_listing(registry_path)
    if console.json:
        console.document(listing)
        return 0
    header = ("ENVIRONMENT", "STATE", "TARGET", "PYTHON", "SIZE", "OWN", "LAST USED", "MODELS")
    console.table(header, map(_row, listing.environments))
    cache = f"; package cache beside: {human_bytes(listing.cache_bytes)}" if listing.cache_bytes else ""
    console.line(f"together {human_bytes(listing.environments_bytes)}{cache}")
    return 0


@command.command("show")
@click.argument("environment")
@verb
def show_environment(console: Console, environment: str) -> int:
    """Show what is in an ENVIRONMENT.

    Name it by its digest or the beginning of it.
    """
    from stemsep_envs.commands.env_show import environment_details

    details = environment_details(environment)
    if console.json:
        console.document(details)
        return 0
    receipt = details.receipt
    console.line(f"environment  {receipt.digest}")
    console.line(f"folder       {details.dir}")
    console.line(f"state        {details.problem or 'whole'}")
    console.line(f"target       {receipt.inputs.target}")
    console.line(f"python       {receipt.inputs.interpreter.version} ({receipt.base_interpreter.path})")
    console.line(f"built        {receipt.created_at} by {receipt.created_by}")
    console.line(f"built for    {', '.join(receipt.built_for)}")
    console.line(f"size         {human_bytes(receipt.size.bytes)}, shared {human_bytes(receipt.size.shared_bytes)}")
    builder = receipt.builder
    console.line(f"builder      {builder.name} {builder.version}, {builder.link_mode}: {builder.link_reason}")
    if receipt.adopted is not None:
        console.line(f"adopted      {receipt.adopted.python}")
        for words in receipt.adopted.differences:
            console.line(f"             not as locked: {words}")
    for name, build in receipt.built_from_source.items():
        console.line(
            f"from source  {name}: {build.source}, built in {build.seconds:.1f} s, confined by {build.confined_by}"
        )
    console.line(f"packages     {', '.join(f'{package.name} {package.version}' for package in receipt.packages)}")
    return 0


@command.command("verify")
@click.argument("environments", nargs=-1, metavar="[ENVIRONMENT]...")
@click.option("--all", "everything", is_flag=True, help="Verify all environments (so it is when none is named).")
@click.option("--quick", is_flag=True, help="Look at names, sizes, times and permissions; read only what is newer.")
@verb
def verify_environments(console: Console, environments: tuple[str, ...], everything: bool, quick: bool) -> int:
    """Compare every file with what was built.

    Ends with 4 when something differs.

    What differs is not used any more until `env repair`, or the next `ensure`, builds it anew.
    """
    from stemsep_envs.commands.env_verify import verify_environments

    with shown_events(console, None) as on_event:
        report = verify_environments(() if everything else environments, quick=quick, on_event=on_event)
    if console.json:
        console.document(report)
        return 0 if report.ok else _DIFFERS
    for item in report.environments:
        took = f"{item.files} files, {human_bytes(item.hashed_bytes)} read in {human_seconds(item.seconds)}"
        words = "as it was built" if item.ok else f"{len(item.differences)} differences"
        console.line(f"{item.digest[:12]}  {words}  ({took})")
        _tell_differences(console, item.differences)
    if not report.environments:
        console.note("there are no environments")
    return 0 if report.ok else _DIFFERS


@command.command("repair")
@click.argument("environments", nargs=-1, metavar="[ENVIRONMENT]...")
@click.option("--all-broken", is_flag=True, help="Look at all environments and repair those that need it.")
@click.option("--offline", is_flag=True, help="Make no network call.")
@verb
def repair_environments(console: Console, environments: tuple[str, ...], all_broken: bool, offline: bool) -> int:
    """Build damaged ENVIRONMENTs anew.

    Each is verified first, and rebuilt from clean files when something differs.
    """
    from stemsep_envs.commands.env_repair import repair_environments

    if all_broken == bool(environments):
        raise click.UsageError("name environments, or write --all-broken")
    with shown_events(console, None) as on_event:
        report = repair_environments(environments, offline=offline, on_event=on_event)
    if console.json:
        console.document(report)
        return 0 if report.ok else _FAILED
    for item in report.environments:
        console.line(f"{item.digest[:12]}  {item.action}: {item.detail}")
        _tell_differences(console, item.differences)
    return 0 if report.ok else _FAILED


@command.command("remove")
@click.argument("environments", nargs=-1, required=True, metavar="ENVIRONMENT...")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@verb
def remove_environments(console: Console, environments: tuple[str, ...], yes: bool) -> int:
    """Remove ENVIRONMENTs; refused while a session uses one."""
    from stemsep_envs.commands.env_remove import removal_plan, remove_environments

    planned = removal_plan(environments)
    _confirm(f"remove {', '.join(item.digest[:12] for item in planned)}?", console, yes=yes)
    with shown_events(console, None) as on_event:
        report = remove_environments(planned, on_event=on_event)
    _tell_collection(console, report)
    return 0


@command.command("gc")
@click.option("--dry-run", is_flag=True, help="Say what would go and what would come back; change nothing.")
@click.option("--max-age", type=click.FloatRange(min=0), metavar="DAYS", help="Remove what was not used for so long.")
@click.option(
    "--max-size",
    callback=_bytes,
    metavar="SIZE",
    help="Remove the least recently used until no more than this is taken: 20G.",
)
@click.option("--unused", is_flag=True, help="Remove what no model of the registry uses.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@registry_option
@verb
def collect(
    console: Console,
    dry_run: bool,
    max_age: float | None,
    max_size: int | None,
    unused: bool,
    yes: bool,
    registry_path: Path | None,
) -> int:
    """Free disk, least recently used first.

    Environments that the options choose, broken ones, what dead processes left, packages that nobody needs.

    What a live session uses always stays. Says what really comes back: shared files only do with their last name.
    """
    from stemsep_envs.commands.env_gc import collect_environments
    from stemsep_envs.environments.gc import Rules

    rules = Rules(None if max_age is None else max_age * 86400, max_size, unused)
    with shown_events(console, None) as on_event:
        if not dry_run and _asks(console, yes=yes):
            _tell_collection(
                console, collect_environments(rules, registry_path=registry_path, dry_run=True, on_event=on_event)
            )
            click.confirm("go on?", abort=True, err=True)
        report = collect_environments(rules, registry_path=registry_path, dry_run=dry_run, on_event=on_event)
    _tell_collection(console, report)
    return 0


def _row(item: ListedEnvironment) -> tuple[str, ...]:
    state = "adopted" if item.adopted and item.state == "whole" else item.state
    return (
        item.digest[:12],
        "in use" if item.live_uses and item.state == "whole" else state,
        str(item.target or "-"),
        item.python or "-",
        human_bytes(item.size_bytes),
        human_bytes(item.freeable_bytes),
        item.last_used or "never",
        _models(item.models),
    )


def _models(models: Sequence[str]) -> str:
    """Name a few models: most environments serve dozens."""
    more = f" and {len(models) - _MOST_NAMED} more" if len(models) > _MOST_NAMED else ""
    return f"{', '.join(models[:_MOST_NAMED])}{more}" or "-"


def _tell_differences(console: Console, differences: Iterable[Difference]) -> None:
    several = list(differences)
    for item in several[:_MOST_SHOWN]:
        console.line(f"  {item.kind:<11} {item.path}: {item.detail}")
    if len(several) > _MOST_SHOWN:
        console.line(f"  and {len(several) - _MOST_SHOWN} more (--json lists them all)")


def _tell_collection(console: Console, report: CollectionReport) -> None:
    if console.json:
        console.document(report)
        return
    for item in report.removed:
        name = item.name[:12] if item.kind in {"environment", "engine"} else item.name
        console.line(f"{'would remove' if report.dry_run else 'removed'} {item.kind} {name}: {item.why}")
    for kept in report.kept:
        console.line(f"kept environment {kept.digest[:12]}: {kept.why}")
    freed, left = human_bytes(report.freed_bytes), human_bytes(report.remaining_bytes)
    console.line(
        f"{freed} {'would come' if report.dry_run else 'came'} back; {left} {'would be ' * report.dry_run}left"
    )


def _asks(console: Console, *, yes: bool) -> bool:
    return not yes and not console.json and sys.stdin.isatty()


def _confirm(question: str, console: Console, *, yes: bool) -> None:
    """Ask before something is lost, where there is someone to ask."""
    if _asks(console, yes=yes):
        click.confirm(question, abort=True, err=True)


command.add_command(adopt)
