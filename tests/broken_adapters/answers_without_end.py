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
"""It goes on answering to nothing."""
# fails: answers
# words: generate yielded more than 100 responses to nothing that was asked

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            while True:
                yield nb.Response(f"{request.id} again", "a brain")


def load() -> nb.Adapter:
    return Model()
