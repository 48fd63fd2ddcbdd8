"""`collapse certify`: the certificate of a run."""

from pathlib import Path

import click

from collapse_core.certificate import signing
from collapse_core.certificate.making import make_certificate
from collapse_core.certificate.page import render
from collapse_core.certificate.schema import FILE, PAGE, SIGNATURE, Certificate, Request
from collapse_core.errors import CollapseError
from collapse_core.report.page import write_page
from collapse_core.runtime import files


@click.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--request", metavar="ID", help="The pseudonym of the request; no name of a person.")
@click.option("--operator", metavar="TEXT", help="Who answers for the run.")
@click.option("--decision", metavar="TEXT", help="What was decided about the request.")
@click.option(
    "--sign",
    "key",
    metavar="KEY",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Sign certificate, page and model with this private Ed25519 key, a PEM file.",
)
@click.option(
    "--recheck",
    is_flag=True,
    help="Measure the model by the criteria of the runs that it came from as well.",
)
@click.option("--verify", is_flag=True, help="Check a signed certificate; write nothing.")
@click.option(
    "--key",
    "public",
    metavar="KEY",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --verify: the public key, a PEM file, that must have signed.",
)
def command(
    run: Path,
    request: str | None,
    operator: str | None,
    decision: str | None,
    key: Path | None,
    recheck: bool,
    verify: bool,
    public: Path | None,
) -> None:
    """Write certificate.json and certificate.html into a finished run, from what it has stored.

    The certificate holds the criteria of the recipe against what was measured. It has no text of what was
    forgotten.
    """
    if verify:
        _verify(run, public)
        return
    if request is None:
        raise click.UsageError("give --request ID, or --verify")
    if public:
        raise click.UsageError("--key goes with --verify; --sign takes the private key")
    private = (
        signing.read_private_key(key, lambda: click.prompt("password of the key", hide_input=True, err=True))
        if key
        else None
    )
    said = Request(id=request, operator=operator, decision=decision)
    certificate = make_certificate(run, said, recheck=recheck)
    (run / SIGNATURE).unlink(missing_ok=True)
    files.write_json(run / FILE, certificate.model_dump(mode="json"))
    write_page(render(certificate), run / PAGE)
    _summarize(certificate)
    for path in (run / FILE, run / PAGE, *([signing.sign(run, private)] if private else [])):
        click.echo(path)


def _summarize(certificate: Certificate) -> None:
    for outcome in certificate.criteria:
        click.echo(f"{outcome.verdict}: {outcome.described} ({outcome.why})")
    for previous in certificate.previous:
        named = previous.request or previous.recipe
        for outcome in previous.outcomes or []:
            click.echo(f"{named}, checked again: {outcome.verdict}: {outcome.described}")
        if previous.why_not:
            click.echo(f"{named}: not checked again: {previous.why_not}")
    click.echo(f"claim: {certificate.claim.level}; {certificate.claim.why}")


def _verify(run: Path, public: Path | None) -> None:
    trusted = signing.read_public_key(public) if public else None
    if problems := signing.verify(run, trusted):
        raise CollapseError("\n".join(problems))
    num = len(signing.signed_files(run))
    click.echo(f"{run}: {num} files are as they were signed")
    if not trusted:
        click.echo("whose key it is was not checked; give the public key that you trust with --key", err=True)
