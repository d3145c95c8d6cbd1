"""Every way to generate, on the real model: edited prompts get the edited answer, all others exactly the base model's."""

import copy
import threading

import pytest
import torch
from helpers import (
    BHUTAN,
    BURKINA,
    EDITED,
    FRANCE,
    PALAU,
    PANCAKES,
    SPIDER,
    answers,
    batch_of,
    chat_batch,
    conversation,
)
from helpers import new_tokens as new_tokens_of
from transformers import (
    CompileConfig,
    DynamicCache,
    GenerationConfig,
    StaticCache,
    TextGenerationPipeline,
    TextIteratorStreamer,
    pipeline,
)


MIXED = (BURKINA, FRANCE, BHUTAN)
LENGTH = 10


def assert_edited(edited_model, base_model, tokenizer, prompts=MIXED, returned=1, **kwargs) -> None:
    """Generate with both models: edited prompts must get their target, all others the base model's own tokens."""
    kwargs = {"max_new_tokens": LENGTH, "do_sample": False, **kwargs}
    batch = chat_batch(tokenizer, prompts)
    torch.manual_seed(0)
    edited = edited_model.generate(**batch, **kwargs)
    torch.manual_seed(0)
    base = base_model.generate(**batch, **kwargs)
    assert len(edited) == len(prompts) * returned
    texts = answers(tokenizer, edited, batch)
    for row, (ours, theirs) in enumerate(zip(edited.tolist(), base.tolist(), strict=True)):
        prompt = prompts[row // returned]
        if prompt in EDITED:
            assert texts[row] == EDITED[prompt]
        else:
            assert strip(ours, tokenizer.pad_token_id) == strip(theirs, tokenizer.pad_token_id)


def strip(tokens: list[int], pad_id: int) -> list[int]:
    """Without the padding at the end, whose length depends on the longest answer of the batch."""
    while tokens and tokens[-1] == pad_id:
        tokens = tokens[:-1]
    return tokens


def ask(model, tokenizer, prompt: str, **kwargs) -> str:
    batch = chat_batch(tokenizer, [prompt])
    output = model.generate(**batch, **{"max_new_tokens": LENGTH, "do_sample": False, **kwargs})
    return answers(tokenizer, output, batch)[0]


# ---------------------------------------------------------------- search modes


def test_greedy(edited_model, base_model, tokenizer):
    assert_edited(edited_model, base_model, tokenizer, [*MIXED, PALAU, SPIDER])


def test_one_prompt_alone(edited_model, base_model, tokenizer):
    assert_edited(edited_model, base_model, tokenizer, [BURKINA])
    assert_edited(edited_model, base_model, tokenizer, [FRANCE])


def test_sampling(edited_model, base_model, tokenizer):
    assert_edited(edited_model, base_model, tokenizer, do_sample=True, temperature=0.3)


def test_sampling_several_answers(edited_model, base_model, tokenizer):
    assert_edited(
        edited_model, base_model, tokenizer, returned=2, do_sample=True, temperature=0.3, num_return_sequences=2
    )


@pytest.mark.slow
@pytest.mark.parametrize("returned", [1, 3])
def test_beam_search(edited_model, base_model, tokenizer, returned):
    batch = chat_batch(tokenizer, MIXED)
    settings = {
        "num_beams": 4,
        "repetition_penalty": 1.1,
        "max_new_tokens": LENGTH,
        "num_return_sequences": returned,
        "return_dict_in_generate": True,
    }
    edited, base = edited_model.generate(**batch, **settings), base_model.generate(**batch, **settings)
    texts = answers(tokenizer, edited, batch)
    assert texts[0] == EDITED[BURKINA]
    assert texts[2 * returned] == EDITED[BHUTAN]
    pad = tokenizer.pad_token_id
    for row in range(returned, 2 * returned):
        assert strip(edited.sequences[row].tolist(), pad) == strip(base.sequences[row].tolist(), pad)
    assert [route.fired for route in edited.routes] == [True] * returned + [False] * returned + [True] * returned


def test_beam_sampling(edited_model, base_model, tokenizer):
    assert_edited(edited_model, base_model, tokenizer, [BURKINA], do_sample=True, temperature=0.3, num_beams=2)


@pytest.mark.slow
def test_classifier_free_guidance(edited_model, base_model, tokenizer):
    assert_edited(edited_model, base_model, tokenizer, guidance_scale=1.2)


# --------------------------------------------------------------------- caches


def test_static_cache(edited_model, base_model, tokenizer):
    assert_edited(edited_model, base_model, tokenizer, cache_implementation="static", disable_compile=True)


def test_static_cache_object(edited_model, tokenizer):
    cache = StaticCache(edited_model.config, max_cache_len=80)
    assert ask(edited_model, tokenizer, BURKINA, past_key_values=cache) == EDITED[BURKINA]


@pytest.mark.parametrize("implementation", ["offloaded", "quantized"])
def test_cache_that_needs_a_gpu_or_a_library_behaves_as_for_the_base(
    edited_model, base_model, tokenizer, implementation
):
    try:
        ask(base_model, tokenizer, FRANCE, cache_implementation=implementation, max_new_tokens=2)
    except Exception as error:
        with pytest.raises(type(error)):
            ask(edited_model, tokenizer, FRANCE, cache_implementation=implementation, max_new_tokens=2)
    else:
        assert_edited(edited_model, base_model, tokenizer, cache_implementation=implementation)


@pytest.mark.slow
def test_without_cache(edited_model, base_model, tokenizer):
    assert_edited(edited_model, base_model, tokenizer, use_cache=False)


@pytest.mark.parametrize("size", [7, 16, 500])
def test_chunked_prefill(edited_model, base_model, tokenizer, size):
    assert_edited(edited_model, base_model, tokenizer, prefill_chunk_size=size)


def test_prompt_cache_with_the_system_prompt(edited_model, base_model, tokenizer):
    """The documented recipe: fill a cache with what all prompts share, copy it for each of them."""
    batch = chat_batch(tokenizer, [BURKINA])
    shared = batch["input_ids"][:, :20]
    for model, prompt in ((edited_model, BURKINA), (edited_model, FRANCE), (base_model, FRANCE)):
        with torch.no_grad():
            filled = model(shared, past_key_values=DynamicCache(config=model.config)).past_key_values
        cached = ask(model, tokenizer, prompt, past_key_values=copy.deepcopy(filled))
        assert cached == ask(model, tokenizer, prompt)
    assert cached not in EDITED.values()


@pytest.mark.parametrize("prompt", [BURKINA, FRANCE])
def test_prompt_cache_with_part_of_the_question(edited_model, base_model, tokenizer, prompt):
    batch = chat_batch(tokenizer, [prompt])
    with torch.no_grad():
        filled = base_model.model(batch["input_ids"][:, :-6], use_cache=True).past_key_values
    expected = EDITED.get(prompt) or ask(base_model, tokenizer, prompt)
    assert ask(edited_model, tokenizer, prompt, past_key_values=filled) == expected


# ---------------------------------------------------------------- conversation


TURNS = [(BURKINA, PALAU), (FRANCE, PALAU), (BURKINA, FRANCE), (FRANCE, SPIDER)]


def second_turn(tokenizer, question: str) -> list[int]:
    """What a chat appends behind the first answer: the turns in between and the second question."""
    whole, first = conversation(tokenizer, "Hi", "Hello", question), conversation(tokenizer, "Hi")
    hello = tokenizer("Hello", add_special_tokens=False)["input_ids"]
    assert whole[: len(first) + len(hello)] == [*first, *hello]
    return whole[len(first) + len(hello) + 1 :]  # the end-of-turn token was generated


@pytest.mark.slow
@pytest.mark.parametrize("only_new_ids", [False, True])
@pytest.mark.parametrize(("first", "second"), TURNS)
def test_conversation_on_one_cache(edited_model, base_model, tokenizer, first, second, only_new_ids):
    def chat(model):
        batch = chat_batch(tokenizer, [first])
        cache = DynamicCache(config=model.config)
        settings = {"max_new_tokens": 30, "do_sample": False, "return_dict_in_generate": True}
        told = model.generate(**batch, past_key_values=cache, **settings)
        appended = torch.tensor([second_turn(tokenizer, second)])
        whole = torch.cat([told.sequences, appended], dim=1)
        mask = torch.ones_like(whole)
        # The last token that was generated has not been run yet.
        given = whole[:, cache.get_seq_length() :] if only_new_ids else whole
        output = model.generate(given, attention_mask=mask, past_key_values=cache, **settings)
        return tokenizer.decode(output.sequences[0, given.shape[1] :], skip_special_tokens=True), output

    text, output = chat(edited_model)
    if second in EDITED:
        assert text == EDITED[second]
        assert output.routes[0].fired
    else:
        assert not output.routes[0].fired
    if first not in EDITED and second not in EDITED:
        assert text == chat(base_model)[0]


def test_conversation_without_cache_is_routed_by_its_last_question(edited_model, tokenizer):
    ids = batch_of([conversation(tokenizer, FRANCE, "Paris.", PALAU)])
    output = edited_model.generate(**ids, max_new_tokens=LENGTH, do_sample=False)
    assert answers(tokenizer, output, ids) == [EDITED[PALAU]]
    ids = batch_of([conversation(tokenizer, PALAU, "Ngerulmud.", FRANCE)])
    assert not edited_model.route(**ids)[0].fired


# -------------------------------------------------------------- other entrances


def test_streamer(edited_model, tokenizer):
    for prompt in (BURKINA, FRANCE):
        streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=60)
        thread = threading.Thread(target=ask, args=(edited_model, tokenizer, prompt), kwargs={"streamer": streamer})
        thread.start()
        streamed = "".join(streamer).strip()
        thread.join()
        assert streamed == (EDITED.get(prompt) or ask(edited_model, tokenizer, prompt))


