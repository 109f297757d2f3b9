"""What a worker is asked: the model to load, and the track to separate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stemsep_envs.documents.protocol import LoadedArtifact, LoadedModel, LoadParams, OutputRequest, SeparateParams
from stemsep_envs.documents.run import ResolvedSetting
from stemsep_envs.planning.plan import Plan
from stemsep_envs.separation.separated_track import TrackRequest


def load_params(plan: Plan, settings: Mapping[str, ResolvedSetting]) -> LoadParams:
    """Return what the worker is asked to load."""
    return LoadParams(
        model=LoadedModel(
            id=plan.entry.id,
            model_type=plan.model.model_type,
            variant=plan.model.variant,
            architecture=plan.entry.architecture,
        ),
        artifacts={
            artifact.record.name: LoadedArtifact(
                path=str(artifact.path),
                filename=artifact.record.filename,
                kind=artifact.kind,
                format=artifact.format,
            )
            for artifact in plan.artifacts
        },
        device=plan.model.target.device,
        settings={name: setting.value for name, setting in settings.items() if setting.value is not None},
    )


def separate_params(request: TrackRequest, source: Path, folder: Path) -> SeparateParams:
    """Return what the worker is asked to separate.

    Args:
        request: The track.
        source: Where the worker sees the input.
        folder: Where it writes the stems, each under a name of ours.
    """
    options = request.output
    return SeparateParams(
        input=str(source),
        start_seconds=options.start_seconds,
        duration_seconds=options.duration_seconds,
        stems=request.stems,
        output=OutputRequest(
            dir=str(folder),
            files={stem: f"{index}.{options.format}" for index, stem in enumerate(request.stems)},
            format=options.format,
            bit_depth=options.bit_depth,
            sample_rate=options.sample_rate,
            normalize=options.normalize,
        ),
    )
