"""Time stamps: the usual kinds are found and read."""

from __future__ import annotations

import math
import tarfile
import time
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from offscript.model.errors import InputError
from offscript.model.logs import read_lines
from offscript.model.timestamps import TimeReader, find_format, parse_time, without_stamp

DATED = [
    ("2026-11-23 08:07:00.123 UTC [5] LOG:  x", "iso@0", "2026-11-23T08:07:00.123Z"),
    ("2026-11-23 08:07:00 CET [5] LOG:  x", "iso@0", "2026-11-23T07:07:00Z"),
    ("2026-11-23T08:07:00,5+01:00 x", "iso@0", "2026-11-23T07:07:00.5Z"),
    ("2026-11-23T08:07:00Z x", "iso@0", "2026-11-23T08:07:00Z"),
    ("[2026-11-23 08:07:00] x", "iso@0", "2026-11-23T08:07:00Z"),
    ("2026/11/23 08:07:00 [error] 5#5: x", "iso@0", "2026-11-23T08:07:00Z"),
    ("2016-09-28 04:30:30, Info  CBS", "iso@0", "2016-09-28T04:30:30Z"),
    ("<34>1 2003-10-11T22:14:15.003Z host x", "iso@0", "2003-10-11T22:14:15.003Z"),
    ("web_1  | 2026-11-23T08:07:00Z x", "iso@2", "2026-11-23T08:07:00Z"),
    ("2005-06-03-15.42.50.675872 RAS x", "dotted@0", "2005-06-03T15:42:50.675872Z"),
    ("20171223-22:15:29:606|Step_LSC|x", "basic@0", "2017-12-23T22:15:29.606Z"),
    ("20261123T080700Z x", "basic@0", "2026-11-23T08:07:00Z"),
    ("[Sun Dec 04 04:47:44 2005] [notice] x", "ctime@0", "2005-12-04T04:47:44Z"),
    ("[Sun Dec 04 04:47:44.5 2005] [notice] x", "ctime@0", "2005-12-04T04:47:44.5Z"),
    ('1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] "GET /"', "day_month@3", "2000-10-10T20:55:36Z"),
    ("23-Nov-2026 08:07:00.123 x", "day_month@0", "2026-11-23T08:07:00.123Z"),
    ("Mon, 23 Nov 2026 08:07:00 GMT x", "day_month@0", "2026-11-23T08:07:00Z"),
    ("11/23/2026 8:07:00 PM x", "american@0", "2026-11-23T20:07:00Z"),
    ("23.11.2026 08:07:00 x", "european@0", "2026-11-23T08:07:00Z"),
    ("17/06/09 20:10:40 INFO x", "short@0", "2017-06-09T20:10:40Z"),
    ("081109 203615 148 INFO x", "hdfs@0", "2008-11-09T20:36:15Z"),
    ("- 1117838570 2005.06.03 x", "epoch@1", "2005-06-03T22:42:50Z"),
    ("1117838570.5 x", "epoch@0", "2005-06-03T22:42:50.5Z"),
    ("1117838570123 x", "epoch@0", "2005-06-03T22:42:50.123Z"),
    ("Nov 23 2025 08:07:00 host x", "syslog@0", "2025-11-23T08:07:00Z"),
]


@pytest.mark.parametrize(("line", "name", "moment"), DATED)
def test_a_usual_stamp_is_found_and_read(line: str, name: str, moment: str) -> None:
    assert find_format([line, line.replace("x", "y")]) == name

    rows, moments, _ = TimeReader(name).read(["no stamp", line, ""])

    assert rows == [1]
    assert moments[0] == pytest.approx(datetime.fromisoformat(moment).timestamp(), abs=1e-5)


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("%b %d %H:%M:%S host x", "syslog@0"),
        ("<13>%b %d %H:%M:%S host x", "syslog@0"),
        ("%m-%d %H:%M:%S.811  1702 x", "month_day@0"),
        ("[%m.%d %H:%M:%S] chrome.exe x", "month_day@0"),
        ("I%m%d %H:%M:%S.811    1 x.go:5] x", "klog@0"),
    ],
)
@pytest.mark.parametrize("days", [0, 1, 100, 300])
def test_a_stamp_without_a_year_is_of_the_last_twelve_months(
    form: str, name: str, days: int
) -> None:
    moment = datetime.fromtimestamp(int(time.time()), UTC) - timedelta(days=days)
    line = moment.strftime(form)

    assert find_format([line]) == name
    _, moments, _ = TimeReader(name).read([line])

    assert list(map(int, moments)) == [moment.timestamp()]


