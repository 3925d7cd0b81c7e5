/*
 * The plain case of a turn: a handler that is a plain function of an actor, which returns without having waited.
 *
 * It does what `NativeHost.invoke` does then, over the same objects: arguments are bound, the turn begins, the
 * handler runs, changes of plain fields are found. What is not plain is seen before the handler runs, and None
 * is returned for it, with nothing changed. Once the handler has run, whatever is out of the ordinary goes to
 * `NativeHost._end` or `_raised`, which go on from there: it never runs twice.
 */
#include "../../../model/process/slots.h"
#include <string.h>

#define MAX_ARGUMENTS 32
#define MAX_FIELDS 64
#define MAX_KEY 256                        /* characters: a longer key may have too many bytes */
#define OUT_BYTES 32                       /* `_OUT` in turn.py */
enum { EMIT = 4, RESULT = 8, OUT = 8, CHANGE = 3 };

#define TURN_SLOTS(X) \
    X(_base) X(_max_turn) X(_random) X(_sender) X(_task) X(_time) X(actor) X(address) X(base) X(behaviour) \
    X(beside) X(bound) X(caller) X(chain) X(firing) X(forgotten) X(fresh) X(init_failed) X(instance) \
    X(max_message) X(opening) X(outs) X(restarts) X(room) X(seq)
#define INSTANCE_SLOTS(X) \
    X(_double) X(address) X(attributes) X(before) X(cells) X(encoded) X(foreign) X(is_held) X(migrated) X(object) \
    X(own) X(total) X(type)
#define BOUND_SLOTS(X) X(function) X(plain) X(waits)
#define CODEC_SLOTS(X) X(exact) X(initial) X(name) X(number)
#define PLACE(name) Py_ssize_t name;
#define CLASSES 7

typedef struct {
    PyObject_HEAD
    PyTypeObject *turn, *instance, *bound, *codec, *result, *change, *out;
    struct { TURN_SLOTS(PLACE) } t;
    struct { INSTANCE_SLOTS(PLACE) } i;
    struct { BOUND_SLOTS(PLACE) } b;
    struct { CODEC_SLOTS(PLACE) } c;
    PyObject *current, *encode, *is_plain, *depth, *astuple, *check_topic, *emit;
    PyObject *empty, *zero, *null, *emit_kind;
    PyObject *_handlers, *_turn, *turn_name, *_end, *_raised, *take_changes, *take_entries, *seal;
} Invoker;

static inline void
put(PyObject *object, Py_ssize_t at, PyObject *value)
{
    set_slot(object, at, Py_NewRef(value));
}

static int
is_plain_value(Invoker *self, PyObject *value)
{
    PyObject *args[] = {value, self->depth};
    PyObject *found = PyObject_Vectorcall(self->is_plain, args, 2, NULL);
    int plain = found == NULL ? -1 : found == Py_True;
    Py_XDECREF(found);
    return plain;
}

/* Changes ------------------------------------------------------------------------------------------------- */

static inline int
is_immutable(PyObject *value)
{
    PyTypeObject *t = Py_TYPE(value);
    return t == &PyLong_Type || t == &PyUnicode_Type || t == &PyBool_Type || t == &PyFloat_Type
        || value == Py_None || t == &PyBytes_Type;
}

static inline int
same_bytes(PyObject *one, PyObject *other)
{
    return PyBytes_CheckExact(one) && PyBytes_CheckExact(other) && PyBytes_GET_SIZE(one) == PyBytes_GET_SIZE(other)
        && memcmp(PyBytes_AS_STRING(one), PyBytes_AS_STRING(other), (size_t)PyBytes_GET_SIZE(one)) == 0;
}

static PyObject *
digits(long long number)
{
    char text[24];
    int at = 24;
    unsigned long long left = number < 0 ? 0ULL - (unsigned long long)number : (unsigned long long)number;
    do
        text[--at] = (char)('0' + left % 10);
    while ((left /= 10) != 0);
    if (number < 0)
        text[--at] = '-';
    return PyBytes_FromStringAndSize(text + at, 24 - at);
}

