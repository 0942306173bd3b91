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
"""The answers are texts, which say nothing of their request."""
# fails: answers, ...
# words: generate yielded a str

import nova_bench as nb


class Model:
    def generate(self, requests):
        for _ in requests:
            yield "a brain"


def load() -> nb.Adapter:
    return Model()
