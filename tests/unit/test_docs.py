"""What the documentation points at is there, and its index is whole: links, headings, files, records, runtimes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from stemsep_envs.registry.recipes import known_runtimes

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("docs", "runtimes", "registry", "images", "findings", "schemas")
DOCS = ROOT / "docs"
KINDS = ("tutorial", "how-to", "reference", "explanation")
PAGES = sorted({*ROOT.glob("*.md"), *(page for folder in FOLDERS for page in (ROOT / folder).rglob("*.md"))})
LINK = re.compile(r"\]\(([^()\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?)\s*$", re.MULTILINE)
FENCED = re.compile(r"^```.*?^```|^(?: {4}|\t).*$", re.MULTILINE | re.DOTALL)
RECORD = re.compile(r"(\d{4})-[a-z0-9]+(?:-[a-z0-9]+)*\.md")
MODULE = re.compile(r"`((?:[a-z0-9_.-]+/)+[a-z0-9_]+\.py)(?:`|: )")
REFERENCE = re.compile(r"docs/[\w/.-]*\w")


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def tells_what_was(page: Path) -> bool:
    return page.name == "CHANGELOG.md" or page.parent == DOCS / "decisions"


def read(page: Path) -> str:
    return page.read_text("utf-8")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as web hosts of repositories make them."""
    headings = HEADING.findall(re.sub(r"^```.*?^```", "", read(page), flags=re.MULTILINE | re.DOTALL))
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in kept}


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the target and the anchor of each link of a page that leads to a file here."""
    for link in LINK.findall(FENCED.sub("", read(page))):
        if not re.match(r"[a-z][a-z0-9+.-]*:", link):
            target, _, anchor = link.partition("#")
            yield unquote(target), anchor


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in links(page):
        other = (page.parent / target).resolve() if target else page
        assert other.exists(), f"{named(page)} links to {target}, which is not there"
        if anchor and other.suffix == ".md":
            assert anchor in anchors(other), f"{named(page)} links to {target}#{anchor}, and there is no such heading"


def test_code_points_at_pages_that_are_there() -> None:
    for folder in ("src", "tests", "runtimes", "registry", "benchmarks", "demo", "scripts"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".toml", ".md"} and path != Path(__file__):
                for reference in REFERENCE.findall(path.read_text("utf-8")):
                    assert list(ROOT.glob(f"{reference}*")), f"{named(path)} names {reference}, which is not there"


@pytest.mark.parametrize("page", [page for page in PAGES if not tells_what_was(page)], ids=named)
def test_modules_that_pages_name_are_there(page: Path) -> None:
    places = (ROOT / "src" / "stemsep_envs", ROOT)
    for name in MODULE.findall(read(page)):
        is_ours = any((place / name.partition("/")[0]).is_dir() for place in places)  # not a file of an engine's
        assert not is_ours or any((place / name).exists() for place in places), f"{named(page)} names {name}"


def test_every_page_is_in_the_index() -> None:
    index = DOCS / "README.md"
    indexed = {(DOCS / target).resolve() for target, _ in links(index) if target}
    pages = {page for page in DOCS.rglob("*.md") if page != index} - set(records())
    assert pages <= indexed, sorted(map(named, pages - indexed))


def test_every_decision_record_is_in_its_index() -> None:
    indexed = {target for target, _ in links(DOCS / "decisions" / "README.md")}
    assert {record.name for record in records()} <= indexed


def test_every_page_is_of_a_kind() -> None:
    assert {path.name for path in DOCS.iterdir() if path.is_dir()} == {*KINDS, "decisions"}
    assert [page.name for page in DOCS.glob("*.md")] == ["README.md"]


def records() -> list[Path]:
    return sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))


def test_decision_records_are_numbered_without_gaps() -> None:
    names = [record.name for record in records()]
    assert [name for name in names if not RECORD.fullmatch(name)] == []
    assert [int(name[:4]) for name in names] == list(range(1, len(names) + 1))


@pytest.mark.parametrize("record", records(), ids=lambda record: str(record.stem))
def test_a_decision_record_begins_with_its_number(record: Path) -> None:
    assert re.match(rf"# {record.name[:4]}: \S", read(record))


@pytest.mark.parametrize(("page", "all_of_them"), [("README.md", False), ("runtimes/README.md", True)])
def test_tables_of_runtimes_name_those_there_are(page: str, all_of_them: bool) -> None:
    rows = set(re.findall(r"^\| (?:\[)?`([a-z0-9-]+)`(?:\][^|]*)? \|", read(ROOT / page), re.MULTILINE))
    runtimes = set(known_runtimes(ROOT / "runtimes"))
    linked = set(re.findall(r"^\| \[`([a-z0-9-]+)`\]\((?:runtimes/)?\1/", read(ROOT / page), re.MULTILINE))
    assert linked
    assert linked <= runtimes
    assert not all_of_them or runtimes <= rows
