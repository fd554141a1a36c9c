"""`python -m benches [ROW...]`: runs the table, prints it, and writes it where all of it was run.

`make bench` builds what it needs and calls it. Files go below `--folder`, on the disk that is to be
measured, and are removed. A run that ends early leaves the documents as they were.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from benches import face_rows, image_rows, io_rows, machine, plot, programs, report
from benches.model import Bench, Result, Row

ROWS: dict[str, Row] = {
    "P1": io_rows.p1,
    "P2": io_rows.p2,
    "P3": io_rows.p3,
    "P4": io_rows.p4,
    "P5": io_rows.p5,
    "P6": io_rows.p6,
    "P7": io_rows.p7,
    "P8": io_rows.p8,
    "P9": image_rows.p9,
    "P10": image_rows.p10,
    "P11": image_rows.p11,
    "P12": image_rows.p12,
    "P13": face_rows.p13,
    "P14": image_rows.p14,
    "calls": face_rows.calls,
    "queues": io_rows.queues,
    "memory": face_rows.memory,
}
DOCS = programs.ROOT / "docs"


def main() -> int:
    """Run the rows that are named, or all."""
    given = _arguments()
    wanted = given.rows or list(ROWS)
    begun = time.monotonic()
    results: list[Result] = []
    with tempfile.TemporaryDirectory(prefix="qed-bench-", dir=given.folder) as name:
        folder = Path(name)
        bench = Bench(folder, given.pairs, programs.build(folder, wanted))
        for row in wanted:
            started = time.monotonic()
            for result in ROWS[row](bench):
                print(file=sys.stderr)
                print("\n".join(map(report.terminal, result.figures)), flush=True)
                results.append(result)
            print(f"{row}: {time.monotonic() - started:.0f} s", file=sys.stderr)
        tables = report.markdown(results, machine.describe(folder), given.pairs)
    print(f"\n{tables}\n{time.monotonic() - begun:.0f} seconds in all")
    if wanted == list(ROWS) and given.pairs >= 9:
        picture = plot.draw(plot.ratios(results))
        report.replace(DOCS / "benchmarks.md", tables)
        (DOCS / "benchmarks.svg").write_text(picture)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("rows", nargs="*", choices=[[], *ROWS], metavar="ROW", help=" ".join(ROWS))
    parser.add_argument("--pairs", type=int, default=9, help="pairs of runs (9, the least written)")
    where = os.environ.get("QED_BENCH_DIR", tempfile.gettempdir())
    parser.add_argument("--folder", default=where, help=f"on the disk to be measured ({where})")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: the documents are as they were")
