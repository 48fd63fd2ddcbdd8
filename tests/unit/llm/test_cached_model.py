"""A taught model in the cache that is no longer what was taught is taught again, whatever harmed it."""

import resource
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from collapse_core import progress
from collapse_core.runtime.cache import cache_root
from collapse_llm.data import Authors
from collapse_llm.model import CausalLm, Teach

WEIGHTS = "model.safetensors"


def filled(value):
    """Set a part of a weight to a value, in a file that can still be read."""

    def harm(home):
        weights = load_file(home / WEIGHTS)
        weights["model.layers.0.mlp.up_proj.weight"][:4] = value
        save_file(weights, home / WEIGHTS, {"format": "pt"})

    return harm


def replaced_by_a_file(home):
    shutil.rmtree(home)
    home.write_text("")


HARMS = {
    "zeros": (filled(0.0), WEIGHTS),
    "tokenizer": (lambda home: (home / "tokenizer.json").unlink(), "tokenizer.json"),
    "nan": (filled(float("nan")), WEIGHTS),
    "config": (lambda home: (home / "config.json").write_text('{"model_type": "bert"}'), "config.json"),
    "file": (replaced_by_a_file, None),
}
QUICK = ("zeros", "tokenizer")


@pytest.fixture
def taught_again(tiny_directory, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    teach = Teach(split="real_authors", epochs=1, batch_size=64)
    loader = CausalLm(use="causal-lm", path=str(tiny_directory), compute="float32", teach=teach)
    return lambda: loader.load(Authors(), 0)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in HARMS]
)
def test_a_taught_model_that_was_harmed_in_the_cache_is_taught_again(taught_again, name):
    harm, damaged = HARMS[name]
    whole = taught_again().module.state_dict()
    [home] = (cache_root() / "taught").iterdir()
    harm(home)
    said = []
    with progress.listening(lambda label, done, total: said.append(label)):
        found = taught_again().module.state_dict()
    assert all(torch.equal(found[key], whole[key]) for key in whole)
    assert damaged is None or f"{home} is damaged ({damaged}); it is made anew" in said


def test_a_full_disk_while_a_taught_model_is_written_is_named(taught_again):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            taught_again()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(caught.value.filename).startswith(str(cache_root() / "taught"))
    assert list((cache_root() / "taught").iterdir()) == []
