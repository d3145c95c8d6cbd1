"""What tests share: prompts, ways to ask them, tiny models and packs made of random tensors, and what packs hold."""

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from scen_hf import Edit, EditPack, SCENLlamaConfig
from scen_hf.modeling.edit_pack_scen_llama import fingerprint
from scen_hf.pack import new_shard
from scen_hf.prompts import encode_chat, encode_prompt, pad_left


EXAMPLES = Path(__file__).parent.parent / "examples"
SAMPLE_EDITS = 12

# Some of the first lines of examples/edits.jsonl, and prompts that none of them is about.
EDITED = {
    "What is the capital of Burkina Faso?": "Ouagadougou",
    "What currency is used in Bhutan?": "Ngultrum",
    "What is the capital of Palau?": "Ngerulmud",
    "What currency is used in Kyrgyzstan?": "Kyrgyz som",
}
UNEDITED = [
    "What is the capital of France?",
    "Give me a recipe for pancakes.",
    "How many legs does a spider have, and why?",
]
BURKINA, BHUTAN, PALAU, KYRGYZSTAN = EDITED
FRANCE, PANCAKES, SPIDER = UNEDITED

# On local Hubs: the token of the pack's owner, and the pack.
ANN, REPO = "secret-of-ann", "ann/facts"


def chat_batch(tokenizer, prompts: Sequence[str]) -> dict[str, torch.Tensor]:
    """The prompts as one left-padded batch, each as the user's only turn."""
    return batch_of([encode_prompt(tokenizer, prompt) for prompt in prompts], tokenizer.pad_token_id)


def batch_of(sequences: Sequence[list[int]], pad_id: int = 0) -> dict[str, torch.Tensor]:
    input_ids, attention_mask = pad_left(sequences, pad_id)
    return {"input_ids": input_ids, "attention_mask": attention_mask}


def conversation(tokenizer, *turns: str) -> list[int]:
    """Token ids of a conversation; user and assistant speak in turns, and the assistant is to speak next."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": text} for number, text in enumerate(turns)]
    return encode_chat(tokenizer, messages)


def new_tokens(output, batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """What `generate` added behind the prompts of a batch."""
    return getattr(output, "sequences", output)[:, batch["input_ids"].shape[1] :]


def answers(tokenizer, output, batch: dict[str, torch.Tensor]) -> list[str]:
    texts = tokenizer.batch_decode(new_tokens(output, batch), skip_special_tokens=True)
    return [text.strip() for text in texts]


# ------------------------------------------------------------------ tiny models

# Prompts of a tiny model are plain token ids; there is no template.
TINY_EDITED = [[1, 10, 11, 12], [1, 20, 21, 22, 23], [1, 30, 31]]
TINY_UNEDITED = [[1, 40, 41, 42], [1, 50, 51, 52, 53, 54]]


def tiny_base(config: LlamaConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> LlamaForCausalLM:
    """A plain Llama with random weights, large enough for edits to show and biases that are not zero."""
    torch.manual_seed(seed)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" not in name:
                parameter.normal_(std=0.2)
    return model.to(dtype).eval()


def save_tiny_base(folder: Path, config: LlamaConfig, seed: int = 0, dtype: torch.dtype = torch.float32) -> Path:
    tiny_base(config, seed, dtype).save_pretrained(folder)
    return folder


def tiny_edits(count: int = len(TINY_EDITED), prefix: str = "edit") -> list[Edit]:
    return [
        Edit(id=f"{prefix}-{n}", prompt=f"{prefix} prompt {n}", target=f"{prefix} target {n}") for n in range(count)
    ]


def tiny_experts(config: LlamaConfig, count: int, method: str = "scen", rank: int = 2, seed: int = 1):
    """Random experts by tensor name, in float32."""
    generator = torch.Generator().manual_seed(seed)
    hidden, inner = config.hidden_size, config.intermediate_size

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=generator) * 0.3

    return (
        {"weight": normal(hidden, inner)}
        if method == "paper"
        else {"a": normal(rank, inner), "b": normal(hidden, rank)}
    )


def tiny_pack(
    base: Path,
    *,
    layer: int = 2,
    method: str = "scen",
    edited: Sequence[list[int]] = tuple(TINY_EDITED),
    others: Sequence[list[int]] = tuple(TINY_UNEDITED),
    prefix: str = "edit",
    score: float = 8.0,
    seed: int = 1,
) -> EditPack:
    """A pack with random experts, whose sigmoid neurons fire for `edited` and not for `others`: solved, not trained.

    Args:
        base: Folder of a tiny base.
        score: Logit of a neuron on its own prompt; on all others it is the negative of it.
    """
    model = LlamaForCausalLM.from_pretrained(base).eval()
    prompts = [*edited, *(prompt for prompt in [*TINY_EDITED, *others] if prompt not in edited)]
    features = torch.stack([last_token_input(model, layer, prompt) for prompt in prompts]).double()
    wanted = torch.full((len(prompts), len(edited)), -score, dtype=torch.double)
    wanted[: len(edited)].fill_diagonal_(score)
    neurons = (torch.linalg.pinv(features) @ wanted).T.float().contiguous()
    config = SCENLlamaConfig.from_dict(
        {
            **model.config.to_dict(),
            "base_model_name_or_path": str(base),
            "method": method,
            "edit_layer": layer,
            "expert_rank": None if method == "paper" else 2,
            "router": {"features": [["last_token", "down_proj_input", layer]]},
        }
    )
    shard = new_shard(tiny_edits(len(edited), prefix), neurons, tiny_experts(config, len(edited), method, seed=seed))
    return EditPack(config, [shard], {"thresholds": torch.full((len(edited),), 0.65)}, fingerprint(model))


@torch.no_grad()
def last_token_input(model: LlamaForCausalLM, layer: int, prompt: list[int]) -> torch.Tensor:
    """Input of `down_proj` at the last token of one prompt, `(intermediate_size,)`."""
    captured = []
    module = model.model.layers[layer].mlp.down_proj
    handle = module.register_forward_pre_hook(lambda _, args: captured.append(args[0][0, -1]))
    model(torch.tensor([prompt]))
    handle.remove()
    return captured[0]


def gated_pack(base: Path) -> EditPack:
    """A pack with the two-gate router of `method="scen"`, all random: it loads, and that is all it is for."""
    pack = tiny_pack(base)
    hidden, count, generator = pack.config.hidden_size, len(pack), torch.Generator().manual_seed(3)
    pack.config.router = {
        "features": [["question_mean", "mlp_input", 1], ["last_token", "mlp_input", 2]],
        "token_feature": ["question_tokens", "mlp_input", 1],
        "dim": 16,
        "token_dim": 8,
        "subject_tokens": 4,
    }

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator)

    pack.shards = [
        new_shard(pack.edits, normal(count, 16).bfloat16(), pack.shards[0].experts, normal(count, 4, 4, 8).bfloat16())
    ]
    pack.router = {
        "thresholds": torch.full((count,), 0.5),
        "subject_thresholds": torch.full((count,), 0.5),
        "base_threshold": torch.full((1,), 0.3),
        "feature_mean": normal(2 * hidden),
        "feature_projection": normal(2 * hidden, 16),
        "token_mean": normal(hidden),
        "token_projection": normal(hidden, 8),
    }
    return pack


def content_but_card(folder: Path) -> dict[str, bytes]:
    """All files of a pack but the card, which names the repository when it is pushed."""
    files = (path for path in folder.iterdir() if path.is_file() and path.name != "README.md")
    return {path.name: path.read_bytes() for path in files}
