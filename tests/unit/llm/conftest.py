import copy
from pathlib import Path

import pytest
import torch
from few_questions import memorized

from collapse_core import Prompt
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, PromptFormat
from collapse_llm.model.language_model import LanguageModel
from collapse_llm.model.tiny import make_tiny_llama

TOFU = Path(__file__).resolve().parents[4] / "shared" / "data" / "tofu"


@pytest.fixture(scope="session")
def tiny_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tiny-llama")
    make_tiny_llama(directory)
    return directory


@pytest.fixture(scope="session")
def tokenizer(tiny_directory):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_directory)


@pytest.fixture(scope="session")
def loaded(tiny_directory: Path) -> LanguageModel:
    loaded = CausalLm(path=str(tiny_directory), compute="float32").load(Authors(), 0)
    assert isinstance(loaded, LanguageModel)
    return loaded


@pytest.fixture
def model(loaded: LanguageModel) -> LanguageModel:
    """A copy, which takes a tenth of the time of loading."""
    return copy.deepcopy(loaded)


@pytest.fixture(scope="session")
def learned(tiny_directory):
    return memorized(tiny_directory, num=6, epochs=60)


@pytest.fixture
def knowing(model, tiny_directory):
    """Has memorized all forget questions."""
    model.module.load_state_dict(memorized(tiny_directory, num=20, epochs=40, batch_size=5))
    return model


@pytest.fixture
def taught(model, learned):
    """Has memorized the first forget questions."""
    model.module.load_state_dict(learned)
    return model


@pytest.fixture
def load(tiny_directory):
    def load(**fields):
        return CausalLm(path=str(tiny_directory), compute="float32", **fields).load(Authors(), 0)

    return load


@pytest.fixture
def make_model(tokenizer):
    """A language model around any transformers module, with the tiny tokenizer."""

    def make(module: torch.nn.Module, **fields: object) -> LanguageModel:
        loader = CausalLm(path="unused", compute="float32", prompt=PromptFormat(), **fields)
        return LanguageModel(module.eval(), tokenizer, loader)

    return make


@pytest.fixture
def other(tiny_directory: Path) -> CausalLm:
    """What to load as another model."""
    return CausalLm(use="causal-lm", path=str(tiny_directory), compute="float32")


@pytest.fixture
def questions() -> list[Prompt]:
    return list(Authors().load("forget"))


@pytest.fixture
def tofu() -> Path:
    if not TOFU.is_dir():
        pytest.skip("the TOFU files are not here (shared/data/tofu)")
    return TOFU


@pytest.fixture
def examples(model):
    return [model.encoder.example(p.content, p.target) for p in Authors().load("forget")[:6]]
