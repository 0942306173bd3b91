# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Broken"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# stream = false
# sends = "local"
# ///
"""generate forgets to return what it made."""
# fails: answers, ...
# words: generate returned a NoneType

import nova_bench as nb


class Model:
    def generate(self, requests):
        answers = [nb.Response(request.id, "a brain") for request in requests]
        answers.reverse()


def load() -> nb.Adapter:
    return Model()
