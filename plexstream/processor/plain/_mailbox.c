/*
 * Messages in the plain case: each a tell or an ask for an actor that is in memory and free, and has nothing else
 * to mind.
 *
 * It does what `InboxState.admit`, `Door.execute` and `Door.invoke` do then, over the very objects that they
 * work on. The host runs the handler. A message is looked at before anything is changed for it: where it is not a
 * plain one, or the host says so, nothing has been done, and it is handled in Python. Where it is, and what it
 * comes to is out of the ordinary (a failure, a handler that waits, timers), `Door.came` goes on from there: the
 * handler never runs twice. An actor that is not in memory is loaded first, by `Door.load`.
 */
#include "../../model/process/slots.h"

enum { KIND, ID, TARGET, HANDLER, PAYLOAD, SENDER, REPLY_TO, KEY, TIME, HEADERS, ORIGIN, SEQ, INDEX, ENVELOPE };
enum { CODE, VALUE, PATCH, OUTS, READ_ONLY, RESULT = 8 };
enum { TELL = 0, ASK = 1, REPLY = 2, EMIT = 4 };
enum { AWAY = 3 };
#define TURN 19
#define OUT 8

#define ACTOR_SLOTS(X) \
    X(address) X(armed) X(group) X(holder) X(info) X(instance) X(last) X(life) X(queue) X(raw) X(seq) X(time) X(tried)
#define INBOX_SLOTS(X) X(done) X(known) X(origins) X(position) X(waiting)
#define PLACE(name) Py_ssize_t name;
#define CLASSES 7

typedef struct {
    PyObject_HEAD
    PyTypeObject *envelope, *turn, *change, *out, *result, *actor, *inbox_type;
    struct { ACTOR_SLOTS(PLACE) } a;
    struct { INBOX_SLOTS(PLACE) } i;
    Py_ssize_t ttl;                    /* which field of an actor's info its state's time to live is */
    PyObject *ledger, *inbox, *active, *live, *invoke, *load, *came, *seen;
    PyObject *topic, *empty, *zero, *reply;
} Mailbox;

#define FIELD(record, name) PyTuple_GET_ITEM(record, name)

static inline int
is_empty(PyObject *text)
{
    return PyUnicode_CheckExact(text) && PyUnicode_GET_LENGTH(text) == 0;
}

/* Whether it is a handler's name, and none of the system's. */
static inline int
is_users(PyObject *handler)
{
    return PyUnicode_CheckExact(handler) && PyUnicode_GET_LENGTH(handler) > 0
        && PyUnicode_READ_CHAR(handler, 0) != '$';
}

static inline int
is_tuple_of(PyObject *object, PyTypeObject *type, Py_ssize_t size)
{
    return Py_IS_TYPE(object, type) && PyTuple_GET_SIZE(object) == size;
}

/* What is known of a message before its handler runs. */
typedef struct {
    PyObject *envelope, *actor;        /* the actor is owned */
    PyObject *number;                  /* its offset */
    long long offset, seq, origin_seq, origin_index;
    int from_origin;                   /* its number of its origin is to be noted */
    int asks;                          /* somebody waits for what its handler returns */
} Message;

/* Whether the inbox takes it, as something new: looks only. -1: an error. */
static int
is_new(Mailbox *self, Message *m)
{
    PyObject *inbox = self->inbox, *done = slot(inbox, self->i.done), *waiting = slot(inbox, self->i.waiting);
    PyObject *origins = slot(inbox, self->i.origins), *origin = FIELD(m->envelope, ORIGIN);
    long long known;
    if (done == NULL || waiting == NULL || !PyAnySet_CheckExact(waiting) || origins == NULL
            || !PyDict_CheckExact(origins) || !as_long(slot(inbox, self->i.known), &known))
        return 0;
    Py_ssize_t left = PyObject_Size(done);
    if (left != 0)
        return left < 0 ? -1 : 0;
    if (PySet_GET_SIZE(waiting) > 0) {
        int waits = PySet_Contains(waiting, m->number);
        if (waits != 0)
            return waits < 0 ? -1 : 0;
    }
    if (!as_long(FIELD(m->envelope, SEQ), &m->origin_seq) || !as_long(FIELD(m->envelope, INDEX), &m->origin_index)
            || !PyUnicode_CheckExact(origin))
        return 0;
    m->from_origin = PyUnicode_GET_LENGTH(origin) > 0 && m->offset >= known;
    if (!m->from_origin)
        return 1;
    PyObject *last = PyDict_GetItemWithError(origins, origin);
    if (last == NULL)
        return PyErr_Occurred() ? -1 : 1;
    long long seq, index;
    if (!PyTuple_CheckExact(last) || PyTuple_GET_SIZE(last) != 2 || !as_long(PyTuple_GET_ITEM(last, 0), &seq)
            || !as_long(PyTuple_GET_ITEM(last, 1), &index))
        return 0;
    return m->origin_seq > seq || (m->origin_seq == seq && m->origin_index > index);
}