/* One field that may have changed. */
typedef struct {
    PyObject *name, *value, *data;     /* all owned */
    int changed;
} Found;

/* The encoding of a field's value, and the value as it will be read back. */
static int
encode_field(Invoker *self, PyObject *codec, Found *found)
{
    PyObject *exact = slot(codec, self->c.exact), *value = found->value;
    long long number;
    if ((PyObject *)Py_TYPE(value) == exact) {
        if (as_long(value, &number))
            found->data = digits(number);
        else                           /* a text, a bool, a number of more than 64 bits */
            found->data = PyObject_CallOneArg(self->encode, value);
        if (found->data != NULL && PyBytes_CheckExact(found->data))
            return 1;
        if (found->data == NULL && !PyErr_ExceptionMatches(PyExc_Exception))
            return 0;
        PyErr_Clear();                 /* Python says what is wrong */
        Py_CLEAR(found->data);
    }
    PyObject *both = PyObject_CallMethodOneArg(codec, self->seal, value);
    if (both == NULL)
        return 0;
    if (!PyTuple_CheckExact(both) || PyTuple_GET_SIZE(both) != 2 || !PyBytes_CheckExact(PyTuple_GET_ITEM(both, 0))) {
        Py_DECREF(both);
        PyErr_SetString(PyExc_TypeError, "seal returns bytes and a value");
        return 0;
    }
    found->data = Py_NewRef(PyTuple_GET_ITEM(both, 0));
    Py_SETREF(found->value, Py_NewRef(PyTuple_GET_ITEM(both, 1)));
    Py_DECREF(both);
    return 1;
}

/* What `encoded` has of a field, borrowed; NULL: nothing, perhaps with an error. */
static inline PyObject *
stored(Invoker *self, PyObject *instance, PyObject *name)
{
    return PyDict_GetItemWithError(slot(instance, self->i.encoded), name);
}

/* Look at all fields. Returns how many may have changed; -1: an error; -2: this is a matter for Python. */
static Py_ssize_t
find(Invoker *self, PyObject *instance, PyObject *codecs, Found *found, long long *size)
{
    Py_ssize_t count = 0;
    for (Py_ssize_t k = 0; k < PyList_GET_SIZE(codecs); k++) {
        PyObject *codec = PyList_GET_ITEM(codecs, k);
        if (!Py_IS_TYPE(codec, self->codec) || count == MAX_FIELDS)
            return -2;
        PyObject *name = slot(codec, self->c.name);
        PyObject *value = PyDict_GetItemWithError(slot(instance, self->i.attributes), name);
        if (value == NULL)
            return PyErr_Occurred() ? -1 : -2;
        Py_INCREF(value);
        PyObject *before = PyDict_GetItemWithError(slot(instance, self->i.before), name);
        if ((before == NULL && PyErr_Occurred()) || (value == before && is_immutable(value))) {
            Py_DECREF(value);
            if (before == NULL)
                return -1;
            continue;
        }
        Found *f = &found[count++];
        *f = (Found){Py_NewRef(name), value, NULL, 0};
        Py_INCREF(codec);              /* seal may run code of users */
        int sealed = encode_field(self, codec, f);
        PyObject *was = sealed ? stored(self, instance, name) : NULL;
        if (sealed && was == NULL && !PyErr_Occurred())
            was = slot(codec, self->c.initial);
        f->changed = was != NULL && !same_bytes(f->data, was);
        int foreign = f->changed ? PySet_Contains(slot(instance, self->i.foreign), name) : 0;
        int known = slot(codec, self->c.exact) != Py_None;
        Py_DECREF(codec);
        if (was == NULL || foreign < 0)
            return -1;
        if (foreign)
            return -2;
        if (f->changed)
            *size += PyBytes_GET_SIZE(f->data);
        else if (known) {              /* it is what it was */
            Py_CLEAR(f->name);
            Py_CLEAR(f->value);
            Py_CLEAR(f->data);
            count--;
        }
    }
    return count;
}

