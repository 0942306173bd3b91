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
# The file does not say what it is.
# fails: docstring
# words: the file has no docstring

import nova_bench as nb


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
