/*
 * Records of a source as messages, in the plain case: the record's key is the actor's id, and its value the arguments.
 * `feed.py` and `feeding.py` say what is right; a record that is not plain is left to them, and they go on here behind it.
 */
#include "../../model/process/slots.h"
#include "../../model/process/murmur.h"
#include <stdint.h>
#include <string.h>

enum { OFFSET = 2, KEY, VALUE, TIME, RECORD_FIELDS };

/* Whether it is an actor's id, and ASCII. */
static int
is_id(PyObject *key)
{
    if (!PyBytes_CheckExact(key) || PyBytes_GET_SIZE(key) == 0)
        return 0;
    const unsigned char *at = (const unsigned char *)PyBytes_AS_STRING(key), *end = at + PyBytes_GET_SIZE(key);
    for (; at < end; at++)
        if (*at < 0x20 || *at > 0x7e || *at == '/')
            return 0;
    return 1;
}

typedef struct {
    PyObject *into, *feed, *prefix, *handler, *origin, *mailbox, *envelope, *encode;
    Py_ssize_t most;
    long partitions;
    PyObject *kind, *empty, *headers, *zero;
    PyObject *group;                            /* that of the last message */
    long number;                                /* and of which partition it is */
} Plan;

/* The list for the messages to a partition of the mailbox; the plan has the reference. */
static PyObject *
group_of(Plan *plan, long number)
{
    if (plan->group != NULL && plan->number == number)
        return plan->group;
    PyObject *home = Py_BuildValue("(Ol)", plan->mailbox, number), *fresh = PyList_New(0);
    Py_XSETREF(plan->group, home == NULL || fresh == NULL ? NULL : Py_XNewRef(PyDict_SetDefault(plan->into, home, fresh)));
    plan->number = number;
    Py_XDECREF(home);
    Py_XDECREF(fresh);
    if (plan->group != NULL && !PyList_CheckExact(plan->group)) {
        PyErr_SetString(PyExc_TypeError, "groups are lists");
        Py_CLEAR(plan->group);
    }
    return plan->group;
}

/* 1: it is in its group; 0: it is not plain, and nothing was done; -1: an error. */
static int
sort_one(Plan *plan, PyObject *record)
{
    if (!PyTuple_Check(record) || PyTuple_GET_SIZE(record) != RECORD_FIELDS)
        return 0;
    PyObject *key = PyTuple_GET_ITEM(record, KEY), *value = PyTuple_GET_ITEM(record, VALUE);
    long long offset;
    if (!is_id(key) || !PyBytes_CheckExact(value) || PyBytes_GET_SIZE(value) > plan->most
            || !as_long(PyTuple_GET_ITEM(record, OFFSET), &offset))
        return 0;
    int went = -1;
    PyObject *message = NULL, *data = NULL, *address = NULL, *id = PyUnicode_FromFormat("%U/%lld", plan->origin, offset);
    PyObject *actor = PyUnicode_DecodeASCII(PyBytes_AS_STRING(key), PyBytes_GET_SIZE(key), NULL);
    PyObject *target = actor == NULL ? NULL : PyUnicode_Concat(plan->prefix, actor);
    Py_XDECREF(actor);
    if (id == NULL || target == NULL)
        goto done;
    message = new_tuple((PyTypeObject *)plan->envelope, 13);
    if (message == NULL)
        goto done;
    PyObject *fields[] = {plan->kind, id, target, plan->handler, value, plan->empty, plan->empty, plan->empty,
                          PyTuple_GET_ITEM(record, TIME), plan->headers, plan->origin,
                          PyTuple_GET_ITEM(record, OFFSET), plan->zero};
    for (int i = 0; i < 13; i++)
        PyTuple_SET_ITEM(message, i, Py_NewRef(fields[i]));
    data = PyObject_CallOneArg(plan->encode, message);
    if (data == Py_None)
        went = 0;
    address = data == NULL || data == Py_None ? NULL : PyUnicode_AsUTF8String(target);
    if (address == NULL)
        goto done;
    uint32_t hash = murmur2((const unsigned char *)PyBytes_AS_STRING(address), (size_t)PyBytes_GET_SIZE(address));
    PyObject *group = group_of(plan, (long)((hash & 0x7fffffff) % (uint32_t)plan->partitions));
    PyObject *entry = group == NULL ? NULL : Py_BuildValue("((OO)OO)", address, data, record, plan->feed);
    went = entry == NULL || PyList_Append(group, entry) < 0 ? -1 : 1;
    Py_XDECREF(entry);
done:
    Py_XDECREF(message);
    Py_XDECREF(id);
    Py_XDECREF(target);
    Py_XDECREF(data);
    Py_XDECREF(address);
    return went;
}

PyDoc_STRVAR(sort_doc,
"sort(records, at, into, feed, prefix, handler, most, origin, mailbox, partitions, envelope, encode) -> int\n\n"
"Put the messages for records into their groups, from the one at `at` on. Returns the place of the first that is not plain.");

static PyObject *
sort(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *records;
    Py_ssize_t at;
    Plan plan = {0};
    if (!PyArg_ParseTuple(args, "O!nO!OUUnUUlO!O", &PyList_Type, &records, &at, &PyDict_Type, &plan.into, &plan.feed,
                          &plan.prefix, &plan.handler, &plan.most, &plan.origin, &plan.mailbox, &plan.partitions,
                          &PyType_Type, &plan.envelope, &plan.encode))
        return NULL;
    if (at < 0 || plan.partitions < 1 || plan.partitions > INT32_MAX
            || !PyType_IsSubtype((PyTypeObject *)plan.envelope, &PyTuple_Type)) {
        PyErr_SetString(PyExc_ValueError, "no such place, or partitions, or no envelope");
        return NULL;
    }
    plan.kind = plan.zero = PyLong_FromLong(0);     /* TELL */
    plan.empty = PyUnicode_FromStringAndSize(NULL, 0);
    plan.headers = PyDict_New();
    int went = plan.zero == NULL || plan.empty == NULL || plan.headers == NULL ? -1 : 1;
    while (went > 0 && at < PyList_GET_SIZE(records)) {
        PyObject *record = Py_NewRef(PyList_GET_ITEM(records, at));
        went = sort_one(&plan, record);
        Py_DECREF(record);
        at += went > 0;
    }
    Py_XDECREF(plan.group);
    Py_XDECREF(plan.zero);
    Py_XDECREF(plan.empty);
    Py_XDECREF(plan.headers);
    return went < 0 ? NULL : PyLong_FromSsize_t(at);
}

static PyMethodDef methods[] = {
    {"sort", sort, METH_VARARGS, sort_doc},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_feeding", "Records of sources as messages.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__feeding(void)
{
    return PyModule_Create(&module);
}
