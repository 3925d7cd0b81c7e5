/*
 * Steps of handlers that wait, in the plain case: applied to the state once the log has them.
 *
 * It works on the very objects of the Python code, which says what is right: `Fold.turn`, `Pieces.apply`,
 * `Histories.take`. A record is looked at before anything is changed for it. Where it is not a step as most are (a
 * stretch or the end of a handler, with results of what it asked for and changes of plain fields alone, which sends
 * messages and outputs alone), nothing has been done for it, and the caller has it done in Python.
 */
#include "../../model/process/slots.h"

enum { CLAIM, ACTOR, SEQ, CAUSE_TOPIC, CAUSE_OFFSET, TIME, STATUS, FRESH, KEY, PATCH, OUTS = 17, INVOCATION, NUMBER,
       NEXT, BEGIN, COMMANDS, COMPLETIONS, ORDINAL, STEP };
enum { DONE = 0, WAITING = 3, EMIT = 4, PAYLOAD = 3, STEP_BYTES = 200 };

typedef struct {
    PyObject_HEAD
    PyTypeObject *step, *change, *out, *begin, *completion, *pending, *core, *inbox;
    PyObject *mailbox;                                     /* the cause topic of messages */
    PyObject *kind;                                        /* of the pieces that steps are */
    PyObject *names;                                       /* of the first numbers */
    Py_ssize_t fields, offset, seq, time, noted;           /* of a core */
    Py_ssize_t low, since;                                 /* of an inbox, as the fold has it */
} Steps;

/* What a group's steps are applied to: dicts of `Histories`, `Pieces`, `Unsaved`, and the inbox. */
typedef struct {
    PyObject *pending, *steps, *saved, *pieces, *unsaved, *cores, *dirty, *unsaved_cores, *inbox;
    long long new_from, low;
} State;

/* A step that has been looked at: borrowed, until it is applied. */
typedef struct {
    PyObject *record, *actor, *patch, *begin;
    PyObject *of_actor, *known;                            /* what is pending of its actor, and of it */
    PyObject *core;                                        /* NULL: it stays as it is */
    long long cause, status, number, steps;
    Py_ssize_t size;
} Look;

/* A list's or a tuple's items; nothing else has the same ones twice. */
static inline int
is_sequence(PyObject *items)
{
    return PyList_CheckExact(items) || PyTuple_CheckExact(items);
}

#define COUNT(items) PySequence_Fast_GET_SIZE(items)
#define ITEM(items, i) PySequence_Fast_GET_ITEM(items, i)
#define FIELD(record, name) PyTuple_GET_ITEM(record, name)

/* Looking ------------------------------------------------------------------------------------------------- */

/* Whether a step goes back to a message of the mailbox or to nothing, as results of side effects do. */
static int
is_plain_cause(Steps *self, PyObject *step, long long *cause)
{
    PyObject *topic = FIELD(step, CAUSE_TOPIC);
    if (!as_long(FIELD(step, CAUSE_OFFSET), cause) || !PyUnicode_CheckExact(topic))
        return 0;
    if (*cause < 0)
        return PyUnicode_GET_LENGTH(topic) == 0;
    return topic == self->mailbox || PyUnicode_Compare(topic, self->mailbox) == 0;
}

static int
are_plain_changes(Steps *self, PyObject *patch)
{
    for (Py_ssize_t i = 0; i < COUNT(patch); i++) {
        PyObject *change = ITEM(patch, i);
        if (!Py_IS_TYPE(change, self->change) || !PyUnicode_CheckExact(FIELD(change, 0))
                || FIELD(change, 1) != Py_None || !PyBytes_CheckExact(FIELD(change, 2)))
            return 0;
    }
    return 1;
}

static int
are_plain_outs(Steps *self, PyObject *outs)
{
    long long kind;
    for (Py_ssize_t i = 0; i < COUNT(outs); i++) {
        PyObject *out = ITEM(outs, i);
        if (!Py_IS_TYPE(out, self->out) || !as_long(FIELD(out, 0), &kind) || kind < 0 || kind > EMIT)
            return 0;
    }
    return 1;
}

/* The bytes of results; -1: there is something else among them, such as a note. */
static Py_ssize_t
weigh(Steps *self, PyObject *completions)
{
    Py_ssize_t size = 0;
    long long number;
    for (Py_ssize_t i = 0; i < COUNT(completions); i++) {
        PyObject *completion = ITEM(completions, i);
        if (!Py_IS_TYPE(completion, self->completion) || !as_long(FIELD(completion, 0), &number) || number < 0
                || !PyBytes_CheckExact(FIELD(completion, 2)))
            return -1;
        size += PyBytes_GET_SIZE(FIELD(completion, 2));
    }
    return size;
}

