"""Which environments go: by age, by size, by use; never one that lives."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from stemsep_envs.environments.environment_store import Stored
from stemsep_envs.environments.gc import Rules, choose, used_at

NOW = 1_000_000.0


def stored(name: str, *, used: float | None = 0.0, live: int = 0, problem: str | None = None) -> Stored:
    return Stored(name, Path(name), None, problem, used, live)


def chosen(environments: list[Stored], rules: Rules, *, served: Collection[str] = ()) -> list[str]:
    found = choose(environments, rules, now=NOW, served=served, taken_after=lambda left: 10 * len(left))
    return [choice.stored.digest for choice in found]


def test_without_rules_only_what_cannot_be_used_goes() -> None:
    assert chosen([stored("a"), stored("b", problem="gone"), stored("c", problem="gone", live=1)], Rules()) == ["b"]


def test_age() -> None:
    environments = [stored("old", used=NOW - 100), stored("new", used=NOW - 10), stored("never", used=None)]
    assert chosen(environments, Rules(max_age_seconds=50)) == ["never", "old"]
    assert chosen(environments, Rules(max_age_seconds=0)) == ["never", "old", "new"]


def test_a_time_in_the_future_is_now() -> None:
    item = stored("a", used=NOW + 1e9)
    assert used_at(item, NOW) == NOW
    assert chosen([item], Rules(max_age_seconds=1)) == []
    assert chosen([item], Rules(max_age_seconds=0)) == ["a"]


def test_what_is_served_is_used() -> None:
    assert chosen([stored("a"), stored("b")], Rules(unused=True), served=("a",)) == ["b"]


def test_gc_by_size_takes_least_recently_used_and_no_more() -> None:
    environments = [stored("b", used=2), stored("a", used=1), stored("c", used=3)]
    assert chosen(environments, Rules(max_bytes=30)) == []
    assert chosen(environments, Rules(max_bytes=29)) == ["a"]
    assert chosen(environments, Rules(max_bytes=10)) == ["a", "b"]
    assert chosen(environments, Rules(max_bytes=0)) == ["a", "b", "c"]


MAYBE = st.none() | st.integers(0, 100)


@given(
    st.lists(st.tuples(st.none() | st.floats(-NOW, 3 * NOW), st.integers(0, 1), st.booleans()), max_size=8),
    MAYBE,
    MAYBE,
    st.booleans(),
)
def test_the_living_stay_and_none_goes_twice(
    facts: list[tuple[float | None, int, bool]], age: int | None, size: int | None, unused: bool
) -> None:
    environments = [
        stored(str(number), used=used, live=live, problem="x" if broken else None)
        for number, (used, live, broken) in enumerate(facts)
    ]
    gone = chosen(environments, Rules(age, size, unused))
    assert len(set(gone)) == len(gone)
    assert not {item.digest for item in environments if item.live_uses} & set(gone)
    if size is not None and not any(item.live_uses for item in environments):
        assert 10 * (len(environments) - len(gone)) <= size
