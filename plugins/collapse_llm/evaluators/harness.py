"""EleutherAI's lm-evaluation-harness, run as a library on the model in memory."""

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, MinLen
from pydantic import Field

from collapse_core import CollapseError, Dataset, Evaluation, Evaluator, Metric, Model, errors, note, require


class LmEval(Evaluator):
    """Tasks of lm-evaluation-harness, with the harness's own prompts, metrics and standard errors.

    The model is measured as it is in memory, without being written. Each metric of each task, and of each
    group, becomes `lm_eval_TASK_METRIC` with the interval of 1.96 standard errors where the harness gives
    one. Cost: what the tasks ask; for multiple choice a forward pass per question and option.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "lm_eval_*": "a metric of this task of lm-evaluation-harness, as it defines it",
    }
    works_on: ClassVar[tuple[str, ...]] = ("language-model",)

    tasks: Annotated[list[str], MinLen(1)] = Field(examples=[["wmdp"]])
    """The names of tasks or groups, such as wmdp, mmlu or hellaswag; their data come from the hub."""
    num_fewshot: Annotated[int, Ge(0)] | None = None
    """How many answered examples stand before a question; by default the task's own number."""
    limit: Annotated[int, Ge(1)] | None = None
    """Only the first so many questions of each task."""
    include_path: str | None = None
    """A directory with task files of your own."""
    own_tasks_only: bool = False
    """Whether the tasks that come with the harness are not looked at, which saves seconds."""
    chat: bool = False
    """Whether the model's chat template puts the questions."""
    batch_size: Annotated[int, Ge(1)] = 16
    """How many continuations are scored at once."""

    def evaluate(self, model: Model, data: Dataset, seed: int) -> Evaluation:
        """Run the harness.

        Raises:
            CollapseError: It is not installed, or does not know a task.
        """
        from collapse_llm.model.language_model import LanguageModel

        language = require(model, LanguageModel, self.use or "lm-eval")
        with language.for_inference() as module, only_finite(module), saying_cuts():
            found = self._run(module, language.encoder.tokenizer, seed)
        return as_evaluation(found)

    def _run(self, module: Any, tokenizer: Any, seed: int) -> Mapping[str, Any]:
        try:
            from lm_eval import simple_evaluate
            from lm_eval.models.huggingface import HFLM
            from lm_eval.tasks import TaskManager
        except ImportError:
            raise errors.missing_extra("lm_eval", "lm-eval", "the evaluator 'lm-eval'") from None
        manager = TaskManager(include_path=self.include_path, include_defaults=not self.own_tasks_only)
        if unknown := [task for task in self.tasks if task not in manager.all_tasks]:
            raise CollapseError(
                f"lm-evaluation-harness has no task '{unknown[0]}'; "
                f"{errors.did_you_mean(unknown[0], manager.all_tasks)}"
            )
        seeds = {f"{kind}_random_seed": seed % 2**32 for kind in ("numpy", "torch", "fewshot")}
        try:
            found = simple_evaluate(
                HFLM(pretrained=module, tokenizer=tokenizer, batch_size=self.batch_size),
                tasks=list(self.tasks),
                num_fewshot=self.num_fewshot,
                limit=self.limit,
                apply_chat_template=self.chat,
                task_manager=manager,
                bootstrap_iters=1000,
                log_samples=False,
                random_seed=seed,
                **seeds,
            )
        except OSError as error:
            raise errors.not_fetched(", ".join(self.tasks), error, "include_path: <directory>") from None
        return found or {}


def as_evaluation(found: Mapping[str, Any]) -> Evaluation:
    """Return what the harness found; what came out as NaN is missing.

    Raises:
        CollapseError: It found nothing.
    """
    metrics: dict[str, Metric] = {}
    for kind in ("results", "groups"):
        for task, row in found.get(kind, {}).items():
            metrics |= _metrics(task, row, found["higher_is_better"].get(task, {}))
    if not metrics:
        raise CollapseError(
            "lm-evaluation-harness gave no number for any of the tasks of 'lm-eval'; run them with its own "
            "command to see why, or leave the evaluator out"
        )
    return Evaluation(metrics)


@contextmanager
def only_finite(module: Any) -> Iterator[None]:
    """Refuse logits that are not finite while the block runs: the harness would choose by them.

    Raises:
        CollapseError: It names the weight, if it is one's fault.
    """
    from collapse_llm.model.finite import not_finite

    def check(_: Any, __: Any, found: Any) -> None:
        if not found.logits.isfinite().all():
            raise not_finite(module)

    hook = module.register_forward_hook(check)
    try:
        yield
    finally:
        hook.remove()


@contextmanager
def saying_cuts() -> Iterator[None]:
    """Note how many prompts the harness cuts while the block runs, which it only logs."""
    logger, cuts = logging.getLogger("lm_eval"), _Cuts(logging.WARNING)
    logger.addHandler(cuts)
    try:
        yield
    finally:
        logger.removeHandler(cuts)
    if cuts.num:
        note(
            f"lm-evaluation-harness cut {cuts.num} prompts at their beginning, since they are longer than "
            "what the model reads"
        )


class _Cuts(logging.Handler):
    """Counts what the harness logs of prompts that it cuts."""

    num = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.num += "Truncating" in record.getMessage()


def _metrics(task: str, row: Mapping[str, Any], higher: Mapping[str, bool]) -> dict[str, Metric]:
    """The metrics of a task, by name; a text is none."""
    found = {}
    for key, value in row.items():
        name, _, filtered = key.partition(",")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not filtered or not is_number or name.endswith("_stderr"):
            continue
        error = row.get(f"{name}_stderr,{filtered}")
        half = 1.96 * error if isinstance(error, float) and math.isfinite(error) else None
        direction: Literal["up", "down", "none"] = "none"
        if name in higher:
            direction = "up" if higher[name] else "down"
        suffix = "" if filtered == "none" else f"_{filtered}"
        ends = (None, None) if half is None else (value - half, value + half)
        found[f"lm_eval_{task}_{name}{suffix}"] = Metric(float(value), direction, *ends)
    return found
