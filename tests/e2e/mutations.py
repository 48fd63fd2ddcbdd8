"""Recipes gone wrong: structural and textual mutations of YAML, each drawn from a `random.Random`."""

import copy
import io
import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from collapse_core.plugins.registry import Registry

ESCAPE = "\x1b]0;x\x07\x9b2J"
TEXTS = (
    *("", " ", "~", "yes", "None", "NaN", "1e-5x", "5 minutes", "10%", "3,5", "0x1F", "1_000", "-"),
    *("ünïcödé", "\u202eabc", "\U0001f600", "日本語", "a\u0301", "\ufeff", "\u2028", "a\nb", "a\tb", "../.."),
    *(ESCAPE, f"a{ESCAPE}b", "a\x00b", "\x7f", "a" * 5_000, "$HOME", "~nobody-has-this-home/x", "-1", "all"),
    *("missing.yaml", "missing/file.jsonl", ".", "/", "..", "odd/binary.yaml", "odd/empty.yaml", "/dev/null"),
)  # fmt: skip
NUMBERS = (
    *(0, 1, 2, 3, -1, -5, 10**9, 10**9 + 1, 2**63, -(2**63) - 1, 10**30, 10**400),
    *(0.0, -0.0, 0.5, 1.0, 1.5, -0.5, 1e-300, 5e-324, 1e16, 1e300, -1e300),
    *map(float, ("nan", "inf", "-inf")),
)  # fmt: skip
BOMB = "[&a [x, x, x, x, x, x, x, x, x]" + "".join(
    f", &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in itertools.pairwise("abcdefghi")
) + "]"  # fmt: skip
FRAGMENTS = (
    *Path(__file__).with_name("fragments.txt").read_text().splitlines(),
    *("|\n      text", "9" * 5_000, "." + "9" * 5_000, BOMB),
    *("[" * 40 + "]" * 40, "[" * 5_000 + "]" * 5_000, "{a: " * 3_000 + "}" * 3_000),
)  # fmt: skip
"""Pieces of YAML that no plain value writes; each may stand where a value stands."""
KEYS = ("use", "path", "extends", "without", "plugins", "name", "teach", "with", "from", "split", "launch")
BASES = (
    *("missing.yaml", ".", "/", "mutated.yaml", "odd/cycle.yaml", "odd/binary.yaml", "odd/empty.yaml"),
    *("odd/list.yaml", "odd/self.yaml", "odd/bare.yaml", "a\x00b", "a" * 300, ESCAPE, ""),
    *("~nobody-has-this-home/x", None, 5, ["a"], {"a": 1}),
)  # fmt: skip
ODD_FILES = {
    "cycle.yaml": b"extends: ../mutated.yaml\n",
    "binary.yaml": bytes(range(256)),
    "empty.yaml": b"",
    "list.yaml": b"- 1\n- 2\n",
    "self.yaml": b"extends: self.yaml\nversion: 1\n",
    "bare.yaml": b"version: 1\nname: 5\ndata:\nmodel: []\nevaluate: 3\n",
}
"""Files that a mutated recipe may name."""
PLACE = "RAWPIECE"


class Mutation:
    """One recipe as plain data and as text, which is changed step by step."""

    def __init__(self, source: random.Random, text: str, others: list[Any]) -> None:
        self.source = source
        self.text = text
        self.others = others
        self.pieces: list[str] = []
        self.tree = YAML(typ="safe", pure=True).load(text)

    def raw(self, piece: str) -> str:
        """What stands for a piece of YAML until the tree is written."""
        self.pieces.append(piece)
        return f"{PLACE}{len(self.pieces) - 1:04d}"

    def written(self) -> str:
        text = io.StringIO()
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style, yaml.width, yaml.sort_base_mapping_type_on_output = False, 10_000, False
        yaml.dump(self.tree, text)
        found = text.getvalue()
        for number, piece in enumerate(self.pieces):
            found = found.replace(f"{PLACE}{number:04d}", piece)
        return found

    def place(self) -> tuple[Any, Any]:
        """A mapping or list of the tree, and a key of it."""
        return self.source.choice([*places(self.tree)])

    def odd(self) -> Any:
        """A value that nobody expects."""
        source = self.source
        return source.choice(
            [
                lambda: source.choice(TEXTS),
                lambda: source.choice(NUMBERS),
                lambda: self.raw(source.choice(FRAGMENTS)),
                lambda: copy.deepcopy(source.choice(source.choice([*places(source.choice(self.others))]))),
                lambda: source.choice(
                    [None, True, False, [], {}, [None], [[]], {"use": None}, {"use": ["x"]}]
                ),
                lambda: [source.choice(NUMBERS), source.choice(TEXTS)] * source.randint(1, 30),
                lambda: {source.choice(TEXTS): source.choice(NUMBERS) for _ in range(3)},
                lambda: source.choice(part_names()),
            ]
        )()


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every mapping and list within plain data, with each of its keys."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        yield node, key
        if isinstance(value, dict | list):
            yield from places(value)


def part_names() -> list[str]:
    """What the installed parts are called, of whatever kind."""
    return sorted({entry.name for _, entry in Registry().entries()})


# --- of the structure ------------------------------------------------------------------------------


def drop(m: Mutation) -> None:
    node, key = m.place()
    del node[key]


def duplicate(m: Mutation) -> None:
    node, key = m.place()
    if isinstance(node, dict):
        node[m.raw(str(key))] = copy.deepcopy(node[key])
    else:
        node.insert(key, copy.deepcopy(node[key]))


