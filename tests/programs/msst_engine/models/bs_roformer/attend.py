"""Stands in for the attention that roformers share."""

from __future__ import annotations

from typing import Any

from torch import nn


class Attend(nn.Module):
    def forward(self, x: Any) -> Any:
        return x.tanh()
