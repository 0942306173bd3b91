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
"""Native code reads where nothing is, at the large picture."""
# fails: large image
# words: ended by signal SIGSEGV in step 'large image'

import ctypes

import nova_bench as nb


class Model:
    def generate(self, requests):
        for request in requests:
            if any(max(image.size) > 4000 for image in request.images):
                ctypes.string_at(0)
            yield nb.Response(request.id, "a brain")


def load() -> nb.Adapter:
    return Model()
