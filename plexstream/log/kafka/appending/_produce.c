/* Many records to librdkafka by one call, with the GIL released; what became of them is heard without it, too.
 *
 * confluent-kafka takes the GIL once for each record that is produced and once more for each that is delivered,
 * whether somebody wants to hear of it or not. A worker has threads that want it meanwhile.
 *
 * What this knows of confluent-kafka: the layout of two of its structures, in the versions that `produce.py`
 * names. Everything else is librdkafka's public interface, of the library that confluent-kafka has loaded.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* librdkafka's rd_kafka_message_t */
typedef struct {
    int err;
    void *rkt;
    int32_t partition;
    void *payload;
    size_t len;
    void *key;
    size_t key_len;
    int64_t offset;
    void *_private;
} Message;

/* confluent-kafka's Handle, as far as it is used here, and its Producer_msgstate, which it frees itself */
typedef struct { PyObject_HEAD void *rk; } Handle;
typedef struct { void *handle; PyObject *callback; } State;

#define NAME "plexstream"
enum { COPY = 0x2, FAIL = -196, INVALID_ARG = -186 };

typedef int OnAcknowledgement(void *rk, Message *message, void *opaque);
typedef int OnDestroy(void *rk, void *opaque);
typedef int OnConfDestroy(void *opaque);
typedef int OnNew(void *rk, const void *conf, void *opaque, char *why, size_t size);

static struct {
    void *(*topic_new)(void *rk, const char *topic, void *conf);
    void (*topic_destroy)(void *rkt);
    const char *(*topic_name)(const void *rkt);
    int (*produce_batch)(void *rkt, int32_t partition, int flags, Message *messages, int count);
    int (*add_on_acknowledgement)(void *rk, const char *name, OnAcknowledgement *, void *opaque);
    int (*add_on_destroy)(void *rk, const char *name, OnDestroy *, void *opaque);
    int (*add_on_conf_destroy)(void *conf, const char *name, OnConfDestroy *, void *opaque);
    int (*add_on_new)(void *conf, const char *name, OnNew *, void *opaque);
} api;
static int loaded;
static PyTypeObject *producer_type;

/* What became of the records of one producer. Filled on librdkafka's threads. */
typedef struct Failure {
    struct Failure *next;
    int err;
    size_t key_len, len;
    char *topic, *key, *value;
} Failure;

typedef struct Fates {
    struct Fates *next;
    void *rk;
    pthread_mutex_t lock;
    int owners; /* the Python object, and the producer */
    long unproven;
    char *topic; /* of the first unproven one */
    int32_t partition;
    Failure *first, **last;
} Fates;

static char *copied(const void *from, size_t size) {
    char *to = malloc(size + 1);
    if (to != NULL) {
        if (size) memcpy(to, from, size);
        to[size] = 0;
    }
    return to;
}

static void failure_free(Failure *f) {
    free(f->topic);
    free(f->key);
    free(f->value);
    free(f);
}

static void fates_clear(Fates *fates) { /* locked */
    free(fates->topic);
    fates->topic = NULL;
    fates->unproven = 0;
    while (fates->first != NULL) {
        Failure *f = fates->first;
        fates->first = f->next;
        failure_free(f);
    }
    fates->last = &fates->first;
}

static void fates_release(Fates *fates) {
    pthread_mutex_lock(&fates->lock);
    int left = --fates->owners;
    if (!left) fates_clear(fates);
    pthread_mutex_unlock(&fates->lock);
    if (!left) {
        pthread_mutex_destroy(&fates->lock);
        free(fates);
    }
}

static int on_acknowledgement(void *rk, Message *m, void *opaque) {
    Fates *fates = opaque;
    if (!m->err && m->offset >= 0) return 0;
    const char *topic = m->rkt ? api.topic_name(m->rkt) : "";
    pthread_mutex_lock(&fates->lock);
    if (!m->err) {
        if (!fates->unproven++) {
            fates->topic = copied(topic, strlen(topic));
            fates->partition = m->partition;
        }
    } else {
        Failure *f = calloc(1, sizeof *f);
        if (f != NULL) {
            f->err = m->err;
            f->topic = copied(topic, strlen(topic));
            f->key = m->key ? copied(m->key, f->key_len = m->key_len) : NULL;
            f->value = m->payload ? copied(m->payload, f->len = m->len) : NULL;
        }
        if (f == NULL || !f->topic || (m->key && !f->key) || (m->payload && !f->value)) {
            if (f != NULL) failure_free(f);
            fates->unproven++; /* or the transaction would be taken for whole */
        } else {
            *fates->last = f;
            fates->last = &f->next;
        }
    }
    pthread_mutex_unlock(&fates->lock);
    return 0;
}

