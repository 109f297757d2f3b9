"""What is measured of an environment, small or with torch: its build, the disk of a second one, its resolution."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import by_hand
from benchmarks.measure import in_turns, timed
from benchmarks.place import Place
from benchmarks.rows import About, Row, ratio, share


@dataclass(frozen=True)
class Models:
    """Two models of a registry whose environments differ by one small package.

    Attributes:
        first: The one whose environment is built.
        second: The other.
        registry: Where both are.
    """

    first: str
    second: str
    registry: Path

    @property
    def variables(self) -> dict[str, str]:
        """What makes our command know them."""
        return {"STEMSEP_ENV_REGISTRY": str(self.registry)}


def build_row(place: Place, models: Models, name: str, what: str, *, n: int) -> Row:
    """Build the first model's environment, with a warm package cache."""
    place.ensure(models.first, **models.variables)
    build = by_hand.build_of(place)
    env = {**place.env, **models.variables}

    def ours() -> float:
        place.remove_environments()
        return timed([place.tool, "ensure", models.first], env)

    mine, theirs = in_turns([ours, lambda: build.make(place.env)], n=n)
    about = About(
        name,
        what,
        bar=1.15,
        ours_command=f"stemsep-env ensure {models.first}  (environment removed before)",
        reference_command=by_hand.BUILD,
        note=f"link mode {build.link_mode} on both sides",
    )
    return ratio(about, mine, theirs)


def disk_row(place: Place, models: Models, about: About) -> Row:
    """Build both environments, and count what the second takes beyond the first; the second is removed again."""
    place.ensure(models.first, **models.variables)
    first = place.environment()
    place.ensure(models.second, **models.variables)
    receipts = place.home.glob("environments/*/receipt.json")
    (second,) = (receipt.parent for receipt in receipts if receipt.parent != first)
    counted: set[int] = set()
    whole, own = _disk_bytes(first, counted), _disk_bytes(second, counted)
    link_mode = json.loads((second / "receipt.json").read_bytes())["builder"]["link_mode"]
    shutil.rmtree(second)
    note = f"link mode {link_mode}; blocks of files, each inode counted once"
    return share(replace(about, bar=0.05, note=note), own, whole)


def lock_row(place: Place, models: Models, name: str, what: str, *, note: str) -> Row:
    """Resolve what the first model needs, offline: online, the index's answers outweigh everything."""
    place.ensure(models.first, **models.variables)
    env = {**place.env, **models.variables}
    target = place.receipt()["inputs"]["target"]
    asked = ["--target", str(target), "--python", place.environment_python(), "--upgrade", "--offline"]
    ours = [place.tool, "lock", models.first, *asked, "--output", str(place.dir / f"{name}-locks")]
    theirs = by_hand.resolution_of(place)
    for side in (ours, theirs):  # what they need of the index is then in the package cache
        timed([part for part in side if part != "--offline"], env)
    mine, reference = in_turns([lambda: timed(ours, env), lambda: timed(theirs, env)], n=place.rounds(12))
    about = About(
        name,
        what,
        ours_command=f"stemsep-env lock {models.first} {' '.join(asked)} --output DIR",
        reference_command="uv pip compile --offline --generate-hashes IN",
        note=note,
    )
    return ratio(about, mine, reference)


def _disk_bytes(folder: Path, counted: set[int]) -> int:
    """Return the bytes that a folder takes on the disk, without inodes that were counted already."""
    total = 0
    for path in (folder, *folder.rglob("*")):
        info = path.lstat()
        if info.st_ino not in counted:
            counted.add(info.st_ino)
            total += info.st_blocks * 512
    return total