/* A field has this value from now on. */
static int
rebase(Invoker *self, PyObject *instance, Found *f)
{
    return PyDict_SetItem(slot(instance, self->i.attributes), f->name, f->value) == 0
        && PyDict_SetItem(slot(instance, self->i.before), f->name, f->value) == 0;
}

/* The changes become the new base. */
static PyObject *
take(Invoker *self, PyObject *instance, Found *found, Py_ssize_t count, long long total, PyObject *entries)
{
    PyObject *patch = PyList_New(0), *number;
    for (Py_ssize_t k = 0; patch != NULL && k < count; k++) {
        Found *f = &found[k];
        int failed = 0;
        if (f->changed) {
            PyObject *was = stored(self, instance, f->name);
            PyObject *change = was == NULL && PyErr_Occurred() ? NULL : new_tuple(self->change, CHANGE);
            if (change == NULL) {
                Py_CLEAR(patch);
                break;
            }
            total += PyBytes_GET_SIZE(f->data) - (was != NULL && PyBytes_Check(was) ? PyBytes_GET_SIZE(was) : 0);
            PyTuple_SET_ITEM(change, 0, Py_NewRef(f->name));
            PyTuple_SET_ITEM(change, 1, Py_NewRef(Py_None));
            PyTuple_SET_ITEM(change, 2, Py_NewRef(f->data));
            failed = PyList_Append(patch, change) < 0
                || PyDict_SetItem(slot(instance, self->i.encoded), f->name, f->data) < 0;
            Py_DECREF(change);
        }
        if (failed || (f->changed && !rebase(self, instance, f)))
            Py_CLEAR(patch);
    }
    for (Py_ssize_t k = 0; patch != NULL && k < count; k++)
        if (!found[k].changed && !rebase(self, instance, &found[k]))
            Py_CLEAR(patch);
    Py_ssize_t end = patch == NULL ? 0 : PyList_GET_SIZE(patch);
    if (patch != NULL && entries != NULL && PyList_SetSlice(patch, end, end, entries) < 0)
        Py_CLEAR(patch);
    if (patch == NULL || PyList_GET_SIZE(patch) == 0)
        return patch;
    if ((number = PyLong_FromLongLong(total)) == NULL) {
        Py_DECREF(patch);
        return NULL;
    }
    set_slot(instance, self->i.total, number);
    put(instance, self->i._double, Py_None);
    return patch;
}

/* What the collections have changed: see `Instance.take_entries`. */
static PyObject *
entries_of(Invoker *self, PyObject *instance, long long room)
{
    PyObject *left = PyLong_FromLongLong(room);
    PyObject *entries = left == NULL ? NULL : PyObject_CallMethodOneArg(instance, self->take_entries, left);
    Py_XDECREF(left);
    if (entries != NULL && !PyList_CheckExact(entries)) {
        PyErr_SetString(PyExc_TypeError, "take_entries returns a list");
        Py_CLEAR(entries);
    }
    return entries;
}

