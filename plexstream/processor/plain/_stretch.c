/*
 * The record of a stretch of a handler that waits, in the plain case: it has gone on with what it had asked for, and
 * has asked for more side effects, and for nothing else.
 *
 * It works on the very objects of the Python code, which says what is right: `Lifecycle._suspended` and
 * `Journal._write`. All is looked at before anything is changed. Where it is not the plain case, nothing has been
 * done, and Python does it.
 */
#include "../../model/process/slots.h"

enum { WAITING = 3, STEP = 25, CAUSE = 8, SUSPENDED = 8, COMMAND = 4, OPENING = 5, HANDLER = 2 };

#define INVOCATION_SLOTS(X) \
    X(actor) X(address) X(begin) X(begun) X(cancelled) X(cause) X(commands) X(group) X(init) X(news) X(number) \
    X(opening) X(outstanding) X(restarts) X(since) X(steps) X(stuck) X(task) X(told_stuck) X(unrecorded)
#define ACTOR_SLOTS(X) X(armed) X(last) X(raw) X(seq) X(time)
#define PLACE(name) Py_ssize_t name;
#define CLASSES 8

typedef struct {
    PyObject_HEAD
    PyTypeObject *step, *suspended, *command, *begin, *opening, *cause, *invocation, *actor;
    struct { INVOCATION_SLOTS(PLACE) } i;
    struct { ACTOR_SLOTS(PLACE) } a;
    PyObject *mailbox, *no_cause, *empty, *zero, *waiting;
    long long run;                                         /* the kind of commands that are side effects */
} Stretch;

#define FIELD(record, name) PyTuple_GET_ITEM(record, name)

static inline int
is_tuple_of(PyObject *object, PyTypeObject *type, Py_ssize_t size)
{
    return object != NULL && Py_IS_TYPE(object, type) && PyTuple_GET_SIZE(object) == size;
}

static inline int
is_empty_list(PyObject *object)
{
    return PyList_CheckExact(object) && PyList_GET_SIZE(object) == 0;
}

/* What has been looked at, owned from `keep` on. */
typedef struct {
    PyObject *actor, *begin, *cause, *commands, *outstanding, *unrecorded;
    PyObject *first;                                       /* the message, where the record is to have it; or None */
    long long asked, number, steps;
    int opens;                                             /* it is the first */
} Look;

/* Whether what goes with a handler's first stretch is nothing. */
static int
is_plain_opening(Stretch *self, PyObject *opening)
{
    if (opening == Py_None)
        return 1;
    return is_tuple_of(opening, self->opening, OPENING) && is_empty_list(FIELD(opening, 0))
        && is_empty_list(FIELD(opening, 1)) && FIELD(opening, 2) == Py_None && FIELD(opening, 3) == Py_None
        && FIELD(opening, 4) == Py_None;
}

/* Whether all commands are side effects; how many have been asked for with them. */
static int
are_plain_commands(Stretch *self, PyObject *commands, long long *asked)
{
    long long kind, number;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(commands); i++) {
        PyObject *command = PyList_GET_ITEM(commands, i);
        if (!is_tuple_of(command, self->command, COMMAND) || !as_long(FIELD(command, 0), &number)
                || !as_long(FIELD(command, 1), &kind) || kind != self->run || number == INT64_MAX)
            return 0;
        if (number >= *asked)
            *asked = number + 1;
    }
    return 1;
}

