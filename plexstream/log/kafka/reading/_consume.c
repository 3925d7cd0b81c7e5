/* Records from librdkafka, many at once: waited for with the GIL released, and made into tuples without a step between.
 *
 * confluent-kafka makes an object of each message, with its topic's name anew, whose fields are then asked for one by
 * one. Here a batch is taken from the consumer's queue, and records are made of it up to the next error.
 *
 * Whoever serves that queue serves the client's callbacks, too, and those of confluent-kafka work only below calls of
 * its own. So this is a plugin as well (see `_produce.c`): for a consumer that is made with it, errors and logs are
 * kept, for the call in which they came to return them. Nobody else is told of them.
 */
#include "../../../model/process/slots.h"
#include <dlfcn.h>
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

/* confluent-kafka's Handle, as far as it is used here */
typedef struct { PyObject_HEAD void *rk; } Handle;

#define NAME "plexstream"
enum { FAIL = -196, FATAL = -150, MOST = 1000000 };

typedef void OnError(void *rk, int err, const char *reason, void *opaque);
typedef void OnLog(const void *rk, int level, const char *facility, const char *text);
typedef int OnNew(void *rk, const void *conf, void *opaque, char *why, size_t size);

static struct {
    void *(*consumer_queue)(void *rk);
    void (*queue_destroy)(void *queue);
    ssize_t (*consume)(void *queue, int ms, Message **messages, size_t count);
    void (*destroy)(Message *message);
    const char *(*why)(const Message *message);
    int64_t (*timestamp)(const Message *message, int *type);
    const char *(*topic_name)(const void *rkt);
    const char *(*name)(const void *rk);
    int (*fatal_error)(void *rk, char *why, size_t size);
    void (*set_on_error)(void *conf, OnError *);
    void (*set_on_log)(void *conf, OnLog *);
    int (*add_on_new)(void *conf, const char *name, OnNew *, void *opaque);
} api;
static int loaded;
static PyTypeObject *consumer_type, *record_type;
static PyObject *error_type;

/* What was heard during a call: an error's code or a log's level, and texts. */
typedef struct Note {
    struct Note *next;
    int is_log, number;
    char *first, *text;
} Note;

typedef struct { Note *first, **last; } Heard;

static __thread Heard *hearing; /* of the call in which this thread is */

static void note_free(Note *note) {
    free(note->first);
    free(note->text);
    free(note);
}

static void hear(int is_log, int number, const char *first, const char *text) {
    if (hearing == NULL) return; /* such as at the consumer's end */
    Note *note = calloc(1, sizeof *note);
    if (note == NULL) return;
    note->is_log = is_log;
    note->number = number;
    note->first = strdup(first ? first : "");
    note->text = strdup(text ? text : "");
    if (note->first == NULL || note->text == NULL) {
        note_free(note);
        return;
    }
    *hearing->last = note;
    hearing->last = &note->next;
}

static void on_error(void *rk, int err, const char *reason, void *opaque) {
    char why[512] = "";
    int fatal = err == FATAL;
    if (fatal) err = api.fatal_error(rk, why, sizeof why);
    hear(0, err, fatal ? "fatal" : "", fatal ? why : reason);
}

static void on_log(const void *rk, int level, const char *facility, const char *text) {
    size_t size = strlen(facility) + strlen(api.name(rk)) + 4;
    char *head = malloc(size);
    if (head == NULL) return;
    snprintf(head, size, "%s [%s]", facility, api.name(rk));
    hear(1, level, head, text);
    free(head);
}

/* confluent-kafka has set its own on `conf` by now, which is the client's and not yet in use. */
static int on_new(void *rk, const void *conf, void *opaque, char *why, size_t size) {
    api.set_on_error((void *)conf, on_error);
    api.set_on_log((void *)conf, on_log);
    return 0;
}

