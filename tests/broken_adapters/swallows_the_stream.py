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
"""It reads all requests before it answers the first, and its header does not say so."""
# fails: lazy
# words: requests before its first answer: it reads the whole stream first

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in list(requests):
            yield nb.Response(request.id, "a brain")


def load() -> nb.Adapter:
    return Model()
