"""Routing: which edit, if any, a sequence is about.

The story of one prompt:

1. [`find_spans`] finds two places from the token ids alone: the *question* (the user's last turn, or the whole prompt
   where there is no chat template) and the *answer start* (the last prompt token, from which an expert acts).
2. While the prompt runs through the layers, [`SCENRouting`] pools the hidden states that the packs' routers read.
3. At the edited layer each pack's [`Router`] turns the pooled features into one score per indexing neuron; the best
   neuron above its threshold fires, and its expert is gathered for that row of the batch.
4. For the rest of the sequence the expert's contribution is added at the edited layer, by one batched matmul.

All of that state lives in one [`SCENRouting`] object that belongs to the sequences of one call, never to the module:
threads, batches and interleaved generations cannot mix. `generate` hands it from the prefill to every decode step.
"""

from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class FeatureSpec:
    """One input of a router.

    Args:
        pooling: `"question_mean"`, the mean over the question's tokens, or `"last_token"`, the last prompt token.
        site: `"mlp_input"`, the normalised hidden state that enters the MLP (hidden_size), or `"down_proj_input"`,
            its inner activation (intermediate_size).
        layer: Index of the decoder layer.
    """

    pooling: str
    site: str
    layer: int

    POOLINGS = ("question_mean", "last_token")
    SITES = ("mlp_input", "down_proj_input")

    def __post_init__(self):
        if self.pooling not in self.POOLINGS or self.site not in self.SITES or self.layer < 0:
            raise ValueError(
                f"Not a router feature: {[self.pooling, self.site, self.layer]}. It is [pooling, site, layer] with "
                f"pooling one of {self.POOLINGS}, site one of {self.SITES} and a layer index."
            )


@dataclass
class Spans:
    """Where the question and the answer are, in columns of the token matrix.

    Args:
        question (`torch.BoolTensor` of shape `(batch, columns)`): True at the question's tokens.
        answer_start (`torch.LongTensor` of shape `(batch,)`): Column of the last prompt token.
    """

    question: torch.Tensor
    answer_start: torch.Tensor

    def repeat(self, times: int) -> "Spans":
        """Every row `times` times in a row."""
        return Spans(self.question.repeat_interleave(times, 0), self.answer_start.repeat_interleave(times, 0))

    def behind(self, columns: int) -> "Spans":
        """The same spans with `columns` earlier columns in front."""
        return Spans(nn.functional.pad(self.question, (columns, 0)), self.answer_start + columns)


def _marker_ends(input_ids: torch.Tensor, marker: list[int]) -> torch.Tensor:
    """`(batch, columns)`, True at each column where an occurrence of `marker` ends."""
    if input_ids.shape[1] < len(marker):
        return torch.zeros_like(input_ids, dtype=torch.bool)
    windows = input_ids.unfold(1, len(marker), 1)
    hits = (windows == input_ids.new_tensor(marker)).all(-1)
    return nn.functional.pad(hits, (len(marker) - 1, 0))


