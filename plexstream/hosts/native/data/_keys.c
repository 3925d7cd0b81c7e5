/*
 * Keys of maps that are usual: whole numbers from 0 to 18 digits, and texts of ASCII without NUL and \x01, alone or
 * in a tuple, as they are stored. `plexstream.sdk.running.collections.keys` says how; of all others it does the work.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

enum { MARK = 1, DIGITS = 18, MOST_FIELDS = 8, MOST = 1024 };

/* The letters of a map's fields, `i` and `s`; NULL with an error: it is none. */
static const char *
letters(PyObject *fields, Py_ssize_t *count)
{
    if (!PyUnicode_CheckExact(fields) || !PyUnicode_IS_COMPACT_ASCII(fields)
            || (*count = PyUnicode_GET_LENGTH(fields)) > MOST_FIELDS) {
        PyErr_SetString(PyExc_TypeError, "the letters of the fields are a short text");
        return NULL;
    }
    return (const char *)PyUnicode_1BYTE_DATA(fields);
}

/* Write a number behind `at`; NULL: it is no usual one. */
static char *
write_int(char *at, char *end, PyObject *value)
{
    int overflow, size = 0;
    char digits[DIGITS + 2];
    if (!PyLong_CheckExact(value))
        return NULL;
    long long number = PyLong_AsLongLongAndOverflow(value, &overflow);
    if (overflow || number < 0 || number >= 1000000000000000000LL)
        return NULL;
    do
        digits[size++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    if (end - at < size + 2)
        return NULL;
    *at++ = 'i';
    *at++ = (char)('`' + size);
    while (size > 0)
        *at++ = digits[--size];
    return at;
}

static char *
write_text(char *at, char *end, PyObject *value)
{
    if (!PyUnicode_CheckExact(value) || !PyUnicode_IS_COMPACT_ASCII(value))
        return NULL;
    Py_ssize_t size = PyUnicode_GET_LENGTH(value);
    const char *text = (const char *)PyUnicode_1BYTE_DATA(value);
    if (end - at < size + 2 || memchr(text, 0, (size_t)size) != NULL || memchr(text, MARK, (size_t)size) != NULL)
        return NULL;
    *at++ = 's';
    memcpy(at, text, (size_t)size);
    at += size;
    *at++ = 0;
    return at;
}

PyDoc_STRVAR(store_doc,
"store(fields, key) -> str | None\n\n"
"What is stored for the first fields of a tuple, which has these letters; None: it is no usual one.");

static PyObject *
store(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    char stored[MOST], *at = stored;
    Py_ssize_t fields;
    const char *kinds = count == 2 ? letters(args[0], &fields) : NULL;
    if (kinds == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "store(fields, key) takes two arguments");
        return NULL;
    }
    if (!PyTuple_CheckExact(args[1]) || PyTuple_GET_SIZE(args[1]) > fields)
        Py_RETURN_NONE;
    *at++ = MARK;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args[1]); i++) {
        PyObject *value = PyTuple_GET_ITEM(args[1], i);
        at = (kinds[i] == 'i' ? write_int : write_text)(at, stored + MOST, value);
        if (at == NULL)
            Py_RETURN_NONE;
    }
    PyObject *text = PyUnicode_New(at - stored, 127);
    if (text != NULL)
        memcpy(PyUnicode_1BYTE_DATA(text), stored, (size_t)(at - stored));
    return text;
}

/* The number behind `*from`, as one that is stored; NULL without an error: it is no usual one. */
static PyObject *
read_int(const char **from, const char *end)
{
    const char *at = *from;
    long long number = 0;
    int size = end - at > 1 && at[0] == 'i' ? at[1] - '`' : 0;
    if (size < 1 || size > DIGITS || end - (at += 2) < size || (size > 1 && *at == '0'))
        return NULL;
    for (int i = 0; i < size; i++, at++) {
        if (*at < '0' || *at > '9')
            return NULL;
        number = 10 * number + (*at - '0');
    }
    *from = at;
    return PyLong_FromLongLong(number);
}

static PyObject *
read_text(const char **from, const char *end)
{
    const char *at = *from + 1;
    const char *stop = end > *from && **from == 's' ? memchr(at, 0, (size_t)(end - at)) : NULL;
    if (stop == NULL || memchr(at, MARK, (size_t)(stop - at)) != NULL)
        return NULL;
    *from = stop + 1;
    return PyUnicode_FromKindAndData(PyUnicode_1BYTE_KIND, at, stop - at);
}

PyDoc_STRVAR(read_doc,
"read(fields, stored) -> tuple | None\n\nThe inverse, of all the fields; None: it is no usual one.");

static PyObject *
read_key(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t fields;
    const char *kinds = count == 2 ? letters(args[0], &fields) : NULL;
    if (kinds == NULL) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "read(fields, stored) takes two arguments");
        return NULL;
    }
    if (!PyUnicode_CheckExact(args[1]) || !PyUnicode_IS_COMPACT_ASCII(args[1]))
        Py_RETURN_NONE;
    const char *at = (const char *)PyUnicode_1BYTE_DATA(args[1]), *end = at + PyUnicode_GET_LENGTH(args[1]);
    if (at == end || *at++ != MARK)
        Py_RETURN_NONE;
    PyObject *found = PyTuple_New(fields);
    for (Py_ssize_t i = 0; found != NULL && i < fields; i++) {
        PyObject *value = (kinds[i] == 'i' ? read_int : read_text)(&at, end);
        if (value == NULL) {
            Py_DECREF(found);
            if (PyErr_Occurred())
                return NULL;
            Py_RETURN_NONE;
        }
        PyTuple_SET_ITEM(found, i, value);
    }
    if (found != NULL && at != end) {
        Py_DECREF(found);
        Py_RETURN_NONE;
    }
    return found;
}

static PyMethodDef functions[] = {
    {"store", (PyCFunction)(void (*)(void))store, METH_FASTCALL, store_doc},
    {"read", (PyCFunction)(void (*)(void))read_key, METH_FASTCALL, read_doc},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot slots[] = {{0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.hosts.native.data._keys",
    .m_doc = "Keys of maps that are usual.",
    .m_size = 0,
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC
PyInit__keys(void)
{
    return PyModuleDef_Init(&module);
}
