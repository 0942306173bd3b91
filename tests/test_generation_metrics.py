"""Metrics of free text, against sacrebleu, rouge-score and nltk, and by hand."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU

from nova_bench.errors import DataError
from nova_bench.metrics import wordnet as wordnet_module
from nova_bench.metrics.findings import keyword_f1
from nova_bench.metrics.generation import (
    BLEU_COLUMNS,
    bert_score_remedy,
    bleu4,
    bleu_from_counts,
    caption_metrics,
    meteor_tokens,
    rouge_l,
)
from nova_bench.scorers import generation as scorers
from nova_bench.scorers.findings import findings_lexicon
from nova_bench.scorers.generation import caption_scorers
from nova_bench.table import Table, build_columns
from nova_bench.types import Item, Metric, Prediction, Sample, Scorer

WORDS = (
    "axial",
    "T2-weighted",
    "MRI",
    "a",
    "hyperintense",
    "lesion,",
    "the",
    "left",
    "thalamus.",
    "&amp;",
    "5.5",
    "no",
    "edema",
)


def sample_of(reference: str | None, name: str = "a", cluster: str = "case1") -> Sample:
    return Sample(name, (), {}, reference, cluster, {})


def table_of(
    scorer: Scorer, pairs: Iterable[tuple[str | None, str | None]], clusters: list[str] | None = None
) -> Table:
    """Return the table of (answer, reference) pairs."""
    pairs = list(pairs)
    clusters = clusters or [f"case{i}" for i in range(len(pairs))]
    items = [
        Item(
            sample_of(reference, f"s{i:04d}", clusters[i]),
            Prediction("unparsed" if answer is None else "ok", answer),
        )
        for i, (answer, reference) in enumerate(pairs)
    ]
    n = len(items)
    return Table(
        id=np.array([item.sample.id for item in items], dtype=object),
        cluster=np.array(clusters, dtype=object),
        repeat=np.zeros(n, dtype=np.int64),
        status=np.array([item.prediction.status for item in items], dtype=object),
        split=np.full(n, "test", dtype=object),
        groups={},
        columns=build_columns(scorer.rows(items), scorer.columns),
    )


def value_of(metric: Metric, table: Table) -> float:
    return float(metric.compute(table, table.ones())[0])


texts = st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join)
corpora = st.lists(st.tuples(texts, texts.filter(bool)), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(corpora, st.data())
def test_bleu_equals_sacrebleu_on_any_sub_corpus(corpus: list[tuple[str, str]], data: st.DataObject) -> None:
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(corpus), max_size=len(corpus)).filter(any))
    table = table_of(scorers.bleu(), corpus)
    weights = np.array([counts, [1] * len(corpus)], dtype=float)
    for form, smoothing in (("sacrebleu", "exp"), ("evaluate", "none")):
        values = bleu4(form).compute(table, weights)
        for line, value in zip(weights, values, strict=True):
            chosen = [pair for pair, weight in zip(corpus, line, strict=True) for _ in range(int(weight))]
            hypotheses, references = zip(*chosen, strict=True)
            expected = (
                BLEU(smooth_method=smoothing).corpus_score(list(hypotheses), [list(references)]).score / 100
            )
            assert value == pytest.approx(expected, abs=1e-9)


def test_bleu_equals_sacrebleu_on_a_large_corpus() -> None:
    generator = random.Random(0)
    pairs = [
        (
            " ".join(generator.choices(WORDS, k=generator.randint(0, 40))),
            " ".join(generator.choices(WORDS, k=generator.randint(1, 40))),
        )
        for _ in range(400)
    ]
    table = table_of(scorers.bleu(), pairs)
    hypotheses, references = zip(*pairs, strict=True)
    expected = BLEU().corpus_score(list(hypotheses), [list(references)]).score / 100
    assert 0.01 < expected < 1
    assert value_of(bleu4(), table) == pytest.approx(expected, abs=1e-9)
    assert value_of(bleu4("evaluate"), table) == pytest.approx(expected, abs=1e-9)


def test_bleu_without_a_four_gram_match_by_hand() -> None:
    counts = np.array([[3, 2, 1, 0, 4, 3, 2, 1, 4, 5]], dtype=float)
    penalty = math.exp(1 - 5 / 4)
    assert bleu_from_counts(counts)[0] == pytest.approx(
        penalty * (3 / 4 * 2 / 3 * 1 / 2 * 1 / 2) ** 0.25, abs=1e-12
    )
    assert bleu_from_counts(counts, smooth=False)[0] == 0


def test_bleu_of_nothing_but_empty_answers_is_zero() -> None:
    assert value_of(bleu4(), table_of(scorers.bleu(), [("", "a lesion"), (None, "a mass")])) == 0


def test_bleu_leaves_out_samples_without_reference() -> None:
    pairs = [
        ("a small lesion in the thalamus", "a small lesion in the left thalamus"),
        ("a mass", ""),
        ("a mass", None),
    ]
    assert value_of(bleu4(), table_of(scorers.bleu(), pairs)) == value_of(
        bleu4(), table_of(scorers.bleu(), pairs[:1])
    )
    assert math.isnan(value_of(bleu4(), table_of(scorers.bleu(), pairs[1:])))


def test_bleu_ignores_failed_lines() -> None:
    table = table_of(scorers.bleu(), [("a lesion in the thalamus", "a lesion in the thalamus"), ("a", "a")])
    for column in BLEU_COLUMNS:
        table[column][1] = np.nan
    assert bleu4().compute(table, np.array([[1.0, 0.0]]))[0] == 1


def test_rouge_is_f1_of_the_longest_common_subsequence_of_stems() -> None:
    # "lesions" and "lesion" share a stem: 3 of 4 predicted and 3 of 3 true words in order.
    table = table_of(
        scorers.rouge_l(), [("two lesions are Left", "two lesion left"), (None, "a mass"), ("a mass", "")]
    )
    assert table["rougeL"][0] == pytest.approx(2 * (3 / 4) * 1 / (3 / 4 + 1))
    assert table["rougeL"][1] == 0
    assert value_of(rouge_l(), table) == pytest.approx(table["rougeL"][:2].mean())


def test_texts_that_are_no_texts_are_refused_with_the_place_to_look() -> None:
    with pytest.raises(TypeError, match="task's parse"):
        list(scorers.bleu().rows([Item(sample_of("a"), Prediction("ok", 3))]))
    with pytest.raises(TypeError, match="task's sample"):
        list(scorers.bleu().rows([Item(Sample("a", (), {}, 3, "c", {}), Prediction("ok", "a"))]))


def test_worst_and_best_answers_enclose_a_real_one() -> None:
    reference = "Axial T2-weighted MRI with a hyperintense lesion in the left thalamus, no midline shift."
    for scorer, metric in (
        (scorers.bleu(), bleu4()),
        (scorers.rouge_l(), rouge_l()),
        (findings_lexicon(), keyword_f1("clinical")),
    ):
        assert scorer.bounds is not None
        rows = [
            *scorer.bounds(sample_of(reference)),
            *scorer.rows([Item(sample_of(reference), Prediction("ok", "A lesion on the left."))]),
        ]
        columns = build_columns(rows, scorer.columns)
        blank = np.array(["a", "b", "c"], dtype=object)
        table = Table(blank, blank, np.zeros(3, dtype=int), blank, blank, {}, columns)
        worst, best, real = metric.compute(table, np.eye(3))
        assert worst == 0 < real < 1 == best


def test_every_caption_metric_has_a_name_of_its_own_and_says_where_it_comes_from() -> None:
    names = [metric.name for metric in caption_metrics()]
    assert len(names) == len(set(names))
    for metric in caption_metrics():
        assert metric.about


def test_caption_scorers_cover_every_caption_metric() -> None:
    columns = {column for scorer in caption_scorers() for column in scorer.columns}
    assert {column for metric in caption_metrics() for column in metric.needs} <= columns


def test_meteor_tokens_split_every_sentence_end() -> None:
    assert meteor_tokens("A lesion. No edema! ") == ["a", "lesion", ".", "no", "edema", "!"]
    assert meteor_tokens("") == []


@pytest.fixture(scope="session")
def wordnet_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    cache = tmp_path_factory.mktemp("nltk_data")
    remedy = wordnet_module.wordnet_remedy(cache)
    if remedy is not None:
        pytest.skip(remedy)
    return cache


@pytest.mark.wordnet
@pytest.mark.real("nltk with WordNet")
def test_meteor_by_hand(wordnet_cache: Path) -> None:
    pairs = [
        # Two words in one chunk, "tumor" and "neoplasm" being synonyms: 1 - 0.5 * (1 / 2)**3.
        ("cystic tumor", "cystic neoplasm"),
        # Three of four words (precision 3/4, recall 1) in two chunks: F = PR / (0.9 P + 0.1 R), penalty 0.5 * (2 / 3)**3.
        ("the small lesions enhance", "The small enhancement"),
        ("", "a lesion"),
        ("a mass", ""),
    ]
    table = table_of(scorers.meteor(wordnet_cache), pairs)
    assert table["meteor"][0] == pytest.approx(1 - 0.5 / 8)
    assert table["meteor"][1] == pytest.approx(0.75 / (0.9 * 0.75 + 0.1) * (1 - 0.5 * (2 / 3) ** 3))
    assert table["meteor"][2] == 0
    assert np.isnan(table["meteor"][3])


@pytest.mark.wordnet
@pytest.mark.real("nltk with WordNet")
def test_meteor_equals_nltk_on_its_own_example(wordnet_cache: Path) -> None:
    hypothesis = (
        "It is a guide to action which ensures that the military always obeys the commands of the party"
    )
    reference = "It is a guide to action that ensures that the military will forever heed Party commands"
    table = table_of(scorers.meteor(wordnet_cache), [(hypothesis, reference)])
    # The value that nltk and Hugging Face evaluate print for this pair in their documentation.
    assert round(float(table["meteor"][0]), 4) == 0.6944


@pytest.fixture
def debian(tmp_path: Path) -> Path:
    """Return a folder with the names of Debian's WordNet files."""
    folder = tmp_path / "wordnet"
    folder.mkdir()
    names = ["cntlist.rev", "index.sense", "verb.Framestext"]
    names += [f"{kind}.{part}" for kind in ("index", "data") for part in ("noun", "verb", "adj", "adv")]
    names += [f"{part}.exc" for part in ("noun", "verb", "adj", "adv")]
    for name in names:
        (folder / name).write_text(name)
    return folder


