/* SPDX-License-Identifier: Apache-2.0
 *
 * base/assert: invariants that stay on in release.
 *
 * ensure(x) states what cannot be false whatever the outside does; when it is, one member stops and
 * the data does not change any more.  Input from outside (network, files) is validated with an
 * error code, never with ensure().
 */
#ifndef BASE_ASSERT_H
#define BASE_ASSERT_H

_Noreturn void ensure_failed(const char *expr, const char *file, int line);

#define ensure(expr)                                                                               \
    do {                                                                                           \
        if (__builtin_expect(!(expr), 0)) {                                                        \
            ensure_failed(#expr, __FILE__, __LINE__);                                              \
        }                                                                                          \
    } while (0)

#define MUST_USE __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

#define container_of(ptr, type, member)                                                            \
    ((type *)(void *)((char *)(uintptr_t)(ptr)-offsetof(type, member)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
