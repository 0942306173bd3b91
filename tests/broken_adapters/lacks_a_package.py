# /// script
# requires-python = ">=3.11"
# dependencies = ["a-package-of-acme>=2"]
# [tool.nova-bench]
# name = "Broken"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/1000"
# sends = "local"
# ///
"""A package is not installed; the header names it."""
# not checked: loads
# words: package 'a_package_of_acme' is not installed, which the file wants in line

import nova_bench as nb


def load() -> nb.Adapter:
    import a_package_of_acme

    return a_package_of_acme.Model()
