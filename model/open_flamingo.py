"""OpenFlamingo's released layout and ours: the same weights under other names.

`perceiver.*` is the resampler. Blocks lie under `lang_encoder.gated_cross_attn_layers.{layer}` (older) or
`lang_encoder.<path of the layers>.{layer}.gated_cross_attn_layer` (newer). New tokens are the last rows of the
embedding: `<|endofchunk|>`, `<image>` and, where the tokenizer had no padding, `<PAD>`.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from model.flamingo import Flamingo
from model.language import PAD_TOKEN, token_id
from model.layers import decoder_layers

RESAMPLER = {
    "0.norm_media": "norm_features",
    "0.norm_latents": "norm_latents",
    "0.to_q": "to_queries",
    "0.to_kv": "to_keys_values",
    "0.to_out": "to_out",
    "1.0": "feed_forward.norm",
    "1.1": "feed_forward.expand",
    "1.3": "feed_forward.contract",
}
BLOCK = {
    "attn.norm": "attention.norm_text",
    "attn.to_q": "attention.to_queries",
    "attn.to_kv": "attention.to_keys_values",
    "attn.to_out": "attention.to_out",
    "attn_gate": "attention_gate",
    "ff.0": "feed_forward.norm",
    "ff.1": "feed_forward.expand",
    "ff.3": "feed_forward.contract",
    "ff_gate": "feed_forward_gate",
}
BLOCK_KEY = re.compile(
    r"lang_encoder\.(?:gated_cross_attn_layers\.(?P<old>\d+)|.+\.(?P<new>\d+)\.gated_cross_attn_layer)\.(?P<rest>.+)"
)
RESAMPLER_KEY = re.compile(r"perceiver\.layers\.(?P<layer>\d+)\.(?P<rest>.+)")
EMBEDDING_KEY = re.compile(r"lang_encoder\..*\b(embed_tokens|wte|embed_in)\.weight")
HEAD_KEY = re.compile(r"lang_encoder\.(lm_head|embed_out)\.weight")


def flat(state: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors of a checkpoint by name, without its wrapping and without `module.` before the names."""
    inner = state.get("model_state_dict", state)
    if not isinstance(inner, Mapping):
        raise ValueError(f"model_state_dict holds a {type(inner).__name__}, and must hold tensors by name")
    return {name.removeprefix("module."): value for name, value in inner.items() if isinstance(value, Tensor)}


def adapters_from_open_flamingo(state: Mapping[str, object], flamingo: Flamingo) -> dict[str, Tensor]:
    """OpenFlamingo's weights under the names of `flamingo.adapter_state_dict()`.

    Tables of new tokens that the checkpoint lacks stay as they are. Raises ValueError on a name of the resampler or
    of a block that is not known, and where there are none of them.
    """
    tensors, layers = flat(state), layers_name(flamingo)
    found = dict[str, Tensor]()
    for name, value in tensors.items():
        if name in ("perceiver.latents", "perceiver.norm.weight", "perceiver.norm.bias"):
            found[name.replace("perceiver", "resampler")] = value
        elif match := RESAMPLER_KEY.fullmatch(name):
            found[f"resampler.layers.{match['layer']}.{renamed(match['rest'], RESAMPLER, name)}"] = value
        elif match := BLOCK_KEY.fullmatch(name):
            found[f"{layers}.{match['old'] or match['new']}.block.{renamed(match['rest'], BLOCK, name)}"] = value
    if not found:
        raise ValueError("the checkpoint has no perceiver.* and no gated_cross_attn_layer of OpenFlamingo's")
    own = flamingo.adapter_state_dict()
    tables = {name: value for name, value in own.items() if name in new_token_tables(flamingo)}
    return found | tables | new_tokens(tensors, flamingo)


