/* SPDX-License-Identifier: Apache-2.0 */
#include "os/failpoint.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/prng.h"
#include "os/failpoint_terms.h"

enum { PANIC_EXIT_CODE = 2, PARTS_PER_PERCENT = 10000, NS_PER_S = 1000000000 };

struct os_failpoints {
    pthread_mutex_t mutex;
    struct prng prng;
    struct failpoint_terms *terms[FAILPOINT_COUNT]; /* NULL: not armed */
};

static int find(struct slice name, enum failpoint *out)
{
    for (enum failpoint i = 0; i < FAILPOINT_COUNT; i++) {
        if (slice_equal_cstr(name, failpoint_name(i))) {
            *out = i;
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

/* ---- acting ---- */

static bool mod_allows(struct os_failpoints *f, struct failpoint_mod *m)
{
    if (!m->is_count) {
        uint64_t chance = (uint64_t)(m->percent * PARTS_PER_PERCENT);
        return prng_below(&f->prng, 100 * (uint64_t)PARTS_PER_PERCENT) < chance;
    }
    if (m->left == 0) {
        return false;
    }
    m->left--;
    return true;
}

static bool term_allows(struct os_failpoints *f, struct failpoint_term *t)
{
    for (size_t i = 0; i < t->mod_count; i++) {
        if (!mod_allows(f, &t->mods[i])) {
            return false;
        }
    }
    return true;
}

static void sleep_ns(uint64_t ns)
{
    struct timespec left = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
    while (nanosleep(&left, &left) != 0) {
    }
}

_Noreturn static void die(enum failpoint id, struct slice value)
{
    if (value.len > 0) {
        (void)fprintf(stderr, "panic: failpoint panic: %.*s\n", (int)value.len, value.data);
    } else {
        (void)fprintf(stderr, "panic: failpoint panic: %s\n", failpoint_name(id));
    }
    _exit(PANIC_EXIT_CODE);
}

/* Not under the lock: who sleeps must not keep others from disarming. */
static bool act(const struct failpoint_term *t, enum failpoint id)
{
    switch (t->action) {
    case FAILPOINT_ACT_OFF: return false;
    case FAILPOINT_ACT_RETURN:
        log_warn("failpoint fires", LOG_STR("name", failpoint_name(id)));
        return true;
    case FAILPOINT_ACT_SLEEP: sleep_ns(t->sleep_ns); return false;
    case FAILPOINT_ACT_PANIC: die(id, t->value);
    case FAILPOINT_ACT_PRINT:
        (void)fprintf(stderr, "failpoint print: %s\n", failpoint_name(id));
        return false;
    }
    return false;
}

static bool on_hit(void *arg, enum failpoint id)
{
    struct os_failpoints *f = arg;
    struct failpoint_term found = {.action = FAILPOINT_ACT_OFF};
    char value[FAILPOINT_TEXT_MAX];
    pthread_mutex_lock(&f->mutex);
    struct failpoint_terms *t = f->terms[id];
    for (size_t i = 0; t != NULL && i < t->count; i++) {
        if (term_allows(f, &t->terms[i])) {
            t->acted++;
            found = t->terms[i];
            if (found.value.len > 0) {
                memcpy(value, found.value.data, found.value.len);
                found.value.data = (const uint8_t *)value;
            }
            break;
        }
    }
    pthread_mutex_unlock(&f->mutex);
    return act(&found, id);
}

/* ---- arming ---- */

struct os_failpoints *os_failpoints_create(uint64_t seed)
{
    struct os_failpoints *f = mem_zalloc(sizeof(*f));
    pthread_mutex_init(&f->mutex, NULL);
    prng_init(&f->prng, seed);
    failpoint_install(on_hit, f);
    return f;
}

void os_failpoints_destroy(struct os_failpoints *f)
{
    failpoint_install(NULL, NULL);
    for (enum failpoint i = 0; i < FAILPOINT_COUNT; i++) {
        mem_free(f->terms[i]);
    }
    pthread_mutex_destroy(&f->mutex);
    mem_free(f);
}

/* What was armed before. */
static struct failpoint_terms *set(struct os_failpoints *f, enum failpoint id,
                                   struct failpoint_terms *t)
{
    pthread_mutex_lock(&f->mutex);
    struct failpoint_terms *old = f->terms[id];
    f->terms[id] = t;
    pthread_mutex_unlock(&f->mutex);
    return old;
}

static int parse(struct slice name, struct slice terms, enum failpoint *out_id,
                 struct failpoint_terms **out)
{
    int err = find(name, out_id);
    if (err == 0) {
        *out = failpoint_terms_parse(terms);
        err = *out == NULL ? ERR_INVALID : 0;
    }
    return err;
}

int os_failpoint_arm(struct os_failpoints *f, struct slice name, struct slice terms)
{
    enum failpoint id;
    struct failpoint_terms *t;
    int err = parse(name, terms, &id, &t);
    if (err == 0) {
        mem_free(set(f, id, t));
    }
    return err;
}

int os_failpoint_check(struct slice name, struct slice terms)
{
    enum failpoint id;
    struct failpoint_terms *t;
    int err = parse(name, terms, &id, &t);
    if (err == 0) {
        mem_free(t);
    }
    return err;
}

int os_failpoint_disarm(struct os_failpoints *f, struct slice name)
{
    enum failpoint id;
    int err = find(name, &id);
    if (err != 0) {
        return err;
    }
    struct failpoint_terms *old = set(f, id, NULL);
    mem_free(old);
    return old == NULL ? ERR_AGAIN : 0;
}

int os_failpoint_get(struct os_failpoints *f, struct slice name, struct buf *out,
                     uint64_t *out_count)
{
    enum failpoint id;
    int err = find(name, &id);
    if (err != 0) {
        return err;
    }
    pthread_mutex_lock(&f->mutex);
    const struct failpoint_terms *t = f->terms[id];
    if (t == NULL) {
        err = ERR_AGAIN;
    } else {
        buf_append_slice(out, t->text);
        *out_count = t->acted;
    }
    pthread_mutex_unlock(&f->mutex);
    return err;
}

/* The next piece of text up to a semicolon, which is taken too. */
static struct slice piece_next(struct slice *text)
{
    const uint8_t *end = text->len == 0 ? NULL : memchr(text->data, ';', text->len);
    size_t n = end == NULL ? text->len : (size_t)(end - text->data);
    struct slice piece = slice_make(text->data, n);
    *text = end == NULL ? SLICE_NULL : slice_skip(*text, n + 1);
    return piece;
}

static bool split(struct slice piece, struct slice *out_name, struct slice *out_terms)
{
    const uint8_t *eq = memchr(piece.data, '=', piece.len);
    if (eq == NULL) {
        return false;
    }
    size_t n = (size_t)(eq - piece.data);
    *out_name = slice_make(piece.data, n);
    *out_terms = slice_skip(piece, n + 1);
    return out_terms->len == 0 || memchr(out_terms->data, '=', out_terms->len) == NULL;
}

int os_failpoints_each(struct slice text,
                       int (*fn)(void *arg, struct slice name, struct slice terms), void *arg,
                       struct slice *out_bad)
{
    struct slice name, terms;
    for (struct slice rest = text; rest.len > 0;) {
        struct slice piece = piece_next(&rest);
        if (piece.len > 0 && !split(piece, &name, &terms)) {
            *out_bad = piece;
            return ERR_INVALID;
        }
    }
    int err = 0;
    for (struct slice rest = text; err == 0 && rest.len > 0;) {
        struct slice piece = piece_next(&rest);
        if (piece.len > 0 && split(piece, &name, &terms)) {
            err = fn(arg, name, terms);
        }
    }
    return err;
}

const char *os_failpoint_text(int err)
{
    switch (err) {
    case ERR_NOT_FOUND: return "failpoint: failpoint does not exist";
    case ERR_AGAIN: return "failpoint: failpoint is disabled";
    default: return "failpoint: could not parse terms";
    }
}
