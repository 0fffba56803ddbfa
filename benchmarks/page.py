"""How long the clinicians' page takes: one reader, fifty at once, and fifty while new tables are published.

Run: ``.venv/bin/python -m benchmarks.page [RECORDS [READERS [SECONDS]]]`` (default 100000 50 20). A real server process
on a real home of generated records, all of them open, in one clinic; readers are threads of this process, each asking
again as soon as it is answered, lists and, one time in four, a record of the list before. Every answer is checked: the
counts of a list are those of the one table that it names, and a record is the one that was asked for.
Building the home takes minutes; ``HIPTRIAGE_BENCHMARK_HOME`` names a folder to keep it in, or one that holds it.
"""

from __future__ import annotations

import html
import http.client
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.intake import write
from pipelines.model_in_force import settle
from pipelines.stages import look_at_refused, publish_snapshot, score
from schemas.tiers import tiers
from warehouse import intake, sources
from warehouse.home import Home
from warehouse.snapshot_reading import current_snapshot

CLINIC = "north"
# What readers ask for: mostly the head of the list, often narrowed, now and then deep pages, a search or a condition.
PATHS = (
    *["/"] * 8,
    *[f"/?tier={tier}" for tier in tiers()],
    "/?overdue=1",
    "/?review=1",
    "/?page=2",
    "/?condition=femoral_neck_stress_fracture",
)
RARE = (
    lambda: f"/?page={random.randint(3, 2000)}",  # noqa: S311 - no secret
    lambda: f"/?search=0-g1-{random.randint(0, 999):03}",  # noqa: S311
)


def make(home: Home, records: int) -> None:
    """Take in, score and publish that many generated records."""
    home.ensure()
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        write(records, Path(file.name))
        _take_in(home, Path(file.name))


def publish_one_more(home: Home, number: int) -> None:
    """Take in one more record and publish."""
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        made = datetime.now(UTC).isoformat()
        file.write(f"record_id,clinic_id,submitted_at,age_years\nmore-{os.getpid()}-{number},{CLINIC},{made},40\n")
        file.flush()
        _take_in(home, Path(file.name))


def _take_in(home: Home, file: Path) -> None:
    batch, _ = sources.register(home, file, clinic=CLINIC, data_kind="sample")
    intake.load(home, batch.batch_id)
    look_at_refused(home, _unheard)
    settle(home)
    score(home, _unheard)
    publish_snapshot(home, _unheard)


def _unheard(_: str) -> None:
    pass