def adapters_to_open_flamingo(flamingo: Flamingo) -> dict[str, Tensor]:
    """The adapters in OpenFlamingo's newer form, with the whole embedding, whose last rows are the new tokens."""
    layers = layers_name(flamingo)
    path = layers.removeprefix("language.lm.")
    state = dict[str, Tensor]()
    for name, value in flamingo.adapter_state_dict().items():
        if match := re.fullmatch(r"resampler\.layers\.(\d+)\.(.+)", name):
            state[f"perceiver.layers.{match[1]}.{renamed(match[2], inverse(RESAMPLER), name)}"] = value
        elif name.startswith("resampler."):
            state[name.replace("resampler", "perceiver")] = value
        elif match := re.fullmatch(rf"{re.escape(layers)}\.(\d+)\.block\.(.+)", name):
            block = f"lang_encoder.{path}.{match[1]}.gated_cross_attn_layer"
            state[f"{block}.{renamed(match[2], inverse(BLOCK), name)}"] = value
    embedding, head = new_token_tables(flamingo)
    parameters = dict(flamingo.named_parameters())
    known = parameters[embedding.replace(".new.", ".frozen.")].detach()[: known_tokens(flamingo)]
    of_embedding = embedding.removeprefix("language.lm.").replace(".new.", ".")
    state[f"lang_encoder.{of_embedding}"] = torch.cat([known, parameters[embedding].detach()[open_order(flamingo)]])
    of_head = head.removeprefix("language.lm.").removesuffix(".new")
    output = flamingo.get_parameter(f"language.lm.{of_head}.weight").detach()[: known_tokens(flamingo)]
    new = parameters[head].detach()[open_order(flamingo)]
    return state | {f"lang_encoder.{of_head}.weight": torch.cat([output, new])}


def new_tokens(tensors: Mapping[str, Tensor], flamingo: Flamingo) -> dict[str, Tensor]:
    """The new tokens' rows of the embedding, and of the head where it lies beside it; a tied head has the same."""
    embedding = next((value for name, value in tensors.items() if EMBEDDING_KEY.fullmatch(name)), None)
    if embedding is None:
        return {}
    output = next((value for name, value in tensors.items() if HEAD_KEY.fullmatch(name)), embedding)
    first, order = known_tokens(flamingo), torch.tensor(open_order(flamingo)).argsort()
    if len(embedding) < first + len(order):
        raise ValueError(
            f"the checkpoint's embedding has {len(embedding)} rows, and {first} tokens and {len(order)} new ones are"
            " needed; choose the language model that it was trained on"
        )
    rows = (table[first : first + len(order)][order].clone() for table in (embedding, output))
    return dict(zip(new_token_tables(flamingo), rows, strict=True))


def open_order(flamingo: Flamingo) -> list[int]:
    """The rows of our tables (`<image>`, `<EOC>`, `<PAD>`) in OpenFlamingo's order (`<EOC>`, `<image>`, `<PAD>`)."""
    tokenizer = flamingo.tokenizer
    return [1, 0, 2] if tokenizer.pad_token == PAD_TOKEN else [1, 0]


def known_tokens(flamingo: Flamingo) -> int:
    """Tokens of the tokenizer as it came; new ones follow them."""
    return token_id(flamingo.tokenizer, "<image>")


def new_token_tables(flamingo: Flamingo) -> tuple[str, str]:
    """The names of the embedding's and of the head's new rows."""
    names = list(flamingo.adapter_state_dict())
    return next(n for n in names if n.endswith(".new.weight")), next(n for n in names if n.endswith(".new"))


def layers_name(flamingo: Flamingo) -> str:
    """Where the language model's layers lie in the Flamingo."""
    layers = decoder_layers(flamingo.language.lm)
    return next(name for name, module in flamingo.named_modules() if module is layers)


def renamed(rest: str, names: Mapping[str, str], whole: str) -> str:
    """The part of a name behind its layer's number under its other name. Raises ValueError where there is none."""
    for old, new in names.items():
        if rest == old or rest.startswith(f"{old}."):
            return new + rest[len(old) :]
    raise ValueError(f"the checkpoint holds {whole}, which is no weight of an OpenFlamingo that is known here")


def inverse(names: Mapping[str, str]) -> dict[str, str]:
    """From the values to the keys."""
    return {new: old for old, new in names.items()}
