/*
 * A journal folded as it stands on the log: the bytes of a plain turn become its actor's fields, and no turn is made.
 *
 * It works on the very objects of the Python code, which says what is right: `Restore.take`, `Fold.take`,
 * `Pieces.apply`, and the codec for what bytes are a turn (`schema/records/turn.py`). A record is read to its end before
 * anything is changed for it. Where it is not a turn as most are (that of a message, the next of the reign, with
 * changes of plain fields alone, which sends messages and outputs alone), nothing has been done for it, and the
 * caller has it done in Python.
 */
#include "../../model/process/reading.h"
#include "../../model/process/slots.h"
#include <string.h>

enum { LAST_MAIL = 3, EMIT = 4 };
enum { NAMES = 64 };
enum { ABSENT = 0, SOME = 2 };                             /* the branches of a union, as they stand in a record */

typedef struct {
    PyObject_HEAD
    PyTypeObject *core, *inbox;
    PyObject *prefix, *mailbox;                            /* bytes: what turns begin with, their cause's topic */
    PyObject *offset_of, *value_of;                        /* names of what a record of the log has */
    Py_ssize_t fields, offset, seq, time, noted;           /* of a core */
    Py_ssize_t low, since;                                 /* of an inbox, as the fold has it */
    PyObject *names[NAMES];                                /* of fields, met before */
    PyTypeObject *record;                                  /* tuples that records were last, with these places */
    Py_ssize_t offset_at, value_at;
} Restoring;

/* What of a plain turn is folded. */
typedef struct {
    const char *actor;
    Py_ssize_t actor_size;
    int64_t seq, cause, time;
    const unsigned char *patch;                            /* where its first block of changes begins */
    int mail, emit;
} Plain;

/* Text that a record may have; what it says is of no matter here. */
static int
is_text(const char *data, Py_ssize_t size)
{
    for (Py_ssize_t i = 0; i < size; i++)
        if (data[i] & 128) {
            PyObject *text = PyUnicode_DecodeUTF8(data, size, "strict");
            PyErr_Clear();
            Py_XDECREF(text);
            return text != NULL;
        }
    return 1;
}

static int
pass_text(In *in)
{
    Py_ssize_t size;
    const char *data = get_bytes(in, &size);
    return data != NULL && is_text(data, size);
}

static int
pass_bytes(In *in)
{
    Py_ssize_t size;
    return get_bytes(in, &size) != NULL;
}

static int
pass_long(In *in)
{
    int64_t n;
    return get_long(in, &n);
}

static int
byte_is(In *in, unsigned char wanted)
{
    return in->at != in->end && *in->at++ == wanted;
}

/* How many items the next block of an array has: 0, it ends; -1: it is none that is written today. */
static int64_t
next_block(In *in)
{
    int64_t count, size;
    if (in->at != in->end && *in->at == 0) {
        in->at++;
        return 0;
    }
    return get_long(in, &count) && count < 0 && count != INT64_MIN && get_long(in, &size) && size >= 0 ? -count : -1;
}

/* A change of a plain field that is set; 0: it is another. */
static int
get_change(In *in, const char **name, Py_ssize_t *name_size, const char **value, Py_ssize_t *size)
{
    return (*name = get_bytes(in, name_size)) != NULL && byte_is(in, ABSENT) && byte_is(in, SOME)
        && (*value = get_bytes(in, size)) != NULL;
}

static int
pass_changes(In *in)
{
    const char *name, *value;
    Py_ssize_t name_size, size;
    int64_t count;
    while ((count = next_block(in)) > 0)
        for (; count > 0; count--)
            if (!get_change(in, &name, &name_size, &value, &size) || !is_text(name, name_size))
                return 0;
    return count == 0;
}

static int
pass_outs(In *in, int *mail, int *emit)
{
    int64_t count, kind;
    *mail = *emit = 0;
    while ((count = next_block(in)) > 0)
        for (; count > 0; count--) {
            if (!get_long(in, &kind) || kind < 0 || kind > EMIT || !pass_text(in) || !pass_text(in) || !pass_text(in)
                    || !pass_bytes(in) || !pass_text(in) || !pass_text(in) || !pass_long(in))
                return 0;
            *(kind <= LAST_MAIL ? mail : emit) = 1;
        }
    return count == 0;
}

