"""Engines made for real: git repositories served from folders and through mirrors, archives, patches, damage, kills."""

from __future__ import annotations

import hashlib
import io
import os
import random
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from stemsep_envs.documents.engine_source import ArchiveSource, GitSource, PatchStep
from stemsep_envs.environments.engines import engine_store
from stemsep_envs.environments.engines.engine_store import Damage, verify_engine
from stemsep_envs.environments.engines.members import Caps
from stemsep_envs.environments.engines.reuse_or_patch import Engine, engine_digest, engine_reasons, ensure_engine
from stemsep_envs.errors import BlockedError, BuildError, InvalidDocumentError, MismatchError
from stemsep_envs.host import locks
from stemsep_envs.host.paths import Home

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links, modes and kills as POSIX has them")

ADDRESS = "https://example.org/engine"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 12345\n"
SOURCE: Mapping[str, bytes] = {
    "models/net.py": b"from old import Net\n\n\ndef make():\n    return Net()\n",
    "models/two words ü.py": b"x = 1\n",
    "crlf.txt": b"one\r\ntwo\r\nthree\r\n",
    "no newline": b"first\nlast",
    "empty.py": b"",
    "binary.bin": bytes(range(256)),
    ".gitattributes": b"*.txt text eol=lf\n*.py export-ignore filter=evil ident\n",
}

CHILD = """
import sys
from pathlib import Path
from stemsep_envs.documents.engine_source import GitSource, PatchStep
from stemsep_envs.environments.engines.reuse_or_patch import ensure_engine
from stemsep_envs.host.paths import Home
home, repository, commit, patches = sys.argv[1:5]
steps = [PatchStep.model_validate_json(line) for line in patches.splitlines()]
source = GitSource(repository=repository, commit=commit)
say = lambda step, detail: print(step, flush=True)
engine = ensure_engine(source, steps, home=Home(Path(home)), runtime_dir=Path(home), report=say)
print("reused" if engine.reused else "made", engine.digest, flush=True)
"""
"""What another process does: make sure of an engine, saying each step and whether it had to make it."""


class Repository:
    """A git repository of this test, and what one does to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "--quiet", "-b", "main")

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        who = {
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b",
        }
        command = ["git", "-c", "core.autocrlf=false", "-c", "core.safecrlf=false", *arguments]
        done = subprocess.run(
            command, cwd=self.path, env={**os.environ, **who}, input=stdin, capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def blob(self, content: bytes) -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def commit(self, files: Mapping[str, bytes], *, modes: Mapping[str, str] | None = None) -> str:
        """Commit files exactly as given, past all conversions. Modes: 100755, 120000; 160000 for a submodule."""
        self.git("read-tree", "--empty")
        lines = []
        for path, content in files.items():
            mode = (modes or {}).get(path, "100644")
            blob = content.decode() if mode == "160000" else self.blob(content)
            lines.append(f"{mode} {blob}\t{path}\0")
        self.git("update-index", "-z", "--index-info", stdin="".join(lines).encode())
        return self.commit_tree(self.git("write-tree"))

    def commit_tree(self, tree: str) -> str:
        parent = (
            self.git("rev-parse", "--verify", "--quiet", "HEAD")
            if (self.path / ".git/refs/heads/main").exists()
            else ""
        )
        commit = self.git("commit-tree", tree, "-m", "words", *(["-p", parent] if parent else []))
        self.git("update-ref", "refs/heads/main", commit)
        return commit

    @property
    def address(self) -> str:
        return self.path.as_uri()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "über dort" / "engine")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """An empty home, on a path as users have them."""
    return Home(tmp_path / "Müller's home")


Ensure = Callable[..., Engine]


@pytest.fixture
def ensure(home: Home, tmp_path: Path) -> Ensure:
    """Make sure of an engine in the home; the recipe's folder is ``recipe`` beside it."""
    (tmp_path / "recipe").mkdir()

    def call(source: GitSource | ArchiveSource, patches: Sequence[PatchStep] = (), **options: Any) -> Engine:
        options = {"home": home, "runtime_dir": tmp_path / "recipe", **options}
        return ensure_engine(source, patches, **options)

    return call


