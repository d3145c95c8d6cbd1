"""Can an expert that fires wrongly be made to say nothing? It is kept from what the model reads of other questions.

    python benchmarks/silent_experts.py ZSRE.jsonl COUNTERFACT.jsonl --json benchmarks/results/silent_experts.json

An expert adds `B A x`. There are two ways to keep it quiet. Trained on inputs without their part in a subspace, A ignores that
subspace (as AlphaEdit, arXiv 2410.02355, does for weights); here it holds the inputs at the end of other questions about the
edit's own subject, or the main directions of generic questions. And the loss can have a term for such questions: the divergence
from the base model's next-token distributions along its own answers (as in MEND, arXiv 2110.11309). Each edit is then forced to fire: for its rephrases, where the target must come, and for
questions of other edits and generic ones about its subject, where the answer should stay the base model's. Tuning half of
`routing.py`; such experts are not what the package trains, see docs/routing.md for why.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from baselines import spread
from figures import report
from relations import ask_the_same
from routing import edits_parser, halves_of, numbers_about

from scen_hf import Edit, load_base, load_edits
from scen_hf.bases import choose_device, choose_dtype
from scen_hf.evaluation import Rate, normalise_answer, prompt_sets
from scen_hf.experts import AnswerStates, ExpertTrainer, TrainedExpert, captured_layer
from scen_hf.generic_questions import fact_questions
from scen_hf.prompts import encode_chat, encode_prompt, encode_target, pad_id_of, pad_left
from scen_hf.router_space import OF_LEVEL, other_questions
from scen_hf.trainer import SCENTrainer, frozen


EDITS, PER_SET, BATCH, NEW_TOKENS = 40, 120, 40, 14
MORE = ("Who is the boss of {}?", "What does {} look like?", "When did {} begin?", "How many people know {}?")
# Other questions in the loss and weight of the term; tokens of each answer that count; edits that are trained together.
HELD = ((3, 1.0), (7, 1.0), (7, 10.0))
HELD_TOKENS, AT_ONCE = 4, 20
TARGETS, OTHERS = ("prompts", "rephrases", "completions"), ("generic_questions", "other_relations")


class ProjectedTrainer(ExpertTrainer):
    """Trains experts on inputs without their part in a subspace of each edit, `(edits, dimensions, intermediate_size)`."""

    subspace: torch.Tensor

    def answer_states(self, prompts: Sequence[list[int]], targets: Sequence[list[int]]) -> AnswerStates:
        """As of the base class, with projected inputs."""
        states = super().answer_states(prompts, targets)
        states.x = without(states.x.float(), self.subspace).to(states.x.dtype)
        return states


@dataclass
class StatesWithOthers(AnswerStates):
    """Also the states of other questions, as many per edit, followed by the first tokens of the base model's answers.

    Args:
        others: Their rows are those of the first edit, then those of the second, and so on.
        expected (`(rows, tokens, vocabulary)`): The base model's distributions there, as logarithms.
    """

    others: AnswerStates
    expected: torch.Tensor

    def keep(self, rows: torch.Tensor) -> StatesWithOthers:
        """As of the base class."""
        per_edit = len(self.expected) // len(self.lengths)
        other_rows = (rows[:, None] * per_edit + torch.arange(per_edit)).flatten()
        others, kept = self.others.keep(other_rows), super().keep(rows)
        return StatesWithOthers(**vars(kept), others=others, expected=self.expected[other_rows, : others.x.shape[1]])


class DivergenceTrainer(ExpertTrainer):
    """Trains experts that leave the answers to other questions alone, by a term of the loss."""

    others: tuple[Sequence[list[int]], Sequence[list[int]]]  # prompts and beginnings of the base model's answers
    weight: float

    def answer_states(self, prompts: Sequence[list[int]], targets: Sequence[list[int]]) -> StatesWithOthers:
        """As of the base class, with the states of other questions."""
        states, others = super().answer_states(prompts, targets), super().answer_states(*self.others)
        with torch.no_grad():
            expected = self._log_probabilities(others, others.residual)
        return StatesWithOthers(**vars(states), others=others, expected=expected)

    def losses(self, states: StatesWithOthers, *parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As of the base class, with the divergence at other questions; an edit is done when both are small."""
        target, worst = super().losses(states, *parameters)
        per_edit = len(states.expected) // len(target)
        repeated = (parameter.repeat_interleave(per_edit, 0) for parameter in parameters)
        found = self._log_probabilities(states.others, self._edited(states.others, *repeated))
        divergence = (states.expected.exp() * (states.expected - found)).sum(-1)
        divergence = divergence.masked_fill(states.others.labels == -100, 0.0)
        mean = (divergence.sum(1) / states.others.lengths).unflatten(0, (-1, per_edit)).mean(1)
        return target + self.weight * mean, torch.maximum(worst, mean.detach())

    def _log_probabilities(self, states: AnswerStates, hidden: torch.Tensor) -> torch.Tensor:
        return self.model.lm_head(self._layers_above(states, hidden)).float().log_softmax(-1)


