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
"""load fails for a reason of its own."""
# fails: loads
# words: loading raised ZeroDivisionError in line

import nova_bench as nb


def load(*, parts: int = 0) -> nb.Adapter:
    size = 1000 // parts
    return nb.each(lambda request: f"{size}")
