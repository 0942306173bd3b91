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
"""A log line has the whole address."""
# fails: keys
# words: the value of BROKEN_API_KEY is in what it wrote to standard error

import logging
import os

import nova_bench as nb


def answer(request: nb.Request) -> str | nb.Response:
    logging.warning("POST https://api.example.org/?key=%s", os.environ["BROKEN_API_KEY"])
    return "a brain"


def load() -> nb.Adapter:
    return nb.each(answer)
