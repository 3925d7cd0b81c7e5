/*
 * Answers of turns on their way to edges: most turns of a partition that is asked have one, and send nothing else.
 *
 * It does what `mails` in encode.py does with those, over the very records. A turn is looked at before anything is
 * done for it: one that is a step, or sends to an actor, is left to Python, and so is all behind it.
 */
#include "../../../model/process/slots.h"

enum { ACTOR = 1, TIME = 5, OUTS = 17, TURN = 19 };                      /* of a turn */
enum { KIND, ID, TARGET, HANDLER, PAYLOAD, OUT = 8 };                    /* of what it sends */
enum { REPLY = 2, ERROR = 3, ENVELOPE = 13 };

typedef struct {
    PyTypeObject *turn, *out, *envelope;
    PyObject *empty, *headers;
} State;

#define FIELD(record, name) PyTuple_GET_ITEM(record, name)
#define COUNT(items) PySequence_Fast_GET_SIZE(items)
#define ITEM(items, i) PySequence_Fast_GET_ITEM(items, i)

/* Whether an item is an answer to an edge (1), is no mail (0), or is another thing (-1). */
static int
is_answer(State *state, PyObject *out)
{
    long long kind;
    if (!Py_IS_TYPE(out, state->out) || PyTuple_GET_SIZE(out) != OUT || !as_long(FIELD(out, KIND), &kind)
            || kind < REPLY)
        return -1;
    if (kind > ERROR)
        return 0;
    PyObject *target = FIELD(out, TARGET);
    if (!PyUnicode_CheckExact(target))
        return -1;
    return PyUnicode_FindChar(target, '/', 0, PyUnicode_GET_LENGTH(target), 1) == -1 ? 1 : -1;
}

/* The way to an edge, owned: its key and the items that go there. */
static PyObject *
way_to(PyObject *ways, PyObject *find, PyObject *target)
{
    PyObject *way = PyDict_GetItemWithError(ways, target);
    if (way != NULL)
        return Py_NewRef(way);
    way = PyErr_Occurred() ? NULL : PyObject_CallOneArg(find, target);
    if (way == NULL)
        return NULL;
    if (!PyTuple_CheckExact(way) || PyTuple_GET_SIZE(way) != 2 || !PyBytes_CheckExact(PyTuple_GET_ITEM(way, 0))
            || !PyList_CheckExact(PyTuple_GET_ITEM(way, 1))) {
        Py_DECREF(way);
        PyErr_SetString(PyExc_TypeError, "a way is a key and a list");
        return NULL;
    }
    if (PyDict_SetItem(ways, target, way) < 0)
        Py_CLEAR(way);
    return way;
}

/* One answer, encoded, goes to its place. */
static int
add(State *state, PyObject *turn, PyObject *out, PyObject *offset, Py_ssize_t index, PyObject *const *args)
{
    PyObject *way = way_to(args[2], args[3], FIELD(out, TARGET)), *item = NULL, *data = NULL;
    PyObject *number = way == NULL ? NULL : PyLong_FromSsize_t(index);
    PyObject *envelope = number == NULL ? NULL : new_tuple(state->envelope, ENVELOPE);
    if (envelope != NULL) {
        PyObject *fields[ENVELOPE] = {
            FIELD(out, KIND), FIELD(out, ID), FIELD(out, TARGET), FIELD(out, HANDLER), FIELD(out, PAYLOAD),
            FIELD(turn, ACTOR), state->empty, state->empty, FIELD(turn, TIME), state->headers, state->empty, offset,
            number,
        };
        for (int i = 0; i < ENVELOPE; i++)
            PyTuple_SET_ITEM(envelope, i, Py_NewRef(fields[i]));
        data = PyObject_CallOneArg(args[4], envelope);
    }
    if (data != NULL)
        item = PyTuple_Pack(2, PyTuple_GET_ITEM(way, 0), data);
    int failed = item == NULL || PyList_Append(PyTuple_GET_ITEM(way, 1), item) < 0;
    Py_XDECREF(item);
    Py_XDECREF(data);
    Py_XDECREF(envelope);
    Py_XDECREF(number);
    Py_XDECREF(way);
    return !failed;
}

