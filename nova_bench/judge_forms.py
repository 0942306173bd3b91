"""The forms in which an audit has a judge see one answer: blinded, stated, and with every other value of an attribute swapped in.

Each answer is judged

- *blinded*: every word that tells demographics is a mask (`nova_bench.demographic_terms.blind`);
- *stated*: a further text ``patient`` says in one sentence what is known of the patient;
- *swapped*, once for each other value of an attribute: the sentence says that value, and the words of all texts are swapped.

Where a value is not known and no text tells it, every value is stated in turn.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from nova_bench.demographic_terms import blind, state, swap
from nova_bench.demographics import ATTRIBUTES
from nova_bench.errors import UsageError
from nova_bench.judge_texts import Wanted
from nova_bench.task import Task
from nova_bench.types import Item

BLINDED, STATED = "blinded", "stated"
PATIENT = "patient"
"""The text that states who the patient is."""


def forms(texts: Mapping[str, str], groups: Mapping[str, str | None]) -> dict[str, dict[str, str]]:
    """Return the texts in every form in which they are judged: ``blinded``, ``stated``, ``race=asian``, ...

    Args:
        texts: As a judge's material gave them.
        groups: The patient's; an attribute that is not there is not known.

    >>> made = forms({"candidate": "A Black woman."}, {"race": "black", "gender": "female"})
    >>> made["blinded"]
    {'candidate': 'A [race] [gender].'}
    >>> made["race=asian"]
    {'candidate': 'An Asian woman.', 'patient': 'The patient is an Asian woman.'}
    >>> "race=black" in made, made["stated"]["candidate"]
    (False, 'A Black woman.')
    """
    if PATIENT in texts:
        raise UsageError(f"a judge's text is called {PATIENT!r}, as the audit's own; give it another name")
    known = {name: groups.get(name) for name in ATTRIBUTES}
    blinded = {name: blind(text) for name, text in texts.items()}
    made = {BLINDED: blinded}
    if told := state(known):
        made[STATED] = {**texts, PATIENT: told}
    for attribute, values in ATTRIBUTES.items():
        own = known[attribute]
        mask = f"[{attribute}]"
        if own is None and any(blinded[name].count(mask) > texts[name].count(mask) for name in texts):
            continue  # the text tells what the data set does not: it cannot be made to tell something else
        for value in values:
            if value == own:
                continue
            said = {
                name: text if own is None else swap(text, attribute, own, value)
                for name, text in texts.items()
            }
            made[f"{attribute}={value}"] = {**said, PATIENT: state({**known, attribute: value})}
    return made


@dataclass(frozen=True, slots=True, eq=False)
class AuditedAnswer:
    """One answer of the run, with its texts in all forms by judge.

    Attributes:
        id: The id of the model's request.
        item: The answer.
        texts: Judge's name to form to texts; judges that are not asked about this answer are not there.
    """

    id: str
    item: Item
    texts: Mapping[str, Mapping[str, Mapping[str, str]]]


def audited_answers(
    task: Task, items: Iterator[Item], limit: int | None
) -> tuple[list[AuditedAnswer], dict[str, int]]:
    """Return the answers that can be audited, and how many others there are, by reason.

    Args:
        task: With judges.
        items: The answers of a run.
        limit: Only so many clusters, the same each time.

    Raises:
        UsageError: The answers are to swapped samples, or the limit is none.
    """
    if limit is not None and limit < 1:
        raise UsageError(f"--limit {limit}: expected 1 or more clusters (cases)")
    listed = list(items)
    if any(item.sample.base is not None for item in listed):
        raise UsageError(
            "this run asked with swapped demographics; audit a run of the same task without demographics=swapped"
        )
    if limit is not None:
        names = {item.sample.cluster for item in listed}
        chosen = set(
            sorted(names, key=lambda name: hashlib.sha256(f"audit:{name}".encode()).digest())[:limit]
        )
        listed = [item for item in listed if item.sample.cluster in chosen]
    made: list[AuditedAnswer] = []
    for item in listed:
        texts: dict[str, Mapping[str, Mapping[str, str]]] = {}
        for judge in task.judges:
            material = judge.material(item.sample, item.prediction)
            if material is not None:
                texts[judge.name] = forms(material, item.sample.groups)
        if texts:
            id = f"{item.sample.id}#{item.repeat}" if item.repeat else item.sample.id
            made.append(AuditedAnswer(id, item, _shared(texts)))
    return made, {"by_rule": len(listed) - len(made)}


def _shared(
    texts: Mapping[str, Mapping[str, Mapping[str, str]]],
) -> dict[str, dict[str, Mapping[str, str]]]:
    """Keep the forms that all judges of an answer have: a text of one may tell what those of another do not."""
    common = set.intersection(*(set(made) for made in texts.values()))
    return {name: {form: made[form] for form in made if form in common} for name, made in texts.items()}


def wanted_verdicts(task: Task, answers: Sequence[AuditedAnswer]) -> Iterator[Wanted]:
    """Yield what has to be judged: every form of every answer, by every judge.

    Args:
        task: With judges.
        answers: Of `audited_answers`.
    """
    judges = {judge.name: judge for judge in task.judges}
    for answer in answers:
        for name, made in answer.texts.items():
            for form, texts in made.items():
                yield Wanted(judges[name], texts, form_id(answer.id, form), answer.item.sample.id)


def form_id(answer: str, form: str) -> str:
    """Return what an answer's verdict in one form is kept under."""
    return f"{answer}+{form}"


def form_counts(answers: Sequence[AuditedAnswer]) -> dict[str, int]:
    """Return how many verdicts each form needs, so that the cost can be told before anything is asked.

    Args:
        answers: Of `audited_answers`.
    """
    counts: dict[str, int] = {}
    for answer in answers:
        for made in answer.texts.values():
            for form in made:
                counts[form] = counts.get(form, 0) + 1
    return counts