/* Whether a record is a plain turn of the reign `claim`, and the one that comes next in it. */
static int
read_plain(Restoring *self, PyObject *value, long long claim, long long ordinal, Plain *plain)
{
    Py_ssize_t prefix = PyBytes_GET_SIZE(self->prefix), size = PyBytes_GET_SIZE(value);
    const char *data = PyBytes_AS_STRING(value), *topic;
    if (size < prefix || memcmp(data, PyBytes_AS_STRING(self->prefix), (size_t)prefix) != 0)
        return 0;
    In in = {(const unsigned char *)data + prefix, (const unsigned char *)data + size};
    int64_t its_claim, its_ordinal;
    if (!get_long(&in, &its_claim) || its_claim != claim)
        return 0;
    if ((plain->actor = get_bytes(&in, &plain->actor_size)) == NULL || !get_long(&in, &plain->seq))
        return 0;
    if ((topic = get_bytes(&in, &size)) == NULL || size != PyBytes_GET_SIZE(self->mailbox)
            || memcmp(topic, PyBytes_AS_STRING(self->mailbox), (size_t)size) != 0)
        return 0;
    if (!get_long(&in, &plain->cause) || plain->cause < 0 || !get_long(&in, &plain->time))
        return 0;
    /* Done, its state not dropped before, and without an idempotency key. */
    if (!byte_is(&in, 0) || !byte_is(&in, 0) || !byte_is(&in, 0))
        return 0;
    plain->patch = in.at;
    if (!pass_changes(&in))
        return 0;
    /* Handler, id, sender, kind, origin, its number and place */
    if (!pass_text(&in) || !pass_text(&in) || !pass_text(&in) || !pass_long(&in) || !pass_text(&in)
            || !pass_long(&in) || !pass_long(&in) || !pass_outs(&in, &plain->mail, &plain->emit))
        return 0;
    return get_long(&in, &its_ordinal) && its_ordinal == ordinal && ordinal > 0 && in.at == in.end;
}

/* Where records of a type have offset and value, if they are named tuples; else -1. */
static int
know_records(Restoring *self, PyTypeObject *type)
{
    self->offset_at = self->value_at = -1;
    if (PyType_IsSubtype(type, &PyTuple_Type)) {
        PyObject *fields = PyObject_GetAttrString((PyObject *)type, "_fields");
        if (fields == NULL) {
            if (!PyErr_ExceptionMatches(PyExc_AttributeError))
                return 0;
            PyErr_Clear();
        } else if (PyTuple_Check(fields)) {
            self->offset_at = PySequence_Index(fields, self->offset_of);
            self->value_at = PySequence_Index(fields, self->value_of);
            PyErr_Clear();                                 /* one without them has its own way */
        }
        Py_XDECREF(fields);
    }
    Py_XSETREF(self->record, (PyTypeObject *)Py_NewRef(type));
    return 1;
}

/* An attribute of a record, which is at the place `at` of those that are known. A new reference. */
static PyObject *
get_part(PyObject *record, Py_ssize_t at, PyObject *name)
{
    return at >= 0 && at < PyTuple_GET_SIZE(record) ? Py_NewRef(PyTuple_GET_ITEM(record, at))
                                                    : PyObject_GetAttr(record, name);
}

/* The name of a field: nearly always one that was met before. A new reference. */
static PyObject *
field_name(Restoring *self, const char *data, Py_ssize_t size)
{
    unsigned place = (unsigned)size * 31;
    if (size > 0)
        place += (unsigned char)data[0] * 7 + (unsigned char)data[size - 1];
    PyObject **known = &self->names[place % NAMES];
    Py_ssize_t known_size;
    const char *text = *known == NULL ? NULL : PyUnicode_AsUTF8AndSize(*known, &known_size);
    if (text != NULL && known_size == size && memcmp(text, data, (size_t)size) == 0)
        return Py_NewRef(*known);
    PyObject *name = PyUnicode_DecodeUTF8(data, size, "strict");
    if (name != NULL)
        Py_XSETREF(*known, Py_NewRef(name));
    return name;
}

static int
set_fields(Restoring *self, PyObject *fields, In in)
{
    int64_t count;
    while ((count = next_block(&in)) > 0)
        for (; count > 0; count--) {
            const char *data, *its_value;
            Py_ssize_t size, its_size;
            if (!get_change(&in, &data, &size, &its_value, &its_size))
                return 0;                                  /* never: it was read before */
            PyObject *name = field_name(self, data, size);
            PyObject *value = name == NULL ? NULL : PyBytes_FromStringAndSize(its_value, its_size);
            int failed = value == NULL || PyDict_SetItem(fields, name, value) < 0;
            Py_XDECREF(name);
            Py_XDECREF(value);
            if (failed)
                return 0;
        }
    return 1;
}

