/*
 * The partition of a record key, as Java's Kafka clients compute it; `address.py` says what is right.
 *
 * In Python it takes longer than much that it is needed for, and what remembers it takes more than a tenth of an actor.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include "murmur.h"

PyDoc_STRVAR(partition_of_doc,
"partition_of(key, partitions) -> number\n\n"
"The partition of a record key, as Java clients compute it.");

static PyObject *
partition_of(PyObject *module, PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyUnicode_Check(args[0])) {
        PyErr_SetString(PyExc_TypeError, "partition_of(key: str, partitions: int)");
        return NULL;
    }
    long partitions = PyLong_AsLong(args[1]);
    if (partitions == -1 && PyErr_Occurred())
        return NULL;
    if (partitions < 1) {
        PyErr_Format(PyExc_ValueError, "%ld partitions", partitions);
        return NULL;
    }
    uint32_t hash;
    if (PyUnicode_IS_ASCII(args[0]))
        hash = murmur2(PyUnicode_DATA(args[0]), (size_t)PyUnicode_GET_LENGTH(args[0]));
    else {
        /* Not as the text itself would keep it. */
        PyObject *data = PyUnicode_AsUTF8String(args[0]);
        if (data == NULL)
            return NULL;
        hash = murmur2((const unsigned char *)PyBytes_AS_STRING(data), (size_t)PyBytes_GET_SIZE(data));
        Py_DECREF(data);
    }
    return PyLong_FromLong((long)(hash & 0x7fffffff) % partitions);
}

static PyMethodDef methods[] = {
    {"partition_of", (PyCFunction)(void (*)(void))partition_of, METH_FASTCALL, partition_of_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.model.process._murmur",
    .m_doc = "Partitions of record keys.",
    .m_size = 0,
    .m_methods = methods,
};

PyMODINIT_FUNC
PyInit__murmur(void)
{
    return PyModuleDef_Init(&module);
}
