/* What records weigh, without a step of Python's for each. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Of bytes or text, or 0 of None; -1 with an exception. */
static inline Py_ssize_t length(PyObject *of) {
    if (PyBytes_CheckExact(of)) return PyBytes_GET_SIZE(of);
    return of == Py_None ? 0 : PyObject_Length(of);
}

static PyObject *size(PyObject *module, PyObject *items) {
    PyObject *all = PySequence_Fast(items, "items are a sequence");
    if (all == NULL) return NULL;
    Py_ssize_t total = 0;
    for (Py_ssize_t i = 0; total >= 0 && i < PySequence_Fast_GET_SIZE(all); i++) {
        PyObject *item = Py_NewRef(PySequence_Fast_GET_ITEM(all, i)); /* what measures a key may change the list */
        if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
            PyErr_Format(PyExc_TypeError, "an item is a key and a value, not %.100s", Py_TYPE(item)->tp_name);
            Py_DECREF(item);
            total = -1;
            break;
        }
        Py_ssize_t key = length(PyTuple_GET_ITEM(item, 0)), value = key < 0 ? -1 : length(PyTuple_GET_ITEM(item, 1));
        total = value < 0 ? -1 : total + key + value;
        Py_DECREF(item);
    }
    Py_DECREF(all);
    return total < 0 ? NULL : PyLong_FromSsize_t(total);
}

static PyObject *largest(PyObject *module, PyObject *records) {
    if (!PyList_CheckExact(records)) return PyErr_Format(PyExc_TypeError, "records are a list");
    PyObject *found = PyDict_New(), *topic = NULL, *most = NULL;
    Py_ssize_t known = -1; /* of `topic` */
    int failed = found == NULL;
    for (Py_ssize_t i = 0; !failed && i < PyList_GET_SIZE(records); i++) {
        PyObject *record = Py_NewRef(PyList_GET_ITEM(records, i));
        if (!PyTuple_Check(record) || PyTuple_GET_SIZE(record) != 4) {
            PyErr_Format(PyExc_TypeError, "a record has four fields, not %.100s", Py_TYPE(record)->tp_name);
            Py_DECREF(record);
            failed = 1;
            break;
        }
        Py_ssize_t key = length(PyTuple_GET_ITEM(record, 2)), value = key < 0 ? -1 : length(PyTuple_GET_ITEM(record, 3));
        if (value < 0) failed = 1;
        else if (PyTuple_GET_ITEM(record, 0) != topic || key + value > known) {
            Py_XSETREF(topic, Py_NewRef(PyTuple_GET_ITEM(record, 0)));
            most = PyDict_GetItemWithError(found, topic);
            known = most == NULL ? -1 : PyLong_AsSsize_t(most);
            if (PyErr_Occurred()) failed = 1;
            else if (key + value > known) {
                known = key + value;
                most = PyLong_FromSsize_t(known);
                failed = most == NULL || PyDict_SetItem(found, topic, most);
                Py_XDECREF(most);
            }
        }
        Py_DECREF(record);
    }
    Py_XDECREF(topic);
    if (failed) Py_CLEAR(found);
    return found;
}

static PyMethodDef methods[] = {
    {"size", size, METH_O, "size(items): how many bytes keys and values have."},
    {"largest", largest, METH_O, "largest(records): how many bytes key and value of the largest record of each topic have."},
    {NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_sizes", "What records weigh.", -1, methods};

PyMODINIT_FUNC PyInit__sizes(void) { return PyModule_Create(&module); }
