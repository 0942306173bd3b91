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
"""generate can be called once."""
# fails: second generate, ...
# words: generate raised RuntimeError in line

import nova_bench as nb


class Model:
    def __init__(self):
        self.is_used = False

    def generate(self, requests):
        if self.is_used:
            raise RuntimeError("the session is over")
        self.is_used = True
        for request in requests:
            yield nb.Response(request.id, "a brain")


def load() -> nb.Adapter:
    return Model()