typedef struct {
    PyObject *cores, *dirty, *unsaved;                     /* of the pieces */
    PyObject *inbox, *load;                                /* `load` finds the fields of an actor, and keeps them */
    long long low;
} State;

static int
note_cause(Restoring *self, State *state, int64_t cause)
{
    if (cause < state->low)
        return 1;
    PyObject *number = PyLong_FromLongLong(cause);
    int done = number != NULL && PySet_Add(slot(state->inbox, self->since), number) == 0;
    Py_XDECREF(number);
    return done;
}

static int
set_number(PyObject *core, Py_ssize_t at, int64_t number)
{
    PyObject *object = PyLong_FromLongLong(number);
    if (object == NULL)
        return 0;
    set_slot(core, at, object);
    return 1;
}

/* 1: it is folded; 0: that is not for here, and nothing has been done; -1: an error. `at`: where it stands. */
static int
fold_plain(Restoring *self, State *state, Plain *plain, const unsigned char *end, PyObject *at)
{
    PyObject *actor = PyUnicode_DecodeUTF8(plain->actor, plain->actor_size, "strict");
    if (actor == NULL) {
        if (PyErr_ExceptionMatches(PyExc_MemoryError))
            return -1;
        PyErr_Clear();
        return 0;
    }
    PyObject *core = Py_XNewRef(PyDict_GetItemWithError(state->cores, actor));
    if (core == NULL && !PyErr_Occurred())
        core = PyObject_CallOneArg(state->load, actor);
    if (core == NULL) {
        /* Python meets the same error, at this record; what was folded before is told. */
        PyErr_Clear();
        Py_DECREF(actor);
        return 0;
    }
    PyObject *fields = Py_IS_TYPE(core, self->core) ? slot(core, self->fields) : NULL;
    int went = fields != NULL && PyDict_CheckExact(fields);
    if (went > 0) {
        Py_INCREF(fields);
        if (!note_cause(self, state, plain->cause) || !set_fields(self, fields, (In){plain->patch, end})
                || !set_number(core, self->seq, plain->seq) || !set_number(core, self->time, plain->time))
            went = -1;
        Py_DECREF(fields);
    }
    if (went > 0) {
        set_slot(core, self->offset, Py_NewRef(at));
        if (slot(core, self->noted) != Py_True) {
            set_slot(core, self->noted, Py_NewRef(Py_True));
            if (PyDict_SetItem(state->dirty, actor, core) < 0
                    || PyDict_SetDefault(state->unsaved, actor, at) == NULL)
                went = -1;
        }
    }
    Py_DECREF(core);
    Py_DECREF(actor);
    return went;
}

static int
keep_owed(PyObject *others_at, PyObject *others, PyObject *owe, PyObject *where, PyObject *value, Plain *plain)
{
    if (!plain->mail)
        return PyList_Append(others_at, where) == 0 && PyList_Append(others, value) == 0;
    PyObject *kept = PyObject_CallFunctionObjArgs(owe, where, value, Py_True, plain->emit ? Py_True : Py_False, NULL);
    Py_XDECREF(kept);
    return kept != NULL;
}

PyDoc_STRVAR(restore_doc,
"restore(records, at, end, next, claim, ordinal, others_at, others, owe, cores, dirty, unsaved, inbox, load) -> at\n\n"
"Fold records of the journal, from the one at place `at` on, which must stand at `next`, and return the place of the\n"
"first that stands at `end`, or is not a plain turn which counts. `ordinal`: the number that comes.\n"
"What sends outputs alone goes to `others`, and its offset to `others_at`; `owe(offset, bytes, mails, others)` is called for\n"
"all that send messages, too. That may not have left.");