/* As librdkafka calls its plugins, by this name. */
__attribute__((visibility("default"))) int conf_init(void *conf, void **opaque, char *why, size_t size) {
    return loaded ? api.add_on_new(conf, NAME, on_new, NULL) : FAIL;
}

/* Messages that librdkafka has handed over. None outlives the call: its consumer would never end. */
typedef struct {
    Message **messages;
    Py_ssize_t count, at;
} Batch;

static void batch_end(Batch *self) {
    while (self->at < self->count) api.destroy(self->messages[self->at++]);
    free(self->messages);
}

/* One partition's records, as long as they come one behind the other. */
typedef struct {
    void *rkt;
    int32_t number;
    PyObject *topic, *partition, *place; /* place: NULL where nothing of it is wanted */
    long long due;
    int moved;
} Run;

/* Note how far the run has come. */
static int run_end(Run *run, PyObject *positions) {
    int failed = 0;
    if (run->place != NULL && run->moved) {
        PyObject *due = PyLong_FromLongLong(run->due);
        failed = due == NULL || PyDict_SetItem(positions, run->place, due);
        Py_XDECREF(due);
    }
    run->moved = 0;
    Py_CLEAR(run->place);
    return failed;
}

static int run_at(Run *run, const Message *m) {
    if (m->rkt != run->rkt || run->topic == NULL) {
        run->rkt = m->rkt;
        Py_XSETREF(run->topic, PyUnicode_FromString(api.topic_name(m->rkt)));
    }
    run->number = m->partition;
    Py_XSETREF(run->partition, PyLong_FromLong(m->partition));
    return run->topic == NULL || run->partition == NULL;
}

static int run_begin(Run *run, const Message *m, PyObject *positions) {
    if (run_at(run, m)) return -1;
    PyObject *place = PyTuple_Pack(2, run->topic, run->partition);
    if (place == NULL) return -1;
    PyObject *due = PyDict_GetItemWithError(positions, place);
    if (due != NULL && as_long(due, &run->due)) {
        run->place = place;
        return 0;
    }
    Py_DECREF(place);
    if (due != NULL && !PyErr_Occurred()) PyErr_Format(PyExc_TypeError, "%R is no position", due);
    return PyErr_Occurred() ? -1 : 0;
}

static PyObject *bytes_or(const void *data, size_t size, PyObject *none) {
    return data == NULL ? Py_XNewRef(none) : PyBytes_FromStringAndSize(data, (Py_ssize_t)size);
}

static PyObject *record_of(const Run *run, const Message *m, PyObject *empty) {
    int type;
    PyObject *record = new_tuple(record_type, 6);
    if (record == NULL) return NULL;
    PyObject *fields[] = {Py_NewRef(run->topic), Py_NewRef(run->partition), PyLong_FromLongLong(m->offset),
                          bytes_or(m->key, m->key_len, empty), bytes_or(m->payload, m->len, Py_None),
                          PyLong_FromLongLong(api.timestamp(m, &type))};
    int failed = 0;
    for (int i = 0; i < 6; i++) {
        failed |= fields[i] == NULL;
        PyTuple_SET_ITEM(record, i, fields[i]);
    }
    if (failed) Py_CLEAR(record);
    return record;
}

/* Takes over the reference. */
static int append(PyObject *list, PyObject *item) {
    int failed = item == NULL || PyList_Append(list, item);
    Py_XDECREF(item);
    return failed;
}

/* What is wrong with a place, or with a connection, which has none. */
static PyObject *told(const Message *m) {
    const char *topic = m->rkt == NULL ? NULL : api.topic_name(m->rkt);
    PyObject *error = PyObject_CallFunction(error_type, "is", m->err, api.why(m));
    if (error == NULL) return NULL;
    return m->partition < 0 ? Py_BuildValue("(NzO)", error, topic, Py_None)
                            : Py_BuildValue("(Nzi)", error, topic, (int)m->partition);
}

