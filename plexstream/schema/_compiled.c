/*
 * Avro's binary encoding of named tuples, by shape: what the hot path does a hundred thousand times a second.
 *
 * A `Record` is made of a named tuple's class, the bytes that stand before each record, and a shape: one letter
 * for each field.
 *
 *     l  int or long            s  string           b  bytes           ?  boolean
 *     k  like l, from 0 to 3    m  map of strings   a  array of the next of `subs`
 *     o  before b, s, a or r: null or that          r  the next of `subs`
 *
 * Everything here has a twin in Python, which says what is right and why a record is refused. Whatever is out
 * of the ordinary (bytes that are no record, a number beyond 64 bits, a value of another type) is the twin's:
 * `encode` and `decode` return None for it, and the caller asks the twin.
 */
#include "../model/process/reading.h"
#include "../model/process/slots.h"
#include <stdint.h>
#include <string.h>

#define MAX_FIELDS 32
#define STACK 2048

typedef struct Record {
    PyObject_HEAD
    PyTypeObject *cls;
    PyObject *prefix;
    PyObject *subs;                    /* a tuple of Records */
    Py_ssize_t fields;
    char kind[MAX_FIELDS];             /* the letter of each field, without the o */
    char optional[MAX_FIELDS];
    struct Record *sub[MAX_FIELDS];    /* borrowed from `subs` */
} Record;

/* Writing ------------------------------------------------------------------------------------------------ */

typedef struct {
    char *data;
    size_t size, room;
    char stack[STACK];
} Out;

static int
out_room(Out *out, size_t more)
{
    if (out->size + more <= out->room)
        return 1;
    size_t room = (out->size + more) * 2;
    char *data = out->data == out->stack ? PyMem_Malloc(room) : PyMem_Realloc(out->data, room);
    if (data == NULL)
        return 0;
    if (out->data == out->stack)
        memcpy(data, out->stack, out->size);
    out->data = data;
    out->room = room;
    return 1;
}

static size_t
varint(char *at, int64_t n)
{
    uint64_t z = ((uint64_t)n << 1) ^ (uint64_t)(n >> 63);
    size_t i = 0;
    while (z > 127) {
        at[i++] = (char)((z & 127) | 128);
        z >>= 7;
    }
    at[i++] = (char)z;
    return i;
}

static int
put_long(Out *out, int64_t n)
{
    if (!out_room(out, 10))
        return 0;
    out->size += varint(out->data + out->size, n);
    return 1;
}

static int
put_bytes(Out *out, const char *data, Py_ssize_t size)
{
    if (!out_room(out, (size_t)size + 10))
        return 0;
    out->size += varint(out->data + out->size, size);
    memcpy(out->data + out->size, data, (size_t)size);
    out->size += (size_t)size;
    return 1;
}

static int
put_text(Out *out, PyObject *value)
{
    Py_ssize_t size;
    if (!PyUnicode_Check(value))
        return 0;
    const char *data = PyUnicode_AsUTF8AndSize(value, &size);
    return data != NULL && put_bytes(out, data, size);
}

static int put_record(Out *out, Record *self, PyObject *value);

/* One block that tells its size, so that readers can pass over it. */
static int
put_array(Out *out, Record *sub, PyObject *items)
{
    if (!PyList_CheckExact(items) && !PyTuple_CheckExact(items))
        return 0;
    Py_ssize_t count = PySequence_Fast_GET_SIZE(items);
    if (count > 0) {
        if (!put_long(out, -(int64_t)count))
            return 0;
        size_t start = out->size;
        for (Py_ssize_t i = 0; i < count; i++)
            if (!put_record(out, sub, PySequence_Fast_GET_ITEM(items, i)))
                return 0;
        char head[10];
        size_t body = out->size - start, n = varint(head, (int64_t)body);
        if (!out_room(out, n))
            return 0;
        memmove(out->data + start + n, out->data + start, body);
        memcpy(out->data + start, head, n);
        out->size += n;
    }
    return put_long(out, 0);
}

static int
put_map(Out *out, PyObject *map)
{
    if (!PyDict_CheckExact(map))
        return 0;
    Py_ssize_t at = 0;
    PyObject *key, *value;
    if (PyDict_GET_SIZE(map) && !put_long(out, PyDict_GET_SIZE(map)))
        return 0;
    while (PyDict_Next(map, &at, &key, &value))
        if (!put_text(out, key) || !put_text(out, value))
            return 0;
    return put_long(out, 0);
}