@pytest.fixture
def configured(monkeypatch: pytest.MonkeyPatch, isolated: Path) -> Callable[..., None]:
    """Write the user's git configuration."""

    def write(*settings: tuple[str, str]) -> None:
        for name, value in settings:
            subprocess.run(["git", "config", "--global", "--add", name, value], check=True)

    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    return write


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def substitute(path: str, base: bytes, find: str, replace: str) -> PatchStep:
    return PatchStep(kind="substitute", path=path, base_sha256=sha256(base), find=find, replace=replace)


NET_PATCH = substitute("models/net.py", SOURCE["models/net.py"], "from old", "from new")


def content_of(engine: Engine) -> dict[str, bytes]:
    return {
        str(path.relative_to(engine.dir)): path.read_bytes()
        for path in engine.dir.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def names_in(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()


def start_child(home: Home, source: GitSource, *patches: PatchStep) -> subprocess.Popen[str]:
    lines = "\n".join(step.model_dump_json(exclude_unset=True) for step in patches)
    arguments = [sys.executable, "-c", CHILD, str(home.root), source.repository, source.commit, lines]
    return subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# Trees of commits.


def test_the_tree_is_the_commits_byte_for_byte(repository: Repository, ensure: Ensure, home: Home) -> None:
    files = {**SOURCE, "run.sh": b"#!/bin/sh\n", "models/link.py": b"net.py"}
    commit = repository.commit(files, modes={"run.sh": "100755", "models/link.py": "120000"})
    repository.commit({"later": b"not wanted"})
    source = GitSource(repository=repository.address, commit=commit, package_dir="models")
    engine = ensure(source)
    assert not engine.reused
    assert content_of(engine) == {path: content for path, content in files.items() if path != "models/link.py"}
    assert (engine.dir / "models/link.py").readlink() == Path("net.py")
    assert (engine.dir / "run.sh").stat().st_mode & 0o777 == 0o555
    assert engine.import_dir == engine.dir / "models"
    assert engine.dir == home.engines_dir / engine_digest(source, ()) / "tree"
    assert verify_engine(home, engine.digest) == Damage()
    assert engine.receipt.files == len(files)
    again = ensure(source)
    assert again.reused
    assert again.receipt == engine.receipt


def test_only_the_commit_is_fetched(repository: Repository, ensure: Ensure, home: Home) -> None:
    for number in range(3):
        commit = repository.commit({**SOURCE, "number": str(number).encode()})
    ensure(GitSource(repository=repository.address, commit=commit))
    cached = home.cache_dir / "engines" / f"{commit}.git"
    listed = subprocess.check_output(["git", "--git-dir", cached, "rev-list", "--all"], text=True)
    assert listed.split() == [commit]


def test_a_mirror_is_reached_through_gits_configuration(
    repository: Repository, ensure: Ensure, configured: Callable[..., None]
) -> None:
    commit = repository.commit(SOURCE)
    configured((f"url.{repository.address}.insteadOf", ADDRESS))
    engine = ensure(GitSource(repository=ADDRESS, commit=commit))
    assert engine.receipt.origin == ADDRESS
    direct = engine_digest(GitSource(repository=repository.address, commit=commit), ())
    assert engine.digest == direct


def test_a_local_mirror_serves_offline_too(
    repository: Repository, ensure: Ensure, configured: Callable[..., None]
) -> None:
    commit = repository.commit(SOURCE)
    configured((f"url.{repository.address}.insteadOf", ADDRESS))
    assert not ensure(GitSource(repository=ADDRESS, commit=commit), offline=True).reused


def test_variants_of_a_commit_stand_side_by_side_and_fetch_once(
    repository: Repository, ensure: Ensure, home: Home
) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit(SOURCE))
    stock = ensure(source)
    shutil.rmtree(repository.path)
    patched = ensure(source, [NET_PATCH], offline=True)
    assert patched.digest != stock.digest
    assert (stock.dir / "models/net.py").read_bytes() == SOURCE["models/net.py"]
    assert (patched.dir / "models/net.py").read_bytes() == SOURCE["models/net.py"].replace(b"old", b"new")
    for engine in (stock, patched):
        assert verify_engine(home, engine.digest) == Damage()
    assert {one.digest for one in engine_store.list_engines(home)} == {stock.digest, patched.digest}


def test_nothing_of_git_that_runs_commands_does(
    repository: Repository, ensure: Ensure, configured: Callable[..., None], tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    hooks = tmp_path / "hooks"
    for folder in (hooks, tmp_path / "template/hooks", repository.path / ".git/hooks"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("reference-transaction", "post-checkout", "post-merge", "pre-auto-gc", "post-index-change"):
            (folder / name).write_text(f"#!/bin/sh\ntouch '{marker}'\n")
            (folder / name).chmod(0o755)
    commit = repository.commit(SOURCE)
    marker.unlink(missing_ok=True)
    configured(
        ("core.hooksPath", str(hooks)),
        ("init.templateDir", str(tmp_path / "template")),
        ("filter.evil.smudge", f"touch '{marker}'"),
        ("filter.evil.process", f"touch '{marker}'"),
        ("core.fsmonitor", f"touch '{marker}'"),
        ("core.autocrlf", "true"),
        ("protocol.allow", "always"),
        (f"url.ext::sh -c touch%20{marker}%20.insteadOf", "https://evil.example/"),
    )
    engine = ensure(GitSource(repository=repository.address, commit=commit))
    assert content_of(engine) == SOURCE
    with pytest.raises(BuildError, match="not allowed"):
        ensure(GitSource(repository="https://evil.example/x", commit="d" * 40))
    assert not marker.exists()


def test_variables_that_lead_git_elsewhere_are_not_passed(
    repository: Repository, ensure: Ensure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = repository.commit(SOURCE)
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_INDEX_FILE", "GIT_TEMPLATE_DIR"):
        monkeypatch.setenv(name, str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_DEFAULT_HASH", "sha256")
    assert content_of(ensure(GitSource(repository=repository.address, commit=commit))) == SOURCE


# What no engine may hold.


def test_everything_that_is_refused_is_listed(repository: Repository, ensure: Ensure, home: Home) -> None:
    files = {
        "fine.py": b"",
        "out": b"../../etc/passwd",
        "absolute": b"/etc/passwd",
        "through": b"up/../../x",
        "up": b"..",
        "vendor/lib": b"1" * 40,
        "weights.ckpt": POINTER,
        "Models/a.py": b"",
        "models/a.py": b"",
        "back\\slash": b"",
        "stream:x": b"",
    }
    links = dict.fromkeys(("out", "absolute", "through", "up"), "120000")
    source = GitSource(
        repository=repository.address, commit=repository.commit(files, modes={**links, "vendor/lib": "160000"})
    )
    with pytest.raises(BuildError) as caught:
        ensure(source)
    message = caught.value.message
    for path in ("out", "absolute", "up", "vendor/lib", "weights.ckpt", "models/a.py", "back", "stream:x", "through"):
        assert f"\n  {path}" in message
    assert "fine.py" not in message
    assert caught.value.code == "engine_refused"
    assert names_in(home.engines_dir) == set()


@pytest.mark.parametrize("name", [b".git", b"..", b".GIT", b".", b"git~1", ".g\u200cit".encode(), b"\xff"])
def test_trees_that_git_itself_would_not_make(repository: Repository, ensure: Ensure, home: Home, name: bytes) -> None:
    blob = bytes.fromhex(repository.blob(b"evil"))
    inner = repository.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=b"100644 config\0" + blob)
    tree = b"40000 " + name + b"\0" + bytes.fromhex(inner)
    outer = repository.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=tree)
    source = GitSource(repository=repository.address, commit=repository.commit_tree(outer))
    with pytest.raises(BuildError):
        ensure(source)
    assert names_in(home.engines_dir) == set()


def test_a_pointer_that_a_patch_replaces_is_fine(repository: Repository, ensure: Ensure, tmp_path: Path) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit({"a": b"", "weights": POINTER}))
    fields: dict[str, Any] = {"kind": "replace", "path": "weights", "base_sha256": sha256(POINTER)}
    step = PatchStep(**fields, source="artifact:weights", source_sha256=sha256(b"real"))
    (tmp_path / "blob").write_bytes(b"real")
    engine = ensure(source, [step], artifacts={"weights": tmp_path / "blob"})
    assert (engine.dir / "weights").read_bytes() == b"real"


def test_a_tree_that_is_too_large_is_refused(repository: Repository, ensure: Ensure, home: Home) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit({"a": bytes(600), "b": bytes(601)}))
    for caps in (Caps(files=1), Caps(file_bytes=600), Caps(bytes=1000)):
        with pytest.raises(BuildError, match="larger than an engine may be"):
            ensure(source, caps=caps)
    assert names_in(home.engines_dir) == set()


# What is not available.


def test_a_commit_that_is_not_there(repository: Repository, ensure: Ensure, home: Home) -> None:
    repository.commit(SOURCE)
    with pytest.raises(BuildError, match="fetching commit") as caught:
        ensure(GitSource(repository=repository.address, commit="d" * 40))
    assert "does not have this commit" in (caught.value.hint or "")
    assert "repeated.git fetch" in (caught.value.command or "")
    assert names_in(home.cache_dir / "engines") == set()


def test_a_repository_that_is_not_there(ensure: Ensure, tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        ensure(GitSource(repository=(tmp_path / "nowhere").as_uri(), commit="d" * 40))
    assert caught.value.code == "fetch_failed"
    assert caught.value.output


def test_offline_everything_that_is_missing_is_told_at_once(ensure: Ensure, home: Home, tmp_path: Path) -> None:
    source = GitSource(repository=ADDRESS, commit="d" * 40)
    fields: dict[str, Any] = {"kind": "add", "source_sha256": "1" * 64}
    steps = [
        PatchStep(**fields, path="a", source="patches/a.py"),
        PatchStep(**fields, path="b", source="artifact:code"),
    ]
    with pytest.raises(BlockedError) as caught:
        ensure(source, steps, offline=True)
    codes = [reason.code for reason in caught.value.reasons]
    assert codes == ["engine_file_missing", "engine_file_missing", "offline"]
    options: dict[str, Any] = {"home": home, "runtime_dir": tmp_path, "artifacts": {}}
    assert engine_reasons(source, steps, offline=True, **options) == caught.value.reasons
    assert [reason.code for reason in engine_reasons(source, (), offline=False, **options)] == []
    assert not home.root.exists()


def test_without_git_only_what_is_there_can_be_used(
    repository: Repository, ensure: Ensure, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit(SOURCE))
    ensure(source)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert ensure(source).reused
    with pytest.raises(BlockedError) as caught:
        ensure(source, [NET_PATCH])
    assert [reason.code for reason in caught.value.reasons] == ["git_missing"]


def test_a_folder_to_import_from_that_is_not_there(repository: Repository, ensure: Ensure) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit(SOURCE), package_dir="src")
    with pytest.raises(InvalidDocumentError) as caught:
        ensure(source)
    assert [problem.path for problem in caught.value.problems] == ["engine.package_dir"]


# The cache.


def test_a_damaged_cache_is_fetched_anew(repository: Repository, ensure: Ensure, home: Home) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit(SOURCE))
    ensure(source)
    cached = home.cache_dir / "engines" / f"{source.commit}.git"
    damages: list[Callable[[Path], object]] = [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:40]),
        lambda path: path.write_bytes(path.read_bytes()[:-40] + bytes(40)),
        Path.unlink,
    ]
    for damage in damages:
        for path in (cached / "objects").rglob("*"):
            if path.is_file():
                path.chmod(0o644)
                damage(path)
        with locks.hold(engine_store.hold_path(home, engine_digest(source, ()))):
            engine_store.remove(home, engine_digest(source, ()))
        assert content_of(ensure(source)) == SOURCE


