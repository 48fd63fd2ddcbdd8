"""The proof that a refactor changed no result: every smoke recipe, before and after, byte by byte.

`python -m benchmarks.identity REVISION` runs the smoke recipes of that revision and of the working
tree, each on one thread with a cache of its own, and compares journals, kept completions and final weights.
"""

import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMPARED = ("journal.jsonl", "completions", "model")
SUFFIXES = (".jsonl", ".safetensors")
SHARED = ROOT.parent / "shared" / "data"
DATA = {
    "graph_molecules": f"data.path={SHARED / 'molecules' / 'zinc_test.txt'}",
    "tabular_adult": f"data.path={SHARED / 'tabular' / 'adult.data'}",
}
"""The files that two recipes read, and that do not come with the project."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def main() -> int:
    """Run both sides and print, for each recipe, what is identical and what is not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("revision", help="the commit to compare the working tree with")
    parser.add_argument("recipes", nargs="*", help="names of smoke recipes; all by default")
    parser.add_argument(
        "--keep", type=Path, help="a directory for the runs; one that is there is not run again"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        home = given.keep or Path(temporary)
        before = checked_out(given.revision, home / "source")
        names = given.recipes or [path.stem for path in sorted((ROOT / "recipes" / "smoke").glob("*.yaml"))]
        differing = [name for name in names if not same(name, before, home)]
    return 1 if differing else 0


def checked_out(revision: str, folder: Path) -> Path:
    """The tree of a revision, installed so that its own entry points are found."""
    if not folder.exists():
        folder.mkdir(parents=True)
        archive = subprocess.run(
            ["git", "archive", revision], cwd=ROOT, check=True, capture_output=True
        ).stdout
        subprocess.run(["tar", "-x", "-C", str(folder)], input=archive, check=True)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
        subprocess.run([*pip, "--target", str(folder / "installed"), str(folder)], check=True)
    return folder


def same(name: str, before: Path, home: Path) -> bool:
    """Whether a recipe gives the same files on both sides."""
    old = run(name, before, home / "before" / name, before / "installed")
    new = run(name, ROOT, home / "after" / name, None)
    found = {kind: digests(old / kind) == digests(new / kind) != {} for kind in COMPARED}
    print(
        name, *(f"{kind} {'identical' if equal else 'DIFFERENT'}" for kind, equal in found.items()), sep="\t"
    )
    sys.stdout.flush()
    return all(found.values())


def run(name: str, source: Path, to: Path, installed: Path | None) -> Path:
    """The run directory of a smoke recipe of one side."""
    if not to.exists():
        places = [str(installed), str(source), str(source / "plugins")] if installed else []
        environment = (
            os.environ | ONE_THREAD | {"XDG_CACHE_HOME": str(to.parents[1] / f"cache-{to.parent.name}")}
        )
        environment |= {"PYTHONPATH": os.pathsep.join(places)} if places else {}
        recipe = source / "recipes" / "smoke" / f"{name}.yaml"
        command = [sys.executable, "-m", "collapse_core.cli", "run", str(recipe), "--run-dir", str(to)]
        command += ["--set", DATA[name]] if name in DATA else []
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    return to


def digests(path: Path) -> dict[str, str]:
    """The SHA-256 of a file, or of all that a directory holds, by name."""
    return {
        one.name: hashlib.sha256(one.read_bytes()).hexdigest()
        for one in ([path] if path.is_file() else list(_files(path)))
    }


def _files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.rglob("*")) if path.suffix in SUFFIXES)


if __name__ == "__main__":
    raise SystemExit(main())