/* See `Instance.take_changes`. */
static PyObject *
changes(Invoker *self, PyObject *instance, PyObject *plan, long long room)
{
    PyObject *codecs = PyTuple_GET_ITEM(plan, 1), *patch = NULL, *entries = NULL;
    long long total = 0, most, size = 0;
    Found found[MAX_FIELDS];
    Py_ssize_t count = -2;
    memset(found, 0, sizeof found);
    PyObject *cells = slot(instance, self->i.cells), *migrated = slot(instance, self->i.migrated);
    if (PyDict_CheckExact(slot(instance, self->i.attributes)) && PyDict_CheckExact(slot(instance, self->i.before))
            && PyDict_CheckExact(slot(instance, self->i.encoded)) && PyAnySet_CheckExact(slot(instance, self->i.foreign))
            && PyTuple_CheckExact(cells) && PyTuple_CheckExact(migrated) && PyList_CheckExact(codecs) && as_long(PyTuple_GET_ITEM(plan, 2), &most)
            && as_long(slot(instance, self->i.total), &total)
            && PyTuple_GET_SIZE(migrated) == 0)
        count = find(self, instance, codecs, found, &size);
    if (count >= 0 && (room < size || (size > 0 && size + total > most)))
        count = -2;                    /* too much, or that is to be seen */
    cells = slot(instance, self->i.cells);                 /* code of users has run: host.set makes some */
    if (count >= 0 && PyTuple_CheckExact(cells) && PyTuple_GET_SIZE(cells) > 0
            && (entries = entries_of(self, instance, room - size)) == NULL)
        count = -1;
    if (count >= 0)
        patch = take(self, instance, found, count, total, entries);
    Py_XDECREF(entries);
    for (int k = 0; k < MAX_FIELDS && found[k].name != NULL; k++) {
        Py_DECREF(found[k].name);
        Py_XDECREF(found[k].value);
        Py_XDECREF(found[k].data);
    }
    if (count != -2)
        return patch;
    PyObject *left = PyLong_FromLongLong(room);
    if (left == NULL)
        return NULL;
    PyObject *args[] = {instance, left, Py_False};
    patch = PyObject_VectorcallMethod(self->take_changes, args, 3 | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(left);
    return patch;
}

/* The turn ------------------------------------------------------------------------------------------------ */

/* An empty list in a slot: the one that is there, if it is empty still. */
static int
empty_list(PyObject *object, Py_ssize_t at, int keep)
{
    PyObject *there = slot(object, at);
    if (keep && there != NULL && PyList_CheckExact(there) && PyList_GET_SIZE(there) == 0)
        return 1;
    PyObject *list = PyList_New(0);
    if (list == NULL)
        return 0;
    set_slot(object, at, list);
    return 1;
}

/* Another text, in which each of these characters is a mark and `what`. */
static PyObject *
replaced(PyObject *text, Py_UCS4 each, char what)
{
    PyObject *before = PyUnicode_FromOrdinal((int)each), *after = PyUnicode_FromFormat("%c%c", 0xA0, what);
    PyObject *found = before == NULL || after == NULL ? NULL : PyUnicode_Replace(text, before, after, -1);
    Py_XDECREF(before);
    Py_XDECREF(after);
    return found;
}

/* See `model.messages.text.joined`, which `model.journal.deferred.call_name` is. */
static PyObject *
call_name(PyObject *id, PyObject *reply_to)
{
    Py_ssize_t length = PyUnicode_GET_LENGTH(id);
    if (PyUnicode_FindChar(id, ' ', 0, length, 1) < 0
            && (PyUnicode_IS_ASCII(id) || PyUnicode_FindChar(id, 0xA0, 0, length, 1) < 0))
        return PyUnicode_FromFormat("%U %U", id, reply_to);
    PyObject *marked = replaced(id, 0xA0, '-'), *solid = marked == NULL ? NULL : replaced(marked, ' ', '_');
    PyObject *name = solid == NULL ? NULL : PyUnicode_FromFormat("%U %U", solid, reply_to);
    Py_XDECREF(marked);
    Py_XDECREF(solid);
    return name;
}

/* See `Turn.begin`. */
static int
begin(Invoker *self, PyObject *turn, PyObject *instance, PyObject *bound, PyObject *const *args)
{
    PyObject *seq = args[4], *now = args[5], *sender = args[6], *id = args[7], *reply_to = args[8];
    if (!empty_list(turn, self->t.outs, 0) || !empty_list(turn, self->t.forgotten, 1)
            || !empty_list(turn, self->t.opening, 1))
        return 0;
    PyObject *caller = PyUnicode_GET_LENGTH(reply_to) == 0 ? Py_NewRef(self->empty)
        : call_name(id, reply_to);
    if (caller == NULL)
        return 0;
    set_slot(turn, self->t.caller, caller);
    PyObject *address = slot(instance, self->i.address);
    put(turn, self->t.instance, instance);
    put(turn, self->t.bound, bound);
    put(turn, self->t.address, address);
    put(turn, self->t.seq, seq);
    put(turn, self->t._time, now);
    put(turn, self->t._sender, sender);
    put(turn, self->t.chain, self->empty);
    put(turn, self->t.room, slot(turn, self->t._max_turn));
    put(turn, self->t._random, Py_None);
    put(turn, self->t._task, Py_None);
    put(turn, self->t._base, self->zero);
    put(turn, self->t.restarts, self->zero);
    put(turn, self->t.base, Py_None);
    put(turn, self->t.behaviour, Py_None);
    put(turn, self->t.beside, Py_None);
    put(turn, self->t.actor, Py_None);
    put(turn, self->t.init_failed, Py_False);
    put(turn, self->t.fresh, Py_False);
    put(turn, self->t.firing, PyUnicode_Compare(sender, address) == 0 ? id : self->empty);
    return 1;
}

/* The error that is set goes to Python, which says what it comes to. */
static PyObject *
raised(Invoker *self, PyObject *host, PyObject *turn, PyObject *instance, PyObject *arguments)
{
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    PyErr_NormalizeException(&type, &error, &traceback);
    if (traceback != NULL)
        PyException_SetTraceback(error, traceback);
    PyObject *outcome = PyObject_CallMethodObjArgs(host, self->_raised, turn, error, instance, arguments, NULL);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(traceback);
    return outcome;
}

/* The handler has returned `value`: see `finish` in waiting/outcome.py. */
static PyObject *
finish(Invoker *self, PyObject *host, PyObject *turn, PyObject *instance, PyObject *plan, PyObject *arguments,
       PyObject *value)
{
    PyObject *forgotten = slot(turn, self->t.forgotten), *data = NULL;
    long long room = 0, most = 0;
    int usual = slot(turn, self->t._task) == Py_None && slot(turn, self->t.instance) == instance
        && PyList_CheckExact(forgotten) && PyList_GET_SIZE(forgotten) == 0
        && as_long(slot(turn, self->t.room), &room) && as_long(slot(turn, self->t.max_message), &most);
    if (usual && value == Py_None)
        data = Py_NewRef(self->null);
    else if (usual && is_plain_value(self, value) > 0)
        data = PyObject_CallOneArg(self->encode, value);
    if (data == NULL || !PyBytes_CheckExact(data) || PyBytes_GET_SIZE(data) > most) {
        PyErr_Clear();
        Py_XDECREF(data);
        return PyObject_CallMethodObjArgs(host, self->_end, turn, value, instance, arguments, NULL);
    }
    PyObject *patch = changes(self, instance, plan, room - PyBytes_GET_SIZE(data));
    if (patch == NULL) {
        Py_DECREF(data);
        return raised(self, host, turn, instance, arguments);
    }
    PyObject *result = new_tuple(self->result, RESULT);
    if (result == NULL) {
        Py_DECREF(data);
        Py_DECREF(patch);
        return NULL;
    }
    PyObject *fields[RESULT] = {
        Py_NewRef(self->empty), data, patch, Py_NewRef(slot(turn, self->t.outs)), Py_NewRef(Py_False),
        Py_NewRef(self->empty), Py_NewRef(Py_None), Py_NewRef(Py_None),
    };
    for (int k = 0; k < RESULT; k++)
        PyTuple_SET_ITEM(result, k, fields[k]);
    return result;
}

/* Run the handler and see what it did. */
static PyObject *
run(Invoker *self, PyObject *turn, PyObject *instance, PyObject *bound, PyObject *plan, PyObject *arguments,
    PyObject *const *args)
{
    PyObject *host = args[0], *values[MAX_ARGUMENTS + 2];
    Py_ssize_t count = PyTuple_GET_SIZE(arguments);
    if (!begin(self, turn, instance, bound, args)
            || PyObject_SetAttr(self->current, self->turn_name, turn) < 0)
        return NULL;
    values[1] = Py_NewRef(slot(instance, self->i.object));
    for (Py_ssize_t k = 0; k < count; k++)
        values[k + 2] = PyTuple_GET_ITEM(arguments, k);
    PyObject *function = Py_NewRef(slot(bound, self->b.function));
    PyObject *value = PyObject_Vectorcall(
        function, values + 1, (size_t)(count + 1) | PY_VECTORCALL_ARGUMENTS_OFFSET, NULL);
    Py_DECREF(function);
    Py_DECREF(values[1]);
    PyObject *outcome = value == NULL ? raised(self, host, turn, instance, arguments)
        : finish(self, host, turn, instance, plan, arguments, value);
    Py_XDECREF(value);
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    if (PyObject_SetAttr(self->current, self->turn_name, Py_None) < 0)
        PyErr_Clear();
    PyErr_Restore(type, error, traceback);
    return outcome;
}

/* The handler by its name, and its plan, borrowed; NULL: it is none of the plain ones, perhaps with an error. */
static PyObject *
bound_of(Invoker *self, PyObject *instance, PyObject *handler)
{
    PyObject *handlers = PyObject_GetAttr(slot(instance, self->i.type), self->_handlers);
    if (handlers == NULL)
        return NULL;
    PyObject *bound = PyDict_CheckExact(handlers) ? PyDict_GetItemWithError(handlers, handler) : NULL;
    Py_DECREF(handlers);               /* its type has it, too */
    if (bound == NULL || !Py_IS_TYPE(bound, self->bound) || slot(bound, self->b.waits) != Py_False)
        return NULL;
    PyObject *plan = slot(bound, self->b.plain);
    return PyTuple_CheckExact(plan) && PyTuple_GET_SIZE(plan) == 3 ? bound : NULL;
}

PyDoc_STRVAR(invoke_doc,
"invoke(host, instance, handler, payload, seq, now, sender, message_id, reply_to) -> Outcome | None\n\n"
"None: it is not a plain case, and nothing has been done.");

static PyObject *
invoker_invoke(Invoker *self, PyObject *const *args, Py_ssize_t count)
{
    if (count != 9) {
        PyErr_SetString(
            PyExc_TypeError, "invoke(host, instance, handler, payload, seq, now, sender, message_id, reply_to)");
        return NULL;
    }
    PyObject *instance = args[1], *payload = args[3];
    if (!Py_IS_TYPE(instance, self->instance) || !PyUnicode_CheckExact(args[2]) || !PyBytes_CheckExact(payload)
            || PyBytes_GET_SIZE(payload) == 0 || !PyUnicode_CheckExact(args[6])
            || !PyUnicode_CheckExact(args[7]) || !PyUnicode_CheckExact(args[8])
            || slot(instance, self->i.is_held) != Py_False || slot(instance, self->i.own) != Py_None)
        Py_RETURN_NONE;
    PyObject *bound = bound_of(self, instance, args[2]);
    if (bound == NULL) {
        if (PyErr_Occurred())
            return NULL;
        Py_RETURN_NONE;
    }
    Py_INCREF(bound);
    PyObject *plan = Py_NewRef(slot(bound, self->b.plain)), *arguments = NULL, *outcome = NULL;
    PyObject *turn = PyObject_GetAttr(args[0], self->_turn);
    PyObject *bag = turn == NULL ? NULL : PyObject_CallOneArg(PyTuple_GET_ITEM(plan, 0), payload);
    if (bag != NULL)
        arguments = PyObject_CallOneArg(self->astuple, bag);
    Py_XDECREF(bag);
    if (arguments == NULL) {           /* wrong ones: Python says what is wrong */
        if (PyErr_ExceptionMatches(PyExc_Exception)) {
            PyErr_Clear();
            outcome = Py_NewRef(Py_None);
        }
    }
    else if (!Py_IS_TYPE(turn, self->turn) || !PyTuple_CheckExact(arguments)
             || PyTuple_GET_SIZE(arguments) > MAX_ARGUMENTS)
        outcome = Py_NewRef(Py_None);
    else
        outcome = run(self, turn, instance, bound, plan, arguments, args);
    Py_XDECREF(arguments);
    Py_XDECREF(turn);
    Py_DECREF(plan);
    Py_DECREF(bound);
    return outcome;
}

/* host.emit ----------------------------------------------------------------------------------------------- */

PyDoc_STRVAR(emit_doc, "emit(turn, topic, value, key)\n\nSee `Turn.emit`.");

static PyObject *
invoker_emit(Invoker *self, PyObject *const *args, Py_ssize_t count)
{
    PyObject *turn = count == 4 ? args[0] : NULL, *key = count == 4 ? args[3] : NULL, *data = NULL;
    long long room, most;
    if (self->seal == NULL) {          /* the last that is made */
        PyErr_SetString(PyExc_TypeError, "this Invoker was not made");
        return NULL;
    }
    if (turn == NULL || !Py_IS_TYPE(turn, self->turn))
        goto python;
    PyObject *checked = PyObject_CallOneArg(self->check_topic, args[1]);
    if (checked == NULL)
        return NULL;
    Py_DECREF(checked);
    if (key == Py_None)
        key = self->empty;
    if (!PyUnicode_CheckExact(key) || !PyUnicode_IS_ASCII(key) || PyUnicode_GET_LENGTH(key) > MAX_KEY)
        goto python;
    int plain = is_plain_value(self, args[2]);
    if (plain < 0)
        return NULL;
    if (plain)
        data = PyObject_CallOneArg(self->encode, args[2]);
    if (data == NULL) {
        PyErr_Clear();                 /* Python says what is wrong */
        goto python;
    }
    PyObject *outs = slot(turn, self->t.outs);
    if (!PyBytes_CheckExact(data) || !as_long(slot(turn, self->t.room), &room)
            || !as_long(slot(turn, self->t.max_message), &most) || PyBytes_GET_SIZE(data) > most
            || room < PyBytes_GET_SIZE(data) + OUT_BYTES || !PyList_CheckExact(outs)) {
        Py_DECREF(data);
        goto python;
    }
    PyObject *left = PyLong_FromLongLong(room - PyBytes_GET_SIZE(data) - OUT_BYTES);
    PyObject *out = left == NULL ? NULL : new_tuple(self->out, OUT);
    if (out == NULL) {
        Py_XDECREF(left);
        Py_DECREF(data);
        return NULL;
    }
    set_slot(turn, self->t.room, left);
    PyObject *fields[OUT] = {
        Py_NewRef(self->emit_kind), Py_NewRef(self->empty), Py_NewRef(args[1]), Py_NewRef(self->empty), data,
        Py_NewRef(key), Py_NewRef(self->empty), Py_NewRef(self->zero),
    };
    for (int k = 0; k < OUT; k++)
        PyTuple_SET_ITEM(out, k, fields[k]);
    int failed = PyList_Append(outs, out) < 0;
    Py_DECREF(out);
    if (failed)
        return NULL;
    Py_RETURN_NONE;
python:
    return PyObject_Vectorcall(self->emit, args, (size_t)count, NULL);
}

/* The type ------------------------------------------------------------------------------------------------ */

static int
invoker_init(Invoker *self, PyObject *args, PyObject *named)
{
    static char *names[] = {
        "classes", "current", "encode", "is_plain", "depth", "astuple", "check_topic", "emit", NULL,
    };
    PyObject *classes, *given[7];
    if (self->turn != NULL || !PyArg_ParseTupleAndKeywords(
            args, named, "O!OOOOOOO", names, &PyTuple_Type, &classes, &given[0], &given[1], &given[2], &given[3],
            &given[4], &given[5], &given[6]) || PyTuple_GET_SIZE(classes) != CLASSES) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "an Invoker is made once, with seven classes");
        return -1;
    }
    PyTypeObject **own[CLASSES] = {
        &self->turn, &self->instance, &self->bound, &self->codec, &self->result, &self->change, &self->out,
    };
    for (int k = 0; k < CLASSES; k++) {
        if (!PyType_Check(PyTuple_GET_ITEM(classes, k))) {
            PyErr_SetString(PyExc_TypeError, "one of the classes is none");
            return -1;
        }
        Py_XSETREF(*own[k], (PyTypeObject *)Py_NewRef(PyTuple_GET_ITEM(classes, k)));
    }
