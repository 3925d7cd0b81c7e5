"""One handler that waits, run by a host alone: its steps are noted as a processor would, and fed again."""

import json

from disk import ADDRESS, Disk

from plexstream.hosts.native import NativeHost
from plexstream.model.host import Result, Suspended
from plexstream.model.journal.journal import (
    DONE,
    WAITING,
    Begin,
    CommandKind,
    Completion,
    Control,
    Step,
)

ASK, RUN, SLEEP, AWAKEABLE, PROMISE, VALUE = CommandKind


def host_of(cls, **options):
    return NativeHost({cls.__plexstream__.name: cls.__plexstream__}, **options)


def kinds(commands):
    return [CommandKind(c.kind) for c in commands]


class Run:
    """A handler from its first step on.

    Attributes:
        outcome: the latest, of the host.
        steps: what a journal would have.
        open: commands that are not done.
        effects: to be run, by number.
        sent, changed: everything that left with its steps.
    """

    def __init__(self, cls, handler, *, now=1000, sender="", chain="", host=None, **arguments):
        self.cls = cls
        self.host = host or host_of(cls)
        self.disk = Disk()
        self.begin = Begin(
            1, "m", handler, json.dumps(arguments).encode(), sender, "edge", "", now, chain, None
        )
        self.now = now
        self.steps = []
        self.open = {}
        self.effects = {}
        self.sent = []
        self.changed = []
        self._unrecorded = []
        self.instance = self._activate()
        b = self.begin
        self._take(self.host.invoke(self.instance, handler, b.payload, 1, now, sender, "m", False, chain), [])

    def _activate(self):
        return self.host.activate(self.cls.__plexstream__.name, ADDRESS, self.disk.fields, self.disk)

    def _take(self, outcome, completions):
        self.outcome = outcome
        self.sent += outcome.outs
        self.changed += outcome.patch
        done = []
        if type(outcome) is Suspended:
            done = outcome.done
            self._unrecorded += outcome.commands
            self.open |= {c.number: c for c in outcome.commands}
            for completion in done:
                self.open.pop(completion.number, None)
            self.effects.update(outcome.effects)
            if not completions and not done and not outcome.outs and set(kinds(self._unrecorded)) <= {RUN}:
                return  # the record comes with their results
        self._record(WAITING if type(outcome) is Suspended else DONE, [*completions, *done], outcome.outs)

    def _record(self, status, completions, outs=()):
        number = len(self.steps)
        commands, self._unrecorded = self._unrecorded, []
        self.steps.append(Step(
            1, ADDRESS, 1, "", -1, self.now, status, False, "", [], self.begin.handler, "", "", 0, "", 0, 0,
            list(outs), 1, number, 0, self.begin if number == 0 else None, commands, completions,
        ))  # fmt: skip

    def complete(self, number, value=None, *, error="", ms=10):
        """A command is done; returns the outcome."""
        self.open.pop(number, None)
        self.effects.pop(number, None)
        self.now += ms
        body = {"code": error, "detail": "no"} if error else value
        completion = Completion(number, bool(error), json.dumps(body).encode())
        task = self.outcome.task
        self._take(self.host.resume(task, completion, self.now), [completion])
        return self.outcome

    def cancel(self):
        return self.complete(Control.CANCEL, error="cancelled")

    def run_effects(self):
        """Run everything that is to be run, in order, until nothing is."""
        while self.effects and type(self.outcome) is Suspended:
            number, effect = next(iter(self.effects.items()))
            result = effect.run(1, 0)
            assert result.retry_after < 0
            body = json.loads(result.value)
            if result.failed:
                self.complete(number, error=body["code"])
            else:
                self.complete(number, body)
        return self.outcome

    def value(self):
        assert type(self.outcome) is Result, "it waits still"
        assert self.outcome.code == "", self.outcome.detail
        return json.loads(self.outcome.value)

    def again(self, steps=None, cls=None):
        """The same handler, perhaps with other code, run again from a history."""
        steps = self.steps if steps is None else self.steps[:steps]
        host = host_of(cls or self.cls)
        type_name = (cls or self.cls).__plexstream__.name
        instance = host.activate(type_name, ADDRESS, {}, Disk())
        return host, host.replay(instance, self.begin, 1, steps)
