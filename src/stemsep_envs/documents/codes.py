"""The stable codes of errors, reasons and warnings: programs match on them, and the docs list them from here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Code:
    """What a code means in one line, and whether it stops the work."""

    meaning: str
    severity: Severity = "error"


CODES: dict[str, Code] = {
    # Registry and routing.
    "unknown_model": Code("The registry has no model of this id; the hint names the nearest."),
    "registry_missing": Code("The registry file does not exist."),
    "registry_unreadable": Code("The registry file cannot be read."),
    "registry_shipped": Code("The registry that came with the program is not changed unless that is asked for."),
    "registry_changed": Code("The registry was changed by somebody else at the same time."),
    "model_blocked": Code("The registry says that this model must not be run."),
    "model_online_only": Code("The model exists as an online service only; there is nothing to run here."),
    "runtime_unknown": Code("There is no recipe here for a runtime that was named or that the registry allows."),
    "runtime_not_allowed": Code("The runtime that was named is not in the model's runtime.allowed."),
    "variant_mismatch": Code("The model's weights are of another variant of the engine than its registry entry says."),
    "variant_unknown": Code("The runtime has no variant of the name that the model asks for."),
    "weights_unnamed": Code("The registry names no file of weights for the model, or only a link."),
    "model_type_missing": Code("The registry does not say which of the runtime's model types the model is."),
    "model_type_unknown": Code("The runtime has no model type of the name that the model asks for."),
    # Preflight.
    "blocked": Code("Preflight or the sandbox policy refuses; the reasons are listed with codes of their own."),
    "target_unknown": Code("What --target names is no target."),
    "accelerator_missing": Code("The target that was named needs an accelerator or a driver that is not here."),
    "target_not_supported": Code(
        "The target or accelerator cannot be used by this runtime and model, or on this machine."
    ),
    "target_not_here": Code("The target is of another platform; it can be locked here, but not built."),
    "platform_not_supported": Code("No environment can be made for this operating system or processor."),
    "libc_not_supported": Code("Wheels need a newer C library, or another one, than this system has."),
    "python_unsatisfiable": Code("No Python satisfies all who ask: runtime, variant and model."),
    "python_missing": Code("No Python in range was found, and none can be installed."),
    "torch_unsatisfiable": Code("No torch release or build satisfies all who ask."),
    "packages_conflict": Code("Two parties ask for versions of a package that exclude each other."),
    "package_url": Code("A package is asked for by address, which no lock can vouch for."),
    "manual_step_unconfirmed": Code("The model needs a manual step that was not confirmed."),
    "file_missing": Code("A file that the model expects in the engine's source tree is not there."),
    "artifact_missing": Code("A weight or config of the model is not on this machine."),
    "artifact_is_page": Code("The registry's link for a file of the model names a web page."),
    "artifact_unknown_hash": Code("Nobody knows the hash of a file, and the policy does not let it be fetched so."),
    "artifact_outside": Code(
        "A registry that did not come with the program names a file of this machine, outside its folder and by no hash."
    ),
    "artifact_first_use": Code(
        "Nobody knows the hash of a file: what its host gives first is trusted, and held to from then on.", "warning"
    ),
    "artifact_unpinned": Code(
        "A file of unknown hash is named by a branch or tag of the hub, which can change.", "warning"
    ),
    "artifact_superseded": Code("The registry now names another hash of a file than was found before.", "warning"),
    "artifact_damaged": Code("A file of the home was not what its name says; it is fetched again.", "warning"),
    "phase_fix_reference_invalid": Code("The model named as a phase-fix reference is not marked as a valid one."),
    "input_channels": Code("The model does not take as many channels as the input has."),
    "input_unknown": Code("The header of the input does not say enough; the worker will find out.", "warning"),
    "known_issue": Code("The registry knows of an issue with this model.", "warning"),
    "not_verified": Code("The registry has not verified this model.", "warning"),
    "registry_unfamiliar": Code(
        "The registry holds a field or word that this version does not know; it is kept.", "warning"
    ),
    "package_refused": Code("A package takes the place of files that belong to the environment itself."),
    # Checkpoints.
    "checkpoint_refused": Code(
        "A checkpoint holds what has no safetensors form, or is damaged; the message says what."
    ),
    "conversion_broken": Code("The conversion of a checkpoint failed, or what it made broke the format's rules."),
    # Settings.
    "setting_unknown": Code("The runtime has no setting of this name for this model."),
    "setting_invalid": Code("A setting has the wrong type, or lies outside what the runtime takes."),
    "overlap_unusable": Code("The overlap cannot be expressed in the runtime's unit."),
    "segment_unusable": Code("The segment length cannot be expressed in the runtime's unit."),
    "overlap_adjusted": Code("The overlap was clamped or rounded to what the runtime takes.", "warning"),
    "setting_ignored": Code("A setting that the registry recommends is not one of the runtime's.", "warning"),
    "meaning_unknown": Code("The registry gives overlap a meaning that is not known here.", "warning"),
    # Environments.
    "build_failed": Code("Resolving or building failed; the tool's own words follow."),
    "lock_missing": Code("There is no lock for a target and Python that locks are shipped for."),
    "lock_inputs_changed": Code("A lock was made for other requirements than those of now."),
    "lock_outdated": Code("The resolver finds other versions now than a lock names."),
    "lock_stale": Code("Locks must be made again; which, and why, is listed."),
    "requirements_unresolved": Code("The resolver could not be asked whether the requirements can be met."),
    "unsatisfiable": Code("No versions meet all that is asked for; who asks, and the resolver's chain, are given."),
    "index_unreachable": Code("A package index, or the index of torch's builds, does not answer as one."),
    "torch_index_unknown": Code("The builder does not know where builds of torch for the accelerator come from."),
    "adopted_unfit": Code("An interpreter that is to be adopted does not hold what is asked for."),
    "adopted_changed": Code("An interpreter that was adopted is not what it was when it was checked."),
    "pip_missing": Code("The interpreter has no pip that can build, and cannot make one."),
    "offline": Code("Something has to be fetched, and --offline forbids it; everything missing is listed."),
    "source_missing": Code("No index has the source distribution that is to be built."),
    "source_build_failed": Code("A source distribution cannot be built, or does not say what it needs."),
    "unhealthy": Code("A built environment failed its health check and was discarded."),
    "incomplete": Code("A built environment does not hold what its lock says, and was discarded."),
    "cache_poisoned": Code("Files in the package cache are not what their wheels hold; nothing is built from them."),
    "environment_in_use": Code("A live session uses the environment, so it is neither removed nor replaced."),
    "interpreter_changed": Code("The interpreter is not the one that was planned with."),
    "environment_gone": Code("The environment was removed, or broke, after it was found."),
    "unknown_environment": Code("No environment begins with these characters."),
    "lock_mismatch": Code("A lock was changed: its text and its digests do not agree."),
    "hash_mismatch": Code("A downloaded file is not the one that the lock names."),
    "mismatch": Code("A digest does not match what was promised."),
    "lock_timeout": Code("Another process held a lock for too long."),
    # Artifacts.
    "download_failed": Code("A file cannot be fetched; what its hosts answered is given."),
    "download_missing": Code("There is nothing at the address of a file."),
    "download_denied": Code("The host of a file does not give it to us: it may be private or gated."),
    "download_untrusted": Code("The certificate of a file's host is not trusted."),
    "download_refused": Code("A file's host redirects to where we do not follow: from https to http, or off the web."),
    "download_stalled": Code("Hosts sent nothing, or next to nothing, for too long; asked again, it is continued."),
    "not_the_file": Code("An address gives a web page, a pointer or nothing in place of the file."),
    "artifact_mismatch": Code("An address does not give the file that the registry names by hash or size."),
    "artifact_changed": Code("An address gives another file than it did before."),
    "artifact_metadata_conflict": Code("A file is right by its hash, and the registry states another size."),
    "artifact_index_damaged": Code("What was written down of an address cannot be read."),
    "artifact_gone": Code("A file of the model was removed after it was found."),
    "artifact_unknown": Code("The model has no file of this name, or there is no artifact with this hash."),
    # Engines.
    "git_missing": Code("git is not here, and an engine has to be fetched with it."),
    "fetch_failed": Code("git could not fetch an engine's commit; its own words follow."),
    "engine_refused": Code("An engine's source holds what an engine may not, or is larger; everything is listed."),
    "engine_file_missing": Code("An archive or a patch file that an engine is made from is not here."),
    "patch_mismatch": Code("A patch was written for another file than the engine has; both hashes are given."),
    "unknown_engine": Code("There is no engine of this digest."),
    # Inputs and outputs.
    "no_inputs": Code("The folders that were named hold no audio."),
    "list_unreadable": Code("The list of inputs that --from-file names cannot be read."),
    "input_missing": Code("An input does not exist."),
    "input_unreadable": Code("An input cannot be opened or is not audio."),
    "input_empty": Code("An input holds no samples."),
    "input_nonfinite": Code("Every sample of an input is infinite or not a number."),
    "range_empty": Code("The part that was asked for lies behind the end of the input."),
    "unsupported_format": Code("The runtime cannot read or write this format."),
    "unsupported_setting": Code("The model refused a setting or a device."),
    "stem_unknown": Code("The model makes no stem of this name."),
    "stems_differ": Code("The model makes other stems than the registry says."),
    "output_exists": Code("An output is there already and was not made by this same request."),
    "output_failed": Code("A stem could not be written."),
    "output_refused": Code("What the worker wrote is not a plain file of its own, and was not taken."),
    "output_too_large": Code("What the worker wrote is larger than allowed."),
    "not_writable": Code("A file or folder cannot be written."),
    "not_a_folder": Code("A file stands where a folder is needed."),
    "no_space": Code("The disk is full or a quota is used up."),
    "input_silent": Code("The input is silent throughout.", "warning"),
    "input_truncated": Code("The input ends before its header says; what is there was separated.", "warning"),
    "input_nonfinite_samples": Code("Samples that were infinite or not numbers were taken as zero.", "warning"),
    "input_changed": Code("The input was changed while it was being read.", "warning"),
    "sample_rate_changed": Code("The format does not have the sample rate; the nearest it has was used.", "warning"),
    # Workers.
    "model_failed": Code("The model's own code reported a failure."),
    "worker_died": Code("The worker ended without an answer; how it ended and its last words are given."),
    "worker_killed": Code("The worker was killed, most often because memory ran out."),
    "worker_ended": Code("A request was made of a session whose worker had ended."),
    "session_busy": Code("A session was given a track while busy with another; each thread needs its own session."),
    "protocol_violation": Code("The worker said something that is not the protocol, and was ended."),
    "crash_loop": Code("The worker died several times in a row and is not started again."),
    "out_of_memory": Code("The model ran out of memory."),
    "retried_smaller": Code("Memory ran out, and the track was done again with smaller settings.", "warning"),
    "deadline": Code("A deadline passed; the worker or tool was ended."),
    "limit": Code("A resource ran out."),
    "cannot_start": Code("A program could not be started."),
    # The sandbox.
    "scratch_left": Code("A killed session left its scratch folder; the next one, or env gc, removes it.", "warning"),
    "sandbox_level_missing": Code("The sandbox level that the model needs is not available on this machine."),
    "sandbox_lowered": Code("The worker is confined less than the model's trust asks for, as was allowed.", "warning"),
    # Everything else.
    "no_output": Code("The result could not be written to standard output, most often because a disk is full."),
    "usage": Code("The command, its options or its arguments are wrong."),
    "invalid_document": Code("A document breaks its schema; every problem is listed."),
    "invalid": Code("One problem of an invalid document."),
    "interrupted": Code("The user or a signal ended the work."),
    "failed": Code("Something failed that has no code of its own."),
    "bug": Code("A defect of stemsep-env; a report file is named."),
    # Advice of doctor.
    "home_not_writable": Code("The home cannot be written.", "warning"),
    "little_space": Code("Little space is left where environments are kept.", "warning"),
    "no_interpreter": Code("No Python that environments can be made of was found.", "warning"),
}
"""Every code, in the order in which the docs show them."""
