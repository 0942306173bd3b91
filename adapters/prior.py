# /// script
# requires-python = ">=3.11"
# dependencies = []
# [tool.nova-bench]
# name = "Prior (blind baseline)"
# license = "apache-2.0"
# weights = "none"
# outputs = ["text"]
# boxes = "xyxy/px"
# sends = "local"
# ///
"""Blind baseline: shows how far guessing gets.

It never decodes an image and never reads a prompt: every localisation gets the same few boxes (scaled to
the image's width and height), every description the same sentence, every diagnosis the same five common
diseases, every question a no, and every report of an eye says that it is healthy. An adapter that does not
beat it has not been shown to look at anything. The boxes are guesses at where lesions of average size lie
(each hemisphere, the centre); none is fitted to a data set.
"""

from __future__ import annotations

import json

import nova_bench as nb

# Corners as fractions of width and height, with a score: the two hemispheres, then the centre.
BOXES = (
    ((0.22, 0.32, 0.44, 0.56), 0.3),
    ((0.56, 0.32, 0.78, 0.56), 0.3),
    ((0.38, 0.38, 0.62, 0.62), 0.2),
)
CAPTION = "Axial T2-weighted image shows a hyperintense lesion in the cerebral white matter and oedema."
DIAGNOSES = ("Glioblastoma", "Ischaemic infarct", "Multiple sclerosis", "Meningioma", "Brain metastasis")
ANSWER = "No"
REPORT = (
    "The optic disc has a cup-to-disc ratio of 0.5 and an intact neuroretinal rim. The macula is normal. "
    "There is no sign of glaucoma; a routine visit in 12 months is recommended."
)


def load() -> nb.Adapter:
    """Return the adapter; there is nothing to load."""
    return nb.each(answer)


def answer(request: nb.Request) -> str:
    """Answer one request by its `ask`, whatever it shows."""
    kind = (request.ask or {}).get("kind")
    if kind == "ground":
        width, height = request.images[-1].size if request.images else (480, 480)
        scale = (width, height, width, height)
        boxes = [
            {"box": [round(f * s) for f, s in zip(box, scale, strict=True)], "score": score}
            for box, score in BOXES
        ]
        return json.dumps({"boxes": boxes})
    if kind == "diagnose":
        return json.dumps(
            {"most_likely_diagnosis": DIAGNOSES[0], "other_possible_diagnoses": list(DIAGNOSES[1:])}
        )
    if kind == "question":
        return ANSWER
    if kind == "report":
        return REPORT
    return CAPTION
