/* SPDX-License-Identifier: Apache-2.0 */
#include "server/flags.h"

#include <string.h>

#include "base/err.h"
#include "base/gotext.h"
#include "member/url.h"

#define WORKS FLAG_WORKS
#define IGNORED FLAG_IGNORED
#define REFUSED FLAG_REFUSED
static const struct flag_spec specs[] = {
#define FLAG(g, n, id, t, d, k, c, s, h) {FLAG_GROUP_##g, n, FLAG_##t, d, k, c, s, h},
#include "server/flags.def"
#undef FLAG
};
#undef WORKS
#undef IGNORED
#undef REFUSED

/* Booleans that old scripts still give: taken without a word (cli.md 1.1). */
static const char *const ignored_names[] = {
    "cluster-active-size",
    "cluster-remove-delay",
    "cluster-sync-interval",
    "config",
    "force",
    "max-result-buffer",
    "max-retry-attempts",
    "retry-interval",
    "peer-heartbeat-interval",
    "peer-election-timeout",
    "snapshot",
    "v",
    "vv",
    "test.coverprofile",
    "test.outputdir",
};

const struct flag_spec *flag_spec(enum flag_id id)
{
    ensure((size_t)id < ARRAY_LEN(specs));
    return &specs[id];
}

/* ---- values ---- */

static int parse_choice(const struct flag_spec *s, const char *text, struct buf *reason)
{
    const char *p = s->choices;
    for (;;) {
        const char *end = strchr(p, '|');
        size_t len = end == NULL ? strlen(p) : (size_t)(end - p);
        if (strlen(text) == len && memcmp(p, text, len) == 0) {
            return 0;
        }
        if (end == NULL) {
            buf_append_cstr(reason, "invalid value");
            if (s == &specs[FLAG_ID_V2_DEPRECATION]) {
                buf_append_byte(reason, ' ');
                gotext_quote(reason, slice_cstr(text));
            }
            return ERR_INVALID;
        }
        p = end + 1;
    }
}

static int number_error(int err, struct buf *reason)
{
    buf_append_cstr(reason, err == ERR_TOO_LARGE ? "value out of range" : "parse error");
    return ERR_INVALID;
}

static int parse_number(const struct flag_spec *s, const char *text, int64_t *out,
                        struct buf *reason)
{
    struct slice t = slice_cstr(text);
    uint64_t u = 0;
    bool b = false;
    int err = 0;
    switch (s->type) {
    case FLAG_BOOL:
        err = gotext_parse_bool(t, &b);
        *out = b ? 1 : 0;
        break;
    case FLAG_INT: err = gotext_parse_int(t, 0, 64, out); break;
    case FLAG_UINT:
        err = gotext_parse_uint(t, 0, 64, &u);
        *out = (int64_t)u;
        break;
    case FLAG_UINT32:
        err = gotext_parse_uint(t, 0, 32, &u);
        if (err != 0) {
            gotext_num_error(reason, "ParseUint", t, err);
            return ERR_INVALID;
        }
        *out = (int64_t)u;
        break;
    case FLAG_DURATION: err = gotext_parse_duration(t, out); break;
    case FLAG_STRING:
    case FLAG_CHOICE:
    case FLAG_URLS:
    case FLAG_ORIGINS:
    case FLAG_STRINGS:
    case FLAG_GATES: break;
    }
    return err == 0 ? 0 : number_error(err, reason);
}

/* The uniform text of a value, or why it is none. */
static int parse_text(const struct flag_spec *s, const char *text, struct buf *out,
                      struct buf *reason)
{
    if (s->type == FLAG_CHOICE) {
        buf_append_cstr(out, text);
        return parse_choice(s, text, reason);
    }
    if (s->type == FLAG_GATES) {
        buf_append_cstr(out, text);
        return gates_check(text, reason);
    }
    if ((s->type == FLAG_URLS && text[0] != 0) ||
        (s->type == FLAG_ORIGINS && strcmp(text, "*") != 0)) {
        struct strs urls = {0};
        int err = urls_parse_list(text, &urls, reason);
        if (err == 0) {
            strs_join(out, &urls, ",");
            strs_deinit(&urls);
        }
        return err == 0 ? 0 : ERR_INVALID;
    }
    buf_append_cstr(out, text);
    return 0;
}