/* Those of all producers that there are: a plugin is told of a producer when it is made, and not whose it is. */
static pthread_mutex_t all_lock = PTHREAD_MUTEX_INITIALIZER;
static Fates *all;

static int on_destroy(void *rk, void *opaque) {
    pthread_mutex_lock(&all_lock);
    for (Fates **at = &all; *at != NULL; at = &(*at)->next)
        if (*at == opaque) {
            *at = (*at)->next;
            break;
        }
    pthread_mutex_unlock(&all_lock);
    return 0; /* what is under way is still told of */
}

/* The last that is heard of a producer: its threads have ended. */
static int on_conf_destroy(void *opaque) {
    fates_release(opaque);
    return 0;
}

static int on_new(void *rk, const void *conf, void *opaque, char *why, size_t size) {
    Fates *fates = calloc(1, sizeof *fates);
    if (fates == NULL) return FAIL;
    pthread_mutex_init(&fates->lock, NULL);
    fates->last = &fates->first;
    fates->rk = rk;
    fates->owners = 1;
    int failed = api.add_on_conf_destroy((void *)conf, NAME, on_conf_destroy, fates);
    if (failed) {
        fates_release(fates);
        return failed;
    }
    pthread_mutex_lock(&all_lock);
    fates->next = all;
    all = fates;
    pthread_mutex_unlock(&all_lock);
    failed = api.add_on_destroy(rk, NAME, on_destroy, fates);
    return failed ? failed : api.add_on_acknowledgement(rk, NAME, on_acknowledgement, fates);
}

/* As librdkafka calls its plugins, by this name. */
__attribute__((visibility("default"))) int conf_init(void *conf, void **opaque, char *why, size_t size) {
    return loaded ? api.add_on_new(conf, NAME, on_new, NULL) : FAIL;
}

typedef struct { PyObject_HEAD Fates *fates; } Watch;

static void watch_dealloc(PyObject *self) {
    Fates *fates = ((Watch *)self)->fates;
    if (fates != NULL) fates_release(fates);
    Py_TYPE(self)->tp_free(self);
}

/* What is made of fates is made with them locked: were the collector to run then, its finalizers could let go of the
 * GIL, and a thread that takes it wait for the lock, for ever. */
static int lock_for_python(Fates *fates) {
    int collects = PyGC_Disable();
    pthread_mutex_lock(&fates->lock);
    return collects;
}

static void unlock_for_python(Fates *fates, int collects) {
    pthread_mutex_unlock(&fates->lock);
    if (collects) PyGC_Enable();
}

static PyObject *watch_clear(PyObject *self, PyObject *none) {
    Fates *fates = ((Watch *)self)->fates;
    pthread_mutex_lock(&fates->lock);
    fates_clear(fates);
    pthread_mutex_unlock(&fates->lock);
    Py_RETURN_NONE;
}

static PyObject *watch_unproven(PyObject *self, PyObject *none) {
    Fates *fates = ((Watch *)self)->fates;
    int collects = lock_for_python(fates);
    PyObject *found = Py_BuildValue("(lsi)", fates->unproven, fates->topic ? fates->topic : "", (int)fates->partition);
    unlock_for_python(fates, collects);
    return found;
}

static PyObject *watch_undelivered(PyObject *self, PyObject *none) {
    Fates *fates = ((Watch *)self)->fates;
    PyObject *found = PyList_New(0);
    if (found == NULL) return NULL;
    int collects = lock_for_python(fates);
    for (Failure *f = fates->first; f != NULL; f = f->next) {
        PyObject *one = Py_BuildValue("(sy#y#i)", f->topic, f->key, (Py_ssize_t)f->key_len, f->value, (Py_ssize_t)f->len, f->err);
        if (one == NULL || PyList_Append(found, one)) {
            Py_XDECREF(one);
            Py_CLEAR(found);
            break;
        }
        Py_DECREF(one);
    }
    unlock_for_python(fates, collects);
    return found;
}

