"""`collapse init recipe` looks at a pipeline and a folder of images, and what it writes runs as it stands."""

import pytest
from test_image_folders import write_folders
from test_opened_models import write, write_dit

from collapse_core import load_recipe


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_folders(tmp_path / "photos", sizes=((8, 8), (12, 9)))
    return tmp_path


@pytest.fixture
def draft(here, collapse_here):
    def draft(source="{from: photos, where: {label: dog}}", *more):
        given = ("--model", "./model", "--forget", source, "--no-estimate")
        return collapse_here("init", "recipe", "mine", *given, *more)

    return draft


KINDS = {
    "classes": ({"embedded": 3}, "3 class embeddings without names, which are taken for the classes"),
    "named": ({"embedded": 4, "classes": ["owl", "dog", "cat"]}, "4 class embeddings, whose names it has"),
    "none": ({}, "without classes: every prompt samples alike"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_recipe_for_ones_own_images_can_be_run(kind, draft, here, collapse_here):
    fields, said = KINDS[kind]
    write(here / "model", **fields)
    done = draft()
    assert (done.code, done.out) == (0, "collapse run mine.yaml\n"), done.err
    for line in ("8x8 pixels in gray", said, "images photos: 24 to train on, of 3 classes: cat, dog, owl"):
        assert line in done.err, done.err
    assert all(block.startswith("#") for block in (here / "mine.yaml").read_text().split("\n\n"))
    recipe = load_recipe("mine.yaml")
    assert recipe.model.classes == (["cat", "dog", "owl"] if kind == "classes" else None)
    assert recipe.load_model().draw(["dog"], [0], recipe.sampler).shape == (1, 8, 8, 1)
    assert collapse_here("run", "mine.yaml", "--dry-run").code == 0


@pytest.mark.slow
def test_a_recipe_for_ones_own_images_runs_as_written(draft, here, collapse_here):
    write(here / "model", embedded=3)
    assert draft().code == 0
    done = collapse_here("run", "mine.yaml", "--run-dir", "run")
    assert done.code == 0, done.err


@pytest.mark.slow
def test_a_recipe_for_a_transformer_runs_as_written_but_for_its_length(draft, here, collapse_here):
    write_dit(here / "model", 3)
    assert "3 class embeddings without names" in draft().err
    quick = ("--set", "iterations=1", "--set", "evaluate.with=[]")
    done = collapse_here("run", "mine.yaml", "--run-dir", "run", *quick)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("photos", "with one or a list of cat, dog, owl"),
        ("{from: photos, where: {label: fox}}", "fox"),
        ("{from: photos, where: {artist: Ada}}", "'where' names one of label here"),
        ("{from: photos, where: {label: dog}, test_share: 3}", "--forget: test_share"),
        ("{from: nowhere, where: {label: dog}}", "nowhere: cannot be read"),
    ],
)
def test_what_cannot_be_drafted_says_why(source, said, draft, here):
    write(here / "model", embedded=3)
    done = draft(source)
    assert (done.code, said in done.err) == (1, True), done.err
    assert not (here / "mine.yaml").exists()


def test_embeddings_that_do_not_fit_the_classes_and_other_pipelines_are_refused(draft, here, tiny_pipeline):
    write(here / "model", embedded=10)
    assert "10 class embeddings, and the images 3 classes" in draft().err
    (here / "model" / "model_index.json").write_bytes((tiny_pipeline / "model_index.json").read_bytes())
    assert "holds a StableDiffusionPipeline of " in draft().err
