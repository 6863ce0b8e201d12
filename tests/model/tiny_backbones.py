"""Tiny backbones of many families, with random weights."""

from collections.abc import Callable
from typing import Any

from transformers import (
    CLIPConfig,
    CLIPModel,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    MptConfig,
    MptForCausalLM,
    Olmo2Config,
    Olmo2ForCausalLM,
    OlmoConfig,
    OlmoForCausalLM,
    OPTConfig,
    OPTForCausalLM,
    PhiConfig,
    PhiForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    ResNetConfig,
    ResNetModel,
    SiglipConfig,
    SiglipModel,
    ViTConfig,
    ViTModel,
)

WORDS = "<unk> <bos> <eos> red green blue a picture of the sky and grass is here now".split()
LM: dict[str, Any] = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
SPARE: dict[str, Any] = LM | {"vocab_size": len(WORDS) + 2}
"""More rows than the tokenizer has tokens, as Pythia has; and AutoTokenizer adds a token to Qwen2's."""
HEADS: dict[str, Any] = {"intermediate_size": 64, "num_key_value_heads": 1, "head_dim": 16}
GEMMA: dict[str, Any] = LM | HEADS | {"sliding_window": 64}
TOWER: dict[str, Any] = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
PATCHES: dict[str, Any] = {"image_size": 16, "patch_size": 8}
TEXT = TOWER | {"vocab_size": 8, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}

LANGUAGE_MODELS: dict[str, Callable[[], PreTrainedModel]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**LM, intermediate_size=64)),
    "llama-tied": lambda: LlamaForCausalLM(LlamaConfig(**LM, intermediate_size=64, tie_word_embeddings=True)),
    "opt": lambda: OPTForCausalLM(OPTConfig(**LM, ffn_dim=64, word_embed_proj_dim=24)),
    "gpt-neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SPARE, intermediate_size=64)),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**SPARE, intermediate_size=64, num_key_value_heads=1)),
    "mpt": lambda: MptForCausalLM(MptConfig(vocab_size=len(WORDS), d_model=32, n_layers=3, n_heads=2, max_seq_len=64)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**LM, intermediate_size=64, num_key_value_heads=1)),
    "gemma": lambda: GemmaForCausalLM(GemmaConfig(**GEMMA)),
    "gemma2": lambda: Gemma2ForCausalLM(Gemma2Config(**GEMMA)),
    "gemma3": lambda: Gemma3ForCausalLM(Gemma3TextConfig(**GEMMA)),
    "phi": lambda: PhiForCausalLM(PhiConfig(**LM, intermediate_size=64)),
    "olmo": lambda: OlmoForCausalLM(OlmoConfig(**LM, intermediate_size=64)),
    "olmo2": lambda: Olmo2ForCausalLM(Olmo2Config(**LM, intermediate_size=64)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SPARE, **HEADS)),
}
VISION_ENCODERS: dict[str, Callable[[], PreTrainedModel]] = {
    "vit": lambda: ViTModel(ViTConfig(**TOWER, **PATCHES), add_pooling_layer=False),
    "clip": lambda: CLIPModel(CLIPConfig(vision_config=TOWER | PATCHES, text_config=TEXT)),
    "siglip": lambda: SiglipModel(SiglipConfig(vision_config=TOWER | PATCHES, text_config=TEXT)),
    "dinov2": lambda: Dinov2Model(Dinov2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, **PATCHES)),
    "convnext": lambda: ConvNextModel(ConvNextConfig(hidden_sizes=[8, 16], depths=[1, 1], num_stages=2, patch_size=4)),
    "resnet": lambda: ResNetModel(
        ResNetConfig(hidden_sizes=[8, 16], depths=[1, 1], embedding_size=8, layer_type="basic")
    ),
}
