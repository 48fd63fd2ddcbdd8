"""What every column of a cell works on: the same model, questions, references and settings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import collapse_llm
from benchmarks.cells import ROOT, Job
from benchmarks.small_llama import TOFU, as_small_llama, check_memorized
from collapse_core import (
    CollapseError,
    Dataset,
    Iteration,
    Prompt,
    Recipe,
    cached,
    derive_seed,
    digest,
    environment,
    load_recipe,
)
from collapse_llm.data import Tofu
from collapse_llm.model import CausalLm
from collapse_llm.model.language_model import LanguageModel

SETTINGS = (
    # How the paper samples; the recipe's own min-p would spare `generate` the sort of the vocabulary.
    "sampler.temperature=1.25",
    "sampler.top_p=0.95",
    "sampler.min_p=0",
    "sampler.max_new_tokens=64",
    # One retain row per question, as in the paper.
    "retain_per_iteration=matched",
)


@dataclass
class Material:
    """A cell's ingredients, loaded."""

    recipe: Recipe
    model: LanguageModel
    prompts: list[Prompt]
    """The questions, with their true answers: the reference reads those, for its log."""
    retain: list[Prompt]
    references: Mapping[str, str]
    """By prompt id: the model's own greedy answer."""
    iteration: Iteration

    @property
    def batch_size(self) -> int:
        """Questions in a training batch."""
        return int(self.recipe.updater.batch_size)  # type: ignore[attr-defined]


def load_material(job: Job) -> Material:
    """Load the model, taught and cached, and all that goes with it."""
    recipe = cell_recipe(job)
    model = recipe.model.load(recipe.data, recipe.seed)
    assert isinstance(model, LanguageModel)
    assert isinstance(recipe.model, CausalLm)
    if isinstance(recipe.data, Tofu):
        check_memorized(model, recipe.data)
    prompts = questions(recipe.data, job.cell.num_questions)
    retain = recipe.data.load("retain").draw(len(prompts), derive_seed(recipe.seed, "retain"))
    references = _references(recipe, model, prompts)
    loader = recipe.model.model_copy(update={"compute": job.compute})
    model = LanguageModel(model.module, model.encoder.tokenizer, loader)
    iteration = next(Iteration.remaining(0, recipe.iterations, recipe.seed))
    return Material(recipe, model, prompts, retain, references, iteration)


def cell_recipe(job: Job) -> Recipe:
    """The recipe that trains all weights, as every column does, with the cell's model and settings."""
    settings = [*SETTINGS, f"updater.batch_size={job.batch_size}"]
    settings.append(f"completions_per_prompt={job.cell.num_completions}")
    recipe = load_recipe(ROOT / "recipes" / "llm_tofu_full.yaml", settings)
    if job.cell.model == "small-llama":
        return as_small_llama(recipe)
    if job.cell.model == "tiny-llama":
        teach = {"epochs": 4, "learning_rate": 5e-3, "warmup": 0.5}
        tiny = CausalLm.model_validate({"use": "causal-lm", "path": "tiny-llama", "teach": teach})
        return recipe.model_copy(update={"model": tiny})
    return recipe


def questions(data: Dataset, num: int) -> list[Prompt]:
    """The questions to forget; where they are too few, others that were taught; then what was not taught.

    Raises:
        CollapseError: There are not so many.
    """
    taught = data.load("full")
    rows = [(p.content, p.target) for p in (*data.load("forget"), *taught)]
    rows += [
        (p.columns["paraphrased_question"], p.target) for p in taught if "paraphrased_question" in p.columns
    ]
    if isinstance(data, Tofu) and TOFU.is_dir():
        rows += [(p.content, p.target) for p in Tofu(path=str(TOFU)).load("full")]
    answers = dict(reversed(rows))
    asked = dict.fromkeys(question for question, _ in rows)
    if len(asked) < num:
        raise CollapseError(f"there are {len(asked)} questions, not {num}; choose a smaller cell")
    return [Prompt(f"question-{i}", question, answers[question]) for i, question in enumerate(asked)][:num]


def _references(recipe: Recipe, model: LanguageModel, prompts: Sequence[Prompt]) -> Mapping[str, str]:
    """The model's greedy answers: made once, and the same for every column."""
    made_of = {
        "model": recipe.model.model_dump(mode="json"),
        "provenance": dict(recipe.model.provenance()),
        "code": environment.source_digest(Path(collapse_llm.__file__).parent),
        "questions": [prompt.content for prompt in prompts],
        "data": dict(recipe.data.provenance()),
    }

    def make(directory: Path) -> None:
        answers = recipe.sampler.sample_references(model, prompts, Iteration(0, 1, recipe.seed))
        texts = {prompt.id: answer.content for prompt, answer in zip(prompts, answers, strict=True)}
        (directory / "references.json").write_text(json.dumps(texts), encoding="utf-8")

    found = cached("bench-references", digest(made_of), make) / "references.json"
    references: dict[str, str] = json.loads(found.read_text(encoding="utf-8"))
    return references
