"""Name the plane of a slice: axial, coronal or sagittal (Acme)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import nova_bench as nb
from nova_bench.metrics.classification import mean_of

SOURCE = nb.Source(
    name="NOVA",
    hub="c-i-ber/Nova",
    revision="main",
    table="data/nova-v1.parquet",
    key="filename",
    images="image_path",
    required=("filename", "case_id", "image_path", "caption_text"),
    license="CC-BY-NC-SA-4.0",
    license_url="https://creativecommons.org/licenses/by-nc-sa/4.0/",
    mini="nova_mini",
)
PLANES = ("axial", "coronal", "sagittal")


def sample(row: Mapping[str, Any], variant: Mapping[str, str]) -> Iterable[nb.Sample]:
    caption = (row["caption_text"] or "").lower()
    named = [plane for plane in PLANES if plane in caption]
    if len(named) != 1:
        raise nb.DataError(f"the caption names {len(named)} planes, expected 1")
    yield nb.Sample(row["filename"], (row["image"],), {}, named[0], row["case_id"], {"plane": named[0]})


def prompt(sample: nb.Sample, card: nb.Card) -> nb.Prompt:
    return nb.Prompt((*sample.images, "In which plane is this slice? Answer axial, coronal or sagittal."))


def parse(response: nb.Response, context: nb.Context) -> nb.Prediction:
    named = [plane for plane in PLANES if plane in (response.text or "").lower()]
    return nb.Prediction("ok", named[0]) if len(named) == 1 else nb.Prediction("unparsed")


right = nb.per_sample(
    lambda sample, prediction: {"right": float(prediction.value == sample.target)},
    name="plane",
    columns=("right",),
    bounds=lambda sample: ({"right": 0.0}, {"right": 1.0}),
)

TASK = nb.Task(
    name="acme_plane",
    version=1,
    data=SOURCE,
    sample=sample,
    prompt=prompt,
    parse=parse,
    parser_version=1,
    scorers=(right,),
    metrics=(mean_of("right", "accuracy", about="Share of slices whose plane is named rightly."),),
    headline="accuracy",
    params=nb.GenParams(max_tokens=64, temperature=0.0, seed=0),
    variants={},
    slices=("plane",),
    about="The plane of the slice, from the image alone.",
)