def find_spans(
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor | None = None,
    question_start_ids: list[int] | None = None,
    question_end_ids: list[int] | None = None,
    labels: torch.Tensor | None = None,
) -> Spans:
    """Find question and answer start of every row from token ids alone.

    The question lies between the last `question_start_ids` and the `question_end_ids` behind it. A row without the
    first is a bare prompt: its question is every attended token but the first, which serves as attention sink in
    Llama models and carries no content. Its answer starts before the first label, or at the end of the row.

    Args:
        input_ids (`torch.LongTensor` of shape `(batch, columns)`): Prompt, with or without an answer behind it.
        attention_mask (`torch.Tensor` of shape `(batch, columns)`, *optional*): 0 at padding, on either side.
        question_start_ids, question_end_ids (`list[int]`, *optional*): The chat template's markers.
        labels (`torch.LongTensor` of shape `(batch, columns)`, *optional*): -100 at the prompt.
    """
    columns = torch.arange(input_ids.shape[1], device=input_ids.device)
    attended = torch.ones_like(input_ids, dtype=torch.bool) if attention_mask is None else attention_mask.bool()
    first = torch.where(attended, columns, input_ids.shape[1]).min(1).values
    last = torch.where(attended, columns, 0).max(1).values

    answer_start = last
    if labels is not None:
        answered = (labels != -100) & attended
        before = torch.where(answered, columns, input_ids.shape[1]).min(1).values - 1
        answer_start = torch.where(answered.any(1), before.clamp(min=0), last)
    question = attended & (columns <= answer_start[:, None])
    # A prompt of a single token has nothing but its first one.
    question &= (columns != first[:, None]) | (first == answer_start)[:, None]
    if not question_start_ids or not question_end_ids:
        return Spans(question, answer_start)

    opened = torch.where(_marker_ends(input_ids, question_start_ids) & attended, columns, -1).max(1).values
    closes = _marker_ends(input_ids, question_end_ids) & attended
    # The marker must begin behind the opening one: it may share tokens with it.
    closes &= columns >= (opened + len(question_end_ids))[:, None]
    closed = torch.where(closes, columns, input_ids.shape[1]).min(1).values
    has_end = closes.any(1)
    turn_end = torch.where(has_end, closed - len(question_end_ids), last)
    turn = attended & (columns > opened[:, None]) & (columns <= turn_end[:, None])

    templated = opened >= 0
    return Spans(
        torch.where(templated[:, None], turn, question),
        torch.where(templated, torch.where(has_end, closed, last), answer_start),
    )


class Router(nn.Module):
    """The indexing neurons of one pack: pooled features to one score per edit.

    `score="cosine"`: features are centred, whitened and projected (`feature_mean`, `feature_projection`), scaled to
    unit length and compared with the neurons, which are unit vectors of the same space.
    `score="sigmoid"`: the neurons read the raw feature, `sigmoid(w_i · x)`, as in arXiv 2404.02699.

    Args:
        features (`list[FeatureSpec]`): What is read; features are concatenated in this order.
        neurons (`torch.Tensor` of shape `(num_edits, dim)`): One row per edit.
        thresholds (`torch.Tensor` of shape `(num_edits,)`, float32): A neuron fires above its threshold.
        feature_mean (`torch.Tensor` of shape `(num_features,)`, *optional*): For `"cosine"`.
        feature_projection (`torch.Tensor` of shape `(num_features, dim)`, *optional*): For `"cosine"`.
    """

    SCORES = ("cosine", "sigmoid")

    def __init__(
        self,
        features: list[FeatureSpec],
        score: str,
        neurons: torch.Tensor,
        thresholds: torch.Tensor,
        feature_mean: torch.Tensor | None = None,
        feature_projection: torch.Tensor | None = None,
    ):
        super().__init__()
        if score not in self.SCORES:
            raise ValueError(f"Unknown router score {score!r}; known are {self.SCORES}.")
        self.features = features
        self.score = score
        self.register_buffer("neurons", neurons)
        self.register_buffer("thresholds", thresholds)
        self.register_buffer("feature_mean", feature_mean)
        self.register_buffer("feature_projection", feature_projection)

    def transform(self, pooled: torch.Tensor) -> torch.Tensor:
        """Pooled features `(batch, num_features)`, float32, to the space of the neurons `(batch, dim)`."""
        if self.score == "sigmoid":
            return pooled
        return nn.functional.normalize((pooled - self.feature_mean) @ self.feature_projection, dim=-1)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """Scores of all neurons, `(batch, num_edits)` in float32."""
        queries = self.transform(pooled)
        scores = (queries.to(self.neurons.dtype) @ self.neurons.T).float()
        return scores.sigmoid() if self.score == "sigmoid" else scores

    def choose(self, pooled: torch.Tensor) -> "Choice":
        """The best neuron of every row: the highest score among those that fire, else the highest at all."""
        scores = self(pooled)
        firing = scores > self.thresholds
        fired = firing.any(-1)
        eligible = scores.masked_fill(~firing & fired[:, None], -torch.inf)
        best = eligible.max(-1)
        others = scores.scatter(1, best.indices[:, None], -torch.inf).max(-1)
        thresholds = self.thresholds[best.indices]
        return Choice(fired, best.indices, best.values, thresholds, others.indices, others.values)


