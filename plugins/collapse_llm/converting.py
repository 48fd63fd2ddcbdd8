"""Recipes from experiment configurations of OpenUnlearning (github.com/locuslab/open-unlearning).

Its trainers are updaters here, on its data; the recipe runs as written. A configuration is read as far as the
file itself goes: `defaults` name files of OpenUnlearning that are not read, of which the name alone counts.
What a run of OpenUnlearning leaves in .hydra/config.yaml is whole.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from collapse_core import CollapseError, Draft
from collapse_llm.experiment_config import Config, check_rest, defaults_of, read_config

STOCK_MODELS = {
    "Llama-2-7b-chat-hf": "meta-llama/Llama-2-7b-chat-hf",
    "Llama-2-7b-hf": "meta-llama/Llama-2-7b-hf",
    "Llama-3.1-8B-Instruct": "meta-llama/Llama-3.1-8B-Instruct",
    "Llama-3.2-1B-Instruct": "meta-llama/Llama-3.2-1B-Instruct",
    "Llama-3.2-3B-Instruct": "meta-llama/Llama-3.2-3B-Instruct",
    "Phi-3.5-mini-instruct": "microsoft/Phi-3.5-mini-instruct",
    "Qwen2.5-1.5B-Instruct": "Qwen/Qwen2.5-1.5B-Instruct",
    "Qwen2.5-3B-Instruct": "Qwen/Qwen2.5-3B-Instruct",
    "Qwen2.5-7B-Instruct": "Qwen/Qwen2.5-7B-Instruct",
    "gemma-7b-it": "google/gemma-7b-it",
    "zephyr-7b-beta": "HuggingFaceH4/zephyr-7b-beta",
}
"""The models that OpenUnlearning's own configurations are named after."""
UPDATERS = {
    "GradAscent": "gradient-ascent",
    "GradDiff": "gradient-ascent",
    "NPO": "npo",
    "SimNPO": "simnpo",
    "DPO": "dpo",
    "RMU": "rmu",
}
"""By its trainer, the updater here."""


def convert(name: str, path: Path) -> Draft:
    """Return a recipe that does what a configuration of OpenUnlearning says.

    Raises:
        CollapseError: A key cannot be expressed; all such keys are named, with their lines.
    """
    config = read_config(path)
    defaults = dict(defaults_of(config.values))
    trainer = config.get("trainer.handler") or defaults.get("trainer")
    pieces = {
        "data": _data(config, defaults),
        "model": _model(config, defaults),
        **_method(config, trainer),
    }
    size = _batch(config)
    pieces["updater"] |= _schedule(config) | {"batch_size": size}
    pieces |= _length(config, size)
    pieces["evaluate"] = _evaluation(config, defaults)
    seed = int(config.get("trainer.args.seed", 0))
    check_rest(config)
    if config.problems:
        where = (f"{path}:{config.lines.get(key, 1)}: {key}: {why}" for key, why in config.problems)
        raise CollapseError("this configuration cannot be expressed as a recipe\n  " + "\n  ".join(where))
    found = [f"trainer {trainer}", *config.notes]
    return Draft(found, _written(name, path, seed, pieces, config.notes))


# --- parts -----------------------------------------------------------------------------------------


def _data(config: Config, defaults: Mapping[str, str]) -> dict[str, Any]:
    names = {
        split: next(
            iter(config.get(f"data.{split}", {}) or {}), defaults.get(f"data/datasets@data.{split}", "")
        )
        for split in ("forget", "retain")
    }
    allowed = {"forget": ("TOFU_QA_forget", "TOFU_QA_forget_idk"), "retain": ("TOFU_QA_retain",)}
    for split, name in names.items():
        if name not in allowed[split]:
            config.cannot(
                f"data.{split}",
                f"the data '{name}' is not trained on here; only TOFU's are ({', '.join(allowed[split])})",
            )
    forget = config.get(f"data.forget.{names['forget']}.args.hf_args.name") or config.get("forget_split")
    retain = config.get(f"data.retain.{names['retain']}.args.hf_args.name") or config.get("retain_split")
    config.used |= {"forget_split", "retain_split"}
    if config.problems:
        return {"use": "tofu"}
    if not re.fullmatch(r"forget(01|05|10)", str(forget)):
        config.cannot("forget_split", f"TOFU has forget01, forget05 and forget10, not '{forget}'")
    elif retain not in (None, f"retain{100 - int(str(forget)[6:])}"):
        config.cannot(
            "retain_split", f"the retain set of {forget} is retain{100 - int(str(forget)[6:])} here"
        )
    return {"use": "tofu", "forget": forget}


