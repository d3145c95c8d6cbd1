"""SCEN Llama: a frozen Llama with edits.

An edit is a fact: a prompt and the answer it must get. SCEN (arXiv 2404.02699) stores each edit as an *expert*, a small
change of one layer's `mlp.down_proj`, and an *indexing neuron*, which recognises prompts about the fact. This file is a
Llama in which one thing is new: every layer shows its MLP's states to the routing state of the call, and the edited
layer lets it add the expert of the rows whose neuron fired:

    x = act(gate_proj(h)) * up_proj(h)
    y = down_proj(x)                      # the base model's, always computed
    y = where(fired and answer, y + B A x, y)

A row on which nothing fires takes `y` itself, so its logits are the base model's, bit for bit. How prompts are routed is
told in `routing_scen_llama.py`, how packs are read in `edit_pack_scen_llama.py`.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, LlamaModel, PreTrainedConfig
from transformers.cache_utils import Cache
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaMLP

from .configuration_scen_llama import SCENLlamaConfig
from .edit_pack_scen_llama import EditPackError, EditPackReader, check_fingerprint, embedded_base_folder
from .routing_scen_llama import Route, SCENRouting, Spans, find_spans, marker_ends


# Models whose edits are off in the running context: a `with` block in one thread leaves the others alone.
_DISABLED: ContextVar[frozenset[int]] = ContextVar("scen_edits_disabled", default=frozenset())


@dataclass
class SCENCausalLMOutputWithPast(CausalLMOutputWithPast):
    """[`~transformers.modeling_outputs.CausalLMOutputWithPast`] with the routing state of its sequences.

    Args:
        routing ([`SCENRouting`], *optional*): To be passed on with `past_key_values` when the sequences are continued.
            `None` when no edits are loaded or they are disabled.
    """

    routing: SCENRouting | None = None


class SCENLlamaMLP(LlamaMLP):
    """Llama's MLP, whose states the routing state reads and whose output it may edit."""

    def __init__(self, config: LlamaConfig, layer_idx: int):
        super().__init__(config)
        self.layer_idx = layer_idx

    def forward(self, hidden_states: torch.Tensor, routing: SCENRouting | None = None) -> torch.Tensor:
        if routing is None or self.layer_idx not in routing.layers:
            return super().forward(hidden_states)
        x = self.act_fn(self.gate_proj(hidden_states)) * self.up_proj(hidden_states)
        y = self.down_proj(x)
        if routing.pending:
            routing.observe(self.layer_idx, mlp_input=hidden_states, down_proj_input=x)
        return routing.edit(self.layer_idx, x, y, self.down_proj.bias)


class SCENLlamaDecoderLayer(LlamaDecoderLayer):
    """Llama's decoder layer; hands the routing state to the MLP."""

    def __init__(self, config: LlamaConfig, layer_idx: int):
        super().__init__(config, layer_idx)
        self.mlp = SCENLlamaMLP(config, layer_idx)

    def forward(self, hidden_states: torch.Tensor, routing: SCENRouting | None = None, **kwargs: Any) -> torch.Tensor:
        residual = hidden_states
        hidden_states = self.input_layernorm(hidden_states)
        hidden_states, _ = self.self_attn(hidden_states=hidden_states, **kwargs)
        hidden_states = residual + hidden_states

        residual = hidden_states
        hidden_states = self.post_attention_layernorm(hidden_states)
        hidden_states = self.mlp(hidden_states, routing)
        return residual + hidden_states


class SCENLlamaModel(LlamaModel):
    """Llama's decoder stack, made of [`SCENLlamaDecoderLayer`]."""

    config: SCENLlamaConfig
    _no_split_modules = ["SCENLlamaDecoderLayer"]
    _can_record_outputs = LlamaModel._can_record_outputs | {"hidden_states": SCENLlamaDecoderLayer}

    def __init__(self, config: SCENLlamaConfig):
        super().__init__(config)
        self.layers = nn.ModuleList(SCENLlamaDecoderLayer(config, idx) for idx in range(config.num_hidden_layers))
        self.post_init()