def test_a_cache_that_lies_is_not_believed(repository: Repository, ensure: Ensure, home: Home) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit(SOURCE))
    ensure(source)
    cached = home.cache_dir / "engines" / f"{source.commit}.git"
    other = Repository(home.root / "other")
    evil = other.commit({**SOURCE, "models/net.py": b"evil"})
    shutil.rmtree(cached)
    subprocess.run(["git", "clone", "-q", "--bare", other.address, cached], check=True)
    # The commit's name leads to another commit: the kind of lie that a replacement, or a file put in its place, tells.
    loose = cached / "objects" / source.commit[:2] / source.commit[2:]
    loose.parent.mkdir(exist_ok=True)
    shutil.copy(other.path / ".git/objects" / evil[:2] / evil[2:], loose)
    patched = ensure(source, [NET_PATCH])
    assert (patched.dir / "models/net.py").read_bytes() == SOURCE["models/net.py"].replace(b"old", b"new")


# Patches.


def test_a_diff_that_git_made_gives_what_git_would_give(repository: Repository, ensure: Ensure, tmp_path: Path) -> None:
    changed = {
        "models/net.py": SOURCE["models/net.py"].replace(b"return", b"yield"),
        "models/two words ü.py": b"x = 2\n",
        "crlf.txt": b"one\r\nTWO\r\nthree\r\n",
        "no newline": b"first\nlast line\n",
        "empty.py": b"filled\n",
    }
    before = repository.commit(SOURCE)
    after = repository.commit({**SOURCE, **changed})
    steps = []
    for number, path in enumerate(changed):
        name = f"{number}.diff"
        diff = subprocess.check_output(["git", "diff", before, after, "--", path], cwd=repository.path)
        (tmp_path / "recipe" / name).write_bytes(diff)
        fields: dict[str, Any] = {"kind": "diff", "path": path, "base_sha256": sha256(SOURCE[path])}
        steps.append(PatchStep(**fields, source=name, source_sha256=sha256(diff)))
    engine = ensure(GitSource(repository=repository.address, commit=before), steps)
    assert content_of(engine) == content_of(ensure(GitSource(repository=repository.address, commit=after)))


