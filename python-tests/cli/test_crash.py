"""`qed crash`: runs are recorded, explored, replayed, shown; and the table made of that."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import qed
import qed.crash as qc
from support.commands import Command

ROOT = Path(__file__).parents[2]
LOGS = ROOT / "qed-core" / "tests" / "data" / "crash"
BASE, CALLS, LOG = (LOGS / f"qed.{suffix}" for suffix in ("base", "calls", "log"))
D5: list[str | Path] = ["--base", BASE, "--workload", CALLS, LOG]
SMALL = ["-o", "cluster_size=4k,table_size=1"]


def fed(command: Command, text: str, *words: str | Path) -> tuple[int, str, str]:
    """Run with something on standard input; return the status and both outputs."""
    done = subprocess.run(
        [*command.program, *words],
        cwd=command.directory,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def explored(command: Command, *words: str | Path) -> tuple[int, dict[str, Any]]:
    """Explore; return the status and the JSON object."""
    outcome = command.run("crash", "explore", "--output", "json", *words)
    assert outcome.err == ""
    return outcome.status, json.loads(outcome.out)


@pytest.fixture
def log(qed_cli: Command, tmp_path: Path) -> str:
    """Return the name of a log of calls drawn by lot."""
    qed_cli.ok("crash", "record", "--operations", "10", "--seed", "7", *SMALL, "run.log", "1M")
    return "run.log"


def test_calls_drawn_by_lot_are_the_same_for_the_same_seed(qed_cli: Command, log: str) -> None:
    def digest(seed: str) -> str:
        words = ["--operations", "10", "--seed", seed, *SMALL, "--output=json"]
        return str(json.loads(qed_cli.ok("crash", "record", *words, "b.log", "1M"))["log"])

    first = qc.Log.open(qed_cli.directory / log).digest
    assert digest("7") == f"{first:016x}" != digest("8")
    assert sorted(file.name for file in qed_cli.directory.iterdir()) == ["b.log", "run.log"]


def test_commands_of_standard_input_are_recorded_with_remarks(
    qed_cli: Command, tmp_path: Path
) -> None:
    text = "write -P 7 0 4k\nflush\nmark first\nwrite -z 8k 4k\ndiscard 0 512\n"
    status, out, err = fed(qed_cli, text, "crash", "record", "a.log", "1M")
    assert (status, err) == (0, "")
    log = qc.Log.open(tmp_path / "a.log")
    assert (
        out == f"a.log: {len(log.calls)} calls, {len(log.events)} events, log {log.digest:016x}\n"
    )
    assert log.calls[:2] == ["write 0+4096 fill=07", "flush"]
    assert log.calls[2:4] == ["zero 8192+4096", "discard 0+512"]
    assert log.marks == ["first"]
    facts = json.loads(qed_cli.ok("crash", "record", "-c", "flush", "--output=json", "b.log", "1M"))
    assert facts.keys() >= {"filename", "log", "format", "unit", "calls", "events", "marks"}
    assert qed_cli.ok("crash", "record", "-q", "-c", "flush", "b.log", "1M") == ""


def test_a_copy_is_recorded_and_the_image_left_alone(qed_cli: Command, tmp_path: Path) -> None:
    # Goal: an overlay's copy finds its backing file. Method: the folder is not the current one.
    (tmp_path / "disks").mkdir()
    (tmp_path / "disks" / "base.raw").write_bytes(b"b" * 65536)
    qed.create(tmp_path / "disks" / "a.qed", backing="base.raw", backing_format="raw")
    before = (tmp_path / "disks" / "a.qed").read_bytes()
    qed_cli.ok("crash", "record", "--image", "disks/a.qed", "-c", "write -P 7 512 512", "a.log")
    assert (tmp_path / "disks" / "a.qed").read_bytes() == before
    assert sorted(os.listdir(tmp_path / "disks")) == ["a.qed", "base.raw"]
    assert qed_cli.ok("crash", "explore", "-b", "disks/base.raw", "a.log")
    outcome = qed_cli.run("crash", "explore", "a.log")
    assert (outcome.status, outcome.out) == (1, "")
    assert '"base.raw", and none is given' in outcome.err


def test_a_new_overlay_is_recorded_over_its_base(qed_cli: Command, tmp_path: Path) -> None:
    (tmp_path / "base.raw").write_bytes(b"b" * 65536)
    words = ["-b", "base.raw", "-F", "raw", *SMALL, "--operations", "6"]
    qed_cli.ok("crash", "record", *words, "a.log")
    assert qed_cli.run("crash", "explore", "-b", "base.raw", "-F", "raw", "a.log").status == 0


def test_a_workload_is_run_where_a_log_could_stand(qed_cli: Command, tmp_path: Path) -> None:
    line = "cluster=4096 table=1 size=1048576 | write 0+4096; flush;\n write 8192+4096\n"
    (tmp_path / "work").write_text(line)
    qed_cli.ok("crash", "record", "--run", "work", "--sector-size", "4096", "a.log")
    assert qc.Log.open(tmp_path / "a.log").calls[:2] == ["write 0+4096", "flush"]
    status, out, err = fed(qed_cli, line, "crash", "explore", "--run", "-")
    assert (status, err) == (0, "")
    assert out == qed_cli.ok("crash", "explore", "a.log")
    assert "call 0: write 0+4096" in qed_cli.ok("crash", "show", "--run", "work")
    (tmp_path / "over").write_text(line.replace("|", "backing=4096 |"))
    outcome = qed_cli.run("crash", "record", "--run", "over", "a.log")
    assert (outcome.status, outcome.err) == (
        1,
        "qed: over: the backing file of a workload is in no log\n",
    )


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["-c", "write 0 9M", "a.log", "1M"], "write 0 9M: write failed: Input/output error"),
        (["-c", "frob", "a.log", "1M"], 'frob: command "frob" not found'),
        (["-c", "write 0", "a.log", "1M"], "write 0: bad argument count 1"),
        (["-c", "read -P 7 0 512", "a.log", "1M"], "Pattern verification failed"),
        (["-c", "close", "a.log", "1M"], "close: the recorded disk stays open"),
        (["a.log"], "nothing to record on"),
        (["a.log", "1X"], "1X"),
        (["--run", "w", "a.log", "1M"], "SIZE has no meaning beside --run"),
        (["--image", "i", "-b", "base", "a.log"], "-b has no meaning beside --image"),
        (["--image", "i", "a.log"], "i: opening the file"),
        (["-F", "raw", "a.log", "1M"], "-F goes with -b"),
        (["-f", "vmdk", "a.log", "1M"], "'vmdk'"),
        (["--seed", "1", "a.log", "1M"], "--seed goes with --operations"),
        (["-c", "flush", "--operations", "1", "a.log", "1M"], "-c and --operations exclude"),
        (["--operations", "0", "a.log", "1M"], "number of operations"),
        (["--operations", "1", "a.log", "0"], "no sector"),
        (["-c", "flush", "no/a.log", "1M"], "no/a.log: No such file"),
        (["-b", "no/base", "-F", "raw", "a.log"], "no: no file can be made there"),
        (["--run", "no", "a.log"], "no: No such file"),
    ],
)
def test_what_cannot_be_recorded_is_one_line_and_leaves_nothing(
    qed_cli: Command, tmp_path: Path, words: list[str], expected: str
) -> None:
    outcome = qed_cli.run("crash", "record", *words)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("qed: ")
    assert outcome.err.count("\n") == 1
    assert expected in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_a_sound_run_has_status_0_and_one_digest_for_any_workers(
    qed_cli: Command, log: str
) -> None:
    text = qed_cli.ok("crash", "explore", log)
    assert "; 0 failures\ndigest: " in text
    for workers in (["--jobs", "2"], ["--jobs", "2", "--workers", "processes"]):
        assert qed_cli.ok("crash", "explore", *workers, log) == text
    quiet = qed_cli.run("crash", "explore", "-q", log)
    assert (quiet.status, quiet.out, quiet.err) == (0, "", "")


def test_options_bound_the_walk(qed_cli: Command, log: str) -> None:
    _, whole = explored(qed_cli, log)
    status, part = explored(qed_cli, "--states", "20", log)
    assert status == 0
    assert part["states"]["generated"] < whole["states"]["generated"]
    assert part["states"]["left-out"] > 0
    _, prefix = explored(qed_cli, "--modes", "prefix", "--unit", "4096", "--seed", "3", log)
    assert prefix["modes"].keys() == {"prefix"}
    assert (prefix["unit"], prefix["seed"]) == (4096, 3)
    _, sampled = explored(qed_cli, "--full", "1", "--torn-full", "1", "--samples", "2", log)
    assert sampled["windows"]["sampled"] > whole["windows"]["sampled"]
    _, quick = explored(qed_cli, "--profile", "quick", "--oracles", "structure,durable", log)
    assert quick["oracles"] == ["structure", "durable"]


def test_json_is_of_one_shape(qed_cli: Command, log: str) -> None:
    _, sound = explored(qed_cli, log)
    status, failed = explored(qed_cli, "--failures", "100", *D5)
    assert status == 2
    for document in (sound, failed):
        assert list(document) == [
            "log",
            "format",
            "unit",
            "seed",
            "oracles",
            "sound",
            "digest",
            "states",
            "windows",
            "modes",
            "failures",
        ]
        assert document["sound"] is not bool(document["failures"])
        assert document["states"].keys() == {
            "generated",
            "unique",
            "judged",
            "left-out",
            "exhaustive",
        }
        assert document["windows"].keys() == {"count", "sampled", "largest"}
    first = failed["failures"][0]
    assert list(first) == [
        "oracle",
        "what",
        "state",
        "replay",
        "writes",
        "barrier",
        "guest-operations",
        "report",
    ]
    assert first["writes"] == first["barrier"]["early"]
    assert first["writes"] == [{"number": 2, "text": "write 0x4000 + 0x200"}]
    assert len(failed["failures"]) > 1


def test_a_failure_is_told_drawn_saved_and_found_again(qed_cli: Command, tmp_path: Path) -> None:
    # Goal: D5 from QEMU's log to the state on disk. Method: the words of each step's output.
    words = ["--svg", "why.svg", "--save", "failures", *D5]
    outcome = qed_cli.run("crash", "explore", *words)
    assert (outcome.status, outcome.err) == (2, "")
    assert "~~~~ a sync is missing here ~~~~" in outcome.out
    assert "1 failure" in outcome.out
    assert (tmp_path / "why.svg").read_text().startswith("<svg")
    saved = sorted(file.suffix for file in (tmp_path / "failures").iterdir())
    assert saved == [".log", ".svg", ".txt"]
    (word,) = [
        line.removeprefix("replay: ")
        for line in outcome.out.splitlines()
        if line.startswith("replay: ")
    ]
    again = qed_cli.run("crash", "replay", "--extract", "state.qed", *D5, word)
    assert again.status == 2
    assert again.out.strip() == outcome.out.split("\n\n")[0].strip()
    report = qed.check(tmp_path / "state.qed")
    assert report.corruptions > 0
    # Saved, the log says for itself what another program's does not.
    (log,) = (tmp_path / "failures").glob("*.log")
    saved_again = qed_cli.run("crash", "replay", "--foreign", log, word)
    assert (saved_again.status, saved_again.out) == (2, again.out)
    document = json.loads(qed_cli.run("crash", "replay", "--output=json", *D5, word).out)
    assert (document["state"], document["sound"]) == (word, False)


def test_a_state_that_holds_has_status_0(qed_cli: Command, log: str) -> None:
    assert qed_cli.ok("crash", "replay", log, "0:0").startswith("0:0 holds: structure, ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["explore", "no.log"], "no.log: No such file"),
        (["explore", "image"], "image: no write log: its magic is"),
        (["explore", "empty"], "empty: "),
        (["explore", "cut.log"], "cut.log: "),
        (["explore", "."], ".: Is a directory"),
        (["explore", "--base", "no", LOG], "no: "),
        (["explore", "--workload", "no", LOG], "no: No such file"),
        (["explore", "--workload", "image", LOG], "image: line 1 is not"),
        (["explore", "--backing", "no", "run.log"], "no: "),
        (["explore", "-F", "raw", "run.log"], "-F goes with -b"),
        (["explore", "--modes", "often", "run.log"], "'often' is none of prefix"),
        (["explore", "--unit", "513", "run.log"], "'512' or '4096' not '513'"),
        (["explore", "--oracles", "delphi", "run.log"], '"delphi"'),
        (["explore", "--states", "0", "run.log"], "number of states"),
        (["explore", "--jobs", "x", "run.log"], "number of jobs"),
        (["explore", "--run", "work", "--lenient"], "--lenient is about a log"),
        (["explore", "--run", "work", "run.log"], "no operand"),
        (["explore", "--run", "image"], "image: "),
        (["replay", "run.log", "0123456789abcdef/512/0:0"], "another log"),
        (["replay", "run.log", "99:0"], "windows"),
        (["replay", "run.log", "word"], '"word"'),
        (["replay", "--extract", "no/state", "run.log", "0:0"], "no/state"),
        (["show", "no.log"], "no.log: No such file"),
        (["show", "image"], "image: no write log"),
    ],
)
def test_bad_logs_and_words_are_one_line_and_status_1(
    qed_cli: Command, tmp_path: Path, log: str, words: list[str], expected: str
) -> None:
    (tmp_path / "image").write_bytes(b"\xff" * 4096)
    (tmp_path / "empty").touch()
    (tmp_path / "cut.log").write_bytes((tmp_path / log).read_bytes()[:-700])
    outcome = qed_cli.run("crash", *words)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err.startswith("qed: ")
    assert outcome.err.count("\n") == 1
    assert expected in outcome.err


def test_a_log_that_is_cut_off_is_read_leniently(qed_cli: Command, tmp_path: Path) -> None:
    (tmp_path / "cut.log").write_bytes((LOGS / "qed.log").read_bytes()[:-700])
    assert qed_cli.run("crash", "show", "cut.log").status == 1
    assert "#0 write" in qed_cli.ok("crash", "show", "--lenient", "cut.log")


def test_show_puts_calls_beside_the_disks_work(qed_cli: Command) -> None:
    words = ["crash", "show", *D5]
    text = qed_cli.ok(*words)
    assert "writer: another program\n" in text
    lines = [line.strip() for line in text.splitlines()]
    assert "call 0: write 4096+4096 fill=bb |" in lines
    assert any(line.endswith("| #0 write 0x0 + 0x200") for line in lines)
    document = json.loads(qed_cli.ok(*words, "--output", "json"))
    log = qc.Log.open(LOG, base=BASE, workload=CALLS)
    assert document["log"] == f"{log.digest:016x}"
    assert document["calls"] == len(log.calls)
    kinds = [event["kind"] for event in document["events"]]
    assert kinds[:3] == ["call", "operation", "completed"]
    assert len(kinds) == len(log.events) == len(document["events"])


def test_progress_goes_to_standard_error(qed_cli: Command, log: str) -> None:
    outcome = qed_cli.run("crash", "explore", "-p", "--output", "json", log)
    assert json.loads(outcome.out)["sound"]
    assert "(100.00/100%)" in outcome.err


def test_an_interrupt_ends_an_exploration_quietly(qed_cli: Command, log: str) -> None:
    # Goal: status 130 and no word. Method: the interrupt comes from within, as progress is told.
    script = """
