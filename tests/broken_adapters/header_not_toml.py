# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = Broken model
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""A text in the header lacks its quotation marks."""
# fails: header
# words: is not TOML

import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