/* Whether the actor takes it at once, with nothing else to mind: looks only. AWAY: it is not in memory; -1: an error. */
static int
is_free(Mailbox *self, Message *m)
{
    PyObject *actor = PyDict_GetItemWithError(self->active, FIELD(m->envelope, TARGET));
    long long ttl;
    if (actor == NULL)
        return PyErr_Occurred() ? -1 : AWAY;
    if (!Py_IS_TYPE(actor, self->actor) || slot(actor, self->a.queue) != Py_None
            || slot(actor, self->a.life) != Py_None || slot(actor, self->a.tried) != Py_None
            || slot(actor, self->a.holder) != Py_None || slot(actor, self->a.armed) != Py_True
            || slot(actor, self->a.raw) != Py_False || slot(actor, self->a.instance) == Py_None
            || slot(actor, self->a.instance) == NULL || slot(actor, self->a.address) == NULL
            || !as_long(slot(actor, self->a.seq), &m->seq) || m->seq == INT64_MAX)
        return 0;
    PyObject *info = slot(actor, self->a.info);
    if (info == NULL || !PyTuple_Check(info) || PyTuple_GET_SIZE(info) <= self->ttl
            || !as_long(PyTuple_GET_ITEM(info, self->ttl), &ttl) || ttl != 0)
        return 0;
    if (PyDict_GET_SIZE(self->live) > 0) {
        int lives = PyDict_Contains(self->live, slot(actor, self->a.address));
        if (lives != 0)
            return lives < 0 ? -1 : 0;
    }
    m->seq++;
    m->actor = Py_NewRef(actor);
    return 1;
}

/* Whether a message is a plain one, as far as can be seen without the host. AWAY: as `is_free`; -1: an error. */
static int
look(Mailbox *self, PyObject *item, Message *m)
{
    long long kind;
    if (!PyTuple_CheckExact(item) || PyTuple_GET_SIZE(item) != 2
            || !as_long(m->number = PyTuple_GET_ITEM(item, 0), &m->offset) || m->offset < 0
            || m->offset == INT64_MAX || !is_tuple_of(PyTuple_GET_ITEM(item, 1), self->envelope, ENVELOPE))
        return 0;
    PyObject *e = m->envelope = PyTuple_GET_ITEM(item, 1), *headers = FIELD(e, HEADERS);
    if (!as_long(FIELD(e, KIND), &kind) || (kind != TELL && kind != ASK) || !is_empty(FIELD(e, KEY))
            || !is_users(FIELD(e, HANDLER)) || !PyDict_CheckExact(headers) || PyDict_GET_SIZE(headers) != 0
            || !PyUnicode_CheckExact(FIELD(e, TARGET)) || !PyUnicode_CheckExact(FIELD(e, REPLY_TO)))
        return 0;
    m->asks = kind == ASK;
    int new = is_new(self, m);
    return new <= 0 ? new : is_free(self, m);
}

/* The inbox has it: see `InboxState.admit`. */
static int
admit(Mailbox *self, Message *m)
{
    if (m->from_origin) {
        PyObject *numbers = PyTuple_Pack(2, FIELD(m->envelope, SEQ), FIELD(m->envelope, INDEX));
        if (numbers == NULL)
            return 0;
        int failed = PyDict_SetItem(slot(self->inbox, self->i.origins), FIELD(m->envelope, ORIGIN), numbers) < 0;
        Py_DECREF(numbers);
        if (failed)
            return 0;
    }
    PyObject *position = PyLong_FromLongLong(m->offset + 1);
    if (position == NULL)
        return 0;
    set_slot(self->inbox, self->i.position, position);
    return 1;
}

/* Whether what a handler came to is all changed fields and entries, messages and outputs. */
static int
is_plain(Mailbox *self, PyObject *result, int *entries)
{
    long long kind;
    *entries = 0;
    if (!is_tuple_of(result, self->result, RESULT) || !is_empty(FIELD(result, CODE))
            || FIELD(result, READ_ONLY) != Py_False || !PyBytes_CheckExact(FIELD(result, VALUE)))
        return 0;
    PyObject *patch = FIELD(result, PATCH), *outs = FIELD(result, OUTS);
    if (!PyList_CheckExact(patch) || !PyList_CheckExact(outs))
        return 0;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(patch); i++) {
        PyObject *change = PyList_GET_ITEM(patch, i);
        if (!is_tuple_of(change, self->change, 3))
            return 0;
        *entries |= PyTuple_GET_ITEM(change, 1) != Py_None;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(outs); i++) {
        PyObject *out = PyList_GET_ITEM(outs, i);
        if (!is_tuple_of(out, self->out, OUT) || !as_long(PyTuple_GET_ITEM(out, 0), &kind)
                || !(kind == EMIT || (kind == TELL && is_users(PyTuple_GET_ITEM(out, 3)))))
            return 0;
    }
    return 1;
}

