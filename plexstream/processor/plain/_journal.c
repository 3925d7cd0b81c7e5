/*
 * Records of a journal in the plain case: numbered, weighed, and applied to the state once the log has them.
 *
 * It works on the very objects of the Python code, which says what is right: `Fold.turn`, `Pieces.apply`,
 * `Outbox.owe`, `Ledger.take`. A record is looked at before anything is changed for it. Where it is not a turn as
 * most are (that of a message, with changes of plain fields alone, which sends messages and outputs alone),
 * nothing has been done for it, and the caller has it done in Python.
 */
#include "../../model/process/slots.h"

enum { CLAIM, ACTOR, SEQ, CAUSE_TOPIC, CAUSE_OFFSET, TIME, STATUS, FRESH, KEY, PATCH, OUTS = 17, ORDINAL, TURN };
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
            copy = new_tuple(Py_TYPE(record), size);
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
    PyObject *inbox;
    long long low;
} State;

static int
state_open(Journal *self, State *state, PyObject *const *args)
{
    *state = (State){args[0], args[1], args[2], args[3], 0};
    return PyDict_CheckExact(args[0]) && PyDict_CheckExact(args[1]) && PyDict_CheckExact(args[2])
        && Py_IS_TYPE(args[3], self->inbox) && as_long(slot(args[3], self->low), &state->low)
        && slot(args[3], self->since) != NULL && PySet_CheckExact(slot(args[3], self->since));
}

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

/* One way out, as `Lane` has it. */
typedef struct {
    PyObject *lane;
    long long done, last;
} Way;

/* The turn at `offset` owes something on it. */
static int
owe(Journal *self, Way *way, long long offset, PyObject *turn)
{
    if (offset < way->done)
        return 1;
    PyObject *item = Py_BuildValue("LO", offset, turn);
    PyObject *name = item == NULL ? NULL : PyUnicode_InternFromString("append");
    PyObject *result = name == NULL ? NULL : PyObject_CallMethodOneArg(slot(way->lane, self->queue), name, item);
    Py_XDECREF(name);
    Py_XDECREF(item);
    if (result == NULL)
        return 0;
    Py_DECREF(result);
    if (way->last < way->done)
        way->done = offset;
    if (way->last < offset)
        way->last = offset;
    return 1;
}

/* 1: it is applied; 0: it is not a plain one, and nothing has been done; -1: an error. */
static int
apply_one(Journal *self, State *state, PyObject *turn, long long offset, int *mails, int *emits)
{
    long long cause;
    if (!is_plain(self, turn, &cause, mails, emits))
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
    return failed ? -1 : 1;
}

static int
way_open(Journal *self, Way *way, PyObject *lane)
{
    way->lane = lane;
    return Py_IS_TYPE(lane, self->lane) && as_long(slot(lane, self->done), &way->done)
        && as_long(slot(lane, self->last), &way->last) && slot(lane, self->queue) != NULL;
}

static int
way_close(Journal *self, Way *way)
{
    PyObject *done = PyLong_FromLongLong(way->done), *last = PyLong_FromLongLong(way->last);
    if (done == NULL || last == NULL) {
        Py_XDECREF(done);
        Py_XDECREF(last);
        return 0;
    }
    set_slot(way->lane, self->done, done);
    set_slot(way->lane, self->last, last);
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
    State state;
    Way mails, emits;
    if (count != 9 || !PyList_CheckExact(args[0]) || !as_long(args[1], &at) || at < 0 || !as_long(args[2], &offset)) {
        PyErr_SetString(PyExc_TypeError, "apply(records, at, offset, cores, dirty, unsaved, inbox, mails, emits)");
        return NULL;
    }
    if (!state_open(self, &state, args + 3) || !way_open(self, &mails, args[7]) || !way_open(self, &emits, args[8]))
        return Py_NewRef(args[1]);
    int went = 1;
    while (went > 0 && at < PyList_GET_SIZE(args[0])) {
        int mail, emit;
        PyObject *turn = Py_NewRef(PyList_GET_ITEM(args[0], at));
        went = apply_one(self, &state, turn, offset, &mail, &emit);
        if (went > 0 && mail && !owe(self, &mails, offset, turn))
            went = -1;
        if (went > 0 && emit && !owe(self, &emits, offset, turn))
            went = -1;
        Py_DECREF(turn);
        at += went > 0;
        offset += went > 0;
    }
    return went < 0 || !way_close(self, &mails) || !way_close(self, &emits) ? NULL : PyLong_FromLongLong(at);
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
