"""Which level a worker gets: the strongest available, never silently less than needed."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from stemsep_envs.sandbox import levels
from stemsep_envs.sandbox.level_table import LEVELS
from stemsep_envs.sandbox.levels import candidates, choose, level_named, levels_here, measured, with_gpu
from stemsep_envs.sandbox.policy import AXES, LevelName, Measurement

PROMISES = {row.name: row.promises for row in LEVELS}
HERE = {name: Measurement(available=True, axes=PROMISES[name], reason="probed") for name in PROMISES}
FAILED = Measurement.unavailable("bubblewrap is not installed", "install it")


def without(*names: LevelName) -> dict[LevelName, Measurement]:
    return {
        name: FAILED if name in names else found
        for name, found in HERE.items()
        if name not in {"container", "seatbelt"}
    }


def test_the_strongest_is_used_even_where_less_would_do() -> None:
    assert choose("hygiene", None, None, without()).level == "namespaces"
    assert choose("hygiene", None, None, without("namespaces")).level == "landlock"
    assert choose("hygiene", None, None, without("namespaces", "landlock")).level == "hygiene"


def test_weaker_level_is_refused_with_probes_and_remedies() -> None:
    choice = choose("landlock", None, None, without("namespaces", "landlock"))
    assert choice.level is None
    assert [(reason.code, reason.hint) for reason in choice.reasons] == [
        ("sandbox_namespaces", "install it"),
        ("sandbox_landlock", "install it"),
    ]


def test_a_request_raises_what_is_needed() -> None:
    assert choose("hygiene", "namespaces", None, without("namespaces")).level is None
    assert choose("landlock", "hygiene", None, without("namespaces")).needed == "landlock"


def test_lower_level_only_when_accepted_and_needed() -> None:
    lowered = choose("landlock", None, "hygiene", without("namespaces", "landlock"))
    assert (lowered.level, lowered.lowered_by_flag) == ("hygiene", True)
    not_lowered = choose("landlock", None, "hygiene", without())
    assert (not_lowered.level, not_lowered.lowered_by_flag) == ("namespaces", False)


def test_accepting_a_higher_level_lowers_nothing() -> None:
    assert choose("landlock", None, "namespaces", without("namespaces", "landlock")).level is None


@pytest.mark.parametrize("name", ["namespaces", "landlock"])
def test_a_level_that_does_not_hold_what_it_promises_is_not_one(name: LevelName) -> None:
    for axis in AXES:
        if PROMISES[name][axis] == "open":
            continue
        broken = Measurement(available=True, axes={**PROMISES[name], axis: "open"}, reason="seen from outside")
        choice = choose(name, name, None, {name: broken})
        assert choice.level is None
        assert axis in choice.reasons[0].message


def test_a_platform_without_levels_refuses() -> None:
    choice = choose("landlock", None, None, {})
    assert choice.level is None
    assert choice.reasons


def test_a_level_of_another_platform_is_refused() -> None:
    choice = choose("landlock", "seatbelt", None, {})
    assert (choice.level, [reason.code for reason in choice.reasons]) == (None, ["sandbox_seatbelt"])
    assert choice.reasons[0].message.startswith("this platform has no level seatbelt")
    assert choice.reasons[0].hint == "leave --sandbox out, or name a level of this platform"


@pytest.mark.skipif(sys.platform != "linux", reason="on Linux there is no seatbelt")
def test_a_level_that_is_not_here_cannot_be_made() -> None:
    with pytest.raises(KeyError, match="linux has no level seatbelt"):
        level_named("seatbelt")


def test_each_level_here_goes_by_its_row_s_name() -> None:
    assert [level_named(name).name for name in levels_here()] == list(levels_here())


def test_a_container_is_measured_only_when_asked_for() -> None:
    assert candidates("container")[0] == "container"
    assert "container" not in candidates(None)
    assert candidates(None)[0] == "namespaces"
    assert candidates(None)[-1] == "hygiene"


def test_the_accelerator_lowers_its_axis() -> None:
    assert with_gpu(dict.fromkeys(AXES, "held"))["gpu"] == "limited"
    assert with_gpu(dict.fromkeys(AXES, "open"))["gpu"] == "open"


class Counting:
    """A level that counts how often it is measured."""

    def __init__(self, found: Measurement) -> None:
        self.found = found
        self.count = 0

    def measure(self) -> Measurement:
        self.count += 1
        return self.found


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    level = Counting(HERE["landlock"])
    monkeypatch.setattr(levels, "level_named", lambda _: level)
    return level


def test_a_measurement_is_recalled(counting: Counting, tmp_path: Path) -> None:
    first = measured(("landlock",), tmp_path)
    assert measured(("landlock",), tmp_path) == first
    assert counting.count == 1


def test_what_was_not_to_be_had_is_measured_anew(counting: Counting, tmp_path: Path) -> None:
    counting.found = FAILED
    measured(("landlock",), tmp_path)
    measured(("landlock",), tmp_path)
    assert counting.count == 2


def test_other_circumstances_ask_anew(counting: Counting, tmp_path: Path) -> None:
    measured(("landlock",), tmp_path)
    file = tmp_path / "sandbox.json"
    kept = json.loads(file.read_text())
    kept["measured_on"]["kernel"] = "another"
    file.write_text(json.dumps(kept))
    measured(("landlock",), tmp_path)
    assert counting.count == 2


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"measured_on": 1}', b"\xff", b"null"])
def test_a_damaged_memory_asks_anew(counting: Counting, tmp_path: Path, damage: bytes) -> None:
    measured(("landlock",), tmp_path)
    (tmp_path / "sandbox.json").write_bytes(damage)
    assert measured(("landlock",), tmp_path)["landlock"].available
    assert counting.count == 2


def test_a_forged_state_is_not_recalled(counting: Counting, tmp_path: Path) -> None:
    measured(("landlock",), tmp_path)
    file = tmp_path / "sandbox.json"
    file.write_text(file.read_text().replace('"held"', '"splendid"'))
    measured(("landlock",), tmp_path)
    assert counting.count == 2
