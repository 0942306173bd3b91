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


LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] | upper }}: "
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}<image>\n{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}{{ part['text'] }} {% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
IDEFICS3_TEMPLATE = (
    "<|begin_of_text|>{% for message in messages %}{{ message['role'] | capitalize }}"
    "{% if message['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}"
    "{% for part in message['content'] %}{% if part['type'] == 'text' %}{{ part['text'] }}"
    "{% elif part['type'] == 'image' %}<image>{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}Assistant:{% endif %}"
)
GEMMA3_TEMPLATE = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for message in messages %}<start_of_turn>{{ message['role'] }}\n"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<start_of_image>"
    "{% elif part['type'] == 'text' %}{{ part['text'] | trim }}{% endif %}{% endfor %}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
TEXT_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] + '' }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer_of(
    specials: list[str], *, pad: str, end: str, template: str, bos: str | None = None, **named: str
):
    """Return a byte-level BPE tokenizer trained on a few lines; every text can be written in it.

    Args:
        specials: Tokens that are never split.
        pad: The one that fills up.
        end: The one that ends an answer.
        bos: The one that begins a text, where there is one.
        template: The chat template.
        named: Attributes that a family's processor reads: ``boi_token="<start_of_image>"``.
    """
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
        tokenizer_object=tokenizer,
        pad_token=pad,
        eos_token=end,
        **({} if bos is None else {"bos_token": bos}),
        **({"extra_special_tokens": named} if named else {"additional_special_tokens": specials}),
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


def llava(folder: Path) -> None:
    """LLaVA-1.5: one square picture through CLIP, a fixed number of tokens; its template puts all pictures before the text."""
    import torch
    from transformers import LlavaConfig, LlavaForConditionalGeneration

    torch.manual_seed(0)
    specials = ["<pad>", "<s>", "</s>", "<image>"]
    tokenizer, ids = _saved(folder, specials, pad="<pad>", end="</s>", template=LLAVA_TEMPLATE)
    vision = {
        **_TOWER,
        "model_type": "clip_vision_model",
        "image_size": 56,
        "patch_size": 14,
        "projection_dim": 64,
    }
    config = LlavaConfig(
        text_config={
            **_TEXT,
            "model_type": "llama",
            "vocab_size": len(tokenizer),
            **_ends(ids, "<s>", "</s>", "<pad>"),
        },
        vision_config=vision,
        image_token_index=ids["<image>"],
        image_seq_length=16,
    )
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    pictures = {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 56},
        "crop_size": {"height": 56, "width": 56},
    }
    _save(folder, "preprocessor_config.json", pictures)
    processor = {
        "processor_class": "LlavaProcessor",
        "patch_size": 14,
        "vision_feature_select_strategy": "default",
        "num_additional_image_tokens": 1,
        "image_token": "<image>",
    }
    _save(folder, "processor_config.json", processor)


def idefics3(folder: Path) -> None:
    """Idefics3, whose processor SmolVLM has too: pictures are cut into tiles, each with its tokens, and one of the whole."""
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    torch.manual_seed(0)
    tiles = [f"<row_{i + 1}_col_{j + 1}>" for i in range(6) for j in range(6)]
    specials = [
        "<pad>",
        "<|begin_of_text|>",
        "<end_of_utterance>",
        "<fake_token_around_image>",
        "<image>",
        "<global-img>",
    ]
    specials += tiles
    tokenizer, ids = _saved(
        folder, specials, pad="<pad>", end="<end_of_utterance>", template=IDEFICS3_TEMPLATE
    )
    ends = _ends(ids, "<|begin_of_text|>", "<end_of_utterance>", "<pad>")
    config = Idefics3Config(
        text_config={**_TEXT, "model_type": "llama", "vocab_size": len(tokenizer), **ends},
        vision_config={**_TOWER, "image_size": 56, "patch_size": 14},
        image_token_id=ids["<image>"],
        pad_token_id=ids["<pad>"],
        scale_factor=2,
    )
    Idefics3ForConditionalGeneration(config).save_pretrained(folder)
    pictures = {
        "image_processor_type": "Idefics3ImageProcessor",
        "processor_class": "Idefics3Processor",
        "size": {"longest_edge": 112},
        "max_image_size": {"longest_edge": 56},
    }
    _save(folder, "preprocessor_config.json", pictures)
    _save(folder, "processor_config.json", {"processor_class": "Idefics3Processor", "image_seq_len": 4})