/* What is pending of the invocation. 0: nothing, or it is for Python to say. */
static int
find_pending(Steps *self, State *state, Look *look)
{
    PyObject *step = look->record, *invocation = FIELD(step, INVOCATION);
    long long number;
    look->known = NULL;
    look->steps = 0;
    look->of_actor = PyDict_GetItemWithError(state->pending, look->actor);
    if (look->of_actor == NULL)
        return look->status == WAITING && look->begin != NULL;
    if (!PyDict_CheckExact(look->of_actor) || !as_long(invocation, &number))
        return 0;
    look->known = PyDict_GetItemWithError(look->of_actor, invocation);
    if (look->known == NULL)
        return look->status == WAITING && look->begin != NULL;
    return Py_IS_TYPE(look->known, self->pending) && as_long(FIELD(look->known, 1), &look->steps);
}

/* Whether a step is a plain one. Nothing in here runs code of others. */
static int
look_at(Steps *self, State *state, PyObject *step, Look *look)
{
    long long invocation, next, ordinal;
    if (!Py_IS_TYPE(step, self->step) || PyTuple_GET_SIZE(step) != STEP)
        return 0;
    PyObject *key = FIELD(step, KEY), *begin = FIELD(step, BEGIN), *completions = FIELD(step, COMPLETIONS);
    PyObject *outs = FIELD(step, OUTS);
    look->record = step;
    look->actor = FIELD(step, ACTOR);
    look->patch = FIELD(step, PATCH);
    look->begin = begin == Py_None ? NULL : begin;
    if (!PyUnicode_CheckExact(look->actor) || !is_plain_cause(self, step, &look->cause)
            || !as_long(FIELD(step, STATUS), &look->status) || (look->status != WAITING && look->status != DONE)
            || FIELD(step, FRESH) != Py_False || !PyUnicode_CheckExact(key) || PyUnicode_GET_LENGTH(key) != 0
            || !as_long(FIELD(step, INVOCATION), &invocation) || invocation < 0
            || !as_long(FIELD(step, NUMBER), &look->number) || look->number < 0
            || !as_long(FIELD(step, NEXT), &next) || next != 0
            || !as_long(FIELD(step, ORDINAL), &ordinal) || ordinal != 0
            || !is_sequence(look->patch) || !is_sequence(outs) || !is_sequence(completions)
            || !are_plain_changes(self, look->patch) || !are_plain_outs(self, outs))
        return 0;
    if ((look->size = weigh(self, completions)) < 0)
        return 0;
    look->size += STEP_BYTES;
    if (look->begin != NULL) {
        if (!Py_IS_TYPE(begin, self->begin) || !PyBytes_CheckExact(FIELD(begin, PAYLOAD)))
            return 0;
        look->size += PyBytes_GET_SIZE(FIELD(begin, PAYLOAD));
    }
    if (!find_pending(self, state, look))
        return 0;
    look->core = NULL;
    if (look->status == DONE || look->begin != NULL || COUNT(look->patch) > 0) {
        PyObject *core = PyDict_GetItemWithError(state->cores, look->actor);
        PyObject *fields = core != NULL && Py_IS_TYPE(core, self->core) ? slot(core, self->fields) : NULL;
        if (fields == NULL || !PyDict_CheckExact(fields))
            return 0;
        look->core = core;
    }
    return 1;
}

/* Applying ------------------------------------------------------------------------------------------------ */

static PyObject *
name_of(Steps *self, long long number)
{
    if (number < PyList_GET_SIZE(self->names))
        return Py_NewRef(PyList_GET_ITEM(self->names, number));
    return PyUnicode_FromFormat("%020lld", number);
}

/* The key of a step's piece; `invocation` is a name. */
static PyObject *
key_of(Steps *self, PyObject *actor, PyObject *invocation, long long number)
{
    PyObject *name = name_of(self, number);
    if (name == NULL)
        return NULL;
    PyObject *key = PyTuple_Pack(4, self->kind, actor, invocation, name);
    Py_DECREF(name);
    return key;
}

/* One more step of an invocation. */
static int
add(Steps *self, State *state, Look *look, PyObject *invocation, PyObject *offset)
{
    PyObject *key = key_of(self, look->actor, invocation, look->number);
    PyObject *item = PyTuple_Pack(2, offset, look->record);
    int failed = key == NULL || item == NULL || PyDict_SetItem(state->steps, key, item) < 0
        || PyDict_SetDefault(state->unsaved, key, offset) == NULL;
    Py_XDECREF(key);
    Py_XDECREF(item);
    if (failed)
        return 0;
    PyObject *begin = look->begin != NULL ? look->begin : FIELD(look->known, 0);
    PyObject *steps = PyLong_FromLongLong(look->number + 1 > look->steps ? look->number + 1 : look->steps);
    PyObject *pending = steps == NULL ? NULL : new_tuple(self->pending, 2);
    if (pending == NULL) {
        Py_XDECREF(steps);
        return 0;
    }
    PyTuple_SET_ITEM(pending, 0, Py_NewRef(begin));
    PyTuple_SET_ITEM(pending, 1, steps);
    PyObject *found = look->of_actor != NULL ? Py_NewRef(look->of_actor) : PyDict_New();
    failed = found == NULL || PyDict_SetItem(found, FIELD(look->record, INVOCATION), pending) < 0
        || (look->of_actor == NULL && PyDict_SetItem(state->pending, look->actor, found) < 0);
    Py_XDECREF(found);
    Py_DECREF(pending);
    return !failed;
}

