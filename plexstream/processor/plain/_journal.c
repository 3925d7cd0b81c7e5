/*
 * Records of a journal in the plain case: numbered, weighed, and applied to the state once the log has them.
 *
 * It works on the very objects of the Python code, which says what is right: `Fold.turn`, `Pieces.apply`,
 * `Outbox.owe`, `Ledger.take`. A record is looked at before anything is changed for it. Where it is not a turn as
 * most are (that of a message, with changes of plain fields alone, which sends messages and outputs alone),
 * nothing has been done for it, and the caller has it done in Python.
 */
#include "../../model/slots.h"

enum { ACTOR = 1, SEQ, CAUSE_TOPIC, CAUSE_OFFSET, TIME, STATUS, FRESH, KEY, PATCH, OUTS = 17, ORDINAL, TURN };
enum { LAST_MAIL = 3, EMIT = 4 };

typedef struct {
    PyObject_HEAD
    PyTypeObject *turn, *change, *out, *core, *inbox, *lane;
    PyObject *mailbox;                                     /* the cause topic of messages */
    Py_ssize_t fields, offset, seq, time, noted;           /* of a core */
    Py_ssize_t low, since;                                 /* of an inbox, as the fold has it */
    Py_ssize_t done, last, queue;                          /* of a lane */
} Journal;

/* A list's or a tuple's items; nothing else has the same ones twice. */
static inline int
is_sequence(PyObject *items)
{
    return PyList_CheckExact(items) || PyTuple_CheckExact(items);
}

#define COUNT(items) PySequence_Fast_GET_SIZE(items)
#define ITEM(items, i) PySequence_Fast_GET_ITEM(items, i)
#define FIELD(record, name) PyTuple_GET_ITEM(record, name)

/* Numbering and weighing ---------------------------------------------------------------------------------- */

PyDoc_STRVAR(number_doc,
"number(records, first) -> list\n\nThe same records, numbered from `first` on: it is the last field of each.");

static PyObject *
journal_number(Journal *Py_UNUSED(self), PyObject *const *args, Py_ssize_t count)
{
    long long first;
    if (count != 2 || !PyList_CheckExact(args[0]) || !as_long(args[1], &first)) {
        PyErr_SetString(PyExc_TypeError, "number(records: list, first: int)");
        return NULL;
    }
    Py_ssize_t records = PyList_GET_SIZE(args[0]);
    PyObject *result = PyList_New(records);
    for (Py_ssize_t i = 0; result != NULL && i < records; i++) {
        PyObject *record = PyList_GET_ITEM(args[0], i), *copy = NULL;
        Py_ssize_t size = PyTuple_Check(record) ? PyTuple_GET_SIZE(record) : 0;
        if (size == 0)
            PyErr_Format(PyExc_TypeError, "%R is no record", record);
        else
            copy = Py_TYPE(record)->tp_alloc(Py_TYPE(record), size);
        PyObject *number = copy == NULL ? NULL : PyLong_FromLongLong(first + i);
        if (number == NULL) {
            Py_XDECREF(copy);
            Py_CLEAR(result);
            break;
        }
        for (Py_ssize_t k = 0; k < size - 1; k++)
            PyTuple_SET_ITEM(copy, k, Py_NewRef(PyTuple_GET_ITEM(record, k)));
        PyTuple_SET_ITEM(copy, size - 1, number);
        PyList_SET_ITEM(result, i, copy);
    }
    return result;
}

/* The bytes in one field of a list of named tuples; -1: it is another thing. */
static Py_ssize_t
weight(PyObject *items, PyTypeObject *type, Py_ssize_t field)
{
    Py_ssize_t size = 0;
    if (!is_sequence(items))
        return -1;
    for (Py_ssize_t i = 0; i < COUNT(items); i++) {
        PyObject *item = ITEM(items, i);
        if (!Py_IS_TYPE(item, type))
            return -1;
        PyObject *value = FIELD(item, field);
        if (PyBytes_CheckExact(value))
            size += PyBytes_GET_SIZE(value);
        else if (value != Py_None)
            return -1;
    }
    return size;
}

