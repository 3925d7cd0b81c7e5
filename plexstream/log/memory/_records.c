/*
 * Records of the logs of one process: their bytes on disk, and the groups that a transaction's go into.
 *
 * Everything here has a twin in Python, which says what is right (`log/embedded/files/format.py`, `log/memory/local.py`).
 * What is out of the ordinary (a value of another type, a topic that is not there, bytes that end too early) is
 * the twin's: a function returns None for it, and has done nothing.
 */
#include "../../model/process/slots.h"
#include "../../model/process/murmur.h"
#include <stdint.h>
#include <string.h>

#define HEAD 24                        /* offset (8), time (8), length of key (4), of value (4); big-endian */
#define FIELDS 6                       /* of a Record: topic, partition, offset, key, value, time */

static void
put(char *at, uint64_t number, int size)
{
    while (size-- > 0) {
        at[size] = (char)(number & 255);
        number >>= 8;
    }
}

static uint64_t
get(const char *at, int size)
{
    uint64_t number = 0;
    for (int i = 0; i < size; i++)
        number = number << 8 | (unsigned char)at[i];
    return number;
}

/* A key and its value of bytes, borrowed; `value` is NULL for a tombstone. */
static int
is_item(PyObject *item, PyObject **key, PyObject **value)
{
    if (!PyTuple_CheckExact(item) || PyTuple_GET_SIZE(item) != 2)
        return 0;
    *key = PyTuple_GET_ITEM(item, 0);
    *value = PyTuple_GET_ITEM(item, 1);
    if (*value == Py_None)
        *value = NULL;
    return PyBytes_CheckExact(*key) && PyBytes_GET_SIZE(*key) <= INT32_MAX &&
           (*value == NULL || (PyBytes_CheckExact(*value) && PyBytes_GET_SIZE(*value) <= INT32_MAX));
}

/* encode(first, time, items): the bytes of a list of items, with the offsets from `first` on. */
static PyObject *
records_encode(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    long long first, time;
    PyObject *key, *value;
    if (count != 3 || !as_long(args[0], &first) || !as_long(args[1], &time) || !PyList_CheckExact(args[2]))
        Py_RETURN_NONE;
    PyObject *items = args[2];
    Py_ssize_t n = PyList_GET_SIZE(items);
    size_t size = (size_t)n * HEAD;
    for (Py_ssize_t i = 0; i < n; i++) {
        if (!is_item(PyList_GET_ITEM(items, i), &key, &value))
            Py_RETURN_NONE;
        size += (size_t)PyBytes_GET_SIZE(key) + (value != NULL ? (size_t)PyBytes_GET_SIZE(value) : 0);
    }
    if (size > PY_SSIZE_T_MAX)
        Py_RETURN_NONE;
    PyObject *data = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (data == NULL)
        return NULL;
    char *at = PyBytes_AS_STRING(data);
    for (Py_ssize_t i = 0; i < n; i++) {
        is_item(PyList_GET_ITEM(items, i), &key, &value);
        put(at, (uint64_t)first + (uint64_t)i, 8);
        put(at + 8, (uint64_t)time, 8);
        put(at + 16, (uint64_t)PyBytes_GET_SIZE(key), 4);
        put(at + 20, value != NULL ? (uint64_t)PyBytes_GET_SIZE(value) : UINT32_MAX, 4);
        at += HEAD;
        memcpy(at, PyBytes_AS_STRING(key), (size_t)PyBytes_GET_SIZE(key));
        at += PyBytes_GET_SIZE(key);
        if (value != NULL) {
            memcpy(at, PyBytes_AS_STRING(value), (size_t)PyBytes_GET_SIZE(value));
            at += PyBytes_GET_SIZE(value);
        }
    }
    return data;
}

/* One record of `size` bytes, which are all there; -1 as `value` is a tombstone. */
static PyObject *
make_record(PyTypeObject *cls, PyObject *topic, PyObject *partition, const char *at, int32_t key, int32_t value)
{
    PyObject *record = new_tuple(cls, FIELDS);
    if (record == NULL)
        return NULL;
    PyTuple_SET_ITEM(record, 0, Py_NewRef(topic));
    PyTuple_SET_ITEM(record, 1, Py_NewRef(partition));
    PyTuple_SET_ITEM(record, 2, PyLong_FromLongLong((int64_t)get(at, 8)));
    PyTuple_SET_ITEM(record, 3, PyBytes_FromStringAndSize(at + HEAD, key));
    PyTuple_SET_ITEM(record, 4, value < 0 ? Py_NewRef(Py_None) : PyBytes_FromStringAndSize(at + HEAD + key, value));
    PyTuple_SET_ITEM(record, 5, PyLong_FromLongLong((int64_t)get(at + 8, 8)));
    for (int i = 2; i < FIELDS; i++)
        if (PyTuple_GET_ITEM(record, i) == NULL) {
            Py_DECREF(record);
            return NULL;
        }
    return record;
}