/* One key of an invocation that has ended: nobody else has it, or it is to be deleted. */
static int
drop(State *state, PyObject *key, PyObject *offset)
{
    long long at;
    PyObject *found = PyDict_GetItemWithError(state->steps, key);
    int is_known = found == NULL || !PyTuple_CheckExact(found) || PyTuple_GET_SIZE(found) != 2
        || !as_long(PyTuple_GET_ITEM(found, 0), &at) || at < state->new_from;
    if (!is_known && (is_known = PySet_Contains(state->saved, key)) < 0)
        return 0;
    if (found != NULL && PyDict_DelItem(state->steps, key) < 0)
        return 0;
    if (is_known)
        return PyDict_SetItem(state->pieces, key, Py_None) == 0
            && PyDict_SetDefault(state->unsaved, key, offset) != NULL;
    if (PyDict_DelItem(state->unsaved, key) == 0)
        return 1;
    if (!PyErr_ExceptionMatches(PyExc_KeyError))
        return 0;
    PyErr_Clear();
    return 1;
}

/* Nothing is left of an invocation. */
static int
end(Steps *self, State *state, Look *look, PyObject *invocation, PyObject *offset)
{
    PyObject *of_actor = look->of_actor;
    long long steps = look->number > look->steps ? look->number : look->steps;
    if (PyDict_DelItem(of_actor, FIELD(look->record, INVOCATION)) < 0)
        return 0;
    if (PyDict_GET_SIZE(of_actor) == 0 && PyDict_DelItem(state->pending, look->actor) < 0)
        return 0;
    for (long long number = 0; number < steps; number++) {
        PyObject *key = key_of(self, look->actor, invocation, number);
        int done = key != NULL && drop(state, key, offset);
        Py_XDECREF(key);
        if (!done)
            return 0;
    }
    return 1;
}

/* The actor's fields. */
static int
change(Steps *self, State *state, Look *look, PyObject *offset)
{
    PyObject *core = look->core, *fields = slot(core, self->fields), *patch = look->patch;
    for (Py_ssize_t i = 0; i < COUNT(patch); i++)
        if (PyDict_SetItem(fields, FIELD(ITEM(patch, i), 0), FIELD(ITEM(patch, i), 2)) < 0)
            return 0;
    set_slot(core, self->seq, Py_NewRef(FIELD(look->record, SEQ)));
    set_slot(core, self->time, Py_NewRef(FIELD(look->record, TIME)));
    set_slot(core, self->offset, Py_NewRef(offset));
    if (slot(core, self->noted) == Py_True)
        return 1;
    set_slot(core, self->noted, Py_NewRef(Py_True));
    return PyDict_SetItem(state->dirty, look->actor, core) == 0
        && PyDict_SetDefault(state->unsaved_cores, look->actor, offset) != NULL;
}

/* 1: it is applied; 0: it is not a plain one, and nothing has been done; -1: an error. */
static int
apply_one(Steps *self, State *state, PyObject *step, long long offset, Py_ssize_t *size)
{
    Look look;
    if (!look_at(self, state, step, &look))
        return PyErr_Occurred() ? -1 : 0;
    long long number;
    Py_XINCREF(look.of_actor);  /* from here on memory is asked for: the collector may run code */
    Py_XINCREF(look.known);
    Py_XINCREF(look.core);
    PyObject *at = PyLong_FromLongLong(offset);
    PyObject *invocation = as_long(FIELD(step, INVOCATION), &number) ? name_of(self, number) : NULL;
    int went = at != NULL && invocation != NULL;
    if (went && look.cause >= 0 && look.cause >= state->low)
        went = PySet_Add(slot(state->inbox, self->since), FIELD(step, CAUSE_OFFSET)) == 0;
    if (went)
        went = (look.status == WAITING ? add : end)(self, state, &look, invocation, at);
    if (went && look.core != NULL)
        went = change(self, state, &look, at);
    Py_XDECREF(at);
    Py_XDECREF(invocation);
    Py_XDECREF(look.of_actor);
    Py_XDECREF(look.known);
    Py_XDECREF(look.core);
    *size += look.size;
    return went ? 1 : -1;
}

