# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""The weights are not there."""
# not checked: loads
# words: the file acme_brain.safetensors is not there, which the file wants in line

from pathlib import Path

import nova_bench as nb


def load(*, weights: Path = Path("acme_brain.safetensors")) -> nb.Adapter:
    size = len(weights.read_bytes())
    return nb.each(lambda request: f"{size}")
