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
from dataclasses import dataclass, field, replace
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


def by_layer(specs: Iterable[FeatureSpec]) -> dict[int, list[FeatureSpec]]:
    """Features by layer, each once."""
    layers: dict[int, list[FeatureSpec]] = {}
    for spec in dict.fromkeys(specs):
        layers.setdefault(spec.layer, []).append(spec)
    return layers


@dataclass
class Spans:
    """Where the question and the answer are, in columns of the token matrix, for each row.

    Args:
        question (`list[list[int]]`): Columns of the question's tokens, in their order.
        answer_start (`list[int]`): Column of the last prompt token.
    """

    question: list[list[int]]
    answer_start: list[int]

    def repeat(self, times: int) -> "Spans":
        """Every row `times` times in a row."""
        return Spans(repeated(self.question, times), repeated(self.answer_start, times))

    def behind(self, columns: int) -> "Spans":
        """The same spans with `columns` earlier columns in front."""
        question = [[column + columns for column in row] for row in self.question]
        return Spans(question, [start + columns for start in self.answer_start])


def repeated(rows: list, times: int) -> list:
    """Every row `times` times in a row."""
    return [row for row in rows for _ in range(times)]


def marker_ends(ids: list[int], marker: list[int]) -> list[int]:
    """The columns at which an occurrence of `marker` ends."""
    starts = (column for column, token in enumerate(ids) if token == marker[0])
    return [start + len(marker) - 1 for start in starts if ids[start : start + len(marker)] == marker]


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
    every = [[True] * input_ids.shape[1]] * len(input_ids)
    attended = every if attention_mask is None else attention_mask.bool().tolist()
    answered = [[]] * len(input_ids) if labels is None else (labels != -100).tolist()
    spans = [
        _find_span(*row, question_start_ids, question_end_ids)
        for row in zip(input_ids.tolist(), attended, answered, strict=True)
    ]
    return Spans(*map(list, zip(*spans, strict=True)))


def _find_span(
    ids: list[int], attended: list[bool], answered: list[bool], opening: list[int] | None, closing: list[int] | None
) -> tuple[list[int], int]:
    """The question's columns and the answer start of one row."""
    there = [column for column, is_there in enumerate(attended) if is_there] or [0]
    first, last = there[0], there[-1]
    if opening and closing:
        opened = [column for column in marker_ends(ids, opening) if attended[column]]
        if opened:
            begin = opened[-1] + 1
            # The marker must begin behind the opening one: it may share tokens with it.
            closed = [c for c in marker_ends(ids, closing) if attended[c] and c >= begin + len(closing) - 1]
            end, start = (closed[0] + 1 - len(closing), closed[0]) if closed else (last + 1, last)
            return [column for column in there if begin <= column < end], start
    answers = [column for column in there if answered and answered[column]]
    start = max(answers[0] - 1, 0) if answers else last
    # A prompt of a single token has nothing but its first one.
    return [column for column in there if first < column <= start] or [start], start


@dataclass(frozen=True)
class Choice:
    """What one pack's router says of one row.

    Args:
        fired: Whether the gates of the edit are open.
        index: Number of the edit that is chosen, or came closest; `runner_up` is that of the next one, if there is one.
        score, threshold: Of its indexing neuron; `runner_up_score` is that of the next one.
        subject_score, subject_threshold: Of the second gate; `None` where the router has none.
    """

    fired: bool
    index: int
    score: float
    threshold: float
    subject_score: float | None = None
    subject_threshold: float | None = None
    runner_up: int | None = None
    runner_up_score: float | None = None


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

    def choose(self, readings: dict[FeatureSpec, torch.Tensor]) -> list[Choice]:
        """The neuron with the highest score of every row; it fires above its threshold."""
        pooled = torch.cat([readings[spec] for spec in self.features], dim=-1)
        scores = (pooled.to(self.neurons.dtype) @ self.neurons.T).float().sigmoid()
        best = scores.topk(min(2, scores.shape[1]), dim=-1)
        thresholds = self.thresholds[best.indices[:, 0]].tolist()
        choices = []
        for values, numbers, threshold in zip(best.values.tolist(), best.indices.tolist(), thresholds, strict=True):
            choice = Choice(values[0] > threshold, numbers[0], values[0], threshold)
            if len(numbers) > 1:
                choice = replace(choice, runner_up=numbers[1], runner_up_score=values[1])
            choices.append(choice)
        return choices


