"""COCO's average precision at IoU 0.5 for one class, as a module of Hugging Face ``evaluate``; computed by nova_bench."""

# One import a line, and none in brackets: evaluate reads this file line by line to find what it needs.
import datasets
import evaluate

from nova_bench.export.pooled_ap import pooled_ap

_DESCRIPTION = """\
Average precision at IoU 0.5, pooled over the images, as pycocotools computes it: at most 100 boxes an image, precision read at 101
recalls, equal scores in the order of the images and of their boxes.
"""

_INPUTS = """
Args:
    predictions: One an image: {"boxes": [[x0, y0, x1, y1], ...], "scores": [...]}, in pixels, right and bottom exclusive.
    references: One an image: {"boxes": [...]}; an empty list where there is nothing to find.

Returns:
    ap50: At IoU 0.5; NaN without any true box.
    ap: The mean over IoU 0.50:0.05:0.95.
    n_images: Of how many images.
    n_true: How many true boxes they have.

Example:
    >>> ap50 = evaluate.load("evaluate_modules/ap50")
    >>> ap50.compute(predictions=[{"boxes": [[0, 0, 10, 6]], "scores": [0.9]}], references=[{"boxes": [[0, 0, 10, 10]]}])
    {'ap50': 1.0, 'ap': 0.3, 'n_images': 1, 'n_true': 1}
"""

_CITATION = "Microsoft COCO, Lin et al. 2014, arXiv 1405.0312"


class Ap50(evaluate.Metric):
    """The module; ``evaluate.load`` makes it."""

    def _info(self):
        boxes = datasets.Sequence(datasets.Sequence(datasets.Value("float64")))
        scores = datasets.Sequence(datasets.Value("float64"))
        features = datasets.Features(
            {"predictions": {"boxes": boxes, "scores": scores}, "references": {"boxes": boxes}}
        )
        return evaluate.MetricInfo(
            description=_DESCRIPTION, citation=_CITATION, inputs_description=_INPUTS, features=features
        )

    def _compute(self, predictions, references):
        return pooled_ap(predictions, references)._asdict()