def test_time_goes_on_at_new_year_and_at_midnight() -> None:
    syslog, clock = TimeReader("syslog@0"), TimeReader("clock@0")

    _, year, _ = syslog.read(["Dec 31 23:59:59 a", "Jan  1 00:00:00 b", "Dec 31 23:59:59 c"])
    _, evening, _ = clock.read(["23:59:59 a"])
    _, night, _ = clock.read(["00:00:00 b"])

    assert np.diff(year).tolist() == [1.0, -1.0]
    assert night[0] - evening[0] == 1.0


@pytest.mark.parametrize("together", [1, 5000])
def test_a_time_of_day_that_comes_again_is_of_another_day(together: int) -> None:
    reader = TimeReader("clock@0")
    every = [60.0 * minute for minute in range(3 * 1440)]
    lines = [f"{time.strftime('%H:%M:%S', time.gmtime(moment))} tick" for moment in every]
    moments: list[float] = []
    for first in range(0, len(lines), together):
        moments += reader.read(lines[first : first + together])[1]
    assert np.array_equal(np.subtract(moments, moments[0]), every)


def test_the_stamp_is_taken_out_of_the_line() -> None:
    _, _, rest = TimeReader("day_month@3").read(
        ['1.2.3.4 - - [10/Oct/2000:13:55:36 -0700] "GET /"']
    )

    assert rest == ['1.2.3.4 - -  "GET /"']


def test_a_line_without_the_stamp_is_left_out_and_an_impossible_stamp_is_nan() -> None:
    lines = ["    at Main.main(Main.java:5)", "2026-13-45 08:07:00 x", "", "2026-11-23 08:07:00"]

    rows, moments, rest = TimeReader("iso@0").read(lines)

    assert rows == [1, 3]
    assert np.isnan(moments).tolist() == [True, False]
    assert rest == [" x", ""]
    assert TimeReader("iso@0").read([]) == TimeReader("iso@0").read([""]) == ([], [], [])


def test_the_words_before_a_stamp_are_of_its_own_line() -> None:
    rows, _, rest = TimeReader("iso@2").read(
        ["a", "b 2026-11-23 08:07:00 x", "c d 2026-11-23 8:7:0 y"]
    )

    assert rows == [2]
    assert rest == ["c d  y"]


def test_indented_continuations_may_be_many_but_other_lines_may_not() -> None:
    stamped = "2026-11-23 08:07:00 ERROR boom"

    assert find_format([stamped, *["\tat Main.main(Main.java:5)"] * 9]) == "iso@0"
    assert find_format([stamped, *["an event of its own"] * 9]) is None


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(InputError, match="unknown time stamp 'sundial@0'"):
        TimeReader("sundial@0")


def test_a_field_may_be_text_or_a_number_of_any_scale() -> None:
    moment = 1_700_000_000.5

    for value in (moment, moment * 1e3, moment * 1e6, str(moment), "2023-11-14T22:13:20.5Z"):
        assert parse_time(value) == pytest.approx(moment)
    assert parse_time(int(moment) * 10**9) == int(moment)
    nothings: list[object] = [None, True, [], "soon", float("nan"), float("inf"), 10**400]
    for nothing in nothings:
        assert math.isnan(parse_time(nothing))


def test_the_stamps_of_all_public_samples_are_found(data: Path, tmp_path: Path) -> None:
    with tarfile.open(data / "raw" / "loghub_2k.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    found = {}
    for path in sorted(tmp_path.rglob("*_2k.log")):
        lines = list(islice(read_lines([path]), 300))
        name = find_format(lines[:1000])
        assert name is not None, path
        reader = TimeReader(name)
        _, times, _ = reader.read(lines)
        assert len(times) == len(lines), path
        assert not any(math.isnan(moment) for moment in times), path
        found[path.stem.removesuffix("_2k")] = name

    assert found == {
        "Android": "month_day@0",
        "Apache": "ctime@0",
        "BGL": "epoch@1",
        "HDFS": "hdfs@0",
        "HPC": "epoch@4",
        "Hadoop": "iso@0",
        "HealthApp": "basic@0",
        "Linux": "syslog@0",
        "Mac": "syslog@0",
        "OpenSSH": "syslog@0",
        "OpenStack": "iso@1",
        "Proxifier": "month_day@0",
        "Spark": "short@0",
        "Thunderbird": "epoch@1",
        "Windows": "iso@0",
        "Zookeeper": "iso@0",
    }


def test_a_line_is_read_without_the_stamp_that_it_begins_with() -> None:
    assert without_stamp("2026-11-23 10:34:48.735 UTC [6b04] LOG: up").strip() == "[6b04] LOG: up"
    assert without_stamp("Dec 10 06:55:46 host sshd: up").strip() == "host sshd: up"
    assert without_stamp("up since 10:34:48") == "up since 10:34:48"