PyDoc_STRVAR(weigh_doc,
"weigh(records, at) -> (at, size)\n\n"
"About how many bytes the turns from `at` on have, and the place of the first record that is none.");

static PyObject *
journal_weigh(Journal *self, PyObject *const *args, Py_ssize_t count)
{
    long long at;
    if (count != 2 || !PyList_CheckExact(args[0]) || !as_long(args[1], &at) || at < 0) {
        PyErr_SetString(PyExc_TypeError, "weigh(records: list, at: int)");
        return NULL;
    }
    Py_ssize_t size = 0;
    for (; at < PyList_GET_SIZE(args[0]); at++) {
        PyObject *record = PyList_GET_ITEM(args[0], at);
        if (!Py_IS_TYPE(record, self->turn))
            break;
        Py_ssize_t patch = weight(FIELD(record, PATCH), self->change, 2);
        Py_ssize_t outs = weight(FIELD(record, OUTS), self->out, 4);
        if (patch < 0 || outs < 0)
            break;
        size += patch + outs;
    }
    return Py_BuildValue("Ln", at, size);
}

/* Applying ------------------------------------------------------------------------------------------------ */

typedef struct {
    PyObject *cores, *dirty, *unsaved;                     /* of the pieces */
    PyObject *inbox, *mails, *emits;
    long long low, mails_done, mails_last, emits_done, emits_last;
} State;

/* Whether a turn is a plain one, and which ways out it takes. */
static int
is_plain(Journal *self, PyObject *turn, long long *cause, int *mails, int *emits)
{
    long long status, kind;
    if (!Py_IS_TYPE(turn, self->turn) || PyTuple_GET_SIZE(turn) != TURN)
        return 0;
    PyObject *topic = FIELD(turn, CAUSE_TOPIC), *key = FIELD(turn, KEY);
    PyObject *patch = FIELD(turn, PATCH), *outs = FIELD(turn, OUTS);
    if (topic != self->mailbox && !(PyUnicode_CheckExact(topic) && PyUnicode_Compare(topic, self->mailbox) == 0))
        return 0;
    if (!as_long(FIELD(turn, CAUSE_OFFSET), cause) || *cause < 0 || !as_long(FIELD(turn, STATUS), &status)
            || status != 0 || FIELD(turn, FRESH) != Py_False || !PyUnicode_CheckExact(key)
            || PyUnicode_GET_LENGTH(key) != 0 || !PyUnicode_CheckExact(FIELD(turn, ACTOR))
            || !is_sequence(patch) || !is_sequence(outs))
        return 0;
    for (Py_ssize_t i = 0; i < COUNT(patch); i++) {
        PyObject *change = ITEM(patch, i);
        if (!Py_IS_TYPE(change, self->change) || !PyUnicode_CheckExact(FIELD(change, 0))
                || FIELD(change, 1) != Py_None || !PyBytes_CheckExact(FIELD(change, 2)))
            return 0;
    }
    *mails = *emits = 0;
    for (Py_ssize_t i = 0; i < COUNT(outs); i++) {
        PyObject *out = ITEM(outs, i);
        if (!Py_IS_TYPE(out, self->out) || !as_long(FIELD(out, 0), &kind) || kind < 0 || kind > EMIT)
            return 0;
        *(kind <= LAST_MAIL ? mails : emits) = 1;
    }
    return 1;
}

/* The turn at `offset` owes something on this way out. */
static int
owe(Journal *self, PyObject *lane, long long offset, PyObject *turn, long long *done, long long *last)
{
    if (offset < *done)
        return 1;
    PyObject *item = Py_BuildValue("LO", offset, turn);
    PyObject *name = item == NULL ? NULL : PyUnicode_InternFromString("append");
    PyObject *result = name == NULL ? NULL : PyObject_CallMethodOneArg(slot(lane, self->queue), name, item);
    Py_XDECREF(name);
    Py_XDECREF(item);
    if (result == NULL)
        return 0;
    Py_DECREF(result);
    if (*last < *done)
        *done = offset;
    if (*last < offset)
        *last = offset;
    return 1;
}

