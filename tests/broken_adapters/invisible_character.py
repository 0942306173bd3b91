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
"""A comment holds a right-to-left mark: a reader sees another line than Python does."""
# fails: characters
# words: holds the invisible character U+202E

import nova_bench as nb

NAME = "a brain"  # ‮not shown as it is written


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