@dataclass
class Choice:
    """What one pack's router says of each row; every field has shape `(batch,)`."""

    fired: torch.Tensor
    index: torch.Tensor
    score: torch.Tensor
    threshold: torch.Tensor
    runner_up: torch.Tensor
    runner_up_score: torch.Tensor

    def repeat(self, times: int) -> "Choice":
        """Every row `times` times in a row."""
        return Choice(*(getattr(self, part.name).repeat_interleave(times) for part in fields(self)))


@dataclass(frozen=True)
class Route:
    """Which edit answers one sequence, or came closest to it.

    Args:
        fired: Whether the edit takes part in the answer.
        edit_id: The edit with the best score; `None` when no pack is loaded.
        pack: Name under which its pack is loaded.
        score: Its score; `threshold`: the score above which it fires.
        runner_up: The edit with the next best score in the same pack, and `runner_up_score`.
        fact: The edit's line in `edits.jsonl` (prompt, target, source ...).
    """

    fired: bool
    edit_id: str | None = None
    pack: str | None = None
    score: float | None = None
    threshold: float | None = None
    runner_up: str | None = None
    runner_up_score: float | None = None
    fact: dict[str, Any] = field(default_factory=dict)


class LowRankExperts:
    """The experts of `method="scen"`, one per row: `down_proj(x) + B A x` from the last prompt token onward.

    Args:
        fired (`torch.BoolTensor` of shape `(batch,)`): Rows that have an expert.
        a (`torch.Tensor` of shape `(batch, rank, intermediate_size)`), b (`(batch, hidden_size, rank)`): Its factors.
    """

    def __init__(self, fired: torch.Tensor, a: torch.Tensor, b: torch.Tensor):
        self.fired, self.a, self.b = fired, a, b

    def repeat(self, times: int) -> "LowRankExperts":
        """Every row `times` times in a row."""
        return LowRankExperts(*(part.repeat_interleave(times, 0) for part in (self.fired, self.a, self.b)))

    def __call__(self, x: torch.Tensor, y: torch.Tensor, answer: torch.Tensor | None, bias=None) -> torch.Tensor:
        edited = y + (x @ self.a.transpose(1, 2)) @ self.b.transpose(1, 2)
        rows = self.fired[:, None, None]
        # `where` and not a masked sum: rows and positions outside keep their bits, whatever the expert computes.
        return torch.where(rows if answer is None else rows & answer, edited, y)


class FullExperts:
    """The experts of `method="paper"`: the row's own weight in place of `down_proj`'s, for the whole sequence.

    Args:
        fired (`torch.BoolTensor` of shape `(batch,)`): Rows that have an expert.
        weight (`torch.Tensor` of shape `(batch, hidden_size, intermediate_size)`): Its weight.
    """

    def __init__(self, fired: torch.Tensor, weight: torch.Tensor):
        self.fired, self.weight = fired, weight

    def repeat(self, times: int) -> "FullExperts":
        """Every row `times` times in a row."""
        return FullExperts(self.fired.repeat_interleave(times, 0), self.weight.repeat_interleave(times, 0))

    def __call__(self, x: torch.Tensor, y: torch.Tensor, answer: torch.Tensor | None, bias=None) -> torch.Tensor:
        edited = x @ self.weight.transpose(1, 2)
        return torch.where(self.fired[:, None, None], edited if bias is None else edited + bias, y)