/* 1: it is applied; 0: it is not a plain one, and nothing has been done; -1: an error. */
static int
apply_one(Journal *self, State *state, PyObject *turn, long long offset)
{
    long long cause;
    int mails, emits;
    if (!is_plain(self, turn, &cause, &mails, &emits))
        return 0;
    PyObject *actor = FIELD(turn, ACTOR), *patch = FIELD(turn, PATCH);
    PyObject *core = PyDict_GetItemWithError(state->cores, actor);
    if (core == NULL)
        return PyErr_Occurred() ? -1 : 0;
    PyObject *fields = Py_IS_TYPE(core, self->core) ? slot(core, self->fields) : NULL;
    if (fields == NULL || !PyDict_CheckExact(fields))
        return 0;
    PyObject *at = PyLong_FromLongLong(offset);
    int failed = at == NULL;
    if (!failed && cause >= state->low)
        failed = PySet_Add(slot(state->inbox, self->since), FIELD(turn, CAUSE_OFFSET)) < 0;
    for (Py_ssize_t i = 0; !failed && i < COUNT(patch); i++)
        failed = PyDict_SetItem(fields, FIELD(ITEM(patch, i), 0), FIELD(ITEM(patch, i), 2)) < 0;
    if (!failed) {
        set_slot(core, self->seq, Py_NewRef(FIELD(turn, SEQ)));
        set_slot(core, self->time, Py_NewRef(FIELD(turn, TIME)));
        set_slot(core, self->offset, Py_NewRef(at));
    }
    if (!failed && slot(core, self->noted) != Py_True) {
        set_slot(core, self->noted, Py_NewRef(Py_True));
        failed = PyDict_SetItem(state->dirty, actor, core) < 0
            || PyDict_SetDefault(state->unsaved, actor, at) == NULL;
    }
    Py_XDECREF(at);
    if (!failed && mails)
        failed = !owe(self, state->mails, offset, turn, &state->mails_done, &state->mails_last);
    if (!failed && emits)
        failed = !owe(self, state->emits, offset, turn, &state->emits_done, &state->emits_last);
    return failed ? -1 : 1;
}

static int
is_lane(Journal *self, PyObject *lane, long long *done, long long *last)
{
    return Py_IS_TYPE(lane, self->lane) && as_long(slot(lane, self->done), done)
        && as_long(slot(lane, self->last), last) && slot(lane, self->queue) != NULL;
}

static int
set_number(PyObject *object, Py_ssize_t at, long long number)
{
    PyObject *value = PyLong_FromLongLong(number);
    if (value == NULL)
        return 0;
    set_slot(object, at, value);
    return 1;
}

PyDoc_STRVAR(apply_doc,
"apply(records, at, offset, cores, dirty, unsaved, inbox, mails, emits) -> at\n\n"
"Apply turns from the one at place `at` on, which stands at `offset` of the journal, and return the place of the\n"
"first that is not a plain one.");

