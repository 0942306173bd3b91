"""Checkpoints of real families, a million random weights each, made on the spot: the path is real, the answers are gibberish.

``python tiny_models.py FAMILY FOLDER`` makes one; tests ask for `tiny_model(family)`, which makes each once a session and user.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TEXT = [
    "You are shown an MRI of the brain. Is there a lesion in the left frontal lobe?",
    "Answer with JSON: a list of boxes [x_min, y_min, x_max, y_max] with labels, or an empty list.",
    "The image shows no abnormality. A hyperintense mass lies in the right temporal lobe on axial T2.",
    "{} [] () : , . 0 1 2 3 4 5 6 7 8 9 true false null yes no",
]
QWEN_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] in ('image', 'image_url') %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer_of(specials: list[str], *, pad: str, end: str, template: str):
    """Return a byte-level BPE tokenizer trained on a few lines; every text can be written in it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT * 20, trainer)
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=pad, eos_token=end, additional_special_tokens=specials
    )
    made.chat_template = template
    return made


def qwen2_vl(folder: Path) -> None:
    """Qwen2-VL: vLLM's CPU attention wants heads of 64."""
    import torch
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    torch.manual_seed(0)
    specials = [
        "<|endoftext|>",
        "<|im_start|>",
        "<|im_end|>",
        "<|vision_start|>",
        "<|vision_end|>",
        "<|vision_pad|>",
        "<|image_pad|>",
        "<|video_pad|>",
    ]
    tokenizer = tokenizer_of(specials, pad="<|endoftext|>", end="<|im_end|>", template=QWEN_TEMPLATE)
    tokenizer.save_pretrained(folder)
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in specials}
    text = {
        "vocab_size": len(tokenizer),
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "max_position_embeddings": 8192,
        "rope_parameters": {
            "rope_type": "default",
            "type": "mrope",
            "mrope_section": [8, 12, 12],
            "rope_theta": 10000.0,
        },
        "bos_token_id": ids["<|endoftext|>"],
        "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
    }
    vision = {
        "depth": 2,
        "embed_dim": 128,
        "hidden_size": 128,
        "num_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 14,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
    }
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        tie_word_embeddings=False,
    )
    Qwen2VLForConditionalGeneration(config).save_pretrained(folder)
    processor = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2VLProcessor",
        "min_pixels": 56 * 56,
        "max_pixels": 28 * 28 * 64,
        "patch_size": 14,
        "temporal_patch_size": 2,
        "merge_size": 2,
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), encoding="utf-8")


FAMILIES = {"qwen2_vl": qwen2_vl}


def make(family: str, folder: Path) -> Path:
    """Make a checkpoint in a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    FAMILIES[family](folder)
    return folder


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