#define FIND_T(name) if ((self->t.name = slot_of((PyObject *)self->turn, #name)) < 0) return -1;
#define FIND_I(name) if ((self->i.name = slot_of((PyObject *)self->instance, #name)) < 0) return -1;
#define FIND_B(name) if ((self->b.name = slot_of((PyObject *)self->bound, #name)) < 0) return -1;
#define FIND_C(name) if ((self->c.name = slot_of((PyObject *)self->codec, #name)) < 0) return -1;
    TURN_SLOTS(FIND_T)
    INSTANCE_SLOTS(FIND_I)
    BOUND_SLOTS(FIND_B)
    CODEC_SLOTS(FIND_C)
    PyObject **kept[7] = {
        &self->current, &self->encode, &self->is_plain, &self->depth, &self->astuple, &self->check_topic, &self->emit,
    };
    for (int k = 0; k < 7; k++)
        *kept[k] = Py_NewRef(given[k]);
    return (self->empty = PyUnicode_FromString("")) == NULL || (self->zero = PyLong_FromLong(0)) == NULL
        || (self->null = PyBytes_FromString("null")) == NULL || (self->emit_kind = PyLong_FromLong(EMIT)) == NULL
        || (self->_handlers = PyUnicode_InternFromString("handlers")) == NULL
        || (self->_turn = PyUnicode_InternFromString("_turn")) == NULL
        || (self->turn_name = PyUnicode_InternFromString("turn")) == NULL
        || (self->_end = PyUnicode_InternFromString("_end")) == NULL
        || (self->_raised = PyUnicode_InternFromString("_raised")) == NULL
        || (self->take_changes = PyUnicode_InternFromString("take_changes")) == NULL
        || (self->take_entries = PyUnicode_InternFromString("take_entries")) == NULL
        || (self->seal = PyUnicode_InternFromString("seal")) == NULL ? -1 : 0;
}

