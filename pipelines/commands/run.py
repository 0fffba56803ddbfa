"""``hiptriage run``: land files, load, score, publish; and say what became of every record."""

from collections.abc import Iterable
from pathlib import Path

import click

from pipelines.console import kept_sentence, unread_sentence
from pipelines.instance import use_instance_of
from pipelines.model_in_force import versions_in_force
from pipelines.options import clinic_option
from pipelines.outcomes import QUARANTINED, REFUSED, UNEXPECTED, USAGE, Ended, plain_ends
from warehouse import landing, ledger, scores
from warehouse.home import Home
from warehouse.ledger import Reconciled
from warehouse.lock import holding
from warehouse.publish_gate import Override, agreed
from warehouse.published_state import holds_everything
from warehouse.settings import DataKind
from warehouse.snapshot_reading import current_snapshot
from warehouse.sources import register


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--clinic", callback=clinic_option, help="Clinic that the files come from.")
@click.option(
    "--data-kind",
    type=click.Choice(["live", "sample", "published_case"]),
    help="Kind of records; real and invented ones never share a home. [default: as the settings say, else live]",
)
@click.option(
    "--mapping",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Mapping file to keep for this clinic from now on, in place of an earlier version of the same name.",
)
@click.option("--override-reason", metavar="TEXT", help="Why lowered tiers that the publish gate holds may pass now.")
@click.option("--by", metavar="NAME", help="Who lets them pass; goes with --override-reason.")
def run(
    paths: tuple[Path, ...],
    clinic: str | None,
    data_kind: DataKind | None,
    mapping: Path | None,
    override_reason: str | None,
    by: str | None,
) -> None:
    """Load files (default: the landing folder), score what lacks a score, publish a snapshot.

    Intake forms, outcomes, decisions and safety concerns are told apart by their columns, formats by their content.
    Files are copied, never moved or changed. The same bytes again are a no-op.
    """
    with plain_ends():
        home = Home.from_environment()
        if (override_reason is None) != (by is None):
            raise Ended(USAGE, "--override-reason and --by go together")
        override = agreed(by=by, reason=override_reason) if by and override_reason else None
        with holding(home, "hiptriage run"):
            if mapping:
                from warehouse.reading_plan import adopt

                kept = adopt(home, clinic or "", mapping.read_bytes())
                click.echo(f"mapping {kept.described} is kept for {clinic or 'files that name their clinics'}")
            known = land(home, paths, clinic, data_kind or home.settings().data_kind)
            done = process(home, override)
        report(home, done, known)
    end(home, done)


def land(home: Home, paths: tuple[Path, ...], clinic: str | None, data_kind: DataKind) -> list[Reconciled]:
    """Archive and register the files; gives the counts of those whose bytes came before.

    Without paths, the landing folder. A folder stands for its files, and its sub-folders for clinics.
    """
    home.ensure()
    if not paths:
        taken = landing.take_in(home)
        if taken.left:
            click.echo(f"{taken.left} files are being written, cannot be opened or name no clinic: left", err=True)
        if taken.passed_over:
            click.echo(
                f"{taken.passed_over} entries of the landing folder are never read: links, folders that are not named "
                "as a clinic (1-32 of a-z 0-9 -) or lie deeper, or no plain files",
                err=True,
            )
        return []
    known = []
    for file_clinic, file in _files(paths, clinic):
        batch, is_new = register(home, file, clinic=file_clinic, data_kind=data_kind)
        if not is_new and (counts := ledger.counts_of(home, batch.batch_id)):
            known.append(counts)
    return known


def _files(paths: Iterable[Path], clinic: str | None) -> Iterable[tuple[str, Path]]:
    for place, path in enumerate(paths, start=1):
        if not path.exists():
            raise Ended(USAGE, f"argument {place} is no file or folder that exists; nothing was loaded")
        if path.is_dir():
            yield from ((clinic or of_folder, file) for of_folder, file in landing.files_in(path))
        else:
            yield clinic or "", path


def process(home: Home, override: Override | None = None) -> list[Reconciled]:
    """Load what waits, score what lacks a score, publish; gives the counts of the batches loaded now.

    ``override``: who lets lowered tiers pass, and why; with it something is always published. Else Dagster is not
    started where nothing waits and the current snapshot holds everything, is whole and is fresh.
    """
    versions = versions_in_force(home)
    work = scores.outstanding(home, versions)
    waits = work.batch_ids or work.unscored or work.change_waits
    if not waits and not override and holds_everything(home, versions):
        return []
    folder = use_instance_of(home)
    click.echo(f"materialising {len(work.batch_ids)} new batches with Dagster ...", err=True)
    from pipelines.materialise import RunFailed, let_pass, materialise  # dagster takes seconds to import

    try:
        if override:
            let_pass(folder, work.batch_ids, override)
        else:
            materialise(folder, work.batch_ids)
    except RunFailed as failed:
        raise Ended(UNEXPECTED if failed.unexpected else REFUSED, str(failed)) from None
    return [counts for batch_id in work.batch_ids if (counts := ledger.counts_of(home, batch_id))]


def report(home: Home, done: list[Reconciled], known: list[Reconciled]) -> None:
    """Say what became of every record, what could not be read, and what to do next."""
    for counts in known:
        click.echo(f"{counts.batch_id}: these bytes came before, nothing to do")
    for counts in done:
        click.echo(f"{counts.batch_id}: {ledger.sentence(counts)}")
    if not done:
        click.echo("nothing new: every file is loaded and every record scored")
    snapshot = current_snapshot(home)
    click.echo(unread_sentence(snapshot))
    if unused := sum(counts.quarantined for counts in done if counts.contents != "intake"):
        click.echo(f"decisions, outcomes or safety concerns that could not be read and do not count: {unused}")
    click.echo(f"snapshot {snapshot.id} in {home.snapshots}")
    click.echo("next: hiptriage worklist; what was refused and why: hiptriage quarantine list")


def end(home: Home, done: list[Reconciled]) -> None:
    """End with the exit code that the batches of this run deserve."""
    refused = [counts for counts in done if counts.refusal]
    if refused:
        raise Ended(REFUSED, f"{len(refused)} of {len(done)} files were refused whole; the reason stands beside each")
    if kept := current_snapshot(home).kept():
        raise Ended(REFUSED, kept_sentence(kept) + "; if the lower tiers are right: --override-reason TEXT --by NAME")
    if quarantined := sum(counts.quarantined for counts in done):
        raise Ended(QUARANTINED, f"done; {quarantined} records of this run were quarantined")