/* What the ledger has, while a batch is handled. */
typedef struct {
    PyObject *pending, *claim, *now, *number;
} Ledger;

static int
ledger_open(Mailbox *self, Ledger *l)
{
    l->pending = PyObject_GetAttrString(self->ledger, "pending");
    l->claim = PyObject_GetAttrString(self->ledger, "claim");
    l->now = PyObject_GetAttrString(self->ledger, "now");
    l->number = PyObject_GetAttrString(self->ledger, "number");
    if (l->pending == NULL || l->claim == NULL || l->now == NULL || l->number == NULL)
        return 0;
    if (PyList_CheckExact(l->pending))
        return 1;
    PyErr_SetString(PyExc_TypeError, "what is pending is no list");
    return 0;
}

/* So many more turns are pending. Leaves an error that is set. */
static int
ledger_close(Mailbox *self, Ledger *l, Py_ssize_t turns)
{
    PyObject *type, *error, *traceback;
    int failed = 0;
    PyErr_Fetch(&type, &error, &traceback);
    if (turns > 0) {
        PyObject *ahead = PyObject_GetAttrString(self->ledger, "running_ahead");
        PyObject *more = PyLong_FromSsize_t(turns), *sum = NULL;
        if (ahead != NULL && more != NULL)
            sum = PyNumber_Add(ahead, more);
        failed = sum == NULL || PyObject_SetAttrString(self->ledger, "running_ahead", sum) < 0;
        Py_XDECREF(ahead);
        Py_XDECREF(more);
        Py_XDECREF(sum);
    }
    Py_XDECREF(l->pending);
    Py_XDECREF(l->claim);
    Py_XDECREF(l->now);
    Py_XDECREF(l->number);
    if (type != NULL)
        PyErr_Restore(type, error, traceback);
    return !failed;
}

/* Load the actor of a message, which may run a hook, and look again. */
static int
bring(Mailbox *self, Ledger *l, Py_ssize_t *turns, PyObject *item, Message *m)
{
    int closed = ledger_close(self, l, *turns);
    *l = (Ledger){NULL, NULL, NULL, NULL};
    *turns = 0;
    PyObject *loaded = closed ? PyObject_CallOneArg(self->load, FIELD(m->envelope, TARGET)) : NULL;
    if (loaded == NULL)
        return -1;
    int here = loaded == Py_True;
    Py_DECREF(loaded);
    if (!ledger_open(self, l))
        return -1;
    int went = here ? look(self, item, m) : 0;
    return went == AWAY ? 0 : went;
}

/* What the handler has returned goes to who asks, once the log has the turn. */
static int
answer(Mailbox *self, PyObject *e, PyObject *result)
{
    PyObject *out = new_tuple(self->out, OUT);
    if (out == NULL)
        return 0;
    PyObject *fields[OUT] = {
        self->reply, FIELD(e, ID), FIELD(e, REPLY_TO), self->empty, FIELD(result, VALUE), self->empty, self->empty,
        self->zero,
    };
    for (int i = 0; i < OUT; i++)
        PyTuple_SET_ITEM(out, i, Py_NewRef(fields[i]));
    int failed = PyList_Append(FIELD(result, OUTS), out) < 0;
    Py_DECREF(out);
    return !failed;
}

/* The turn is on its way to the log. */
static int
append(Mailbox *self, Ledger *l, Message *m, PyObject *seq, PyObject *result, int entries)
{
    PyObject *e = m->envelope, *turn;
    if ((m->asks && !answer(self, e, result)) || (turn = new_tuple(self->turn, TURN)) == NULL)
        return 0;
    PyObject *fields[TURN] = {
        l->claim, slot(m->actor, self->a.address), seq, self->topic, m->number, l->now, self->zero, Py_False,
        self->empty, FIELD(result, PATCH), FIELD(e, HANDLER), FIELD(e, ID), FIELD(e, SENDER), FIELD(e, KIND),
        FIELD(e, ORIGIN), FIELD(e, SEQ), FIELD(e, INDEX), FIELD(result, OUTS), self->zero,
    };
    for (int i = 0; i < TURN; i++)
        PyTuple_SET_ITEM(turn, i, Py_NewRef(fields[i]));
    PyObject *seen = entries ? PyObject_CallOneArg(self->seen, turn) : Py_NewRef(Py_None);
    int failed = seen == NULL || PyList_Append(l->pending, turn) < 0;
    Py_XDECREF(seen);
    Py_DECREF(turn);
    if (failed)
        return 0;
    set_slot(m->actor, self->a.last, Py_NewRef(l->now));
    set_slot(m->actor, self->a.time, Py_NewRef(l->now));
    set_slot(m->actor, self->a.seq, Py_NewRef(seq));
    set_slot(m->actor, self->a.group, Py_NewRef(l->number));
    return 1;
}