/* What came behind an error holds nothing of librdkafka's: with messages of its, a consumer would never end. */
static PyObject *rest_of(Batch *self, PyObject *empty) {
    PyObject *rest = PyList_New(0);
    Run run = {0};
    while (self->at < self->count) {
        Message *m = self->messages[self->at++];
        if (rest != NULL && append(rest, m->err ? told(m) : run_at(&run, m) ? NULL : record_of(&run, m, empty))) Py_CLEAR(rest);
        api.destroy(m);
    }
    Py_XDECREF(run.topic);
    Py_XDECREF(run.partition);
    return rest;
}

/* Add what came to `found`, up to an error; that, and what came behind it, is returned, or None. */
static PyObject *batch_take(Batch *self, PyObject *positions, PyObject *found) {
    PyObject *answer = Py_None;
    PyObject *empty = PyBytes_FromStringAndSize(NULL, 0);
    if (empty == NULL) return NULL;
    Run run = {0};
    int failed = 0, running = 0;
    while (!failed && answer == Py_None && self->at < self->count) {
        Message *m = self->messages[self->at++];
        if (m->err) {
            answer = told(m);
            failed = answer == NULL;
        } else {
            if (!running || m->rkt != run.rkt || m->partition != run.number) {
                failed = run_end(&run, positions) || run_begin(&run, m, positions);
                running = 1;
            }
            /* Else fetched before a release or a move, delivered after it. */
            if (!failed && run.place != NULL && m->offset >= run.due) {
                failed = append(found, record_of(&run, m, empty));
                if (!failed) {
                    run.due = m->offset + 1;
                    run.moved = 1;
                }
            }
        }
        api.destroy(m);
    }
    failed = failed || run_end(&run, positions);
    PyObject *rest = failed || answer == Py_None ? NULL : rest_of(self, empty);
    if (rest != NULL) answer = Py_BuildValue("(NN)", answer, rest);
    else failed = failed || answer != Py_None;
    Py_CLEAR(run.place);
    Py_XDECREF(run.topic);
    Py_XDECREF(run.partition);
    Py_DECREF(empty);
    if (failed) {
        if (answer != Py_None) Py_XDECREF(answer);
        return NULL;
    }
    return answer == Py_None ? Py_NewRef(answer) : answer;
}

/* What was heard, as a list; NULL with an exception. Frees it. */
static PyObject *notes(Heard *heard) {
    PyObject *list = PyList_New(0);
    while (heard->first != NULL) {
        Note *note = heard->first;
        heard->first = note->next;
        if (list != NULL) {
            PyObject *one = Py_BuildValue("(OiNN)", note->is_log ? Py_True : Py_False, note->number,
                                          PyUnicode_DecodeUTF8(note->first, (Py_ssize_t)strlen(note->first), "replace"),
                                          PyUnicode_DecodeUTF8(note->text, (Py_ssize_t)strlen(note->text), "replace"));
            if (one == NULL || PyList_Append(list, one)) Py_CLEAR(list);
            Py_XDECREF(one);
        }
        note_free(note);
    }
    return list;
}

