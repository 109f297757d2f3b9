"""Planned names: apart on every file system, below the output folder, possible anywhere, whatever inputs are called."""

from __future__ import annotations

import os
import random
import re
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemsep_envs.errors import UsageError
from stemsep_envs.separation.output_names import (
    DEFAULT_TEMPLATE,
    MAX_NAME_BYTES,
    TrackNames,
    TrackSource,
    check_template,
    comparison_key,
    plan_names,
    short_hash,
)

TEMPLATES = [
    DEFAULT_TEMPLATE,
    "{track}/{stem}.{ext}",
    "{track} - {stem}.{ext}",
    "{stem}/{track}.{ext}",
    "{stem}.{ext}",
    "{stem}",
    "{parent}/{stem}.{ext}",
    "{parent}/{track}/{stem}",
    "{model} {parent} {track}{stem}",
    "{track}/{track}/{parent}/{stem}.{ext}",
    "{{{track}}}/{{track}}-{stem}.{ext}",
    "./{track}//{stem}.{ext}",
]

NASTY = [
    "song",
    "SONG",
    "Song",
    "sóng",  # composed
    "so\u0301ng",  # decomposed
    "\u017fong",  # which folds to the same
    "song\u200b",
    "song ",
    "song.",
    " song",
    ".song",
    "..",
    "...",
    "",
    "con",
    "CON.tar",
    "con .x",
    "COM¹",
    "nul",
    "run",
    "vocals",
    "vocals.wav",
    "run.json",
    "a/b",
    "a\\b",
    "a:b",
    "a?b",
    "new\nline",
    "tab\t",
    "nul\0",
    "\x1b[31m",
    "rtl \u202egnp",
    "שלום",
    "🎸🎸",
    "👩‍🎤",
    "👩🎤",
    "ﬁle",
    "file",
    "ß",
    "ss",
    "İ",
    "i̇",
    "\u0131",  # dotless
    "\ud800",
    "\udc80\udcff",
    "\ufffe",
    "x" * 300,
    "X" * 300,
    "é" * 300,
    "가" * 300,
    "~" * 179 + "é",
    "-rf",
    "{stem}",
    "{track.__class__}",
    "%s",
]

RESERVED = {
    "CON",
    "PRN",
    "AUX",
    "NUL",
    "CONIN$",
    "CONOUT$",
    *[f"{p}{n}" for p in ("COM", "LPT") for n in "0123456789¹²³"],
}

any_name = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=12),
    st.text(alphabet="aA.\u0301 é/\\", max_size=6),
    st.text(alphabet=st.characters(), min_size=150, max_size=320),
)


@st.composite
def sources(draw: st.DrawFn) -> list[TrackSource]:
    """Inputs with any names in any folders, no two with the same path."""
    found: dict[Path, TrackSource] = {}
    for _ in range(draw(st.integers(1, 8))):
        folder = "/".join(draw(st.lists(any_name, max_size=2)))
        name = draw(any_name).replace("/", "_") + draw(st.sampled_from([".wav", ".flac", ".WAV", ""]))
        path = Path("/music", folder.lstrip("/"), name)
        found[path] = TrackSource(path, draw(st.sampled_from(["", folder])))
    return list(found.values())


def folded(path: PurePosixPath) -> str:
    """What the strictest file system compares, said in the test's own way."""
    text = unicodedata.normalize("NFKC", str(path))
    return unicodedata.normalize("NFKC", text.casefold())


def all_paths(plans: list[TrackNames]) -> list[PurePosixPath]:
    return [path for names in plans for path in (*names.stems.values(), names.record)]


def assert_sound(plans: list[TrackNames]) -> None:
    paths = all_paths(plans)
    keys = [folded(path) for path in paths]
    assert len(set(keys)) == len(keys), "two outputs meet"
    parents = {folded(parent) for path in paths for parent in path.parents if parent.name}
    assert not parents & set(keys), "an output is where another's folder must be"
    for path in paths:
        assert_possible(path)
    for names in plans:
        assert names.record.suffix == ".json"
        assert all(path.suffix == ".wav" for path in names.stems.values())


def assert_possible(path: PurePosixPath) -> None:
    assert not path.is_absolute()
    assert os.path.normpath(path) == str(path)
    for part in path.parts:
        assert 0 < len(part.encode()) <= MAX_NAME_BYTES  # which also says that it is text
        assert part not in {".", ".."}
        assert not part.startswith((".", " "))
        assert not part.endswith((".", " "))
        assert not re.search(r'[<>:"/\\|?*\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]', part)
        assert part == unicodedata.normalize("NFC", part)
        assert part.split(".")[0].strip(" ").upper() not in RESERVED
        assert len(part.encode("utf-16-le")) // 2 < 255


@settings(max_examples=400, deadline=None)
@given(
    sources=sources(),
    stems=st.lists(any_name.filter(bool), min_size=1, max_size=4, unique=True),
    model=any_name,
    template=st.sampled_from(TEMPLATES),
    order=st.randoms(use_true_random=False),
)
def test_any_inputs_have_names(
    sources: list[TrackSource], stems: list[str], model: str, template: str, order: random.Random
) -> None:
    plans = plan_names(model, sources, stems, "wav", template)
    assert [set(names.stems) for names in plans] == [set(stems)] * len(sources)
    assert_sound(plans)
    shuffled = list(range(len(sources)))
    order.shuffle(shuffled)
    again = plan_names(model, [sources[index] for index in shuffled], stems, "wav", template)
    assert again == [plans[index] for index in shuffled]


