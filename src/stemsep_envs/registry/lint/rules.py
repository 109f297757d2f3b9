"""The table of rules. Codes are stable; `docs/reference/registry-lint.md` is made from it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from stemsep_envs.documents.registry_lint import LintSeverity
from stemsep_envs.registry.lint import catalogue, files, running
from stemsep_envs.registry.lint.subject import Defect, Subject

Check: TypeAlias = Callable[[Subject], Iterator[Defect]]


@dataclass(frozen=True)
class Rule:
    """What a rule finds, how grave that is, and what is done about it.

    Attributes:
        severity: ``error``: what the entry says does not work, or gives another model. ``warning``: it may. ``info``:
            it could be better.
        meaning: What it finds, in a sentence.
        check: The function that finds it; None for what parsing finds.
        fix: What ``--fix`` does; None where a person must decide.
    """

    severity: LintSeverity
    meaning: str
    check: Check | None
    fix: str | None = None


RULES: dict[str, Rule] = {
    # Errors.
    "invalid": Rule("error", "The entry breaks the schema.", None),
    "page_link": Rule(
        "error",
        "What is given as a file's address is a web page.",
        files.page_link,
        "A host's page about a file becomes the file's own address.",
    ),
    "filename_differs": Rule(
        "error",
        "An artifact is called otherwise than the file that is fetched.",
        files.filename_differs,
        "It gets the name that its address ends in, under `runtime.required_files` too.",
    ),
    "cross_wired": Rule("error", "An artifact bears the name of another model's weights.", files.cross_wired),
    "address_disagrees": Rule("error", "Two entries expect different files at one address.", files.address_disagrees),
    "hash_contradicts_name": Rule(
        "error", "A file's name carries the beginning of another hash than is given.", files.hash_contradicts_name
    ),
    "path_collision": Rule(
        "error", "Two files have one install path, on file systems that ignore case.", files.path_collision
    ),
    "artifact_unnamed": Rule(
        "error",
        "A file is linked and no artifact names it, so that nothing fetches it.",
        files.artifact_unnamed,
        "The artifact is added, its hash and size unknown.",
    ),
    "address_missing": Rule("error", "An artifact has no address.", files.address_missing),
    "weights_unnamed": Rule("error", "A network without weights.", files.weights_unnamed),
    "runtime_unreachable": Rule(
        "error", "The runtime that is taken by default has no recipe here.", running.runtime_unreachable
    ),
    "model_type_missing": Rule(
        "error",
        "Which kind of the runtime's models it is, is not said.",
        running.model_type_missing,
        "The engine's word is added where the architecture has one alone.",
    ),
    "model_type_unknown": Rule("error", "The runtime has no such kind of model.", running.model_type_unknown),
    "variant_unknown": Rule("error", "The runtime has no such variant.", running.variant_unknown),
    "variant_without_patch": Rule(
        "error", "The variant takes a file of the model's, which names none.", running.variant_without_patch
    ),
    "variant_unpinned": Rule(
        "error",
        "A package is asked for in another version than the variant needs, or in any.",
        running.variant_unpinned,
        "The variant's pin takes its place.",
    ),
    "variant_requirement_missing": Rule(
        "error",
        "A package that the variant needs in one version is not named.",
        running.variant_requirement_missing,
        "It is added, pinned as the variant has it.",
    ),
    "variant_of_another_kind": Rule(
        "error", "The variant changes another kind of network than the model is.", running.variant_of_another_kind
    ),
    "architecture_contradicts": Rule(
        "error", "The architecture is another than the kind of model says.", running.architecture_contradicts
    ),
    "overlap_impossible": Rule(
        "error", "An overlap cannot be, in the unit that is stated.", running.overlap_impossible
    ),
    "stems_contradict": Rule(
        "error", "Stems differ from those of the capabilities or of the kind of model.", catalogue.stems_contradict
    ),
    "phase_reference_unknown": Rule(
        "error", "A phase-fix reference is no model of the registry.", catalogue.phase_reference_unknown
    ),
    "phase_reference_unflagged": Rule(
        "error", "A phase-fix reference is not marked as a valid one.", catalogue.phase_reference_unflagged
    ),
    # Warnings.
    "architecture_unlike_file": Rule(
        "warning",
        "The name of the weights or the config tells of another architecture.",
        files.architecture_unlike_file,
    ),
    "checkpoint_shared": Rule("warning", "Several models are the same weights.", files.checkpoint_shared),
    "homepage_elsewhere": Rule(
        "warning", "The home page is another repository than the files'.", files.homepage_elsewhere
    ),
    "link_insecure": Rule(
        "warning",
        "An address is http.",
        files.link_insecure,
        "Hosts that are known to answer by https are asked by it.",
    ),
    "link_unusable": Rule("warning", "An address cannot be fetched by this program.", files.link_unusable),
    "package_unpinned": Rule("warning", "A package is asked for in no certain version.", running.package_unpinned),
    "requirements_empty": Rule("warning", "Nothing is required.", running.requirements_empty),
    "model_type_unused": Rule(
        "warning", "A kind of model is given for a runtime that is not allowed.", running.model_type_unused
    ),
    "tiers_overlap": Rule("warning", "Device memory belongs to several hardware tiers.", running.tiers_overlap),
    "stems_missing": Rule("warning", "Which stems the model makes is not said.", catalogue.stems_missing),
    "stem_count": Rule("warning", "The name promises another number of stems.", catalogue.stem_count),
    "name_repeated": Rule("warning", "Several models have one name.", catalogue.name_repeated),
    "metric_zero": Rule(
        "warning", "A metric of 0 stands for an unknown one.", catalogue.metric_zero, "It becomes null."
    ),
    "metrics_repeated": Rule("warning", "Different models have the same three metrics.", catalogue.metrics_repeated),
    "reason_missing": Rule("warning", "Why a model is not run is not said.", catalogue.reason_missing),
    "status_contradicts": Rule(
        "warning", "Two fields disagree on whether the model is verified.", catalogue.status_contradicts
    ),
    # Remarks.
    "hash_unknown": Rule("info", "A file's hash is not known.", files.hash_unknown),
    "size_unknown": Rule("info", "A file's size is not known.", files.size_unknown),
    "revision_unpinned": Rule("info", "An address names a branch and no commit.", files.revision_unpinned),
    "name_shared": Rule("info", "Different files of two models have one name.", files.name_shared),
    "runtime_unknown": Rule("info", "A further runtime that is allowed has no recipe here.", running.runtime_unknown),
    "preference_missing": Rule("info", "No runtime of several is preferred.", running.preference_missing),
    "overlap_clamped": Rule("info", "An overlap is outside what is used.", running.overlap_clamped),
    "overlap_unstated": Rule("info", "The unit of an overlap is left to the runtime.", running.overlap_unstated),
    "tiers_gap": Rule("info", "Device memory between two hardware tiers belongs to none.", running.tiers_gap),
    "id_unlike_name": Rule("info", "The id shares no word with the name.", catalogue.id_unlike_name),
}
"""Every rule, in the order in which the docs show them."""

RULES_PAGE_HEAD = """# The rules of `registry lint`

`stemsep-env registry lint FILE` finds what is wrong with a registry although it is valid, in any file of the format.
Each rule has a code that stays the same. Errors are what does not work, or gives another model than is promised; with
one of them the command ends with 2. In entries that are blocked or online only, which nothing runs, they count as
warnings.

`--fix` changes what can be changed safely and leaves every other character of the file as it is; `--output` writes
elsewhere.
This page is generated from `src/stemsep_envs/registry/lint/rules.py` by `make generate`.

| code | severity | finds | `--fix` |
|---|---|---|---|
"""


def rules_page() -> str:
    """Return the page of the docs that lists all rules."""
    rows = (f"| `{code}` | {rule.severity} | {rule.meaning} | {rule.fix or ''} |\n" for code, rule in RULES.items())
    return RULES_PAGE_HEAD + "".join(rows)