import os, signal, sys
import qed.cli, qed.crash
def interrupt(*arguments, **options):
    os.kill(os.getpid(), signal.SIGINT)
    while True:
        signal.pause()
qed.crash.Log.explore = interrupt
raise SystemExit(qed.cli.main(["crash", "explore", "--jobs", "2", sys.argv[1]]))
"""
    done = subprocess.run(
        [sys.executable, "-c", script, log],
        cwd=qed_cli.directory,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGINT, b"", b"")


def test_the_name_of_qemus_tool_has_no_such_verb(qed_cli: Command, tmp_path: Path) -> None:
    (tmp_path / "qemu-img").symlink_to(Path(sys.executable).parent / "qed")
    outcome = Command([str(tmp_path / "qemu-img")], tmp_path).run("crash", "show", "a.log")
    assert outcome.status == 1
    assert "Command not found: crash" in outcome.err


@pytest.mark.parametrize("tools", [True, False])
def test_the_table_is_made_again_the_same(tmp_path: Path, tools: bool) -> None:
    # Goal: one command makes the table, from recorded logs where QEMU is not there. Method: the
    # quick form on the rows that libqed judges, twice.
    command = [sys.executable, str(ROOT / "scripts" / "crash_table.py"), "--quick", ", QED"]
    path = os.environ["PATH"] if tools else str(tmp_path)
    made = [
        subprocess.run(
            command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert made[0] == made[1]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in made[0].splitlines()
    ]
    assert head == ["image", "prefix", "reorder", "torn"]
    names = [row[0] for row in rows]
    assert names[:2] == ["libqed, QED", "QEMU, QED"]
    failures = {row[0]: [int(cell.split(" of ")[0]) for cell in row[1:]] for row in rows}
    assert failures["libqed, QED"] == [0, 0, 0]
    # What replaying in order does not find, and reordering does.
    assert failures["QEMU, QED"][0] == 0
    assert failures["QEMU, QED"][1] > 0
    assert failures["QEMU, QED over a raw file"][0] > 0
