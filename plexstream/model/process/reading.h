/* Avro's binary encoding, as it is read: numbers, and bytes that tell their size. Nothing is read beyond the end. */
#ifndef PLEXSTREAM_READING_H
#define PLEXSTREAM_READING_H
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

typedef struct {
    const unsigned char *at, *end;
} In;

static inline int
get_long(In *in, int64_t *n)
{
    uint64_t z = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        if (in->at == in->end)
            return 0;
        unsigned char b = *in->at++;
        if (shift == 63 && b > 1)
            return 0;
        z |= (uint64_t)(b & 127) << shift;
        if (b < 128) {
            *n = (int64_t)(z >> 1) ^ -(int64_t)(z & 1);
            return 1;
        }
    }
    return 0;
}

static inline const char *
get_bytes(In *in, Py_ssize_t *size)
{
    int64_t n;
    if (!get_long(in, &n) || n < 0 || n > in->end - in->at)
        return NULL;
    const char *data = (const char *)in->at;
    in->at += n;
    *size = (Py_ssize_t)n;
    return data;
}
#endif
