"""RESULTS.md as sections, each of which can be replaced alone.

A section is a heading of level two and what follows it. A benchmark owns the section that has its title; the
others were written by hand and stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from common import RATIOS

HEAD = """# Measured results

`make bench` measures everything again, `benchmarks/run.py NAME...` replaces the sections of these scripts
alone. A section names its date and, where it is not the one below, its machine. Contestants run in turn in
one run, so speeds are told as ratios of the same rounds: median (least to most). Seeds are fixed in the
scripts, 0 where a section names none. The machine was shared with other work."""
NOT_MEASURED = "Not measured"


@dataclass(frozen=True)
class Speed:
    """How many times as fast as a peer, as a section tells it.

    Parameters
    ----------
    section, peer : str
        Titles of the section and of the row.
    median, least, most : float
        Ratios, no unit.
    wanted : float or None
        The ratio that was aimed at.
    """

    section: str
    peer: str
    median: float
    least: float
    most: float
    wanted: float | None


@dataclass
class Results:
    """The document.

    Parameters
    ----------
    machine : str
        Processor and versions of the last run, as ``common.machine`` tells them.
    sections : dict of str to str
        Title to the whole section, heading included, in order.
    """

    machine: str = ""
    sections: dict[str, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Results:
        """Read the document."""
        head, *parts = re.split(r"^(?=## )", text, flags=re.MULTILINE)
        machine = re.search(r"^Machine: (.*)\.$", head, flags=re.MULTILINE)
        sections = {title_of(part): part.strip() for part in parts}
        sections.pop(NOT_MEASURED, None)
        return cls(machine.group(1) if machine else "", sections)

    def moved(self, machine: str) -> None:
        """Name the machine that measured the sections there are, where it is not this one."""
        if self.machine and self.machine != machine:
            for title, section in self.sections.items():
                if "\nMachine: " not in section:
                    heading, _, body = section.partition("\n")
                    self.sections[title] = f"{heading}\n\nMachine: {self.machine}.\n{body}"
        self.machine = machine

    def replace(self, title: str, section: str, order: Sequence[str]) -> None:
        """Put a section where the one of its title stood, else after those before it in the order."""
        if title not in self.sections:
            before = set(order[: order.index(title)])
            titles = list(self.sections)
            place = max((titles.index(one) + 1 for one in before if one in self.sections), default=0)
            titles.insert(place, title)
            self.sections = {one: self.sections.get(one, "") for one in titles}
        self.sections[title] = section.strip()

    def text(self, unmeasured: Sequence[str]) -> str:
        """Return the document."""
        picture = "![Times as fast as its peers](pictures/speed.png)"
        rest = "\n".join(f"- {what}" for what in unmeasured) or "Nothing is left out."
        last = f"## {NOT_MEASURED}\n\n{rest}"
        return "\n\n".join([HEAD, f"Machine: {self.machine}.", picture, *self.sections.values(), last]) + "\n"

    def speeds(self) -> Iterator[Speed]:
        """Yield each row of the tables of speeds beside peers."""
        head = f"| {' | '.join(RATIOS)} |"
        number = r"([\d.]+)"
        row = re.compile(rf"\| (.+?) \| {number}(?: \({number} to {number}\))? \| (?:{number} )?\|")
        for title, section in self.sections.items():
            for part in section.split(head)[1:]:
                for line in part.strip().splitlines()[1:]:
                    if not (found := row.fullmatch(line)):
                        break
                    peer, median, least, most, wanted = found.groups()
                    yield Speed(
                        title,
                        peer,
                        float(median),
                        float(least or median),
                        float(most or median),
                        float(wanted) if wanted else None,
                    )


def title_of(section: str) -> str:
    """Return the title of a section: its heading without the command."""
    return section.partition("\n")[0].removeprefix("## ").partition(": `")[0].strip()