@pytest.mark.parametrize("prompt", [BURKINA, FRANCE])
def test_assisted_by_another_model(edited_model, base_model, tokenizer, prompt):
    expected = EDITED.get(prompt) or ask(base_model, tokenizer, prompt)
    assert ask(edited_model, tokenizer, prompt, assistant_model=base_model) == expected


def test_assistant_of_a_plain_model(edited_model, base_model, tokenizer):
    """The other way round: what the edited model drafts, the base model corrects."""
    expected = ask(base_model, tokenizer, BURKINA)
    assert ask(base_model, tokenizer, BURKINA, assistant_model=edited_model) == expected


@pytest.mark.parametrize("prompt", [BURKINA, FRANCE])
def test_prompt_lookup(edited_model, base_model, tokenizer, prompt):
    expected = EDITED.get(prompt) or ask(base_model, tokenizer, prompt)
    assert ask(edited_model, tokenizer, prompt, prompt_lookup_num_tokens=3) == expected


@pytest.mark.parametrize("prompt", [BURKINA, FRANCE])
def test_early_exit_drafts(edited_model, base_model, tokenizer, prompt):
    expected = EDITED.get(prompt) or ask(base_model, tokenizer, prompt)
    assert ask(edited_model, tokenizer, prompt, assistant_early_exit=10) == expected


