"""A drain reads Spark's page, however long that is; stand-ins are Spark and its page."""

from __future__ import annotations

import pathlib
import re
import socket

import pytest
import rig
from sleeping_pod import pod_beside
from spark_stand_in import SparkPage

POLLS = 3


def said(pod: rig.Sparkpod) -> list[str]:
    """Return what was logged of the drain."""
    return re.findall(r" drain: (\d.*)", pod.stderr)


@pytest.mark.parametrize("paged", [True, False], ids=["in pages", "all on one page"])
def test_ten_thousand_statements_are_waited_for(paged: bool, work: pathlib.Path) -> None:
    page = SparkPage(500, 10_000, POLLS, paged=paged)
    with pod_beside(page, work) as (pod, _):
        pod.term()
        assert pod.wait() == 0
    assert said(pod) == ["10000 statements running", "0 statements running"]
    assert len(page.asked) == POLLS + 2
    assert (page.sent < 10_000) == paged, "one row of each table is enough"


def test_a_count_that_is_out_of_reach_ends_nothing(work: pathlib.Path) -> None:
    """Two clients: one that comes from this machine may be our own."""
    page = SparkPage(500, 10_000, POLLS, before=5_000_000)
    with pod_beside(page, work) as (pod, listener):
        clients = [socket.create_connection(listener.getsockname()) for _ in range(2)]
        pod.term()
        pod.wait_until(lambda: len(page.asked) > POLLS + 2)
        assert said(pod) == ["1 client connected"]
        assert pod.stderr.count("the page /sqlserver/ cannot be read") == 1
        for client in clients:
            client.close()
            listener.accept()[0].close()
        assert pod.wait() == 0
        assert said(pod) == ["1 client connected", "0 clients connected"]
