"""Mends an environment with a CPU torch in which torchvision came as a CUDA build: ``python cpu_environment.py`` inside it.

Such a torchvision fails at import, because it registers fakes for compiled operators that are not there. To declare two of them first is
enough for the image processors. vLLM starts processes of its own, so this has to happen in each of them: a ``.pth`` file imports a module
that waits until torchvision is asked for. Only for tests on machines without a GPU; where torchvision imports, nothing is written.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

NAME = "torchvision_without_cuda"

MODULE = '''"""Declares the compiled operators that torchvision registers fakes for, before its first import."""

import importlib.abc
import sys


class Finder(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            import torch

            library = torch.library.Library("torchvision", "DEF")
            for operator in ("nms", "qnms"):
                library.define(operator + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            sys.modules[__name__].library = library  # undefined again once it is collected
        return None


sys.meta_path.insert(0, Finder())
'''


def works() -> bool:
    """Return whether torchvision imports in a fresh interpreter."""
    command = [sys.executable, "-c", "import torchvision.transforms.v2"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def main() -> None:
    if works():
        return
    packages = Path(sysconfig.get_path("purelib"))
    (packages / f"{NAME}.py").write_text(MODULE, encoding="utf-8")
    (packages / f"{NAME}.pth").write_text(f"import {NAME}\n", encoding="utf-8")
    if not works():
        raise SystemExit(
            "torchvision still fails to import; install the build that fits this torch (both from one index)"
        )


if __name__ == "__main__":
    main()
