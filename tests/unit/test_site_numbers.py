"""A place in the source has one number, however often Python has run it."""

from __future__ import annotations

import sys

from gradflow.location import SiteTable


class Reading:
    """Asks for the number of the place from which it is read, from inside of a call made by C code."""

    def __init__(self, sites: SiteTable) -> None:
        self.sites = sites
        self.numbers: list[int] = []

    def __len__(self) -> int:
        self.numbers.append(self.sites.number(sys._getframe(1)))
        return 1


def test_number_stays_while_python_specialises_the_call() -> None:
    reading = Reading(SiteTable())

    def read() -> int:
        return len(reading)

    for _ in range(200):
        read()
    assert len(set(reading.numbers)) == 1


def test_two_places_on_one_line_have_two_numbers() -> None:
    reading = Reading(SiteTable())
    total = len(reading) + len(reading)
    assert total == 2
    first, second = reading.numbers
    assert first != second
    spans = reading.sites.spans()
    assert spans[first].line == spans[second].line
    assert spans[first].column != spans[second].column