PyDoc_STRVAR(apply_doc,
"apply(records, at, offset, new_from, pending, steps, saved, pieces, unsaved, cores, dirty, unsaved_cores, inbox)"
" -> (at, size)\n\n"
"Apply steps from the one at place `at` on, which stands at `offset` of the journal, and return the place of the\n"
"first that is not a plain one, and about how many bytes those before it have.");

static PyObject *
steps_apply(Steps *self, PyObject *const *args, Py_ssize_t count)
{
    long long at, offset;
    State state;
    if (count != 13 || !PyList_CheckExact(args[0]) || !as_long(args[1], &at) || at < 0 || !as_long(args[2], &offset)
            || !as_long(args[3], &state.new_from)) {
        PyErr_SetString(PyExc_TypeError, "apply(records, at, offset, new_from, …, inbox)");
        return NULL;
    }
    PyObject **dicts[] = {&state.pending, &state.steps, &state.saved, &state.pieces, &state.unsaved, &state.cores,
                          &state.dirty, &state.unsaved_cores};
    int plain = 1;
    for (int i = 0; i < 8; i++) {
        *dicts[i] = args[4 + i];
        plain = plain && (i == 2 ? PySet_CheckExact(args[4 + i]) : PyDict_CheckExact(args[4 + i]));
    }
    state.inbox = args[12];
    plain = plain && Py_IS_TYPE(state.inbox, self->inbox) && as_long(slot(state.inbox, self->low), &state.low)
        && slot(state.inbox, self->since) != NULL && PySet_CheckExact(slot(state.inbox, self->since));
    Py_ssize_t size = 0;
    int went = plain;
    while (went > 0 && at < PyList_GET_SIZE(args[0])) {
        PyObject *step = Py_NewRef(PyList_GET_ITEM(args[0], at));
        went = apply_one(self, &state, step, offset, &size);
        Py_DECREF(step);
        at += went > 0;
        offset += went > 0;
    }
    return went < 0 ? NULL : Py_BuildValue("Ln", at, size);
}

/* The type ------------------------------------------------------------------------------------------------ */

static int
steps_init(Steps *self, PyObject *args, PyObject *Py_UNUSED(named))
{
    PyTypeObject *t[8];
    PyObject *mailbox, *kind, *names, *type = (PyObject *)&PyType_Type;
    if (self->step != NULL || !PyArg_ParseTuple(
            args, "O!O!O!O!O!O!O!O!UO!O!", type, &t[0], type, &t[1], type, &t[2], type, &t[3], type, &t[4], type, &t[5],
            type, &t[6], type, &t[7], &mailbox, &PyLong_Type, &kind, &PyList_Type, &names)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "Steps are made once");
        return -1;
    }
    PyObject *core = (PyObject *)t[6], *inbox = (PyObject *)t[7];
    if ((self->fields = slot_of(core, "fields")) < 0 || (self->offset = slot_of(core, "offset")) < 0
            || (self->seq = slot_of(core, "seq")) < 0 || (self->time = slot_of(core, "time")) < 0
            || (self->noted = slot_of(core, "noted")) < 0 || (self->low = slot_of(inbox, "low")) < 0
            || (self->since = slot_of(inbox, "_since")) < 0)
        return -1;
    PyTypeObject **own[] = {&self->step, &self->change, &self->out, &self->begin, &self->completion, &self->pending,
                            &self->core, &self->inbox};
    for (int i = 0; i < 8; i++)
        *own[i] = (PyTypeObject *)Py_NewRef(t[i]);
    self->mailbox = Py_NewRef(mailbox);
    self->kind = Py_NewRef(kind);
    self->names = Py_NewRef(names);
    return 0;
}

static void
steps_dealloc(Steps *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyTypeObject **own[] = {&self->step, &self->change, &self->out, &self->begin, &self->completion, &self->pending,
                            &self->core, &self->inbox};
    for (int i = 0; i < 8; i++)
        Py_XDECREF(*own[i]);
    Py_XDECREF(self->mailbox);
    Py_XDECREF(self->kind);
    Py_XDECREF(self->names);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef steps_methods[] = {
    {"apply", (PyCFunction)(void (*)(void))steps_apply, METH_FASTCALL, apply_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot steps_slots[] = {
    {Py_tp_doc, "Steps(step, change, out, begin, completion, pending, core, inbox, mailbox, kind, names)\n\n"
                "Steps of these classes."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, steps_init},
    {Py_tp_dealloc, steps_dealloc},
    {Py_tp_methods, steps_methods},
    {0, NULL},
};

static PyType_Spec steps_spec = {
    .name = "plexstream.processor.plain._steps.Steps",
    .basicsize = sizeof(Steps),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = steps_slots,
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&steps_spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Steps", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.processor.plain._steps",
    .m_doc = "Steps of a journal in the plain case.",
    .m_size = 0,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__steps(void)
{
    return PyModuleDef_Init(&module);
}