/* 1: a plain turn; 0: nothing has been done; 2: what its handler came to is `result`, and not plain; -1: an error. */
static int
handle(Mailbox *self, Ledger *l, Message *m, PyObject *seq, PyObject **result)
{
    PyObject *e = m->envelope, *instance = Py_NewRef(slot(m->actor, self->a.instance));
    PyObject *args[] = {
        NULL, instance, FIELD(e, HANDLER), FIELD(e, PAYLOAD), seq, l->now, FIELD(e, SENDER), FIELD(e, ID),
        m->asks ? FIELD(e, REPLY_TO) : self->empty,
    };
    *result = PyObject_Vectorcall(self->invoke, args + 1, 8 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(instance);
    if (*result == Py_None)
        return 0;
    if (*result == NULL) {             /* the process ends, or the reign: as if it had been handled in Python */
        PyObject *type, *error, *traceback;
        PyErr_Fetch(&type, &error, &traceback);
        if (!admit(self, m))
            PyErr_Clear();
        PyErr_Restore(type, error, traceback);
        return -1;
    }
    if (!admit(self, m))
        return -1;
    int entries;
    if (!is_plain(self, *result, &entries))
        return 2;
    return append(self, l, m, seq, *result, entries) ? 1 : -1;
}

PyDoc_STRVAR(receive_doc,
"receive(messages, at) -> at\n\n"
"Handle messages from the one at place `at` on, and return the place of the first that is not a plain one.");

static PyObject *
mailbox_receive(Mailbox *self, PyObject *const *args, Py_ssize_t count)
{
    long long at;
    Ledger l = {NULL, NULL, NULL, NULL};
    Py_ssize_t turns = 0;
    int went = 1;
    if (count != 2 || !PyList_CheckExact(args[0]) || !as_long(args[1], &at) || at < 0) {
        PyErr_SetString(PyExc_TypeError, "receive(messages: list, at: int)");
        return NULL;
    }
    if (self->ledger == NULL) {
        PyErr_SetString(PyExc_TypeError, "this Mailbox was not made, or is gone");
        return NULL;
    }
    if (!ledger_open(self, &l))
        went = -1;
    while (went == 1 && at < PyList_GET_SIZE(args[0])) {
        PyObject *item = Py_NewRef(PyList_GET_ITEM(args[0], at)), *seq = NULL, *result = NULL;
        Message m = {0};
        went = look(self, item, &m);
        if (went == AWAY)
            went = bring(self, &l, &turns, item, &m);
        if (went == 1)
            went = (seq = PyLong_FromLongLong(m.seq)) == NULL ? -1 : handle(self, &l, &m, seq, &result);
        at += went > 0;
        turns += went == 1;
        if (went == 2) {
            went = ledger_close(self, &l, turns) ? 0 : -1;
            l = (Ledger){NULL, NULL, NULL, NULL};
            turns = 0;
            PyObject *more = went < 0 ? NULL : PyObject_CallFunctionObjArgs(
                self->came, m.actor, m.number, m.envelope, seq, result, NULL);
            went = more == NULL || (more == Py_True && !ledger_open(self, &l)) ? -1 : more == Py_True;
            Py_XDECREF(more);
        }
        Py_XDECREF(result);
        Py_XDECREF(seq);
        Py_XDECREF(m.actor);
        Py_DECREF(item);
    }
    if (!ledger_close(self, &l, turns) || went < 0)
        return NULL;
    return PyLong_FromLongLong(at);
}

/* The type ------------------------------------------------------------------------------------------------ */

static int
mailbox_init(Mailbox *self, PyObject *args, PyObject *named)
{
    static char *names[] = {"classes", "ttl", "topic", "ledger", "inbox", "active", "live", "invoke", "load", "came",
                            "seen", NULL};
    PyObject *classes, *topic, *ledger, *inbox, *active, *live, *invoke, *load, *came, *seen;
    if (self->ledger != NULL || !PyArg_ParseTupleAndKeywords(
            args, named, "O!nUOOO!O!OOOO", names, &PyTuple_Type, &classes, &self->ttl, &topic, &ledger, &inbox,
            &PyDict_Type, &active, &PyDict_Type, &live, &invoke, &load, &came, &seen)
            || PyTuple_GET_SIZE(classes) != CLASSES || self->ttl < 0) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a Mailbox is made once, with seven classes");
        return -1;
    }
    PyTypeObject **own[CLASSES] = {
        &self->envelope, &self->turn, &self->change, &self->out, &self->result, &self->actor, &self->inbox_type,
    };
    for (int i = 0; i < CLASSES; i++) {
        if (!PyType_Check(PyTuple_GET_ITEM(classes, i))) {
            PyErr_SetString(PyExc_TypeError, "one of the classes is none");
            return -1;
        }
        Py_XSETREF(*own[i], (PyTypeObject *)Py_NewRef(PyTuple_GET_ITEM(classes, i)));
    }
    PyObject *actor_type = (PyObject *)self->actor, *inbox_type = (PyObject *)self->inbox_type;
#define FIND_IN_ACTOR(name) if ((self->a.name = slot_of(actor_type, #name)) < 0) return -1;
    ACTOR_SLOTS(FIND_IN_ACTOR)
#define FIND_IN_INBOX(name) if ((self->i.name = slot_of(inbox_type, #name)) < 0) return -1;
    INBOX_SLOTS(FIND_IN_INBOX)
    if (!Py_IS_TYPE(inbox, self->inbox_type)) {
        PyErr_SetString(PyExc_TypeError, "the inbox is of another class");
        return -1;
    }
    self->topic = Py_NewRef(topic);
    self->inbox = Py_NewRef(inbox);
    self->active = Py_NewRef(active);
    self->live = Py_NewRef(live);
    self->invoke = Py_NewRef(invoke);
    self->load = Py_NewRef(load);
    self->came = Py_NewRef(came);
    self->seen = Py_NewRef(seen);
    self->empty = PyUnicode_FromString("");
    self->zero = PyLong_FromLong(0);
    self->reply = PyLong_FromLong(REPLY);
    if (self->empty == NULL || self->zero == NULL || self->reply == NULL)
        return -1;
    self->ledger = Py_NewRef(ledger);
    return 0;
}

