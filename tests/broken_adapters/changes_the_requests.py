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
"""It writes its own prompt into the request."""
# fails: requests
# words: the adapter changed request 'plain0.png'

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            object.__setattr__(request, "system", "You are a radiologist.")
            yield nb.Response(request.id, "a brain")


def load() -> nb.Adapter:
    return Model()
