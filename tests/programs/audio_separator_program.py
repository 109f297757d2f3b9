"""The audio-separator package's own program, where torchvision is left out: run inside an environment that has it.

    python audio_separator_program.py ARGUMENTS [then ARGUMENTS]...

Each time it takes what the program takes. The program looks for ffmpeg, which it does not need for this: a folder on
PATH has one that only tells its version.
"""

from __future__ import annotations

import sys
from types import ModuleType

package, ops = ModuleType("torchvision"), ModuleType("torchvision.ops")
ops.roi_align = package.ops = ops  # type: ignore[attr-defined]
sys.modules |= {"torchvision": package, "torchvision.ops": ops}

if __name__ == "__main__":
    from audio_separator.utils.cli import main

    calls: list[list[str]] = [[]]
    for argument in sys.argv[1:]:
        if argument == "then":
            calls.append([])
        else:
            calls[-1].append(argument)
    for arguments in calls:
        sys.argv[1:] = arguments
        main()
