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
"""torch is imported when the file is loaded, and may not be there at all."""
# fails: imports
# words: imports torch when the file is loaded

import torch

import nova_bench as nb

DEVICE = torch.device("cpu")


def load() -> nb.Adapter:
    return nb.each(lambda request: "a brain")
