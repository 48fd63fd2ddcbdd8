"""`collapse scrub`: remove from a run what holds what was to be forgotten."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from collapse_core import errors
from collapse_core.results.formatting import format_count
from collapse_core.scrubbing.scrub import Choice, check, goes, listing, scrub


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--cache", is_flag=True, help="Also remove what the run uses of the cache: the taught model.")
@click.option("--model", is_flag=True, help="Also remove the exported model.")
@click.option("--dry-run", is_flag=True, help="List what would be removed; change nothing.")
def command(run: Path, cache: bool, model: bool, dry_run: bool) -> None:
    """Remove completions, examples, references and checkpoints from a run, and search what is left.

    Every file that is not known to be free of texts is removed. Numbers, recipe and environment stay. The run
    cannot be resumed afterwards; report, compare and certify still open it. A second scrub finishes one that
    was killed.
    """
    choice = Choice(cache=cache, model=model)
    if not (run / "resolved.json").exists():
        raise errors.no_run(run)
    if dry_run:
        for row in listing(run):
            does = "would go " if goes(row["path"], choice) else "would stay"
            click.echo(f"{does:10} {format_count(row['bytes']):>14}  {row['path']}")
        return
    record = scrub(run, choice)
    _show(record)
    check(record, run)


def _show(record: Mapping[str, Any]) -> None:
    after = {row["path"]: row["bytes"] for row in record["after"]}
    before = {row["path"]: row["bytes"] for row in record["before"]}
    for path in sorted(before | after):
        done = "removed" if path not in after else "rewritten" if path in record["redacted"] else "kept"
        click.echo(f"{done:10} {format_count(before.get(path, after.get(path, 0))):>14}  {path}")
    proof = record["proof"]
    click.echo(
        f"searched {errors.counted(proof['files'], 'file')} for {errors.counted(proof['texts'], 'text')}, "
        f"{errors.counted(proof['words'], 'word')} and {errors.counted(proof['lists'], 'list')}: "
        f"{'nothing' if not proof['found'] else errors.counted(len(proof['found']), 'hit')} found"
    )
    for hit in proof["words_found"]:
        num = errors.counted(hit["num"], "single word")
        click.echo(f"note: {num} of them in {hit['file']}, perhaps by chance", err=True)
    if proof["too_short"]:
        click.echo(f"note: {errors.counted(proof['too_short'], 'text')} too short to search for", err=True)
    for note in proof["notes"]:
        click.echo(f"note: {note}", err=True)
