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
"""One picture that cannot be read ends all."""
# fails: unreadable image
# words: one unreadable picture ended the others too

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            shapes = [image.array().shape for image in request.images]
            yield nb.Response(request.id, f"{shapes}")


def load() -> nb.Adapter:
    return Model()
