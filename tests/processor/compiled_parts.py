"""Builds what is compiled for a test: with sanitizers, or with a mistake in it."""

import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEADERS = "plexstream/model/process"
SOURCES = {
    "plexstream.model.process._murmur": "plexstream/model/process/_murmur.c",
    "plexstream.processor.plain._journal": "plexstream/processor/plain/_journal.c",
    "plexstream.processor.plain._mailbox": "plexstream/processor/plain/_mailbox.c",
    "plexstream.processor.plain._restore": "plexstream/processor/plain/_restore.c",
    "plexstream.processor.plain._steps": "plexstream/processor/plain/_steps.c",
    "plexstream.processor.plain._stretch": "plexstream/processor/plain/_stretch.c",
    "plexstream.hosts.native.plain._turn": "plexstream/hosts/native/plain/_turn.c",
    "plexstream.hosts.native.plain._waits": "plexstream/hosts/native/plain/_waits.c",
    "plexstream.hosts.native.data._plain": "plexstream/hosts/native/data/_plain.c",
    "plexstream.hosts.native.data._keys": "plexstream/hosts/native/data/_keys.c",
    "plexstream.schema._compiled": "plexstream/schema/_compiled.c",
    "plexstream.node.lanes.records._mails": "plexstream/node/lanes/records/_mails.c",
    "plexstream.log.memory._records": "plexstream/log/memory/_records.c",
    "plexstream.log.kafka.appending._produce": "plexstream/log/kafka/appending/_produce.c",
}
MUTANTS = {
    "repetitions are taken": ("_mailbox", "return m->origin_seq > seq ||", "return 1 ||"),
    "numbers of origins are not noted": ("_mailbox", "if (m->from_origin) {", "if (0) {"),
    "the position stays": ("_mailbox", "FromLongLong(m->offset + 1)", "FromLongLong(m->offset)"),
    "states that expire do not": ("_mailbox", "&ttl) || ttl != 0)", "&ttl))"),
    "turns are not counted": ("_mailbox", "turns += went == 1;", ""),
    "failures are plain": ("_mailbox", "RESULT) || !is_empty(FIELD(result, CODE))", "RESULT)"),
    "timers are plain": ("_mailbox", "|| !(kind == EMIT ||", "|| !(1 ||"),
    "entries are not seen": ("_mailbox", "*entries |= PyTuple_GET_ITEM(change, 1) != Py_None;", ""),
    "asks are not answered": ("_mailbox", "m->asks = kind == ASK;", "m->asks = 0;"),
    "tells are answered": ("_mailbox", "if ((m->asks && !answer(", "if ((!answer("),
    "answers go to the sender": ("_mailbox", "(e, ID), FIELD(e, REPLY_TO),", "(e, ID), FIELD(e, SENDER),"),
    "answers have no id": ("_mailbox", "self->reply, FIELD(e, ID),", "self->reply, self->empty,"),
    "nobody waits for an answer": ("_mailbox", "m->asks ? FIELD(e, REPLY_TO) : self->empty", "self->empty"),
    "turns before one is loaded are not counted": ("_mailbox", "closed = ledger_close(self, l, *turns)",
                                                   "closed = ledger_close(self, l, 0)"),
    "turns before one is loaded are counted twice": ("_mailbox", "*turns = 0;", ""),
    "the ledger is not looked at again": ("_mailbox", "(more == Py_True && !ledger_open(self, &l))", "0"),
    "keys are not heeded": ("_mailbox", "|| !is_empty(FIELD(e, KEY))", ""),
    "headers are not heeded": ("_mailbox", "|| PyDict_GET_SIZE(headers) != 0", ""),
    "answers of later turns are plain": ("_mailbox", "!(kind == EMIT ||", "!(kind >= REPLY ||"),
    "answers are not owed": ("_journal", "went > 0 && mail && !owe", "0 && mail && !owe"),
    "callers of before are named": ("_turn", "== 0 ? Py_NewRef(self->empty)",
                                    "== 0 ? Py_NewRef(slot(turn, self->t.caller))"),
    "answers are from nobody": ("_mails", "FIELD(turn, ACTOR), state->empty,", "state->empty, state->empty,"),
    "answers have the number of another": ("_mails", "state->empty, offset,", "state->empty, number,"),
    "answers to actors go to edges": ("_mails", "== -1 ? 1 : -1;", "== -1 ? 1 : 1;"),
    "outputs are answers": ("_mails", "if (kind > ERROR)", "if (kind > ERROR + 1)"),
    "errors are no answers": ("_mails", "if (kind > ERROR)", "if (kind >= ERROR)"),
    "causes stay open": ("_journal", "if (!failed && cause >= state->low)", "if (0)"),
    "cores are not noted": ("_journal", "slot(core, self->noted) != Py_True", "0"),
    "outputs are not owed": ("_journal", "went > 0 && emit &&", "0 &&"),
    "what is owed is done": ("_journal", "if (way->last < way->done)", "if (0)"),
    "records of zombies count": ("_restore", "|| its_claim != claim", ""),
    "repetitions count": ("_restore", "&& its_ordinal == ordinal && ordinal > 0", ""),
    "outputs of a reign before are lost": ("_restore", "went > 0 && (plain.mail || plain.emit)", "0"),
    "offsets of outputs are lost": ("_restore", "PyList_Append(others_at, where) == 0 && ", ""),
    "outputs are lost": ("_restore", "&& PyList_Append(others, value) == 0", ""),
    "failed turns change state": ("_journal", "|| status != 0 ||", "||"),
    "steps weigh nothing": ("_steps", "*size += look.size;", ""),
    "causes of steps stay open": ("_steps", "if (went && look.cause >= 0", "if (0 && look.cause >= 0"),
    "steps change nothing": ("_steps", "if (went && look.core != NULL)", "if (0)"),
    "steps are on the topic": ("_steps", "|| PyDict_SetDefault(state->unsaved, key, offset) == NULL", ""),
    "ends are on the topic": ("_steps", "&& PyDict_SetDefault(state->unsaved, key, offset) != NULL", ""),
    "what the topic has is forgotten": ("_steps", "PySet_Contains(state->saved, key)", "0"),
    "what the store has is forgotten": ("_steps", "|| at < state->new_from", ""),
    "ends of an actor are pending": ("_steps", "PyDict_GET_SIZE(of_actor) == 0 &&", "0 &&"),
    "keys of steps are not heeded": ("_steps", "|| PyUnicode_GET_LENGTH(key) != 0", ""),
    "timers of steps are outputs": ("_steps", "kind > EMIT)", "kind > 99)"),
    "first steps stay": ("_steps", "number = 0; number < steps", "number = 1; number < steps"),
    "entries of steps are plain": ("_steps", "|| FIELD(change, 1) != Py_None ", ""),
    "each step has the message": ("_stretch", "look->opens || look->steps == 0 ? look->begin : Py_None",
                                  "look->begin"),
    "stretches come from nothing": ("_stretch", "FIELD(cause, 0), FIELD(cause, 1), now",
                                    "FIELD(self->no_cause, 0), FIELD(self->no_cause, 1), now"),
    "stretches have one number": ("_stretch", "FromLongLong(look.steps + 1)", "FromLongLong(look.steps)"),
    "what was asked first is forgotten": ("_stretch", "PySequence_Concat(look->unrecorded, look->commands)",
                                          "PySequence_List(look->commands)"),
    "what a stretch sends is forgotten": ("_stretch", "|| !is_empty_list(FIELD(s, 5))", ""),
    "sleeps are side effects": ("_stretch", "|| kind != self->run", ""),
    "what is asked for is done": ("_stretch", "failed = PyDict_SetItem(look.outstanding",
                                  "failed = 0 && PyDict_SetItem(look.outstanding"),
    "actors have not been used": ("_stretch", "set_slot(look.actor, self->a.time, Py_NewRef(now));", ""),
    "failures of steps are values": ("_waits", "PyTuple_GET_ITEM(completion, FAILED) != Py_False", "0"),
    "steps are named by their place": ("_waits", "Py_NewRef(name));\n    PyTuple_SET_ITEM(command, 3",
                                       "PyObject_Str(index));\n    PyTuple_SET_ITEM(command, 3"),
    "retries are those of the handler": ("_waits", "|| args[4] != Py_None", ""),
    "what is asked for is waited for": ("_waits", "|| PyDict_SetItem(unused, index, command) < 0", ""),
    "time does not go on": ("_waits", "if (moment > g->time)", "if (0)"),
    "what is sent is sent again": ("_waits", "set_slot(turn, self->u.outs, outs);", "Py_DECREF(outs);"),
    "any result will do": ("_waits", "PyTuple_GET_ITEM(completion, NUMBER)) != handle",
                           "PyTuple_GET_ITEM(completion, NUMBER)) == NULL"),
    "large results are given": ("_waits", "Py_NewRef(slot(task, self->t._max_result))",
                                "PyLong_FromLong(1 << 30)"),
    "what ends is forgotten": ("_waits", "raised();", "(PyErr_Clear(), came(RETURNED, Py_NewRef(Py_None)));"),
    "sizes are not summed": ("_turn", "total += PyBytes_GET_SIZE(f->data) - ", "total += 0 * "),
    "too much is taken": ("_turn", "(size > 0 && size + total > most)", "0"),
    "states of other code are of this": ("_turn", "if (foreign)\n            return -2;", ""),
    "changes inside are not seen": ("_turn", "value == before && is_immutable(value)", "value == before"),
    "coroutines are forgotten": ("_turn", "PyList_GET_SIZE(forgotten) == 0", "1"),
    "entries are forgotten": ("_turn", "PyList_SetSlice(patch, end, end, entries) < 0", "0"),
    "entries are not looked at": ("_turn", "PyTuple_GET_SIZE(cells) > 0\n", "0\n"),
    "outputs cost nothing": ("_turn", "room - PyBytes_GET_SIZE(data) - OUT_BYTES)", "room)"),
}  # fmt: skip
"""Mistakes in the parts: in which, and what of it stands for what."""

