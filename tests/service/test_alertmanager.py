"""What Alertmanager refuses; tests/service/test_sink.py has a real one that takes what it hears."""

from __future__ import annotations

import json
import time

import pytest

from offscript.model.errors import InputError
from offscript.service.alertmanager import Alertmanager
from offscript.service.delivery import RefusedError
from offscript.service.store import Store
from offscript.tests.service.alerts import other
from offscript.tests.service.receivers import Receiver


def test_an_alert_that_alertmanager_refuses_keeps_no_other_back(store: Store) -> None:
    no, yes = (400, dict[str, str]()), (200, dict[str, str]())
    receiver = Receiver([no, yes, no, yes, no, yes])
    store.write([other(n, observed=f"o{n}") for n in range(4)])
    sink = Alertmanager(receiver.url, store)
    sent = [sink.send(time.time()) for _ in range(2)]
    sink.close()
    receiver.stop()
    bodies = [[alert["labels"]["observed"] for alert in json.loads(b)] for b in receiver.bodies]

    assert [len(body) for body in bodies] == [4, 2, 2, 1, 1, 3]
    (bad,) = bodies[4]
    assert bad not in bodies[5], "it is not sent again"
    assert [(one.taken, len(one.refused)) for one in sent] == [(3, 1), (3, 0)]
    assert "answered 400" in sent[0].refused[0]


def test_what_is_no_url_is_refused_as_it_was_given(store: Store) -> None:
    with pytest.raises(InputError, match=r"expected a URL like .*, got 'foo'$"):
        Alertmanager("foo", store)


def test_an_alertmanager_that_takes_nothing_is_tried_again_with_all(store: Store) -> None:
    receiver = Receiver([(404, {})])
    store.write([other(n, observed=f"o{n}") for n in range(2)])
    sink = Alertmanager(receiver.url, store)
    for _ in range(2):
        with pytest.raises(RefusedError, match="answered 404"):
            sink.send(time.time())
    sink.close()
    receiver.stop()

    assert [len(json.loads(body)) for body in receiver.bodies] == [2, 2]