static PyObject *
journal_apply(Journal *self, PyObject *const *args, Py_ssize_t count)
{
    long long at, offset;
    State s;
    if (count != 9 || !PyList_CheckExact(args[0]) || !as_long(args[1], &at) || at < 0 || !as_long(args[2], &offset)
            || !PyDict_CheckExact(args[3]) || !PyDict_CheckExact(args[4]) || !PyDict_CheckExact(args[5])) {
        PyErr_SetString(PyExc_TypeError, "apply(records, at, offset, cores, dirty, unsaved, inbox, mails, emits)");
        return NULL;
    }
    s.cores = args[3], s.dirty = args[4], s.unsaved = args[5];
    s.inbox = args[6], s.mails = args[7], s.emits = args[8];
    if (!Py_IS_TYPE(s.inbox, self->inbox) || !as_long(slot(s.inbox, self->low), &s.low)
            || slot(s.inbox, self->since) == NULL || !PySet_CheckExact(slot(s.inbox, self->since))
            || !is_lane(self, s.mails, &s.mails_done, &s.mails_last)
            || !is_lane(self, s.emits, &s.emits_done, &s.emits_last))
        return Py_NewRef(args[1]);
    int went = 1;
    while (went > 0 && at < PyList_GET_SIZE(args[0])) {
        PyObject *turn = Py_NewRef(PyList_GET_ITEM(args[0], at));
        went = apply_one(self, &s, turn, offset);
        Py_DECREF(turn);
        at += went > 0;
        offset += went > 0;
    }
    if (went < 0 || !set_number(s.mails, self->done, s.mails_done) || !set_number(s.mails, self->last, s.mails_last)
            || !set_number(s.emits, self->done, s.emits_done) || !set_number(s.emits, self->last, s.emits_last))
        return NULL;
    return PyLong_FromLongLong(at);
}

/* The type ------------------------------------------------------------------------------------------------ */

static int
journal_init(Journal *self, PyObject *args, PyObject *named)
{
    static char *names[] = {"turn", "change", "out", "core", "inbox", "lane", "mailbox", NULL};
    PyTypeObject *t[6];
    PyObject *mailbox;
    if (self->turn != NULL || !PyArg_ParseTupleAndKeywords(
            args, named, "O!O!O!O!O!O!U", names, &PyType_Type, &t[0], &PyType_Type, &t[1], &PyType_Type, &t[2],
            &PyType_Type, &t[3], &PyType_Type, &t[4], &PyType_Type, &t[5], &mailbox)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a Journal is made once");
        return -1;
    }
    PyObject *core = (PyObject *)t[3], *inbox = (PyObject *)t[4], *lane = (PyObject *)t[5];
    if ((self->fields = slot_of(core, "fields")) < 0 || (self->offset = slot_of(core, "offset")) < 0
            || (self->seq = slot_of(core, "seq")) < 0 || (self->time = slot_of(core, "time")) < 0
            || (self->noted = slot_of(core, "noted")) < 0 || (self->low = slot_of(inbox, "low")) < 0
            || (self->since = slot_of(inbox, "_since")) < 0 || (self->done = slot_of(lane, "_done")) < 0
            || (self->last = slot_of(lane, "_last")) < 0 || (self->queue = slot_of(lane, "queue")) < 0)
        return -1;
    PyTypeObject **own[] = {&self->turn, &self->change, &self->out, &self->core, &self->inbox, &self->lane};
    for (int i = 0; i < 6; i++)
        *own[i] = (PyTypeObject *)Py_NewRef(t[i]);
    self->mailbox = Py_NewRef(mailbox);
    return 0;
}

static void
journal_dealloc(Journal *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->turn);
    Py_XDECREF(self->change);
    Py_XDECREF(self->out);
    Py_XDECREF(self->core);
    Py_XDECREF(self->inbox);
    Py_XDECREF(self->lane);
    Py_XDECREF(self->mailbox);
    type->tp_free(self);
    Py_DECREF(type);
}

#define FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL

static PyMethodDef journal_methods[] = {
    {"number", FAST(journal_number), number_doc},
    {"weigh", FAST(journal_weigh), weigh_doc},
    {"apply", FAST(journal_apply), apply_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot journal_slots[] = {
    {Py_tp_doc, "Journal(turn, change, out, core, inbox, lane, mailbox)\n\nRecords of these classes."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, journal_init},
    {Py_tp_dealloc, journal_dealloc},
    {Py_tp_methods, journal_methods},
    {0, NULL},
};

static PyType_Spec journal_spec = {
    .name = "plexstream.processor.plain._journal.Journal",
    .basicsize = sizeof(Journal),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = journal_slots,
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&journal_spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Journal", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.processor.plain._journal",
    .m_doc = "Records of a journal in the plain case.",
    .m_size = 0,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__journal(void)
{
    return PyModuleDef_Init(&module);
}
