/* SPDX-License-Identifier: Apache-2.0
 *
 * server/flags_file: the configuration file: YAML (so JSON too) by libyaml, keys as cli.md 1.3.
 *
 * A document is one mapping; the mappings inside it (client-transport-security, socket-options ...)
 * are flattened: their keys are "outer.inner" in the table of flags.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/err.h"
#include "base/gotext.h"
#include "server/flags.h"

enum { KEY_BYTES_MAX = 256, DEPTH_MAX = 3 };

static bool find_key(const char *key, enum flag_id *out)
{
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        const struct flag_spec *s = flag_spec((enum flag_id)i);
        if (s->file_key[0] != 0 && strcasecmp(s->file_key, key) == 0) {
            *out = (enum flag_id)i;
            return true;
        }
    }
    return false;
}

/* ---- values as YAML 1.1 and Go see them ---- */

enum kind { KIND_NULL, KIND_BOOL, KIND_INT, KIND_FLOAT, KIND_STRING };

static bool is_one_of(const char *text, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(text, list[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_yes(const char *t)
{
    static const char *const yes[] = {"y",    "Y",    "yes", "Yes", "YES", "true",
                                      "True", "TRUE", "on",  "On",  "ON"};
    return is_one_of(t, yes, ARRAY_LEN(yes));
}

static bool is_no(const char *t)
{
    static const char *const no[] = {"n",     "N",     "no",  "No",  "NO", "false",
                                     "False", "FALSE", "off", "Off", "OFF"};
    return is_one_of(t, no, ARRAY_LEN(no));
}

static bool is_null_text(const char *t)
{
    static const char *const null[] = {"", "~", "null", "Null", "NULL"};
    return is_one_of(t, null, ARRAY_LEN(null));
}

/* 1.5, 1e9, but not 0x1p3, inf or nan. */
static bool is_float(const char *t, double *out)
{
    size_t digits = 0;
    for (const char *p = t; *p != 0; p++) {
        digits += *p >= '0' && *p <= '9';
        if (strchr("0123456789.eE+-", *p) == NULL) {
            return false;
        }
    }
    char *end;
    *out = digits > 0 ? strtod(t, &end) : 0;
    return digits > 0 && *end == 0 && *out > -1e300 && *out < 1e300;
}

/* The JSON text of a number; "_" may stand between digits. */
static enum kind number_kind(const char *t, struct buf *out)
{
    int64_t n;
    uint64_t u;
    double d;
    struct buf plain = BUF_INIT;
    enum kind kind = KIND_INT;
    for (const char *p = t; *p != 0; p++) {
        if (*p != '_') {
            buf_append_byte(&plain, (uint8_t)*p);
        }
    }
    if (gotext_parse_int(buf_slice(&plain), 0, 64, &n) == 0) {
        buf_printf(out, "%lld", (long long)n);
    } else if (gotext_parse_uint(buf_slice(&plain), 0, 64, &u) == 0) {
        buf_printf(out, "%llu", (unsigned long long)u);
    } else if (is_float(buf_cstr(&plain), &d)) {
        kind = KIND_FLOAT;
        gotext_json_float(out, d);
    } else {
        kind = KIND_STRING;
    }
    buf_deinit(&plain);
    return kind;
}

/* "!!str 5": libyaml gives every plain scalar this tag; only a written one takes room. */
static bool has_str_tag(const yaml_node_t *n)
{
    return n->tag != NULL && strcmp((const char *)n->tag, YAML_STR_TAG) == 0 &&
           n->start_mark.index + n->data.scalar.length < n->end_mark.index;
}

/* What a scalar is; its text (JSON's for a number, true or false for a boolean) in *text. */
static enum kind scalar_kind(const yaml_node_t *n, struct buf *text)
{
    const char *t = (const char *)n->data.scalar.value;
    bool is_text = n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
                   strlen(t) != n->data.scalar.length || has_str_tag(n);
    enum kind kind = KIND_STRING;
    if (!is_text && is_null_text(t)) {
        return KIND_NULL;
    }
    if (!is_text && (is_yes(t) || is_no(t))) {
        buf_append_cstr(text, is_yes(t) ? "true" : "false");
        return KIND_BOOL;
    }
    if (!is_text) {
        kind = number_kind(t, text);
    }
    if (kind == KIND_STRING) {
        buf_append(text, t, strlen(t));
    }
    return kind;
}

static bool is_null(const yaml_node_t *n)
{
    struct buf text = BUF_INIT;
    enum kind kind = scalar_kind(n, &text);
    buf_deinit(&text);
    return kind == KIND_NULL;
}

static const char *kind_name(enum kind kind)
{
    switch (kind) {
    case KIND_BOOL: return "bool";
    case KIND_INT:
    case KIND_FLOAT: return "number";
    case KIND_NULL:
    case KIND_STRING: return "string";
    }
    return "string";
}

static const char *node_kind(const yaml_node_t *n)
{
    if (n->type != YAML_SCALAR_NODE) {
        return n->type == YAML_SEQUENCE_NODE ? "array" : "object";
    }
    struct buf text = BUF_INIT;
    enum kind kind = scalar_kind(n, &text);
    buf_deinit(&text);
    return kind_name(kind);
}

static const char *go_type(enum flag_id id)
{
    switch (flag_spec(id)->type) {
    case FLAG_BOOL: return "bool";
    case FLAG_INT: return id == FLAG_ID_QUOTA_BACKEND_BYTES ? "int64" : "int";
    case FLAG_UINT:
        return id == FLAG_ID_SNAPSHOT_COUNT || id == FLAG_ID_SNAPSHOT_CATCHUP_ENTRIES ? "uint64"
                                                                                      : "uint";
    case FLAG_UINT32: return "uint32";
    case FLAG_DURATION: return "time.Duration";
    case FLAG_STRING:
    case FLAG_CHOICE:
    case FLAG_URLS:
    case FLAG_ORIGINS:
    case FLAG_STRINGS:
    case FLAG_GATES: return "string";
    }
    return "string";
}

/* Where Go keeps a key: its struct and the way to it are part of the error text. */
static void go_field(const char *key, struct buf *out)
{
    static const char *const json_keys[] = {
        "listen-peer-urls",        "listen-client-urls",
        "listen-client-http-urls", "cors",
        "advertise-client-urls",   "initial-advertise-peer-urls",
        "host-whitelist",          "client-transport-security",
        "peer-transport-security", "feature-gates"};
    const char *dot = strchr(key, '.');
    bool is_security = strstr(key, "transport-security") != NULL;
    bool is_json = is_security || is_one_of(key, json_keys, ARRAY_LEN(json_keys));
    const char *owner = "configYAML";
    if (dot != NULL && is_security) {
        owner = "securityConfig";
    } else if (strncmp(key, "socket-options.", 15) == 0) {
        owner = "SocketOpts";
    } else if (strncmp(key, "discovery-config.client.secure.", 31) == 0) {
        owner = "SecureConfig";
    } else if (strncmp(key, "discovery-config.client.auth.", 29) == 0) {
        owner = "AuthConfig";
    } else if (strncmp(key, "discovery-config.client.", 24) == 0) {
        owner = "ConfigSpec";
    } else if (strncmp(key, "discovery-config.", 17) == 0) {
        owner = "DiscoveryConfig";
    }
    buf_printf(out, "%s.%s.%s", owner, is_json ? "configJSON" : "Config", key);
}

static int type_error(const char *found, const char *key, const char *type, struct buf *error)
{
    struct buf field = BUF_INIT;
    go_field(key, &field);
    buf_printf(error,
               "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal %s into Go "
               "struct field %s of type %s",
               found, buf_cstr(&field), type);
    buf_deinit(&field);
    return ERR_INVALID;
}

static bool is_list_flag(enum flag_id id)
{
    return id == FLAG_ID_LOG_OUTPUTS || id == FLAG_ID_CIPHER_SUITES ||
           id == FLAG_ID_PEER_CERT_ALLOWED_CN || id == FLAG_ID_PEER_CERT_ALLOWED_HOSTNAME ||
           id == FLAG_ID_CLIENT_CERT_ALLOWED_HOSTNAME || id == FLAG_ID_DISCOVERY_ENDPOINTS;
}

static int set_value(struct flags *f, enum flag_id id, const char *text, struct buf *error)
{
    struct buf reason = BUF_INIT;
    int err = flag_set(f, id, text, FLAG_BY_FILE, &reason);
    if (err != 0 && flag_spec(id)->type == FLAG_URLS) {
        /* etcd names the wrong list here. */
        const char *name =
            id == FLAG_ID_ADVERTISE_CLIENT_URLS ? "advertise-peer-urls" : flag_spec(id)->name;
        buf_printf(error, "unexpected error setting up %s: %s", name, buf_cstr(&reason));
        err = ERR_UNSUPPORTED;
    } else if (err != 0 && flag_spec(id)->type == FLAG_ORIGINS) {
        buf_printf(error, "panic: new UniqueURLs should never fail: %s", buf_cstr(&reason));
        err = ERR_UNSUPPORTED;
    } else if (err != 0 && id == FLAG_ID_INITIAL_CLUSTER_STATE) {
        buf_printf(error, "unexpected clusterState \"%s\"", text);
    } else if (err != 0) {
        buf_append_slice(error, buf_slice(&reason));
    }
    buf_deinit(&reason);
    return err;
}

/* A number of the file that the field cannot hold: 1.5, -1 or too large. */
static bool fits_number(enum flag_id id, enum kind kind, const char *text)
{
    int64_t n;
    uint64_t u;
    enum flag_type t = flag_spec(id)->type;
    if (kind == KIND_FLOAT && strpbrk(text, ".eE") != NULL) {
        return false;
    }
    if (t == FLAG_UINT || t == FLAG_UINT32) {
        return gotext_parse_uint(slice_cstr(text), 10, t == FLAG_UINT32 ? 32 : 64, &u) == 0;
    }
    return gotext_parse_int(slice_cstr(text), 10, 64, &n) == 0;
}

static int set_number(struct flags *f, enum flag_id id, enum kind kind, struct buf *text,
                      struct buf *error)
{
    const char *key = flag_spec(id)->file_key;
    if (!fits_number(id, kind, buf_cstr(text))) {
        struct buf found = BUF_INIT;
        buf_printf(&found, "number %s", buf_cstr(text));
        int err = type_error(buf_cstr(&found), key, go_type(id), error);
        buf_deinit(&found);
        return err;
    }
    if (flag_spec(id)->type == FLAG_DURATION) {
        buf_append_cstr(text, "ns");
    }
    return set_value(f, id, buf_cstr(text), error);
}

static int set_typed(struct flags *f, enum flag_id id, enum kind kind, struct buf *text,
                     struct buf *error)
{
    const struct flag_spec *s = flag_spec(id);
    const char *want = go_type(id);
    bool is_number = kind == KIND_INT || kind == KIND_FLOAT;
    if (is_list_flag(id)) {
        return type_error(kind_name(kind), s->file_key, "[]string", error);
    }
    if (strcmp(want, "string") == 0 || s->type == FLAG_BOOL) {
        bool fits = kind == (s->type == FLAG_BOOL ? KIND_BOOL : KIND_STRING);
        return fits ? set_value(f, id, buf_cstr(text), error)
                    : type_error(kind_name(kind), s->file_key, want, error);
    }
    return is_number ? set_number(f, id, kind, text, error)
                     : type_error(kind_name(kind), s->file_key, want, error);
}

/* An empty list of URLs or origins keeps the default; v2-deprecation takes any text. */
static bool is_dropped(enum flag_id id, enum kind kind, const struct buf *text)
{
    enum flag_type t = flag_spec(id)->type;
    return kind == KIND_STRING &&
           ((text->len == 0 && (t == FLAG_URLS || t == FLAG_ORIGINS || t == FLAG_CHOICE ||
                                id == FLAG_ID_HOST_WHITELIST)) ||
            id == FLAG_ID_V2_DEPRECATION);
}

static int set_scalar(struct flags *f, enum flag_id id, const yaml_node_t *n, struct buf *error)
{
    struct buf text = BUF_INIT;
    enum kind kind = scalar_kind(n, &text);
    int err = 0;
    if (kind == KIND_STRING && id == FLAG_ID_V2_DEPRECATION) {
        f->values[id].source = FLAG_BY_FILE;
    }
    if (kind != KIND_NULL && !is_dropped(id, kind, &text)) {
        err = set_typed(f, id, kind, &text, error);
    }
    buf_deinit(&text);
    return err;
}

static int set_list(struct flags *f, enum flag_id id, yaml_document_t *doc, const yaml_node_t *n,
                    struct buf *error)
{
    const char *key = flag_spec(id)->file_key;
    if (!is_list_flag(id)) {
        return type_error("array", key, go_type(id), error);
    }
    struct buf list = BUF_INIT, text = BUF_INIT;
    int err = 0;
    for (yaml_node_item_t *i = n->data.sequence.items.start;
         err == 0 && i < n->data.sequence.items.top; i++) {
        const yaml_node_t *item = yaml_document_get_node(doc, *i);
        buf_clear(&text);
        enum kind kind =
            item != NULL && item->type == YAML_SCALAR_NODE ? scalar_kind(item, &text) : KIND_STRING;
        if (item == NULL || item->type != YAML_SCALAR_NODE ||
            (kind != KIND_STRING && kind != KIND_NULL)) {
            err = type_error(item == NULL ? "object" : node_kind(item), key, "string", error);
        } else {
            buf_printf(&list, "%s%s", list.len > 0 ? "," : "", buf_cstr(&text));
        }
    }
    if (err == 0 && list.len > 0) {
        err = set_value(f, id, buf_cstr(&list), error);
    }
    buf_deinit(&list);
    buf_deinit(&text);
    return err;
}

/* ---- mappings ---- */

struct section {
    const char *key;
    const char *type;
    bool needs_mapping; /* null is an error too */
};

static const struct section sections[] = {
    {"client-transport-security", "embed.securityConfig", false},
    {"peer-transport-security", "embed.securityConfig", true},
    {"socket-options", "transport.SocketOpts", false},
    {"discovery-config", "v3discovery.DiscoveryConfig", false},
    {"discovery-config.client", "clientv3.ConfigSpec", false},
};

static const struct section *find_section(const char *key)
{
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        if (strcasecmp(sections[i].key, key) == 0) {
            return &sections[i];
        }
    }
    return NULL;
}

static int section_error(const struct section *s, const yaml_node_t *value, struct buf *error)
{
    if (value->type == YAML_SCALAR_NODE && is_null(value)) {
        if (s->needs_mapping) {
            buf_printf(error, "invalid %s", s->key);
        }
        return s->needs_mapping ? ERR_INVALID : 0;
    }
    return type_error(node_kind(value), s->key, s->type, error);
}

static int key_error(const yaml_node_t *key, struct buf *error)
{
    buf_printf(error, "error converting YAML to JSON: yaml: invalid map key: %s",
               key->type == YAML_SEQUENCE_NODE ? "[]interface {}"
                                               : "map[interface {}]interface {}");
    return ERR_INVALID;
}

static int take_mapping(struct flags *f, yaml_document_t *doc, const yaml_node_t *map,
                        const char *prefix, int depth, struct buf *error);

/* experimental-*: the present key to go on with, or a gate that is set here. */
static bool take_old(struct flags *f, const char *name, const yaml_node_t *value, enum flag_id *out,
                     bool *out_is_known, int *out_err, struct buf *error)
{
    size_t old;
    if (!flag_old_find(name, strlen(name), &old)) {
        return false;
    }
    if (flag_old_id(old) != FLAG_ID_FEATURE_GATES) {
        f->has_old[old] = true;
        *out = flag_old_id(old);
        *out_is_known = true;
        return false;
    }
    struct buf text = BUF_INIT;
    bool is_bool = value->type == YAML_SCALAR_NODE && scalar_kind(value, &text) == KIND_BOOL;
    *out_err = is_bool ? flag_old_set(f, old, buf_cstr(&text), FLAG_BY_FILE, error)
                       : type_error("string", name, "bool", error);
    buf_deinit(&text);
    return true;
}

static int take_pair(struct flags *f, yaml_document_t *doc, const yaml_node_t *key,
                     const yaml_node_t *value, const char *prefix, int depth, struct buf *error)
{
    char name[KEY_BYTES_MAX];
    enum flag_id id = FLAG_COUNT;
    if (key != NULL && key->type != YAML_SCALAR_NODE) {
        return key_error(key, error);
    }
    if (key == NULL || value == NULL || key->data.scalar.length >= sizeof(name) / 2) {
        return 0;
    }
    (void)snprintf(name, sizeof(name), "%s%s", prefix, (const char *)key->data.scalar.value);
    int err = 0;
    bool is_known = find_key(name, &id);
    if (is_known) {
        f->is_own[id] = true;
    } else if (take_old(f, name, value, &id, &is_known, &err, error)) {
        return err;
    }
    if (value->type == YAML_MAPPING_NODE) {
        if (is_known) {
            return type_error("object", flag_spec(id)->file_key,
                              is_list_flag(id) ? "[]string" : go_type(id), error);
        }
        size_t len = strlen(name);
        name[len] = '.';
        name[len + 1] = 0;
        return depth < DEPTH_MAX ? take_mapping(f, doc, value, name, depth + 1, error) : 0;
    }
    const struct section *section = find_section(name);
    if (section != NULL) {
        return section_error(section, value, error);
    }
    if (!is_known) {
        return 0; /* unknown keys are ignored in silence, as etcd does */
    }
    return value->type == YAML_SEQUENCE_NODE ? set_list(f, id, doc, value, error)
                                             : set_scalar(f, id, value, error);
}

static int take_mapping(struct flags *f, yaml_document_t *doc, const yaml_node_t *map,
                        const char *prefix, int depth, struct buf *error)
{
    int err = 0;
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start;
         err == 0 && p < map->data.mapping.pairs.top; p++) {
        err = take_pair(f, doc, yaml_document_get_node(doc, p->key),
                        yaml_document_get_node(doc, p->value), prefix, depth, error);
    }
    return err;
}

/* All but --config-file itself. */
static void back_to_defaults(struct flags *f)
{
    char *config_file = mem_strdup(flag_text(f, FLAG_ID_CONFIG_FILE));
    flags_deinit(f);
    flags_init(f);
    mem_free(f->values[FLAG_ID_CONFIG_FILE].text);
    f->values[FLAG_ID_CONFIG_FILE].text = config_file;
}

/* Line numbers as the Go library counts them: 0 is not shown, scanner errors are one further. */
static void syntax_error(const yaml_parser_t *p, struct buf *error)
{
    size_t line = p->problem_mark.line != 0 ? p->problem_mark.line : p->context_mark.line;
    buf_append_cstr(error, "error converting YAML to JSON: yaml: ");
    if (p->problem != NULL && strcmp(p->problem, "found undefined alias") == 0) {
        buf_append_cstr(error, "unknown anchor referenced");
        return;
    }
    if (line != 0 && p->error == YAML_SCANNER_ERROR) {
        line++;
    }
    if (line != 0) {
        buf_printf(error, "line %zu: ", line);
    }
    buf_append_cstr(error,
                    p->problem == NULL ? "unknown problem parsing YAML content" : p->problem);
}

static int root_error(const char *found, struct buf *error)
{
    buf_printf(error,
               "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal %s into Go "
               "value of type embed.configYAML",
               found);
    return ERR_INVALID;
}

static int take_root(struct flags *f, yaml_document_t *doc, struct buf *error)
{
    const yaml_node_t *root = yaml_document_get_root_node(doc);
    if (root == NULL || (root->type == YAML_SCALAR_NODE && is_null(root))) {
        return 0;
    }
    return root->type == YAML_MAPPING_NODE ? take_mapping(f, doc, root, "", 0, error)
                                           : root_error(node_kind(root), error);
}

int flags_file(struct flags *f, struct slice content, struct buf *error)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    back_to_defaults(f);
    if (yaml_parser_initialize(&parser) == 0) {
        return ERR_NOMEM;
    }
    yaml_parser_set_input_string(&parser, content.data == NULL ? (const uint8_t *)"" : content.data,
                                 content.len);
    int err = 0;
    if (yaml_parser_load(&parser, &doc) == 0) {
        syntax_error(&parser, error);
        err = ERR_INVALID;
    } else {
        err = take_root(f, &doc, error);
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    return err;
}
