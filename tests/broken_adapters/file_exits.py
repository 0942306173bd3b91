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
"""The file ends the program when it is imported."""
# fails: loads
# words: loading raised SystemExit (2)

import nova_bench as nb

if not hasattr(nb, "magic"):
    raise SystemExit(2)


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
