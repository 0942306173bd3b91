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
"""One exception ends everything."""
# fails: answers, ...
# words: generate raised ValueError in line

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            raise ValueError(f"no label in {request.text!r}")
            yield


def load() -> nb.Adapter:
    return Model()
