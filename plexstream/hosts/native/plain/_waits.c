/*
 * A handler that waits for side effects, in the plain case: it asks for one, and goes on with what came of it.
 *
 * It works on the very objects of the Python code, which says what is right: `Task.run`, `Commands.ask`, `resume`.
 * What is asked for, or has come, is looked at before anything is changed for it. Where it is not as most are (the
 * first run of a coroutine, which waits for the one side effect that has returned), nothing has been done, and
 * Python does it. Once the coroutine has run, what is out of the ordinary goes on there.
 */
#include "../../../model/process/slots.h"

enum { NUMBER, FAILED, VALUE, COMPLETION, SUSPENDED = 8, COMMAND = 4, MOST_NAME = 256 };
enum { WAITED, RETURNED, RAISED };

#define TASK_SLOTS(X) \
    X(turn) X(instance) X(where) X(coroutine) X(waiting) X(error) X(refusal) X(retry) X(commands) X(is_seen) X(_max_result)
#define COMMANDS_SLOTS(X) X(plan) X(asked) X(done) X(effects) X(ended) X(open) X(unused) X(_count) X(_order)
#define TURN_SLOTS(X) X(_time) X(_max_turn) X(_base) X(room) X(beside) X(instance) X(outs) X(base)
#define HANDLE_SLOTS(X) X(_error) X(_used) X(_value) X(index) X(kind) X(name) X(order) X(seen)
#define EFFECT_SLOTS(X) X(_arguments) X(_function) X(_max_size) X(_retry) X(is_async) X(where)
#define INSTANCE_SLOTS(X) X(is_held) X(own)
#define PLACE(name) Py_ssize_t name;


typedef struct {
    PyObject_HEAD
    PyTypeObject *task, *commands, *turn, *handle, *effect, *instance, *command, *completion, *suspended;
    struct { TASK_SLOTS(PLACE) } t;
    struct { COMMANDS_SLOTS(PLACE) } c;
    struct { TURN_SLOTS(PLACE) } u;
    struct { HANDLE_SLOTS(PLACE) } h;
    struct { EFFECT_SLOTS(PLACE) } e;
    struct { INSTANCE_SLOTS(PLACE) } i;
    Py_ssize_t waiter;                                     /* of a handle */
    PyObject *current, *decode, *no_plan, *run, *zero, *minus, *turn_name;
    long long warn;                                        /* so many commands are looked at in Python */
} Waits;

static inline int
is_empty(PyObject *text)
{
    return text != NULL && PyUnicode_CheckExact(text) && PyUnicode_GET_LENGTH(text) == 0;
}

static inline int
is_dict(PyObject *object)
{
    return object != NULL && PyDict_CheckExact(object);
}

static inline int
is_list(PyObject *object)
{
    return object != NULL && PyList_CheckExact(object);
}

static inline int
is_of(PyObject *object, PyTypeObject *type)
{
    return object != NULL && Py_IS_TYPE(object, type);
}

/* Asking -------------------------------------------------------------------------------------------------- */

/* Whether it is a function of Python's on which nothing is marked. */
static int
is_plain_function(PyObject *function)
{
    if (!PyFunction_Check(function))
        return 0;
    PyObject *marks = ((PyFunctionObject *)function)->func_dict;
    return marks == NULL || (PyDict_CheckExact(marks) && PyDict_GET_SIZE(marks) == 0);
}

static PyObject *
new_handle(Waits *self, PyObject *task, PyObject *index, PyObject *name)
{
    PyObject *handle = self->handle->tp_alloc(self->handle, 0);
    if (handle == NULL)
        return NULL;
    set_slot(handle, self->waiter, Py_NewRef(task));
    set_slot(handle, self->h.index, Py_NewRef(index));
    set_slot(handle, self->h.name, Py_NewRef(name));
    set_slot(handle, self->h.kind, Py_NewRef(self->run));
    set_slot(handle, self->h.order, Py_NewRef(self->minus));
    set_slot(handle, self->h.seen, Py_NewRef(Py_None));
    set_slot(handle, self->h._used, Py_NewRef(Py_False));
    set_slot(handle, self->h._value, Py_NewRef(Py_None));
    set_slot(handle, self->h._error, Py_NewRef(Py_None));
    return handle;
}