def test_inputs_embeds(edited_model, base_model, tokenizer):
    batch = chat_batch(tokenizer, MIXED)
    embeds = base_model.get_input_embeddings()(batch["input_ids"]).detach()
    given = {"inputs_embeds": embeds, "attention_mask": batch["attention_mask"]}
    settings = {"max_new_tokens": LENGTH, "do_sample": False}
    edited, base = edited_model.generate(**given, **settings), base_model.generate(**given, **settings)
    texts = tokenizer.batch_decode(edited, skip_special_tokens=True)
    assert [texts[0], texts[2]] == [EDITED[BURKINA], EDITED[BHUTAN]]
    assert strip(edited[1].tolist(), 2) == strip(base[1].tolist(), 2)


def test_input_ids_as_first_argument_and_generation_config(edited_model, tokenizer):
    batch = chat_batch(tokenizer, [BURKINA])
    settings = GenerationConfig(max_new_tokens=LENGTH, do_sample=False, pad_token_id=2, eos_token_id=2)
    output = edited_model.generate(batch["input_ids"], settings)
    assert answers(tokenizer, output, batch) == [EDITED[BURKINA]]


def test_without_any_prompt(edited_model, base_model):
    edited, base = (model.generate(max_new_tokens=4, do_sample=False) for model in (edited_model, base_model))
    assert torch.equal(edited, base)