class RouterSpace(nn.Module):
    """Where prompts and subjects are compared: transforms that were learned once per base model. A pack stores them by these names.

    Args:
        feature_mean (`torch.Tensor` of shape `(num_features,)`): Mean of the pooled features.
        feature_projection (`(num_features, dim)`): What they are brought to `dim` numbers with.
        token_mean (`(hidden_size,)`), token_projection (`(hidden_size, token_dim)`): Of the features of single tokens.
    """

    def __init__(
        self,
        feature_mean: torch.Tensor,
        feature_projection: torch.Tensor,
        token_mean: torch.Tensor,
        token_projection: torch.Tensor,
    ):
        super().__init__()
        self.register_buffer("feature_mean", feature_mean)
        self.register_buffer("feature_projection", feature_projection)
        self.register_buffer("token_mean", token_mean)
        self.register_buffer("token_projection", token_projection)

    def question_vectors(self, pooled: torch.Tensor) -> torch.Tensor:
        """Pooled features `(batch, num_features)` to unit vectors `(batch, dim)`."""
        return nn.functional.normalize((pooled - self.feature_mean) @ self.feature_projection, dim=-1)

    def token_vectors(self, states: torch.Tensor) -> torch.Tensor:
        """Token features `(..., tokens, hidden_size)` to unit vectors `(..., tokens, token_dim)`; zeros stay zero."""
        states = states.float()
        projected = states @ self.token_projection - self.token_mean @ self.token_projection
        # No state of a model is 0 everywhere or nowhere positive.
        return nn.functional.normalize(projected, dim=-1) * (states.amax(-1, keepdim=True) > 0)