/* Ledger and door lead back to who holds this. */
static int
mailbox_traverse(Mailbox *self, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(self));
    Py_VISIT(self->ledger);
    Py_VISIT(self->inbox);
    Py_VISIT(self->active);
    Py_VISIT(self->live);
    Py_VISIT(self->invoke);
    Py_VISIT(self->load);
    Py_VISIT(self->came);
    Py_VISIT(self->seen);
    return 0;
}

static int
mailbox_clear(Mailbox *self)
{
    Py_CLEAR(self->ledger);
    Py_CLEAR(self->inbox);
    Py_CLEAR(self->active);
    Py_CLEAR(self->live);
    Py_CLEAR(self->invoke);
    Py_CLEAR(self->load);
    Py_CLEAR(self->came);
    Py_CLEAR(self->seen);
    return 0;
}

static void
mailbox_dealloc(Mailbox *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    mailbox_clear(self);
    PyTypeObject *own[CLASSES] = {
        self->envelope, self->turn, self->change, self->out, self->result, self->actor, self->inbox_type,
    };
    for (int i = 0; i < CLASSES; i++)
        Py_XDECREF(own[i]);
    Py_XDECREF(self->topic);
    Py_XDECREF(self->empty);
    Py_XDECREF(self->zero);
    Py_XDECREF(self->reply);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef mailbox_methods[] = {
    {"receive", (PyCFunction)(void (*)(void))mailbox_receive, METH_FASTCALL, receive_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot mailbox_slots[] = {
    {Py_tp_doc, "Messages of one partition."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, mailbox_init},
    {Py_tp_traverse, mailbox_traverse},
    {Py_tp_clear, mailbox_clear},
    {Py_tp_dealloc, mailbox_dealloc},
    {Py_tp_methods, mailbox_methods},
    {0, NULL},
};

static PyType_Spec mailbox_spec = {
    .name = "plexstream.processor.plain._mailbox.Mailbox",
    .basicsize = sizeof(Mailbox),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = mailbox_slots,
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&mailbox_spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Mailbox", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.processor.plain._mailbox",
    .m_doc = "Messages in the plain case.",
    .m_size = 0,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__mailbox(void)
{
    return PyModuleDef_Init(&module);
}