def test_drift_makes_nothing(repository: Repository, ensure: Ensure, home: Home) -> None:
    other = {**SOURCE, "models/net.py": b"# new upstream\n" + SOURCE["models/net.py"]}
    source = GitSource(repository=repository.address, commit=repository.commit(other))
    with pytest.raises(MismatchError) as caught:
        ensure(source, [NET_PATCH], title="msst with hyperace")
    message = caught.value.message
    assert sha256(SOURCE["models/net.py"]) in message
    assert sha256(other["models/net.py"]) in message
    assert "msst with hyperace" in message
    assert names_in(home.engines_dir) == set()


def test_other_files_than_the_recipes_are_refused_unfetched(ensure: Ensure, tmp_path: Path, home: Home) -> None:
    (tmp_path / "recipe" / "a").write_bytes(b"other")
    fields: dict[str, Any] = {"kind": "add", "source": "a"}
    steps = [PatchStep(**fields, path=path, source_sha256="1" * 64) for path in ("x", "y")]
    with pytest.raises(MismatchError) as caught:
        ensure(GitSource(repository=ADDRESS, commit="d" * 40), steps)
    assert caught.value.message.count(sha256(b"other")) == 2
    assert names_in(home.cache_dir / "engines") == set()


# Archives.


def make_tar(path: Path, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> ArchiveSource:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(f"engine-1/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(f"engine-1/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return ArchiveSource(archive=path.name, sha256=sha256(path.read_bytes()), root="engine-1")


def test_an_archive_from_every_place(ensure: Ensure, tmp_path: Path, home: Home) -> None:
    beside = make_tar(tmp_path / "recipe" / "e.tar.gz", SOURCE)
    engine = ensure(beside, [NET_PATCH], offline=True)
    assert content_of(engine)["binary.bin"] == SOURCE["binary.bin"]
    assert verify_engine(home, engine.digest) == Damage()
    blob = (tmp_path / "recipe" / "e.tar.gz").rename(tmp_path / "blob")
    for name, key in (("artifact:engine", "engine"), ("https://h/e.tar.gz", "https://h/e.tar.gz")):
        source = beside.model_copy(update={"archive": name})
        assert ensure(source, artifacts={key: blob}).digest == engine_digest(beside, ())
        with pytest.raises(BlockedError):
            ensure(source, [substitute("empty.py", b"x", "a", "b")])


def test_another_archive_is_a_mismatch(ensure: Ensure, tmp_path: Path, home: Home) -> None:
    source = make_tar(tmp_path / "recipe" / "e.tar.gz", SOURCE)
    (tmp_path / "recipe" / "e.tar.gz").write_bytes(b"other")
    with pytest.raises(MismatchError, match=source.sha256):
        ensure(source)
    assert names_in(home.engines_dir) == set()


def test_an_archive_that_reaches_out_is_refused(ensure: Ensure, tmp_path: Path, home: Home) -> None:
    links = {"etc": "/etc", "up": "..", "twice": "in/../../..", "in": "folder"}
    files = {"etc/passwd": b"evil", "folder/x": b"", "Folder/y": b""}
    with pytest.raises(BuildError) as caught:
        ensure(make_tar(tmp_path / "recipe" / "e.tar.gz", files, links))
    for path in ("etc", "up", "twice", "Folder/y"):
        assert f"\n  {path}: " in caught.value.message
    assert names_in(home.engines_dir) == set()
    assert not (tmp_path / "passwd").exists()


# Damage.


def writable(path: Path) -> Path:
    path.chmod(path.stat().st_mode | 0o200)
    return path


def test_verify_finds_what_was_done(repository: Repository, ensure: Ensure, home: Home) -> None:
    modes = {"run": "100755", "link": "120000", "link2": "120000"}
    files = {**SOURCE, "run": b"", "link": b"run", "link2": b"run"}
    source = GitSource(repository=repository.address, commit=repository.commit(files, modes=modes))
    tree = ensure(source).dir
    for folder in (tree, tree / "models"):
        writable(folder)
    writable(tree / "models/net.py").write_bytes(SOURCE["models/net.py"].replace(b"old", b"odd"))
    (tree / "binary.bin").unlink()
    (tree / "empty.py").unlink()
    (tree / "empty.py").symlink_to("/etc/passwd")
    (tree / "link").unlink()
    (tree / "link").symlink_to("../../other")
    (tree / "link2").unlink()
    (tree / "link2").write_bytes(b"run")
    (tree / "run").chmod(0o444)
    (tree / "models/__pycache__").mkdir()
    (tree / "models/__pycache__/net.cpython-311.pyc").write_bytes(b"")
    (tree / "evil.pth").write_bytes(b"import evil")
    (tree / "namespace").mkdir()
    assert verify_engine(home, ensure(source).digest) == Damage(
        changed=("empty.py", "link", "link2", "models/net.py", "run"),
        missing=("binary.bin",),
        extra=("evil.pth", "models/__pycache__", "namespace"),
    )


@pytest.mark.parametrize("name", ["engine.json", "files.json", "tree"])
def test_verify_says_when_it_cannot_compare(repository: Repository, ensure: Ensure, home: Home, name: str) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit(SOURCE))
    engine = ensure(source)
    target = engine.dir.parent / name
    if target.is_dir():
        target.rename(target.with_name("elsewhere"))
    else:
        target.write_bytes(target.read_bytes().replace(b'"files":', b'"filez":'))
    damage = verify_engine(home, engine.digest)
    assert damage.found
    assert damage.problem


def test_an_engine_without_its_receipt_is_made_anew(repository: Repository, ensure: Ensure, home: Home) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit(SOURCE))
    engine = ensure(source)
    (engine.dir.parent / "engine.json").unlink()
    assert [one.problem for one in engine_store.list_engines(home)] == ["there is no receipt"]
    again = ensure(source)
    assert not again.reused
    assert verify_engine(home, engine.digest) == Damage()


