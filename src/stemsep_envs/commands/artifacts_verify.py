"""`artifacts verify`: read files again and set aside what is damaged."""

from __future__ import annotations

from collections.abc import Sequence

from stemsep_envs.artifacts import blobs, maintenance
from stemsep_envs.documents.artifacts import ArtifactVerifyReport, VerifiedArtifact
from stemsep_envs.documents.events import OnEvent, step_reporter
from stemsep_envs.errors import UsageError
from stemsep_envs.host.paths import find_home


def verify_artifacts(prefixes: Sequence[str], *, on_event: OnEvent) -> ArtifactVerifyReport:
    """Read files again, those that are named by their hashes or all, and set aside what is damaged.

    Raises:
        UsageError: None, or several, begin so; or a damaged file cannot be moved.
    """
    home, report = find_home(), step_reporter(on_event)
    here = blobs.stored_hashes(home)
    named = [_the_one(prefix, here) for prefix in prefixes] or here
    checked = []
    for sha256 in dict.fromkeys(named):
        report("verify", f"verifying {sha256[:12]}")
        checked.append(maintenance.verify_blob(home, sha256, check=lambda: None))
        converted = maintenance.verify_converted_form(home, sha256)
        checked += [converted] if converted is not None else []
    return ArtifactVerifyReport(
        ok=all(item.ok for item in checked),
        artifacts=tuple(
            VerifiedArtifact(
                kind=item.kind,
                sha256=item.sha256,
                ok=item.ok,
                size_bytes=item.size_bytes,
                detail=item.detail,
                set_aside=str(item.set_aside) if item.set_aside else None,
            )
            for item in checked
        ),
        bytes_read=sum(item.size_bytes for item in checked),
    )


def _the_one(prefix: str, hashes: Sequence[str]) -> str:
    found = [sha256 for sha256 in hashes if sha256.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        hint = "`stemsep-env artifacts list` shows them all"
        raise UsageError(f"there is no artifact {prefix}", hint=hint, code="artifact_unknown")
    raise UsageError(f"{len(found)} artifacts begin with {prefix}", hint="give more characters of the hash")
