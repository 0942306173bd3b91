"""my_task: is there a bright disc in the picture? Say here what yours asks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import nova_bench as nb
from nova_bench.demographics import age_bin
from nova_bench.metrics.classification import mean_of
from nova_bench.parse import parse_text

ANSWERS = ("yes", "no")

SOURCE = nb.Source.local(  # users give --data FOLDER
    "Made-up discs",
    table="table.csv",  # in that folder; or a Parquet file
    key="id",  # the column that tells rows apart
    images="file",  # the column with the pictures' paths, relative to the folder
    required=("patient", "finding", "sex", "age"),
    gated=True,  # pictures of patients: to a vendor only with --allow-hosted
)


def sample(row: Mapping[str, Any], variant: Mapping[str, str]) -> Iterable[nb.Sample]:
    """Yield the sample of one row; cells of a CSV file are texts or None, ``row["image"]`` is the picture."""
    if not row["patient"] or row["finding"] not in ANSWERS:
        raise nb.DataError(
            f"patient {row['patient']!r}, finding {row['finding']!r}; expected a name, and yes or no"
        )
    groups = {"sex": row["sex"], "age": age_bin(row["age"])}  # None is unknown, and never a group of its own
    yield nb.Sample(row["id"], (row["image"],), {}, row["finding"], row["patient"], groups)


def prompt(sample: nb.Sample, card: nb.Card) -> nb.Prompt:
    """Return what a model is given: pictures and text in order, nothing of ``sample.target`` or ``sample.groups``."""
    question = "Is there a bright disc in the picture? Answer yes or no."
    return nb.Prompt((*sample.images, question), ask={"kind": "question", "question": question})


def parse(response: nb.Response, context: nb.Context) -> nb.Prediction:
    """Return what was understood; reasoning, refusals and cut answers are seen to by `parse_text`."""
    read = parse_text(response, context)
    named = set(re.findall("[a-z]+", (read.value or "").lower())).intersection(ANSWERS)
    if len(named) == 1:
        return nb.Prediction(read.status, named.pop())
    return nb.Prediction("unparsed" if read.status == "ok" else read.status)


right = nb.per_sample(
    lambda sample, prediction: {"right": float(prediction.value == sample.target)},
    name="right",
    columns=("right",),
    bounds=lambda sample: ({"right": 0.0}, {"right": 1.0}),  # of the worst and the best answer
)

TASK = nb.Task(
    name="my_task",
    version=1,  # raise it when a request, or the score of an unchanged answer, changes
    data=SOURCE,
    sample=sample,
    prompt=prompt,
    parse=parse,
    parser_version=1,
    scorers=(right,),
    metrics=(mean_of("right", "accuracy", about="Share of pictures that are answered rightly."),),
    headline="accuracy",
    params=nb.GenParams(max_tokens=256, temperature=0.0, seed=0),
    variants={},
    demographics=("sex", "age"),  # what nova-bench fairness compares
    about="Whether a picture shows a bright disc.",
)