static PyObject *
new_effect(Waits *self, PyObject *task, PyObject *name, PyObject *function, PyObject *arguments)
{
    PyObject *where = PyUnicode_FromFormat("%U, step %R", slot(task, self->t.where), name);
    PyObject *effect = where == NULL ? NULL : self->effect->tp_alloc(self->effect, 0);
    if (effect == NULL) {
        Py_XDECREF(where);
        return NULL;
    }
    int flags = ((PyCodeObject *)PyFunction_GET_CODE(function))->co_flags;
    set_slot(effect, self->e.where, where);
    set_slot(effect, self->e._function, Py_NewRef(function));
    set_slot(effect, self->e._arguments, Py_NewRef(arguments));
    set_slot(effect, self->e._retry, Py_NewRef(slot(task, self->t.retry)));
    set_slot(effect, self->e._max_size, Py_NewRef(slot(task, self->t._max_result)));
    set_slot(effect, self->e.is_async, PyBool_FromLong(flags & CO_COROUTINE));
    return effect;
}

static PyObject *
new_command(Waits *self, PyObject *index, PyObject *name)
{
    PyObject *command = new_tuple(self->command, COMMAND);
    if (command == NULL)
        return NULL;
    PyTuple_SET_ITEM(command, 0, Py_NewRef(index));
    PyTuple_SET_ITEM(command, 1, Py_NewRef(self->run));
    PyTuple_SET_ITEM(command, 2, Py_NewRef(name));
    PyTuple_SET_ITEM(command, 3, Py_NewRef(self->zero));
    return command;
}

PyDoc_STRVAR(run_doc,
"run(task, name, function, arguments, retry) -> Handle | None\n\n"
"Ask for a side effect; None: it is not a plain one, and nothing has been done.");

static PyObject *
waits_run(Waits *self, PyObject *const *args, Py_ssize_t count)
{
    long long number;
    if (count != 5) {
        PyErr_SetString(PyExc_TypeError, "run(task, name, function, arguments, retry)");
        return NULL;
    }
    PyObject *task = args[0], *name = args[1], *function = args[2], *arguments = args[3];
    if (!Py_IS_TYPE(task, self->task) || !PyUnicode_CheckExact(name) || !PyUnicode_IS_ASCII(name)
            || PyUnicode_GET_LENGTH(name) == 0 || PyUnicode_GET_LENGTH(name) > MOST_NAME
            || !is_plain_function(function) || !PyTuple_CheckExact(arguments) || args[4] != Py_None
            || !is_empty(slot(task, self->t.refusal)) || slot(task, self->t.retry) == NULL
            || slot(task, self->t._max_result) == NULL || slot(task, self->t.where) == NULL
            || !PyUnicode_CheckExact(slot(task, self->t.where)))
        Py_RETURN_NONE;
    PyObject *commands = slot(task, self->t.commands);
    if (!is_of(commands, self->commands) || slot(commands, self->c.plan) != self->no_plan
            || !as_long(slot(commands, self->c._count), &number) || number >= self->warn
            || !is_list(slot(commands, self->c.asked)) || !is_dict(slot(commands, self->c.open))
            || !is_dict(slot(commands, self->c.unused)) || !is_dict(slot(commands, self->c.effects)))
        Py_RETURN_NONE;
    Py_INCREF(commands);  /* from here on memory is asked for: the collector may run code */
    PyObject *asked = Py_NewRef(slot(commands, self->c.asked)), *open = Py_NewRef(slot(commands, self->c.open));
    PyObject *unused = Py_NewRef(slot(commands, self->c.unused)), *effects = Py_NewRef(slot(commands, self->c.effects));
    PyObject *index = PyLong_FromLongLong(number), *next = PyLong_FromLongLong(number + 1);
    PyObject *command = index == NULL ? NULL : new_command(self, index, name);
    PyObject *handle = index == NULL ? NULL : new_handle(self, task, index, name);
    PyObject *effect = new_effect(self, task, name, function, arguments);
    int failed = index == NULL || next == NULL || command == NULL || handle == NULL || effect == NULL;
    if (!failed) {
        set_slot(commands, self->c._count, next);
        next = NULL;
        failed = PyList_Append(asked, command) < 0 || PyDict_SetItem(open, index, handle) < 0
            || PyDict_SetItem(unused, index, command) < 0 || PyDict_SetItem(effects, index, effect) < 0;
    }
    if (failed)
        Py_CLEAR(handle);
    PyObject *own[] = {commands, asked, open, unused, effects, index, next, command, effect};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        Py_XDECREF(own[i]);
    return handle;
}

/* Going on ------------------------------------------------------------------------------------------------ */

/* What is needed of a task, owned. */
typedef struct {
    PyObject *commands, *turn, *instance, *handle, *coroutine, *open, *effects;
    long long order, count, base, time;
} Going;