def most_similar(scores: torch.Tensor, count: int, block: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """The edits with the highest scores of each prompt, as `topk` finds them by looking at each score several times.

    Edits are dealt out to blocks in turn. The highest scores lie in those blocks that have the highest maxima: one block for
    each score that is wanted.

    Args:
        scores (`torch.Tensor` of shape `(batch, num_edits)`): Score of each edit for each prompt.
        count (`int`): How many edits to find; fewer where there are fewer.
        block (`int`, *optional*, defaults to 32): Edits per block.

    Returns:
        Scores and numbers of the edits, both of shape `(batch, count)`, highest first.
    """
    edits = scores.shape[1]
    if edits <= count * block:
        return scores.topk(min(count, edits))
    if edits % block:
        scores = nn.functional.pad(scores, (0, -edits % block), value=-torch.inf)
    dealt = scores.unflatten(1, (block, -1))
    chosen = dealt.amax(1).topk(count).indices
    values, places = dealt.gather(2, chosen[:, None].expand(-1, block, -1)).flatten(1).topk(count)
    return values, chosen.gather(1, places % count) + places // count * dealt.shape[2]


class GatedRouter(nn.Module):
    """The indexing neurons of `method="scen"`: two gates, both of which must open.

    *What is asked*: the pooled features of the prompt, brought to a small space that was trained, once per base model, to
    bring together different wordings of one question and to keep apart other questions about the same subject. A neuron is
    a unit vector of that space, its score a cosine.

    *About whom*: each token of the edit's subject looks for its best match among the question's tokens, by the cosine of
    whitened token features of an early layer, and the matches are averaged (late interaction, as in ColBERT,
    arXiv 2004.12832); of a number every token must be found. A subject is kept in four forms, as it stands in the
    edit's prompt, at the start of a sentence, in lower and in upper case, as tokenizers spell each differently; the best
    one counts. Of the `FEW` neurons with the highest scores, or of `MANY` where so many are above their thresholds, it
    is evaluated for those that are, and for the first `NEAREST` in any case, to tell which edit came closest.

    Args:
        features (`list[FeatureSpec]`): Pooled features of the first gate, concatenated in this order.
        token_feature ([`FeatureSpec`]): What the second gate reads of each token.
        space ([`RouterSpace`]): The transforms of both.
        neurons (`torch.Tensor` of shape `(num_edits, dim)`): One row per edit.
        thresholds (`torch.Tensor` of shape `(num_edits,)`, float32): Score above which the first gate opens.
        subjects (`torch.Tensor` of shape `(num_edits, 4, subject_tokens, token_dim)`): Token vectors of its forms. Those
            of numbers have length 2, the others 1; zero rows are padding.
        subject_thresholds (`torch.Tensor` of shape `(num_edits,)`, float32): Match above which the second gate opens.
        base_threshold (`torch.Tensor` of shape `(1,)`, float32): What the first thresholds have in common, for edits that are
            added later.
    """

    FEW, MANY, NEAREST = 64, 1024, 4
    PAIRS = 4096  # of a question and an edit, whose subjects are compared at once

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
        # In memory the edits are side by side, dimension by dimension, as a product with few prompts reads them fastest.
        self.register_buffer("neurons", neurons.T.contiguous().T)
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
        # A padded token matches with 0: in the question it is never the best, in a subject it adds nothing.
        best = torch.einsum("pfsd,ptd->pfst", subjects, tokens[rows]).amax(-1) / lengths.clamp(min=1)
        mean = best.sum(-1) / lengths.count_nonzero(-1).clamp(min=1)
        # The world cup of 2018 is not that of 2022, however well all the rest matches.
        worst_number = best.masked_fill(lengths < 1.5, 1.0).amin(-1)
        return torch.minimum(mean, worst_number).amax(-1)

    def choose(self, readings: dict[FeatureSpec, torch.Tensor]) -> list[Choice]:
        """The choice for each row of a batch, given what was read of it."""
        *features, token_feature = self.features
        queries = self.space.question_vectors(torch.cat([readings[spec] for spec in features], dim=-1))
        return self.decide(queries, self.space.token_vectors(readings[token_feature]))

    def decide(self, queries: torch.Tensor, tokens: torch.Tensor) -> list[Choice]:
        """For each row the edit with the highest scores of those whose gates are both open, else the one that came closest.

        Args:
            queries (`torch.Tensor` of shape `(batch, dim)`): Vectors of the questions.
            tokens (`torch.Tensor` of shape `(batch, tokens, token_dim)`): Vectors of their tokens.
        """
        batch = len(queries)
        # A product with a few rows takes half the time of one with a single row.
        padded = nn.functional.pad(queries, (0, 0, 0, max(8 - batch, 0))).to(self.neurons.dtype)
        all_scores = (padded @ self.neurons.T)[:batch]
        scores, edits = most_similar(all_scores, self.FEW)
        # The second gate costs more than the first: it is asked where that one is open, and where it nearly is.
        asked = scores > self.thresholds[edits]
        # Where gates are still open at the end of the list, as in a pack that says the same of thousands, more follow.
        crowded = asked[:, -self.NEAREST :].any(1)
        if bool(crowded.any()):
            scores, edits = most_similar(all_scores, self.MANY)
            asked = scores > self.thresholds[edits]
        scores = scores.float()
        asked[:, : self.NEAREST] = True
        asked[~crowded, self.FEW :] = False
        rows, places = asked.nonzero(as_tuple=True)
        edits, scores = edits[rows, places], scores[rows, places]
        some_pairs = zip(rows.split(self.PAIRS), edits.split(self.PAIRS), strict=True)
        read = (
            edits,
            scores,
            self.thresholds[edits],
            torch.cat([self.subject_scores(tokens, *pairs) for pairs in some_pairs]),
            self.subject_thresholds[edits],
        )
        found: list[list[tuple]] = [[] for _ in range(batch)]
        for row, *candidate in zip(rows.tolist(), *(part.tolist() for part in read), strict=True):
            found[row].append(tuple(candidate))
        return [_best_of(candidates) for candidates in found]


def _best_of(candidates: list[tuple[int, float, float, float, float]]) -> Choice:
    """One row's choice from edits with score, threshold, subject score and its threshold."""

    def rank(candidate: tuple[int, float, float, float, float]) -> tuple[bool, float]:
        _, score, threshold, subject_score, subject_threshold = candidate
        margin = min(score - threshold, subject_score - subject_threshold)
        # Open gates come first, by both scores; then the others, by how little they miss.
        return margin > 0, score + subject_score if margin > 0 else margin

    best, *others = sorted(candidates, key=rank, reverse=True)
    return Choice(rank(best)[0], *best, *(others[0][:2] if others else ()))


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
        """The edited output; arguments as for [`SCENRouting.edit`]. `answer` `(batch, columns, 1)` says of the last columns
        where there is answer; no row has any before. `None` stands for answer everywhere."""
        rows, before = self.fired[:, None, None], 0
        if answer is not None:
            rows, before = rows & answer, y.shape[1] - answer.shape[1]
        later = y[:, before:]
        edited = later + (x[:, before:] @ self.a.transpose(1, 2)) @ self.b.transpose(1, 2)
        # `where` and not a masked sum: rows and positions outside keep their bits, whatever the expert computes.
        edited = torch.where(rows, edited, later)
        return torch.cat([y[:, :before], edited], dim=1) if before else edited


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


@dataclass
class _Window:
    """Where one forward pass has what routers read, as rows of `states.flatten(0, 1)`.

    Args:
        question (`(batch * most,)`, int64): The question's tokens, in their order; a row with fewer than `most` is filled up.
        filled (`(fillings,)`, int64): Where in `question` that is.
        question_lengths (`(batch, 1)`, float32): Tokens of the whole question, of which other passes may have had some; at
            least 1.
        last (`(batch,)`, int64): The last prompt token.
        missing (`(rows,)`, int64): Rows whose last prompt token is not in this pass.
    """

    question: torch.Tensor
    filled: torch.Tensor
    question_lengths: torch.Tensor
    last: torch.Tensor
    missing: torch.Tensor

    @classmethod
    def of(cls, spans: Spans, start: int, stop: int, device: torch.device) -> "_Window":
        """Of the pass over columns `start` to `stop`."""
        length = stop - start
        here = [[column - start for column in row if start <= column < stop] for row in spans.question]
        most = max(1, *map(len, here))
        question = [row * length + column for row, own in enumerate(here) for column in own + [0] * (most - len(own))]
        filled = [row * most + place for row, own in enumerate(here) for place in range(len(own), most)]
        last = [row * length + min(max(s - start, 0), length - 1) for row, s in enumerate(spans.answer_start)]
        missing = [row for row, s in enumerate(spans.answer_start) if not start <= s < stop]
        lengths = [[max(len(row), 1.0)] for row in spans.question]
        return cls(*(torch.tensor(part, device=device) for part in (question, filled, lengths, last, missing)))

    def question_tokens(self, states: torch.Tensor) -> torch.Tensor:
        """Their states, `(batch, most, features)`, zero where a row has fewer. `states` are `(batch, length, features)`."""
        found = self._rows(states, self.question, self.filled)
        return found.unflatten(0, (len(states), -1))

    def last_token(self, states: torch.Tensor) -> torch.Tensor:
        """Its state, `(batch, features)` in float32, zero where another pass has it."""
        return self._rows(states, self.last, self.missing).float()

    @staticmethod
    def _rows(states: torch.Tensor, index: torch.Tensor, absent: torch.Tensor) -> torch.Tensor:
        index, absent = index.to(states.device), absent.to(states.device)
        found = states.flatten(0, 1).index_select(0, index)
        return found.index_fill_(0, absent, 0.0) if len(absent) else found


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
        self.choices: dict[str, list[Choice]] = {}
        self._claimed: list[str | None] = []  # by which pack, for each row
        self._experts: dict[int, list] = {}
        self._pooled: dict[FeatureSpec, torch.Tensor] = {}
        self._wanted = by_layer(spec for pack in packs for spec in pack.router.features)
        # The layers whose MLPs have to show their states.
        self.layers = {*self._wanted, *(pack.edit_layer for pack in packs)}
        self._start = self._stop = 0
        self._window: _Window | None = None
        self._answer: torch.Tensor | None = None

    @torch.compiler.disable
    def begin(self, batch: int, length: int, offset: int) -> None:
        """A forward pass over columns `offset` to `offset + length` of `batch` rows is about to start."""
        self._expand(batch // len(self.spans.answer_start))
        if self.pending and offset and any(pack.router_needs_whole_prompt for pack in self.packs):
            raise ValueError(
                'Edits of method="paper" replace a weight for the whole sequence, which a cached prefix has already '
                'passed. Run the whole conversation without past_key_values, or use a pack of method="scen".'
            )
        if self.pending and any(self._stop <= column < offset for row in self.spans.question for column in row):
            raise ValueError(
                f"The question begins before token {offset}, and the tokens before it are already in the cache, where "
                "their hidden states cannot be read. Crop the cache to the start of the turn, or pass no cache."
            )
        self._start, self._stop = offset, offset + length
        self._window = None
        starts = self.spans.answer_start
        first = min(max(min(starts), offset), self._stop)
        answer = [[column >= start for column in range(first, self._stop)] for start in starts]
        self._answer = torch.tensor(answer, dtype=torch.bool)[:, :, None]

    def _expand(self, times: int) -> None:
        """`generate` repeats every row for its beams or returned sequences, and so must what is known of the rows."""
        if times == 1:
            return
        self.spans = self.spans.repeat(times)
        self.choices = {name: repeated(choices, times) for name, choices in self.choices.items()}
        self._claimed = repeated(self._claimed, times)
        self._experts = {layer: [expert.repeat(times) for expert in e] for layer, e in self._experts.items()}

    def end(self) -> None:
        """The forward pass is over; once every pack has decided, later tokens are all answer."""
        self._answer = None
        if len(self.choices) == len(self.packs):
            self.pending = False
            self.layers = set(self._experts)
            self._pooled.clear()

    def observe(self, layer: int, **states: torch.Tensor) -> None:
        """Pool what the routers read from one layer: `states` are `(batch, length, features)`, by [`FeatureSpec.SITES`]."""
        for spec in self._wanted.get(layer, ()):
            found = self._read(spec.pooling, states[spec.site])
            if spec in self._pooled:  # chunks of one prompt: tokens line up, shares of a mean add up
                earlier = self._pooled[spec]
                tokens = spec.pooling == "question_tokens"
                found = torch.cat([earlier, found], dim=1) if tokens else earlier + found
            self._pooled[spec] = found

    def _read(self, pooling: str, states: torch.Tensor) -> torch.Tensor:
        """This pass's share of a pooled feature, `(batch, features)` in float32, or its tokens, `(batch, tokens, features)`."""
        if self._window is None:  # the same for all features of one pass
            self._window = _Window.of(self.spans, self._start, self._stop, states.device)
        if pooling == "last_token":
            return self._window.last_token(states)
        tokens = self._window.question_tokens(states)
        if pooling == "question_tokens":
            return tokens
        return tokens.sum(1, dtype=torch.float32) / self._window.question_lengths.to(tokens.device)

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
        if max(starts) >= self._stop:
            if any(pack.router_needs_whole_prompt for pack in packs):
                raise ValueError(
                    'Edits of method="paper" replace a weight for the whole prompt, so the prompt must be run in one '
                    "forward pass: set prefill_chunk_size=None and pass no cached prefix."
                )
            if min(starts) < self._stop:
                raise ValueError(
                    "The prompts of this batch end in different chunks of the prefill. Pad on the left, or set "
                    "prefill_chunk_size=None."
                )
            return
        for pack in packs:
            router = pack.router_on(x.device)
            readings = {spec: self._pooled[spec].to(x.device) for spec in router.features}
            self.choices[pack.name] = router.choose(readings)
        self._claimed = [self._claim(row, packs) for row in range(len(starts))]
        for pack in packs:
            numbers = [
                choice.index if claimed == pack.name else None
                for choice, claimed in zip(self.choices[pack.name], self._claimed, strict=True)
            ]
            if any(number is not None for number in numbers):
                self._experts.setdefault(layer, []).append(pack.gather_experts(numbers, x.device, x.dtype))

    def _claim(self, row: int, packs: list) -> str | None:
        """One edit per row: a row already taken at a lower layer stays, else the widest margin wins."""
        if self._claimed and self._claimed[row] is not None:
            return self._claimed[row]
        fired = {pack.name: self.choices[pack.name][row] for pack in packs if self.choices[pack.name][row].fired}
        return max(fired, key=lambda name: fired[name].score - fired[name].threshold, default=None)

    def routes(self) -> list[Route]:
        """One [`Route`] per row of the batch; reads ids and facts from the packs."""
        if not self.choices:
            return [Route(fired=False)] * (0 if self.spans is None else len(self.spans.answer_start))
        return [self._route_of_row(row) for row in range(len(self._claimed))]

    def _route_of_row(self, row: int) -> Route:
        choices = {pack.name: self.choices[pack.name][row] for pack in self.packs}
        # The edit that fired, else the one that came closest to its threshold.
        claimed = self._claimed[row]
        pack = max(self.packs, key=lambda p: (p.name == claimed, choices[p.name].score - choices[p.name].threshold))
        choice = choices[pack.name]
        return Route(
            fired=pack.name == claimed,
            edit_id=pack.edit_id(choice.index),
            pack=pack.name,
            score=choice.score,
            threshold=choice.threshold,
            subject_score=choice.subject_score,
            subject_threshold=choice.subject_threshold,
            runner_up=None if choice.runner_up is None else pack.edit_id(choice.runner_up),
            runner_up_score=choice.runner_up_score,
            fact=pack.fact(choice.index),
        )
