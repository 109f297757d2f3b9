"""Run in a Python with torch.

`kinds.py make DIR` writes checkpoints of every kind that separation models come in; `kinds.py compare DIR` compares
each with what was read from its converted form, bit for bit.
"""
# mypy: ignore-errors

import argparse
import collections
import datetime as dt
import enum
import functools
import pathlib
import sys
import types

import ml_collections
import numpy as np
import omegaconf
import torch
import torch.nn.functional as F
from torch import nn

PACKAGE = pathlib.Path(__file__).resolve().parents[3] / "src" / "stemsep_envs"

# Classes of an engine that is not there when its checkpoint is read.
engine = types.ModuleType("engine")
sys.modules["engine"] = engine


class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.first = nn.Linear(3, width)
        self.norm = nn.BatchNorm1d(width)
        self.last = nn.Linear(width, 3, bias=False)
        self.act = F.gelu


class Colour(enum.Enum):
    RED = "red"


class Config(dict):
    pass


for cls in (Net, Colour, Config):
    cls.__module__ = "engine"
    setattr(engine, cls.__name__, cls)


def kinds():
    torch.manual_seed(5)
    net = Net()
    optimiser = torch.optim.Adam(net.parameters())
    net.last(F.gelu(net.first(torch.randn(2, 3)))).sum().backward()
    optimiser.step()
    base = torch.arange(24.0)
    table = torch.randn(5, 6)
    tied = nn.Parameter(torch.randn(3, 3))
    half = [getattr(torch, name) for name in ("float16", "bfloat16", "float8_e4m3fn", "float8_e5m2")]
    whole = [
        getattr(torch, name) for name in ("uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
    ]
    cyclic = [1, 2]
    cyclic.append({"self": cyclic})
    fno = net.state_dict()
    fno["_metadata"] = {"act": F.gelu, "n_modes": (16,), "init": {"module": "neuralop", "device": torch.device("cpu")}}
    inner = omegaconf.OmegaConf.create({"model": {"dim": 384, "freqs": [2, 4]}, "lr": 0.1})
    return {
        "state_dict": net.state_dict(),
        "training": {"model": net.state_dict(), "optimizer": optimiser.state_dict(), "epoch": 3, "best": -float("inf")},
        "lightning": {
            "state_dict": net.state_dict(),
            "hyper_parameters": {"args": argparse.Namespace(lr=0.1, layers=[1, 2], act=F.gelu)},
            "callbacks": {"ModelCheckpoint": {"best": torch.tensor(0.25), "when": dt.datetime(2024, 5, 6)}},
        },
        "numpy": {
            "scalars": [np.float64(1.5), np.float32(0.1), np.int64(-3), np.bool_(True), np.uint8(255), np.str_("é")],
            "array": np.arange(6, dtype=np.float32).reshape(2, 3),
            "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
            "empty": np.zeros((0, 2)),
            "big-endian": np.arange(3, dtype=">i4"),
            "complex": np.array([1 + 2j]),
        },
        "defaultdict": {"d": collections.defaultdict(list, a=[1]), "c": collections.Counter("abca")},
        "paths": {"p": pathlib.PurePosixPath("/data/x"), "t": dt.timedelta(3)},
        "functions": {"p": functools.partial(F.gelu, approximate="tanh"), "f": F.gelu, "c": nn.Linear, "e": Colour.RED},
        "omegaconf": {"cfg": inner, "state": net.state_dict()},
        "ml_collections": {"cfg": ml_collections.ConfigDict({"audio": {"hop": 441}}), "state": net.state_dict()},
        "module": net,
        "package": {"klass": Net, "args": (4,), "kwargs": {"width": 4}, "state": net.state_dict(), "x": Config(a=1)},
        "fno": fno,
        "parameters": {"tied": [tied, tied], "frozen": nn.Parameter(torch.ones(2), requires_grad=False), "b": net.norm},
        "small": {
            "half": [torch.randn(3, 5).to(kind) for kind in half],
            "bits": [torch.arange(7).to(k) for k in whole],
        },
        "halves": [torch.randn(3).half(), torch.randn(3).bfloat16()],
        "special": torch.tensor([float("nan"), -0.0, float("inf"), 1e-45]).view(torch.int32),
        "nan": {"f": float("nan"), "t": torch.tensor([float("nan"), -0.0]), "n": -0.0},
        "complex": [torch.randn(3, 2, dtype=kind) for kind in (torch.complex64, torch.complex128)]
        + [torch.randn(3, dtype=torch.complex64).conj(), torch.randn(3, dtype=torch.complex64).conj().imag],
        "views": {"t": table.t(), "row": table[2], "steps": base[1:20:3], "grid": base.view(4, 6)[1:3, ::2]},
        "shared": {"all": base, "half": base[12:], "alias": base, "again": base.view(24)},
        "expanded": torch.tensor([[1.0], [2.0]]).expand(2, 1000),
        "slice-of-large": torch.zeros(100_000)[500:510],
        "shapes": [torch.tensor(3.5), torch.empty(0, 3), torch.empty(2, 0, 4), torch.ones(1, 1, 1), torch.tensor(True)],
        "containers": {
            "set": {1, "a", (2, 3)},
            "frozenset": frozenset([1, frozenset([2])]),
            "bytes": b"\x00\xff",
            "bytearray": [b"", bytes(300)],
            "big": [2**63, -(2**64), 2**200],
            "keys": {1: "a", (1, "b"): "c", None: 0, 2.5: 1, False: 2},
            "text": ["", "é", "🎵", "half \ud800", "\0"],
            "deque": collections.deque([1, 2], maxlen=5),
            "nothing": [None, (), [], {}],
        },
        "torch-values": [torch.Size([1, 2]), torch.float16, torch.device("cuda", 1), torch.strided, torch.Size([])],
        "cyclic": cyclic,
        "grad": torch.ones(2, requires_grad=True),
    }


def make(folder):
    for name, value in kinds().items():
        torch.save(value, folder / f"{name}.ckpt")
        try:
            torch.save(value, folder / f"{name}-legacy.ckpt", _use_new_zipfile_serialization=False)
            torch.load(folder / f"{name}-legacy.ckpt", weights_only=False)
        except Exception as error:  # newer types have no form there
            print("not in the legacy format:", name, error)
            (folder / f"{name}-legacy.ckpt").unlink()
    import pickle

    torch.save(kinds()["training"], folder / "protocol-4.ckpt", pickle_protocol=4)
    (folder / "plain.ckpt").write_bytes(pickle.dumps({"a": torch.arange(4.0), "n": np.arange(3), "list": [1]}))
    (folder / "plain-5.ckpt").write_bytes(pickle.dumps({"n": np.arange(3.0), "b": bytearray(b"ab")}, protocol=5))


class Comparison:
    def __init__(self):
        from inside.checkpoints.inert import Inert

        self.inert = Inert
        self.seen = set()
        self.compared = 0
        self.storages = {}

    def __call__(self, got, expected, where):
        if (id(got), id(expected)) in self.seen:
            return
        self.seen.add((id(got), id(expected)))
        self.compared += 1
        if isinstance(got, self.inert):
            self.compare_inert(got, expected, where)
        elif isinstance(expected, torch.Tensor):
            self.compare_tensors(got, expected, where)
        elif isinstance(expected, np.ndarray):
            # numpy itself turns the bytes of some arrays round while it unpickles them.
            assert got.dtype.newbyteorder("=") == expected.dtype.newbyteorder("="), where
            got = got.astype(expected.dtype)
            assert got.shape == expected.shape and got.tobytes() == expected.tobytes(), where
            assert got.flags.f_contiguous == expected.flags.f_contiguous, where
        elif isinstance(expected, np.generic):
            assert not isinstance(got, np.generic) and got == expected.item(), where
        elif isinstance(expected, dict):
            assert isinstance(got, dict) and list(got) == list(expected), (where, list(got), list(expected))
            if type(expected) is collections.OrderedDict:
                assert type(got) is collections.OrderedDict, where
                assert getattr(got, "_metadata", None) == getattr(expected, "_metadata", None), where
            for key in expected:
                self(got[key], expected[key], f"{where}.{key}")
        elif isinstance(expected, (list, tuple, collections.deque)):
            assert type(got) is (list if isinstance(expected, collections.deque) else type(expected)), where
            assert len(got) == len(expected), where
            for index, (mine, other) in enumerate(zip(got, expected, strict=True)):
                self(mine, other, f"{where}[{index}]")
        elif isinstance(expected, float):
            assert type(got) is float and got.hex() == expected.hex(), where
        elif isinstance(expected, bytearray):
            assert got == bytes(expected), where
        else:
            assert type(got) is type(expected) and got == expected, (where, got, expected)

    def compare_inert(self, got, expected, where):
        named = expected if got.args is None else type(expected)
        module, name = getattr(named, "__module__", ""), getattr(named, "__qualname__", getattr(named, "__name__", ""))
        known = {"torch.strided": "torch.serialization._get_layout"}
        assert got.name in (f"{module}.{name}", known.get(str(expected))) or got.name.endswith(f".{name}"), (where, got)
        if isinstance(expected, (argparse.Namespace, nn.Module)):
            self(got.state, vars(expected), where)
        if isinstance(expected, Config):
            assert got.mapping == dict(expected), where

    def compare_tensors(self, got, expected, where):
        assert type(got) is type(expected), (where, type(got))
        for what in ("dtype", "shape", "requires_grad"):
            assert getattr(got, what) == getattr(expected, what), (where, what)
        assert got.stride() == expected.stride(), where
        assert got.is_conj() == expected.is_conj() and got.is_neg() == expected.is_neg(), where
        mine, other = (t.detach().resolve_conj().resolve_neg().contiguous().reshape(-1) for t in (got, expected))
        if mine.numel():
            assert torch.equal(mine.view(torch.uint8), other.view(torch.uint8)), where
            # What shares memory shares it here, and what does not does not.
            pair = (got.untyped_storage().data_ptr(), expected.untyped_storage().data_ptr())
            assert self.storages.setdefault(pair[0], pair) == pair == self.storages.setdefault(pair[1], pair), where


def compare(folder):
    sys.path.append(str(PACKAGE))
    import pickle

    from inside.checkpoints import reading

    files = sorted(folder.glob("*.ckpt"))
    for path in files:
        if path.stem.startswith("plain"):
            expected = pickle.loads(path.read_bytes())
        else:
            expected = torch.load(path, weights_only=False)
        comparison = Comparison()
        comparison(reading.read(str(path.with_suffix(".safetensors")), True), expected, path.stem)
    print(len(files))


if __name__ == "__main__":
    {"make": make, "compare": compare}[sys.argv[1]](pathlib.Path(sys.argv[2]))