/* decode(Record, topic, partition, data, offset, limit): records of `data` from `offset` on, so many at most. */
static PyObject *
records_decode(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    long long offset, limit;
    if (count != 6 || !PyType_Check(args[0]) || !PyType_IsSubtype((PyTypeObject *)args[0], &PyTuple_Type) ||
        !PyBytes_CheckExact(args[3]) || !as_long(args[4], &offset) || !as_long(args[5], &limit))
        Py_RETURN_NONE;
    const char *at = PyBytes_AS_STRING(args[3]), *end = at + PyBytes_GET_SIZE(args[3]);
    PyObject *found = PyList_New(0);
    if (found == NULL)
        return NULL;
    while (at < end && PyList_GET_SIZE(found) < limit) {
        if (end - at < HEAD)
            goto not_ours;
        int32_t key = (int32_t)get(at + 16, 4), value = (int32_t)get(at + 20, 4);
        int64_t size = (int64_t)HEAD + key + (value > 0 ? value : 0);
        if (key < 0 || size > end - at)
            goto not_ours;
        if ((int64_t)get(at, 8) >= offset) {
            PyObject *record = make_record((PyTypeObject *)args[0], args[1], args[2], at, key, value);
            if (record == NULL || PyList_Append(found, record) < 0) {
                Py_XDECREF(record);
                Py_DECREF(found);
                return NULL;
            }
            Py_DECREF(record);
        }
        at += size;
    }
    return found;
not_ours:
    Py_DECREF(found);
    Py_RETURN_NONE;
}

/* The list of (topic, number) among `groups`, which is made there if it is new; borrowed. */
static PyObject *
list_of(PyObject *groups, PyObject *topic, long long number)
{
    PyObject *at = PyLong_FromLongLong(number), *place, *list = NULL;
    if (at == NULL)
        return NULL;
    place = PyTuple_Pack(2, topic, at);
    Py_DECREF(at);
    if (place == NULL)
        return NULL;
    list = PyDict_GetItemWithError(groups, place);
    if (list == NULL && !PyErr_Occurred() && (list = PyList_New(0)) != NULL) {
        int failed = PyDict_SetItem(groups, place, list);
        Py_DECREF(list);
        if (failed)
            list = NULL;
    }
    Py_DECREF(place);
    return list;
}

#define KNOWN 256                      /* partitions of one topic whose lists are at hand */

/* by_place(records, counts): items by place, of records of topics that have so many partitions. */
static PyObject *
records_by_place(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count)
{
    if (count != 2 || !PyList_CheckExact(args[0]) || !PyDict_CheckExact(args[1]))
        Py_RETURN_NONE;
    PyObject *records = args[0], *topic = NULL, *lists[KNOWN], *groups = PyDict_New();
    long long partitions = 0, number;
    if (groups == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(records); i++) {
        PyObject *record = PyList_GET_ITEM(records, i);
        if (!PyTuple_CheckExact(record) || PyTuple_GET_SIZE(record) != 4)
            goto not_ours;
        PyObject *key = PyTuple_GET_ITEM(record, 2), *value = PyTuple_GET_ITEM(record, 3);
        if (!PyUnicode_CheckExact(PyTuple_GET_ITEM(record, 0)) || !PyBytes_CheckExact(key) ||
            PyBytes_GET_SIZE(key) > INT32_MAX || (value != Py_None && !PyBytes_CheckExact(value)))
            goto not_ours;
        if (PyTuple_GET_ITEM(record, 0) != topic) {
            topic = PyTuple_GET_ITEM(record, 0);
            memset(lists, 0, sizeof lists);
            if (!as_long(PyDict_GetItemWithError(args[1], topic), &partitions)) {
                if (PyErr_Occurred())
                    goto failed;
                goto not_ours;
            }
            if (partitions < 1)
                goto not_ours;
        }
        if (PyTuple_GET_ITEM(record, 1) == Py_None)
            number = (murmur2((unsigned char *)PyBytes_AS_STRING(key), (size_t)PyBytes_GET_SIZE(key)) &
                      0x7FFFFFFF) % partitions;
        else if (!as_long(PyTuple_GET_ITEM(record, 1), &number) || number < 0 || number >= partitions)
            goto not_ours;
        PyObject *list = number < KNOWN ? lists[number] : NULL;
        if (list == NULL && (list = list_of(groups, topic, number)) == NULL)
            goto failed;
        if (number < KNOWN)
            lists[number] = list;
        PyObject *item = PyTuple_Pack(2, key, value);
        if (item == NULL || PyList_Append(list, item) < 0) {
            Py_XDECREF(item);
            goto failed;
        }
        Py_DECREF(item);
    }
    return groups;
not_ours:
    Py_DECREF(groups);
    Py_RETURN_NONE;
failed:
    Py_DECREF(groups);
    return NULL;
}

static PyMethodDef functions[] = {
    {"encode", (PyCFunction)(void (*)(void))records_encode, METH_FASTCALL, NULL},
    {"decode", (PyCFunction)(void (*)(void))records_decode, METH_FASTCALL, NULL},
    {"by_place", (PyCFunction)(void (*)(void))records_by_place, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "plexstream.log.memory._records", "Records of the logs of one process, compiled.", -1,
    functions, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__records(void)
{
    return PyModule_Create(&module);
}
