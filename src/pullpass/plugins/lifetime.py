"""How long a credential still lives, by the time on the wire: datetime takes longer to load."""

from __future__ import annotations

from time import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pullpass.plugins.transport import Answer


def remaining(answer: Answer) -> float | None:
    """Seconds until the credential in ``answer`` expires; None where no end is known, and 0 where
    its end cannot be read.
    """
    if not isinstance(answer.fields, dict) or answer.fields.get("expires") is None:
        return None
    expires = answer.text("expires")
    # YYYY-MM-DDTHH:MM:SS[.mmm]Z, always UTC.
    if len(expires) < 20 or expires[4::3][:5] != "--T::" or expires[-1] != "Z":
        return 0.0
    numbers = [expires[start : start + 2] for start in (5, 8, 11, 14, 17)]
    if not all(number.isdecimal() for number in (expires[:4], *numbers)):
        return 0.0
    month, day, hour, minute, second = map(int, numbers)
    days = _days(int(expires[:4]), month, day)
    return max(0.0, days * 86400 + hour * 3600 + minute * 60 + second - time())


def _days(year: int, month: int, day: int) -> int:
    """Days since 1970 (Richards' algorithm, Explanatory Supplement to the Astronomical Almanac)."""
    before_march = (14 - month) // 12
    year, month = year + 4800 - before_march, month + 12 * before_march - 3
    leap_days = year // 4 - year // 100 + year // 400
    return day + (153 * month + 2) // 5 + 365 * year + leap_days - 32045 - 2440588
