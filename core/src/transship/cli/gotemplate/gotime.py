"""Points in time as Go prints them: nanoseconds, and the offset that was written."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import date, datetime, timedelta

_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(?:(Z)|([+-])(\d\d):(\d\d))", re.ASCII)
_EPOCH = datetime(1970, 1, 1)

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
WEEKDAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

_LAYOUT = re.compile(
    r"January|Jan|Monday|Mon|MST|2006|__2|_2006|_2|002|01|02|03|04|05|06|15|PM|pm"
    r"|Z07:00:00|Z070000|Z07:00|Z0700|Z07|-07:00:00|-070000|-07:00|-0700|-07|[.,]0+(?!\d)|[.,]9+(?!\d)|1|2|3|4|5"
)


@dataclass(frozen=True, slots=True)
class GoTime:
    """A ``time.Time``: the local date and time without fraction, the fraction and the zone.

    ``zone`` is the zone's abbreviation, ``""`` if only the offset (in seconds) is known.
    """

    local: datetime
    nanosecond: int
    offset: int
    zone: str

    @classmethod
    def parse(cls, text: str) -> GoTime:
        """Read an RFC 3339 time; raise ``ValueError`` for anything else."""
        match = _RFC3339.fullmatch(text)
        if match is None:
            raise ValueError(f"not an RFC 3339 time: {text[:64]!r}")
        local = datetime(*(int(part) for part in match.groups()[:6]))  # type: ignore[arg-type]  # six numbers, tzinfo stays out
        nanosecond = int((match[7] or "")[:9].ljust(9, "0"))
        if match[8]:
            return cls(local, nanosecond, 0, "UTC")
        hours, minutes = int(match[10]), int(match[11])
        if hours > 23 or minutes > 59:
            raise ValueError(f"not an RFC 3339 time: {text[:64]!r}")
        offset = (hours * 60 + minutes) * 60 * (-1 if match[9] == "-" else 1)
        return cls(local, nanosecond, offset, _local_zone(_seconds(local) - offset, offset))

    @property
    def unix(self) -> int:
        """Seconds since 1970 in UTC."""
        return _seconds(self.local) - self.offset

    @property
    def unix_nano(self) -> int:
        """Nanoseconds since 1970 in UTC."""
        return self.unix * 1_000_000_000 + self.nanosecond

    @property
    def weekday(self) -> int:
        """The day of the week, Sunday being 0."""
        return self.local.isoweekday() % 7

    @property
    def year_day(self) -> int:
        """The day of the year, from 1."""
        return self.local.timetuple().tm_yday

    def utc(self) -> GoTime:
        """The same instant in UTC; raises ``ValueError`` if that is not in the years 1 to 9999."""
        return self._moved_to(0, "UTC")

    def in_machine_zone(self) -> GoTime:
        """The same instant in the zone of this machine."""
        try:
            there = time.localtime(self.unix)
        except (OverflowError, OSError, ValueError):
            return self.utc()
        return self._moved_to(there.tm_gmtoff, there.tm_zone)

    def _moved_to(self, offset: int, zone: str) -> GoTime:
        try:
            local = self.local + timedelta(seconds=offset - self.offset)
        except OverflowError:
            raise ValueError("time out of range") from None
        return GoTime(local, self.nanosecond, offset, zone)

    def rfc3339(self) -> str:
        """The time as JSON carries it, sub-second digits kept."""
        return self.format("2006-01-02T15:04:05.999999999Z07:00")

    def __str__(self) -> str:
        return self.format("2006-01-02 15:04:05.999999999 -0700 MST")

    def go_syntax(self) -> str:
        """The time as Go source, for ``%#v``."""
        at = self.local
        place = "time.UTC" if self.zone == "UTC" else 'time.Location("")'
        return (
            f"time.Date({at.year}, time.{MONTHS[at.month - 1]}, {at.day}, "
            f"{at.hour}, {at.minute}, {at.second}, {self.nanosecond}, {place})"
        )

    def format(self, layout: str) -> str:
        """Write the time as the reference time (2 January 2006, 15:04:05 -0700) is written in ``layout``."""
        parts = []
        position = 0
        for match in _LAYOUT.finditer(layout):
            parts.append(layout[position : match.start()])
            parts.append(self._element(match[0], layout, match.start(), match.end()))
            position = match.end()
        parts.append(layout[position:])
        return "".join(parts)

    def _element(self, element: str, layout: str, start: int, end: int) -> str:
        if element in ("Jan", "Mon") and layout[end : end + 1].islower():
            return element
        if element[0] in ".,":
            follows_second = layout[:start].endswith(("05", "5"))
            return self._fraction(element) if "0" in element or follows_second else element
        if element[0] in "Z-":
            return self._written_offset(element)
        at = self.local
        hour = at.hour % 12 or 12
        table = {
            "2006": f"{at.year:04d}",
            "_2006": f"_{at.year:04d}",
            "06": f"{at.year % 100:02d}",
            "January": MONTHS[at.month - 1],
            "Jan": MONTHS[at.month - 1][:3],
            "01": f"{at.month:02d}",
            "1": str(at.month),
            "Monday": WEEKDAYS[self.weekday],
            "Mon": WEEKDAYS[self.weekday][:3],
            "02": f"{at.day:02d}",
            "_2": f"{at.day:2d}",
            "2": str(at.day),
            "002": f"{self.year_day:03d}",
            "__2": f"{self.year_day:3d}",
            "15": f"{at.hour:02d}",
            "03": f"{hour:02d}",
            "3": str(hour),
            "04": f"{at.minute:02d}",
            "4": str(at.minute),
            "05": f"{at.second:02d}",
            "5": str(at.second),
            "PM": "PM" if at.hour >= 12 else "AM",
            "pm": "pm" if at.hour >= 12 else "am",
        }
        return self.zone or _clock(self.offset, "-0700") if element == "MST" else table[element]

    def _fraction(self, element: str) -> str:
        digits = f"{self.nanosecond:09d}"[: len(element) - 1].ljust(len(element) - 1, "0")
        if element[1] == "9":
            digits = digits.rstrip("0")
        return element[0] + digits if digits else ""

    def _written_offset(self, element: str) -> str:
        if element[0] == "Z" and self.offset == 0:
            return "Z"
        return _clock(self.offset, element)


def _clock(offset: int, pattern: str) -> str:
    separator = ":" if ":" in pattern else ""
    fields = pattern.count("0", 1) and len(re.findall(r"\d\d", pattern))
    minutes, seconds = divmod(abs(offset), 60)
    hours, minutes = divmod(minutes, 60)
    written = separator.join(f"{value:02d}" for value in (hours, minutes, seconds)[:fields])
    return ("-" if offset < 0 else "+") + written


def _seconds(local: datetime) -> int:
    days = local.toordinal() - date(1970, 1, 1).toordinal()
    return days * 86400 + (local.hour * 60 + local.minute) * 60 + local.second


def _local_zone(instant: int, offset: int) -> str:
    """The abbreviation that the machine's zone has at ``instant``, if it has this very offset there."""
    try:
        there = time.localtime(instant)
    except (OverflowError, OSError, ValueError):
        return ""
    return there.tm_zone if there.tm_gmtoff == offset else ""
