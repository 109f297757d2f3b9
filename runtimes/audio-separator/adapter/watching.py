"""Progress and cancelling, from inside the engine's loops.

The engine shows its loops with `tqdm`; while a track is separated, its name in the engine's modules stands for a
function that reports instead. Between the layers of a model it is looked whether the request was cancelled.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any, Iterable, Iterator, Sequence

from .context import Context


class Watch:
    """How far one track is.

    `shares` says which part of the work each loop is, in the order in which the engine begins them; others are none.
    """

    def __init__(self, shares: Sequence[float], frames: int, context: Context) -> None:
        self._shares = list(shares)
        self._done = 0.0
        self._frames = frames
        self._context = context

    def loop(self, items: Iterable[Any], *_: Any, **__: Any) -> Iterator[Any]:
        """The items, one by one, like `tqdm`."""
        share = self._shares.pop(0) if self._shares else 0.0
        listed = items if hasattr(items, "__len__") else list(items)
        count = max(1, len(listed))  # type: ignore[arg-type]
        before = self._done
        for index, item in enumerate(listed):
            self._context.check_cancelled()
            yield item
            self._done = before + share * (index + 1) / count
            self._context.progress(int(self._done * self._frames), self._frames)
        self._done = before + share


@contextmanager
def watched(modules: Sequence[Any], watch: Watch, context: Context) -> Iterator[None]:
    """While it lasts, the loops in `modules` are watched."""
    from torch.nn.modules.module import register_module_forward_pre_hook

    shown = [module.tqdm for module in modules]
    for module in modules:
        # A module has either the function, or the package of that name with the function in it.
        is_package = hasattr(module.tqdm, "tqdm") and not isinstance(module.tqdm, type)
        module.tqdm = SimpleNamespace(tqdm=watch.loop) if is_package else watch.loop
    handle = register_module_forward_pre_hook(lambda *_: context.check_cancelled())
    try:
        yield
    finally:
        handle.remove()
        for module, own in zip(modules, shown, strict=True):
            module.tqdm = own
