"""The YAML of strangers: read as the engine reads it, with nothing constructed and everything bounded."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import yaml

ENGINE_LIKE = """
audio:
  chunk_size: 131584
  hop_length: 512
model:
  freqs_per_bands: !!python/tuple
    - 2
    - [3, 4]
  eps: 1.0e-05
  odd: 1e-05
  time: 12:30
  flags: [yes, no, on, ~, null]
shared: &shared {a: 1, b: 2}
merged: {<<: *shared, b: 3}
training: {instruments: [vocals, other], target_instrument: vocals}
"""


@pytest.fixture
def config(module: Callable[[str], ModuleType]) -> Any:
    return module("config")


def test_it_reads_what_the_engines_own_loader_reads(config: Any) -> None:
    ours = config.parse(ENGINE_LIKE.encode())
    assert ours == yaml.load(ENGINE_LIKE, Loader=yaml.FullLoader)
    assert ours["model"]["freqs_per_bands"] == (2, [3, 4])
    assert ours["model"]["odd"] == "1e-05"


@pytest.mark.parametrize(
    ("tag", "named"),
    [
        ("!!python/object/apply:os.system ['true']", "python/object/apply:os.system"),
        ("!!python/object/new:collections.OrderedDict []", "python/object/new"),
        ("!!python/name:os.system ''", "python/name:os.system"),
        ("!!python/module:os ''", "python/module:os"),
        ("!!python/complex 1j", "python/complex"),
        ("!!python/tuple 3", "not on a list"),
        ("!Unknown 3", "!Unknown"),
    ],
)
def test_other_tags_are_refused_with_their_line(config: Any, tag: str, named: str) -> None:
    with pytest.raises(config.ConfigError, match="line 2") as caught:
        config.parse(f"a: 1\nb: {tag}\n".encode())
    assert named in str(caught.value)


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("- 1\n- 2", "not a mapping"),
        ("a: b: c", "not YAML"),
        ("a: &x [*x]", "contains itself"),
        ("a: *nowhere", "not YAML"),
        ("a: " + "[" * 5000, "nested"),
        ("a: " + "[1, " * 40 + "1" + "]" * 40, "nested"),
        (bomb(9), "multiply"),
        ("a: [" + "1," * 200_000 + "]", "parts"),
        ("a: " + "9" * 10_000, "cannot be read"),
        ("a: 2026-99-99", "cannot be read"),
        ("? [1, 2]\n: 3", "not YAML"),
        ("a: !!float nonsense", "cannot be read"),
        ("a: 1\n---\nb: 2", "not YAML"),
    ],
)
def test_what_is_no_config_is_refused_in_words(config: Any, text: str, words: str) -> None:
    with pytest.raises(config.ConfigError, match=words):
        config.parse(text.encode())


def test_bytes_that_are_no_text_are_refused(config: Any) -> None:
    for data in (b"\xff\xfe\x00", b"a: \x00", "a: 1".encode("utf-16")):
        with pytest.raises(config.ConfigError):
            config.parse(data)


def test_a_large_file_is_not_even_read(config: Any, tmp_path: Any) -> None:
    path = tmp_path / "large.yaml"
    path.write_bytes(b"#" * ((1 << 20) + 1))
    with pytest.raises(config.ConfigError, match="larger"):
        config.read(str(path))


def test_registry_and_config_must_agree_on_the_type(config: Any) -> None:
    silent: dict[str, Any] = {"training": {}}
    stated: dict[str, Any] = {"training": {"model_type": "scnet"}}
    assert config.model_type(silent, "scnet") == "scnet"
    assert config.model_type(stated, None) == "scnet"
    assert config.model_type(stated, "scnet") == "scnet"
    with pytest.raises(config.ConfigError, match=r"mdx23c.*scnet"):
        config.model_type(stated, "mdx23c")
    with pytest.raises(config.ConfigError, match="neither"):
        config.model_type(silent, None)


def test_outputs_are_the_target_or_all_instruments(config: Any) -> None:
    parsed: dict[str, Any] = {"training": {"instruments": ["a", "b"], "target_instrument": "b"}}
    assert config.outputs(parsed, "generic") == ["b"]
    assert config.outputs(parsed, "demucs") == ["a", "b"]
    parsed["training"]["target_instrument"] = None
    assert config.outputs(parsed, "generic") == ["a", "b"]
    for wrong in (None, [], "vocals", [1], [""]):
        parsed["training"]["instruments"] = wrong
        with pytest.raises(config.ConfigError, match="instruments"):
            config.outputs(parsed, "generic")
