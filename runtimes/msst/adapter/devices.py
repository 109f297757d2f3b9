"""Where the model can run, and in which arithmetic."""

from __future__ import annotations

import contextlib
from typing import Any, List, Optional

import torch

PRECISIONS = ("engine", "float32", "bfloat16", "float16")
_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


def available() -> List[str]:
    """Devices that torch finds here."""
    found = ["cpu"]
    # ROCm's devices are called cuda by torch too.
    found += [f"cuda:{index}" for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0)]
    if torch.backends.mps.is_available():
        found.append("mps")
    if hasattr(torch, "xpu") and torch.xpu.is_available():
        found += [f"xpu:{index}" for index in range(torch.xpu.device_count())]
        found.append("xpu")
    return found


def arithmetic(device: str, precision: str, use_amp: bool) -> Optional[str]:
    """The type that matrix products are computed in: None for float32.

    The engine's way ("engine") is float16 on CUDA unless the config's `training.use_amp` is false, else float32.
    """
    if precision == "engine":
        return "float16" if use_amp and device.startswith("cuda") else None
    return None if precision == "float32" else precision


def autocast(device: str, kind: Optional[str]) -> Any:
    """The context to run the model in."""
    if kind is None:
        return contextlib.nullcontext()
    return torch.autocast(device.partition(":")[0], dtype=_TYPES[kind])


def release(device: str) -> None:
    """Give cached memory back after a failure, so that a smaller attempt finds it free."""
    if device.startswith("cuda"):
        torch.cuda.empty_cache()
    elif device.startswith("xpu"):
        torch.xpu.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch failed for want of memory; on CPU and MPS it says so in words alone."""
    words = str(error)
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in words or "out of memory" in words


def in_short(error: BaseException) -> str:
    """The first line of what torch says of it."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:500]
