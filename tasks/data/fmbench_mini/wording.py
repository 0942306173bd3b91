"""Puts findings into words: a short clinical note, and questions with their answers in three categories.

No sentence says who the patient is, and none leaves out what it was asked for: every answer follows from the findings
that the picture is drawn from. What to test and to do follows from them by the simple rules below, which are this
project's own and no medical advice.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from patients import Findings

CATEGORIES = ("diagnosis", "testing or treatment", "medical condition")

QUALITY = {
    "blur": "blur",
    "eyelash shadow": "eyelash shadows",
    "blink band": "a blink",
    "uneven illumination": "uneven illumination",
    "eye movement": "eye movement",
}
RIM = {
    (): "intact",
    ("superior",): "thinned superiorly",
    ("inferior",): "thinned inferiorly",
    ("superior", "inferior"): "thinned superiorly and inferiorly",
}


def diagnosis(f: Findings) -> str:
    """Return the diagnosis in a few words."""
    nerve = {"yes": "glaucoma", "suspect": "glaucoma suspect", "no": ""}[f.glaucoma]
    macula = "early dry macular degeneration" if f.drusen == "many" else ""
    named = " and ".join(part for part in (nerve, macula) if part)
    return named[0].upper() + named[1:] if named else "No eye disease"


def next_test(f: Findings) -> str:
    """Return the test that comes next."""
    if f.quality == "poor":
        return "The picture should be repeated because its quality is poor."
    if f.glaucoma == "yes":
        return "Visual field testing and OCT of the nerve fibre layer are recommended."
    if f.glaucoma == "suspect":
        return "OCT of the nerve fibre layer and a measurement of the eye pressure are recommended."
    return "OCT of the macula is recommended." if f.drusen == "many" else "No further test is needed."


def treatment(f: Findings) -> str:
    """Return what is to be done."""
    return {
        "yes": "Eye drops that lower the eye pressure are recommended.",
        "suspect": "No treatment for now, only monitoring.",
        "no": "No treatment is needed.",
    }[f.glaucoma]


def next_visit(f: Findings) -> str:
    """Return when the eye is to be seen again."""
    if f.glaucoma == "yes":
        return "3 months"
    return "6 months" if f.glaucoma == "suspect" else "12 months"


def macula(f: Findings) -> str:
    """Return what the macula shows."""
    return {
        "none": "The macula is normal without drusen.",
        "few": "The macula shows a few drusen.",
        "many": "The macula shows many drusen.",
    }[f.drusen]


def quality(f: Findings) -> str:
    """Return how good the picture is."""
    level = f.quality.capitalize()
    return level if f.limit is None else f"{level}, limited by {QUALITY[f.limit]}"


def _yes(holds: bool) -> str:
    return "Yes" if holds else "No"


def _where(f: Findings) -> str:
    return f"At the {f.haemorrhage} disc margin."


def _rim(f: Findings) -> str:
    return f"The rim is {RIM[f.thin]}."


Question = tuple[str, str, tuple[str, ...], Callable[[Findings], str], Callable[[Findings], int]]
"""Name, category, ways to ask, the answer, and how readily it is asked: a finding that is there is asked for more often."""

QUESTIONS: tuple[Question, ...] = (
    (
        "glaucoma",
        "diagnosis",
        ("Does this eye have glaucoma?", "Is there glaucoma in this eye?", "Is glaucoma present?"),
        lambda f: {"yes": "Yes", "suspect": "Suspected", "no": "No"}[f.glaucoma],
        lambda f: 6,
    ),
    (
        "diagnosis",
        "diagnosis",
        (
            "What is the most likely diagnosis?",
            "What diagnosis fits these findings?",
            "What is the diagnosis of this eye?",
        ),
        diagnosis,
        lambda f: 8,
    ),
    (
        "degeneration",
        "diagnosis",
        ("Is there macular degeneration?", "Does the eye have early macular degeneration?"),
        lambda f: _yes(f.drusen == "many"),
        lambda f: 6 if f.drusen == "many" else 2,
    ),
    (
        "test",
        "testing or treatment",
        (
            "Which test is recommended next?",
            "What further testing does this eye need?",
            "What should be examined next?",
        ),
        next_test,
        lambda f: 8,
    ),
    (
        "treatment",
        "testing or treatment",
        ("What treatment is recommended?", "How should this eye be treated?", "Is treatment needed?"),
        treatment,
        lambda f: 6,
    ),
    (
        "visit",
        "testing or treatment",
        ("When should the eye be seen again?", "After how many months is the next visit due?"),
        next_visit,
        lambda f: 5,
    ),
    (
        "repeat",
        "testing or treatment",
        ("Does the picture have to be repeated?", "Should the imaging be repeated?"),
        lambda f: _yes(f.quality == "poor"),
        lambda f: 8 if f.quality == "poor" else 1,
    ),
    (
        "ratio",
        "medical condition",
        (
            "What is the vertical cup-to-disc ratio?",
            "How large is the cup-to-disc ratio?",
            "What is the cup to disc ratio of this eye?",
        ),
        lambda f: f.ratio,
        lambda f: 9,
    ),
    (
        "rim",
        "medical condition",
        (
            "What does the neuroretinal rim look like?",
            "Where is the neuroretinal rim thinned?",
            "How is the neuroretinal rim?",
        ),
        _rim,
        lambda f: 6,
    ),
    (
        "haemorrhage",
        "medical condition",
        ("Is there a disc haemorrhage?", "Does the disc margin bleed?"),
        lambda f: _yes(f.haemorrhage is not None),
        lambda f: 8 if f.haemorrhage else 2,
    ),
    (
        "place",
        "medical condition",
        ("Where is the disc haemorrhage?", "At which place of the disc margin is there a haemorrhage?"),
        _where,
        lambda f: 5 if f.haemorrhage else 0,
    ),
    (
        "drusen",
        "medical condition",
        ("Are there drusen?", "Does the macula have drusen?"),
        lambda f: _yes(f.drusen != "none"),
        lambda f: 6 if f.drusen != "none" else 3,
    ),
    (
        "macula",
        "medical condition",
        ("What does the macula show?", "How does the macula look?"),
        macula,
        lambda f: 4,
    ),
    (
        "atrophy",
        "medical condition",
        ("Is there peripapillary atrophy?", "Does the disc have a crescent of atrophy beside it?"),
        lambda f: _yes(f.atrophy),
        lambda f: 6 if f.atrophy else 2,
    ),
    (
        "quality",
        "medical condition",
        ("How good is the quality of the picture?", "What is the image quality?"),
        quality,
        lambda f: 3 if f.quality == "good" else 7,
    ),
    (
        "eye",
        "medical condition",
        ("Which eye is shown?", "Is this a right or a left eye?"),
        lambda f: f.eye.capitalize(),
        lambda f: 3,
    ),
)


def _draw(rng: np.random.Generator, offered: list[Question], f: Findings) -> Question:
    weights = [ask[4](f) for ask in offered]
    at = rng.random() * sum(weights)
    for ask, weight in zip(offered, weights, strict=True):
        at -= weight
        if at < 0:
            return ask
    return offered[-1]


def ask(f: Findings, rng: np.random.Generator) -> list[tuple[str, str, str]]:
    """Return three to five of (category, question, answer); each category is there, no question twice."""
    count = int(rng.integers(3, 6))
    chosen: list[Question] = []
    for category in CATEGORIES:
        chosen.append(_draw(rng, [q for q in QUESTIONS if q[1] == category], f))
    while len(chosen) < count:
        chosen.append(_draw(rng, [q for q in QUESTIONS if q not in chosen], f))
    order = rng.permutation(len(chosen))
    made = []
    for i in order:
        _, category, ways, answer, _ = chosen[int(i)]
        made.append((category, ways[int(rng.integers(len(ways)))], answer(f)))
    return made


def note(f: Findings, rng: np.random.Generator) -> str:
    """Return a clinical note of two to five sentences."""
    first = int(rng.integers(2))
    opening = (
        f"{f.eye.capitalize()} eye with a vertical cup-to-disc ratio of {f.ratio}; the neuroretinal rim is {RIM[f.thin]}.",
        f"The optic disc of the {f.eye} eye has a cup-to-disc ratio of {f.ratio} and a rim that is {RIM[f.thin]}.",
    )[first]
    found = []
    if f.haemorrhage:
        found.append(f"A flame-shaped disc haemorrhage lies at the {f.haemorrhage} margin.")
    beside = []
    if f.atrophy:
        beside.append("a temporal crescent of peripapillary atrophy")
    if f.drusen != "none":
        beside.append(f"{'a few' if f.drusen == 'few' else 'many'} drusen in the macula")
    if beside:
        found.append(f"There {'are' if beside[0].endswith('macula') else 'is'} {' and '.join(beside)}.")
    elif rng.random() < 0.6:
        found.append("The macula is normal.")
    if f.limit is not None:
        found.append(f"Image quality is {f.quality}, limited by {QUALITY[f.limit]}.")
    judged = {
        "yes": (
            "Findings are consistent with glaucoma; pressure-lowering eye drops, a visual field and OCT are planned, "
            "with a visit in 3 months.",
            "Assessment: glaucoma. Start eye drops, obtain visual field and OCT, and see again in 3 months.",
        ),
        "suspect": (
            "The eye is a glaucoma suspect; OCT and eye pressure will be monitored without treatment, with a visit in 6 months.",
            "Assessment: glaucoma suspect. Monitor with OCT and eye pressure, and see again in 6 months.",
        ),
        "no": (
            "There is no sign of glaucoma; a routine visit in 12 months is enough.",
            "Assessment: no glaucoma. Routine visit in 12 months.",
        ),
    }[f.glaucoma][first if len(found) < 3 else 0]
    return " ".join([opening, *found, judged])
