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
"""close can be called once."""
# fails: close
# words: a second close() raised KeyError

import nova_bench as nb


class Model:
    def __init__(self):
        self.held = {"session": 1}

    def generate(self, requests):
        for request in requests:
            yield nb.Response(request.id, "a brain")

    def close(self):
        del self.held["session"]


def load() -> nb.Adapter:
    return Model()
