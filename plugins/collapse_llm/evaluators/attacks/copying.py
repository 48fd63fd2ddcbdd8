"""A copy of a language model, to do with as one likes."""

import copy

from collapse_llm.model import CausalLm
from collapse_llm.model.language_model import LanguageModel


def copy_of(model: LanguageModel) -> LanguageModel:
    """Return another model of the same weights, all of them trainable; adapters are merged into them.

    It has no optimizer yet, and takes part in no sharding.
    """
    with model.for_inference() as seen:
        pass
    # Where the weights are sharded, the copy that samples are drawn from is all that one process has.
    module = copy.deepcopy(seen if model.sharded else model.module).float()
    if hasattr(module, "merge_and_unload"):
        module = module.merge_and_unload()
    loader = CausalLm(
        path=model.source.path,
        prompt=model.encoder.prompt_format,
        max_length=model.encoder.max_length,
        compute="float32" if model.compute.itemsize == 4 else "bfloat16",
    )
    return LanguageModel(module.requires_grad_(True), model.encoder.tokenizer, loader)
