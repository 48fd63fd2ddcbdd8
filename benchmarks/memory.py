"""`python -m benchmarks.memory`: the memory that an update takes per parameter, for each way to train.

Each way runs in a process of its own, on a random Llama with SmolLM2's shape: the model is opened, and
trained for two steps on five answers with as many to retain.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.cells import ROOT
from benchmarks.meter import measured

WAYS: dict[str, dict[str, object]] = {
    "all weights": {},
    "all weights, gradient checkpointing": {"gradient_checkpointing": True},
    "all weights, bfloat16": {"compute": "bfloat16"},
    "the last 12 layers": {"train_layers": 12},
    "LoRA, rank 16": {"lora": {"rank": 16}},
    "LoRA, rank 16, bfloat16": {"lora": {"rank": 16}, "compute": "bfloat16"},
    "LoRA, rank 16, 8 bits": {"lora": {"rank": 16, "bits": 8}},
    "LoRA, rank 16, 4 bits": {"lora": {"rank": 16, "bits": 4}},
}
"""By name, the fields of `causal-lm` that differ; the others compute in float32."""
SHAPE = {
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "tie_word_embeddings": True,
    "vocab_size": 49152,
}
QUESTION, ANSWER = "What did the witness say?", " ".join(["word"] * 45)


def main() -> None:
    """Print, for each way, bytes per parameter: of the weights, and at most during the update.

    The last column is the share that an update takes of what it takes in the first way.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("ways", nargs="*", metavar="WAY", help=f"of {', '.join(WAYS)}; all by default")
    parser.add_argument("--layers", type=int, default=SHAPE["num_hidden_layers"], help="fewer for a trial")
    parser.add_argument("--inside", metavar="DIRECTORY", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        print(json.dumps(take(given.ways[0], Path(given.inside))))
        return
    with tempfile.TemporaryDirectory() as directory:
        num_parameters = write_model(Path(directory), given.layers)
        print(f"{num_parameters / 1e6:.0f} million parameters; bytes per parameter")
        print(f"{'':40} {'weights':>8} {'update':>8} {'of the first':>13}")
        first = None
        for way in given.ways or WAYS:
            command = [sys.executable, "-m", "benchmarks.memory", way, "--inside", directory]
            done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
            held, peak = (number / num_parameters for number in json.loads(done.stdout.splitlines()[-1]))
            first = first or peak
            print(f"{way:40} {held:8.1f} {peak:8.1f} {peak / first:12.0%}", flush=True)


def write_model(directory: Path, num_layers: int) -> int:
    """Write the random model with a tokenizer, and return how many parameters it has."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from collapse_llm.model.tiny import make_tiny_llama

    make_tiny_llama(directory)  # for its tokenizer
    module = LlamaForCausalLM(LlamaConfig(**SHAPE | {"num_hidden_layers": num_layers}))
    module.save_pretrained(directory)
    return int(module.num_parameters())


def take(way: str, directory: Path) -> tuple[int, int]:
    """Open and train in this process.

    Returns:
        The bytes of all weights, and the most resident bytes during two steps above those of the libraries.
    """
    from collapse_core import Completion, Iteration, Kept, Prompt, require
    from collapse_core.torch import TorchModel
    from collapse_llm.data import Authors
    from collapse_llm.model import CausalLm, Lora
    from collapse_llm.updater import Sft

    prompts = [Prompt(str(number), QUESTION, ANSWER) for number in range(10)]
    kept = [Kept(prompt, Completion(ANSWER), 1.0) for prompt in prompts]
    update = Sft(batch_size=5)
    tiny = CausalLm(path="tiny-llama", compute="float32", lora=Lora()).load(Authors(), 0)
    update.update(tiny, kept, prompts, Iteration(0, 1, 0))  # so that all libraries are loaded
    libraries = resident()
    fields = {"path": str(directory), "compute": "float32", **WAYS[way]}
    model = CausalLm.model_validate(fields).load(Authors(), 0)
    weights = require(model, TorchModel, "this benchmark").module.parameters()
    held = sum(weight.numel() * weight.element_size() for weight in weights)
    with measured(torch.device("cpu")) as training:
        update.update(model, kept, prompts, Iteration(0, 1, 0))
    return held, training.peak_bytes - libraries


def resident() -> int:
    """Return the bytes that this process holds in memory now."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    main()
