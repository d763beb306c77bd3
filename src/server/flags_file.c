/* SPDX-License-Identifier: Apache-2.0
 *
 * server/flags_file: the configuration file: YAML (so JSON too) by libyaml, keys as cli.md 1.3.
 *
 * A document is one mapping; the mappings inside it (client-transport-security, socket-options ...)
 * are flattened: their keys are "outer.inner" in the table of flags.
 */
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "base/err.h"
#include "base/gotext.h"
#include "server/flags.h"

enum { KEY_BYTES_MAX = 256 };

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

static int type_error(const char *found, const char *key, const char *type, struct buf *error)
{
    buf_printf(error,
               "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal %s into Go "
               "struct field .%s of type %s",
               found, key, type);
    return ERR_INVALID;
}

static bool is_number(struct slice t)
{
    int64_t n;
    uint64_t u;
    return gotext_parse_int(t, 10, 64, &n) == 0 || gotext_parse_uint(t, 10, 64, &u) == 0;
}

/* A plain scalar that is no text in YAML. */
static const char *kind_of(const yaml_node_t *n)
{
    struct slice t = slice_make(n->data.scalar.value, n->data.scalar.length);
    if (n->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) {
        return "string";
    }
    if (slice_equal_cstr(t, "true") || slice_equal_cstr(t, "false")) {
        return "bool";
    }
    return is_number(t) ? "number" : "string";
}

static bool is_null(const yaml_node_t *n)
{
    struct slice t = slice_make(n->data.scalar.value, n->data.scalar.length);
    return n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (t.len == 0 || slice_equal_cstr(t, "null") || slice_equal_cstr(t, "~"));
}

static const char *go_type(enum flag_type type)
{
    switch (type) {
    case FLAG_BOOL: return "bool";
    case FLAG_INT: return "int64";
    case FLAG_UINT: return "uint";
    case FLAG_UINT32: return "uint32";
    case FLAG_DURATION: return "time.Duration";
    case FLAG_STRING:
    case FLAG_CHOICE:
    case FLAG_URLS:
    case FLAG_STRINGS:
    case FLAG_GATES: return "string";
    }
    return "string";
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
        buf_printf(error, "unexpected error setting up %s: %s", flag_spec(id)->name,
                   buf_cstr(&reason));
    } else if (err != 0 && id == FLAG_ID_INITIAL_CLUSTER_STATE) {
        buf_printf(error, "unexpected clusterState \"%s\"", text);
    } else if (err != 0) {
        buf_append_slice(error, buf_slice(&reason));
    }
    buf_deinit(&reason);
    return err;
}

static int set_scalar(struct flags *f, enum flag_id id, const yaml_node_t *n, struct buf *error)
{
    const struct flag_spec *s = flag_spec(id);
    const char *kind = kind_of(n);
    const char *want = go_type(s->type);
    const char *text = (const char *)n->data.scalar.value;
    bool is_text = strcmp(want, "string") == 0;
    if (is_list_flag(id)) {
        return type_error(kind, s->file_key, "[]string", error);
    }
    bool fits = is_text ? strcmp(kind, "string") == 0
                        : strcmp(kind, s->type == FLAG_BOOL ? "bool" : "number") == 0;
    if (!fits) {
        return type_error(kind, s->file_key, want, error);
    }
    char ns[40];
    if (s->type == FLAG_DURATION) {
        (void)snprintf(ns, sizeof(ns), "%.24sns", text);
        text = ns;
    }
    return set_value(f, id, text, error);
}

static int set_list(struct flags *f, enum flag_id id, yaml_document_t *doc, const yaml_node_t *n,
                    struct buf *error)
{
    if (!is_list_flag(id)) {
        return type_error("array", flag_spec(id)->file_key, go_type(flag_spec(id)->type), error);
    }
    struct buf list = BUF_INIT;
    for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top; i++) {
        const yaml_node_t *item = yaml_document_get_node(doc, *i);
        if (item != NULL && item->type == YAML_SCALAR_NODE) {
            if (list.len > 0) {
                buf_append_byte(&list, ',');
            }
            buf_append(&list, item->data.scalar.value, item->data.scalar.length);
        }
    }
    int err = set_value(f, id, buf_cstr(&list), error);
    buf_deinit(&list);
    return err;
}

static int take_mapping(struct flags *f, yaml_document_t *doc, const yaml_node_t *map,
                        const char *prefix, int depth, struct buf *error);

static int take_pair(struct flags *f, yaml_document_t *doc, const yaml_node_t *key,
                     const yaml_node_t *value, const char *prefix, int depth, struct buf *error)
{
    char name[KEY_BYTES_MAX];
    enum flag_id id;
    if (key == NULL || value == NULL || key->type != YAML_SCALAR_NODE ||
        key->data.scalar.length >= sizeof(name) / 2) {
        return 0;
    }
    (void)snprintf(name, sizeof(name), "%s%s", prefix, (const char *)key->data.scalar.value);
    if (value->type == YAML_MAPPING_NODE) {
        size_t len = strlen(name);
        name[len] = '.';
        name[len + 1] = 0;
        return depth < 4 ? take_mapping(f, doc, value, name, depth + 1, error) : 0;
    }
    if (strcasecmp(name, "client-transport-security") == 0 ||
        strcasecmp(name, "peer-transport-security") == 0) {
        if (value->type == YAML_SCALAR_NODE && !is_null(value)) {
            return type_error(kind_of(value), name, "embed.securityConfig", error);
        }
        return 0;
    }
    if (!find_key(name, &id)) {
        return 0; /* unknown keys are ignored in silence, as etcd does */
    }
    if (value->type == YAML_SEQUENCE_NODE) {
        return set_list(f, id, doc, value, error);
    }
    return is_null(value) ? 0 : set_scalar(f, id, value, error);
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
        buf_printf(error, "error converting YAML to JSON: yaml: line %zu: %s",
                   parser.problem_mark.line + 1,
                   parser.problem == NULL ? "cannot be read" : parser.problem);
        err = ERR_INVALID;
    } else {
        const yaml_node_t *root = yaml_document_get_root_node(&doc);
        if (root != NULL && root->type == YAML_MAPPING_NODE) {
            err = take_mapping(f, &doc, root, "", 0, error);
        } else if (root != NULL) {
            err = type_error("string", "", "embed.configYAML", error);
        }
        yaml_document_delete(&doc);
    }
    yaml_parser_delete(&parser);
    return err;
}
