/* A partition's output records, gathered from its turns without a step of Python's for each.
 *
 * It says what `leaving.py` and `outputs.py` say. What it does not know it leaves to them: it answers None.
 */
#include "../../../model/process/slots.h"

enum { ACTOR = 1, OUTS = 17 };                     /* of turns and steps */
enum { KIND, TARGET = 2, PAYLOAD = 4, KEY };       /* of what they send */
enum { EMIT = 4 };

static PyTypeObject *turn_type, *step_type, *out_type;

/* What a turn in a pair of offset and turn sends, borrowed; NULL: it is another thing. */
static PyObject *
outs_of(PyObject *pair, long long *offset, PyObject **turn)
{
    if (!PyTuple_CheckExact(pair) || PyTuple_GET_SIZE(pair) != 2 || !as_long(PyTuple_GET_ITEM(pair, 0), offset))
        return NULL;
    *turn = PyTuple_GET_ITEM(pair, 1);
    if (!Py_IS_TYPE(*turn, turn_type) && !Py_IS_TYPE(*turn, step_type))
        return NULL;
    PyObject *outs = PyTuple_GET_ITEM(*turn, OUTS);
    return PyTuple_CheckExact(outs) || PyList_CheckExact(outs) ? outs : NULL;
}

PyDoc_STRVAR(payloads_doc, "payloads(turns) -> int | None\n\nHow many bytes all that the turns send has.");

static PyObject *
payloads(PyObject *Py_UNUSED(module), PyObject *turns)
{
    Py_ssize_t size = 0;
    if (!PyList_CheckExact(turns))
        Py_RETURN_NONE;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(turns); i++) {
        long long offset;
        PyObject *turn, *outs = outs_of(PyList_GET_ITEM(turns, i), &offset, &turn);
        if (outs == NULL)
            Py_RETURN_NONE;
        for (Py_ssize_t k = 0; k < PySequence_Fast_GET_SIZE(outs); k++) {
            PyObject *out = PySequence_Fast_GET_ITEM(outs, k);
            if (!Py_IS_TYPE(out, out_type) || !PyBytes_CheckExact(PyTuple_GET_ITEM(out, PAYLOAD)))
                Py_RETURN_NONE;
            size += PyBytes_GET_SIZE(PyTuple_GET_ITEM(out, PAYLOAD));
        }
    }
    return PyLong_FromSsize_t(size);
}

/* Where an output goes to, borrowed from `names`; NULL with an exception. */
static PyObject *
topic_of(PyObject *target, PyObject *names, PyObject *name)
{
    PyObject *topic = PyDict_GetItemWithError(names, target);
    if (topic != NULL || PyErr_Occurred())
        return topic;
    topic = PyObject_CallOneArg(name, target);
    if (topic == NULL)
        return NULL;
    int failed = PyDict_SetItem(names, target, topic);
    Py_DECREF(topic);
    return failed ? NULL : topic;
}

PyDoc_STRVAR(records_doc,
"records(turns, position, names, name) -> list | None\n\n"
"The records of all outputs of the turns from `position` on: topic, None, key, value. `names` has the topics by the names\n"
"that handlers give them, `name` finds those that it does not have.");

static PyObject *
records(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    long long position;
    if (count != 4 || !PyList_CheckExact(args[0]) || !as_long(args[1], &position) || !PyDict_CheckExact(args[2]))
        Py_RETURN_NONE;
    PyObject *turns = args[0], *found = PyList_New(0), *pair = NULL;
    for (Py_ssize_t i = 0; found != NULL && i < PyList_GET_SIZE(turns); i++) {
        long long offset;
        Py_XSETREF(pair, Py_NewRef(PyList_GET_ITEM(turns, i)));    /* `name` is Python's, and may do as it likes */
        PyObject *turn, *outs = outs_of(pair, &offset, &turn);
        if (outs == NULL)
            goto unknown;
        for (Py_ssize_t k = 0; offset >= position && k < PySequence_Fast_GET_SIZE(outs); k++) {
            PyObject *out = PySequence_Fast_GET_ITEM(outs, k);
            long long kind;
            if (!Py_IS_TYPE(out, out_type) || !as_long(PyTuple_GET_ITEM(out, KIND), &kind))
                goto unknown;
            if (kind != EMIT)
                continue;
            PyObject *key = PyTuple_GET_ITEM(out, KEY), *target = PyTuple_GET_ITEM(out, TARGET), *topic, *record;
            if (!PyUnicode_CheckExact(key) || !PyUnicode_CheckExact(target))
                goto unknown;
            if (PyUnicode_GET_LENGTH(key) == 0)
                key = PyTuple_GET_ITEM(turn, ACTOR);
            Py_INCREF(out);
            topic = PyUnicode_CheckExact(key) ? topic_of(target, args[2], args[3]) : NULL;
            key = topic == NULL ? NULL : PyUnicode_AsUTF8String(key);
            record = key == NULL ? NULL : PyTuple_Pack(4, topic, Py_None, key, PyTuple_GET_ITEM(out, PAYLOAD));
            Py_XDECREF(key);
            Py_DECREF(out);
            if (record == NULL || PyList_Append(found, record) < 0) {
                Py_XDECREF(record);
                Py_DECREF(found);
                Py_DECREF(pair);
                if (PyErr_Occurred())
                    return NULL;
                Py_RETURN_NONE;
            }
            Py_DECREF(record);
        }
    }
    Py_XDECREF(pair);
    return found;
unknown:
    Py_XDECREF(pair);
    Py_DECREF(found);
    Py_RETURN_NONE;
}

static PyObject *
load(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *turn, *step, *out;
    if (!PyArg_ParseTuple(args, "O!O!O!", &PyType_Type, &turn, &PyType_Type, &step, &PyType_Type, &out))
        return NULL;
    Py_XSETREF(turn_type, (PyTypeObject *)Py_NewRef(turn));
    Py_XSETREF(step_type, (PyTypeObject *)Py_NewRef(step));
    Py_XSETREF(out_type, (PyTypeObject *)Py_NewRef(out));
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {
    {"load", load, METH_VARARGS, "load(turn, step, out)\n\nThe classes of the records."},
    {"payloads", payloads, METH_O, payloads_doc},
    {"records", (PyCFunction)(void (*)(void))records, METH_FASTCALL, records_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_outputs", "Output records of turns.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__outputs(void)
{
    return PyModule_Create(&module);
}