@settings(max_examples=100, deadline=None)
@given(sources=sources(), stem=any_name.filter(bool))
def test_with_the_index_too(sources: list[TrackSource], stem: str) -> None:
    assert_sound(plan_names("m", sources, [stem], "wav", "{index} {track}/{stem}.{ext}"))
    assert_sound(plan_names("m", sources, [stem], "wav", "{index}/{stem}.{ext}"))


@settings(max_examples=300, deadline=None)
@given(template=st.one_of(st.text(max_size=30), st.text(alphabet="{}stem.!r:/[0]\\ ", max_size=30)))
def test_any_template_is_refused_or_holds(template: str) -> None:
    try:
        plans = plan_names(
            "m", [TrackSource(Path("/a/x.wav")), TrackSource(Path("/b/x.wav"))], ["s", "t"], "wav", template
        )
    except UsageError:
        return
    assert_sound(plans)


def test_every_nasty_name_at_once() -> None:
    sources = [TrackSource(Path("/music") / f"{name}.wav".replace("/", "_")) for name in NASTY]
    unique = list({source.path: source for source in sources}.values())
    for template in TEMPLATES:
        assert_sound(plan_names("m", unique, NASTY[:20], "wav", template))


def test_the_planned_files_can_be_made(tmp_path: Path) -> None:
    sources = list({Path("/m", f"{name}.wav".replace("/", "_")): None for name in NASTY})
    plans = plan_names(
        "model", [TrackSource(path) for path in sources], ["vocals", "Vocals"], "wav", "{track}/{stem}.{ext}"
    )
    for path in all_paths(plans):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).open("x").close()


# --- what people see


def names_of(*paths: str, template: str = DEFAULT_TEMPLATE, stems: tuple[str, ...] = ("vocals",)) -> list[str]:
    sources = [TrackSource(Path(path)) for path in paths]
    plans = plan_names("model", sources, stems, "flac", template)
    return [str(path) for names in plans for path in names.stems.values()]


def test_plain_names_stay_plain() -> None:
    (names,) = plan_names("hyperace", [TrackSource(Path("/music/My Song (live).flac"))], ["vocals", "other"], "wav")
    assert {stem: str(path) for stem, path in names.stems.items()} == {
        "vocals": "hyperace/My Song (live)/vocals.wav",
        "other": "hyperace/My Song (live)/other.wav",
    }
    assert str(names.record) == "hyperace/My Song (live)/run.json"


def test_a_clash_gets_a_short_hash_of_the_path() -> None:
    one, two, three = names_of("/a/x.wav", "/b/X.flac", "/c/y.wav")
    assert one == f"model/x-{short_hash(Path('/a/x.wav'))}/vocals.flac"
    assert two == f"model/X-{short_hash(Path('/b/X.flac'))}/vocals.flac"
    assert three == "model/y/vocals.flac"


def test_a_name_that_looks_like_another_with_its_hash() -> None:
    other = f"/c/x-{short_hash(Path('/a/x.wav'))}.wav"
    assert len(set(names_of("/a/x.wav", "/b/x.wav", other))) == 3


def test_stems_that_differ_in_case_alone() -> None:
    one, two = names_of("/a/x.wav", stems=("Drums", "drums"))
    assert one.startswith("model/x/Drums-")
    assert two.startswith("model/x/drums-")
    assert one.casefold() != two.casefold()


def test_the_index_and_the_folder() -> None:
    source = TrackSource(Path("/music/live/1999/x.wav"), "live/1999")
    (names,) = plan_names("m", [source], ["v"], "wav", "{index} {parent}/{parent}/{track}.{stem}.{ext}")
    assert str(names.stems["v"]) == "001 live_1999/live/1999/x.v.wav"


def test_a_name_without_its_extension_gets_it() -> None:
    assert names_of("/a/x.wav", template="{track} {stem}") == ["x vocals.flac"]
    assert names_of("/a/x.wav", template="{track}.{stem}.FLAC") == ["x.vocals.flac"]


def test_one_input_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="gives two outputs the same name"):
        names_of("/a/x.wav", "/a/x.wav")


@pytest.mark.parametrize(
    "template",
    [
        "",
        "out.wav",
        "{track}.{ext}",
        "{{stem}}",
        "{stem",
        "stem}",
        "{}{stem}",
        "{0}{stem}",
        "{nope}{stem}",
        "{stem!r}",
        "{stem:>10}",
        "{stem:{track}}",
        "{stem.__class__}",
        "{track.__class__.__mro__}{stem}",
        "{stem[0]}",
        "{stem} {track!s}",
        "{STEM}",
        "{ stem }",
        "/tmp/{stem}",
        "\\tmp\\{stem}",
        "C:/{stem}",
        "c:{stem}",
        "../{stem}",
        "a/../{stem}",
        "{track}\\..\\{stem}",
    ],
)
def test_templates_that_are_refused(template: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_template(template)
    assert "{model}" in (caught.value.hint or "")
    with pytest.raises(UsageError):
        plan_names("m", [TrackSource(Path("/x.wav"))], ["s"], "wav", template)


def test_comparison_keys_tell_apart_what_differs() -> None:
    assert comparison_key(PurePosixPath("a/b")) != comparison_key(PurePosixPath("a/c"))
    for one, other in [("É", "e\u0301"), ("ﬁ", "FI"), ("straße", "STRASSE"), ("a\u200db", "ab"), ("a\ufe0f", "a")]:
        assert comparison_key(PurePosixPath(one)) == comparison_key(PurePosixPath(other))
