"""Run benchmarks, each in a process of its own, and put what they print into RESULTS.md.

Without names all are run. A section is replaced once its script has ended; where the script fails, the
section stays as it was.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import re
import shlex
import subprocess
import sys
from pathlib import Path

from common import FALLS_SHORT, machine, note
from picture import draw
from results import Results

HERE = Path(__file__).resolve().parent
# Title and command of each section, in the order of the document.
SECTIONS = {
    "known_answers": ("Known answers", "known_answers.py"),
    "encode": ("Encoding", "encode.py"),
    "distilbert": ("Encoding in DistilBERT's shape", "encode.py --model distilbert --texts 1000"),
    "build": ("Building", "build.py"),
    "peers": ("Building beside peers", "peers.py"),
    "resume": ("Resuming", "resume.py"),
    "cold": ("Cold start", "cold.py"),
    "search": ("Search", "search.py"),
    "heads": ("Heads", "heads.py"),
    "finetune": ("Fine-tuning", "finetune.py"),
    "projection": ("Projection", "projection.py"),
    "audit": ("Audit", "audit.py"),
    "serve": ("Service", "serve.py"),
}
# What no script measures on a machine like this.
ELSEWHERE = ("GPU speed: no GPU was at hand.",)


def main() -> int:
    """Run and write; return 1 where a script failed or a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--with", dest="options", default="", help="options of the scripts, as one string")
    parser.add_argument("--output", type=Path, default=HERE / "RESULTS.md")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(SECTIONS):
        parser.error(f"no {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    failed = []
    for name in arguments.names or SECTIONS:
        title, command = SECTIONS[name]
        if not run(title, f"{command} {arguments.options}".strip(), arguments.output):
            failed.append(name)
    note(f"failed, or a claim does not hold: {', '.join(failed)}" if failed else "all done")
    return int(bool(failed))


def run(title: str, command: str, output: Path) -> bool:
    """Run a script and replace its section; return whether all is well."""
    note(f"benchmarks/{command}")
    script, *options = shlex.split(command)
    whole = [sys.executable, str(HERE / script), *options]
    done = subprocess.run(whole, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode in (0, FALLS_SHORT):
        notes = ast.get_docstring(ast.parse((HERE / script).read_text(encoding="utf-8"))) or ""
        # A folder of stores spares time and changes no figure; its path says nothing to others.
        shown = re.sub(r" --home[ =]\S+", "", command)
        heading = f"## {title}: `benchmarks/{shown}`"
        today = datetime.date.today().isoformat()
        write(output, title, f"{heading}\n\nMeasured {today}.\n\n{notes}\n\n{done.stdout}")
    return done.returncode == 0


def write(output: Path, title: str, section: str) -> None:
    """Put a section into the document, and draw its picture anew."""
    results = Results.parse(output.read_text(encoding="utf-8") if output.exists() else "")
    results.moved(machine())
    results.replace(title, section, [one for one, _ in SECTIONS.values()])
    missing = [f"{one}: `benchmarks/{how}`" for one, how in SECTIONS.values() if one not in results.sections]
    output.write_text(results.text([*missing, *ELSEWHERE]), encoding="utf-8")
    if speeds := list(results.speeds()):
        folder = output.parent / "pictures"
        folder.mkdir(exist_ok=True)
        draw(speeds, folder / "speed.png")


if __name__ == "__main__":
    sys.exit(main())