/* Whether a host's answer is a plain one. Nothing in here runs code of others. */
static int
look_at(Stretch *self, PyObject *inv, PyObject *s, PyObject *completions, PyObject *active, Look *look)
{
    long long restarts;
    if (!Py_IS_TYPE(inv, self->invocation) || !is_tuple_of(s, self->suspended, SUSPENDED)
            || !PyList_CheckExact(completions) || PyList_GET_SIZE(completions) == 0 || !PyDict_CheckExact(active))
        return 0;
    PyObject *begun = slot(inv, self->i.begun), *opening = slot(inv, self->i.opening);
    look->commands = FIELD(s, 1);
    look->actor = slot(inv, self->i.actor);
    look->begin = slot(inv, self->i.begin);
    look->cause = slot(inv, self->i.cause);
    look->outstanding = slot(inv, self->i.outstanding);
    look->unrecorded = slot(inv, self->i.unrecorded);
    if (FIELD(s, 0) != slot(inv, self->i.task) || !PyList_CheckExact(look->commands) || !is_empty_list(FIELD(s, 2))
            || !is_empty_list(FIELD(s, 4)) || !is_empty_list(FIELD(s, 5)) || FIELD(s, 7) != Py_False
            || look->actor == NULL || !Py_IS_TYPE(look->actor, self->actor) || look->begin == NULL
            || !Py_IS_TYPE(look->begin, self->begin) || look->outstanding == NULL
            || !PyDict_CheckExact(look->outstanding) || look->unrecorded == NULL
            || !PyList_CheckExact(look->unrecorded) || !as_long(slot(inv, self->i.restarts), &restarts)
            || restarts != 0 || !as_long(slot(inv, self->i.steps), &look->steps)
            || !as_long(slot(inv, self->i.commands), &look->asked) || slot(inv, self->i.number) == NULL
            || slot(inv, self->i.address) == NULL || !PyUnicode_CheckExact(slot(inv, self->i.address)))
        return 0;
    look->opens = begun == Py_False;
    if (opening == NULL || !(look->opens ? is_plain_opening(self, opening) : begun == Py_True && opening == Py_None))
        return 0;
    if (look->cause == Py_None)
        look->cause = self->no_cause;
    else if (!is_tuple_of(look->cause, self->cause, CAUSE) || !PyUnicode_CheckExact(FIELD(look->cause, 0))
            || PyUnicode_Compare(FIELD(look->cause, 0), self->mailbox) != 0)
        return 0;
    if (slot(look->actor, self->a.armed) != Py_True || slot(look->actor, self->a.raw) != Py_False
            || slot(look->actor, self->a.seq) == NULL
            || PyDict_GetItemWithError(active, slot(inv, self->i.address)) != look->actor)
        return 0;
    look->first = look->opens || look->steps == 0 ? look->begin : Py_None;
    return are_plain_commands(self, look->commands, &look->asked);
}

static void
look_done(Look *look, void (*with)(PyObject *))
{
    PyObject *own[] = {look->actor, look->begin, look->cause, look->commands, look->outstanding, look->unrecorded};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        with(own[i]);
}

/* The record. */
static PyObject *
new_step(Stretch *self, PyObject *inv, Look *look, PyObject *completions, PyObject *claim, PyObject *now)
{
    PyObject *cause = look->cause, *step = new_tuple(self->step, STEP);
    PyObject *patch = PyList_New(0), *outs = PyList_New(0);
    PyObject *commands = PySequence_Concat(look->unrecorded, look->commands);
    if (step == NULL || patch == NULL || outs == NULL || commands == NULL) {
        Py_XDECREF(step);
        Py_XDECREF(patch);
        Py_XDECREF(outs);
        Py_XDECREF(commands);
        return NULL;
    }
    PyObject *fields[STEP] = {
        claim, slot(inv, self->i.address), slot(look->actor, self->a.seq), FIELD(cause, 0), FIELD(cause, 1), now,
        self->waiting, Py_False, self->empty, NULL, FIELD(look->begin, HANDLER), FIELD(cause, 3), FIELD(cause, 2),
        FIELD(cause, 4), FIELD(cause, 5), FIELD(cause, 6), FIELD(cause, 7), NULL, slot(inv, self->i.number),
        slot(inv, self->i.steps), self->zero, look->first, NULL, completions, self->zero,
    };
    for (int i = 0; i < STEP; i++)
        PyTuple_SET_ITEM(step, i, Py_XNewRef(fields[i]));
    PyTuple_SET_ITEM(step, 9, patch);
    PyTuple_SET_ITEM(step, 17, outs);
    PyTuple_SET_ITEM(step, 22, commands);
    return step;
}

PyDoc_STRVAR(write_doc,
"write(inv, suspended, completions, claim, now, group, active) -> Step | None\n\n"
"Make the record of a stretch, and note it in its invocation and its actor. None: it is not a plain one, and\n"
"nothing has been done.");