@contextmanager
def serving(home: Home) -> Iterator[str]:
    """The server in a process of its own; gives its host and port."""
    program = Path(sys.executable).with_name("hiptriage")
    process = subprocess.Popen(  # noqa: S603 - the program beside this interpreter
        [program, "serve", "--port", "0"],
        env=os.environ | {"HIPTRIAGE_HOME": str(home.root)},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        said = process.stdout.readline() if process.stdout else ""
        yield said.rpartition("//")[2].strip().rstrip("/")
    finally:
        process.terminate()
        process.wait()


class Readers:
    """Threads that ask and check; what they saw is in ``seconds``, ``wrong`` and ``tables``."""

    def __init__(self, address: str, records: int) -> None:
        self.address, self.records = address, records
        self.seconds: list[float] = []
        self.wrong: list[str] = []
        self.tables: dict[str, int] = {}
        self.records_seen: list[str] = []

    def read(self, path: str) -> None:
        """Ask once."""
        begun = time.perf_counter()
        connection = http.client.HTTPConnection(self.address, timeout=120)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            text = answer.read().decode()
        except OSError as error:
            self.wrong.append(f"{path}: {type(error).__name__}")
            return
        finally:
            connection.close()
        self.seconds.append(time.perf_counter() - begun)
        self._check(path, answer.status, text)

    def _check(self, path: str, status: int, text: str) -> None:
        if path.startswith("/record"):
            if status != 200 or path.rpartition("=")[2] not in text:
                self.wrong.append(f"{path}: {status}")
            return
        self.records_seen = re.findall(r'href="(/record\?[^"#]+)"', text) or self.records_seen
        snapshot, counted = re.search(r"Snapshot <code>([^<]+)", text), re.search(r"everything open (\d+)", text)
        if status != 200 or snapshot is None or counted is None:
            self.wrong.append(f"{path}: {status}")
            return
        by_tier = sum(map(int, re.findall(r'class="tier-[a-z_]+"><a .*</span> (\d+)</a>', text)))
        known = self.tables.setdefault(snapshot[1], int(counted[1]))
        if not known == by_tier == int(counted[1]) or known < self.records:
            self.wrong.append(f"{path}: {known}, {by_tier}, {counted[1]}")

    def all_at_once(self, readers: int, is_over: Callable[[], bool]) -> None:
        """So many readers, each asking again as soon as it is answered."""

        def reader(seed: int) -> None:
            chance = random.Random(seed)  # noqa: S311
            while not is_over():
                seen = [html.unescape(path) for path in self.records_seen]
                if seen and chance.random() < 0.25:
                    self.read(chance.choice(seen))
                else:
                    self.read(chance.choice(PATHS) if chance.random() < 0.9 else chance.choice(RARE)())

        threads = [threading.Thread(target=reader, args=(seed,)) for seed in range(readers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def told(self, what: str, took: float) -> None:
        """Print one line of figures, and forget them."""
        ordered = sorted(self.seconds)
        middle, late, last = (1000 * ordered[int(part * (len(ordered) - 1))] for part in (0.5, 0.95, 1))
        print(
            f"  {what}: {len(ordered)} answers, {len(ordered) / took:.0f} a second, median "
            f"{middle:.0f} ms, p95 {late:.0f} ms, longest {last:.0f} ms, "
            f"{len(self.wrong)} wrong, {len(self.tables)} tables",
            flush=True,
        )
        for one in self.wrong[:5]:
            print(f"    {one}")
        self.seconds, self.wrong = [], []


def main() -> None:
    """Build or find the home, then measure."""
    records, readers, seconds = (*map(int, sys.argv[1:]), *(100_000, 50, 20)[len(sys.argv) - 1 :])
    kept = os.environ.get("HIPTRIAGE_BENCHMARK_HOME")
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(kept or folder))
        if not (home.snapshots / "current").exists():
            make(home, records)
        print(f"{records} referrals, {os.cpu_count()} cores", flush=True)
        with serving(home) as address:
            _measure(home, Readers(address, records), readers, seconds)
    print(f"  current table: {current_snapshot(home).id}" if kept else "")


def _measure(home: Home, asking: Readers, readers: int, seconds: int) -> None:
    begun = time.perf_counter()
    asking.read("/")
    asking.told("the first answer, files opened", time.perf_counter() - begun)
    for what, paths in (("one reader, the head of the list", ["/"] * 20), ("one reader, what readers ask", PATHS * 2)):
        begun = time.perf_counter()
        for path in paths:
            asking.read(path)
        asking.told(what, time.perf_counter() - begun)
    begun = time.perf_counter()
    for path in asking.records_seen[:20]:
        asking.read(html.unescape(path))
    asking.told("one reader, records", time.perf_counter() - begun)
    begun = time.perf_counter()
    asking.all_at_once(readers, lambda: time.perf_counter() - begun > seconds)
    asking.told(f"{readers} readers", time.perf_counter() - begun)
    publishing = threading.Thread(target=lambda: [publish_one_more(home, number) for number in range(2)])
    begun = time.perf_counter()
    publishing.start()
    asking.all_at_once(readers, lambda: not publishing.is_alive())
    publishing.join()
    asking.told(f"{readers} readers while two tables are published", time.perf_counter() - begun)


if __name__ == "__main__":
    main()