def test_removing_takes_it_all_away(repository: Repository, ensure: Ensure, home: Home) -> None:
    engine = ensure(GitSource(repository=repository.address, commit=repository.commit(SOURCE)))
    with locks.hold(engine_store.hold_path(home, engine.digest)):
        engine_store.remove(home, engine.digest)
    assert names_in(home.engines_dir) == set()


def test_a_home_can_be_moved(repository: Repository, ensure: Ensure, home: Home, tmp_path: Path) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit(SOURCE))
    digest = ensure(source).digest
    moved = Home(home.root.rename(tmp_path / "moved"))
    assert ensure(source, home=moved).reused
    assert verify_engine(moved, digest) == Damage()


def test_nobody_can_write_into_a_tree(repository: Repository, ensure: Ensure) -> None:
    engine = ensure(GitSource(repository=repository.address, commit=repository.commit(SOURCE)), [NET_PATCH])
    for path in (engine.dir, *engine.dir.rglob("*")):
        assert path.stat().st_mode & 0o222 == 0
        assert path.stat().st_mode & 0o444 == 0o444
    # From inside the tree, as a user who owns nothing: what a worker that became one can do.
    attempts = """
import os, sys
os.chdir(sys.argv[1])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
for attempt in (
    lambda: open("models/net.py", "ab"),
    lambda: open("new.py", "wb"),
    lambda: os.mkdir("models/__pycache__"),
    lambda: os.unlink("models/net.py"),
    lambda: os.rename("models", "other"),
):
    try:
        attempt()
    except PermissionError:
        continue
    sys.exit("it was possible")
"""
    subprocess.run([sys.executable, "-c", attempts, str(engine.dir)], check=True)


