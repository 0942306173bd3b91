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
"""The process is ended behind Python's back."""
# fails: answers
# words: ended its process with exit code 3 in step 'answers'

import os

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            os._exit(3)
            yield nb.Response(request.id, "a brain")


def load() -> nb.Adapter:
    return Model()
