"""The blocks of docs/own_model.md; as a script, all of them are run in an empty directory."""

import re
import subprocess
import sys
import time
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "own_model.md"
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
SCRIPTS = {text.split()[1]: text for language, text in BLOCKS if language == "python"}
"""The Python scripts by the name in their first line."""
COMMANDS = [text.splitlines()[0].split()[2:] for language, text in BLOCKS if language == "console"]
"""The arguments of the collapse commands, in order."""


def main(directory: Path) -> None:
    """Run the whole page, and say how long each part took."""
    directory.mkdir()
    for name, text in SCRIPTS.items():
        (directory / name).write_text(text)
    collapse = [sys.executable, "-m", "collapse_core.cli"]
    parts = [
        [sys.executable, "desk.py"],
        [sys.executable, "teach.py"],
        *([*collapse, *one] for one in COMMANDS),
    ]
    for part in [*parts, [sys.executable, "ask.py"]]:
        began = time.monotonic()
        subprocess.run(part, cwd=directory, check=True)
        print(f"--- {' '.join(part[1:4])}: {time.monotonic() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
