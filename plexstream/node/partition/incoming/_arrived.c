/*
 * Messages as they arrive, decoded as long as nothing is to be said of one: `arrived.py` says what is right, and
 * `Numbers.check` which numbers are those of a message that its origin may have sent. What they have to look at is left
 * to them, with all that comes behind it.
 */
#include "../../../model/process/slots.h"

enum { OFFSET = 2, VALUE = 4, RECORD_FIELDS = 6 };
enum { ORIGIN = 10, ORIGIN_SEQ, ENVELOPE_FIELDS = 13 };

/* How far the messages of one origin are, as long as they come one behind the other. */
typedef struct {
    PyObject *origin, *seq;                     /* seq: of the last one; NULL: none yet */
    long long newest, end;
} Way;

static int
way_end(Way *way, PyObject *newest)
{
    int failed = way->seq != NULL && PyDict_SetItem(newest, way->origin, way->seq) < 0;
    Py_CLEAR(way->origin);
    Py_CLEAR(way->seq);
    return failed;
}

/* Whether the origin's numbers are known, and where they are; negative with an exception. */
static int
way_begin(Way *way, PyObject *origin, PyObject *newest, PyObject *ends)
{
    PyObject *now = PyDict_GetItemWithError(newest, origin);
    PyObject *end = now == NULL ? NULL : PyDict_GetItemWithError(ends, origin);
    if (end == NULL)
        return PyErr_Occurred() ? -1 : 0;
    if (!as_long(now, &way->newest) || !as_long(end, &way->end))
        return 0;
    way->origin = Py_NewRef(origin);
    return 1;
}

PyDoc_STRVAR(known_doc,
"known(records, decode, newest, ends, jump, ahead, most) -> (list, int)\n\n"
"The messages of the first records, each with its offset, and how many bytes these have: up to the first that is none, or\n"
"whose number is to be looked at, or until they have more than `most` bytes. `newest` is moved.");

static PyObject *
known(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *records, *decode, *newest, *ends;
    long long jump, ahead;
    Py_ssize_t most, size = 0;
    if (!PyArg_ParseTuple(args, "O!OO!O!LLn", &PyList_Type, &records, &decode, &PyDict_Type, &newest,
                          &PyDict_Type, &ends, &jump, &ahead, &most))
        return NULL;
    PyObject *found = PyList_New(0);
    Way way = {NULL, NULL, 0, 0};
    int failed = found == NULL;
    for (Py_ssize_t i = 0; !failed && size <= most && i < PyList_GET_SIZE(records); i++) {
        PyObject *record = Py_NewRef(PyList_GET_ITEM(records, i));    /* `decode` may change the list */
        if (!PyTuple_Check(record) || PyTuple_GET_SIZE(record) != RECORD_FIELDS
                || !PyBytes_CheckExact(PyTuple_GET_ITEM(record, VALUE))) {
            Py_DECREF(record);
            break;
        }
        PyObject *message = PyObject_CallOneArg(decode, PyTuple_GET_ITEM(record, VALUE));
        failed = message == NULL;
        int good = !failed && PyTuple_Check(message) && PyTuple_GET_SIZE(message) == ENVELOPE_FIELDS
            && PyUnicode_CheckExact(PyTuple_GET_ITEM(message, ORIGIN));
        if (good && PyUnicode_GET_LENGTH(PyTuple_GET_ITEM(message, ORIGIN)) > 0) {
            PyObject *origin = PyTuple_GET_ITEM(message, ORIGIN), *seq = PyTuple_GET_ITEM(message, ORIGIN_SEQ);
            long long number, further, beyond;
            if (way.origin == NULL || PyUnicode_Compare(way.origin, origin) != 0) {
                failed = way_end(&way, newest);
                int there = failed ? -1 : way_begin(&way, origin, newest, ends);
                failed = failed || there < 0;
                good = there > 0;
            }
            good = good && as_long(seq, &number) && number >= way.newest
                && !__builtin_sub_overflow(number, way.newest, &further) && further < jump
                && !__builtin_sub_overflow(number, way.end, &beyond) && beyond < ahead;
            if (good) {
                way.newest = number;
                Py_XSETREF(way.seq, Py_NewRef(seq));
            }
        }
        PyObject *pair = good ? PyTuple_Pack(2, PyTuple_GET_ITEM(record, OFFSET), message) : NULL;
        failed = failed || (good && (pair == NULL || PyList_Append(found, pair) < 0));
        size += good ? PyBytes_GET_SIZE(PyTuple_GET_ITEM(record, VALUE)) : 0;
        Py_XDECREF(pair);
        Py_XDECREF(message);
        Py_DECREF(record);
        if (!good)
            break;
    }
    failed = failed || way_end(&way, newest);
    Py_CLEAR(way.origin);
    Py_CLEAR(way.seq);
    if (failed) {
        Py_XDECREF(found);
        return NULL;
    }
    return Py_BuildValue("(Nn)", found, size);
}

static PyMethodDef methods[] = {
    {"known", known, METH_VARARGS, known_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_arrived", "Messages as they arrive.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__arrived(void)
{
    return PyModule_Create(&module);
}
