"""How long the command line takes to answer: ``nova-bench --help`` and ``nova-bench list``, each in a fresh process.

    python benchmarks/start_up.py [--quick]

The best of N is taken, because everything else that a machine does only adds. A bare ``python -c pass`` is the floor that no
Python program gets under. The modules that a verb loaded are read from the same process, at its end: none of the heavy ones may be there.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence

BUDGET = 0.25
HEAVY = ("torch", "datasets", "pandas", "pyarrow", "openai", "numpy", "scipy", "PIL", "rich")
FORBIDDEN = ("torch", "datasets", "pandas", "openai", "numpy", "PIL")
COMMANDS = (("--help",), ("list",), ("list", "--json"))

# What the console script does, then the names of all modules that this loaded.
SPY = """
import sys
from nova_bench.cli import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print("\\nLOADED", *{name.partition(".")[0] for name in sys.modules})
"""
VERB = "import sys; from nova_bench.cli import main; sys.exit(main())"


def best_of(n: int, command: Sequence[str]) -> float:
    """Return the least seconds of `n` fresh processes, after one that fills the file cache."""
    taken = []
    for _ in range(n + 1):
        began = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(time.perf_counter() - began)
    return min(taken[1:])


def heavy_modules(words: Sequence[str]) -> list[str]:
    """Return which of the heavy modules a command line loads."""
    command = [sys.executable, "-c", SPY, *words]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    loaded = text.rpartition("\nLOADED ")[2].split()
    return [name for name in HEAVY if name in loaded]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="best of 3 instead of 15")
    n = 3 if parser.parse_args().quick else 15
    floor = best_of(n, [sys.executable, "-c", "pass"])
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}  {os.cpu_count()} CPUs  python {platform.python_version()}  "
        f"nova-bench {importlib.metadata.version('nova-bench')}; best of {n} fresh processes",
        f"{'command':<24}{'measured':>10}{'budget':>9}{'of budget':>11}{'of floor':>10}  heavy modules",
        f"{'python -c pass':<24}{floor:>8.3f} s{'':>9}{'':>11}{1:>9.1f}x",
    ]
    for words in COMMANDS:
        seconds = best_of(n, [sys.executable, "-c", VERB, *words])
        heavy = heavy_modules(words)
        said = ", ".join(f"{name} (must not be)" if name in FORBIDDEN else name for name in heavy) or "none"
        name = " ".join(("nova-bench", *words))
        lines.append(
            f"{name:<24}{seconds:>8.3f} s{BUDGET:>7.2f} s{seconds / BUDGET:>11.2f}{seconds / floor:>9.1f}x  {said}"
        )
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
