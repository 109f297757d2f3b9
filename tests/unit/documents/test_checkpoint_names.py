"""Which names of a checkpoint are dangerous, which harmless, and which nobody knows."""

from __future__ import annotations

import sys

import pytest

from stemsep_envs.documents.checkpoint_names import judge

DANGEROUS = """
os.system posix.system builtins.eval builtins.getattr builtins.getattr() __builtin__.exec subprocess.Popen
torch.storage._load_from_bytes _pickle.loads torch._utils._import_dotted_name functools.partial site.execsitecustomize
torch.package.PackageImporter keras.models.load_model torch.utils.bottleneck.__main__.run_cprofile ensurepip._run_pip
uuid._get_command_stdout torch.hub.load torch.load torch.jit.load torch.UntypedStorage.from_file torch.from_file
numpy.load numpy.f2py.crackfortran.getlincoef numpy.testing._private.utils.runstring collections.namedtuple
torch.nn.modules.module.torch.hub.load torch.nn.modules.module.os.system numpy.random._pickle.pickle.loads
somebody.models.Net.__init__.__globals__ somebody.models.sys.modules six.moves.builtins.eval imp.load_source
commands.getoutput typing.get_type_hints pandas.read_pickle joblib.load yaml.unsafe_load io.open code.interact
"""
HARMLESS = """
builtins.int collections.OrderedDict collections.deque argparse.Namespace pathlib.PosixPath fractions.Fraction
typing.Any copyreg._reconstructor _codecs.encode numpy.dtype numpy.float64 numpy._core.multiarray.scalar
numpy.random._pickle.__randomstate_ctor torch.Size torch.FloatStorage torch.storage.TypedStorage
torch._utils._rebuild_tensor_v2 torch._tensor._rebuild_from_type_v2 torch.nn.modules.linear.Linear
torch.nn.parameter.Parameter torch.optim.adamw.AdamW torch.optim.lr_scheduler.StepLR uuid.UUID
"""
UNKNOWN = """
demucs.htdemucs.HTDemucs __main__.Config omegaconf.dictconfig.DictConfig pytorch_lightning.callbacks.Checkpoint
torch.nn.modules.linear.Linear() torch.nn.init.xavier_uniform_ torch.utils.data.dataset.TensorDataset mine.io.Reader
"""


@pytest.mark.parametrize("name", DANGEROUS.split())
def test_what_reaches_beyond_a_checkpoint_is_dangerous(name: str) -> None:
    assert judge(name) == "dangerous"


@pytest.mark.parametrize("name", HARMLESS.split())
def test_what_checkpoints_of_data_name_is_harmless(name: str) -> None:
    assert judge(name) == "harmless"


@pytest.mark.parametrize("name", UNKNOWN.split())
def test_of_the_code_of_others_nothing_is_known(name: str) -> None:
    assert judge(name) == "unknown"


def test_only_listed_standard_library_names_are_safe() -> None:
    for module in sys.stdlib_module_names:
        assert judge(f"{module}.anything") == "dangerous"
        assert judge(f"{module}.deep.Down") == "dangerous"


def test_odd_names_are_judged_too() -> None:
    assert {judge(name) for name in ("", ".", "a", "x" * 500, "\u00e9.\u00e9", "a b.c")} == {"unknown"}
