"""What the dependency check of uv means where distributions were left out on purpose."""

from __future__ import annotations

import pytest

from stemsep_envs.environments.health import only_missing

FOUND = """Checked 57 packages in 0.90ms
Found 1 incompatibility
The package `onnx2torch-py313` requires `torchvision>=0.9.0`, but it's not installed
"""


def test_a_distribution_that_was_left_out_may_be_missing() -> None:
    assert only_missing(FOUND, ("torchvision",))
    assert not only_missing(FOUND, ())
    assert not only_missing(FOUND, ("torchaudio",))


@pytest.mark.parametrize(
    "more",
    [
        "The package `a` requires `b>=2`, but it's not installed",
        "The package `a` requires `torchvision>=2`, but `1` is installed",
        "error: Broken virtual environment",
    ],
)
def test_nothing_else_may_be_wrong(more: str) -> None:
    assert not only_missing(f"{FOUND}{more}\n", ("torchvision",))
    assert not only_missing(more, ("torchvision",))
    assert not only_missing("", ("torchvision",))
