/*
 * Whether a value is as plain as most are: exactly a text, an int, a bool, None or a finite float, or a dict with
 * text keys, a list or a tuple of such, nested less deep than `limit`. Such a value has one encoding, which
 * `values.py` writes at once; at all others it looks by itself.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>

static int
plain(PyObject *value, long limit)
{
    if (value == Py_None || PyUnicode_CheckExact(value) || PyLong_CheckExact(value) || PyBool_Check(value)) {
        return 1;
    }
    if (PyFloat_CheckExact(value)) {
        return isfinite(PyFloat_AS_DOUBLE(value));
    }
    if (limit <= 0) {
        return 0;
    }
    /* No code of Python's runs in here: nothing can change what is borrowed. */
    if (PyDict_CheckExact(value)) {
        PyObject *key, *item;
        Py_ssize_t place = 0;
        while (PyDict_Next(value, &place, &key, &item)) {
            if (!PyUnicode_CheckExact(key) || !plain(item, limit - 1)) {
                return 0;
            }
        }
        return 1;
    }
    if (PyList_CheckExact(value)) {
        for (Py_ssize_t i = 0; i < PyList_GET_SIZE(value); i++) {
            if (!plain(PyList_GET_ITEM(value, i), limit - 1)) {
                return 0;
            }
        }
        return 1;
    }
    if (PyTuple_CheckExact(value)) {
        for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(value); i++) {
            if (!plain(PyTuple_GET_ITEM(value, i), limit - 1)) {
                return 0;
            }
        }
        return 1;
    }
    return 0;
}

static PyObject *
is_plain(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2) {
        PyErr_SetString(PyExc_TypeError, "is_plain(value, limit) takes two arguments");
        return NULL;
    }
    long limit = PyLong_AsLong(args[1]);
    if (limit == -1 && PyErr_Occurred()) {
        return NULL;
    }
    if (limit > 1000) {
        PyErr_SetString(PyExc_ValueError, "limit is at most 1000: the stack of C ends somewhere");
        return NULL;
    }
    return PyBool_FromLong(plain(args[0], limit));
}

static PyMethodDef functions[] = {
    {"is_plain", (PyCFunction)(void (*)(void))is_plain, METH_FASTCALL, "Whether a value has one encoding."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.hosts.native.data._plain",
    .m_doc = "Whether a value is plain.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__plain(void)
{
    return PyModuleDef_Init(&module);
}
