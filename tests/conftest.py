"""Every test has a home of its own; one that reaches for the real one ends the run."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import platformdirs
import pytest
from hypothesis import HealthCheck, settings

# How fast examples come depends on what else the machine does; a test must not fail by that.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("default")

# Under nohup it is ignored, by this process and whatever it starts; tests say themselves where it is.
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

CHECKOUT = Path(__file__).resolve().parents[1]
PROGRAMS = CHECKOUT / "tests" / "programs"

# As it was before any test changed the environment.
_REAL_PLACES = tuple(
    str(place)
    for place in (
        platformdirs.user_data_dir("stemsep-env", appauthor=False),
        platformdirs.user_cache_dir("stemsep-env", appauthor=False),
        os.environ.get("STEMSEP_ENV_HOME"),
    )
    if place
)
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGES = {
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.utime",
}


def _refuse_real_home(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse every change, in this process, to where the user's own environments and records are."""
    changed: tuple[object, ...] = ()
    if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITING:
        changed = arguments[:1]
    elif event in _CHANGES:
        changed = arguments[:2]
    for path in changed:
        if isinstance(path, str | bytes | os.PathLike):
            name = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - links are not to be followed
            if name.startswith(_REAL_PLACES):
                pytest.exit(f"a test is about to change the real home: {event} {name}", returncode=3)


sys.addaudithook(_refuse_real_home)


@pytest.fixture(autouse=True)
def isolated(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the `STEMSEP_ENV_HOME` of this test alone; the user's folders are moved beside it."""
    # Started in the background of a shell, we would ignore Ctrl-C, and so would everything that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    user = tmp_path_factory.mktemp("user")
    for name in [name for name in os.environ if name.startswith("STEMSEP_")]:
        monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(user))
    for name, folder in {
        "XDG_DATA_HOME": ".local/share",
        "XDG_STATE_HOME": ".local/state",
        "XDG_CACHE_HOME": ".cache",
        "XDG_CONFIG_HOME": ".config",
        "APPDATA": "AppData/Roaming",
        "LOCALAPPDATA": "AppData/Local",
    }.items():
        monkeypatch.setenv(name, str(user / folder))
    # uv's downloads are shared between tests, and stay in the checkout.
    monkeypatch.setenv("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR", str(CHECKOUT / ".cache" / "uv")))
    root = user / "stemsep-home"
    monkeypatch.setenv("STEMSEP_ENV_HOME", str(root))
    return root