static void
going_close(Going *g)
{
    PyObject *own[] = {g->commands, g->turn, g->instance, g->handle, g->coroutine, g->open, g->effects};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        Py_XDECREF(own[i]);
}

/* Whether a task waits for the one thing that has come, and nothing else is to be minded: looks only. */
static int
going_open(Waits *self, Going *g, PyObject *task, PyObject *completion)
{
    PyObject *commands = slot(task, self->t.commands), *turn = slot(task, self->t.turn);
    PyObject *handle = slot(task, self->t.waiting), *coroutine = slot(task, self->t.coroutine);
    PyObject *instance = slot(task, self->t.instance);
    if (!is_of(commands, self->commands) || !is_of(turn, self->turn) || !is_of(handle, self->handle)
            || !is_of(instance, self->instance) || coroutine == NULL || !PyCoro_CheckExact(coroutine)
            || slot(task, self->t.error) != Py_None || slot(task, self->t.is_seen) != Py_False
            || !is_empty(slot(task, self->t.refusal)))
        return 0;
    PyObject *open = slot(commands, self->c.open), *effects = slot(commands, self->c.effects);
    if (!is_dict(open) || !is_dict(effects) || !is_list(slot(commands, self->c.asked))
            || !is_list(slot(commands, self->c.done)) || slot(commands, self->c.ended) != Py_None
            || !as_long(slot(commands, self->c._order), &g->order)
            || !as_long(slot(commands, self->c._count), &g->count)
            || PyDict_GetItemWithError(open, PyTuple_GET_ITEM(completion, NUMBER)) != handle
            || slot(turn, self->u.beside) != Py_None || !is_list(slot(turn, self->u.outs))
            || !is_of(slot(turn, self->u.instance), self->instance) || slot(turn, self->u._max_turn) == NULL
            || slot(turn, self->u.base) == NULL || !as_long(slot(turn, self->u._base), &g->base)
            || !as_long(slot(turn, self->u._time), &g->time)
            || slot(handle, self->h.order) == NULL || !PyLong_CheckExact(slot(handle, self->h.order))
            || slot(handle, self->waiter) != task || slot(handle, self->h._used) != Py_True
            || slot(handle, self->h.seen) != Py_None)
        return 0;
    *g = (Going){Py_NewRef(commands), Py_NewRef(turn), Py_NewRef(instance), Py_NewRef(handle), Py_NewRef(coroutine),
                 Py_NewRef(open), Py_NewRef(effects), g->order, g->count, g->base, g->time};
    return 1;
}

/* The handle has come to `value`, of which it takes over the reference, and is seen to. */
static int
settle(Waits *self, Going *g, PyObject *completion, PyObject *value, PyObject *now, long long moment)
{
    PyObject *number = PyTuple_GET_ITEM(completion, NUMBER), *handle = g->handle, *turn = g->turn;
    PyObject *order = PyLong_FromLongLong(g->order), *next = PyLong_FromLongLong(g->order + 1);
    Py_ssize_t outs = PyList_GET_SIZE(slot(turn, self->u.outs));
    PyObject *seen = Py_BuildValue("LL", g->count, g->base + (long long)outs);
    int done = order != NULL && next != NULL && seen != NULL && PyDict_DelItem(g->open, number) == 0;
    if (done && PyDict_Contains(g->effects, number) == 1)
        done = PyDict_DelItem(g->effects, number) == 0;
    if (!done) {
        Py_XDECREF(order);
        Py_XDECREF(next);
        Py_XDECREF(seen);
        Py_DECREF(value);
        return 0;
    }
    if (moment > g->time)
        set_slot(turn, self->u._time, Py_NewRef(now));
    set_slot(turn, self->u.room, Py_NewRef(slot(turn, self->u._max_turn)));
    set_slot(g->commands, self->c._order, next);
    set_slot(handle, self->h.order, order);
    set_slot(handle, self->h._value, value);
    set_slot(handle, self->h._error, Py_NewRef(Py_None));
    set_slot(handle, self->h.seen, seen);
    return 1;
}

/* Whether what the coroutine has yielded is not there yet, and nothing else has come about than plain things. */
static int
is_plain_wait(Waits *self, PyObject *task, Going *g, PyObject *waiting)
{
    long long order, base;
    return Py_IS_TYPE(waiting, self->handle) && as_long(slot(waiting, self->h.order), &order) && order < 0
        && slot(waiting, self->h._used) == Py_True && slot(g->commands, self->c.ended) == Py_None
        && is_empty(slot(task, self->t.refusal)) && slot(g->turn, self->u.beside) == Py_None
        && slot(task, self->t.is_seen) == Py_False && is_list(slot(g->turn, self->u.outs))
        && is_list(slot(g->commands, self->c.asked)) && is_list(slot(g->commands, self->c.done))
        && is_dict(slot(g->commands, self->c.effects)) && as_long(slot(g->turn, self->u._base), &base);
}

