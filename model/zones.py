"""Names of time zones in logs."""

from __future__ import annotations

# Hours from UTC. Of names that stand for several zones, the one in North America.
ZONES = {
    **dict.fromkeys(("Z", "UTC", "GMT", "WET"), 0.0),
    **dict.fromkeys(("CET", "WEST", "BST"), 1.0),
    **dict.fromkeys(("CEST", "EET", "SAST"), 2.0),
    **dict.fromkeys(("EEST", "MSK"), 3.0),
    **dict.fromkeys(("SGT", "HKT", "AWST"), 8.0),
    **dict.fromkeys(("JST", "KST"), 9.0),
    **dict.fromkeys(("MST", "PDT"), -7.0),
    **dict.fromkeys(("CST", "MDT"), -6.0),
    **dict.fromkeys(("EST", "CDT"), -5.0),
    "IST": 5.5,
    "AEST": 10.0,
    "AEDT": 11.0,
    "NZST": 12.0,
    "NZDT": 13.0,
    "BRT": -3.0,
    "EDT": -4.0,
    "PST": -8.0,
    "AKST": -9.0,
    "HST": -10.0,
}