def without(x: torch.Tensor, subspace: torch.Tensor) -> torch.Tensor:
    """`x` `(edits, rows, size)` less its part in the span of the orthonormal rows of `subspace`."""
    return x - (x @ subspace.transpose(1, 2)) @ subspace


def spanned(x: torch.Tensor) -> torch.Tensor:
    """Orthonormal rows that span those of `x`."""
    return torch.linalg.qr(x.float().transpose(1, 2)).Q.transpose(1, 2)


class Study:
    """One model, some edits, and the prompts that they are forced to fire for."""

    def __init__(self, model, tokenizer, edits: Sequence[Edit]):
        self.model, self.tokenizer, self.edits = model, tokenizer, edits
        self.defaults = SCENTrainer(model, tokenizer)
        self.layer = self.defaults.edit_layer
        sets = prompt_sets(edits, hard=True, ask_the_same=ask_the_same)
        self.probes = [(kind, probe) for kind in (*TARGETS, *OTHERS) for probe in spread(sets[kind], PER_SET)]
        self.chats = [encode_chat(tokenizer, list(probe.messages)) for _, probe in self.probes]
        self.about = numbers_about(edits, [probe for _, probe in self.probes])
        self.base = self._answers(None)

    @torch.no_grad()
    def inputs(self, prompts: Sequence[list[int]]) -> torch.Tensor:
        """What the edited `down_proj` reads at the end of prompts, `(prompts, intermediate_size)`."""
        found = []
        for start in range(0, len(prompts), BATCH):
            ids, mask = pad_left(prompts[start : start + BATCH], pad_id_of(self.tokenizer))
            with captured_layer(self.model, self.layer) as captured:
                self.model.model(input_ids=ids, attention_mask=mask, use_cache=False)
            found.append(captured["x"][:, -1].float())
        return torch.cat(found)

    def asked(self, wordings) -> torch.Tensor:
        """Inputs at the end of questions about each edit's subject, `(edits, questions, intermediate_size)`."""
        texts = [text for edit in self.edits for text in wordings(str(edit.subject))]
        found = self.inputs([encode_prompt(self.tokenizer, text) for text in texts])
        return found.unflatten(0, (len(self.edits), -1))

    def projected(self, subspace: torch.Tensor) -> dict[str, Any]:
        """Figures of experts that ignore a subspace."""
        trainer = self.defaults.expert_trainer(ProjectedTrainer)
        trainer.subspace = subspace
        trained = self._trained([(trainer, range(len(self.edits)))])
        a, b = self._stacked(trained)
        return self._measured(trained, without(a, subspace), b)

    def held(self, wordings: Sequence[str], weight: float) -> dict[str, Any]:
        """Figures of experts with a term of the loss for questions about their subjects."""
        batches = []
        for start in range(0, len(self.edits), AT_ONCE):
            numbers = range(start, min(start + AT_ONCE, len(self.edits)))
            texts = [wording.format(self.edits[number].subject) for number in numbers for wording in wordings]
            prompts = [encode_prompt(self.tokenizer, text) for text in texts]
            trainer = self.defaults.expert_trainer(DivergenceTrainer)
            trainer.others = prompts, self._generated(prompts, HELD_TOKENS)
            trainer.weight = weight
            batches.append((trainer, numbers))
        trained = self._trained(batches)
        return self._measured(trained, *self._stacked(trained))

    def _trained(self, batches: Sequence[tuple[ExpertTrainer, range]]) -> list[TrainedExpert]:
        trained: dict[int, TrainedExpert] = {}
        for trainer, numbers in batches:
            edits = [self.edits[number] for number in numbers]
            prompts = [encode_prompt(self.tokenizer, edit.prompt) for edit in edits]
            targets = [encode_target(self.tokenizer, edit.target) for edit in edits]
            with frozen(self.model):
                trainer.train(
                    prompts, targets, numbers, lambda row, e, first=numbers[0]: trained.update({first + row: e})
                )
        return [trained[number] for number in range(len(self.edits))]

    @staticmethod
    def _stacked(trained: Sequence[TrainedExpert]) -> tuple[torch.Tensor, ...]:
        return tuple(torch.stack([expert.tensors[name] for expert in trained]) for name in ("a", "b"))

    def _measured(self, trained: Sequence[TrainedExpert], a: torch.Tensor, b: torch.Tensor) -> dict[str, Any]:
        """Force experts to fire."""
        answers = self._answers((a, b))
        found: dict[str, list[bool]] = {}
        for (kind, probe), answer, before in zip(self.probes, answers, self.base, strict=True):
            right = normalise_answer(answer) == normalise_answer(probe.target or "")
            found.setdefault(kind, []).append(right if kind in TARGETS else answer == before)
        return {
            "steps": sum(expert.steps for expert in trained) / len(trained),
            **{kind: Rate.of(rows).to_dict() for kind, rows in found.items()},
        }

    @torch.no_grad()
    def _answers(self, experts: tuple[torch.Tensor, torch.Tensor] | None) -> list[str]:
        """Greedy answers to all probes, each with its edit's expert."""
        answers: dict[int, str] = {}
        order = sorted(range(len(self.chats)), key=lambda number: len(self.chats[number]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            hooks = []
            if experts is not None:
                a, b = (part[[self.about[row] for row in rows]].to(self.model.dtype) for part in experts)

                def add(module, args, output, a=a, b=b):
                    output = output.clone()
                    output[:, -1:] += (args[0][:, -1:] @ a.transpose(1, 2)) @ b.transpose(1, 2)
                    return output

                hooks.append(self.model.model.layers[self.layer].mlp.down_proj.register_forward_hook(add))
            try:
                tokens = self._generated([self.chats[row] for row in rows], NEW_TOKENS)
            finally:
                for hook in hooks:
                    hook.remove()
            answers.update(zip(rows, self.tokenizer.batch_decode(tokens, skip_special_tokens=True), strict=True))
        return [answers[number] for number in range(len(answers))]

    @torch.no_grad()
    def _generated(self, prompts: Sequence[list[int]], most: int) -> list[list[int]]:
        """Greedy answers, at most so many tokens, as many of each."""
        ids, mask = pad_left(prompts, pad_id_of(self.tokenizer))
        tokens = self.model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=most, do_sample=False)
        return tokens[:, ids.shape[1] :].tolist()


def main() -> None:
    args = edits_parser(__doc__.splitlines()[0]).parse_args()
    device = choose_device()
    model, tokenizer = load_base(args.base, device=device, dtype=choose_dtype(device))
    edits = [edit for file in args.edits for edit in random.Random(0).sample(halves_of(load_edits(file))[0], EDITS)]
    study = Study(model, tokenizer, edits)
    three = study.asked(lambda subject: other_questions(subject)[OF_LEVEL])
    seven = torch.cat([three, study.asked(lambda subject: [wording.format(subject) for wording in MORE])], dim=1)
    wordings = [*other_questions("{}")[OF_LEVEL], *MORE]
    generic = study.inputs([encode_prompt(tokenizer, question.text) for question in fact_questions(40, seed=5)])
    directions = torch.linalg.svd(generic, full_matrices=False).Vh
    subspaces = {
        "none": three[:, :0],
        "3 other questions about the subject": spanned(three),
        "7 other questions about the subject": spanned(seven),
        "32 directions of generic questions": directions[:32].expand(len(edits), -1, -1),
        "128 directions of generic questions": directions[:128].expand(len(edits), -1, -1),
    }
    rows = []
    for name, subspace in subspaces.items():
        rows.append({"held_by": name, **study.projected(subspace)})
        print(rows[-1], flush=True)
    for count, weight in HELD:
        name = f"a term of weight {weight:g} in the loss, {count} other questions about the subject"
        rows.append({"held_by": name, **study.held(wordings[:count], weight)})
        print(rows[-1], flush=True)
    report({"base": args.base, "edits": len(edits), "rows": rows}, args.json)


if __name__ == "__main__":
    main()
