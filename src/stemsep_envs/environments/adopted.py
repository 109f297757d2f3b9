"""Interpreters that were adopted: what they hold, and finding the one that serves a question.

A note, found by the digest of the question, leads to the environment that stands for it (`adopting` makes both).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.utils import canonicalize_name

from stemsep_envs.documents.canonical import digest_of_bytes
from stemsep_envs.documents.environment import Adopted, AdoptedPackage, Receipt
from stemsep_envs.documents.lock import LockInputs
from stemsep_envs.environments import environment_store
from stemsep_envs.errors import Reason, StemsepEnvError, UsageError
from stemsep_envs.host.child_environ import passed_variables
from stemsep_envs.host.command import Command
from stemsep_envs.host.paths import Home
from stemsep_envs.host.processes import run

_PROBE_SECONDS = 120.0

_PROBE = """
import json, os, site, sys
prefix, bases = sys.prefix, [sys.prefix, sys.exec_prefix]
for folder in (os.path.dirname(sys.executable), os.path.dirname(os.path.dirname(sys.executable))):
    try:
        with open(os.path.join(folder, "pyvenv.cfg"), encoding="utf-8") as stream:
            lines = dict(line.partition("=")[::2] for line in stream)
    except OSError:
        continue
    settings = {key.strip().lower(): value.strip().lower() for key, value in lines.items()}
    prefix = folder
    bases = [prefix] + (bases if settings.get("include-system-site-packages") == "true" else [])
    break
print(json.dumps({"prefix": prefix, "site_dirs": site.getsitepackages(bases)}))
"""
"""Asked without ``site``'s own work (``-S``), which would run lines of the distributions' ``.pth`` files: where the
distributions lie is concluded as ``site`` concludes it."""

_NAMES = {"site-packages", "dist-packages"}


def probe(python: Path) -> Adopted:
    """Return what an interpreter holds; nothing is written there, and nothing of what it holds is run.

    Raises:
        UsageError: It does not answer.
    """
    env = passed_variables("interpreter", os.environ)
    command = Command((str(python), "-I", "-S", "-B", "-c", _PROBE), env, python.parent)
    done = run(command, timeout_seconds=_PROBE_SECONDS)
    try:
        answer = json.loads(done.stdout if done.status == 0 else "null") or {}
        prefix, folders = str(answer["prefix"]), tuple(_with_paths(map(Path, answer["site_dirs"])))
    except (ValueError, TypeError, KeyError):
        raise UsageError(f"{python} does not say what it holds: {done.stderr.strip()[-300:]}") from None
    return Adopted(
        python=str(python),
        prefix=prefix,
        site_dirs=tuple(map(str, folders)),
        packages=tuple(_packages_in(folders)),
        differences=(),
    )


def _with_paths(folders: Iterable[Path]) -> Iterator[Path]:
    """Yield the folders that are there, and those of the kind that the plain lines of their ``.pth`` files add."""
    seen: set[Path] = set()
    for folder in folders:
        added = [folder / line for pth in sorted(folder.glob("*.pth")) for line in _plain_lines(pth)]
        for path in (folder, *added):
            if path.name in _NAMES and path not in seen and path.is_dir():
                seen.add(path)
                yield path


def _plain_lines(pth: Path) -> Iterator[str]:
    try:
        lines = pth.read_text("utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.strip()
        if words and not line.startswith(("#", "import ", "import\t")) and "\0" not in words:
            yield words


def _packages_in(folders: Iterable[Path]) -> Iterator[AdoptedPackage]:
    """Yield the distributions of folders by name; of one that is there twice, the one that imports."""
    from importlib.metadata import distributions  # noqa: PLC0415 - few have adopted anything

    from stemsep_envs.environments.consistency import text_of  # noqa: PLC0415

    found: dict[str, AdoptedPackage] = {}
    for item in distributions(path=[str(folder) for folder in folders]):
        said = dict(line.partition(": ")[::2] for line in _head(text_of(item, "METADATA", "PKG-INFO")))
        name, version = said.get("Name", "").strip(), said.get("Version", "").strip()
        if name and version:  # what names itself badly, no requirement asks for
            digest = digest_of_bytes(text_of(item, "RECORD", "METADATA", "PKG-INFO").encode("utf-8", "replace"))
            package = AdoptedPackage(name=canonicalize_name(name), version=version, record_sha256=digest)
            found.setdefault(package.name, package)
    yield from (found[name] for name in sorted(found))


def _head(text: str) -> list[str]:
    return text.partition("\n\n")[0].splitlines()


def changes_since(adopted: Adopted) -> tuple[str, ...]:
    """Say in words what is not as it was when an interpreter was adopted, as far as its receipt states it."""
    try:
        now = probe(Path(adopted.python))
    except StemsepEnvError as error:
        return (error.message,)
    then = {package.name: package for package in adopted.packages}
    here = {package.name: package for package in now.packages}
    words = [f"{name} {then[name].version} is gone" for name in sorted(then.keys() - here.keys())]
    words += [f"{name} {here[name].version} is new" for name in sorted(here.keys() - then.keys())]
    for name in sorted(then.keys() & here.keys()):
        if then[name].version != here[name].version:
            words.append(f"{name} is {here[name].version} and was {then[name].version}")
        elif then[name] != here[name]:
            words.append(f"{name} {then[name].version} was installed anew, with other files")
    return tuple(words)


def find_adopted(
    inputs: LockInputs, engine_digest: str | None, home: Home
) -> tuple[Receipt | None, tuple[Reason, ...]]:
    """Return the receipt of what was adopted for a question, or why that can no longer be used.

    Both are empty when nothing is adopted. What is not as it was adopted is refused: nothing else is taken in its
    place silently.
    """
    try:
        digest = note_path(inputs, home).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None, ()
    folder = environment_store.environment_dir(home, digest)
    if not digest or not folder.is_dir():
        return None, ()  # it was removed
    problem = environment_store.problem_with(home, digest)
    try:
        receipt = environment_store.read_any_receipt(home, digest)
    except StemsepEnvError as error:
        return None, (_changed("it", digest, error.message),)
    if receipt.adopted is None:
        return None, ()
    if problem is None and receipt.inputs.engine != engine_digest:
        problem = "it was checked with another engine"
    if problem is None and _touched_since(receipt.adopted, folder / environment_store.RECEIPT):
        problem = "; ".join(changes_since(receipt.adopted)) or None
    if problem is not None:
        return None, (_changed(receipt.adopted.python, digest, problem),)
    return receipt, ()


def _changed(what: str, digest: str, problem: str) -> Reason:
    return Reason(
        "adopted_changed",
        f"{what} was adopted and is not what it was: {problem}",
        hint=f"adopt it again, or `stemsep-env env remove {digest[:12]}` to have an environment built instead",
    )


def notes_dir(home: Home) -> Path:
    """Return the folder of notes that say what was adopted for which question."""
    return home.root / "adopted"


def note_path(inputs: LockInputs, home: Home) -> Path:
    """Return the note of a question."""
    return notes_dir(home) / inputs.digest


def _touched_since(adopted: Adopted, receipt: Path) -> bool:
    """Say whether a distribution may have come or gone since: then its folder's time of change is later."""
    try:
        written = receipt.stat().st_mtime_ns
        return any(Path(folder).stat().st_mtime_ns > written for folder in adopted.site_dirs)
    except OSError:
        return True