class SCENLlamaForCausalLM(LlamaForCausalLM):
    """A Llama language model that edit packs can be attached to.

    Examples:

    ```python
    >>> from transformers import AutoModelForCausalLM, AutoTokenizer

    >>> model = AutoModelForCausalLM.from_pretrained("owner/facts-2026", trust_remote_code=True)  # base and edits
    >>> tokenizer = AutoTokenizer.from_pretrained("owner/facts-2026")
    >>> chat = [{"role": "user", "content": "What is the capital of Burkina Faso?"}]
    >>> inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    >>> output = model.generate(**inputs, max_new_tokens=20, return_dict_in_generate=True)
    >>> output.routes[0].edit_id
    'capital-of-burkina-faso'
    ```
    """

    config_class = SCENLlamaConfig
    config: SCENLlamaConfig
    _no_split_modules = ["SCENLlamaDecoderLayer"]

    def __init__(self, config: SCENLlamaConfig):
        super().__init__(config)
        self.model = SCENLlamaModel(config)
        self._packs: dict[str, EditPackReader] = {}
        self.post_init()

    # ---------------------------------------------------------------- loading

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *model_args: Any,
        config: PreTrainedConfig | str | Path | None = None,
        base_model: str | Path | None = None,
        prefetch: bool = False,
        **kwargs: Any,
    ) -> "SCENLlamaForCausalLM":
        r"""
        Load an edit pack with the base model it names, or a plain Llama checkpoint without edits.

        Args:
            pretrained_model_name_or_path (`str` or `Path`):
                Folder or Hub repository of an edit pack or of any Llama checkpoint.
            config ([`SCENLlamaConfig`], *optional*):
                Configuration to use in place of the stored one.
            base_model (`str` or `Path`, *optional*):
                Folder or Hub id that holds the base weights, where the one named by the pack is not at hand. Its weights
                are compared with those the edits were trained on.
            prefetch (`bool`, defaults to `False`):
                Download all experts of a pack on the Hub at once, in place of each when it first fires. In a pipeline:
                `model_kwargs={"prefetch": True}`.
            kwargs:
                As in [`~transformers.PreTrainedModel.from_pretrained`] (`dtype`, `device_map`, `revision`, `token` ...).
                `revision` is the pack's; the base is loaded at the revision that the pack pins.

        Raises:
            EditPackError: If the pack is damaged, of a newer format, or its base cannot be found.
            HubError: If a file of the pack cannot be downloaded.
            WrongBaseError: If the base weights are not the ones the edits were trained on.
        """
        source = str(pretrained_model_name_or_path)
        # This code is loaded. What else the switch lets transformers run is `custom_generate` of the base's repository.
        kwargs.pop("trust_remote_code", None)
        hub = {key: kwargs[key] for key in ("token", "cache_dir", "local_files_only") if key in kwargs}
        revision = kwargs.get("revision")
        if not isinstance(config, PreTrainedConfig):
            stored = PreTrainedConfig.get_config_dict(config or source, revision=revision, **hub)[0]
            if stored.get("model_type") not in ("llama", cls.config_class.model_type):
                raise EditPackError(
                    f"{source} is a {stored.get('model_type')!r} model; edit packs stand on models of the Llama family "
                    "(model_type 'llama')."
                )
            config = cls.config_class.from_dict({**stored, "model_type": cls.config_class.model_type})
        elif not isinstance(config, cls.config_class):
            config = cls.config_class.from_dict({**config.to_dict(), "model_type": cls.config_class.model_type})

        if not config.num_edits:
            return super().from_pretrained(base_model or source, *model_args, config=config, **kwargs)
        # Read the pack before gigabytes of weights: what is wrong with it shows at once.
        pack = EditPackReader(source, config=config, revision=revision, **hub)
        if prefetch:
            pack.prefetch()
        weights = base_model or config.base_model_name_or_path
        if weights is None:
            model = super().from_pretrained(source, *model_args, config=config, **kwargs)
        else:
            model = cls._load_base(str(weights), config, base_model is None, *model_args, **kwargs)
        model = model[0] if isinstance(model, tuple) else model
        model._attach(pack)
        return model

    @classmethod
    def _load_base(cls, weights: str, config: SCENLlamaConfig, pinned: bool, *model_args: Any, **kwargs: Any):
        """Load the base weights a pack names into a model with the pack's configuration."""
        kwargs["revision"] = config.base_model_revision if pinned else None
        if not Path(weights).exists() and embedded_base_folder(weights).is_dir():
            weights = str(embedded_base_folder(weights))
        # Files of the pack, not of the base.
        for key in ("subfolder", "variant", "code_revision"):
            kwargs.pop(key, None)
        try:
            return super().from_pretrained(weights, *model_args, config=config, **kwargs)
        except OSError as error:
            raise EditPackError(
                f"The edits stand on the base model {weights!r}, which could not be loaded: {error} Pass "
                "base_model=FOLDER_OR_REPO to say where its weights are."
            ) from error

    def save_pretrained(
        self, save_directory: str | Path, *args: Any, include_base: bool = False, **kwargs: Any
    ) -> None:
        r"""
        Save the attached edit pack, by itself or with the base model as one self-contained model. Without a pack attached
        this is the base model's [`~transformers.PreTrainedModel.save_pretrained`].

        Args:
            save_directory (`str` or `Path`): A new or empty folder.
            include_base (`bool`, defaults to `False`): Whether to write the base weights too.
            args, kwargs: As in [`~transformers.PreTrainedModel.save_pretrained`], for the base weights.

        Raises:
            EditPackError: If several packs are attached, or the folder is not empty.
        """
        if not self._packs:
            config = self.config
            self.config = SCENLlamaConfig.from_dict(
                {**config.to_dict(), "num_edits": 0, "base_model_name_or_path": None}
            )
            try:
                return super().save_pretrained(save_directory, *args, **kwargs)
            finally:
                self.config = config
        if len(self._packs) > 1:
            raise EditPackError(f"A folder holds one pack, and {list(self._packs)} are attached. Unload all but one.")
        target = Path(save_directory)
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise EditPackError(f"{target} is not a new or empty folder; choose another one.")
        (pack,) = self._packs.values()
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
            folder = Path(scratch) / "model"
            folder.mkdir()
            pack_config = pack.config
            if include_base:
                pack_config = SCENLlamaConfig.from_dict({**pack.config.to_dict(), "base_model_name_or_path": None})
                super().save_pretrained(folder, *args, **kwargs)
            pack.copy_to(folder)
            pack_config.save_pretrained(folder)
            os.replace(folder, target)

    def load_edit_pack(
        self,
        path_or_repo: str | Path,
        *,
        name: str | None = None,
        revision: str | None = None,
        prefetch: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> str:
        r"""
        Attach an edit pack to this model. Several can be attached at once; where edits of two packs fire for one prompt,
        the one that is further above its threshold answers.

        Args:
            path_or_repo (`str` or `Path`): Folder or Hub repository of the pack.
            name (`str`, *optional*): Name to call it by; the folder's or repository's by default.
            prefetch (`bool`, defaults to `False`): Download all experts at once, in place of each when it first fires.
            revision, token, cache_dir, local_files_only: As in [`~huggingface_hub.hf_hub_download`].

        Returns:
            `str`: The name.

        Raises:
            EditPackError: If the pack is damaged, of a newer format or for another architecture.
            HubError: If a file of it cannot be downloaded.
            WrongBaseError: If it was trained on another base model.
        """
        pack = EditPackReader(
            path_or_repo,
            name=name,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
        )
        if prefetch:
            pack.prefetch()
        return self._attach(pack)

    def _attach(self, pack: EditPackReader) -> str:
        if pack.name in self._packs:
            raise EditPackError(
                f"A pack is already loaded as {pack.name!r}; unload it, or give this one another name."
            )
        for field in ("hidden_size", "intermediate_size", "num_hidden_layers", "vocab_size"):
            ours, theirs = getattr(self.config, field), getattr(pack.config, field)
            if ours != theirs:
                raise EditPackError(
                    f"{pack.source} was made for another architecture: its {field} is {theirs}, this model's is {ours}."
                )
        check_fingerprint(pack.base_fingerprint, self, pack.source, pack.config.base_model_name_or_path)
        self._packs[pack.name] = pack
        return pack.name

    def unload_edit_pack(self, name: str | None = None) -> None:
        """Detach the pack of that name, or all packs; the model is then the base model again, exactly."""
        if name is None:
            self._packs.clear()
        elif self._packs.pop(name, None) is None:
            raise EditPackError(f"No edit pack is loaded as {name!r}; loaded are {list(self._packs)}.")

    @property
    def edit_packs(self) -> dict[str, EditPackReader]:
        """The attached packs by name, in the order in which they were attached."""
        return dict(self._packs)

    @contextmanager
    def edits_disabled(self) -> Iterator[None]:
        """Within the block, and in this thread or task only, the model is the base model."""
        token = _DISABLED.set(_DISABLED.get() | {id(self)})
        try:
            yield
        finally:
            _DISABLED.reset(token)

    # ---------------------------------------------------------------- routing

    def _new_routing(
        self,
        input_ids: torch.Tensor | None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
    ) -> SCENRouting | None:
        """Routing state for new sequences; `None` when there is nothing to route."""
        if not self._packs or id(self) in _DISABLED.get():
            return None
        return SCENRouting(
            list(self._packs.values()), self._find_spans(input_ids, attention_mask, inputs_embeds, labels)
        )

    def _find_spans(self, input_ids, attention_mask, inputs_embeds, labels) -> Spans:
        if attention_mask is not None and getattr(attention_mask, "ndim", None) != 2:
            raise ValueError(
                "Edits are routed by rows, for which an attention_mask of shape (batch, columns) with 0 at padding is "
                "needed. Pass one, or use edits_disabled() for the base model's output."
            )
        start, end = self._question_markers()
        if input_ids is None:
            input_ids = self._ids_of_markers(inputs_embeds, {*(start or ()), *(end or ())})
        return find_spans(input_ids, attention_mask, start, end, labels)

    def _question_markers(self) -> tuple[list[int] | None, list[int] | None]:
        """The chat template's markers, which all packs of one base share."""
        for pack in self._packs.values():
            if pack.config.question_start_ids:
                return pack.config.question_start_ids, pack.config.question_end_ids
        return None, None

    def _ids_of_markers(self, inputs_embeds: torch.Tensor, markers: set[int]) -> torch.Tensor:
        """Token ids where `inputs_embeds` holds the embedding of a marker token, -1 elsewhere."""
        input_ids = torch.full(inputs_embeds.shape[:2], -1, device=inputs_embeds.device)
        for token in sorted(markers):
            embedding = self.get_input_embeddings().weight[token].to(inputs_embeds)
            input_ids[(inputs_embeds == embedding).all(-1)] = token
        return input_ids

    def _asks_again(self, input_ids: torch.Tensor | None, inputs_embeds: torch.Tensor | None) -> bool:
        """Whether tokens behind a filled cache hold another question, so that the old route must not answer it."""
        start, _ = self._question_markers()
        given = input_ids if input_ids is not None else inputs_embeds
        if not start or given.shape[1] == 1:
            return False
        if input_ids is None:
            input_ids = self._ids_of_markers(inputs_embeds, set(start))
        return any(marker_ends(row, start) for row in input_ids.tolist())

    @torch.compiler.disable
    def _routing_of_call(
        self, input_ids, attention_mask, inputs_embeds, labels, past_key_values, position_ids
    ) -> SCENRouting | None:
        """The routing state of a forward call that was given none: a new one, or the one its cache was filled under."""
        if id(self) in _DISABLED.get():
            return None
        cached = 0 if past_key_values is None else int(past_key_values.get_seq_length())
        if attention_mask is None and position_ids is not None and bool((position_ids.diff() < 0).any()):
            raise ValueError(
                "position_ids start anew within a row: several sequences packed into one. Edits are routed by rows, so "
                "give each sequence its own, or use edits_disabled() for the base model's output."
            )
        if not cached:
            return self._new_routing(input_ids, attention_mask, inputs_embeds, labels)
        given = input_ids if input_ids is not None else inputs_embeds
        if self._asks_again(input_ids, inputs_embeds):
            mask = None if attention_mask is None else attention_mask[:, -given.shape[1] :]
            routing = self._new_routing(input_ids, mask, inputs_embeds, labels)
            routing.spans = routing.spans.behind(cached)
            return routing
        routing = getattr(past_key_values, "scen_routing", None)
        if routing is None:
            raise ValueError(
                "past_key_values holds tokens that were not run by this model with its edits on, so which edit the "
                "sequences are about is not known. Pass routing=outputs.routing of the call that filled the cache, use "
                "generate(), or run the sequences without a cache."
            )
        return routing

    @torch.no_grad()
    def route(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> list[Route]:
        r"""
        Say which edit fires for each prompt, without generating.

        Args:
            input_ids (`torch.LongTensor` of shape `(batch, columns)`): Prompts as they would go to `generate`.
            attention_mask (`torch.Tensor` of shape `(batch, columns)`, *optional*): 0 at padding.
            inputs_embeds (`torch.Tensor` of shape `(batch, columns, hidden_size)`, *optional*): In place of ids.

        Returns:
            `list[Route]`: One per row: edit, pack, score, threshold, runner-up and the fact itself. With no packs
            attached, or with edits disabled, nothing fires.
        """
        routing = self._new_routing(input_ids, attention_mask, inputs_embeds)
        if routing is None:
            given = input_ids if input_ids is not None else inputs_embeds
            return [Route(fired=False)] * given.shape[0]
        self._run(routing, input_ids, attention_mask, inputs_embeds)
        return routing.routes()

    def _run(self, routing: SCENRouting, input_ids, attention_mask, inputs_embeds) -> None:
        """Run prompts for nothing but their routing."""
        given = input_ids if input_ids is not None else inputs_embeds
        routing.begin(given.shape[0], given.shape[1], offset=0)
        self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            inputs_embeds=inputs_embeds,
            use_cache=False,
            routing=routing,
        )
        routing.end()

    # ---------------------------------------------------------------- running

    def forward(
        self,
        input_ids: torch.LongTensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.LongTensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.LongTensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        routing: SCENRouting | None = None,
        **kwargs: Any,
    ) -> SCENCausalLMOutputWithPast | tuple:
        r"""
        As [`~transformers.LlamaForCausalLM.forward`], and:

        Args:
            routing ([`SCENRouting`], *optional*):
                Routing state of the sequences, from the output of the call that filled `past_key_values`. Without it and
                without a filled cache the input is routed as a new prompt.
        """
        if routing is None and self._packs:
            routing = self._routing_of_call(
                input_ids, attention_mask, inputs_embeds, labels, past_key_values, position_ids
            )
        given = input_ids if input_ids is not None else inputs_embeds
        # A single token behind the prompt is all answer, and needs no bookkeeping (nor a recompilation).
        tracked = routing is not None and (routing.pending or given.shape[1] > 1)
        if tracked:
            offset = 0 if past_key_values is None else int(past_key_values.get_seq_length())
            routing.begin(given.shape[0], given.shape[1], offset)
        outputs = super().forward(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            routing=routing,
            **kwargs,
        )
        if tracked:
            routing.end()
        if routing is None:
            return outputs
        parts = outputs if isinstance(outputs, tuple) else outputs.values()
        for cache in (part for part in parts if tracked and isinstance(part, Cache)):
            cache.scen_routing = routing
        return outputs if isinstance(outputs, tuple) else SCENCausalLMOutputWithPast(**outputs, routing=routing)

    @torch.no_grad()
    def generate(self, inputs: torch.Tensor | None = None, *args: Any, **kwargs: Any):
        r"""
        As [`~transformers.GenerationMixin.generate`], in every mode. The prompt is routed once, in the prefill; the edit
        holds for all generated tokens. With `return_dict_in_generate=True` the output has `routes`, a list with one
        [`Route`] per returned sequence.
        """
        input_ids = kwargs.get("input_ids") if inputs is None else inputs
        routing = kwargs.pop("routing", None)
        if routing is None:
            routing = self._routing_of_generate(input_ids, kwargs)
        prompts = 0
        if routing is not None:
            kwargs["routing"] = routing
            prompts = len(routing.spans.answer_start)
        outputs = super().generate(inputs, *args, **kwargs)
        if routing is not None and isinstance(outputs, dict):
            # Beams and returned sequences of one prompt share its route; their numbers need not be the same.
            routes, returned = routing.routes(), outputs.sequences.shape[0]
            beams = len(routes) // prompts
            outputs["routes"] = [routes[row * prompts // returned * beams] for row in range(returned)]
        return outputs

    def _routing_of_generate(self, input_ids: torch.Tensor | None, kwargs: dict[str, Any]) -> SCENRouting | None:
        inputs_embeds, attention_mask = kwargs.get("inputs_embeds"), kwargs.get("attention_mask")
        if inputs_embeds is not None:
            input_ids = None
        elif input_ids is None:  # `generate` starts from the BOS token: no prompt, no edit
            return None
        past = kwargs.get("past_key_values")
        cached = 0 if past is None else int(past.get_seq_length())
        given = input_ids if input_ids is not None else inputs_embeds
        if cached and attention_mask is not None and attention_mask.shape[1] > given.shape[1]:
            # Only the new tokens were passed: shift the spans to their place behind the cached ones.
            new = given.shape[1]
            routing = self._new_routing(input_ids, attention_mask[:, -new:], inputs_embeds)
            if routing is not None:
                routing.spans = routing.spans.behind(attention_mask.shape[1] - new)
            return routing
        routing = self._new_routing(input_ids, attention_mask, inputs_embeds)
        whole = routing is not None and any(pack.router_needs_whole_prompt for pack in routing.packs)
        if routing is not None and not whole and any(row and row[0] < cached for row in routing.spans.question):
            # A prompt cache holds part of the question, whose hidden states are gone: read the prompt once more.
            self._run(routing, input_ids, attention_mask, inputs_embeds)
        return routing

    def generate_batch(self, *args: Any, **kwargs: Any):
        """Continuous batching is not supported while edits are on; the base model's runs under `edits_disabled()`."""
        if self._packs and id(self) not in _DISABLED.get():
            raise NotImplementedError(
                "Continuous batching packs several sequences into one row, and edits are routed by row. Use generate(), "
                "or edits_disabled() for the base model's answers."
            )
        return super().generate_batch(*args, **kwargs)

    def _get_candidate_generator(self, *args: Any, **kwargs: Any):
        # The assistant is another model: our routing state is not for it.
        model_kwargs = {key: value for key, value in kwargs.pop("model_kwargs").items() if key != "routing"}
        return super()._get_candidate_generator(*args, model_kwargs=model_kwargs, **kwargs)


__all__ = ["SCENCausalLMOutputWithPast", "SCENLlamaForCausalLM", "SCENLlamaModel"]
