/* Names by which rustc calls the sanitizer and which GCC's runtime does not have: it watches the
 * functions of libc themselves. */
#include <string.h>

void *__tsan_memcpy(void *to, const void *from, size_t count);
void *__tsan_memmove(void *to, const void *from, size_t count);
void *__tsan_memset(void *to, int byte, size_t count);

void *__tsan_memcpy(void *to, const void *from, size_t count) {
    return memcpy(to, from, count);
}

void *__tsan_memmove(void *to, const void *from, size_t count) {
    return memmove(to, from, count);
}

void *__tsan_memset(void *to, int byte, size_t count) {
    return memset(to, byte, count);
}