PyDoc_STRVAR(answers_doc,
"answers(turns, at, ways, find, encode) -> at\n\n"
"Encode the answers of turns, (offset, turn), from the one at place `at` on, and return the place of the first that\n"
"sends something else. `ways` has the key of each edge and the list of what goes there; `find(edge)` makes one.");

static PyObject *
answers(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    State *state = PyModule_GetState(module);
    long long at;
    if (count != 5 || !PyList_CheckExact(args[0]) || !as_long(args[1], &at) || at < 0 || !PyDict_CheckExact(args[2])
            || state->envelope == NULL) {
        PyErr_SetString(PyExc_TypeError, "answers(turns: list, at: int, ways: dict, find, encode)");
        return NULL;
    }
    for (; at < PyList_GET_SIZE(args[0]); at++) {
        PyObject *pair = PyList_GET_ITEM(args[0], at);
        if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2)
            break;
        PyObject *offset = PyTuple_GET_ITEM(pair, 0), *turn = PyTuple_GET_ITEM(pair, 1);
        if (!PyLong_CheckExact(offset) || !Py_IS_TYPE(turn, state->turn) || PyTuple_GET_SIZE(turn) != TURN)
            break;
        PyObject *outs = FIELD(turn, OUTS);
        if (!PyList_CheckExact(outs) && !PyTuple_CheckExact(outs))
            break;
        int plain = 1, failed = 0;
        for (Py_ssize_t i = 0; plain && i < COUNT(outs); i++)
            plain = is_answer(state, ITEM(outs, i)) >= 0;
        if (!plain)
            break;
        Py_INCREF(pair);
        for (Py_ssize_t i = 0; !failed && i < COUNT(outs); i++) {
            PyObject *out = Py_NewRef(ITEM(outs, i));
            failed = is_answer(state, out) > 0 && !add(state, turn, out, offset, i, args);
            Py_DECREF(out);
        }
        Py_DECREF(pair);
        if (failed)
            return NULL;
    }
    return PyLong_FromLongLong(at);
}

PyDoc_STRVAR(load_doc, "load(turn, out, envelope)\n\nThe classes of the records; once.");

static PyObject *
load(PyObject *module, PyObject *args)
{
    State *state = PyModule_GetState(module);
    PyObject *turn, *out, *envelope;
    if (!PyArg_ParseTuple(args, "O!O!O!", &PyType_Type, &turn, &PyType_Type, &out, &PyType_Type, &envelope))
        return NULL;
    if (state->envelope == NULL) {
        state->turn = (PyTypeObject *)Py_NewRef(turn);
        state->out = (PyTypeObject *)Py_NewRef(out);
        state->envelope = (PyTypeObject *)Py_NewRef(envelope);
    }
    Py_RETURN_NONE;
}

static int
module_exec(PyObject *module)
{
    State *state = PyModule_GetState(module);
    return (state->empty = PyUnicode_FromString("")) == NULL || (state->headers = PyDict_New()) == NULL ? -1 : 0;
}

/* The classes are of modules that live as long as the process does. */
static void
module_free(void *module)
{
    State *state = PyModule_GetState(module);
    if (state != NULL) {
        Py_CLEAR(state->turn);
        Py_CLEAR(state->out);
        Py_CLEAR(state->envelope);
        Py_CLEAR(state->empty);
        Py_CLEAR(state->headers);
    }
}

static PyMethodDef functions[] = {
    {"load", load, METH_VARARGS, load_doc},
    {"answers", (PyCFunction)(void (*)(void))answers, METH_FASTCALL, answers_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.node.lanes.records._mails",
    .m_doc = "Answers of turns on their way.",
    .m_size = sizeof(State),
    .m_methods = functions,
    .m_slots = module_slots,
    .m_free = module_free,
};

PyMODINIT_FUNC
PyInit__mails(void)
{
    return PyModuleDef_Init(&module);
}
