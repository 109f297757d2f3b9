"""Options that several commands share, and the frame every command runs in."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from stemsep_envs.artifacts.policy import UNKNOWN_HASH_CHOICES
from stemsep_envs.cli.console import Console
from stemsep_envs.documents.accelerators import TARGET_EXAMPLES
from stemsep_envs.documents.builders import BUILDER_NAMES, DEFAULT_BUILDER
from stemsep_envs.planning.enforcement import ENFORCEMENTS
from stemsep_envs.sandbox.level_table import LEVEL_ORDER

Verb = TypeVar("Verb", bound=Callable[..., Any])


def verb(function: Callable[..., int | None]) -> Callable[..., None]:
    """Make a command of a function: it gets a `Console` and the common options; what it returns is the exit code."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")
    @click.option("-v", "--verbose", count=True, help="Say more on stderr (-vv: everything).")
    @click.option("-q", "--quiet", is_flag=True, help="Say nothing but results, warnings and errors.")
    @functools.wraps(function)
    def wrapped(*args: Any, as_json: bool, verbose: int, quiet: bool, **kwargs: Any) -> None:
        context = click.get_current_context()
        console = context.ensure_object(Console)
        console.json, console.verbose, console.quiet = as_json, verbose, quiet
        console.configure_logging()
        context.exit(function(console, *args, **kwargs) or 0)

    return wrapped


def registry_option(function: Verb) -> Verb:
    """Add ``--registry``."""
    return click.option(
        "--registry",
        "registry_path",
        type=click.Path(path_type=Path),
        help="Use this registry file instead of the one that came with the program.",
    )(function)


def planning_options(function: Verb) -> Verb:
    """Add the options that decide how a model is resolved."""
    decorators = (
        registry_option,
        click.option("--runtime", help="Use this runtime; it must be one that the model allows."),
        click.option(
            "--target",
            default="auto",
            show_default=True,
            help=f"PLATFORM-ACCELERATOR, such as {TARGET_EXAMPLES[0]}, or an accelerator of this platform.",
        ),
        click.option("--offline", is_flag=True, help="Make no network call; say what is missing."),
        click.option(
            "--builder",
            type=click.Choice(BUILDER_NAMES),
            help=f"What builds environments (default: {DEFAULT_BUILDER}).",
        ),
        click.option(
            "--unknown-hash",
            type=click.Choice(UNKNOWN_HASH_CHOICES),
            help="Files whose hash nobody knows: trust what an authenticated host gives first (secure, the default), "
            "what any host gives, or none.",
        ),
        click.option("--confirm-manual-steps", is_flag=True, help="The model's manual steps are done."),
        click.option(
            "--enforce",
            type=click.Choice(ENFORCEMENTS),
            default=ENFORCEMENTS[0],
            show_default=True,
            help="For developers: warn turns blocks into warnings, and is recorded.",
        ),
        click.option(
            "--allow-level",
            type=click.Choice(LEVEL_ORDER),
            help="Accept a weaker sandbox than the model's trust asks for; recorded.",
        ),
        click.option(
            "--sandbox",
            "sandbox_level",
            type=click.Choice(LEVEL_ORDER),
            help="Confine with this level (default: the strongest that starts quickly).",
        ),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def settings_options(function: Verb) -> Verb:
    """Add the options that set how a model runs."""
    decorators = (
        click.option("--overlap", type=float, help="Overlap of windows or chunks, as a fraction (0.75)."),
        click.option("--segment", type=float, help="Length of a chunk, in seconds."),
        click.option("--batch-size", type=int, help="Chunks at a time."),
        click.option("--shifts", type=int, help="Random shifts to average over (0: deterministic)."),
        click.option("--tta/--no-tta", default=None, help="Average over augmented inputs."),
        click.option("--precision", help="Number format of the computation, such as float32 or bf16."),
        click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="A setting of the engine's own."),
    )
    for decorator in reversed(decorators):
        function = decorator(function)
    return function


def complete_model(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Offer the registry's model ids for tab completion; nothing when it cannot be read."""
    from stemsep_envs.errors import StemsepEnvError
    from stemsep_envs.registry.catalogue import catalogue_at

    try:
        return [model_id for model_id in catalogue_at(None).ids() if model_id.startswith(incomplete)]
    except StemsepEnvError:
        return []