def _model(config: Config, defaults: Mapping[str, str]) -> dict[str, Any]:
    stock = defaults.get("model", "")
    path = config.get("model.model_args.pretrained_model_name_or_path") or STOCK_MODELS.get(stock)
    if path is None:
        config.cannot("model", "it names no model (model.model_args.pretrained_model_name_or_path)")
    prompt: dict[str, Any] = {}
    chat = config.get("model.template_args.apply_chat_template", True if stock in STOCK_MODELS else None)
    if chat is False:
        start, end = (config.get(f"model.template_args.user_{side}_tag", "") for side in ("start", "end"))
        answer = config.get("model.template_args.asst_start_tag", "")
        prompt = {"question": f"{start}{{}}{end}{answer}", "answer": "{}"}
    elif chat:
        llama = stock.startswith("Llama-3")
        system = config.get("model.template_args.system_prompt", SYSTEM if llama else None)
        date = config.get("model.template_args.date_string", DATE if llama else None)
        prompt = {"chat": True} | {key: v for key, v in (("system", system), ("date", date)) if v}
    model = {"use": "causal-lm", "path": path, "max_length": 512}
    checkpointing = config.get("trainer.args.gradient_checkpointing", False)
    return (
        model
        | ({"prompt": prompt} if prompt else {})
        | ({"gradient_checkpointing": True} if checkpointing else {})
    )


SYSTEM, DATE = "You are a helpful assistant.", "10 Apr 2025"
"""What OpenUnlearning's configurations of Llama 3 have."""


def _method(config: Config, trainer: Any) -> dict[str, Any]:
    """The sampler, the filter and the updater that a trainer is here."""
    if trainer not in UPDATERS:
        config.cannot("trainer.handler", f"no updater is '{trainer}'; there are {', '.join(UPDATERS)}")
        return {"updater": {}}
    updater: dict[str, Any] = {"use": UPDATERS[trainer]}
    gamma = float(config.get("trainer.method_args.gamma", 0.125 if trainer == "SimNPO" else 1.0))
    alpha = float(config.get("trainer.method_args.alpha", 1.0))
    if gamma <= 0:
        config.cannot("trainer.method_args.gamma", "without a loss on the forget set nothing is unlearned")
        gamma = 1.0
    updater["retain_weight"] = 0.0 if trainer == "GradAscent" else alpha / gamma
    if gamma != 1:
        config.notes.append(
            f"gamma {gamma:g} scales both losses here: AdamW's steps depend on their ratio, not on their size"
        )
    usual = "EMBED_DIFF" if trainer == "RMU" else "NLL"
    kind = config.get("trainer.method_args.retain_loss_type", usual)
    if kind != usual:
        config.cannot("trainer.method_args.retain_loss_type", f"{trainer} has the retain loss {usual} here")
    if trainer in OWN:
        OWN[trainer](config, updater)
    if trainer == "DPO":
        return {
            "sampler": {"use": "sentences", "sentences": "refusals"},
            "filter": {"use": "best-of-n", "memory": False, "against": "target"},
            "updater": updater,
        }
    filter_ = {"use": "above", "threshold": 0}  # without rewards every answer scores 0
    return {"sampler": {"use": "true-answers"}, "filter": filter_, "updater": updater}


def _beta(config: Config, updater: dict[str, Any]) -> None:
    updater["beta"] = float(config.get("trainer.method_args.beta", 0.1))


def _simnpo(config: Config, updater: dict[str, Any]) -> None:
    updater["beta"] = float(config.get("trainer.method_args.beta", 4.5))
    updater["gamma"] = float(config.get("trainer.method_args.delta", 0.0))


