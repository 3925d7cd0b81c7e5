/* Objects of Python classes with __slots__, seen from C: at which place each slot is; and tuples. */
#ifndef PLEXSTREAM_SLOTS_H
#define PLEXSTREAM_SLOTS_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

/* What is in a slot, borrowed; NULL where nothing is. */
static inline PyObject *
slot(PyObject *object, Py_ssize_t at)
{
    return *(PyObject **)((char *)object + at);
}

/* Takes over the reference to `value`. What was there goes last: that may run code. */
static inline void
set_slot(PyObject *object, Py_ssize_t at, PyObject *value)
{
    PyObject **place = (PyObject **)((char *)object + at), *old = *place;
    *place = value;
    Py_XDECREF(old);
}

/* A whole number of 64 bits; 0 where it is none, without an error. */
static inline int
as_long(PyObject *object, long long *number)
{
    int overflow;
    if (object == NULL || !PyLong_CheckExact(object))
        return 0;
    *number = PyLong_AsLongLongAndOverflow(object, &overflow);
    return !overflow;
}

/* A tuple of a class, to be filled. Where tuples remember their hash, memory that is all zero would be one. */
static inline PyObject *
new_tuple(PyTypeObject *type, Py_ssize_t size)
{
    PyObject *tuple = type->tp_alloc(type, size);
#if PY_VERSION_HEX >= 0x030E0000
    if (tuple != NULL)
        ((PyTupleObject *)tuple)->ob_hash = -1;
#endif
    return tuple;
}

/* The place of a slot; -1 and an error where the class has none of the name. */
static inline Py_ssize_t
slot_of(PyObject *cls, const char *name)
{
    PyObject *found = PyObject_GetAttrString(cls, name);
    Py_ssize_t at = -1;
    if (found == NULL)
        return -1;
    if (Py_IS_TYPE(found, &PyMemberDescr_Type)) {
        PyMemberDescrObject *member = (PyMemberDescrObject *)found;
        if ((PyObject *)PyDescr_TYPE(member) == cls && member->d_member->type == T_OBJECT_EX)
            at = member->d_member->offset;
    }
    Py_DECREF(found);
    if (at < 0)
        PyErr_Format(PyExc_TypeError, "%R has no slot %s", cls, name);
    return at;
}
#endif