int flag_set(struct flags *f, enum flag_id id, const char *text, enum flag_source source,
             struct buf *reason)
{
    const struct flag_spec *s = flag_spec(id);
    struct flag_value *v = &f->values[id];
    struct buf uniform = BUF_INIT;
    int64_t number = 0;
    if (s->type == FLAG_URLS && text[0] == 0) {
        v->source = source; /* given, but the value stays: etcd's way */
        return 0;
    }
    int err = parse_text(s, text, &uniform, reason);
    if (err == 0) {
        err = parse_number(s, text, &number, reason);
    }
    if (err == 0) {
        if (s->type == FLAG_GATES && v->source == source && v->text[0] != 0) {
            struct buf sum = BUF_INIT; /* repeated gates add up */
            buf_printf(&sum, "%s,%s", v->text, buf_cstr(&uniform));
            buf_deinit(&uniform);
            uniform = sum;
        }
        mem_free(v->text);
        v->text = mem_strdup(buf_cstr(&uniform));
        v->number = number;
        v->source = source;
    }
    buf_deinit(&uniform);
    return err;
}

void flags_init(struct flags *f)
{
    *f = (struct flags){0};
    struct buf reason = BUF_INIT;
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        f->values[i].text = mem_strdup(specs[i].def);
        int err = parse_number(&specs[i], specs[i].def, &f->values[i].number, &reason);
        ensure(err == 0 || specs[i].def[0] == 0);
    }
    buf_deinit(&reason);
}

void flags_deinit(struct flags *f)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        mem_free(f->values[i].text);
    }
    *f = (struct flags){0};
}

const char *flag_text(const struct flags *f, enum flag_id id)
{
    return f->values[id].text;
}

bool flag_bool(const struct flags *f, enum flag_id id)
{
    ensure(flag_spec(id)->type == FLAG_BOOL);
    return f->values[id].number != 0;
}

int64_t flag_int(const struct flags *f, enum flag_id id)
{
    return f->values[id].number;
}

uint64_t flag_uint(const struct flags *f, enum flag_id id)
{
    return (uint64_t)f->values[id].number;
}

uint64_t flag_ms(const struct flags *f, enum flag_id id)
{
    ensure(flag_spec(id)->type == FLAG_DURATION);
    int64_t ns = f->values[id].number;
    return ns <= 0 ? 0 : (uint64_t)ns / 1000000;
}

bool flag_is_given(const struct flags *f, enum flag_id id)
{
    return f->values[id].source != FLAG_BY_DEFAULT;
}

bool flag_is_default(const struct flags *f, enum flag_id id)
{
    return strcmp(f->values[id].text, specs[id].def) == 0;
}

void flag_env_name(enum flag_id id, struct buf *out)
{
    buf_append_cstr(out, "ETCD_");
    for (const char *p = flag_spec(id)->name; *p != 0; p++) {
        uint8_t c = (uint8_t)*p;
        buf_append_byte(out, c == '-' ? '_' : (uint8_t)(c >= 'a' && c <= 'z' ? c - 32 : c));
    }
}

/* ---- command line ---- */

static bool find_flag(const char *name, size_t len, enum flag_id *out)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        if (strlen(specs[i].name) == len && memcmp(specs[i].name, name, len) == 0) {
            *out = (enum flag_id)i;
            return true;
        }
    }
    return false;
}

