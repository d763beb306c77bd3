/* SPDX-License-Identifier: Apache-2.0
 *
 * auth/token_spec: see token_spec.h.
 */
#include "auth/token_spec.h"

#include <openssl/crypto.h>

#include "base/gotext.h"
#include "base/limits.h"
#include "base/log.h"

static const int64_t TTL_DEFAULT_NS = 300LL * 1000000000;

static int invalid_options(struct buf *why)
{
    buf_append_cstr(why, "auth: invalid auth options");
    return ERR_INVALID;
}

/* ---- name=value,... ---- */

enum { SPEC_PARAMS_MAX = 64 };

struct param {
    struct slice name, value;
};

struct params {
    struct param list[SPEC_PARAMS_MAX];
    size_t count;
};

/* The bytes before sep, or all; what is behind it in *rest.  False: sep is not there. */
static bool cut(struct slice s, char sep, struct slice *out, struct slice *rest)
{
    const uint8_t *at = s.len == 0 ? NULL : memchr(s.data, sep, s.len);
    size_t len = at == NULL ? s.len : (size_t)(at - s.data);
    *out = slice_make(s.data, len);
    *rest = at == NULL ? SLICE_NULL : slice_skip(s, len + 1);
    return at != NULL;
}

static struct slice param_get(const struct params *p, const char *name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (slice_equal_cstr(p->list[i].name, name)) {
            return p->list[i].value;
        }
    }
    return SLICE_NULL;
}

static bool param_is_known(const struct params *p, struct slice name)
{
    for (size_t i = 0; i < p->count; i++) {
        if (slice_equal(p->list[i].name, name)) {
            return true;
        }
    }
    return false;
}

static bool param_add(struct params *p, struct slice text, const char *spec)
{
    struct param one;
    struct slice value, rest;
    if (p->count == SPEC_PARAMS_MAX || !cut(text, '=', &one.name, &one.value) ||
        cut(one.value, '=', &value, &rest)) {
        log_error("invalid token option", LOG_STR("option", spec));
        return false;
    }
    if (param_is_known(p, one.name)) {
        log_error("invalid token option", LOG_STR("option", spec),
                  LOG_SLICE("duplicate-parameter", one.name));
        return false;
    }
    p->list[p->count++] = one;
    return true;
}

static int params_parse(const char *spec, struct slice *out_kind, struct params *out,
                        struct buf *why)
{
    struct slice rest;
    bool has_more = cut(slice_cstr(spec), ',', out_kind, &rest);
    while (has_more) {
        struct slice one;
        has_more = cut(rest, ',', &one, &rest);
        if (!param_add(out, one, spec)) {
            return invalid_options(why);
        }
    }
    return 0;
}

/* ---- jwt ---- */

static void problem(const char *text)
{
    log_error("problem loading JWT options", LOG_STR("error", text));
}

static void warn_unknown(const struct params *p)
{
    static const char *const KNOWN[] = {"sign-method", "pub-key", "priv-key", "ttl"};
    for (size_t i = 0; i < p->count; i++) {
        bool is_known = false;
        for (size_t k = 0; k < sizeof(KNOWN) / sizeof(KNOWN[0]); k++) {
            is_known = is_known || slice_equal_cstr(p->list[i].name, KNOWN[k]);
        }
        if (!is_known) {
            log_warn("unknown JWT options", LOG_SLICE("keys", p->list[i].name));
        }
    }
}

static int read_ttl(struct slice text, int64_t *out)
{
    *out = TTL_DEFAULT_NS;
    int err = text.len == 0 ? 0 : gotext_parse_duration(text, out);
    if (err != 0) {
        struct buf why = BUF_INIT;
        gotext_duration_error(&why, text);
        problem(buf_cstr(&why));
        buf_deinit(&why);
    }
    return err;
}

/* The file's name in why of the log: "open x: No such file or directory". */
static int read_key(struct env_disk *d, struct slice path, struct buf *out)
{
    if (path.len == 0) {
        return 0;
    }
    char *name = mem_strndup(path.data, path.len);
    int err = env_read_file(d, name, LIMIT_TLS_FILE_BYTES, out);
    if (err != 0) {
        const char *text = d->ops->last_text == NULL ? "" : d->ops->last_text(d);
        struct buf why = BUF_INIT;
        buf_printf(&why, "open %s: %s", name,
                   err == ERR_TOO_LARGE || text[0] == '\0' ? err_text(err) : text);
        problem(buf_cstr(&why));
        buf_deinit(&why);
    }
    mem_free(name);
    return err;
}

struct key_files {
    struct buf pub, priv;
};

static void wipe(struct buf *b)
{
    if (b->data != NULL) {
        OPENSSL_cleanse(b->data, b->cap);
    }
    buf_deinit(b);
}

static int load_options(const struct params *p, struct env_disk *disk, struct key_files *files,
                        struct jwt_options *out)
{
    int err = read_ttl(param_get(p, "ttl"), &out->ttl_ns);
    if (err == 0) {
        err = read_key(disk, param_get(p, "pub-key"), &files->pub);
    }
    if (err == 0) {
        err = read_key(disk, param_get(p, "priv-key"), &files->priv);
    }
    if (err != 0) {
        return err;
    }
    out->public_text = buf_slice(&files->pub);
    out->private_text = buf_slice(&files->priv);
    out->method = jwt_method_find(param_get(p, "sign-method"));
    if (out->method == NULL) {
        problem("auth: invalid auth signature method");
        return ERR_INVALID;
    }
    return 0;
}

static int open_jwt(const struct params *p, struct env_disk *disk, struct buf *why,
                    struct jwt **out)
{
    struct key_files files = {BUF_INIT, BUF_INIT};
    struct jwt_options opts = {0};
    int err = load_options(p, disk, &files, &opts);
    if (err != 0) {
        err = invalid_options(why);
    } else {
        warn_unknown(p);
        err = jwt_create(&opts, why, out);
    }
    wipe(&files.pub);
    wipe(&files.priv);
    return err;
}

/* ---- all kinds ---- */

int token_spec_open(const char *spec, struct env_disk *disk, struct buf *why,
                    enum auth_token_kind *out_kind, struct jwt **out_jwt)
{
    struct params p = {.count = 0};
    struct slice kind;
    int err = params_parse(spec, &kind, &p, why);
    if (err != 0) {
        return err;
    }
    if (slice_equal_cstr(kind, "simple")) {
        log_warn("simple token is not cryptographically signed");
        *out_kind = AUTH_TOKEN_SIMPLE;
    } else if (slice_equal_cstr(kind, "jwt")) {
        err = open_jwt(&p, disk, why, out_jwt);
        *out_kind = err == 0 ? AUTH_TOKEN_JWT : *out_kind;
    } else if (kind.len == 0) {
        *out_kind = AUTH_TOKEN_NONE;
    } else {
        log_warn("unknown token type", LOG_SLICE("type", kind),
                 LOG_STR("error", "auth: invalid auth options"));
        err = invalid_options(why);
    }
    return err;
}
