"""A notebook runs a recipe, shows how it goes, is interrupted, goes on, and has the results as a frame."""

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

MAKE = """
import collapse_core
from collapse_toy.data import Cities

def elsewhere(contents):
    return [float(content not in ("Toronto", "Montreal", "Vancouver")) for content in contents]

recipe = collapse_core.build_recipe(
    name="toy", data=Cities(num_draws=8), model="categorical", sampler="categorical-draws",
    rewards=[elsewhere], filter="best-of-n", updater="categorical-mle", iterations=6,
    completions_per_prompt=2, evaluate={"with": ["category-shares"]},
)
"""
RUN = """
import os, signal

class Interrupt(collapse_core.Callback):
    def on_iteration(self, line, total):
        if line["iteration"] == 2:
            os.kill(os.getpid(), signal.SIGINT)

collapse_core.run(recipe, directory="run", callbacks=[Interrupt()])
"""
RESUME = """
model, results = collapse_core.resume("run", recipe)
"""
FRAME = """
results.frame().query("model == 'after' and metric == 'Toronto'").value.item()
"""


@pytest.mark.process
def test_a_notebook_shows_a_run_is_interrupted_and_goes_on(tmp_path):
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(text) for text in (MAKE, RUN, RESUME, FRAME)]
    )
    notebook.cells[1].metadata["tags"] = ["raises-exception"]
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown, error = notebook.cells[1].outputs
    assert error.ename == "StoppedGently"
    html = shown.data["text/html"]
    assert '<progress value="3" max="6">' in html
    assert "iteration 3/6  kept 8" in html
    assert "stopping after this iteration" in html
    assert "go on with collapse_core.resume(" in html
    (shown,) = notebook.cells[2].outputs
    assert '<progress value="6" max="6">' in shown.data["text/html"]
    assert "after: Toronto 0" in shown.data["text/plain"]
    (found,) = notebook.cells[3].outputs
    assert float(found.data["text/plain"]) == 0.0
    assert (tmp_path / "run/report.html").exists()