# Many at once, and kills.


def test_of_many_at_once_one_makes_it(repository: Repository, home: Home) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit(SOURCE))
    children = [start_child(home, source, NET_PATCH) for _ in range(8)]
    said = [child.communicate()[0].splitlines() for child in children]
    assert [child.returncode for child in children] == [0] * 8
    assert sorted(lines[-1].split()[0] for lines in said) == ["made", *["reused"] * 7]
    assert names_in(home.engines_dir) == {engine_digest(source, [NET_PATCH])}
    assert verify_engine(home, engine_digest(source, [NET_PATCH])) == Damage()


def test_two_variants_at_once_fetch_once(repository: Repository, home: Home) -> None:
    source = GitSource(repository=repository.address, commit=repository.commit(SOURCE))
    children = [start_child(home, source), start_child(home, source, NET_PATCH)]
    said = [child.communicate()[0].splitlines() for child in children]
    assert [lines[-1].split()[0] for lines in said] == ["made", "made"]
    assert sum(lines.count("fetch") for lines in said) == 1
    assert {one.problem for one in engine_store.list_engines(home)} == {None}


def test_killed_at_any_point_nothing_is_taken_for_whole(repository: Repository, ensure: Ensure, home: Home) -> None:
    files = {**SOURCE, **{f"models/{number}.py": bytes(2000) for number in range(300)}}
    source = GitSource(repository=repository.address, commit=repository.commit(files))
    digest = engine_digest(source, [NET_PATCH])
    began = time.monotonic()
    whole = start_child(Home(home.root.with_name("another")), source, NET_PATCH)
    whole.communicate()
    usual_seconds = time.monotonic() - began
    chance = random.Random(3)
    for _ in range(25):
        child = start_child(home, source, NET_PATCH)
        time.sleep(chance.uniform(0.1, 1.1) * usual_seconds)
        child.send_signal(signal.SIGKILL)
        child.communicate()
        if engine_store.problem_with(home, digest) is None:
            assert verify_engine(home, digest) == Damage()
            with locks.hold(engine_store.hold_path(home, digest)):
                engine_store.remove(home, digest)
        if chance.random() < 0.3:
            shutil.rmtree(home.cache_dir, ignore_errors=True)
    engine = ensure(source, [NET_PATCH])
    assert verify_engine(home, digest) == Damage()
    assert content_of(engine) == {**files, "models/net.py": SOURCE["models/net.py"].replace(b"old", b"new")}
    assert names_in(home.engines_dir) == {digest}
    assert names_in(home.cache_dir / "engines") == {f"{source.commit}.git"}
