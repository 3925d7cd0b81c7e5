"""``plexstream timers``: the next first, of all actors or of one."""

from __future__ import annotations

import json
import signal

APP = '''
from plexstream import actor, cron, handler, host


@actor
class Alarm:
    @handler("set")
    def set(self, after: float) -> None:
        host.alarm.set_in(after)
        host.remind("tea", "brew", every=86400, misfire="skip", cups=2)
        host.send_after(after + 50, "brew", to="alarm/other")

    @handler("__alarm__")
    def ring(self) -> None: ...

    @handler("brew")
    def brew(self, cups: int = 1) -> None: ...

    @cron("0 3 1 1 *", tz="Europe/Berlin")
    @handler("yearly")
    def yearly(self) -> None: ...
'''


def test_timers(cli, serving, tmp_path):
    app, data = tmp_path / "app.py", str(tmp_path / "data-0")
    app.write_text(APP)
    node = serving("dev", str(app))
    node.call("alarm/a/set", after=1000)
    node.call("alarm/b/set", after=900)
    assert node.end(signal.SIGTERM) == 0

    rows = json.loads(cli("timers", "--data", data, "--json").stdout)
    assert [r["due"] for r in rows] == sorted(r["due"] for r in rows)
    near = [(r["actor"].split("/", 2)[2], r["id"]) for r in rows if r["id"] == "$alarm"]
    assert near == [("alarm/b", "$alarm"), ("alarm/a", "$alarm")]
    assert len(rows) == 8
    (tea,) = json.loads(cli("timers", "alarm/a", "--data", data, "--json", "-n", "3").stdout)[2:]
    assert (tea["id"], tea["handler"], tea["arguments"]) == ("$remind/tea", "brew", {"cups": 2})
    assert tea["schedule"] == {"every": 86_400_000, "misfire": "skip"}

    said = cli("timers", "alarm/a", "--data", data)
    lines = said.stdout.splitlines()
    assert [line.split()[2] for line in lines[1:] if "alarm/a" in line]
    for text in ("alarm/other brew", "every 86400 s, misfire skip", "0 3 1 1 * Europe/Berlin", "__alarm__"):
        assert text in said.stdout
    assert "4 timers" in said.stderr
    assert "8 timers; 1 are shown" in cli("timers", "-n", "1", "--data", data).stderr
    assert "0 timers" in cli("timers", "alarm/nobody", "--data", data).stderr


def test_a_wrong_expression_keeps_the_node_from_starting(cli, tmp_path):
    app = tmp_path / "app.py"
    app.write_text(APP.replace("0 3 1 1 *", "0 3 1 13 *"))
    said = cli("dev", str(app), "--data", str(tmp_path / "data"), code=2).stderr
    assert "Alarm.yearly: @cron('0 3 1 13 *')" in said
    assert "the month '13' is wrong: 1 to 12 or jan to dec" in said
