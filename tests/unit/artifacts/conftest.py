"""A file server, a home, and files to want of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from tests.programs.file_server import FileServer, running

from stemsep_envs.artifacts.fetching import Fetched, fetch_all
from stemsep_envs.artifacts.model_files import ToFetch, Wanted
from stemsep_envs.documents.addresses import parse_address
from stemsep_envs.host.paths import Home
from stemsep_envs.host.transfers import Patience, Transfer

BRISK = Patience(stall_seconds=60, attempts=2, pause_seconds=0.01, tell_seconds=0.01, flush_seconds=0.0)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with running() as made:
        yield made


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def want(
    *urls: str, sha256: str | None = None, size: int | None = None, model: str = "m", name: str = "primary"
) -> Wanted:
    addresses = tuple(map(parse_address, urls))
    return Wanted(model, name, "checkpoint", f"{model}.ckpt", sha256, size, addresses)


Fetch = Callable[..., tuple[Fetched, ...]]


@pytest.fixture
def fetch(home: Home) -> Fetch:
    def make(
        *wanted: Wanted,
        on_progress: Callable[[Sequence[Transfer]], None] = lambda _: None,
        patience: Patience = BRISK,
    ) -> tuple[Fetched, ...]:
        files = [ToFetch(each, each.addresses) for each in wanted]
        return fetch_all(home, files, patience=patience, on_progress=on_progress)

    return make