/* There is one, which lives as long as the process does, as the classes it knows do. */
static void
invoker_dealloc(Invoker *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject *own[] = {
        (PyObject *)self->turn, (PyObject *)self->instance, (PyObject *)self->bound, (PyObject *)self->codec,
        (PyObject *)self->result, (PyObject *)self->change, (PyObject *)self->out, self->current, self->encode,
        self->is_plain, self->depth, self->astuple, self->check_topic, self->emit, self->empty, self->zero,
        self->null, self->emit_kind, self->_handlers, self->_turn, self->turn_name, self->_end, self->_raised,
        self->take_changes, self->take_entries, self->seal,
    };
    for (size_t k = 0; k < sizeof own / sizeof *own; k++)
        Py_XDECREF(own[k]);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef invoker_methods[] = {
    {"invoke", (PyCFunction)(void (*)(void))invoker_invoke, METH_FASTCALL, invoke_doc},
    {"emit", (PyCFunction)(void (*)(void))invoker_emit, METH_FASTCALL, emit_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot invoker_slots[] = {
    {Py_tp_doc, "Runs plain handlers."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, invoker_init},
    {Py_tp_dealloc, invoker_dealloc},
    {Py_tp_methods, invoker_methods},
    {0, NULL},
};

static PyType_Spec invoker_spec = {
    .name = "plexstream.hosts.native.plain._turn.Invoker",
    .basicsize = sizeof(Invoker),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = invoker_slots,
};

PyDoc_STRVAR(method_doc, "method(function)\n\nThe same as a method of the class in which it is put.");

static PyObject *
method(PyObject *Py_UNUSED(module), PyObject *function)
{
    return PyInstanceMethod_New(function);
}

static PyMethodDef functions[] = {
    {"method", method, METH_O, method_doc},
    {NULL, NULL, 0, NULL},
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&invoker_spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Invoker", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.hosts.native.plain._turn",
    .m_doc = "The plain case of a turn.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__turn(void)
{
    return PyModuleDef_Init(&module);
}
