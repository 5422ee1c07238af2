"""Dynamic allocation, by values alone."""

from __future__ import annotations

import time

from faults import DYNAMIC, Alone


def test_executors_come_with_a_query_and_go_after_it(alone: Alone) -> None:
    """None at first, the most that is allowed for a query of many tasks, none again when idle, though
    the query left shuffle data."""
    alone.serve(*DYNAMIC)
    alone.kubectl.until("there is no executor", lambda: not alone.pods("executor"))
    slow = "SELECT id % 3 AS k, reflect('java.lang.Thread', 'sleep', 1000L) AS r FROM range(0, 16, 1, 16)"
    statement = f"SELECT k, count(r) FROM ({slow}) GROUP BY k"
    begin = time.monotonic()
    query = alone.client.start(*alone.client.beeline(statement))
    most = 0
    while query.poll() is None:
        most = max(most, len(alone.pods("executor")))
        time.sleep(0.5)
    ended = time.monotonic()
    assert query.returncode == 0, query.communicate()
    alone.kubectl.until("there is no executor again", lambda: not alone.pods("executor"))
    gone = time.monotonic()
    print(f"0, then {most} during {ended - begin:.0f} s of a query, 0 again {gone - ended:.0f} s later")
    assert most == 2