def test_wordnet_is_assembled_once_from_debian_files(debian: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert wordnet_module.assemble(cache, debian) == cache
    assembled = cache / "corpora" / "wordnet"
    assert [path.name for path in (cache / "corpora").iterdir()] == ["wordnet"]
    assert not any(path.is_symlink() for path in assembled.iterdir())
    assert (assembled / "data.noun").read_text() == "data.noun"
    lines = (assembled / "lexnames").read_text().splitlines()
    assert [lines[i] for i in (0, 2, 28, 29, 43)] == [
        "00\tadj.all\t3",
        "02\tadv.all\t4",
        "28\tnoun.time\t1",
        "29\tverb.body\t2",
        "43\tverb.weather\t2",
    ]
    assert len(lines) == 45
    (debian / "data.noun").unlink()
    assert wordnet_module.assemble(cache, debian) == cache


def test_wordnet_half_assembled_is_replaced(debian: Path, tmp_path: Path) -> None:
    half = tmp_path / "cache" / "corpora" / "wordnet"
    half.mkdir(parents=True)
    (half / "data.noun").write_text("old")
    wordnet_module.assemble(tmp_path / "cache", debian)
    assert (half / "data.noun").read_text() == "data.noun"


def test_wordnet_nowhere_gives_the_remedy(
    debian: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    (debian / "index.sense").unlink()
    remedy = wordnet_module.wordnet_remedy(tmp_path / "cache", debian)
    assert remedy is not None
    assert "python -m nltk.downloader wordnet omw-1.4" in remedy
    assert "wordnet-base wordnet-sense-index" in remedy
    with pytest.raises(DataError, match=r"index\.sense"):
        wordnet_module.assemble(tmp_path / "cache", debian)


def test_bertscore_without_package_or_weights_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "bert_score", raising=False)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if not (Path(path) / "bert_score").exists()])
    scorer = scorers.bertscore()
    assert scorer.missing is not None
    assert 'pip install "nova-bench[bertscore]"' in (scorer.missing() or "")

    (tmp_path / "bert_score").mkdir()
    (tmp_path / "bert_score" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    assert "hf download nova-bench/no-such-model" in (bert_score_remedy("nova-bench/no-such-model") or "")


def test_bertscore_bounds_need_no_model() -> None:
    scorer = scorers.bertscore("some-model")
    assert scorer.bounds is not None
    assert scorer.bounds(sample_of("a lesion")) == (
        {"bertscore(some-model)": 0.0},
        {"bertscore(some-model)": 1.0},
    )
    assert np.isnan(list(scorer.bounds(sample_of(None))[1].values())).all()
