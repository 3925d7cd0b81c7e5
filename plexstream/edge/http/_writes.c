/*
 * Answers to many sockets, with the interpreter's lock let go of once for all of them.
 *
 * What a socket does not take at once, for whatever reason, is its transport's: that waits for room, and says what
 * went wrong.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* Python ignores the signal */
#endif

typedef struct {
    PyObject *data; /* bytes, held: others may change the list meanwhile */
    int socket;
    Py_ssize_t taken;
} Write;

static void
release(Write *writes, Py_ssize_t count)
{
    for (Py_ssize_t i = 0; i < count; i++)
        Py_DECREF(writes[i].data);
    PyMem_Free(writes);
}

static PyObject *
send_all(PyObject *module, PyObject *items)
{
    if (!PyList_CheckExact(items)) {
        PyErr_SetString(PyExc_TypeError, "give a list of socket numbers with bytes");
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(items);
    Write *writes = PyMem_New(Write, count ? count : 1);
    if (writes == NULL)
        return PyErr_NoMemory();
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PyList_GET_ITEM(items, i);
        PyObject *data = NULL;
        long number = -1;
        if (PyTuple_CheckExact(item) && PyTuple_GET_SIZE(item) == 2 && PyLong_CheckExact(PyTuple_GET_ITEM(item, 0)) &&
            PyBytes_CheckExact(PyTuple_GET_ITEM(item, 1))) {
            data = PyTuple_GET_ITEM(item, 1);
            number = PyLong_AsLong(PyTuple_GET_ITEM(item, 0));
        }
        if (number < 0 || number > INT_MAX) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "give a list of socket numbers with bytes");
            release(writes, i);
            return NULL;
        }
        writes[i] = (Write){Py_NewRef(data), (int)number, 0};
    }
    Py_BEGIN_ALLOW_THREADS
    for (Py_ssize_t i = 0; i < count; i++) {
        ssize_t taken;
        do
            taken = send(writes[i].socket, PyBytes_AS_STRING(writes[i].data), (size_t)PyBytes_GET_SIZE(writes[i].data),
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        while (taken < 0 && errno == EINTR);
        writes[i].taken = taken < 0 ? 0 : taken;
    }
    Py_END_ALLOW_THREADS
    PyObject *unsent = PyList_New(0);
    for (Py_ssize_t i = 0; unsent != NULL && i < count; i++) {
        if (writes[i].taken == PyBytes_GET_SIZE(writes[i].data))
            continue;
        PyObject *rest = Py_BuildValue("(nn)", i, writes[i].taken);
        if (rest == NULL || PyList_Append(unsent, rest) < 0)
            Py_CLEAR(unsent);
        Py_XDECREF(rest);
    }
    release(writes, count);
    return unsent;
}

static PyMethodDef functions[] = {
    {"send", send_all, METH_O, "Send each its bytes; returns the places of those that did not take all, and how many they took."},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, .m_name = "_writes", .m_doc = "Answers to many sockets by one call.", .m_size = 0,
    .m_methods = functions,
};

PyMODINIT_FUNC
PyInit__writes(void)
{
    return PyModuleDef_Init(&definition);
}