static int
put_field(Out *out, Record *self, Py_ssize_t i, PyObject *value)
{
    if (self->optional[i]) {
        if (value == Py_None)
            return put_long(out, 0);
        if (!put_long(out, 1))
            return 0;
    }
    switch (self->kind[i]) {
    case 'l':
    case 'k': {
        if (!PyLong_Check(value))
            return 0;
        long long n = PyLong_AsLongLong(value);
        return (n != -1 || !PyErr_Occurred()) && put_long(out, n);
    }
    case 's':
        return put_text(out, value);
    case 'b':
        return PyBytes_Check(value) && put_bytes(out, PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    case '?':
        if (!PyBool_Check(value) || !out_room(out, 1))
            return 0;
        out->data[out->size++] = value == Py_True;
        return 1;
    case 'm':
        return put_map(out, value);
    case 'a':
        return put_array(out, self->sub[i], value);
    default:
        return put_record(out, self->sub[i], value);
    }
}

static int
put_record(Out *out, Record *self, PyObject *value)
{
    if (!PyTuple_Check(value) || PyTuple_GET_SIZE(value) != self->fields)
        return 0;
    for (Py_ssize_t i = 0; i < self->fields; i++)
        if (!put_field(out, self, i, PyTuple_GET_ITEM(value, i)))
            return 0;
    return 1;
}

/* None for what is the twin's, or an error that is nobody's. */
static PyObject *
refuse(void)
{
    if (PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_MemoryError))
            return NULL;
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

PyDoc_STRVAR(encode_doc, "encode(record) -> bytes | None\n\nNone: the twin in Python must decide.");

static PyObject *
record_encode(Record *self, PyObject *value)
{
    Out out;
    PyObject *result;
    if (self->cls == NULL)
        Py_RETURN_NONE;
    Py_ssize_t prefix = PyBytes_GET_SIZE(self->prefix);
    out.data = out.stack;
    out.room = STACK;
    out.size = (size_t)prefix;
    memcpy(out.stack, PyBytes_AS_STRING(self->prefix), (size_t)prefix);
    if (put_record(&out, self, value))
        result = PyBytes_FromStringAndSize(out.data, (Py_ssize_t)out.size);
    else
        result = refuse();
    if (out.data != out.stack)
        PyMem_Free(out.data);
    return result;
}

PyDoc_STRVAR(keyed_doc,
"keyed(records, field) -> list | None\n\n"
"Each record, encoded, behind the text in one of its fields. None: the twin in Python must decide.");

static PyObject *
record_keyed(Record *self, PyObject *const *args, Py_ssize_t count)
{
    Py_ssize_t field = count == 2 && PyLong_CheckExact(args[1]) ? PyLong_AsSsize_t(args[1]) : -1;
    if (field == -1 && PyErr_Occurred())
        return NULL;
    if (self->cls == NULL || field < 0 || field >= self->fields || !PyList_CheckExact(args[0]))
        Py_RETURN_NONE;
    PyObject *records = args[0], *result = PyList_New(PyList_GET_SIZE(records));
    for (Py_ssize_t i = 0; result != NULL && i < PyList_GET_SIZE(result); i++) {
        if (i >= PyList_GET_SIZE(records)) {        /* the collector may have run something that takes from it */
            Py_DECREF(result);
            Py_RETURN_NONE;
        }
        PyObject *record = Py_NewRef(PyList_GET_ITEM(records, i)), *key, *data, *item = NULL;
        if (!Py_IS_TYPE(record, self->cls) || !PyUnicode_CheckExact(PyTuple_GET_ITEM(record, field))) {
            Py_DECREF(record);
            Py_DECREF(result);
            Py_RETURN_NONE;
        }
        key = PyUnicode_AsUTF8String(PyTuple_GET_ITEM(record, field));
        data = key == NULL ? refuse() : record_encode(self, record);
        if (key != NULL && data != NULL && data != Py_None)
            item = PyTuple_Pack(2, key, data);
        Py_XDECREF(key);
        Py_DECREF(record);
        if (item == NULL) {
            Py_DECREF(result);
            if (data != Py_None)
                Py_CLEAR(data);
            return data;
        }
        Py_DECREF(data);
        PyList_SET_ITEM(result, i, item);
    }
    return result;
}

/* Reading ------------------------------------------------------------------------------------------------ */

static PyObject *
get_text(In *in)
{
    Py_ssize_t size;
    const char *data = get_bytes(in, &size);
    return data == NULL ? NULL : PyUnicode_DecodeUTF8(data, size, "strict");
}

static PyObject *get_record(In *in, Record *self, int skip);

static PyObject *
get_array(In *in, Record *sub, int skip)
{
    PyObject *items = PyList_New(0);
    while (items != NULL) {
        int64_t count, size = -1;
        int ends = in->at != in->end && *in->at == 0;
        if (!get_long(in, &count))
            break;
        if (ends)
            return items;
        if (count < 0) {
            if (!get_long(in, &size) || size < 0 || count == INT64_MIN)
                break;
            count = -count;
            if (skip) {
                if (size > in->end - in->at)
                    break;
                in->at += size;
                continue;
            }
        }
        for (; count > 0; count--) {
            PyObject *item = get_record(in, sub, -1);
            if (item == NULL || PyList_Append(items, item) < 0) {
                Py_XDECREF(item);
                break;
            }
            Py_DECREF(item);
        }
        if (count > 0)
            break;
    }
    Py_XDECREF(items);
    return NULL;
}

static PyObject *
get_map(In *in)
{
    PyObject *map = PyDict_New();
    while (map != NULL) {
        int64_t count, size;
        if (!get_long(in, &count))
            break;
        if (count == 0)
            return map;
        if (count < 0) {
            if (count == INT64_MIN || !get_long(in, &size))
                break;
            count = -count;
        }
        for (; count > 0; count--) {
            PyObject *key = get_text(in), *value = key == NULL ? NULL : get_text(in);
            int failed = value == NULL || PyDict_SetItem(map, key, value) < 0;
            Py_XDECREF(key);
            Py_XDECREF(value);
            if (failed)
                break;
        }
        if (count > 0)
            break;
    }
    Py_XDECREF(map);
    return NULL;
}

static PyObject *
get_field(In *in, Record *self, Py_ssize_t i, int skip)
{
    int64_t n;
    Py_ssize_t size;
    const char *data;
    if (self->optional[i]) {
        /* The branch of a union is one byte, as the twin has it: a longer number that means the same is none. */
        if (in->at == in->end || (*in->at != 0 && *in->at != 2))
            return NULL;
        if (*in->at++ == 0)
            Py_RETURN_NONE;
    }
    switch (self->kind[i]) {
    case 'l':
        return get_long(in, &n) ? PyLong_FromLongLong(n) : NULL;
    case 'k':
        return in->at == in->end || *in->at > 6 || *in->at & 1 ? NULL : PyLong_FromLong(*in->at++ >> 1);
    case 's':
        return get_text(in);
    case 'b':
        data = get_bytes(in, &size);
        return data == NULL ? NULL : PyBytes_FromStringAndSize(data, size);
    case '?':
        return in->at == in->end ? NULL : PyBool_FromLong(*in->at++ == 1);
    case 'm':
        return get_map(in);
    case 'a':
        return get_array(in, self->sub[i], skip);
    default:
        return get_record(in, self->sub[i], -1);
    }
}

/* `skip`: pass over the items of this array; -1: of none. */
static PyObject *
get_record(In *in, Record *self, int skip)
{
    PyObject *result = new_tuple(self->cls, self->fields);
    if (result == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < self->fields; i++) {
        PyObject *value = get_field(in, self, i, skip == i);
        if (value == NULL) {
            Py_DECREF(result);
            return NULL;
        }
        PyTuple_SET_ITEM(result, i, value);
    }
    return result;
}

PyDoc_STRVAR(decode_doc,
"decode(data, skip=-1) -> record | None\n\n"
"None: the twin in Python must decide. `skip`: the array field whose items are passed over.");

static PyObject *
record_decode(Record *self, PyObject *const *args, Py_ssize_t count)
{
    if (count < 1 || count > 2) {
        PyErr_SetString(PyExc_TypeError, "decode(data, skip=-1)");
        return NULL;
    }
    long skip = count == 2 ? PyLong_AsLong(args[1]) : -1;
    if (skip == -1 && PyErr_Occurred())
        return NULL;
    if (self->cls == NULL || !PyBytes_CheckExact(args[0]))
        Py_RETURN_NONE;
    Py_ssize_t prefix = PyBytes_GET_SIZE(self->prefix), size = PyBytes_GET_SIZE(args[0]);
    const char *data = PyBytes_AS_STRING(args[0]);
    if (size < prefix || memcmp(data, PyBytes_AS_STRING(self->prefix), (size_t)prefix) != 0)
        Py_RETURN_NONE;
    In in = {(const unsigned char *)data + prefix, (const unsigned char *)data + size};
    PyObject *result = get_record(&in, self, (int)skip);
    if (result == NULL)
        return refuse();
    if (in.at != in.end) {
        Py_DECREF(result);
        Py_RETURN_NONE;
    }
    return result;
}

/* The type ----------------------------------------------------------------------------------------------- */

static int
record_init(Record *self, PyObject *args, PyObject *named)
{
    static char *names[] = {"cls", "prefix", "shape", "subs", NULL};
    PyTypeObject *cls;
    PyObject *prefix, *subs;
    const char *shape;
    if (self->cls != NULL || !PyArg_ParseTupleAndKeywords(
            args, named, "O!SsO!", names, &PyType_Type, &cls, &prefix, &shape, &PyTuple_Type, &subs)) {
        if (!PyErr_Occurred())
            PyErr_SetString(PyExc_TypeError, "a Record is made once");
        return -1;
    }
    Py_ssize_t used = 0, fields = 0;
    for (const char *c = shape; *c; c++, fields++) {
        if (fields == MAX_FIELDS)
            goto wrong;
        self->optional[fields] = *c == 'o';
        if (*c == 'o')
            c++;
        if (!*c || strchr(self->optional[fields] ? "bsar" : "lksb?mar", *c) == NULL)
            goto wrong;
        self->kind[fields] = *c;
        if (*c == 'a' || *c == 'r') {
            if (used == PyTuple_GET_SIZE(subs) || Py_TYPE(PyTuple_GET_ITEM(subs, used)) != Py_TYPE(self))
                goto wrong;
            self->sub[fields] = (Record *)PyTuple_GET_ITEM(subs, used++);
        }
    }
    if (used != PyTuple_GET_SIZE(subs) || !PyType_IsSubtype(cls, &PyTuple_Type)
            || PyBytes_GET_SIZE(prefix) > 64)
        goto wrong;
    self->fields = fields;
    self->cls = (PyTypeObject *)Py_NewRef(cls);
    self->prefix = Py_NewRef(prefix);
    self->subs = Py_NewRef(subs);
    return 0;
wrong:
    PyErr_Format(PyExc_ValueError, "'%s' is no shape for %R", shape, cls);
    return -1;
}

static void
record_dealloc(Record *self)
{
    PyTypeObject *type = Py_TYPE(self);
    Py_XDECREF(self->cls);
    Py_XDECREF(self->prefix);
    Py_XDECREF(self->subs);
    type->tp_free(self);
    Py_DECREF(type);
}

static PyMethodDef record_methods[] = {
    {"encode", (PyCFunction)record_encode, METH_O, encode_doc},
    {"keyed", (PyCFunction)(void (*)(void))record_keyed, METH_FASTCALL, keyed_doc},
    {"decode", (PyCFunction)(void (*)(void))record_decode, METH_FASTCALL, decode_doc},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot record_slots[] = {
    {Py_tp_doc, "Record(cls, prefix, shape, subs)\n\nHow records of a named tuple are written and read."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, record_init},
    {Py_tp_dealloc, record_dealloc},
    {Py_tp_methods, record_methods},
    {0, NULL},
};

static PyType_Spec record_spec = {
    .name = "plexstream.schema._compiled.Record",
    .basicsize = sizeof(Record),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = record_slots,
};

static int
module_exec(PyObject *module)
{
    PyObject *type = PyType_FromSpec(&record_spec);
    int failed = type == NULL || PyModule_AddObjectRef(module, "Record", type) < 0;
    Py_XDECREF(type);
    return failed ? -1 : 0;
}

static PyModuleDef_Slot module_slots[] = {{Py_mod_exec, module_exec}, {0, NULL}};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "plexstream.schema._compiled",
    .m_doc = "Avro's binary encoding of named tuples, by shape.",
    .m_size = 0,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__compiled(void)
{
    return PyModuleDef_Init(&module);
}