static PyObject *fetch(PyObject *module, PyObject *args) {
    PyObject *consumer, *positions, *found;
    int limit, ms;
    if (!PyArg_ParseTuple(args, "OiiO!O!", &consumer, &limit, &ms, &PyDict_Type, &positions, &PyList_Type, &found)) return NULL;
    if (!loaded || !PyObject_TypeCheck(consumer, consumer_type))
        return PyErr_Format(PyExc_TypeError, "no consumer of confluent-kafka's, but %.100s", Py_TYPE(consumer)->tp_name);
    if (limit < 1 || limit > MOST || ms < 0) return PyErr_Format(PyExc_ValueError, "%d messages in %d ms", limit, ms);
    void *rk = ((Handle *)consumer)->rk;
    if (rk == NULL) {
        PyErr_SetString(PyExc_RuntimeError, "the consumer is closed");
        return NULL;
    }
    Message **messages = malloc((size_t)limit * sizeof *messages);
    if (messages == NULL) return PyErr_NoMemory();
    Heard heard = {NULL, &heard.first};
    ssize_t count = 0;
    Py_INCREF(consumer);
    Py_BEGIN_ALLOW_THREADS
    hearing = &heard;
    void *queue = api.consumer_queue(rk);
    if (queue != NULL) {
        /* At once it would wait for `limit` of them, or all of the time. */
        count = api.consume(queue, ms, messages, 1);
        if (count == 1 && limit > 1) {
            ssize_t more = api.consume(queue, 0, messages + 1, (size_t)limit - 1);
            if (more > 0) count += more;
        }
        api.queue_destroy(queue);
    }
    hearing = NULL;
    Py_END_ALLOW_THREADS
    Py_DECREF(consumer);
    Batch batch = {messages, count > 0 ? count : 0, 0};
    PyObject *said = notes(&heard);
    PyObject *failed = said == NULL ? NULL : batch_take(&batch, positions, found);
    batch_end(&batch);
    if (failed == NULL) {
        Py_XDECREF(said);
        return NULL;
    }
    return Py_BuildValue("(ONN)", count > 0 ? Py_True : Py_False, failed, said);
}

static PyObject *load(PyObject *module, PyObject *args) {
    const char *name;
    PyObject *consumer, *record, *error;
    if (!PyArg_ParseTuple(args, "sO!O!O", &name, &PyType_Type, &consumer, &PyType_Type, &record, &error)) return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)record, &PyTuple_Type)) {
        PyErr_SetString(PyExc_TypeError, "records are tuples");
        return NULL;
    }
    void *library = dlopen(name, RTLD_NOW | RTLD_NOLOAD);
    if (library == NULL) Py_RETURN_FALSE;
    void **into[] = {(void **)&api.consumer_queue, (void **)&api.queue_destroy, (void **)&api.consume, (void **)&api.destroy,
                     (void **)&api.why, (void **)&api.timestamp, (void **)&api.topic_name, (void **)&api.name,
                     (void **)&api.fatal_error, (void **)&api.set_on_error, (void **)&api.set_on_log, (void **)&api.add_on_new};
    const char *names[] = {"rd_kafka_queue_get_consumer", "rd_kafka_queue_destroy", "rd_kafka_consume_batch_queue",
                           "rd_kafka_message_destroy", "rd_kafka_message_errstr", "rd_kafka_message_timestamp",
                           "rd_kafka_topic_name", "rd_kafka_name", "rd_kafka_fatal_error", "rd_kafka_conf_set_error_cb",
                           "rd_kafka_conf_set_log_cb", "rd_kafka_conf_interceptor_add_on_new"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if ((*into[i] = dlsym(library, names[i])) == NULL) Py_RETURN_FALSE;
    Py_XSETREF(consumer_type, (PyTypeObject *)Py_NewRef(consumer));
    Py_XSETREF(record_type, (PyTypeObject *)Py_NewRef(record));
    Py_XSETREF(error_type, Py_NewRef(error));
    loaded = 1;
    Py_RETURN_TRUE;
}

static PyMethodDef methods[] = {
    {"load", load, METH_VARARGS,
     "load(path, consumer, record, error): use the librdkafka at `path`, which must be in this process, for consumers of that "
     "type. Returns whether it can be used."},
    {"fetch", fetch, METH_VARARGS,
     "fetch(consumer, limit, ms, positions, found): wait for the first message, and for no other. Records of places that have a "
     "position, none below it, are added to `found`, up to the first error, and the positions moved behind them. Returns whether "
     "anything came; None, or that error with its topic and partition, and what came behind it; and what was heard meanwhile: "
     "whether it is a log, its level or the error's code, where it is from or that it is fatal, a text. The consumer was made with "
     "this module as a plugin."},
    {NULL},
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_consume", NULL, -1, methods};

PyMODINIT_FUNC PyInit__consume(void) {
    return PyModule_Create(&module);
}