def rename(m: Mutation) -> None:
    node, key = m.place()
    if isinstance(node, list):
        return replace_value(m)
    text = str(key)
    at = m.source.randrange(len(text) or 1)
    new = m.source.choice(
        [
            *(text[:at] + text[at + 1 :], text.upper(), text + "s", None, True),
            *(m.source.choice(KEYS), m.source.choice(TEXTS), m.source.choice(NUMBERS)),
            m.raw(m.source.choice(FRAGMENTS[:20])),
        ]
    )
    items = [(new if one == key else one, value) for one, value in node.items()]
    node.clear()
    node.update(items)
    return None


def add_key(m: Mutation) -> None:
    node, _ = m.place()
    if isinstance(node, dict):
        node[m.source.choice([*KEYS, *TEXTS])] = m.odd()
    else:
        node.append(m.odd())


def replace_value(m: Mutation) -> None:
    node, key = m.place()
    node[key] = m.odd()


def change_number(m: Mutation) -> None:
    """Change a number where there is one: many of these recipes are still sound."""
    found = [(node, key) for node, key in places(m.tree) if type(node[key]) in (int, float)]
    if found:
        node, key = m.source.choice(found)
        node[key] = m.source.choice(NUMBERS)


def change_type(m: Mutation) -> None:
    node, key = m.place()
    value = node[key]
    node[key] = m.source.choice(
        [[value], {"use": value}, str(value), [*value.items()] if isinstance(value, dict) else {"a": value}]
        + ([*value] if isinstance(value, list) and value else [None])
    )


def swap(m: Mutation) -> None:
    (a, i), (b, j) = m.place(), m.place()
    a[i], b[j] = copy.deepcopy(b[j]), copy.deepcopy(a[i])


def choose_other_part(m: Mutation) -> None:
    found = [node for node, key in places(m.tree) if key == "use"]
    if found:
        m.source.choice(found)["use"] = m.source.choice(part_names())
    else:
        m.tree[m.source.choice(["model", "sampler", "filter", "updater"])] = m.source.choice(part_names())


def extend(m: Mutation) -> None:
    base = m.source.choice(BASES)
    m.tree["extends"] = base
    if m.source.random() < 0.3:
        m.tree["without"] = m.odd()


STRUCTURAL: tuple[Callable[[Mutation], None], ...] = (
    *(drop, duplicate, rename, add_key, replace_value, replace_value, replace_value),
    *(change_number, change_number, change_type, swap, choose_other_part, extend),
)

# --- of the text -----------------------------------------------------------------------------------


def flip_bytes(source: random.Random, text: bytes) -> bytes:
    changed = bytearray(text)
    for _ in range(source.choice([1, 1, 3, 20])):
        changed[source.randrange(len(changed))] ^= 1 << source.randrange(8)
    return bytes(changed)


def cut(source: random.Random, text: bytes) -> bytes:
    return text[: source.randrange(len(text))]


def insert(source: random.Random, text: bytes) -> bytes:
    at = source.randrange(len(text))
    odd = [
        b"\t",
        b"\0",
        b"\xff",
        b"\xef\xbb\xbf",
        b"---\n",
        b"...\n",
        b"\x1b[2J",
        b"\r",
        b"\xc2\x85",
        b"\xed\xa0\x80",
    ]
    odd += [
        b": ",
        b"- ",
        b"{",
        b"]",
        b"'",
        b'"',
        b"#",
        b"&a ",
        b"*a",
        b"!",
        b"|",
        b"%YAML 9.9\n",
        b"? ",
        b"<<: *a\n",
    ]
    return text[:at] + source.choice(odd) + text[at:]


def lines(source: random.Random, text: bytes) -> bytes:
    """Drop, repeat, swap or indent lines."""
    found = text.split(b"\n")
    i, j = source.randrange(len(found)), source.randrange(len(found))
    way = source.randrange(4)
    if way == 0:
        del found[i]
    elif way == 1:
        found.insert(j, found[i])
    elif way == 2:
        found[i], found[j] = found[j], found[i]
    else:
        found[i] = source.choice([b" ", b"  ", b"\t"]) + found[i]
    return b"\n".join(found)


def endings(source: random.Random, text: bytes) -> bytes:
    way = source.choice([b"\r\n", b"\r", b"\n\n", b"\xe2\x80\xa8", b"\n\t", b"\0\n"])
    return text.replace(b"\n", way)


def encode(source: random.Random, text: bytes) -> bytes:
    as_text = text.decode("utf-8", "replace")
    return source.choice(
        [b"\xef\xbb\xbf" + text, as_text.encode("utf-16"), as_text.encode("utf-32"), b"", b"\0" * 99]
    )


TEXTUAL = (flip_bytes, flip_bytes, cut, insert, insert, lines, lines, endings, encode)


def mutate(source: random.Random, text: str, others: list[Any]) -> bytes:
    """The text of a recipe after one to three mutations, of its structure or of its text.

    Args:
        source: What all is drawn from.
        text: The recipe.
        others: Other recipes as plain data, of which pieces are taken.
    """
    changed, num = Mutation(source, text, others), source.choice([1, 1, 1, 2, 3])
    if source.random() < 0.25:
        written = text.encode()
        for _ in range(num):
            written = source.choice(TEXTUAL)(source, written or b" ")
        return written
    for _ in range(num):
        if not changed.tree:
            break
        source.choice(STRUCTURAL)(changed)
    written = changed.written().encode("utf-8", "surrogatepass")
    return source.choice(TEXTUAL)(source, written or b" ") if source.random() < 0.1 else written


def write_odd_files(directory: Path) -> None:
    (directory / "odd").mkdir(exist_ok=True)
    for name, content in ODD_FILES.items():
        (directory / "odd" / name).write_bytes(content)
