"""Registries as large and as varied as real ones, made by the test."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ARCHITECTURES = (
    "BS-Roformer", "Mel-Roformer", "MDX23C", "MDX-Net", "VR", "Demucs", "HTDemucs", "SCNet", "Apollo", "BandIt",
    "Other",
)  # fmt: skip
STEMS = (("vocals", "instrumental"), ("vocals", "drums", "bass", "other"), ("restored",), ())


def realistic_entry(number: int) -> dict[str, Any]:
    """Return entry ``number``: which fields it has, and what is in them, varies as it does in public registries."""
    roformer = "Roformer" in ARCHITECTURES[number % len(ARCHITECTURES)]
    model_id = f"author{number % 13}-{ARCHITECTURES[number % len(ARCHITECTURES)].lower()}-{number}"
    entry: dict[str, Any] = {
        "id": model_id,
        "name": f"Author {number % 13}: größtes Modell Nº {number}" if number % 7 == 0 else f"Model {number}",
        "type": "Roformer - Vocals" if roformer else "general",
        "architecture": ARCHITECTURES[number % len(ARCHITECTURES)],
        "description": "Vocals, tried on dense mixes. " * (number % 4),
        "tags": ["vocals", "restoration"][: number % 3],
        "stems": list(STEMS[number % len(STEMS)]),
        "links": {
            "checkpoint": f"https://example.org/{model_id}/model.ckpt" if number % 6 else None,
            "config": f"https://example.org/{model_id}/config.yaml" if number % 5 else None,
            "homepage": "https://example.org",
        },
        "metrics": {"sdr": 0.0 if number % 2 else 11.5, "fullness": None, "bleedless": number % 40},
        "recommended_settings": {"overlap": 4 if number % 9 == 0 else None, "segment_size": None, "tta": None},
        "runtime": {
            "allowed": ["msst"] if roformer else ["stemsep-legacy", "msst"],
            "preferred": "msst" if roformer else "stemsep-legacy",
            "blocking_reason": "Roformer models are MSST-only in strict-spec mode." if roformer else None,
        },
        "catalog_status": ("manual_only", "candidate", "verified", "online_only", "blocked")[number % 5],
    }
    if number % 4:
        entry["artifacts"] = {
            "primary": {"kind": "checkpoint", "filename": f"{model_id}.ckpt", "sha256": None, "size_bytes": None},
            "config": {"kind": "config", "filename": "config.yaml", "sha256": None} if number % 3 else None,
            "additional": [],
        }
        entry["requirements"] = {
            "python": {"min": "3.10", "max": None},
            "torch": {"min": None, "max": None, "cuda": [], "rocm": []},
            "pip": {"packages": ["neuraloperator==1.0.2"] if number % 17 == 0 else []},
            "files": {"expects": [], "provides": []},
            "manual_steps": ["Get the file from its author."] if number % 5 == 0 else [],
        }
        entry["settings_semantics"] = {
            "overlap": {"meaning_by_runtime": {"msst": "divisor" if roformer else "auto"}, "notes": "n" * 80}
        }
        entry["phase_fix"] = {"is_valid_reference": number % 30 == 1 or None, "recommended_usage": []}
        entry["capabilities"] = {"stems": [], "roles": ["separation"], "supports_mono": None, "supports_stereo": None}
        entry["compatibility"] = {"msst_compatible": True, "known_issues": []}
        entry["vram_required"] = 6.0
    if number % 3 == 0:
        entry["hardware_tiers"] = [
            {"tier": "low_vram", "min_vram_gb": 4, "max_vram_gb": 5.99, "recommended_segment_size": 112455,
             "recommended_overlap": 2},
            {"tier": "mid_vram", "min_vram_gb": 6, "recommended_segment_size": 352800, "recommended_overlap": 4},
        ]  # fmt: skip
        entry["quality_axes"] = {"bleedless": 7, "fullness": 6, "specialization": "dereverb"}
        entry["guide_rank"] = number % 4 + 1
        entry["card_metrics"] = {
            "kind": "status", "primary_target": "catalog", "labels": ["METRICS", "DOWNLOAD", "RUNTIME"],
            "values": ["Pending", "Direct", 8.4], "source": "Catalog status", "evidence_url": None,
            "evidence_note": "No verified metric trio.", "last_verified": "2026-03-04",
        }  # fmt: skip
        entry["notes"] = {"migration": {"from": "legacy", "legacy_fields_present": ["id", "name", "sdr"]}}
    return entry


def realistic_registry(count: int) -> dict[str, Any]:
    return {
        "version": "2.0",
        "generated_at": "2026-03-06T17:24:56.280484Z",
        "source": {"tool": "generator", "repo": "app", "commit": None, "notes": "für Tests"},
        "guide_revision": "2026-03-14",
        "models": [realistic_entry(number) for number in range(count)],
    }


@pytest.fixture
def make_registry() -> Callable[[int], dict[str, Any]]:
    return realistic_registry


@pytest.fixture
def write_registry(tmp_path: Path) -> Callable[..., Path]:
    """Write a registry as people's tools do: any indent, ASCII or not, with or without a byte-order mark."""

    def write(value: Any, name: str = "models.json", **options: Any) -> Path:
        path = tmp_path / name
        bom = b"\xef\xbb\xbf" if options.pop("bom", False) else b""
        path.write_bytes(bom + json.dumps(value, **options).encode())
        return path

    return write
