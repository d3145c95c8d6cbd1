"""Routing: which edit, if any, a sequence is about.

The story of one prompt:

1. [`find_spans`] finds two places from the token ids alone: the *question* (the user's last turn, or the whole prompt
   where there is no chat template) and the *answer start* (the last prompt token, from which an expert acts).
2. While the prompt runs through the layers, [`SCENRouting`] pools the hidden states that the packs' routers read.
3. At the edited layer each pack's router ([`GatedRouter`], or [`SigmoidRouter`] for the paper's) scores its indexing
   neurons; the best one that is above its thresholds fires, and its expert is gathered for that row of the batch.
4. For the rest of the sequence the expert's contribution is added at the edited layer, by one batched matmul.

All of that state lives in one [`SCENRouting`] object that belongs to the sequences of one call, never to the module:
threads, batches and interleaved generations cannot mix. `generate` hands it from the prefill to every decode step.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class FeatureSpec:
    """One input of a router.

    Args:
        pooling: `"question_mean"`, the mean over the question's tokens, `"last_token"`, the last prompt token, or
            `"question_tokens"`, the question's tokens one by one.
        site: `"mlp_input"`, the normalised hidden state that enters the MLP (hidden_size), or `"down_proj_input"`,
            its inner activation (intermediate_size).
        layer: Index of the decoder layer.
    """

    pooling: str
    site: str
    layer: int

    POOLINGS = ("question_mean", "last_token", "question_tokens")
    SITES = ("mlp_input", "down_proj_input")

    def __post_init__(self):
        if self.pooling not in self.POOLINGS or self.site not in self.SITES or self.layer < 0:
            raise ValueError(
                f"Not a router feature: {[self.pooling, self.site, self.layer]}. It is [pooling, site, layer] with "
                f"pooling one of {self.POOLINGS}, site one of {self.SITES} and a layer index."
            )


def by_place(specs: Iterable[FeatureSpec]) -> dict[tuple[str, int], list[FeatureSpec]]:
    """Features by site and layer, each once."""
    places: dict[tuple[str, int], list[FeatureSpec]] = {}
    for spec in dict.fromkeys(specs):
        places.setdefault((spec.site, spec.layer), []).append(spec)
    return places


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


def marker_ends(input_ids: torch.Tensor, marker: list[int]) -> torch.Tensor:
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

    opened = torch.where(marker_ends(input_ids, question_start_ids) & attended, columns, -1).max(1).values
    closes = marker_ends(input_ids, question_end_ids) & attended
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


@dataclass
class Choice:
    """What one pack's router says of each row; every field has shape `(batch,)`.

    `subject_score` and `subject_threshold` are NaN where the router has no subject gate.
    """

    fired: torch.Tensor
    index: torch.Tensor
    score: torch.Tensor
    threshold: torch.Tensor
    runner_up: torch.Tensor
    runner_up_score: torch.Tensor
    subject_score: torch.Tensor
    subject_threshold: torch.Tensor

    def repeat(self, times: int) -> "Choice":
        """Every row `times` times in a row."""
        return Choice(*(getattr(self, part.name).repeat_interleave(times) for part in fields(self)))

    def tolists(self) -> dict[str, list]:
        """Every field as a list of Python numbers."""
        return {part.name: getattr(self, part.name).tolist() for part in fields(self)}


class SigmoidRouter(nn.Module):
    """The indexing neurons of arXiv 2404.02699: `sigmoid(w_i · x)` on the raw feature of the last prompt token.

    Args:
        features (`list[FeatureSpec]`): What is read; pooled features are concatenated in this order.
        neurons (`torch.Tensor` of shape `(num_edits, num_features)`): One row w_i per edit.
        thresholds (`torch.Tensor` of shape `(num_edits,)`, float32): A neuron fires above its threshold.
    """

    def __init__(self, features: list[FeatureSpec], neurons: torch.Tensor, thresholds: torch.Tensor):
        super().__init__()
        self.features = features
        self.register_buffer("neurons", neurons)
        self.register_buffer("thresholds", thresholds)

    def choose(self, readings: dict[FeatureSpec, torch.Tensor]) -> Choice:
        """The neuron with the highest score of every row; it fires above its threshold."""
        pooled = torch.cat([readings[spec] for spec in self.features], dim=-1)
        scores = (pooled.to(self.neurons.dtype) @ self.neurons.T).float().sigmoid()
        best = scores.max(-1)
        others = scores.scatter(1, best.indices[:, None], -torch.inf).max(-1)
        threshold = self.thresholds[best.indices]
        none = torch.full_like(best.values, torch.nan)
        fired = best.values > threshold
        return Choice(fired, best.indices, best.values, threshold, others.indices, others.values, none, none)


class RouterSpace(nn.Module):
    """Where prompts and subjects are compared: transforms that were learned once per base model. A pack stores them by these names.

    Args:
        feature_mean (`torch.Tensor` of shape `(num_features,)`): Mean of the pooled features.
        feature_projection (`(num_features, dim)`), feature_hidden (`(num_features, hidden_dim)`), feature_output
            (`(hidden_dim, dim)`): A linear map beside a layer of hidden units.
        token_mean (`(hidden_size,)`), token_projection (`(hidden_size, token_dim)`): Of the features of single tokens.
    """

    def __init__(
        self,
        feature_mean: torch.Tensor,
        feature_projection: torch.Tensor,
        feature_hidden: torch.Tensor,
        feature_output: torch.Tensor,
        token_mean: torch.Tensor,
        token_projection: torch.Tensor,
    ):
        super().__init__()
        self.register_buffer("feature_mean", feature_mean)
        self.register_buffer("feature_projection", feature_projection)
        self.register_buffer("feature_hidden", feature_hidden)
        self.register_buffer("feature_output", feature_output)
        self.register_buffer("token_mean", token_mean)
        self.register_buffer("token_projection", token_projection)

    def question_vectors(self, pooled: torch.Tensor) -> torch.Tensor:
        """Pooled features `(batch, num_features)` to unit vectors `(batch, dim)`."""
        x = pooled - self.feature_mean
        hidden = nn.functional.gelu(x @ self.feature_hidden)
        return nn.functional.normalize(x @ self.feature_projection + hidden @ self.feature_output, dim=-1)

    def token_vectors(self, states: torch.Tensor) -> torch.Tensor:
        """Token features `(..., tokens, hidden_size)` to unit vectors `(..., tokens, token_dim)`; zeros stay zero."""
        vectors = nn.functional.normalize((states.float() - self.token_mean) @ self.token_projection, dim=-1)
        return torch.where(torch.linalg.vector_norm(states.float(), dim=-1, keepdim=True) > 0, vectors, 0.0)


def most_similar(scores: torch.Tensor, count: int, block: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """The edits with the highest scores of each prompt, as `topk` finds them by sorting several times as much.

    The highest scores lie in those blocks of edits that have the highest maxima: one block for each score that is wanted.

    Args:
        scores (`torch.Tensor` of shape `(num_edits, batch)`): Score of each edit for each prompt.
        count (`int`): How many edits to find; fewer where there are fewer.
        block (`int`, *optional*, defaults to 32): Edits per block.

    Returns:
        Scores and numbers of the edits, both of shape `(batch, count)`, highest first.
    """
    edits, batch = scores.shape
    if edits <= count * block:
        return scores.T.topk(min(count, edits), dim=-1)
    blocks = nn.functional.pad(scores, (0, 0, 0, -edits % block), value=-torch.inf).unflatten(0, (-1, block))
    chosen = blocks.amax(1).T.topk(count, dim=-1).indices
    rows = torch.arange(batch, device=scores.device)[:, None]
    values, places = blocks.permute(2, 0, 1)[rows, chosen].flatten(1).topk(count, dim=-1)
    return values, chosen.gather(1, places // block) * block + places % block


class GatedRouter(nn.Module):
    """The indexing neurons of `method="scen"`: two gates, both of which must open.

    *What is asked*: the pooled features of the prompt, brought to a small space that was trained, once per base model, to
    bring together different wordings of one question and to keep apart other questions about the same subject. A neuron is
    a unit vector of that space, its score a cosine.

    *About whom*: each token of the edit's subject looks for its best match among the question's tokens, by the cosine of
    whitened token features of an early layer, and the matches are averaged (late interaction, as in ColBERT,
    arXiv 2004.12832); of a number every token must be found. A subject is kept in three forms, as it stands in the
    edit's prompt, at the start of a sentence, and in lower case, as tokenizers spell each differently; the best one
    counts. Of the `CANDIDATES` neurons with the highest scores it is evaluated for those that are above their
    thresholds, and for the first `NEAREST` in any case, to tell which edit came closest.

    Args:
        features (`list[FeatureSpec]`): Pooled features of the first gate, concatenated in this order.
        token_feature ([`FeatureSpec`]): What the second gate reads of each token.
        space ([`RouterSpace`]): The transforms of both.
        neurons (`torch.Tensor` of shape `(num_edits, dim)`): One row per edit.
        thresholds (`torch.Tensor` of shape `(num_edits,)`, float32): Score above which the first gate opens.
        subjects (`torch.Tensor` of shape `(num_edits, 3, subject_tokens, token_dim)`): Token vectors of its forms. Those
            of numbers have length 2, the others 1; zero rows are padding.
        subject_thresholds (`torch.Tensor` of shape `(num_edits,)`, float32): Match above which the second gate opens.
        base_threshold (`torch.Tensor` of shape `(1,)`, float32): What the first thresholds have in common, for edits that are
            added later.
    """

    CANDIDATES, NEAREST = 64, 8

    def __init__(
        self,
        features: list[FeatureSpec],
        token_feature: FeatureSpec,
        space: RouterSpace,
        neurons: torch.Tensor,
        thresholds: torch.Tensor,
        subjects: torch.Tensor,
        subject_thresholds: torch.Tensor,
        base_threshold: torch.Tensor,
    ):
        super().__init__()
        self.features = [*features, token_feature]
        self.space = space
        self.register_buffer("neurons", neurons)
        self.register_buffer("thresholds", thresholds)
        self.register_buffer("subjects", subjects)
        self.register_buffer("subject_thresholds", subject_thresholds)
        self.register_buffer("base_threshold", base_threshold)

    def subject_scores(self, tokens: torch.Tensor, rows: torch.Tensor, edits: torch.Tensor) -> torch.Tensor:
        """How much of an edit's subject is found among a question's tokens, for pairs of both.

        Args:
            tokens (`torch.Tensor` of shape `(batch, tokens, token_dim)`): Vectors of the questions' tokens.
            rows (`torch.LongTensor` of shape `(pairs,)`): The question of each pair.
            edits (`torch.LongTensor` of shape `(pairs,)`): The edit of each pair.

        Returns:
            `torch.Tensor` of shape `(pairs,)`: At most 1.
        """
        subjects = self.subjects[edits].float()
        lengths = subjects.norm(dim=-1)
        # A padded token matches with 0, which is never the best where there is anything to find.
        best = torch.einsum("pfsd,ptd->pfst", subjects, tokens[rows]).amax(-1) / lengths.clamp(min=1)
        present = lengths > 0
        mean = (best * present).sum(-1) / present.sum(-1).clamp(min=1)
        # The world cup of 2018 is not that of 2022, however well all the rest matches.
        worst_number = best.masked_fill(lengths < 1.5, 1.0).amin(-1)
        return torch.minimum(mean, worst_number).amax(-1)

    def choose(self, readings: dict[FeatureSpec, torch.Tensor]) -> Choice:
        """The choice for each row of a batch, given what was read of it."""
        *features, token_feature = self.features
        queries = self.space.question_vectors(torch.cat([readings[spec] for spec in features], dim=-1))
        return self.decide(queries, self.space.token_vectors(readings[token_feature]))

    def decide(self, queries: torch.Tensor, tokens: torch.Tensor) -> Choice:
        """The edit with the highest scores of those whose gates are both open, else the one that came closest.

        Args:
            queries (`torch.Tensor` of shape `(batch, dim)`): Vectors of the questions.
            tokens (`torch.Tensor` of shape `(batch, tokens, token_dim)`): Vectors of their tokens.
        """
        batch = len(queries)
        # A product with a few columns takes less than half the time of one with a single column, and of the transposed one.
        padded = nn.functional.pad(queries, (0, 0, 0, max(8 - batch, 0))).to(self.neurons.dtype)
        score, edits = most_similar((self.neurons @ padded.T)[:, :batch], self.CANDIDATES)
        score = score.float()
        threshold, subject_threshold = self.thresholds[edits], self.subject_thresholds[edits]
        # The second gate costs more than the first: it is asked where that one is open, and where it nearly is.
        asked = score > threshold
        asked[:, : self.NEAREST] = True
        rows, columns = asked.nonzero(as_tuple=True)
        subject = torch.full_like(score, -torch.inf)
        subject[rows, columns] = self.subject_scores(tokens, rows, edits[rows, columns])
        shortfall = torch.maximum(threshold - score, subject_threshold - subject)
        open_ = shortfall < 0
        # Open gates come first, by both scores; then the others, by how little they miss.
        rank = torch.where(open_, score + subject + 4.0, -shortfall)
        best = rank.argmax(-1, keepdim=True)
        other = rank.scatter(1, best, -torch.inf).argmax(-1, keepdim=True)
        other_score = score.scatter(1, best, -torch.inf).gather(1, other)
        picked = (part.gather(1, best)[:, 0] for part in (open_, edits, score, threshold))
        return Choice(
            *picked,
            edits.gather(1, other)[:, 0],
            other_score[:, 0],
            subject.gather(1, best)[:, 0],
            subject_threshold.gather(1, best)[:, 0],
        )


@dataclass(frozen=True)
class Route:
    """Which edit answers one sequence, or came closest to it.

    Args:
        fired: Whether the edit takes part in the answer.
        edit_id: The edit with the best score; `None` when no pack is loaded.
        pack: Name under which its pack is loaded.
        score: Its score; `threshold`: the score above which it fires.
        subject_score: How well its subject is found in the question, and `subject_threshold`; both must be passed. `None`
            for `method="paper"`, which has no such gate.
        runner_up: The edit with the next best score in the same pack, and `runner_up_score`.
        fact: The edit's line in `edits.jsonl` (prompt, target, source ...).
    """

    fired: bool
    edit_id: str | None = None
    pack: str | None = None
    score: float | None = None
    threshold: float | None = None
    subject_score: float | None = None
    subject_threshold: float | None = None
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
        """The edited output; arguments as for [`SCENRouting.edit`], `answer` `(batch, length, 1)` where not all is answer."""
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
        """The edited output; arguments as for [`SCENRouting.edit`]. The whole sequence counts, whatever `answer` says."""
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
        self._wanted = by_place(spec for pack in packs for spec in pack.router.features)
        self._start = self._stop = 0
        self._question: tuple[torch.Tensor, ...] | None = None
        self._answer: torch.Tensor | None = None

    @torch.compiler.disable
    def begin(self, batch: int, length: int, offset: int) -> None:
        """A forward pass over columns `offset` to `offset + length` of `batch` rows is about to start."""
        self._expand(batch // self.spans.answer_start.shape[0])
        if self.pending and offset and any(pack.router_needs_whole_prompt for pack in self.packs):
            raise ValueError(
                'Edits of method="paper" replace a weight for the whole sequence, which a cached prefix has already '
                'passed. Run the whole conversation without past_key_values, or use a pack of method="scen".'
            )
        if self.pending and bool(self.spans.question[:, self._stop : offset].any()):
            raise ValueError(
                f"The question begins before token {offset}, and the tokens before it are already in the cache, where "
                "their hidden states cannot be read. Crop the cache to the start of the turn, or pass no cache."
            )
        self._start, self._stop = offset, offset + length
        self._question = None
        if self.pending:  # tokens drafted for assisted decoding may stand behind the prompt
            missing = max(self._stop - self.spans.question.shape[1], 0)
            self.spans = Spans(nn.functional.pad(self.spans.question, (0, missing)), self.spans.answer_start)
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
        for spec in self._wanted.get((site, layer), ()):
            if spec.pooling == "question_tokens":
                found = self._question_tokens(states)
                self._pooled[spec] = torch.cat([self._pooled[spec], found], dim=1) if spec in self._pooled else found
            else:
                pooled = self._pool(spec.pooling, states)
                self._pooled[spec] = self._pooled[spec] + pooled if spec in self._pooled else pooled

    def _pool(self, pooling: str, states: torch.Tensor) -> torch.Tensor:
        """This pass's share of a pooled feature, `(batch, features)` in float32; shares of chunks add up."""
        if pooling == "question_mean":
            count = self.spans.question.sum(1, keepdim=True).clamp(min=1).to(states.device)
            return self._question_tokens(states).float().sum(1) / count
        column = self.spans.answer_start.to(states.device) - self._start
        inside = (column >= 0) & (column < states.shape[1])
        last = states[torch.arange(len(states), device=states.device), column.clamp(0, states.shape[1] - 1)]
        # Padding may hold anything, and 0 * inf is not 0.
        return torch.where(inside[:, None], last.float(), 0.0)

    def _question_tokens(self, states: torch.Tensor) -> torch.Tensor:
        """The states of the question's tokens in this pass, `(batch, most, features)`, zero where a row has fewer."""
        if self._question is None:  # the same for all features of one pass
            question = self.spans.question[:, self._start : self._stop]
            most = max(int(question.sum(1).max()), 1)
            # A stable sort brings the question's columns to the front, in their order.
            columns = (~question).to(torch.uint8).sort(dim=1, stable=True).indices[:, :most]
            rows = torch.arange(len(columns), device=columns.device)[:, None]
            self._question = rows, columns, question[rows, columns][:, :, None]
        rows, columns, present = (part.to(states.device) for part in self._question)
        return torch.where(present, states[rows, columns], 0.0)

    def edit(self, layer: int, x: torch.Tensor, y: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """The edited output of `down_proj` of one layer.

        Args:
            x (`(batch, length, intermediate_size)`): Input of `down_proj`; `y` (`(batch, length, hidden_size)`): its output.
            bias (`(hidden_size,)`, *optional*): Bias of `down_proj`.
        """
        if self.pending and any(pack.edit_layer == layer for pack in self.packs):
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
            router = pack.router_on(x.device)
            readings = {spec: self._pooled[spec].to(x.device) for spec in router.features}
            self.choices[pack.name] = router.choose(readings)
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
        rows = next(iter(self._claims.values())).shape[0]
        choices = [(pack, self._claims[pack.name].tolist(), self.choices[pack.name].tolists()) for pack in self.packs]
        return [self._route_of_row(row, choices) for row in range(rows)]

    @staticmethod
    def _route_of_row(row: int, choices: list[tuple]) -> Route:
        # The edit that fired, else the one that came closest to its threshold.
        pack, claims, choice = max(choices, key=lambda c: (c[1][row], c[2]["score"][row] - c[2]["threshold"][row]))
        number, runner_up = choice["index"][row], choice["runner_up"][row]
        alone = choice["runner_up_score"][row] == -torch.inf
        gated = choice["subject_score"][row] == choice["subject_score"][row]
        return Route(
            fired=claims[row],
            edit_id=pack.edit_id(number),
            pack=pack.name,
            score=choice["score"][row],
            threshold=choice["threshold"][row],
            subject_score=choice["subject_score"][row] if gated else None,
            subject_threshold=choice["subject_threshold"][row] if gated else None,
            runner_up=None if alone else pack.edit_id(runner_up),
            runner_up_score=None if alone else choice["runner_up_score"][row],
            fact=pack.fact(number),
        )
