"""Metrics that compare a text with one reference: BLEU, ROUGE-L, METEOR and BERTScore.

The functions at the top work on texts and give one text's numbers; the factories below name the metrics that read them from a
table.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nova_bench.metrics.classification import mean_of
from nova_bench.metrics.findings import findings_metrics
from nova_bench.table import Table
from nova_bench.types import Metric

__all__ = [
    "BLEU_COLUMNS",
    "bert_score_of",
    "bert_score_remedy",
    "bertscore",
    "bleu4",
    "bleu_from_counts",
    "bleu_of",
    "caption_metrics",
    "meteor",
    "meteor_of",
    "meteor_tokens",
    "rouge_l",
    "rouge_l_of",
]

BLEU_COLUMNS: tuple[str, ...] = (
    *(f"bleu_correct{n}" for n in range(1, 5)),
    *(f"bleu_total{n}" for n in range(1, 5)),
    "bleu_sys_len",
    "bleu_ref_len",
)
"""Matched and possible n-grams for n = 1 to 4, and the lengths in tokens of answer and reference."""


def bleu_of() -> Callable[[str, str], tuple[int, ...]]:
    """Return a function from (hypothesis, reference) to the ten counts of `BLEU_COLUMNS`, as sacrebleu counts them.

    Tokens are those of ``mteval-v13a`` and case matters (sacrebleu's signature: ``nrefs:1|case:mixed|tok:13a``; Post 2018, "A
    Call for Clarity in Reporting BLEU Scores").

    Examples:
        >>> bleu_of()("a small lesion", "a small lesion.")
        (3, 2, 1, 0, 3, 2, 1, 0, 3, 4)
    """
    from sacrebleu.metrics.bleu import BLEU

    # effective_order touches the score only, which is not used; without it sacrebleu warns about scores of single sentences.
    bleu = BLEU(effective_order=True, force=True)

    def count(hypothesis: str, reference: str) -> tuple[int, ...]:
        score = bleu.sentence_score(hypothesis, [reference])
        return (*score.counts, *score.totals, score.sys_len, score.ref_len)

    return count


def bleu_from_counts(counts: np.ndarray, smooth: bool = True) -> np.ndarray:
    """Return BLEU-4 in [0, 1] of summed counts.

    The geometric mean of the four n-gram precisions times the brevity penalty ``exp(1 - ref_len / sys_len)`` of a corpus
    shorter than its reference (Papineni et al. 2002). With `smooth`, the k-th order without a match gets the precision ``1 /
    (2**k * total)`` (mteval-v13a's, sacrebleu's ``exp``). 0 where nothing matches at all, and where no hypothesis has four
    tokens; NaN where there is no reference.

    Args:
        counts: float array (b, 10), sums of the `BLEU_COLUMNS`.
        smooth: Whether to smooth.

    Examples:
        >>> bleu_from_counts(np.array([[3, 2, 1, 0, 4, 3, 2, 1, 4, 4]])).round(4)
        array([0.5946])
        >>> bleu_from_counts(np.array([[3, 2, 1, 0, 4, 3, 2, 1, 4, 4]]), smooth=False)
        array([0.])
    """
    counts = np.asarray(counts, dtype=np.float64)
    correct, total = counts[:, :4], counts[:, 4:8]
    sys_len, ref_len = counts[:, 8], counts[:, 9]
    unmatched = (correct == 0) & (total > 0)
    filled = 0.5 ** np.cumsum(unmatched, axis=1) if smooth else np.zeros_like(correct)
    precision = np.divide(
        np.where(unmatched, filled, correct), total, out=np.zeros_like(correct), where=total > 0
    )
    scored = (precision > 0).all(axis=1) & (correct > 0).any(axis=1)
    mean_log = np.log(np.where(scored[:, None], precision, 1.0)).mean(axis=1)
    shortfall = np.maximum(
        np.divide(ref_len, sys_len, out=np.ones_like(ref_len), where=sys_len > 0) - 1.0, 0.0
    )
    return np.where(ref_len > 0, np.where(scored, np.exp(mean_log - shortfall), 0.0), np.nan)


def bleu4(form: str = "sacrebleu") -> Metric:
    """Return corpus BLEU-4, from n-gram counts added up over the rows.

    The value is in [0, 1]: sacrebleu prints 100 times it. Samples with an empty reference add nothing, neither do their
    answers; an empty answer adds its reference's length. NaN on a table without references. Being no ratio of sums it has no
    `sums`; only the bootstrap gives its error.

    Args:
        form: ``sacrebleu``: sacrebleu's defaults (13a tokens, ``exp`` smoothing), named ``bleu4``. ``evaluate``: as Hugging
            Face's `evaluate` computes "bleu" (13a tokens, no smoothing), named ``bleu4(evaluate)``; it differs only where some
            n-gram order has no match in the whole corpus, and is 0 there.
    """
    smooth = {"sacrebleu": True, "evaluate": False}[form]

    def compute(table: Table, weights: np.ndarray) -> np.ndarray:
        # NaN is a failed line, whose weight is 0.
        counts = np.nan_to_num(np.stack([table[column] for column in BLEU_COLUMNS], axis=1))
        return bleu_from_counts(weights @ counts, smooth)

    return Metric(
        name="bleu4" if smooth else f"bleu4({form})",
        needs=BLEU_COLUMNS,
        compute=compute,
        about="Corpus BLEU-4 in [0, 1] (Papineni et al. 2002), 13a tokens, case kept, "
        + (
            "exp smoothing, as sacrebleu's defaults (Post 2018)."
            if smooth
            else "no smoothing, as Hugging Face evaluate's bleu."
        ),
    )


def rouge_l_of() -> Callable[[str, str], float]:
    """Return a function from (hypothesis, reference) to ROUGE-L F1, of the package rouge-score with ``use_stemmer=True``.

    Examples:
        >>> rouge_l_of()("two lesions", "two large lesions")
        0.8
    """
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rougeL"], use_stemmer=True)

    def score(hypothesis: str, reference: str) -> float:
        return float(scorer.score(target=reference, prediction=hypothesis)["rougeL"].fmeasure)

    return score


def rouge_l() -> Metric:
    """Return the mean over samples of ROUGE-L F1.

    An empty answer counts 0, samples with an empty reference are left out, NaN where none is left.
    """
    return mean_of(
        "rougeL",
        "rougeL",
        about="Mean ROUGE-L F1 (Lin 2004), lower-cased, Porter-stemmed, from the package rouge-score with use_stemmer=True.",
    )


_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def meteor_tokens(text: str) -> list[str]:
    """Return lower-cased words as nltk's ``word_tokenize`` cuts them, but sentences end at every ``. ! ?`` before white space.

    ``word_tokenize`` itself finds the ends of sentences with a trained model that has to be downloaded; the difference shows at
    abbreviations only.

    Examples:
        >>> meteor_tokens("T2-weighted MRI. It's normal.")
        ['t2-weighted', 'mri', '.', 'it', "'s", 'normal', '.']
    """
    from nltk.tokenize import NLTKWordTokenizer

    tokenizer = NLTKWordTokenizer()
    return [token for sentence in _SENTENCE_END.split(text.lower()) for token in tokenizer.tokenize(sentence)]


def meteor_of(wordnet: Any) -> Callable[[str, str], float]:
    """Return a function from (hypothesis, reference) to nltk's METEOR with its default parameters (alpha 0.9, beta 3, gamma 0.5).

    Words are matched as they are, then by Porter stem, then by synonym; nltk looks synonyms up for the stems, so that
    "tumor" finds "neoplasm", but "big" does not find "large", whose stem is "larg".

    Args:
        wordnet: nltk's reader, from `nova_bench.metrics.wordnet.load_wordnet`.
    """
    from nltk.translate.meteor_score import single_meteor_score

    def score(hypothesis: str, reference: str) -> float:
        return float(
            single_meteor_score(meteor_tokens(reference), meteor_tokens(hypothesis), wordnet=wordnet)
        )

    return score


def meteor() -> Metric:
    """Return the mean over samples of METEOR.

    An empty answer counts 0, samples with an empty reference are left out, NaN where none is left.
    """
    return mean_of(
        "meteor",
        "meteor",
        about="Mean METEOR (Banerjee & Lavie 2005) as nltk's meteor_score with default parameters: exact, stem and WordNet "
        "synonym matches, lower-cased tokens of NLTKWordTokenizer.",
    )


_WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def bert_score_remedy(model: str) -> str | None:
    """Return what to do to get BERTScore, None where package and weights are on this machine; never asks the network.

    Args:
        model: The model's name on the Hugging Face hub.
    """
    if importlib.util.find_spec("bert_score") is None:
        return 'BERTScore needs a package: run `pip install "nova-bench[bertscore]"`'
    try:
        folder = _local_model(model)
    except (OSError, ValueError):
        folder = None
    # A folder can be there with some of its files only, when a download was cut off.
    if folder is None or not (
        (folder / "config.json").exists() and any((folder / name).exists() for name in _WEIGHTS)
    ):
        return f"BERTScore needs the weights of {model}: run `hf download {model}`"
    if "t5" in str(folder):
        # bert-score 0.3.13 decides by the path whether a model is a T5.
        return f"BERTScore cannot use {folder}, a path with 't5' in it: set HF_HOME elsewhere and run `hf download {model}`"
    return None


def _local_model(model: str) -> Path:
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(model, local_files_only=True))


def bert_score_of(
    model: str = "roberta-large", batch_size: int = 64
) -> Callable[[Sequence[str], Sequence[str]], list[float]]:
    """Return a function from (hypotheses, references) to each pair's BERTScore F1 (Zhang et al. 2020), by the package bert-score.

    No idf weights, not rescaled. An empty hypothesis has 0, as the package gives it; no reference may be empty.

    Args:
        model: The model's name on the Hugging Face hub; its files are taken from the hub's cache on this machine only.
        batch_size: Texts per pass through the model.
    """
    from bert_score import BERTScorer
    from bert_score.utils import model2layers

    # A folder instead of a name, which would be looked up on the hub. The layer is the one that the package tuned for the name.
    scorer = BERTScorer(
        model_type=str(_local_model(model)), num_layers=model2layers[model], batch_size=batch_size
    )

    def score(hypotheses: Sequence[str], references: Sequence[str]) -> list[float]:
        spoken = [i for i, text in enumerate(hypotheses) if text.strip()]
        values = [0.0] * len(hypotheses)
        if spoken:
            pairs = [hypotheses[i] for i in spoken], [references[i] for i in spoken]
            _, _, f1 = scorer.score(*pairs, batch_size=batch_size)
            for i, value in zip(spoken, f1.tolist(), strict=True):
                values[i] = float(value)
        return values

    return score


def bertscore(model: str = "roberta-large") -> Metric:
    """Return the mean over samples of BERTScore F1.

    An empty answer counts 0, samples with an empty reference are left out, NaN where none is left.

    Args:
        model: The model's name on the Hugging Face hub; part of the metric's name, because values of different models do not
            compare.
    """
    return mean_of(
        f"bertscore({model})",
        f"bertscore({model})",
        range=(-1.0, 1.0),
        about=f"Mean BERTScore F1 (Zhang et al. 2020) with {model}, no idf, not rescaled to a baseline.",
    )


def caption_metrics() -> tuple[Metric, ...]:
    """Return the metrics of a caption task that need no judge.

    Examples:
        >>> [metric.name for metric in caption_metrics()][:5]
        ['bleu4', 'bleu4(evaluate)', 'rougeL', 'meteor', 'bertscore(roberta-large)']
    """
    return (bleu4(), bleu4("evaluate"), rouge_l(), meteor(), bertscore(), *findings_metrics())