class SCENRouting:
    """Routing state of the sequences of one batch, from the first prompt token to the last answer token.

    Args:
        packs (`list`): The loaded packs, see [`~edit_pack_scen_llama.EditPackReader`]. An empty list routes nothing.
        spans ([`Spans`], *optional*): Where question and answer are; rows may be fewer than the batch's, by beams.
    """

    def __init__(self, packs: list, spans: Spans | None = None):
        self.packs = packs
        self.spans = spans
        self.pending = bool(packs)  # until every pack has decided, that is, until the end of the prompt
        self.choices: dict[str, Choice] = {}
        self._claimed: torch.Tensor | None = None
        self._claims: dict[str, torch.Tensor] = {}
        self._experts: dict[int, list] = {}
        self._pooled: dict[FeatureSpec, torch.Tensor] = {}
        self._wanted = {spec for pack in packs for spec in pack.router.features}
        self._start = self._stop = 0
        self._answer: torch.Tensor | None = None

    def begin(self, batch: int, length: int, offset: int) -> None:
        """A forward pass over columns `offset` to `offset + length` of `batch` rows is about to start."""
        self._expand(batch // self.spans.answer_start.shape[0])
        if self.pending and bool(self.spans.question[:, self._stop : offset].any()):
            raise ValueError(
                f"The question begins before token {offset}, and the tokens before it are already in the cache, where "
                "their hidden states cannot be read. Crop the cache to the start of the turn, or pass no cache."
            )
        self._start, self._stop = offset, offset + length
        device = self.spans.answer_start.device
        columns = torch.arange(offset, offset + length, device=device)
        self._answer = (columns >= self.spans.answer_start[:, None])[:, :, None]

    def _expand(self, times: int) -> None:
        """`generate` repeats every row for its beams or returned sequences, and so must what is known of the rows."""
        if times == 1:
            return
        self.spans = self.spans.repeat(times)
        self.choices = {name: choice.repeat(times) for name, choice in self.choices.items()}
        self._claims = {name: claim.repeat_interleave(times) for name, claim in self._claims.items()}
        self._experts = {layer: [expert.repeat(times) for expert in e] for layer, e in self._experts.items()}

    def end(self) -> None:
        """The forward pass is over; once every pack has decided, later tokens are all answer."""
        self._answer = None
        if len(self.choices) == len(self.packs):
            self.pending = False
            self._pooled.clear()

    def observe(self, site: str, layer: int, states: torch.Tensor) -> None:
        """Pool what the routers read from `states`, `(batch, length, features)`, of one layer."""
        for pooling in FeatureSpec.POOLINGS:
            spec = FeatureSpec(pooling, site, layer)
            if spec not in self._wanted:
                continue
            pooled = self._pool(pooling, states)
            self._pooled[spec] = self._pooled[spec] + pooled if spec in self._pooled else pooled

    def _pool(self, pooling: str, states: torch.Tensor) -> torch.Tensor:
        """This pass's share of a pooled feature, `(batch, features)` in float32; shares of chunks add up."""
        device = states.device
        if pooling == "question_mean":
            question = self.spans.question.to(device)
            weights = question[:, self._start : self._stop].float() / question.sum(1, keepdim=True).clamp(min=1)
        else:
            columns = torch.arange(self._start, self._stop, device=device)
            weights = (columns == self.spans.answer_start.to(device)[:, None]).float()
        # Padding may hold anything, and 0 * inf is not 0.
        states = torch.where((weights > 0)[:, :, None], states.float(), 0.0)
        return (weights[:, None, :] @ states)[:, 0]

    def edit(self, layer: int, x: torch.Tensor, y: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """The edited output of `down_proj` of one layer.

        Args:
            x (`(batch, length, intermediate_size)`): Input of `down_proj`; `y` (`(batch, length, hidden_size)`): its output.
            bias (`(hidden_size,)`, *optional*): Bias of `down_proj`.
        """
        if self.pending:
            self._decide(layer, x)
        for experts in self._experts.get(layer, ()):
            answer = None if self._answer is None else self._answer.to(x.device)
            y = experts(x, y, answer, bias)
        return y

    @torch.compiler.disable
    def _decide(self, layer: int, x: torch.Tensor) -> None:
        """Let every pack that edits this layer choose, if the end of the prompt is in this pass."""
        packs = [pack for pack in self.packs if pack.edit_layer == layer and pack.name not in self.choices]
        if not packs:
            return
        starts = self.spans.answer_start
        if bool((starts >= self._stop).any()):
            if any(pack.router_needs_whole_prompt for pack in packs):
                raise ValueError(
                    'Edits of method="paper" replace a weight for the whole prompt, so the prompt must be run in one '
                    "forward pass: set prefill_chunk_size=None and pass no cached prefix."
                )
            if bool((starts < self._stop).any()):
                raise ValueError(
                    "The prompts of this batch end in different chunks of the prefill. Pad on the left, or set "
                    "prefill_chunk_size=None."
                )
            return
        for pack in packs:
            if pack.router_needs_whole_prompt and self._start > 0:
                raise ValueError(
                    'Edits of method="paper" replace a weight for the whole sequence, which a cached prefix has '
                    "already passed. Run the whole conversation without past_key_values, or use a pack of "
                    'method="scen".'
                )
            router = pack.router_on(x.device)
            pooled = torch.cat([self._pooled[spec].to(x.device) for spec in router.features], dim=-1)
            self.choices[pack.name] = router.choose(pooled)
        self._claim(packs)
        for pack in packs:
            fired = self._claims[pack.name]
            if bool(fired.any()):
                experts = pack.gather_experts(fired, self.choices[pack.name].index, x.device, x.dtype)
                self._experts.setdefault(layer, []).append(experts)

    def _claim(self, packs: list) -> None:
        """One edit per row: a row already taken at a lower layer stays, else the widest margin wins."""
        margins = torch.stack(
            [(c.score - c.threshold).masked_fill(~c.fired, -torch.inf) for c in (self.choices[p.name] for p in packs)]
        )
        best = margins.max(0)
        taken = torch.zeros_like(best.values, dtype=torch.bool)
        if self._claimed is not None:
            taken = self._claimed.to(margins.device)
        for number, pack in enumerate(packs):
            self._claims[pack.name] = (best.indices == number) & (best.values > -torch.inf) & ~taken
        self._claimed = taken | (best.values > -torch.inf)

    def routes(self) -> list[Route]:
        """One [`Route`] per row of the batch; reads ids and facts from the packs."""
        if not self.choices:
            rows = 0 if self.spans is None else self.spans.answer_start.shape[0]
            return [Route(fired=False)] * rows
        columns = {}
        for pack in self.packs:
            choice = self.choices[pack.name]
            columns[pack.name] = list(
                zip(
                    self._claims[pack.name].tolist(),
                    choice.index.tolist(),
                    choice.score.tolist(),
                    choice.threshold.tolist(),
                    choice.runner_up.tolist(),
                    choice.runner_up_score.tolist(),
                    strict=True,
                )
            )
        rows = len(next(iter(columns.values())))
        return [self._route_of_row(row, columns) for row in range(rows)]

    def _route_of_row(self, row: int, columns: dict[str, list[tuple]]) -> Route:
        # The edit that fired, else the one that came closest to its threshold.
        pack = max(
            self.packs, key=lambda p: (columns[p.name][row][0], columns[p.name][row][2] - columns[p.name][row][3])
        )
        fired, index, score, threshold, runner_up, runner_up_score = columns[pack.name][row]
        alone = runner_up_score == -torch.inf
        return Route(
            fired=fired,
            edit_id=pack.edit_id(index),
            pack=pack.name,
            score=score,
            threshold=threshold,
            runner_up=None if alone else pack.edit_id(runner_up),
            runner_up_score=None if alone else runner_up_score,
            fact=pack.fact(index),
        )
