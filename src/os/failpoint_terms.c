/* SPDX-License-Identifier: Apache-2.0 */
#include "os/failpoint_terms.h"

#include <stdlib.h>

#include "base/gotext.h"

enum { NS_PER_MS = 1000000, NUMBER_MAX = 32, COUNT_MAX = 1000000000 };

static bool take(struct slice *s, const char *prefix)
{
    struct slice p = slice_cstr(prefix);
    if (!slice_has_prefix(*s, p)) {
        return false;
    }
    *s = slice_skip(*s, p.len);
    return true;
}

/* Digits, perhaps with one point inside; empty when s does not begin so. */
static struct slice number_at(struct slice s)
{
    size_t n = 0;
    bool has_point = false;
    while (n < s.len &&
           ((s.data[n] >= '0' && s.data[n] <= '9') || (s.data[n] == '.' && n > 0 && !has_point))) {
        has_point |= s.data[n] == '.';
        n++;
    }
    return slice_make(s.data, n);
}

static bool mod_parse(struct slice *s, struct failpoint_mod *out)
{
    struct slice n = number_at(*s);
    char text[NUMBER_MAX];
    if (n.len == 0 || n.len >= sizeof(text) || n.len == s->len) {
        return false;
    }
    memcpy(text, n.data, n.len);
    text[n.len] = 0;
    double value = strtod(text, NULL);
    *s = slice_skip(*s, n.len);
    if (take(s, "*")) {
        *out = (struct failpoint_mod){.is_count = true, .left = (uint64_t)value};
        return memchr(text, '.', n.len) == NULL && value <= COUNT_MAX;
    }
    *out = (struct failpoint_mod){.percent = value};
    return take(s, "%");
}

static bool action_parse(struct slice *s, enum failpoint_action *out)
{
    static const char *const names[] = {
        [FAILPOINT_ACT_OFF] = "off",     [FAILPOINT_ACT_RETURN] = "return",
        [FAILPOINT_ACT_SLEEP] = "sleep", [FAILPOINT_ACT_PANIC] = "panic",
        [FAILPOINT_ACT_PRINT] = "print",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (take(s, names[i])) {
            *out = (enum failpoint_action)i;
            return true;
        }
    }
    return false;
}

static bool is_value(struct slice v)
{
    if (v.len == 0 || slice_equal_cstr(v, "true") || slice_equal_cstr(v, "false")) {
        return true;
    }
    if (v.data[0] == '"') {
        return v.len >= 2 && memchr(v.data + 1, '"', v.len - 1) == v.data + v.len - 1;
    }
    int64_t i;
    return gotext_parse_int(v, 10, 64, &i) == 0;
}

static bool value_parse(struct slice *s, struct slice *out)
{
    *out = SLICE_NULL;
    if (!take(s, "(")) {
        return true;
    }
    bool is_quoted = false;
    for (size_t n = 0; n < s->len; n++) {
        is_quoted ^= s->data[n] == '"';
        if (s->data[n] == ')' && !is_quoted) {
            *out = slice_make(s->data, n);
            *s = slice_skip(*s, n + 1);
            return is_value(*out);
        }
    }
    return false;
}

/* A sleep that says no time is a mistake, not a pause of nothing. */
static bool sleep_parse(struct failpoint_term *t)
{
    int64_t v;
    if (t->value.len > 2 && t->value.data[0] == '"') {
        struct slice text = slice_make(t->value.data + 1, t->value.len - 2);
        if (gotext_parse_duration(text, &v) != 0 || v < 0) {
            return false;
        }
        t->sleep_ns = (uint64_t)v;
        return true;
    }
    if (gotext_parse_int(t->value, 10, 64, &v) != 0 || v < 0 || v > INT64_MAX / NS_PER_MS) {
        return false;
    }
    t->sleep_ns = (uint64_t)v * NS_PER_MS;
    return true;
}

static bool term_parse(struct slice *s, struct failpoint_term *t)
{
    while (number_at(*s).len > 0) {
        if (t->mod_count == FAILPOINT_MODS_MAX || !mod_parse(s, &t->mods[t->mod_count])) {
            return false;
        }
        t->mod_count++;
    }
    return action_parse(s, &t->action) && value_parse(s, &t->value) &&
           (t->action != FAILPOINT_ACT_SLEEP || sleep_parse(t));
}

static bool all_parse(struct failpoint_terms *t)
{
    struct slice rest = t->text;
    do {
        if (t->count == FAILPOINT_TERMS_MAX || !term_parse(&rest, &t->terms[t->count])) {
            return false;
        }
        t->count++;
    } while (take(&rest, "->"));
    return rest.len == 0;
}

struct failpoint_terms *failpoint_terms_parse(struct slice text)
{
    if (text.len > FAILPOINT_TEXT_MAX) {
        return NULL;
    }
    struct failpoint_terms *t = mem_zalloc(sizeof(*t) + text.len + 1);
    uint8_t *copy = (uint8_t *)(t + 1);
    if (text.len > 0) {
        memcpy(copy, text.data, text.len);
    }
    t->text = slice_make(copy, text.len);
    if (!all_parse(t)) {
        mem_free(t);
        return NULL;
    }
    return t;
}
