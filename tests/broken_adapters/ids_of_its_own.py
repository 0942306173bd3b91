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
"""The answers are numbered."""
# fails: answers, ...
# words: a response has the id '0', which was not asked

import nova_bench as nb


class Model:
    def generate(self, requests):
        for i, _ in enumerate(requests):
            yield nb.Response(str(i), "a brain")


def load() -> nb.Adapter:
    return Model()
