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
"""An answer is given as a draft, and once more."""
# fails: ids
# words: was answered twice

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            yield nb.Response(request.id, "a")
            yield nb.Response(request.id, "a brain")


def load() -> nb.Adapter:
    return Model()