static PyMethodDef watch_methods[] = {
    {"clear", watch_clear, METH_NOARGS, "Forget all."},
    {"unproven", watch_unproven, METH_NOARGS, "How many were delivered without an offset; topic and partition of the first."},
    {"undelivered", watch_undelivered, METH_NOARGS, "Topic, key, value and error code of each that was not delivered."},
    {NULL},
};

static PyTypeObject WatchType = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "plexstream.log.kafka.appending._produce.Watch",
    .tp_basicsize = sizeof(Watch),
    .tp_dealloc = watch_dealloc,
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .tp_methods = watch_methods,
    .tp_doc = "What became of the records of one producer.",
};

/* The producer's handle, or NULL with an exception. */
static void *rk_of(PyObject *producer) {
    if (!loaded || !PyObject_TypeCheck(producer, producer_type)) {
        PyErr_Format(PyExc_TypeError, "no producer of confluent-kafka's, but %.100s", Py_TYPE(producer)->tp_name);
        return NULL;
    }
    void *rk = ((Handle *)producer)->rk;
    if (rk == NULL) PyErr_SetString(PyExc_RuntimeError, "the producer is closed");
    return rk;
}

static PyObject *load(PyObject *module, PyObject *args) {
    const char *name;
    PyObject *type;
    if (!PyArg_ParseTuple(args, "sO!", &name, &PyType_Type, &type)) return NULL;
    void *library = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    if (library == NULL) Py_RETURN_FALSE;
    void **into[] = {(void **)&api.topic_new, (void **)&api.topic_destroy, (void **)&api.topic_name, (void **)&api.produce_batch,
                     (void **)&api.add_on_acknowledgement, (void **)&api.add_on_destroy,
                     (void **)&api.add_on_conf_destroy, (void **)&api.add_on_new};
    const char *names[] = {"rd_kafka_topic_new", "rd_kafka_topic_destroy", "rd_kafka_topic_name", "rd_kafka_produce_batch",
                           "rd_kafka_interceptor_add_on_acknowledgement", "rd_kafka_interceptor_add_on_destroy",
                           "rd_kafka_conf_interceptor_add_on_conf_destroy", "rd_kafka_conf_interceptor_add_on_new"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((*into[i] = dlsym(library, names[i])) == NULL) Py_RETURN_FALSE;
    Py_XSETREF(producer_type, (PyTypeObject *)Py_NewRef(type));
    loaded = 1;
    Py_RETURN_TRUE;
}

static PyObject *watch(PyObject *module, PyObject *producer) {
    void *rk = rk_of(producer);
    if (rk == NULL) return NULL;
    Watch *self = PyObject_New(Watch, &WatchType);
    if (self == NULL) return NULL;
    pthread_mutex_lock(&all_lock);
    for (self->fates = all; self->fates != NULL && self->fates->rk != rk;) self->fates = self->fates->next;
    if (self->fates != NULL) {
        pthread_mutex_lock(&self->fates->lock);
        self->fates->owners++;
        pthread_mutex_unlock(&self->fates->lock);
    }
    pthread_mutex_unlock(&all_lock);
    if (self->fates == NULL) {
        Py_DECREF(self);
        PyErr_SetString(PyExc_RuntimeError, "the producer was made without this plugin");
        return NULL;
    }
    return (PyObject *)self;
}

/* A record's key or value: text, bytes or nothing. False with an exception if it is something else. */
static int bytes_of(PyObject *from, void **at, size_t *size) {
    Py_ssize_t count = 0;
    if (PyBytes_Check(from)) {
        *at = PyBytes_AS_STRING(from);
        count = PyBytes_GET_SIZE(from);
    } else if (PyUnicode_Check(from)) {
        *at = (void *)PyUnicode_AsUTF8AndSize(from, &count);
        if (*at == NULL) return 0;
    } else if (from != Py_None) {
        PyErr_Format(PyExc_TypeError, "keys and values are text, bytes or None, not %.100s", Py_TYPE(from)->tp_name);
        return 0;
    }
    *size = (size_t)count;
    return 1;
}

static PyObject *produce(PyObject *module, PyObject *args) {
    PyObject *producer, *records, *callback;
    const char *topic;
    int partition, key_at, value_at;
    if (!PyArg_ParseTuple(args, "OsiO!iiO", &producer, &topic, &partition, &PyList_Type, &records, &key_at, &value_at, &callback))
        return NULL;
    void *rk = rk_of(producer);
    if (rk == NULL) return NULL;
    Py_ssize_t count = PyList_GET_SIZE(records);
    if (count > INT32_MAX || key_at < 0 || value_at < 0) return PyErr_Format(PyExc_ValueError, "%zd records", count);
    if (!count) return Py_BuildValue("(ii)", 0, 0);
    /* Its own list: another thread may change the caller's while the GIL is released. */
    PyObject *own = PyList_GetSlice(records, 0, count), *answer = NULL;
    Message *messages = calloc((size_t)count, sizeof *messages);
    State *state = NULL;
    void *rkt = NULL;
    if (own == NULL || messages == NULL) {
        if (own != NULL) PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *record = PyList_GET_ITEM(own, i);
        if (!PyTuple_Check(record) || PyTuple_GET_SIZE(record) <= key_at || PyTuple_GET_SIZE(record) <= value_at) {
            PyErr_Format(PyExc_TypeError, "record %zd is no tuple of that size", i);
            goto done;
        }
        if (!bytes_of(PyTuple_GET_ITEM(record, key_at), &messages[i].key, &messages[i].key_len) ||
            !bytes_of(PyTuple_GET_ITEM(record, value_at), &messages[i].payload, &messages[i].len))
            goto done;
    }
    if (callback != Py_None) {
        state = calloc(1, sizeof *state);
        if (state == NULL) {
            PyErr_NoMemory();
            goto done;
        }
        state->handle = producer;
        state->callback = Py_NewRef(callback);
        messages[count - 1]._private = state;
    }
    int accepted = 0, refused = 0;
    Py_INCREF(producer);
    Py_BEGIN_ALLOW_THREADS
    rkt = api.topic_new(rk, topic, NULL);
    if (rkt == NULL) refused = INVALID_ARG;
    else {
        accepted = api.produce_batch(rkt, partition, COPY, messages, (int)count);
        for (Py_ssize_t i = 0; i < count && !refused; i++) refused = messages[i].err;
        api.topic_destroy(rkt);
    }
    Py_END_ALLOW_THREADS
    Py_DECREF(producer);
    if (state != NULL && (rkt == NULL || messages[count - 1].err)) {
        Py_DECREF(state->callback);
        free(state);
    }
    answer = Py_BuildValue("(ii)", accepted, refused);
done:
    Py_XDECREF(own);
    free(messages);
    return answer;
}

/* Records of one topic and partition, among those of a transaction. */
typedef struct {
    const char *topic;
    int32_t partition;
    int count, end;
} Group;

/* The number of the record's group, by `numbers`; a new one is next to the `known`. Negative with an exception. */
static long group_of(PyObject *record, PyObject *numbers, long known) {
    PyObject *place = PyTuple_GET_ITEM(record, 1) == Py_None ? Py_NewRef(PyTuple_GET_ITEM(record, 0))
                                                             : PyTuple_GetSlice(record, 0, 2);
    if (place == NULL) return -1;
    PyObject *number = PyDict_GetItemWithError(numbers, place);
    long found = -1;
    if (number != NULL) found = PyLong_AsLong(number);
    else if (!PyErr_Occurred()) {
        number = PyLong_FromLong(known);
        if (number != NULL && !PyDict_SetItem(numbers, place, number)) found = known;
        Py_XDECREF(number);
    }
    Py_DECREF(place);
    return found;
}

static PyObject *send(PyObject *module, PyObject *args) {
    PyObject *producer, *records;
    int partitioner;
    if (!PyArg_ParseTuple(args, "OO!i", &producer, &PyList_Type, &records, &partitioner)) return NULL;
    void *rk = rk_of(producer);
    if (rk == NULL) return NULL;
    Py_ssize_t count = PyList_GET_SIZE(records);
    if (count > INT32_MAX) return PyErr_Format(PyExc_ValueError, "%zd records", count);
    /* Its own list: another thread may change the caller's while the GIL is released. */
    PyObject *own = PyList_GetSlice(records, 0, count), *numbers = PyDict_New(), *answer = NULL;
    Message *messages = calloc((size_t)count + 1, sizeof *messages);
    long *number = calloc((size_t)count + 1, sizeof *number);
    Group *groups = NULL;
    long known = 0;
    if (own == NULL || numbers == NULL || messages == NULL || number == NULL) {
        if (own != NULL && numbers != NULL) PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *record = PyList_GET_ITEM(own, i);
        if (!PyTuple_Check(record) || PyTuple_GET_SIZE(record) != 4) {
            PyErr_Format(PyExc_TypeError, "record %zd is no tuple of four", i);
            goto done;
        }
        number[i] = group_of(record, numbers, known);
        if (number[i] < 0) goto done;
        if (number[i] == known) known++;
    }
    groups = calloc((size_t)known + 1, sizeof *groups);
    if (groups == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    for (Py_ssize_t i = 0; i < count; i++) groups[number[i]].count++;
    for (long g = 0, end = 0; g < known; g++) {
        groups[g].end = (int)end; /* moves on to its end as it is filled */
        end += groups[g].count;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *record = PyList_GET_ITEM(own, i), *partition = PyTuple_GET_ITEM(record, 1);
        Group *group = &groups[number[i]];
        Message *m = &messages[group->end++];
        if (group->topic == NULL) {
            Py_ssize_t length;
            group->topic = PyUnicode_AsUTF8AndSize(PyTuple_GET_ITEM(record, 0), &length);
            long place = partition == Py_None ? partitioner : PyLong_AsLong(partition);
            if (group->topic == NULL || PyErr_Occurred()) goto done;
            if (place < INT32_MIN || place > INT32_MAX) {
                PyErr_Format(PyExc_OverflowError, "%ld is no partition", place);
                goto done;
            }
            if (strlen(group->topic) != (size_t)length) {
                PyErr_SetString(PyExc_ValueError, "embedded null character");
                goto done;
            }
            group->partition = (int32_t)place;
        }
        if (!bytes_of(PyTuple_GET_ITEM(record, 2), &m->key, &m->key_len) ||
            !bytes_of(PyTuple_GET_ITEM(record, 3), &m->payload, &m->len))
            goto done;
    }
    int refused = 0;
    Py_INCREF(producer);
    Py_BEGIN_ALLOW_THREADS
    for (long g = 0; g < known && !refused; g++) {
        Message *first = messages + groups[g].end - groups[g].count;
        void *rkt = api.topic_new(rk, groups[g].topic, NULL);
        if (rkt == NULL) refused = INVALID_ARG;
        else {
            if (api.produce_batch(rkt, groups[g].partition, COPY, first, groups[g].count) < groups[g].count)
                for (int i = 0; i < groups[g].count && !refused; i++) refused = first[i].err;
            api.topic_destroy(rkt);
        }
    }
    Py_END_ALLOW_THREADS
    Py_DECREF(producer);
    answer = PyLong_FromLong(refused);
done:
    Py_XDECREF(own);
    Py_XDECREF(numbers);
    free(messages);
    free(number);
    free(groups);
    return answer;
}

static PyMethodDef methods[] = {
    {"load", load, METH_VARARGS,
     "load(path, type): use the librdkafka at `path`, which must be in this process, for producers of that type. Returns whether "
     "it can be used."},
    {"watch", watch, METH_O, "watch(producer): what became of its records. It was made with this module as a plugin."},
    {"produce", produce, METH_VARARGS,
     "produce(producer, topic, partition, records, key_at, value_at, callback): hand over a list of tuples. Returns how many were "
     "taken, and why the first that was not was not."},
    {"send", send, METH_VARARGS,
     "send(producer, records, partitioner): hand over a list of (topic, partition or None: the partitioner, key, value), those of a "
     "place in their order. Returns why a record was not taken: 0, they all were."},
    {NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_produce", NULL, -1, methods};

PyMODINIT_FUNC PyInit__produce(void) {
    return PyType_Ready(&WatchType) ? NULL : PyModule_Create(&module);
}
