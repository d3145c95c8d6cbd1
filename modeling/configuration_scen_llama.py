"""SCEN Llama configuration: a Llama, the base checkpoint it stands on, and how its edits were made."""

from transformers import LlamaConfig


# Version of the pack layout on disk. A reader refuses a newer one, because it cannot know what it would overlook.
FORMAT_VERSION = 1


class SCENLlamaConfig(LlamaConfig):
    r"""
    Configuration of a [`SCENLlamaForCausalLM`]: every field of [`~transformers.LlamaConfig`], copied from the base
    model, and the fields below. It is the `config.json` of an edit pack.

    Args:
        base_model_name_or_path (`str`, *optional*):
            Hub id or folder of the frozen Llama that the edits were trained on. `None` for a model that carries its
            own weights.
        base_model_revision (`str`, *optional*):
            Commit, tag or branch of the base model.
        method (`str`, defaults to `"scen"`):
            `"scen"`: low-rank experts that act from the last prompt token onward, and neurons that read the whitened
            mean over the question. `"paper"`: full-matrix experts and last-token sigmoid neurons of arXiv 2404.02699.
        edit_layer (`int`, *optional*):
            Index of the decoder layer whose `mlp.down_proj` the experts change.
        expert_rank (`int`, *optional*):
            Rank of the experts of `method="scen"`; `None` for full matrices.
        router (`dict`, *optional*):
            What the indexing neurons read: `{"features": [[pooling, site, layer], ...], "score": ..., "dim": ...}`,
            see [`~routing_scen_llama.FeatureSpec`].
        question_start_ids (`list[int]`, *optional*):
            Token ids that the chat template puts right before the user's text. `None`: the model has no template and
            the question is the whole prompt.
        question_end_ids (`list[int]`, *optional*):
            Token ids that the chat template puts between the user's text and the answer.
        num_edits (`int`, defaults to 0):
            Number of edits in the pack.
        expert_cache_mib (`int`, defaults to 256):
            Upper bound, in MiB, on the experts that a loaded pack keeps in memory.
        format_version (`int`, defaults to 1):
            Version of the pack layout on disk.
    """

    model_type = "scen_llama"

    base_model_name_or_path: str | None = None
    base_model_revision: str | None = None
    method: str = "scen"
    edit_layer: int | None = None
    expert_rank: int | None = None
    router: dict | None = None
    question_start_ids: list[int] | None = None
    question_end_ids: list[int] | None = None
    num_edits: int = 0
    expert_cache_mib: int = 256
    format_version: int = FORMAT_VERSION


__all__ = ["FORMAT_VERSION", "SCENLlamaConfig"]
