"""Fairness-aware performance over groups of patients, as a module of Hugging Face ``evaluate``; computed by nova_bench."""

# One import a line, and none in brackets: evaluate reads this file line by line to find what it needs.
import datasets
import evaluate

from nova_bench.export.group_scores import group_scores
from nova_bench.metrics.fairness import fap

_DESCRIPTION = """\
Fairness-aware performance: the weighted mean of the groups' scores less lambda times their deviation from it. FMBench gives neither the
norm of the deviation, nor the weights, nor lambda, so the result names its member of the family.
"""

_INPUTS = """
Args:
    predictions: One an answer: texts or numbers. In the configuration "sums": numerators, such as each answer's score.
    references: One an answer, alike. In the configuration "sums": denominators; 1 each for a mean of scores.
    groups: Each answer's group, a text; an empty one where it is not known.
    lam: lambda, at least 0 (default: 1).
    deviation: "wstd", "wmad" or "max" (default: "wstd").
    weights: "size", by how many answers a group has, or "uniform" (default: "size").

Returns:
    fap: The number, higher is better.
    name: Which member of the family it is.
    groups: Each group's score: the share of predictions that equal their reference; in "sums", the sum of the numerators over that
        of the denominators.
    n: Each group's number of answers. Few patients make any number of groups noisy; answers of one patient are no further patients.

Example:
    >>> fap = evaluate.load("evaluate_modules/fap")
    >>> fap.compute(predictions=["a", "b", "a"], references=["a", "a", "a"], groups=["x", "x", "y"])["groups"]
    {'x': 0.5, 'y': 1.0}
"""

_CITATION = "FMBench, arXiv 2410.01089"


class Fap(evaluate.Metric):
    """The module; ``evaluate.load`` makes it."""

    def _info(self):
        if self.config_name not in ("default", "labels", "sums"):
            raise ValueError(
                f"got the configuration {self.config_name!r}, expected 'labels' (the default) or 'sums'"
            )
        kinds = ("float64",) if self.config_name == "sums" else ("string", "float64")
        features = [
            datasets.Features(
                {
                    "predictions": datasets.Value(kind),
                    "references": datasets.Value(kind),
                    "groups": datasets.Value("string"),
                }
            )
            for kind in kinds
        ]
        return evaluate.MetricInfo(
            description=_DESCRIPTION, citation=_CITATION, inputs_description=_INPUTS, features=features
        )

    def _compute(self, predictions, references, groups, lam=1.0, deviation="wstd", weights="size"):
        kind = "sums" if self.config_name == "sums" else "labels"
        found = group_scores(predictions, references, groups, kind=kind)
        value = fap(found.scores, found.counts, lam=lam, deviation=deviation, weights=weights)
        name = f"fap(lambda={lam:g},dev={deviation},w={weights})"
        return {"fap": value, "name": name, "groups": dict(found.scores), "n": dict(found.counts)}
