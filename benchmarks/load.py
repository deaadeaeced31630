"""A hub under load and kill -9: nothing lost, nothing published twice, nothing stuck; and how fast boards of thousands answer.

    python benchmarks/load.py [--submissions 2000] [--date 40] [--clients 32] [--workers 2] [--kills 50] [--web-kills 2]
                              [--database sqlite|postgres|both] [--quick]
    python benchmarks/load.py --board 5000 [--database sqlite|postgres|both]

Load: `uac serve --workers 0` and N `uac work` processes run on one database; whoever dies is started again. Client threads
post files of distinct systems over HTTP on loopback, again with the same Idempotency-Key until they are answered. Meanwhile
workers and the web process are killed with -9 at random moments that are spread over the run. In the end every answered
submission must be published once, with the very numbers that `score` gives for its file, and the event chain must hold.
PostgreSQL is a server of its own in a temporary folder that waits for the disk. Clients, server and workers share the cores.

Board: published systems are written by the store's own verbs with made-up scores; then the leaderboard is asked for over HTTP.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import os
import queue
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from unified_audiocaps.leaderboard.hub import Hub
    from unified_audiocaps.leaderboard.worker import Place

ROOT = Path(__file__).resolve().parent.parent
UAC = [sys.executable, "-m", "unified_audiocaps.space.cli"]
NGRAM, DATE = "load-ngram", "load-date"
METRICS = {NGRAM: ("bleu", "rouge_l", "cider_d"), DATE: ("date",)}
PATIENCE_S = 60.0
FINAL = {"published", "superseded"}


@dataclass(frozen=True)
class Plan:
    """How much of what."""

    submissions: int = 2_000
    date: int = 40
    clients: int = 32
    workers: int = 2
    kills: int = 50
    web_kills: int = 2
    lease_s: float = 5.0
    drain_s: float = 1_800.0

    @property
    def total(self) -> int:
        """How many submissions there are."""
        return self.submissions + self.date

    def benchmark_of(self, number: int) -> str:
        """Spreads the few over the many."""
        return (
            DATE
            if self.date and number % (self.total // self.date) == 0 and number // (self.total // self.date) < self.date
            else NGRAM
        )


QUICK = Plan(submissions=60, date=0, clients=8, kills=6, web_kills=1, lease_s=2.0, drain_s=180.0)


@dataclass
class Outcome:
    """What came of a run; `failures` is empty when all is well."""

    failures: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)


# -- processes -------------------------------------------------------------------------------------------------------------------


class Kept:
    """A process that is started again whenever it ends."""

    def __init__(self, command: Sequence[str], environment: dict[str, str], log: Path) -> None:
        self._command, self._environment, self._log = list(command), environment, log
        self._stop, self._lock = threading.Event(), threading.Lock()
        self.starts: list[tuple[int, float]] = []  # process id, when
        self._process = self._start()
        self._thread = threading.Thread(target=self._keep)
        self._thread.start()

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        self.starts.append((process.pid, time.time()))
        return process

    def _keep(self) -> None:
        while not self._stop.is_set():
            self._process.wait()
            with self._lock:
                if not self._stop.is_set():
                    self._process = self._start()

    def kill(self) -> None:
        """Kills it at once, as the kernel does that is out of memory."""
        with self._lock:
            self._process.kill()

    def end(self) -> None:
        """Asks it to end, and waits."""
        with self._lock:
            self._stop.set()
            self._process.terminate()
        try:
            self._process.wait(40)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._thread.join()


@contextmanager
def kept(*commands: Sequence[str], environment: dict[str, str], log: Path) -> Iterator[list[Kept]]:
    """Keeps processes running beside the block."""
    running: list[Kept] = []
    try:
        for command in commands:
            running.append(Kept(command, environment, log))
        yield running
    finally:
        for one in running:
            one.end()


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def options(place: Place) -> list[str]:
    """Returns the options that name a hub."""
    return ["--db", place.db, "--data", str(place.data), "--files", str(place.files)]


def environment(plan: Plan, home: Path) -> dict[str, str]:
    """Returns the variables of the hub's processes."""
    limits = {"UAC_LEASE_S": str(plan.lease_s), "UAC_HEARTBEAT_S": str(plan.lease_s / 4), "UAC_REQUESTS_PER_MINUTE": "10000000"}
    return {**os.environ, "UAC_HOME": str(home), "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "False", **limits}


# -- clients ---------------------------------------------------------------------------------------------------------------------


class Client:
    """One connection to the hub, opened again when it breaks."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._connection: http.client.HTTPConnection | None = None

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, bytes]:
        """Returns status, headers and body; raises OSError or HTTPException when the connection breaks."""
        connection = self._connection or http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE_S)
        self._connection = None
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        content = answer.read()
        self._connection = connection
        return answer.status, answer.headers, content

    def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            self._connection.close()


def multipart(fields: dict[str, str], content: bytes) -> tuple[bytes, dict[str, str]]:
    """Returns the body of a form with a file, and its header."""
    border = "uac-load-7d3f"
    parts = [f'--{border}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()]
    parts.append(f'--{border}\r\nContent-Disposition: form-data; name="file"; filename="predictions.jsonl"\r\n\r\n')
    return "".join(parts).encode() + content + f"\r\n--{border}--\r\n".encode(), {
        "Content-Type": f"multipart/form-data; boundary={border}"
    }


@dataclass
class Sent:
    """What the clients saw."""

    ids: dict[int, str] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)  # of the request that was answered
    waits: list[float] = field(default_factory=list)  # from the first try to the answer
    answered_at: list[float] = field(default_factory=list)
    retries: Counter[str] = field(default_factory=Counter)
    refused: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


def send(client: Client, plan: Plan, number: int, content: bytes, sent: Sent) -> None:
    """Posts one file until it is answered."""
    form = {"benchmark": plan.benchmark_of(number), "system": f"system {number}"}
    body, headers = multipart(form, content)
    headers["Idempotency-Key"] = f"load-{number}"
    began = time.perf_counter()
    while time.perf_counter() - began < 10 * PATIENCE_S:
        tried = time.perf_counter()
        try:
            status, told, answer = client.ask("POST", "/api/v1/submissions", body, headers)
        except (OSError, http.client.HTTPException) as error:
            with sent.lock:
                sent.retries[type(error).__name__] += 1
            time.sleep(0.1)
            continue
        if status in {200, 202}:
            with sent.lock:
                sent.ids[number] = json.loads(answer)["submission"]["id"]
                sent.seconds.append(time.perf_counter() - tried)
                sent.waits.append(time.perf_counter() - began)
                sent.answered_at.append(time.perf_counter())
                sent.retries["known already"] += status == 200
            return
        if status not in {429, 503}:
            with sent.lock:
                sent.refused.append(f"{number}: {status} {answer[:200]!r}")
            return
        with sent.lock:
            sent.retries[str(status)] += 1
        time.sleep(min(2.0, float(told.get("Retry-After", 0.5))))
    with sent.lock:
        sent.refused.append(f"{number}: no answer within {10 * PATIENCE_S:.0f} s")


def post_all(plan: Plan, port: int, files: Sequence[bytes], sent: Sent) -> None:
    """Posts all files from as many threads as there are clients."""
    numbers: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(plan.total):
        numbers.put(number)

    def run() -> None:
        client = Client(port)
        with contextlib.suppress(queue.Empty):
            while True:
                number = numbers.get_nowait()
                send(client, plan, number, files[number], sent)
        client.close()

    threads = [threading.Thread(target=run) for _ in range(plan.clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def wait_until_up(port: int) -> float:
    """Returns the seconds until the web process answers."""
    began, client = time.perf_counter(), Client(port)
    while time.perf_counter() - began < 2 * PATIENCE_S:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if client.ask("GET", "/api/v1/healthz")[0] == 200:
                client.close()
                return time.perf_counter() - began
        time.sleep(0.1)
    raise SystemExit("the web process does not answer")


# -- the run ---------------------------------------------------------------------------------------------------------------------


def predictions(hub: Hub, n: int) -> list[dict[str, str]]:
    """Returns captions by clip for `n` systems: of each clip a reference with words left out, none like another."""
    items = hub.items(hub.benchmark(NGRAM))
    found = []
    for number in range(n):
        rng = np.random.default_rng([7, number])
        captions = {}
        for id_, references in items.references.items():
            words = references[rng.integers(len(references))].split()
            captions[id_] = " ".join([word for word in words if rng.random() < 0.8] or words)
        first = next(iter(captions))
        captions[first] += f" take {number}"
        found.append(captions)
    return found


def as_jsonl(captions: dict[str, str]) -> bytes:
    """Returns a predictions file."""
    return "".join(json.dumps({"id": id_, "caption": text}) + "\n" for id_, text in captions.items()).encode()


class Killer(threading.Thread):
    """Kills workers and the web process with -9, spread over the run: each time after some more were published or accepted."""

    def __init__(self, plan: Plan, hub: Hub, web: Kept, workers: Sequence[Kept], sent: Sent) -> None:
        super().__init__()
        self._plan, self._hub, self._web, self._workers, self._sent = plan, hub, web, workers, sent
        self.stop, self.n_killed = threading.Event(), 0
        self.web_killed_at: list[float] = []

    def run(self) -> None:
        """Kills until it is stopped."""
        chance = random.Random(11)
        while not self.stop.wait(chance.uniform(0.02, 0.3)):
            share = self._hub.store.counts().get("published", 0) / self._plan.total
            if self.n_killed < self._plan.kills and share >= 0.95 * self.n_killed / self._plan.kills:
                self.n_killed += 1
                chance.choice(self._workers).kill()
            accepted = len(self._sent.ids) / self._plan.total
            n_web = len(self.web_killed_at)
            if n_web < self._plan.web_kills and accepted >= (n_web + 1) / (self._plan.web_kills + 1):
                self._web.kill()
                self.web_killed_at.append(time.perf_counter())


def prepare(place: Place, plan: Plan) -> Hub:
    """Opens a hub with the benchmarks."""
    from unified_audiocaps.dataset_scripts.build import build

    if not place.data.exists():
        build("sample", raw=None, out=place.data)
    hub = place.open()
    for name, metrics in METRICS.items():
        if name == NGRAM or plan.date:
            hub.create_benchmark(name, source="sample/test", metrics=metrics, primary_metric=metrics[-1])
    return hub


def run_load(place: Place, plan: Plan, folder: Path) -> Outcome:
    """Runs the load on an empty hub and checks what came of it."""
    hub = prepare(place, plan)
    captions = predictions(hub, plan.total)
    files = [as_jsonl(one) for one in captions]
    port, sent = free_port(), Sent()
    serve = [*UAC, "serve", "--workers", "0", "--port", str(port), *options(place)]
    work = [*UAC, "work", *options(place)]
    told = folder / "processes.log"
    with kept(serve, *[work] * plan.workers, environment=environment(plan, folder / "home"), log=told) as processes:
        up_s = wait_until_up(port)
        killer = Killer(plan, hub, processes[0], processes[1:], sent)
        began = time.perf_counter()
        killer.start()
        post_all(plan, port, files, sent)
        posted = time.perf_counter()
        while hub.store.n_unfinished() and time.perf_counter() - posted < plan.drain_s:
            time.sleep(0.1)
        drained = time.perf_counter()
        killer.stop.set()
        killer.join()
    outcome = Outcome()
    check(hub, plan, captions, sent, killer, outcome)
    report(hub, plan, sent, killer, processes[1:], (began, posted, drained, up_s), outcome)
    hub.store.close()
    return outcome


def check(hub: Hub, plan: Plan, captions: Sequence[dict[str, str]], sent: Sent, killer: Killer, outcome: Outcome) -> None:
    """Notes everything that is not as promised."""
    store, wrong = hub.store, outcome.failures.append
    if sent.refused:
        wrong(f"{len(sent.refused)} were refused, such as {sent.refused[0]}")
    if killer.n_killed < plan.kills or len(killer.web_killed_at) < plan.web_kills:
        wrong(f"only {killer.n_killed} workers and {len(killer.web_killed_at)} web processes were killed")
    found = {one.id: one for one in store.submissions(limit=10 * plan.total)}
    if lost := [number for number, id_ in sent.ids.items() if id_ not in found]:
        wrong(f"{len(lost)} lost, such as {lost[0]}")
    if extra := set(found) - set(sent.ids.values()):
        wrong(f"{len(extra)} that nobody was told of")
    if len(set(sent.ids.values())) != len(sent.ids):
        wrong("two systems were told the same id")
    if unfinished := Counter(one.state for one in found.values() if one.state not in FINAL):
        wrong(f"not published: {dict(unfinished)}")
    if n := store.n_unfinished():
        wrong(f"{n} stuck")
    events = store.newest_events(limit=10**7)
    published = Counter(event["subject_id"] for event in events if event["kind"] == "published")
    if double := [id_ for id_ in found if published[id_] > 1]:
        wrong(f"{len(double)} published twice, such as {double[0]}")
    try:
        n_events = store.verify_events()
    except Exception as error:
        wrong(f"the event chain is broken: {error}")
    else:
        outcome.lines.append(f"event chain of {n_events:,} holds")
    outcome.lines.append(f"lost {len(lost)}, double {len(double)}, stuck {n}")
    check_values(hub, plan, captions, sent, outcome)


def check_values(hub: Hub, plan: Plan, captions: Sequence[dict[str, str]], sent: Sent, outcome: Outcome) -> None:
    """Compares what was published with what `score` gives directly."""
    from unified_audiocaps.evaluators.pairs import CaptionPairs
    from unified_audiocaps.evaluators.score import score

    results, n_checked, worst = hub.store.results(sent.ids.values()), 0, 0.0
    for number, id_ in sent.ids.items():
        benchmark = plan.benchmark_of(number)
        if benchmark == DATE and number > 5 * plan.total // max(1, plan.date):
            continue  # five of the slow ones
        pairs = CaptionPairs.join(captions[number], hub.items(hub.benchmark(benchmark)).references)
        expected = {
            name: float(value)
            for result in score(pairs, METRICS[benchmark])
            for name, value in {result.metric: result.score, **result.components}.items()
        }
        got = {row.name: row.value for row in results[id_]}
        if set(got) != set(expected) or len(got) != len(results[id_]):
            outcome.failures.append(f"{id_} has the rows {sorted(row.name for row in results[id_])}; expected {sorted(expected)}")
            return
        worst = max([worst, *(abs(got[name] - value) for name, value in expected.items())])
        n_checked += 1
    if worst > 1e-6:
        outcome.failures.append(f"a published value is {worst:.2g} away from the direct score")
    outcome.lines.append(f"{n_checked:,} submissions have the values of a direct score, largest difference {worst:.1g}")


def report(
    hub: Hub,
    plan: Plan,
    sent: Sent,
    killer: Killer,
    workers: Sequence[Kept],
    times: tuple[float, float, float, float],
    outcome: Outcome,
) -> None:
    """Notes the figures."""
    began, posted, drained, up_s = times
    say = outcome.lines.append
    away = sum(min((at for at in sent.answered_at if at > killed), default=posted) - killed for killed in killer.web_killed_at)
    say(
        f"accepted {len(sent.ids):,} in {posted - began:.1f} s: {len(sent.ids) / (posted - began):.1f} per second; without the "
        f"{away:.1f} s that the killed web process was away {len(sent.ids) / max(0.001, posted - began - away):.1f} per second"
    )
    say(f"POST {quantiles(sent.seconds)}; with retries {quantiles(sent.waits)}")
    say(f"retries: {dict(sent.retries) or 'none'}")
    say(
        f"published all in {drained - began:.1f} s ({len(sent.ids) / (drained - began):.1f} per second), "
        f"{drained - posted:.1f} s after the last answer"
    )
    events = hub.store.newest_events(limit=10**7)
    claims = [event for event in events if event["kind"] == "scoring"]
    taken_over = sum(event["detail"]["expirations"] > 0 for event in claims)
    say(
        f"killed {killer.n_killed} workers, {len(killer.web_killed_at)} web processes; {len(claims):,} claims, {taken_over} "
        "of them after a worker fell silent"
    )
    first: dict[int, float] = {}
    for event in claims:
        first.setdefault(int(event["detail"]["owner"].split(":")[1]), event["at"])
    waits = [first[pid] - at for one in workers for pid, at in one.starts if pid in first]
    say(
        f"a worker's start to its first claim: {quantiles(waits)} ({len(waits)} starts); the web process is up after {up_s:.1f} s"
    )


def quantiles(seconds: Sequence[float]) -> str:
    """Returns p50, p95 and p99 in milliseconds."""
    if not seconds:
        return "nothing measured"
    p50, p95, p99 = np.quantile(seconds, (0.5, 0.95, 0.99)) * 1e3
    return f"p50 {p50:,.1f} ms, p95 {p95:,.1f} ms, p99 {p99:,.1f} ms"


# -- boards of thousands ---------------------------------------------------------------------------------------------------------


def publish(hub: Hub, number: int, rng: np.random.Generator) -> None:
    """Publishes one system with made-up scores, by the verbs that the web process and the workers use."""
    from unified_audiocaps.leaderboard.scoring import DRAWS_SUFFIX, _parquet
    from unified_audiocaps.leaderboard.storage.records import ResultRow
    from unified_audiocaps.leaderboard.submission import System

    benchmark, store = hub.benchmark(NGRAM), hub.store
    about = System(f"system {number}", "Some lab", parameters=10**6 + number, open_weights=True, training_data=("wavcaps",))
    submission, _ = store.receive(benchmark, about, f"{number}".encode(), ".jsonl")
    store.accept(submission.id, benchmark.n_items, benchmark.recipe, benchmark.n_steps)
    job = store.claim("load", 60.0)
    assert job is not None
    values = {metric: float(rng.beta(4, 4)) for metric in benchmark.metrics}
    draws = store.files.put(_parquet({name: value + rng.normal(0, 0.02, 1_000) for name, value in values.items()}), DRAWS_SUFFIX)
    common = (0.01, "0" * 64, draws, "")
    rows = [
        ResultRow(name, shown, value, benchmark.n_items, f"{name}|v:1", f"{name:0<8.8}", *common, value - 0.04, value + 0.04)
        for name, value in values.items()
        for shown in ([name, "bleu_1", "bleu_2", "bleu_3", "bleu_4"] if name == "bleu" else [name])
    ]
    assert store.finish(job, rows)


def run_board(place: Place, n: int, folder: Path) -> Outcome:
    """Publishes `n` systems and asks for their board."""
    plan = replace(QUICK, date=0)
    hub, rng, outcome = prepare(place, plan), np.random.default_rng(5), Outcome()
    began = time.perf_counter()
    for number in range(n):
        publish(hub, number, rng)
    outcome.lines.append(f"{n:,} systems published in {time.perf_counter() - began:.1f} s")
    port, path = free_port(), f"/api/v1/leaderboard/{NGRAM}"
    serve = [*UAC, "serve", "--workers", "0", "--port", str(port), *options(place)]
    with kept(serve, environment=environment(plan, folder / "home"), log=folder / "processes.log"):
        wait_until_up(port)
        client = Client(port)

        def timed(headers: dict[str, str] | None = None, expected: int = 200) -> tuple[float, Any, bytes]:
            asked = time.perf_counter()
            status, told, body = client.ask("GET", path, headers={"Accept-Encoding": "gzip", **(headers or {})})
            if status != expected:
                outcome.failures.append(f"the board answered {status}; expected {expected}")
            return time.perf_counter() - asked, told, body

        cold, told, body = timed()
        outcome.lines.append(f"first answer {cold * 1e3:,.0f} ms, {len(body) / 1e3:,.0f} kB")
        warm = [timed()[0] for _ in range(300)]
        known = [timed({"If-None-Match": told["ETag"]}, 304)[0] for _ in range(300)] if told["ETag"] else []
        after = []
        for number in range(n, n + 20):
            publish(hub, number, rng)
            after.append(timed()[0])
        client.close()
    for name, found, limit_s in (("warm", warm, 0.1), ("after a new result", after, 1.0), ("ETag hit", known, 0.01)):
        outcome.lines.append(f"GET leaderboard of {n:,}, {name}: {quantiles(found)}")
        if found and np.quantile(found, 0.95) > limit_s:
            outcome.lines.append(f"  slower than {limit_s * 1e3:,.0f} ms")
    hub.store.close()
    return outcome


# -- the command -----------------------------------------------------------------------------------------------------------------


@contextmanager
def databases(kinds: Sequence[str], folder: Path) -> Iterator[Iterator[tuple[str, Place]]]:
    """Gives an empty hub on each kind of database."""
    sys.path.insert(0, str(ROOT))
    from unified_audiocaps.leaderboard.worker import Place

    from tests.postgres import binaries, cluster

    with contextlib.ExitStack() as stack:

        def each() -> Iterator[tuple[str, Place]]:
            for kind in kinds:
                if kind == "postgres":
                    if binaries() is None:
                        raise SystemExit("no PostgreSQL under /usr/lib/postgresql; install it, or use --database sqlite")
                    url = stack.enter_context(cluster(is_durable=True)).create()
                else:
                    url = f"sqlite:///{folder}/hub.db"
                yield kind, Place(url, folder / "unified-audiocaps", folder / f"{kind}-files")

        yield each()


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the figures; returns 1 when anything was lost, doubled, stuck or wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("submissions", "date", "clients", "workers", "kills", "web_kills"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, help=f"[default: {getattr(Plan(), name)}]")
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.submissions} submissions and {QUICK.kills} kills")
    parser.add_argument("--board", type=int, metavar="SYSTEMS", help="measure a board of so many systems instead")
    given = parser.parse_args(arguments)
    chosen = {name: value for name, value in vars(given).items() if name in Plan.__dataclass_fields__ and value is not None}
    plan = replace(QUICK if given.quick else Plan(), **chosen)
    kinds = ("sqlite", "postgres") if given.database == "both" else (given.database,)
    failures = []
    with tempfile.TemporaryDirectory(prefix="uac-load-") as name, databases(kinds, Path(name)) as each:
        for kind, place in each:
            folder = Path(name)
            outcome = run_board(place, given.board, folder) if given.board else run_load(place, plan, folder)
            print(f"{kind}:")
            for line in [*outcome.lines, *(f"FAILED: {text}" for text in outcome.failures)]:
                print(f"  {line}", flush=True)
            if outcome.failures:
                log = (folder / "processes.log").read_text(errors="replace").splitlines()
                print("  last lines of the processes:", *log[-20:], sep="\n    ")
            failures += outcome.failures
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
