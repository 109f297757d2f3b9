"""Runs a script of an msst engine, in its folder: ``msst_inside.py ADAPTER MODEL_TYPE SCRIPT ARGUMENT…``.

What the adapter puts in place of packages that are not installed is put in place here too.
"""

from __future__ import annotations

import importlib
import runpy
import sys
from pathlib import Path
from types import ModuleType

adapter, model_type, script = sys.argv[1:4]
sys.path.insert(0, str(Path.cwd()))
package = ModuleType("adapter")
package.__path__ = [adapter]
sys.modules["adapter"] = package
importlib.import_module("adapter.stand_ins").install(model_type)
sys.argv = sys.argv[3:]
runpy.run_path(script, run_name="__main__")
