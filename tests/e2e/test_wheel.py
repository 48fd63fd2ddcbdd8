"""The wheel, installed where no checkout is near: it has the recipes, and its types."""

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.xdist_group("wheel")


def run(*arguments, cwd=None):
    words = [str(argument) for argument in arguments]
    plain = {"NO_COLOR": "1", "COLUMNS": "200", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, env=os.environ | plain)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Python of an environment that holds the wheel; what it depends on is borrowed from this one."""
    home = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--quiet", "--no-deps", "--no-index"]
    built = run(*pip, "wheel", *offline, "--no-build-isolation", "--wheel-dir", home, ROOT)
    assert built.returncode == 0, built.stderr
    run(sys.executable, "-m", "venv", "--without-pip", home / "venv")
    python = home / "venv" / "bin" / "python"
    done = run(*pip, "--python", python, "install", *offline, next(home.glob("*.whl")))
    assert done.returncode == 0, done.stderr
    packages = next((home / "venv" / "lib").glob("python*")) / "site-packages"
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))  # whose own .pth is not read
    return python


def type_check(python, *files):
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python]
    [folder] = {file.parent for file in files}
    return run(*mypy, "--cache-dir", folder / "cache", *(file.name for file in files), cwd=folder).stdout


def test_it_is_the_wheel_that_is_looked_at(installed, tmp_path):
    seen = run(installed, "-c", "import collapse_core; print(collapse_core.__file__)", cwd=tmp_path)
    assert Path(seen.stdout.strip()).is_relative_to(installed.parents[1])


@pytest.mark.slow
def test_a_plugin_author_sees_the_types_of_the_wheel(installed, tmp_path):
    run(installed.with_name("collapse"), "init", "plugin", "courtesy", cwd=tmp_path)
    reward = tmp_path / "collapse-courtesy" / "collapse_courtesy.py"
    wrong = reward.with_name("wrong.py")
    wrong.write_text(reward.read_text().replace("float", "str"))
    *said, last = type_check(installed, reward, wrong).splitlines()
    assert any(
        'Return type "list[str]" of "score" incompatible with return type "Sequence[float' in s for s in said
    )
    assert all(line.startswith("wrong.py:") for line in said), "the other has no issue"
    assert last == "Found 1 error in 1 file (checked 2 source files)"


@pytest.mark.parametrize("package", ["core", "toy", "llm", "diffusion", "tabular", "graph"])
def test_every_package_says_that_it_is_typed(package, installed):
    site = next((installed.parents[1] / "lib").glob("python*")) / "site-packages"
    assert (site / f"collapse_{package}" / "py.typed").is_file()


def test_a_user_without_a_checkout_gets_the_recipes_from_the_wheel(installed, tmp_path):
    collapse = installed.with_name("collapse")
    missing = run(collapse, "run", "recipes/toy/partial_collapse.yaml", cwd=tmp_path)
    assert missing.returncode == 2
    assert missing.stderr.endswith("; 'collapse init recipes' writes recipes/toy/partial_collapse.yaml\n")

    written = run(collapse, "init", "recipes", cwd=tmp_path)
    assert (written.returncode, written.stdout) == (0, "collapse run recipes/toy/partial_collapse.yaml\n")
    copies = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*.yaml")}
    shipped = {path.relative_to(ROOT): path.read_bytes() for path in (ROOT / "recipes").rglob("*.yaml")}
    assert copies == shipped

    checked = ["recipes/toy/partial_collapse.yaml", "recipes/llm_tofu.yaml", "recipes/compare/npo.yaml"]
    valid = run(collapse, "validate", *checked, cwd=tmp_path)
    assert (valid.returncode, valid.stderr) == (0, "")
    ran = run(
        collapse, *written.stdout.split()[1:], "--set", "iterations=2", "--run-dir", "run", cwd=tmp_path
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.endswith("collapse report run\n")
