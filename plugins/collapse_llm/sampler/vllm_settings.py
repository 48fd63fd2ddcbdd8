"""The settings of the sampler that draws with vLLM."""

from typing import Annotated

from annotated_types import Ge, Gt, Le

from collapse_llm.sampler import Sampling


class VllmSampling(Sampling):
    """What tokens are drawn by, within the limits of vLLM, and what its engine may use."""

    temperature: Annotated[float, Ge(0.01), Le(2)] = 1.0
    """Logits are divided by it; vLLM takes no more than 2 and raises what is less than 0.01."""
    gpu_memory_utilization: Annotated[float, Gt(0), Le(1)] = 0.3
    """The share of the GPU's memory that the engine may take; training needs the rest."""
    sleep: bool = True
    """While the model is trained, move the engine's weights to the CPU and drop its cache."""
