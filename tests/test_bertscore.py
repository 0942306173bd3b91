"""BERTScore through the real package, with a tiny random RoBERTa in a hub cache made on the spot (stage two: needs torch)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engine, pytest.mark.real("bert-score")]

MAKE_MODEL = """
import sys
from tokenizers import ByteLevelBPETokenizer
from transformers import RobertaConfig, RobertaModel, RobertaTokenizerFast
import torch
torch.manual_seed(0)
folder = sys.argv[1]
words = ["a lesion in the left frontal lobe", "no abnormality", "hyperintense signal on axial T2"] * 20
bpe = ByteLevelBPETokenizer()
bpe.train_from_iterator(words, vocab_size=300, special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
bpe.save_model(folder)
tokenizer = RobertaTokenizerFast(vocab=folder + "/vocab.json", merges=folder + "/merges.txt", model_max_length=128)
tokenizer.save_pretrained(folder)
config = RobertaConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=18, num_attention_heads=2,
                       intermediate_size=64, max_position_embeddings=140)
RobertaModel(config).save_pretrained(folder)
"""

SCORE = """
from nova_bench.metrics.generation import bert_score_of, bert_score_remedy
assert bert_score_remedy("roberta-large") is None, bert_score_remedy("roberta-large")
same, other, empty = bert_score_of()(["a lesion", "no abnormality", ""], ["a lesion", "a lesion", "a lesion"])
print(same, other, empty)
assert abs(same - 1) < 1e-4 and other < same and empty == 0.0, (same, other, empty)
"""


def test_bertscore_of_a_text_with_itself_is_one_and_of_another_less(tmp_path: Path) -> None:
    model = tmp_path / "hub" / "models--roberta-large"
    snapshot = model / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("0" * 40)
    environment = os.environ | {"HF_HUB_CACHE": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1"}
    for script, argument in ((MAKE_MODEL, str(snapshot)), (SCORE, "")):
        done = subprocess.run(
            [sys.executable, "-c", script, argument],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr[-3000:]