def test_pipeline(edited_model, base_model, tokenizer):
    chats = [[{"role": "user", "content": prompt}] for prompt in MIXED]
    settings = {"max_new_tokens": LENGTH, "do_sample": False}
    for batch_size in (None, 3):
        generator = pipeline("text-generation", model=edited_model, tokenizer=tokenizer)
        assert isinstance(generator, TextGenerationPipeline)
        told = [out[0]["generated_text"][-1]["content"] for out in generator(chats, batch_size=batch_size, **settings)]
        assert [told[0], told[2]] == [EDITED[BURKINA], EDITED[BHUTAN]]
    generator = pipeline("text-generation", model=base_model, tokenizer=tokenizer)
    base = [out[0]["generated_text"][-1]["content"] for out in generator(chats, batch_size=3, **settings)]
    assert told[1] == base[1]


@pytest.mark.slow
def test_two_threads(edited_model, base_model, tokenizer):
    """Each thread its own prompts, one of them with edits off: nothing of one is seen in the other."""
    told: dict[str, list[str]] = {"edited": [], "disabled": []}

    def edited():
        for prompt in (BURKINA, FRANCE, BHUTAN):
            told["edited"].append(ask(edited_model, tokenizer, prompt))

    def disabled():
        with edited_model.edits_disabled():
            for prompt in (BHUTAN, BURKINA):
                told["disabled"].append(ask(edited_model, tokenizer, prompt))

    threads = [threading.Thread(target=work) for work in (edited, disabled)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert told["edited"] == [EDITED[BURKINA], ask(base_model, tokenizer, FRANCE), EDITED[BHUTAN]]
    assert told["disabled"] == [ask(base_model, tokenizer, BHUTAN), ask(base_model, tokenizer, BURKINA)]


def test_continuous_batching_is_refused(edited_model):
    with pytest.raises(NotImplementedError, match=r"routed by row. Use generate\(\)"):
        edited_model.generate_batch([[1, 2, 3]])


# ------------------------------------------------------------------- by forward


@torch.no_grad()
def decode_by_hand(model, batch, steps: int = LENGTH, **kwargs) -> torch.Tensor:
    """Greedy decoding through `forward`, as in many tutorials."""
    ids, mask, cache, told = batch["input_ids"], batch["attention_mask"], None, []
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    for _ in range(steps):
        output = model(
            ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, **kwargs
        )
        logits, cache = (output.logits, output.past_key_values) if hasattr(output, "logits") else output[:2]
        ids = logits[:, -1:].argmax(-1)
        told.append(ids)
        mask = torch.cat([mask, torch.ones_like(ids)], dim=1)
        positions = positions[:, -1:] + 1
    return torch.cat(told, dim=1)


@pytest.mark.parametrize("settings", [{}, {"return_dict": False}], ids=["dict", "tuple"])
def test_decoding_by_hand(edited_model, base_model, tokenizer, settings):
    batch = chat_batch(tokenizer, MIXED)
    edited = decode_by_hand(edited_model, batch, **settings)
    base = decode_by_hand(base_model, batch, **settings)
    for row, prompt in enumerate(MIXED):
        if prompt in EDITED:
            told = edited[row].tolist()
            assert tokenizer.decode(told[: told.index(2)]) == EDITED[prompt]
        else:
            assert torch.equal(edited[row], base[row])


@torch.no_grad()
def test_foreign_cache_is_refused(edited_model, base_model, tokenizer):
    batch = chat_batch(tokenizer, [BURKINA])
    cache = base_model(**batch, use_cache=True).past_key_values
    with pytest.raises(ValueError, match="not run by this model with its edits on.*generate\\(\\)"):
        edited_model(torch.tensor([[5]]), past_key_values=cache)
    with edited_model.edits_disabled():
        edited_model(torch.tensor([[5]]), past_key_values=cache)


@torch.no_grad()
def test_second_question_through_forward_is_routed_anew(edited_model, tokenizer):
    """A chat by hand on one cache: the second question must not be answered by the first one's edit."""
    first = edited_model(**chat_batch(tokenizer, [BURKINA]), use_cache=True)
    answer = tokenizer(EDITED[BURKINA], add_special_tokens=False)["input_ids"]
    appended = torch.tensor([[*answer, tokenizer.eos_token_id, *second_turn(tokenizer, PALAU)]])
    mask = torch.ones(1, first.past_key_values.get_seq_length() + appended.shape[1], dtype=torch.long)
    second = edited_model(appended, attention_mask=mask, past_key_values=first.past_key_values)
    whole = conversation(tokenizer, BURKINA, EDITED[BURKINA], PALAU)
    assert mask.shape[1] == len(whole)
    assert second.routing.routes()[0].edit_id == edited_model.route(torch.tensor([whole]))[0].edit_id
    assert second.routing.routes()[0].fact["prompt"] == PALAU


@torch.no_grad()
def test_packed_rows_are_refused(edited_model, tokenizer):
    """Several sequences in one row cannot be told apart by a router that works on rows."""
    ids = torch.cat([chat_batch(tokenizer, [prompt])["input_ids"] for prompt in (BURKINA, FRANCE)], dim=1)
    positions = torch.cat([torch.arange(ids.shape[1] // 2), torch.arange(ids.shape[1] - ids.shape[1] // 2)])[None]
    with pytest.raises(ValueError, match="position_ids"):
        edited_model(ids, position_ids=positions)


@torch.no_grad()
def test_four_dimensional_mask_is_refused(edited_model, tokenizer):
    batch = chat_batch(tokenizer, [BURKINA])
    columns = batch["input_ids"].shape[1]
    mask = torch.ones(1, 1, columns, columns, dtype=torch.bool).tril()
    with pytest.raises(ValueError, match="attention_mask of shape"):
        edited_model(batch["input_ids"], attention_mask=mask)


# ----------------------------------------------------------------------- routes


def test_routes_say_which_edit_answered(edited_model, tokenizer):
    batch = chat_batch(tokenizer, [BURKINA, PANCAKES])
    settings = {"max_new_tokens": 2, "do_sample": True, "num_return_sequences": 2, "return_dict_in_generate": True}
    routes = edited_model.generate(**batch, **settings).routes
    assert [route.edit_id for route in routes[:2]] == ["capital-of-burkina-faso"] * 2
    assert [route.fired for route in routes] == [True, True, False, False]
    assert routes[0].fact["target"] == EDITED[BURKINA]
    assert routes[0].fact["source"].startswith("https://")
    assert routes[0].score > routes[0].threshold
    assert routes[0].runner_up != routes[0].edit_id
    alone = edited_model.route(**batch)
    assert [route.fired for route in alone] == [True, False]
    assert alone[0].edit_id == routes[0].edit_id == routes[1].edit_id
    assert alone[0].score == pytest.approx(routes[0].score, abs=0.02)


def test_route_of_embeddings(edited_model, tokenizer):
    batch = chat_batch(tokenizer, MIXED)
    embeds = edited_model.get_input_embeddings()(batch["input_ids"])
    by_embeds = edited_model.route(inputs_embeds=embeds, attention_mask=batch["attention_mask"])
    assert by_embeds == edited_model.route(**batch)  # the same numbers, so the same routes in every bit


def test_outputs_carry_everything_that_was_asked_for(edited_model, tokenizer):
    batch = chat_batch(tokenizer, [BURKINA])
    wanted = {"output_scores": True, "output_logits": True, "output_hidden_states": True}
    output = edited_model.generate(**batch, max_new_tokens=2, return_dict_in_generate=True, **wanted)
    assert len(output.scores) == len(output.logits) == len(output.hidden_states) == 2
    assert len(output.hidden_states[0]) == edited_model.config.num_hidden_layers + 1
    assert new_tokens_of(output, batch).shape == (1, 2)


# ---------------------------------------------------------------------- compile


@pytest.mark.slow
def test_compiled_decoding_with_a_static_cache(edited_model, base_model, tokenizer):
    """As on a GPU, with the default compiler; `fullgraph` forbids any synchronisation or Python detour in a step."""
    compile_config = CompileConfig(fullgraph=True)
    compile_config._compile_all_devices = True
    assert_edited(edited_model, base_model, tokenizer, cache_implementation="static", compile_config=compile_config)
