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
"""It takes what it needs out of the request's dictionary."""
# fails: requests
# words: the adapter changed request 'boxes0.png'

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            kind = request.ask.pop("kind", "") if request.ask else ""
            yield nb.Response(request.id, kind)


def load() -> nb.Adapter:
    return Model()
