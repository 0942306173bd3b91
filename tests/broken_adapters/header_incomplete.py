# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# ///
"""The header does not say where images go, nor how the model may be used."""
# fails: header
# words: the header lacks license, sends

import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