def gemma3(folder: Path) -> None:
    """Gemma 3 and MedGemma: SigLIP at one size, attention in both directions within a picture, a template without a system role."""
    import torch
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    torch.manual_seed(0)
    specials = ["<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
    named = {
        "boi_token": "<start_of_image>",
        "eoi_token": "<end_of_image>",
        "image_token": "<image_soft_token>",
    }
    specials += named.values()
    tokenizer, ids = _saved(
        folder, specials, pad="<pad>", end="<eos>", bos="<bos>", template=GEMMA3_TEMPLATE, **named
    )
    text = {
        **_TEXT,
        "vocab_size": len(tokenizer),
        "head_dim": 64,
        "sliding_window": 64,
        "query_pre_attn_scalar": 64,
    }
    config = Gemma3Config(
        text_config={**text, **_ends(ids, "<bos>", "<eos>", "<pad>")},
        vision_config={**_TOWER, "image_size": 56, "patch_size": 14, "vision_use_head": False},
        mm_tokens_per_image=4,
        boi_token_index=ids["<start_of_image>"],
        eoi_token_index=ids["<end_of_image>"],
        image_token_index=ids["<image_soft_token>"],
    )
    model = Gemma3ForConditionalGeneration(config)
    model.generation_config.eos_token_id = [ids["<eos>"], ids["<end_of_turn>"]]
    model.save_pretrained(folder)
    pictures = {
        "image_processor_type": "Gemma3ImageProcessor",
        "processor_class": "Gemma3Processor",
        "size": {"height": 56, "width": 56},
    }
    _save(folder, "preprocessor_config.json", pictures)
    _save(folder, "processor_config.json", {"processor_class": "Gemma3Processor", "image_seq_length": 4})


def llama(folder: Path) -> None:
    """A language model, which takes no pictures; its template joins strings and knows no lists of parts."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    specials = ["<pad>", "<s>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    tokenizer, ids = _saved(folder, specials, pad="<pad>", end="<|end|>", template=TEXT_TEMPLATE)
    config = LlamaConfig(**_TEXT, vocab_size=len(tokenizer), **_ends(ids, "<s>", "<|end|>", "<pad>"))
    LlamaForCausalLM(config).save_pretrained(folder)


_TEXT = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 4096,
    "tie_word_embeddings": False,
}
_TOWER = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}


def _saved(folder: Path, specials: list[str], **tokens: str):
    """Save a tokenizer; return it with the ids of its special tokens."""
    tokenizer = tokenizer_of(specials, **tokens)
    tokenizer.save_pretrained(folder)
    return tokenizer, {token: tokenizer.convert_tokens_to_ids(token) for token in specials}


def _ends(ids: dict[str, int], bos: str, eos: str, pad: str) -> dict[str, int]:
    return {"bos_token_id": ids[bos], "eos_token_id": ids[eos], "pad_token_id": ids[pad]}


def _save(folder: Path, name: str, config: dict[str, object]) -> None:
    (folder / name).write_text(json.dumps(config), encoding="utf-8")


FAMILIES = {"qwen2_vl": qwen2_vl, "llava": llava, "idefics3": idefics3, "gemma3": gemma3, "llama": llama}


def make(family: str, folder: Path) -> Path:
    """Make a checkpoint in a folder and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    FAMILIES[family](folder)
    return folder


if __name__ == "__main__":
    make(sys.argv[1], Path(sys.argv[2]))
