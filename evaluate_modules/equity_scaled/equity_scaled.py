"""Equity-scaled score over groups of patients, as a module of Hugging Face ``evaluate``; computed by nova_bench."""

# One import a line, and none in brackets: evaluate reads this file line by line to find what it needs.
import datasets
import evaluate

from nova_bench.export.group_scores import group_scores
from nova_bench.metrics.fairness import equity_scaled

_DESCRIPTION = """\
The score over everybody, divided by 1 + alpha times the sum of the groups' distances from it: M / (1 + alpha * sum_g |M_g - M|).
"""

_INPUTS = """
Args:
    predictions: One an answer: texts or numbers. In the configuration "sums": numerators, such as each answer's score.
    references: One an answer, alike. In the configuration "sums": denominators; 1 each for a mean of scores.
    groups: Each answer's group, a text; an empty one where it is not known: such answers count for the score over everybody only.
    alpha: At least 0 (default: 1).

Returns:
    equity_scaled: The number, higher is better.
    overall: M, the score over everybody.
    groups: Each group's score: the share of predictions that equal their reference; in "sums", the sum of the numerators over that
        of the denominators.
    n: Each group's number of answers. Few patients make any number of groups noisy; answers of one patient are no further patients.

Example:
    >>> equity_scaled = evaluate.load("evaluate_modules/equity_scaled")
    >>> equity_scaled.compute(predictions=["a", "b"], references=["a", "a"], groups=["x", "y"])["equity_scaled"]
    0.25
"""

_CITATION = "FairCLIP, Luo et al. 2024, arXiv 2403.19949"


class EquityScaled(evaluate.Metric):
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

    def _compute(self, predictions, references, groups, alpha=1.0):
        kind = "sums" if self.config_name == "sums" else "labels"
        found = group_scores(predictions, references, groups, kind=kind)
        value = equity_scaled(found.overall, found.scores, alpha=alpha)
        return {
            "equity_scaled": value,
            "overall": found.overall,
            "groups": dict(found.scores),
            "n": dict(found.counts),
        }
