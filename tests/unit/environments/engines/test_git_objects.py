"""Trees are read only from objects that are what they were asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from stemsep_envs.environments.engines.git_objects import DamagedError, TooLargeError, TreeEntry, object_id, tree_of


class Objects(dict[str, bytes]):
    """A made-up store; objects by their right names."""

    def put(self, kind: str, content: bytes) -> str:
        name = object_id(kind, content)
        self[name] = content
        return name

    def tree(self, *entries: tuple[bytes, bytes, str]) -> str:
        return self.put("tree", b"".join(mode + b" " + name + b"\0" + bytes.fromhex(to) for mode, name, to in entries))

    def commit(self, tree: str) -> str:
        return self.put("commit", b"tree " + tree.encode() + b"\nauthor a <a@b> 0 +0000\n\nwords\n")

    def read(self, _: str, names: Sequence[str]) -> Mapping[str, bytes]:
        return {name: self[name] for name in names}


def test_the_names_are_gits() -> None:
    assert object_id("blob", b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert object_id("tree", b"") == "4b825dc642cb6eb9a060e54bf8d69288fbee4904"


def test_a_tree_with_everything() -> None:
    objects = Objects()
    blob = objects.put("blob", b"x")
    inner = objects.tree((b"100755", b"run", blob), (b"120000", b"link", blob))
    top = objects.tree(
        (b"100644", b"a", blob), (b"40000", b"b", inner), (b"040000", b"c", inner), (b"160000", b"s", blob)
    )
    assert tree_of(objects.commit(top), objects.read, max_entries=100) == (
        TreeEntry("a", "file", executable=False, blob=blob),
        TreeEntry("b/link", "link", executable=False, blob=blob),
        TreeEntry("b/run", "file", executable=True, blob=blob),
        TreeEntry("c/link", "link", executable=False, blob=blob),
        TreeEntry("c/run", "file", executable=True, blob=blob),
        TreeEntry("s", "submodule", executable=False, blob=blob),
    )


def test_a_tree_of_trees_without_end_is_cut_off() -> None:
    objects = Objects()
    tree = objects.tree((b"100644", b"f", objects.put("blob", b"")))
    for _ in range(30):
        tree = objects.tree(*((b"40000", bytes([97 + index]), tree) for index in range(10)))
    with pytest.raises(TooLargeError, match="1000"):
        tree_of(objects.commit(tree), objects.read, max_entries=1000)


def test_a_tree_that_is_too_deep_is_cut_off() -> None:
    objects = Objects()
    tree = objects.tree((b"100644", b"f", objects.put("blob", b"")))
    for _ in range(200):
        tree = objects.tree((b"40000", b"d", tree))
    with pytest.raises(TooLargeError, match="deep"):
        tree_of(objects.commit(tree), objects.read, max_entries=100_000)


@pytest.mark.parametrize(
    "content", [b"garbage", b"100644 name\0short", b"100644 a/b\0" + b"0" * 20, b"xx a\0" + b"0" * 20]
)
def test_malformed_trees(content: bytes) -> None:
    objects = Objects()
    with pytest.raises(DamagedError):
        tree_of(objects.commit(objects.put("tree", content)), objects.read, max_entries=10)


def test_a_commit_without_a_tree() -> None:
    objects = Objects()
    with pytest.raises(DamagedError):
        tree_of(objects.put("commit", b"author nobody\n"), objects.read, max_entries=10)
