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
"""generate is an async generator."""
# fails: answers, ...
# words: generate returned a async_generator

import nova_bench as nb


class Model:
    async def generate(self, requests):
        for request in requests:
            yield nb.Response(request.id, "a brain")


def load() -> nb.Adapter:
    return Model()
