/*
 * The 32-bit MurmurHash2 that Java's Kafka clients partition by, with their seed; `address.py` says what is right.
 */
#include <stddef.h>
#include <stdint.h>

static uint32_t
murmur2(const unsigned char *data, size_t length)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)length;
    for (; length >= 4; data += 4, length -= 4) {
        uint32_t k = data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
        k *= m;
        h = (h * m) ^ ((k ^ k >> 24) * m);
    }
    if (length > 0) {
        uint32_t k = 0;
        for (size_t i = 0; i < length; i++)
            k |= (uint32_t)data[i] << (8 * i);
        h = (h ^ k) * m;
    }
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}