static bool is_ignored(const char *name, size_t len)
{
    for (size_t i = 0; i < ARRAY_LEN(ignored_names); i++) {
        if (strlen(ignored_names[i]) == len && memcmp(ignored_names[i], name, len) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_ignored_variable(const char *name)
{
    for (size_t i = 0; strncmp(name, "ETCD_", 5) == 0 && i < ARRAY_LEN(ignored_names); i++) {
        const char *a = name + 5, *b = ignored_names[i];
        while (*a != 0 && *a == (*b == '-' ? '_' : (*b >= 'a' && *b <= 'z' ? *b - 32 : *b))) {
            a++;
            b++;
        }
        if (*a == 0 && *b == 0) {
            return true;
        }
    }
    return false;
}

/* A flag as the command line names it: by its present name, or by an old one. */
struct named {
    const char *name;
    enum flag_id id;
    bool is_old;
    size_t old;
    bool is_bool;
};

static bool find_named(const char *name, size_t len, struct named *out)
{
    struct named n = {.name = NULL};
    if (find_flag(name, len, &n.id)) {
        n.name = specs[n.id].name;
        n.is_bool = specs[n.id].type == FLAG_BOOL;
    } else if (flag_old_find(name, len, &n.old)) {
        n.is_old = true;
        n.id = flag_old_id(n.old);
        n.name = flag_old_name(n.old);
        n.is_bool = flag_old_is_bool(n.old);
    }
    *out = n;
    return n.name != NULL;
}

static int set_named(struct flags *f, const struct named *n, const char *text,
                     enum flag_source source, struct buf *reason)
{
    if (n->is_old) {
        return flag_old_set(f, n->old, text, source, reason);
    }
    f->is_own[n->id] = true;
    return flag_set(f, n->id, text, source, reason);
}

static int set_from_command(struct flags *f, const struct named *n, const char *text,
                            struct buf *error)
{
    struct buf reason = BUF_INIT;
    int err = set_named(f, n, text, FLAG_BY_COMMAND, &reason);
    if (err != 0) {
        buf_append_cstr(error, n->is_bool ? "invalid boolean value " : "invalid value ");
        gotext_quote(error, slice_cstr(text));
        buf_printf(error, n->is_bool ? " for -%s: %s" : " for flag -%s: %s", n->name,
                   buf_cstr(&reason));
    }
    buf_deinit(&reason);
    return err;
}

/* One flag word; *used: 1, or 2 with the word behind it. */
static int parse_one(struct flags *f, const char *word, const char *next, size_t *used,
                     struct buf *error)
{
    const char *name = word + (word[1] == '-' ? 2 : 1);
    const char *equals = strchr(name, '=');
    size_t len = equals == NULL ? strlen(name) : (size_t)(equals - name);
    struct named n;
    *used = 1;
    if (len == 0 || name[0] == '-' || name[0] == '=') {
        buf_printf(error, "bad flag syntax: %s", word);
        return ERR_INVALID;
    }
    if (!find_named(name, len, &n)) {
        if (is_ignored(name, len)) {
            return 0;
        }
        if (len == 1 && name[0] == 'h') {
            return ERR_END;
        }
        buf_printf(error, "flag provided but not defined: -%.*s", (int)len, name);
        return ERR_INVALID;
    }
    if (n.id == FLAG_ID_HELP) {
        return ERR_END;
    }
    if (equals != NULL) {
        return set_from_command(f, &n, equals + 1, error);
    }
    if (n.is_bool) {
        return set_from_command(f, &n, "true", error);
    }
    if (next == NULL) {
        buf_printf(error, "flag needs an argument: -%.*s", (int)len, name);
        return ERR_INVALID;
    }
    *used = 2;
    return set_from_command(f, &n, next, error);
}

int flags_parse(struct flags *f, char *const *argv, size_t count, struct buf *error)
{
    for (size_t i = 0; i < count;) {
        const char *word = argv[i];
        bool is_end = strcmp(word, "--") == 0;
        if (is_end && i + 1 == count) {
            return 0;
        }
        if (is_end || word[0] != '-' || word[1] == 0) {
            gotext_quote(error, slice_cstr(is_end ? argv[i + 1] : word));
            buf_append_cstr(error, " is not a valid flag");
            return ERR_UNSUPPORTED;
        }
        size_t used;
        int err = parse_one(f, word, i + 1 < count ? argv[i + 1] : NULL, &used, error);
        if (err != 0) {
            return err;
        }
        i += used;
    }
    return 0;
}

/* ETCD_SOME_FLAG -> some-flag, in lower case; false: no such form. */
static bool name_of_variable(const char *variable, struct buf *out)
{
    if (strncmp(variable, "ETCD_", 5) != 0) {
        return false;
    }
    for (const char *p = variable + 5; *p != 0; p++) {
        if (*p == '-' || (*p >= 'a' && *p <= 'z')) {
            return false;
        }
        buf_append_byte(out, *p == '_'                ? '-'
                             : *p >= 'A' && *p <= 'Z' ? (uint8_t)(*p + 32)
                                                      : (uint8_t)*p);
    }
    return true;
}

static int set_from_variable(struct flags *f, const struct named *n, const char *name,
                             const char *value, struct buf *error)
{
    if (f->values[n->id].source == FLAG_BY_COMMAND) {
        return ERR_EXISTS;
    }
    if (value[0] == 0) {
        return ERR_NOT_FOUND; /* an empty variable counts as not set */
    }
    struct buf reason = BUF_INIT;
    int err = set_named(f, n, value, FLAG_BY_ENV, &reason);
    if (err != 0) {
        buf_append_cstr(error, "invalid value ");
        gotext_quote(error, slice_cstr(value));
        buf_printf(error, " for %s: %s", name, buf_cstr(&reason));
    }
    buf_deinit(&reason);
    return err;
}

int flags_env(struct flags *f, const char *name, const char *value, struct buf *error)
{
    struct buf flag = BUF_INIT;
    struct named n;
    int err = ERR_NOT_FOUND;
    if (value[0] != 0 && is_ignored_variable(name)) {
        err = 0;
    } else if (name_of_variable(name, &flag) && find_named(buf_cstr(&flag), flag.len, &n) &&
               n.id != FLAG_ID_HELP && n.id != FLAG_ID_VERSION) {
        err = set_from_variable(f, &n, name, value, error);
    }
    buf_deinit(&flag);
    return err;
}