SANITIZED = "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"
"""What the sanitizers find ends the process."""

COMPILER = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
WITH_BUILT = """
import importlib.util, runpy, sys
from pathlib import Path
for path in Path(sys.argv.pop(1)).glob("*.so"):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[path.stem])
sys.argv[0] = sys.argv.pop(1)
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program with the parts that were built in a folder."""


def run(program, *arguments, folder=None, **environment):
    """Run a program, with the parts that were built in `folder`."""
    built = ["-c", WITH_BUILT, str(folder)] if folder else []
    command = [sys.executable, *built, str(program), *map(str, arguments)]
    environment = {**os.environ, "PYTHONHASHSEED": "0", "PLEXSTREAM_COMPILED": "1", **environment}
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)


def build(name, folder, *flags, change=None):
    """Compile one part, perhaps with a change, (old, new), of its source or of what that includes."""
    source = ROOT / SOURCES[name]
    found = re.findall(r'"(?:[./]+model/process/)?(\w+\.h)"', source.read_text())
    texts = {file.name: file.read_text() for file in (source, *(ROOT / HEADERS / header for header in found))}
    if change is not None:
        stands = [file for file, text in texts.items() if change[0] in text][:1]
        count = sum(texts[file].count(change[0]) for file in stands)
        assert count == 1, f"{change[0]!r} stands {count} times in {source} and what that includes"
        texts[stands[0]] = texts[stands[0]].replace(*change)
    for file, text in texts.items():
        (folder / file).write_text(re.sub(r'"[./]+model/process/(\w+\.h)"', r'"\1"', text))
    changed = folder / source.name
    include = [f"-I{sysconfig.get_path('include')}", f"-I{ROOT / HEADERS}"]
    target = folder / f"{name}.so"
    command = [COMPILER, "-shared", "-fPIC", "-O1", "-g", *flags, *include, str(changed), "-o", str(target)]
    if sys.platform == "darwin":
        command += ["-undefined", "dynamic_lookup"]
    subprocess.run(command, check=True)


def sanitizers():
    """The environment of a program whose parts were built `SANITIZED`."""
    # That of C++ before its users are: greenlet throws.
    found = [
        subprocess.run([COMPILER, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
        for name in ("libasan.so", "libstdc++.so.6")
    ]
    libraries = [done.stdout.strip() for done in found]
    assert all(Path(name).is_absolute() for name in libraries), "the compiler comes without AddressSanitizer"
    # Leaks are those of the interpreter, which frees not all at its end.
    return {
        "LD_PRELOAD": " ".join(libraries), "PYTHONMALLOC": "malloc", "ASAN_OPTIONS": "detect_leaks=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }  # fmt: skip


def build_mutant(folder, mutant):
    """Compile the part that a mutant is of, with its mistake."""
    part, *change = MUTANTS[mutant]
    build(next(name for name in SOURCES if name.endswith(part)), folder, change=change)
