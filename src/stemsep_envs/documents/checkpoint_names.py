"""What the names in a checkpoint stand for: harmless, dangerous, or unknown.

A rule and not a list of attacks: what a checkpoint of data names is listed, by name or by kind; everything else of the
standard library is dangerous, as are parts of torch and numpy, and packages that reach files, processes, the network or
other code. The rest is code of others, of which nothing is known.
"""

from __future__ import annotations

import re
import sys
from typing import Literal

Verdict = Literal["dangerous", "unknown", "harmless"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HARMLESS: dict[str, str] = {
    "builtins": "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple type",
    "collections": "ChainMap Counter OrderedDict defaultdict deque",
    "copyreg": "__newobj__ __newobj_ex__ _reconstructor",
    "datetime": "date datetime time timedelta timezone",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "pathlib._local": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "typing": "Any Dict List Optional Sequence Set Tuple Union",
    "uuid": "SafeUUID UUID",
    "_codecs": "encode",
    "argparse": "Namespace",
    "array": "_array_reconstructor array",
    "decimal": "Decimal",
    "fractions": "Fraction",
    "random": "Random",
    "re": "_compile",
    "types": "SimpleNamespace",
    "numpy": "bool dtype ndarray str_ bytes_ bool_ void",
    "numpy.random.mtrand": "RandomState",
    "numpy.random._pickle": "__bit_generator_ctor __generator_ctor __randomstate_ctor",
    "torch": "Generator Size Tensor device dtype",
    "torch.nn.parameter": "Buffer Parameter UninitializedBuffer UninitializedParameter",
    "torch.nn": "Parameter",
}
_HARMLESS_NAMES = frozenset(f"{module}.{name}" for module, names in _HARMLESS.items() for name in _words(names))
_HARMLESS_KINDS = re.compile(
    r"""
      numpy\.(?:u?int|float|complex)\d+
    | numpy\.(?:core|_core)\.multiarray\.(?:_reconstruct|scalar)
    | numpy\.(?:core|_core)\.numeric\._frombuffer
    | torch\.(?:_utils|_tensor)\._rebuild_\w+
    | torch\.(?:cuda\.|storage\.)?\w*Storage
    | torch\.nn\.modules\.\w+\.[A-Z]\w*
    | torch\.optim\.\w+\.[A-Z]\w*
    """,
    re.VERBOSE | re.ASCII,
)

_STANDARD_MODULES = sys.stdlib_module_names | _words(
    """
    __builtin__ asynchat asyncore cgi cgitb commands copy_reg crypt distutils dummy_threading formatter httplib imp
    lib2to3 macpath mailcap msilib nis nntplib ossaudiodev parser pipes popen2 smtpd sndhdr spwd symbol telnetlib test
    urllib2 urlparse uu xdrlib
    """
)
"""Those of this Python, which knows those of all systems, and those that others had."""

_DANGEROUS_PACKAGES = _words(
    """
    IPython _distutils_hack _pytest aiohttp cffi cloudpickle dill fabric fsspec gdown httplib2 httpx huggingface_hub
    invoke joblib jsonpickle keras mlflow nltk nose numexpr paramiko pexpect pip pkg_resources plumbum psutil
    ptyprocess pytest ray requests ruamel setuptools sh sitecustomize tensorflow tf_keras urllib3 usercustomize
    virtualenv wandb yaml
    """
)
_DANGEROUS_PREFIXES = _words(
    """
    numpy.DataSource numpy.compat numpy.ctypeslib numpy.distutils numpy.f2py numpy.genfromtxt numpy.lib numpy.load
    numpy.loadtxt numpy.save numpy.savetxt numpy.savez numpy.savez_compressed numpy.testing
    pandas.eval pandas.io pandas.read_pickle
    torch._C torch._classes torch._dynamo torch._export torch._inductor torch._ops torch._sources torch._utils
    torch._utils_internal torch.autograd.profiler torch.classes torch.compile torch.contrib torch.distributed.elastic
    torch.distributed.launch torch.distributed.launcher torch.distributed.rpc torch.distributed.run torch.export
    torch.fx torch.hub torch.jit torch.library torch.load torch.multiprocessing torch.onnx torch.ops torch.package
    torch.profiler torch.save torch.serialization torch.storage torch.testing torch.utils
    """
)
_MERELY_UNKNOWN_PREFIXES = frozenset(["torch.utils.data"])

_DANGEROUS_PARTS = _words(
    """
    Popen builtins check_output ctypes eval exec exec_module execfile from_file fromfile import_module importlib load
    load_model load_module loads marshal memmap nt os pickle posix pty runpy shutil socket subprocess sys system tofile
    """
)
"""What is dangerous wherever it is found: a name may lead through any module to what that has imported."""


def judge(name: str) -> Verdict:
    """Say what calling something by its name ("module.qualname") could do: reach beyond the checkpoint, or not."""
    if name in _HARMLESS_NAMES or _HARMLESS_KINDS.fullmatch(name):
        return "harmless"
    parts = name.removesuffix("()").split(".")
    if parts[0] in _STANDARD_MODULES or parts[0] in _DANGEROUS_PACKAGES:
        return "dangerous"
    if any(part in _DANGEROUS_PARTS or _is_internal(part) for part in parts[1:]):
        return "dangerous"
    prefixes = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return "dangerous" if prefixes & _DANGEROUS_PREFIXES and not prefixes & _MERELY_UNKNOWN_PREFIXES else "unknown"


def _is_internal(part: str) -> bool:
    return part.startswith("__") and part.endswith("__")