/* All that has come about leaves. */
static PyObject *
suspended(Waits *self, PyObject *task, Going *g)
{
    PyObject *turn = g->turn, *commands = g->commands;
    PyObject *asked = PyList_New(0), *done = PyList_New(0), *effects = PyDict_New(), *outs = PyList_New(0);
    PyObject *patch = PyList_New(0), *result = new_tuple(self->suspended, SUSPENDED), *base = NULL;
    long long sent;
    if (as_long(slot(turn, self->u._base), &sent))
        base = PyLong_FromLongLong(sent + PyList_GET_SIZE(slot(turn, self->u.outs)));
    if (asked == NULL || done == NULL || effects == NULL || outs == NULL || patch == NULL || result == NULL
            || base == NULL) {
        PyObject *own[] = {asked, done, effects, outs, patch, result, base};
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            Py_XDECREF(own[i]);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    PyTuple_SET_ITEM(result, 0, Py_NewRef(task));
    PyTuple_SET_ITEM(result, 1, Py_NewRef(slot(commands, self->c.asked)));
    PyTuple_SET_ITEM(result, 2, Py_NewRef(slot(commands, self->c.done)));
    PyTuple_SET_ITEM(result, 3, Py_NewRef(slot(commands, self->c.effects)));
    PyTuple_SET_ITEM(result, 4, patch);
    PyTuple_SET_ITEM(result, 5, Py_NewRef(slot(turn, self->u.outs)));
    PyTuple_SET_ITEM(result, 6, Py_NewRef(slot(turn, self->u.base)));
    PyTuple_SET_ITEM(result, 7, Py_NewRef(Py_False));
    set_slot(commands, self->c.asked, asked);
    set_slot(commands, self->c.done, done);
    set_slot(commands, self->c.effects, effects);
    set_slot(turn, self->u.outs, outs);
    set_slot(turn, self->u._base, base);
    set_slot(g->instance, self->i.is_held, PyBool_FromLong(slot(g->instance, self->i.own) != Py_None));
    return result;
}

/* What the coroutine has come to, for Python to go on from, with the turn still the current one. */
static PyObject *
came(int how, PyObject *what)
{
    PyObject *result = what == NULL ? NULL : Py_BuildValue("iN", how, what);
    return result;
}

static PyObject *
raised(void)
{
    PyObject *type, *value, *trace;
    PyErr_Fetch(&type, &value, &trace);
    PyErr_NormalizeException(&type, &value, &trace);
    if (value != NULL && trace != NULL)
        PyException_SetTraceback(value, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return came(RAISED, value);
}

PyDoc_STRVAR(resume_doc,
"resume(task, completion, now) -> Suspended | tuple[int, object] | None\n\n"
"Let a handler go on with what has come. A pair: it has run, and came to this, where Python is to go on: it has\n"
"yielded (0), returned (1) or raised (2) it. None: it is not the plain case, and nothing has been done.");

static PyObject *
waits_resume(Waits *self, PyObject *const *args, Py_ssize_t count)
{
    long long number, moment;
    Going g = {0};
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "resume(task, completion, now)");
        return NULL;
    }
    PyObject *task = args[0], *completion = args[1];
    if (!Py_IS_TYPE(task, self->task) || !Py_IS_TYPE(completion, self->completion)
            || PyTuple_GET_SIZE(completion) != COMPLETION || !as_long(PyTuple_GET_ITEM(completion, NUMBER), &number)
            || number < 0 || PyTuple_GET_ITEM(completion, FAILED) != Py_False
            || !PyBytes_CheckExact(PyTuple_GET_ITEM(completion, VALUE)) || !as_long(args[2], &moment))
        Py_RETURN_NONE;
    PyObject *value = PyObject_CallOneArg(self->decode, PyTuple_GET_ITEM(completion, VALUE));
    if (value == NULL) {  /* Python says what is wrong with it */
        if (!PyErr_ExceptionMatches(PyExc_Exception))
            return NULL;
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    if (!going_open(self, &g, task, completion)) {
        Py_DECREF(value);
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    PyObject *result = NULL, *what = NULL;
    if (!settle(self, &g, completion, value, args[2], moment))
        goto done;
    set_slot(slot(g.turn, self->u.instance), self->i.is_held, Py_NewRef(Py_False));
    if (PyObject_SetAttr(self->current, self->turn_name, g.turn) < 0)
        goto done;
    switch (PyIter_Send(g.coroutine, Py_None, &what)) {
    case PYGEN_ERROR:
        result = raised();
        break;
    case PYGEN_RETURN:
        result = came(RETURNED, what);
        break;
    default:
        if (!is_plain_wait(self, task, &g, what)) {
            result = came(WAITED, what);
            break;
        }
        set_slot(task, self->t.waiting, what);
        if (PyObject_SetAttr(self->current, self->turn_name, Py_None) == 0)
            result = suspended(self, task, &g);
    }
done:
    going_close(&g);
    return result;
}

/* The type ------------------------------------------------------------------------------------------------ */

#define FIND(object, group, cls, name) || (self->group.name = slot_of((PyObject *)(cls), #name)) < 0
#define FIND_TASK(name) FIND(, t, self->task, name)
#define FIND_COMMANDS(name) FIND(, c, self->commands, name)
#define FIND_TURN(name) FIND(, u, self->turn, name)
#define FIND_HANDLE(name) FIND(, h, self->handle, name)
#define FIND_EFFECT(name) FIND(, e, self->effect, name)
#define FIND_INSTANCE(name) FIND(, i, self->instance, name)

static int
waits_init(Waits *self, PyObject *args, PyObject *Py_UNUSED(named))
{
    PyTypeObject *t[9];
    PyObject *current, *decode, *no_plan, *run, *type = (PyObject *)&PyType_Type;
    long long warn;
    if (self->task != NULL || !PyArg_ParseTuple(
            args, "(O!O!O!O!O!O!O!O!O!)OOOO!L", type, &t[0], type, &t[1], type, &t[2], type, &t[3], type, &t[4], type,
            &t[5], type, &t[6], type, &t[7], type, &t[8], &current, &decode, &no_plan, &PyLong_Type, &run, &warn)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "Waits are made once");
        return -1;
    }
    PyTypeObject **own[] = {&self->task, &self->commands, &self->turn, &self->handle, &self->effect, &self->instance,
                            &self->command, &self->completion, &self->suspended};
    for (int i = 0; i < 9; i++)
        *own[i] = (PyTypeObject *)Py_NewRef(t[i]);
    self->current = Py_NewRef(current);
    self->decode = Py_NewRef(decode);
    self->no_plan = Py_NewRef(no_plan);
    self->run = Py_NewRef(run);
    self->warn = warn;
    self->zero = PyLong_FromLong(0);
    self->minus = PyLong_FromLong(-1);
    self->turn_name = PyUnicode_InternFromString("turn");
    int failed = self->zero == NULL || self->minus == NULL || self->turn_name == NULL
        || (self->waiter = slot_of((PyObject *)self->handle->tp_base, "_waiter")) < 0
        TASK_SLOTS(FIND_TASK) COMMANDS_SLOTS(FIND_COMMANDS) TURN_SLOTS(FIND_TURN) HANDLE_SLOTS(FIND_HANDLE)
        EFFECT_SLOTS(FIND_EFFECT) INSTANCE_SLOTS(FIND_INSTANCE);
    return failed ? -1 : 0;
}

static void
waits_dealloc(Waits *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *own[] = {
        (PyObject *)self->task, (PyObject *)self->commands, (PyObject *)self->turn, (PyObject *)self->handle,
        (PyObject *)self->effect, (PyObject *)self->instance, (PyObject *)self->command,
        (PyObject *)self->completion, (PyObject *)self->suspended, self->current, self->decode, self->no_plan,
        self->run, self->zero, self->minus, self->turn_name,
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        Py_XDECREF(own[i]);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

#define FAST(function) (PyCFunction)(void (*)(void))function, METH_FASTCALL

static PyMethodDef waits_methods[] = {
    {"run", FAST(waits_run), run_doc},
    {"resume", FAST(waits_resume), resume_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot waits_slots[] = {
    {Py_tp_doc, "Waits(classes, current, decode, no_plan, run, warn)\n\nHandlers that wait, of these classes."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, waits_init},
    {Py_tp_dealloc, waits_dealloc},
    {Py_tp_methods, waits_methods},
    {0, NULL},
};

static PyType_Spec waits_spec = {
    .name = "plexstream.hosts.native.plain._waits.Waits",
    .basicsize = sizeof(Waits),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = waits_slots,
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&waits_spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Waits", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.hosts.native.plain._waits",
    .m_doc = "Handlers that wait for side effects, in the plain case.",
    .m_size = 0,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__waits(void)
{
    return PyModuleDef_Init(&module);
}
