"""Can an expert that fires wrongly be made to say nothing? It is kept from what the model reads of other questions.

    python benchmarks/silent_experts.py ZSRE.jsonl COUNTERFACT.jsonl --json benchmarks/results/silent_experts.json

An expert adds `B A x`. Trained on inputs without their part in a subspace, A ignores that subspace (as AlphaEdit, arXiv
2410.02355, does for weights). Here it holds the inputs at the end of other questions about the edit's own subject, or the main
directions of generic questions. Each edit is then forced to fire: for its rephrases, where the target must come, and for
questions of other edits and generic ones about its subject, where the answer should stay the base model's. Tuning half of
`routing.py`; such experts are not what the package trains, see docs/routing.md for why.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import torch
from baselines import spread
from figures import report
from relations import ask_the_same
from routing import edits_parser, halves_of, numbers_about

from scen_hf import Edit, load_base, load_edits
from scen_hf.bases import choose_device, choose_dtype
from scen_hf.evaluation import Rate, normalise_answer, prompt_sets
from scen_hf.experts import AnswerStates, ExpertTrainer, captured_layer
from scen_hf.generic_questions import fact_questions
from scen_hf.prompts import encode_chat, encode_prompt, encode_target, pad_id_of, pad_left
from scen_hf.router_space import other_questions
from scen_hf.trainer import SCENTrainer, frozen


EDITS, PER_SET, BATCH, NEW_TOKENS = 40, 120, 40, 14
MORE = ("Who is the boss of {}?", "What does {} look like?", "When did {} begin?", "How many people know {}?")
TARGETS, OTHERS = ("prompts", "rephrases", "completions"), ("generic_questions", "other_relations")


class ProjectedTrainer(ExpertTrainer):
    """Trains experts on inputs without their part in a subspace of each edit, `(edits, dimensions, intermediate_size)`."""

    subspace: torch.Tensor

    def answer_states(self, prompts: Sequence[list[int]], targets: Sequence[list[int]]) -> AnswerStates:
        """As of the base class, with projected inputs."""
        states = super().answer_states(prompts, targets)
        states.x = without(states.x.float(), self.subspace).to(states.x.dtype)
        return states


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

    def measured(self, subspace: torch.Tensor) -> dict[str, Any]:
        """Train experts and force them to fire."""
        trainer = self.defaults.expert_trainer(ProjectedTrainer)
        trainer.subspace, trained = subspace, {}
        prompts = [encode_prompt(self.tokenizer, edit.prompt) for edit in self.edits]
        targets = [encode_target(self.tokenizer, edit.target) for edit in self.edits]
        with frozen(self.model):
            trainer.train(prompts, targets, range(len(prompts)), trained.__setitem__)
        experts = [trained[number].tensors for number in range(len(prompts))]
        a = without(torch.stack([expert["a"] for expert in experts]), subspace)
        answers = self._answers((a, torch.stack([expert["b"] for expert in experts])))
        found: dict[str, list[bool]] = {}
        for (kind, probe), answer, before in zip(self.probes, answers, self.base, strict=True):
            right = normalise_answer(answer) == normalise_answer(probe.target or "")
            found.setdefault(kind, []).append(right if kind in TARGETS else answer == before)
        return {
            "steps": sum(expert.steps for expert in trained.values()) / len(trained),
            **{kind: Rate.of(rows).to_dict() for kind, rows in found.items()},
        }

    @torch.no_grad()
    def _answers(self, experts: tuple[torch.Tensor, torch.Tensor] | None) -> list[str]:
        """Greedy answers to all probes, each with its edit's expert."""
        answers: dict[int, str] = {}
        order = sorted(range(len(self.chats)), key=lambda number: len(self.chats[number]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            ids, mask = pad_left([self.chats[row] for row in rows], pad_id_of(self.tokenizer))
            hooks = []
            if experts is not None:
                a, b = (part[[self.about[row] for row in rows]].to(self.model.dtype) for part in experts)

                def add(module, args, output, a=a, b=b):
                    output = output.clone()
                    output[:, -1:] += (args[0][:, -1:] @ a.transpose(1, 2)) @ b.transpose(1, 2)
                    return output

                hooks.append(self.model.model.layers[self.layer].mlp.down_proj.register_forward_hook(add))
            try:
                tokens = self.model.generate(
                    input_ids=ids, attention_mask=mask, max_new_tokens=NEW_TOKENS, do_sample=False
                )
            finally:
                for hook in hooks:
                    hook.remove()
            texts = self.tokenizer.batch_decode(tokens[:, ids.shape[1] :], skip_special_tokens=True)
            answers.update(zip(rows, texts, strict=True))
        return [answers[number] for number in range(len(answers))]


def main() -> None:
    args = edits_parser(__doc__.splitlines()[0]).parse_args()
    device = choose_device()
    model, tokenizer = load_base(args.base, device=device, dtype=choose_dtype(device))
    edits = [edit for file in args.edits for edit in random.Random(0).sample(halves_of(load_edits(file))[0], EDITS)]
    study = Study(model, tokenizer, edits)
    three = study.asked(other_questions)
    seven = torch.cat([three, study.asked(lambda subject: [wording.format(subject) for wording in MORE])], dim=1)
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
        rows.append({"subspace": name, **study.measured(subspace)})
        print(rows[-1], flush=True)
    report({"base": args.base, "edits": len(edits), "rows": rows}, args.json)


if __name__ == "__main__":
    main()