def _rmu(config: Config, updater: dict[str, Any]) -> None:
    regex = str(config.get("trainer.method_args.module_regex", r"model\.layers\.7"))
    layer = re.fullmatch(r"model\\?\.layers\\?\.(\d+)", regex)
    if layer is None:
        config.cannot(
            "trainer.method_args.module_regex", f"'{regex}' is not one layer, model.layers.<number>"
        )
    else:
        updater["layer"] = int(layer[1])
    updater["steering"] = float(config.get("trainer.method_args.steering_coeff", 2))
    trained = config.get("trainer.method_args.trainable_params_regex", [".*"])
    if list(trained) != [".*"]:
        config.cannot(
            "trainer.method_args.trainable_params_regex", "here all weights are trained, as by '.*'"
        )


OWN: Mapping[str, Callable[[Config, dict[str, Any]], None]] = {
    "NPO": _beta,
    "DPO": _beta,
    "SimNPO": _simnpo,
    "RMU": _rmu,
}
"""What each trainer has beyond the weights of the two losses."""


# --- training --------------------------------------------------------------------------------------


def _batch(config: Config) -> int:
    """The questions of an optimizer step, on one device."""
    each = int(config.get("trainer.args.per_device_train_batch_size", 8))
    return each * int(config.get("trainer.args.gradient_accumulation_steps", 4))


def _schedule(config: Config) -> dict[str, Any]:
    kind = config.get("trainer.args.lr_scheduler_type", "linear")
    if kind not in ("linear", "constant"):
        config.cannot(
            "trainer.args.lr_scheduler_type", f"'{kind}' is no schedule here; linear and constant are"
        )
    warmup = float(config.get("trainer.args.warmup_epochs", 0.0))
    return {
        "learning_rate": float(config.get("trainer.args.learning_rate", 1e-5)),
        "weight_decay": float(config.get("trainer.args.weight_decay", 0.0)),
        "schedule": kind,
        "warmup": warmup,
    }


def _length(config: Config, size: int) -> dict[str, Any]:
    """How many iterations: an epoch each, or an optimizer step each where the steps are given."""
    epochs = config.get("trainer.args.num_train_epochs", 10)
    steps = int(config.get("trainer.args.max_steps", -1))
    if steps > 0:
        if float(config.get("trainer.args.warmup_epochs", 0.0)):
            config.cannot("trainer.args.warmup_epochs", "with max_steps an iteration is a step, not an epoch")
        return {"prompts_per_iteration": size, "iterations": steps}
    if float(epochs) != int(epochs):
        config.cannot(
            "trainer.args.num_train_epochs", "an epoch is an iteration, so it must be a whole number"
        )
    return {"iterations": int(epochs)}


def _evaluation(config: Config, defaults: Mapping[str, str]) -> dict[str, Any]:
    suites = [*(config.get("eval", {}) or {})] or [defaults.get("eval", "tofu")]
    for suite in suites:
        if suite != "tofu":
            config.cannot(
                "eval", f"the suite '{suite}' is not measured by its name; name evaluators yourself"
            )
    retain = config.get("eval.tofu.retain_logs_path") or config.get("retain_logs_path")
    config.used.add("retain_logs_path")
    quality = [{"use": "forget-quality", "retain_log": retain}] if retain else []
    return {"with": ["open-unlearning", *quality]}


# --- writing ---------------------------------------------------------------------------------------

SAID = {
    "true-answers": "The method is trained on the true answers; none is drawn.",
    "sentences": "Refusals, each of which is preferred to the true answer.",
    "above": "Keeps every answer: without rewards every answer scores 0.",
}
"""What a comment says of a part."""


def _written(name: str, path: Path, seed: int, pieces: Mapping[str, Any], notes: list[str]) -> str:
    """The text of the recipe, with a comment where the two differ."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 100
    head = [
        f"# From {path.name}, an experiment of OpenUnlearning.",
        "# Keys that are not in that file have the values of OpenUnlearning's configs/trainer; no other file",
        "# was read. An iteration is an epoch, or a step where prompts_per_iteration is given. Batches are",
        "# those of one device.",
        *(f"# {note[0].upper()}{note[1:]}." for note in notes),
    ]
    blocks = ["\n".join(head), f"version: 1\nname: {name}\nseed: {seed}"]
    for key, value in {**pieces, "completions_per_prompt": 1}.items():
        out = StringIO()
        yaml.dump({key: value}, out)
        use = value.get("use") if isinstance(value, Mapping) else None
        blocks.append((f"# {SAID[use]}\n" if use in SAID else "") + out.getvalue().rstrip())
    return "\n".join(blocks) + "\n"
