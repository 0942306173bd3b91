"""The data card of a built folder: what was made from what, by whom, and how much was lost on the way, for each group.

Nothing in it depends on the day or the machine, so that the same build gives the same card.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nova_bench.demographic_terms import blind
from nova_bench.demographics import AGE_BINS, ATTRIBUTES
from nova_bench.fmbench_pairs import CATEGORIES

FATES = ("kept", "mended", "dropped", "unchecked")
"""What became of a pair that was written; ``unchecked``: the check gave no verdict (refused, unreadable ...), so the pair is left out."""


@dataclass(slots=True)
class Tally:
    """Counts while the tables are written; by slice, which is ``all``, ``category=...`` or ``attribute=value``."""

    patients: Counter[str] = field(default_factory=Counter)
    with_pairs: Counter[str] = field(default_factory=Counter)
    pairs: dict[str, Counter[str]] = field(default_factory=dict)
    tells_demographics: int = 0
    """Pairs in the tables whose question has a word of the lexicon."""

    def patient(self, groups: Mapping[str, str | None], pairs: Sequence[tuple[str, str, str]]) -> None:
        """Count a patient.

        Args:
            groups: The patient's demographics.
            pairs: Category, fate and question of each pair that was written.
        """
        slices = ["all", *(f"{name}={value or 'unknown'}" for name, value in groups.items())]
        for name in slices:
            self.patients[name] += 1
            self.with_pairs[name] += any(fate in ("kept", "mended") for _, fate, _ in pairs)
            for _, fate, _ in pairs:
                self.pairs.setdefault(name, Counter())[fate] += 1
        for category, fate, question in pairs:
            self.pairs.setdefault(f"category={category}", Counter())[fate] += 1
            self.tells_demographics += fate in ("kept", "mended") and blind(question) != question

    def rows(self) -> dict[str, dict[str, float | None]]:
        """Return the counts of every slice, in a fixed order; the drop rate is None where nothing was written."""
        values = {name: (*known, "unknown") for name, known in (*ATTRIBUTES.items(), ("age", AGE_BINS))}
        named = [f"{name}={value}" for name, known in values.items() for value in known]
        found: dict[str, dict[str, float | None]] = {}
        for name in ("all", *(f"category={category}" for category in CATEGORIES), *named):
            counts = self.pairs.get(name, Counter())
            if not counts and not self.patients[name] and name.endswith("=unknown"):
                continue
            written = counts.total()
            row: dict[str, float | None] = {}
            if not name.startswith("category="):
                row = {"patients": self.patients[name], "patients_with_pairs": self.with_pairs[name]}
            lost = counts["dropped"] + counts["unchecked"]
            rate = float(f"{lost / written:.6g}") if written else None
            found[name] = {
                **row,
                "written": written,
                **{fate: counts[fate] for fate in FATES},
                "drop_rate": rate,
            }
        return found


def readme(card: Mapping[str, Any]) -> str:
    """Return the card as a page of Markdown.

    Args:
        card: What ``card.json`` holds.
    """
    source, writer, patients, slices = card["source"], card["writer"], card["patients"], card["slices"]
    columns = ("patients", "patients_with_pairs", "written", *FATES, "drop_rate")
    table = [_line(("slice", *columns)), _line(["---"] * (len(columns) + 1))]
    table += [
        _line((name, *("" if row.get(column) is None else f"{row[column]}" for column in columns)))
        for name, row in slices.items()
    ]
    lost = [f"- {reason}: {count}" for reason, count in patients["left_out"].items()] or ["- none"]
    return "\n".join(
        [
            "# Questions and reports built from Harvard-FairVLMed"
            if source["kind"] != "mini"
            else "# Questions built from FMBench-mini",
            "",
            f"Made by `nova-bench build fmbench`. `vqa.parquet` has {slices['all']['kept'] + slices['all']['mended']} questions with "
            f"answers, `report.parquet` {patients['in_tables']} reports, `images/` their pictures. The same numbers are in `card.json`.",
            "",
            f"**Licence.** {source['license']} ({source['license_url']}), as the source: {source['name']}, `{source['hub']}`. What is here was made "
            "from gated data and clinical notes; that licence lets nobody pass on adapted material. Keep this folder where the source is kept.",
            "",
            f"- Source: digest `{source['digest']}`, revision {source['revision'] or 'unknown (a folder)'}, split {source['split']}, "
            f"limit {card['limit'] or 'none'}",
            f"- Writer and checker: `{writer['name']}`, options {_options(writer['options'])}; "
            f"as the server named it: {', '.join(writer['models']) or 'not said'}",
            f"- Prompts: `{card['prompts']}`, nova-bench {card['nova_bench']}, parameters {_options(card['params'])}",
            f"- Writer's answers: {_options(card['answers']['write'])}; checks: {_options(card['answers']['check'])}",
            f"- Questions that tell demographics in words of the lexicon: {card['tells_demographics']}",
            "",
            "Patients left out, by reason:",
            "",
            *lost,
            "",
            "`drop_rate` is the share of written pairs that the check dropped or did not judge. Where it differs between groups, so do the "
            "questions that are left; read fairness numbers on this set with that in mind.",
            "",
            *table,
            "",
        ]
    )


def _line(entries: Iterable[str]) -> str:
    return "| " + " | ".join(entries) + " |"


def _options(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items()) or "none"
