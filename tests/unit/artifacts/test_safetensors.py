"""What the host says of tensors that are written on the other side of the sandbox."""

from __future__ import annotations

from stemsep_envs.artifacts import safetensors
from stemsep_envs.inside.checkpoints import values


def test_both_sides_know_the_same_torch_types() -> None:
    assert safetensors._TORCH_ITEM_BYTES == values.ITEM_BYTES
