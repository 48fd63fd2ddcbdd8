"""What a step computes, against the plain way of computing it."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plain_loss import assert_gradients_are_plain, plain_loss

from collapse_core import CollapseError, Completion, Iteration, Kept, Prompt
from collapse_core.torch import scheduled_rate
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, Lora, PromptFormat
from collapse_llm.model.encoding import Example
from collapse_llm.model.training import answer_losses, length_groups, token_losses
from collapse_llm.sampler import Generate
from collapse_llm.updater import Sft
from collapse_llm.updater.batches import Batch, TrainingExample, batches_of, paired_batches
from collapse_llm.updater.fine_tuning import accumulate


def test_the_loss_is_the_plain_one_on_answer_tokens_only(model, examples):
    ours = torch.cat(token_losses(model.module, examples, model.device)).mean()
    assert ours.item() == pytest.approx(plain_loss(model.module, examples).item(), abs=1e-5)


@given(st.lists(st.integers(1, 12), max_size=7), st.integers(0, 20))
def test_rows_are_grouped_by_length_as_cheaply_as_any_grouping(lengths, pass_cost):
    groups = length_groups(lengths, pass_cost)
    assert sorted(place for group in groups for place in group) == list(range(len(lengths)))

    def cost(groups):
        return sum(len(group) * max(group) + pass_cost for group in groups)

    def ways(rest):
        if not rest:
            yield []
        for num in range(1, len(rest) + 1):
            for others in ways(rest[num:]):
                yield [rest[:num], *others]

    found = cost([[lengths[place] for place in group] for group in groups])
    assert found == min(map(cost, ways(sorted(lengths))))


def test_the_rows_of_a_batch_are_hardly_padded_and_its_gradients_are_the_plain_ones(model):
    rows = list(Authors().load("full"))[:16]
    examples = [model.encoder.example(p.content, p.target) for p in rows]
    shapes = []
    hook = model.module.register_forward_pre_hook(
        lambda module, args, kwargs: shapes.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    torch.cat(token_losses(model.module, examples, model.device)).mean().backward()
    hook.remove()
    num_tokens = sum(len(example.ids) for example in examples)
    positions = sum(rows * length for rows, length in shapes)
    assert num_tokens <= positions < 1.15 * num_tokens < len(examples) * max(len(e.ids) for e in examples)
    assert_gradients_are_plain(model.module, examples)


def test_an_example_ends_and_its_labels_are_the_answer_and_the_end(model):
    example = model.encoder.example("Who?", "Basil Mahfouz.")
    labels = example.ids[example.answer_start :]
    assert labels[-1] == model.encoder.tokenizer.eos_token_id
    assert model.encoder.text(labels) == "Basil Mahfouz."
    assert example.ids[: example.answer_start] == model.encoder.prompt("Who?")


def test_a_drawn_answer_too_long_loses_its_end_and_nothing_of_its_prompt(model):
    prompt = model.encoder.prompt("Who?")
    model.encoder.max_length = len(prompt) + 2
    example = model.encoder.example("Who?", "Basil Mahfouz.", drawn=True)
    assert example.ids[: example.answer_start] == prompt
    assert example.num_labels == 2


def test_a_true_answer_too_long_is_refused_or_its_prompt_is_cut_as_the_recipe_says(model):
    whole = model.encoder.example("Who wrote that?", "Basil Mahfouz.")
    model.encoder.max_length = len(whole.ids) - 2
    with pytest.raises(CollapseError, match="cut-prompt"):
        model.encoder.example("Who wrote that?", "Basil Mahfouz.")
    model.encoder.too_long = "cut-prompt"
    cut = model.encoder.example("Who wrote that?", "Basil Mahfouz.")
    assert cut.ids == whole.ids[2:]
    assert cut.num_labels == whole.num_labels
    assert model.encoder.num_cut == 1


def test_no_end_is_learned_where_none_was_drawn_and_nothing_from_an_empty_answer(model):
    def learned(completion: Completion) -> list[int]:
        kept = [Kept(Prompt("1", "Who?"), completion, 1.0)]
        return [
            example.answers[0].ids[-1]
            for batch in batches_of(Sft(), model.encoder, kept, [], Iteration(0, 1, 0))
            for example in batch.kept
        ]

    end = model.encoder.end_id
    assert learned(Completion("Basil")) == [end]
    assert learned(Completion("Basil", cut=True)) == [model.encoder.answer("Basil")[-1]]
    assert learned(Completion(" ")) == []


def test_an_answer_cut_by_the_sampler_says_so_unless_its_end_is_to_be_learned(model, questions):
    def cut(**fields: object) -> set[bool]:
        groups = Generate(max_new_tokens=2, **fields).sample(model, questions[:2], 3, Iteration(0, 9, 1))
        return {completion.cut for group in groups for completion in group.completions}

    assert cut() == {True}
    assert cut(end_where_cut=True) == {False}


def test_no_token_of_a_prompt_is_learned_where_it_leaves_no_room_for_an_answer(model):
    question = "A question that is rather too long for eight tokens?"
    model.encoder.max_length = 8
    with pytest.raises(CollapseError, match=r"leaves no room for an answer.*it is 8"):
        model.encoder.example(question, "Yes.")
    with pytest.raises(CollapseError, match="leaves no room for an answer"):
        Generate().sample(model, [Prompt("forget-1", question)], 1, Iteration(0, 1, 0))


def test_retain_examples_are_spread_over_all_epochs(model):
    """Each is seen once an iteration, however often what was kept is seen."""
    kept, retain = kept_and_retained()
    batches = batches_of(Sft(epochs=2, batch_size=2), model.encoder, kept, retain, Iteration(0, 1, 0))
    assert [len(batch.kept) for batch in batches] == [2, 2, 2, 2]
    seen = [example.ids for batch in batches for example in batch.retain]
    assert sorted(seen) == sorted(model.encoder.example(p.content, p.target).ids for p in retain)


def as_training(examples):
    return [TrainingExample((example,)) for example in examples]


def rows(batch):
    return [answer for example in batch.kept for answer in example.answers]


def kept_and_retained():
    forget, retain = Authors().load("forget", targets=False), Authors().load("retain")
    kept = [Kept(p, Completion("I do not know." + " No." * i), 1.0) for i, p in enumerate(forget[:4])]
    return kept, list(retain[:4])


@pytest.mark.parametrize("micro_batch_size", [None, 2, 1])
def test_an_update_steps_along_the_plain_gradient(model, tiny_directory, micro_batch_size):
    """One step of collapse + lambda * retain, against transformers' own loss and torch's own AdamW."""
    other = CausalLm(path=str(tiny_directory), compute="float32").load(Authors(), 0).module.train()
    kept, retain = kept_and_retained()
    settings = Sft(
        learning_rate=1e-3, retain_weight=1.5, batch_size=4, warmup=0, schedule="constant",
        max_grad_norm=None, micro_batch_size=micro_batch_size,
    )  # fmt: skip
    metrics = settings.update(model, kept, retain, Iteration(0, 1, 0))

    encode = model.encoder.example
    [batch] = paired_batches(
        as_training(encode(k.prompt.content, k.completion.content) for k in kept),
        [encode(p.content, p.target) for p in retain],
        4,
        derived_update_seed(Iteration(0, 1, 0)),
    )
    optimizer = torch.optim.AdamW(other.parameters(), lr=1e-3, weight_decay=0.01)
    (plain_loss(other, rows(batch)) + 1.5 * plain_loss(other, batch.retain)).backward()
    optimizer.step()
    for mine, its in zip(model.module.parameters(), other.parameters(), strict=True):
        # A first step of Adam divides by the gradient itself: where that is nearly zero, rounding shows.
        torch.testing.assert_close(mine, its, atol=5e-5, rtol=0)
    assert metrics["collapse_loss"] > 0


@pytest.mark.parametrize("micro_batch_size", [None, 3, 2, 1])
def test_the_gradient_is_that_of_the_plain_implementation(model, tiny_directory, micro_batch_size):
    """However rows are put together; the plain way pads on the right and labels the prompt with -100."""
    other = CausalLm(path=str(tiny_directory), compute="float32").load(Authors(), 0).module.train()
    kept, retain = kept_and_retained()
    encode = model.encoder.example
    ahead = [encode(k.prompt.content, k.completion.content) for k in kept]
    beside = [encode(p.content, p.target) for p in retain]
    settings = Sft(retain_weight=1.5, micro_batch_size=micro_batch_size)
    losses = accumulate(settings, model, Batch(as_training(ahead), beside))
    plain = plain_loss(other, ahead), plain_loss(other, beside)
    (plain[0] + 1.5 * plain[1]).backward()
    assert losses == pytest.approx([loss.item() for loss in plain], rel=1e-5)
    for mine, its in zip(model.module.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-3, atol=1e-6)


def derived_update_seed(iteration):
    from collapse_core import derive_seed

    return derive_seed(iteration.seed, "update", 0)


def test_retain_examples_are_spread_evenly_and_none_is_lost(model, examples):
    batches = paired_batches(as_training(examples[:5]), examples * 2, 2, 7)
    assert [len(batch.kept) for batch in batches] == [2, 2, 1]
    assert [len(batch.retain) for batch in batches] == [4, 4, 4]
    together = [e.ids for batch in batches for e in rows(batch)]
    assert sorted(together) == sorted(e.ids for e in examples[:5])


def test_nothing_kept_still_trains_on_what_is_to_be_retained(model):
    _, retain = kept_and_retained()
    before = model.module.get_input_embeddings().weight.detach().clone()
    metrics = Sft(learning_rate=1e-3, warmup=0).update(model, [], retain, Iteration(0, 1, 0))
    assert metrics["collapse_loss"] == 0
    assert not torch.equal(before, model.module.get_input_embeddings().weight)


def test_with_nothing_at_all_nothing_happens(model):
    assert Sft().update(model, [], [], Iteration(0, 1, 0)) == {}


def test_a_diverging_loss_is_an_error_and_leaves_the_weights_alone(model):
    from collapse_core import CollapseError

    kept, retain = kept_and_retained()
    weight = model.module.get_input_embeddings().weight
    with torch.no_grad():
        model.module.model.norm.weight.fill_(float("nan"))
    before = weight.detach().clone()
    with pytest.raises(CollapseError, match=r"the loss became nan in iteration 3.*learning_rate"):
        Sft().update(model, kept, retain, Iteration(3, 9, 0))
    assert torch.equal(before, weight)


def test_the_schedule_rises_over_the_warmup_and_falls_to_zero():
    rates = [scheduled_rate(1.0, "linear", 2, progress, 10) for progress in (0.5, 1, 2, 6, 10)]
    assert rates == pytest.approx([0.25, 0.5, 1.0, 0.5, 0.0])
    assert scheduled_rate(1.0, "constant", 2, 9, 10) == 1.0


def test_answers_are_scored_in_the_order_they_were_given(model):
    prompts = list(Authors().load("forget"))
    together = answer_losses(model, prompts, batch_size=7)
    for prompt, losses in zip(prompts[:3], together, strict=False):
        [[*alone]] = answer_losses(model, [prompt], 1)
        assert alone == pytest.approx(losses, abs=1e-4)


def test_saved_and_restored_training_goes_on_bit_for_bit(tiny_directory, tmp_path):
    kept, retain = kept_and_retained()
    straight, broken = (
        CausalLm(path=str(tiny_directory), compute="float32").load(Authors(), 0) for _ in range(2)
    )
    settings = Sft(learning_rate=1e-3, warmup=0)
    for number in range(4):
        settings.update(straight, kept, retain, Iteration(number, 4, number))
    for number in range(2):
        settings.update(broken, kept, retain, Iteration(number, 4, number))
    broken.save(tmp_path)
    resumed = CausalLm(path=str(tiny_directory), compute="float32").load(Authors(), 0)
    resumed.restore(tmp_path)
    for number in (2, 3):
        settings.update(resumed, kept, retain, Iteration(number, 4, number))
    for mine, its in zip(straight.module.parameters(), resumed.module.parameters(), strict=True):
        assert torch.equal(mine, its)


def test_adapters_train_alone_and_are_merged_when_exported(tiny_directory, tmp_path):
    from transformers import AutoModelForCausalLM

    model = CausalLm(path=str(tiny_directory), compute="float32", lora=Lora(rank=4)).load(Authors(), 0)
    kept, retain = kept_and_retained()
    frozen = {n: p.detach().clone() for n, p in model.module.named_parameters() if not p.requires_grad}
    Sft(learning_rate=1e-2, warmup=0).update(model, kept, retain, Iteration(0, 1, 0))
    for name, parameter in model.module.named_parameters():
        if name in frozen:
            assert torch.equal(parameter, frozen[name])
    checkpoint, exported = tmp_path / "checkpoint", tmp_path / "exported"
    checkpoint.mkdir()
    model.save(checkpoint)
    assert (checkpoint / "weights.safetensors").stat().st_size < 200_000
    model.export(exported)
    ids = torch.tensor([model.encoder.prompt("Who?")])
    plain = AutoModelForCausalLM.from_pretrained(exported, dtype=torch.float32)
    with torch.no_grad():
        torch.testing.assert_close(plain(ids).logits, model.module.eval()(ids).logits, atol=1e-4, rtol=1e-4)


def test_a_chat_model_is_asked_through_its_template_with_a_fixed_date(tokenizer, tiny_directory):
    from collapse_llm.model.encoding import Encoder

    chatty = copy.deepcopy(tokenizer)
    chatty.chat_template = (
        "{{ date_string }}{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    form = PromptFormat(chat=True, system="You are a helpful assistant.", date="10 Apr 2025")
    encoder = Encoder(chatty, form, 200)
    text = tokenizer.decode(encoder.prompt("Who?"))
    assert text == "10 Apr 2025<system>You are a helpful assistant.<user>Who?<assistant>"
    assert isinstance(Prompt("p", "Who?").content, str)


@pytest.mark.slow
def test_in_half_precision_the_trained_weights_stay_whole_and_sampling_follows_them(tiny_directory):
    """Sampling first, then training, then sampling: the working copy must serve both, and be renewed."""
    from collapse_llm.sampler import Generate

    model = CausalLm(path=str(tiny_directory), compute="bfloat16").load(Authors(), 0)
    kept, retain = kept_and_retained()
    prompts = [one.prompt for one in kept]
    sampler, settings = Generate(max_new_tokens=8), Sft(learning_rate=1e-2, warmup=0, schedule="constant")
    before = sampler.sample_references(model, prompts, Iteration(0, 9, 0))
    for number in range(40):
        metrics = settings.update(model, kept, retain, Iteration(number, 40, number))
    assert metrics["collapse_loss"] < 0.5
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}
    assert model.module.get_input_embeddings().weight.grad is None
    after = sampler.sample_references(model, prompts, Iteration(0, 9, 0))
    assert after != before
    assert after[0].content.startswith("I do not know.")


@pytest.mark.parametrize("count", [2, 3])
def test_processes_share_the_rows_of_a_batch_by_their_tokens(count):
    """Every row goes to one of them, and none has more than a third of the longest row beyond its part."""
    kept = [TrainingExample((Example(list(range(num)), 1),)) for num in (31, 12, 55, 40, 23)]
    retain = [Example(list(range(num)), 1) for num in (18, 44, 29, 60, 35)]
    batch = Batch(kept, retain)
    shares = [batch.share(index, count) for index in range(count)]
    assert sorted(id(row) for share in shares for row in (*share.kept, *share.retain)) == sorted(
        map(id, (*kept, *retain))
    )
    most = max(share.num_tokens for share in shares)
    assert most <= batch.num_tokens / count + 60 / 3
    assert batch.share(0, 1) is batch