static PyObject *
stretch_write(Stretch *self, PyObject *const *args, Py_ssize_t count)
{
    Look look;
    if (count != 7) {
        PyErr_SetString(PyExc_TypeError, "write(inv, suspended, completions, claim, now, group, active)");
        return NULL;
    }
    PyObject *inv = args[0], *now = args[4];
    if (!look_at(self, inv, args[1], args[2], args[6], &look)) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    look_done(&look, Py_IncRef);  /* from here on memory is asked for: the collector may run code */
    PyObject *step = new_step(self, inv, &look, args[2], args[3], now);
    PyObject *steps = PyLong_FromLongLong(look.steps + 1), *asked = PyLong_FromLongLong(look.asked);
    PyObject *unrecorded = PyList_New(0);
    int failed = step == NULL || steps == NULL || asked == NULL || unrecorded == NULL;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(look.commands); i++) {
        PyObject *command = PyList_GET_ITEM(look.commands, i);
        failed = PyDict_SetItem(look.outstanding, FIELD(command, 0), command) < 0;
    }
    if (failed) {
        Py_CLEAR(step);
        Py_XDECREF(steps);
        Py_XDECREF(asked);
        Py_XDECREF(unrecorded);
    }
    else {
        if (look.opens && slot(inv, self->i.opening) != Py_None)
            set_slot(inv, self->i.init, Py_NewRef(Py_False));
        set_slot(inv, self->i.opening, Py_NewRef(Py_None));
        set_slot(inv, self->i.begun, Py_NewRef(Py_True));
        set_slot(inv, self->i.cause, Py_NewRef(Py_None));
        set_slot(inv, self->i.commands, asked);
        set_slot(inv, self->i.unrecorded, unrecorded);
        set_slot(inv, self->i.steps, steps);
        set_slot(inv, self->i.news, Py_NewRef(Py_False));
        set_slot(inv, self->i.cancelled, Py_NewRef(Py_False));
        set_slot(inv, self->i.told_stuck, Py_NewRef(Py_False));
        set_slot(inv, self->i.stuck, Py_NewRef(self->empty));
        set_slot(inv, self->i.since, Py_NewRef(now));
        set_slot(inv, self->i.group, Py_NewRef(args[5]));
        set_slot(look.actor, self->a.time, Py_NewRef(now));
        set_slot(look.actor, self->a.last, Py_NewRef(now));
    }
    look_done(&look, Py_DecRef);
    return step;
}

/* The type ------------------------------------------------------------------------------------------------ */

#define FIND_INVOCATION(name) || (self->i.name = slot_of((PyObject *)self->invocation, #name)) < 0
#define FIND_ACTOR(name) || (self->a.name = slot_of((PyObject *)self->actor, #name)) < 0

static int
stretch_init(Stretch *self, PyObject *args, PyObject *Py_UNUSED(named))
{
    PyTypeObject *t[CLASSES];
    PyObject *mailbox, *no_cause, *type = (PyObject *)&PyType_Type;
    if (self->step != NULL || !PyArg_ParseTuple(
            args, "(O!O!O!O!O!O!O!O!)UOL", type, &t[0], type, &t[1], type, &t[2], type, &t[3], type, &t[4], type, &t[5],
            type, &t[6], type, &t[7], &mailbox, &no_cause, &self->run)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a Stretch is made once");
        return -1;
    }
    if (!is_tuple_of(no_cause, t[5], CAUSE)) {
        PyErr_SetString(PyExc_TypeError, "no_cause is no cause");
        return -1;
    }
    PyTypeObject **own[] = {&self->step, &self->suspended, &self->command, &self->begin, &self->opening, &self->cause,
                            &self->invocation, &self->actor};
    for (int i = 0; i < CLASSES; i++)
        *own[i] = (PyTypeObject *)Py_NewRef(t[i]);
    self->mailbox = Py_NewRef(mailbox);
    self->no_cause = Py_NewRef(no_cause);
    self->zero = PyLong_FromLong(0);
    self->waiting = PyLong_FromLong(WAITING);
    self->empty = PyUnicode_FromString("");
    int failed = self->zero == NULL || self->waiting == NULL || self->empty == NULL
        INVOCATION_SLOTS(FIND_INVOCATION) ACTOR_SLOTS(FIND_ACTOR);
    return failed ? -1 : 0;
}

static void
stretch_dealloc(Stretch *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *own[] = {
        (PyObject *)self->step, (PyObject *)self->suspended, (PyObject *)self->command, (PyObject *)self->begin,
        (PyObject *)self->opening, (PyObject *)self->cause, (PyObject *)self->invocation, (PyObject *)self->actor,
        self->mailbox, self->no_cause, self->zero, self->waiting, self->empty,
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        Py_XDECREF(own[i]);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

static PyMethodDef stretch_methods[] = {
    {"write", (PyCFunction)(void (*)(void))stretch_write, METH_FASTCALL, write_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot stretch_slots[] = {
    {Py_tp_doc, "Stretch(classes, mailbox, no_cause, run)\n\nStretches of handlers, over objects of these classes."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, stretch_init},
    {Py_tp_dealloc, stretch_dealloc},
    {Py_tp_methods, stretch_methods},
    {0, NULL},
};

static PyType_Spec stretch_spec = {
    .name = "plexstream.processor.plain._stretch.Stretch",
    .basicsize = sizeof(Stretch),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = stretch_slots,
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&stretch_spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Stretch", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.processor.plain._stretch",
    .m_doc = "Records of handlers that wait, in the plain case.",
    .m_size = 0,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__stretch(void)
{
    return PyModuleDef_Init(&module);
}