static PyObject *
restoring_restore(Restoring *self, PyObject *const *args, Py_ssize_t count)
{
    long long at, end, next, claim, ordinal, offset;
    if (count != 14 || !PyList_CheckExact(args[0]) || !PyList_CheckExact(args[6]) || !PyList_CheckExact(args[7]) || !as_long(args[1], &at) || at < 0 || !as_long(args[2], &end)
            || !as_long(args[3], &next) || !as_long(args[4], &claim) || !as_long(args[5], &ordinal)) {
        PyErr_SetString(PyExc_TypeError, "restore(records, at, end, next, claim, ordinal, others_at, others, …)");
        return NULL;
    }
    State state = {args[9], args[10], args[11], args[12], args[13], 0};
    if (self->prefix == NULL || !PyDict_CheckExact(args[9]) || !PyDict_CheckExact(args[10])
            || !PyDict_CheckExact(args[11]) || !Py_IS_TYPE(args[12], self->inbox)
            || !as_long(slot(args[12], self->low), &state.low) || slot(args[12], self->since) == NULL
            || !PySet_CheckExact(slot(args[12], self->since)))
        return Py_NewRef(args[1]);
    int went = 1;
    while (went > 0 && at < PyList_GET_SIZE(args[0])) {
        Plain plain;
        PyObject *record = Py_NewRef(PyList_GET_ITEM(args[0], at));
        int known = Py_IS_TYPE(record, self->record) || know_records(self, Py_TYPE(record));
        PyObject *where = known ? get_part(record, self->offset_at, self->offset_of) : NULL;
        PyObject *value = where == NULL ? NULL : get_part(record, self->value_at, self->value_of);
        if (value == NULL)
            went = -1;
        else
            went = as_long(where, &offset) && offset == next && offset < end && PyBytes_CheckExact(value)
                && read_plain(self, value, claim, ordinal, &plain);
        if (went > 0) {
            const char *data = PyBytes_AS_STRING(value);
            went = fold_plain(self, &state, &plain, (const unsigned char *)data + PyBytes_GET_SIZE(value), where);
        }
        if (went > 0 && (plain.mail || plain.emit)) {
            if (!keep_owed(args[6], args[7], args[8], where, value, &plain))
                went = -1;
        }
        Py_XDECREF(value);
        Py_XDECREF(where);
        Py_DECREF(record);
        at += went > 0;
        next += went > 0;
        ordinal += went > 0;
    }
    return went < 0 ? NULL : PyLong_FromLongLong(at);
}

/* The type ------------------------------------------------------------------------------------------------ */

static int
restoring_init(Restoring *self, PyObject *args, PyObject *named)
{
    static char *names[] = {"core", "inbox", "prefix", "mailbox", NULL};
    PyObject *core, *inbox, *prefix, *mailbox;
    if (self->core != NULL || !PyArg_ParseTupleAndKeywords(
            args, named, "O!O!SS", names, &PyType_Type, &core, &PyType_Type, &inbox, &prefix, &mailbox)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a Restoring is made once");
        return -1;
    }
    if ((self->fields = slot_of(core, "fields")) < 0 || (self->offset = slot_of(core, "offset")) < 0
            || (self->seq = slot_of(core, "seq")) < 0 || (self->time = slot_of(core, "time")) < 0
            || (self->noted = slot_of(core, "noted")) < 0 || (self->low = slot_of(inbox, "low")) < 0
            || (self->since = slot_of(inbox, "_since")) < 0)
        return -1;
    PyObject *offset_of = PyUnicode_InternFromString("offset"), *value_of = PyUnicode_InternFromString("value");
    if (offset_of == NULL || value_of == NULL) {
        Py_XDECREF(offset_of);
        Py_XDECREF(value_of);
        return -1;
    }
    self->offset_of = offset_of;
    self->value_of = value_of;
    self->core = (PyTypeObject *)Py_NewRef(core);
    self->inbox = (PyTypeObject *)Py_NewRef(inbox);
    self->mailbox = Py_NewRef(mailbox);
    self->prefix = Py_NewRef(prefix);
    return 0;
}

static void
restoring_dealloc(Restoring *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->core);
    Py_XDECREF(self->record);
    Py_XDECREF(self->inbox);
    Py_XDECREF(self->prefix);
    Py_XDECREF(self->mailbox);
    Py_XDECREF(self->offset_of);
    Py_XDECREF(self->value_of);
    for (int i = 0; i < NAMES; i++)
        Py_XDECREF(self->names[i]);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef restoring_methods[] = {
    {"restore", (PyCFunction)(void (*)(void))restoring_restore, METH_FASTCALL, restore_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot restoring_slots[] = {
    {Py_tp_doc, "Restoring(core, inbox, prefix, mailbox)\n\nFolds turns that begin with `prefix` over these classes."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, restoring_init},
    {Py_tp_dealloc, restoring_dealloc},
    {Py_tp_methods, restoring_methods},
    {0, NULL},
};

static PyType_Spec restoring_spec = {
    .name = "plexstream.processor.plain._restore.Restoring",
    .basicsize = sizeof(Restoring),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = restoring_slots,
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&restoring_spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Restoring", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.processor.plain._restore",
    .m_doc = "A journal folded as it stands on the log, in the plain case.",
    .m_size = 0,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__restore(void)
{
    return PyModuleDef_Init(&module);
}
