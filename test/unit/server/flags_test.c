/* SPDX-License-Identifier: Apache-2.0
 *
 * Flags, variables and file against tables of what etcd 3.7.1 says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/err.h"
#include "server/flags.h"

/* ---- command line ---- */

struct command_case {
    const char *words[4];
    int err;
    const char *error;
};

static const struct command_case command_cases[] = {
    {{"-bogus"}, ERR_INVALID, "flag provided but not defined: -bogus"},
    {{"--bogus=3"}, ERR_INVALID, "flag provided but not defined: -bogus"},
    {{"---x"}, ERR_INVALID, "bad flag syntax: ---x"},
    {{"-=x"}, ERR_INVALID, "bad flag syntax: -=x"},
    {{"bogus"}, ERR_UNSUPPORTED, "\"bogus\" is not a valid flag"},
    {{"-"}, ERR_UNSUPPORTED, "\"-\" is not a valid flag"},
    {{"--", "x"}, ERR_UNSUPPORTED, "\"x\" is not a valid flag"},
    {{"--"}, 0, ""},
    {{"--pre-vote", "false"}, ERR_UNSUPPORTED, "\"false\" is not a valid flag"},
    {{"--heartbeat-interval"}, ERR_INVALID, "flag needs an argument: -heartbeat-interval"},
    {{"--pre-vote=maybe"},
     ERR_INVALID,
     "invalid boolean value \"maybe\" for -pre-vote: parse error"},
    {{"--snapshot-count", "abc"},
     ERR_INVALID,
     "invalid value \"abc\" for flag -snapshot-count: parse error"},
    {{"--snapshot-count=-1"},
     ERR_INVALID,
     "invalid value \"-1\" for flag -snapshot-count: parse error"},
    {{"--snapshot-count=99999999999999999999"},
     ERR_INVALID,
     "invalid value \"99999999999999999999\" for flag -snapshot-count: value out of range"},
    {{"--max-concurrent-streams=4294967296"},
     ERR_INVALID,
     "invalid value \"4294967296\" for flag -max-concurrent-streams: strconv.ParseUint: parsing "
     "\"4294967296\": value out of range"},
    {{"--backend-batch-interval=5"},
     ERR_INVALID,
     "invalid value \"5\" for flag -backend-batch-interval: parse error"},
    {{"--listen-client-urls=bogus"},
     ERR_INVALID,
     "invalid value \"bogus\" for flag -listen-client-urls: URL scheme must be http, https, unix, "
     "or unixs: bogus"},
    {{"--listen-client-urls=http://a"},
     ERR_INVALID,
     "invalid value \"http://a\" for flag -listen-client-urls: URL address does not have the form "
     "\"host:port\": http://a"},
    {{"--listen-client-urls=http://a:1/x"},
     ERR_INVALID,
     "invalid value \"http://a:1/x\" for flag -listen-client-urls: URL must not contain a path: "
     "http://a:1/x"},
    {{"--cors="},
     ERR_INVALID,
     "invalid value \"\" for flag -cors: URL scheme must be http, https, unix, or unixs: "},
    {{"--initial-cluster-state=bogus"},
     ERR_INVALID,
     "invalid value \"bogus\" for flag -initial-cluster-state: invalid value"},
    {{"--v2-deprecation=not-yet"},
     ERR_INVALID,
     "invalid value \"not-yet\" for flag -v2-deprecation: invalid value \"not-yet\""},
    {{"--feature-gates=bogus=true"},
     ERR_INVALID,
     "invalid value \"bogus=true\" for flag -feature-gates: unrecognized feature gate: bogus"},
    {{"--feature-gates=CompactHashCheck"},
     ERR_INVALID,
     "invalid value \"CompactHashCheck\" for flag -feature-gates: missing bool value for "
     "CompactHashCheck"},
    {{"--feature-gates=x=maybe"},
     ERR_INVALID,
     "invalid value \"x=maybe\" for flag -feature-gates: invalid value of x=maybe, err: "
     "strconv.ParseBool: parsing \"maybe\": invalid syntax"},
    {{"-h"}, ERR_END, ""},
    {{"--help=x"}, ERR_END, ""},
    {{"--name", "a", "--help"}, ERR_END, ""},
    {{"--force=1", "-v", "--cluster-active-size"}, 0, ""},
    {{"--listen-client-urls=", "--cors=*"}, 0, ""},
};

static void test_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(command_cases); i++) {
        const struct command_case *c = &command_cases[i];
        char *argv[4];
        size_t count = 0;
        while (count < 4 && c->words[count] != NULL) {
            argv[count] = (char *)(uintptr_t)c->words[count];
            count++;
        }
        struct flags f;
        struct buf error = BUF_INIT;
        flags_init(&f);
        assert_int_equal(flags_parse(&f, argv, count, &error), c->err);
        assert_string_equal(buf_cstr(&error), c->error);
        flags_deinit(&f);
        buf_deinit(&error);
    }
}

static void test_values(void **state)
{
    (void)state;
    char *argv[] = {"-name",
                    "m1",
                    "--snapshot-count=0x1_0",
                    "--grpc-keepalive-interval",
                    "1m30s",
                    "--pre-vote=F",
                    "--memory-mlock",
                    "--listen-client-urls",
                    "http://b:2, HTTP://a:1,http://b:2",
                    "--max-wals=1",
                    "--max-wals=2",
                    "--feature-gates=CompactHashCheck=true",
                    "--feature-gates=CompactHashCheck=false,LeaseCheckpoint=true",
                    "--listen-metrics-urls="};
    struct flags f;
    struct buf text = BUF_INIT;
    flags_init(&f);
    assert_int_equal(flags_parse(&f, argv, ARRAY_LEN(argv), &text), 0);
    assert_string_equal(flag_text(&f, FLAG_ID_NAME), "m1");
    assert_int_equal(flag_uint(&f, FLAG_ID_SNAPSHOT_COUNT), 16);
    assert_int_equal(flag_ms(&f, FLAG_ID_GRPC_KEEPALIVE_INTERVAL), 90000);
    assert_false(flag_bool(&f, FLAG_ID_PRE_VOTE));
    assert_true(flag_bool(&f, FLAG_ID_MEMORY_MLOCK));
    assert_string_equal(flag_text(&f, FLAG_ID_LISTEN_CLIENT_URLS), "http://a:1,http://b:2");
    assert_int_equal(flag_uint(&f, FLAG_ID_MAX_WALS), 2);
    gates_text(flag_text(&f, FLAG_ID_FEATURE_GATES), &text);
    assert_string_equal(buf_cstr(&text), "CompactHashCheck=false,LeaseCheckpoint=true");
    assert_true(flag_is_given(&f, FLAG_ID_LISTEN_METRICS_URLS));
    assert_false(flag_is_given(&f, FLAG_ID_MAX_SNAPSHOTS));
    flags_deinit(&f);
    buf_deinit(&text);
}

/* A value that is refused leaves the old one. */
static void test_failure_keeps(void **state)
{
    (void)state;
    struct flags f;
    struct buf reason = BUF_INIT;
    flags_init(&f);
    assert_int_equal(flag_set(&f, FLAG_ID_MAX_WALS, "x", FLAG_BY_COMMAND, &reason), ERR_INVALID);
    assert_int_equal(flag_uint(&f, FLAG_ID_MAX_WALS), 5);
    assert_false(flag_is_given(&f, FLAG_ID_MAX_WALS));
    flags_deinit(&f);
    buf_deinit(&reason);
}

static void test_gates(void **state)
{
    (void)state;
    static const struct {
        const char *list;
        const char *text;
    } cases[] = {
        {"", ""},
        {",,", ""},
        {"CompactHashCheck=1, LeaseCheckpoint = true",
         "CompactHashCheck=true,LeaseCheckpoint=true"},
        {"AllBeta=false",
         "AllBeta=false,FastLeaseKeepAlive=false,TxnModeWriteWithSharedBuffer=false"},
        {"AllAlpha=true,CompactHashCheck=false",
         "AllAlpha=true,CompactHashCheck=false,InitialCorruptCheck=true,LeaseCheckpoint=true,"
         "LeaseCheckpointPersist=true,PriorityRequest=true,SetMemberLocalAddr=true,"
         "StopGRPCServiceOnDefrag=true"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf text = BUF_INIT;
        assert_int_equal(gates_check(cases[i].list, &text), 0);
        gates_text(cases[i].list, &text);
        assert_string_equal(buf_cstr(&text), cases[i].text);
        buf_deinit(&text);
    }
    assert_true(gate_is_on("", "FastLeaseKeepAlive"));
    assert_false(gate_is_on("AllBeta=false", "FastLeaseKeepAlive"));
    assert_true(gate_is_on("AllBeta=false,FastLeaseKeepAlive=true", "FastLeaseKeepAlive"));
}

/* ---- environment ---- */

static void test_environment(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        int err;
        const char *error;
    } cases[] = {
        {"ETCD_HEARTBEAT_INTERVAL", "99", 0, ""},
        {"ETCD_HEARTBEAT_INTERVAL", "abc", ERR_INVALID,
         "invalid value \"abc\" for ETCD_HEARTBEAT_INTERVAL: parse error"},
        {"ETCD_PRE_VOTE", "maybe", ERR_INVALID,
         "invalid value \"maybe\" for ETCD_PRE_VOTE: parse error"},
        {"ETCD_BOGUS", "1", ERR_NOT_FOUND, ""},
        {"ETCD_MAX_WALS", "", ERR_NOT_FOUND, ""},
        {"ETCD_HELP", "1", ERR_NOT_FOUND, ""},
        {"ETCD_NAME", "x", ERR_EXISTS, ""},
        {"ETCD_NAME", "", ERR_EXISTS, ""},
        {"ETCD_FORCE", "true", 0, ""},
        {"ETCD_CLUSTER_ACTIVE_SIZE", "1", 0, ""},
        {"ETCD_CLUSTER_ACTIVE_SIZ", "1", ERR_NOT_FOUND, ""},
        {"PATH", "1", ERR_NOT_FOUND, ""},
    };
    struct flags f;
    char *argv[] = {"--name=m1"};
    struct buf error = BUF_INIT;
    flags_init(&f);
    assert_int_equal(flags_parse(&f, argv, 1, &error), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_clear(&error);
        assert_int_equal(flags_env(&f, cases[i].name, cases[i].value, &error), cases[i].err);
        assert_string_equal(buf_cstr(&error), cases[i].error);
    }
    assert_int_equal(flag_uint(&f, FLAG_ID_HEARTBEAT_INTERVAL), 99);
    assert_string_equal(flag_text(&f, FLAG_ID_NAME), "m1");
    flags_deinit(&f);
    buf_deinit(&error);
}

/* ---- file ---- */

#define UNMARSHAL "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal "
#define FIELD " into Go struct field configYAML.Config."

static const struct {
    const char *content;
    int err;
    const char *error;
} file_cases[] = {
    {"", 0, ""},
    {"---\n", 0, ""},
    {"5", ERR_INVALID, UNMARSHAL "number into Go value of type embed.configYAML"},
    {"a", ERR_INVALID, UNMARSHAL "string into Go value of type embed.configYAML"},
    {"[1]", ERR_INVALID, UNMARSHAL "array into Go value of type embed.configYAML"},
    {"a: 1\nb: [1, 2\n", ERR_INVALID,
     "error converting YAML to JSON: yaml: line 2: did not find expected ',' or ']'"},
    {"a: b: c\n", ERR_INVALID,
     "error converting YAML to JSON: yaml: mapping values are not allowed in this context"},
    {"name: 5", ERR_INVALID, UNMARSHAL "number" FIELD "name of type string"},
    {"name: true", ERR_INVALID, UNMARSHAL "bool" FIELD "name of type string"},
    {"name: [a]", ERR_INVALID, UNMARSHAL "array" FIELD "name of type string"},
    {"name: {a: b}", ERR_INVALID, UNMARSHAL "object" FIELD "name of type string"},
    {"pre-vote: \"true\"", ERR_INVALID, UNMARSHAL "string" FIELD "pre-vote of type bool"},
    {"pre-vote: 1", ERR_INVALID, UNMARSHAL "number" FIELD "pre-vote of type bool"},
    {"max-wals: \"5\"", ERR_INVALID, UNMARSHAL "string" FIELD "max-wals of type uint"},
    {"max-wals: -1", ERR_INVALID, UNMARSHAL "number -1" FIELD "max-wals of type uint"},
    {"max-wals: 1.5", ERR_INVALID, UNMARSHAL "number 1.5" FIELD "max-wals of type uint"},
    {"max-wals: 99999999999999999999", ERR_INVALID,
     UNMARSHAL "number 100000000000000000000" FIELD "max-wals of type uint"},
    {"heartbeat-interval: 10s", ERR_INVALID,
     UNMARSHAL "string" FIELD "heartbeat-interval of type uint"},
    {"watch-progress-notify-interval: 10s", ERR_INVALID,
     UNMARSHAL "string" FIELD "watch-progress-notify-interval of type time.Duration"},
    {"log-outputs: stderr", ERR_INVALID, UNMARSHAL "string" FIELD "log-outputs of type []string"},
    {"log-outputs: [5]", ERR_INVALID, UNMARSHAL "number" FIELD "log-outputs of type string"},
    {"quota-backend-bytes: 9223372036854775808", ERR_INVALID,
     UNMARSHAL "number 9223372036854775808" FIELD "quota-backend-bytes of type int64"},
    {"max-concurrent-streams: 4294967296", ERR_INVALID,
     UNMARSHAL "number 4294967296" FIELD "max-concurrent-streams of type uint32"},
    {"feature-gates: 5", ERR_INVALID,
     UNMARSHAL "number into Go struct field configYAML.configJSON.feature-gates of type string"},
    {"feature-gates: \"Bogus=true\"", ERR_INVALID, "unrecognized feature gate: Bogus"},
    {"client-transport-security: {auto-tls: x}", ERR_INVALID,
     UNMARSHAL "string into Go struct field "
               "securityConfig.configJSON.client-transport-security.auto-tls of type bool"},
    {"client-transport-security: 5", ERR_INVALID,
     UNMARSHAL "number into Go struct field configYAML.configJSON.client-transport-security of "
               "type embed.securityConfig"},
    {"client-transport-security:", 0, ""},
    {"peer-transport-security:", ERR_INVALID, "invalid peer-transport-security"},
    {"socket-options: {reuse-port: 1}", ERR_INVALID,
     UNMARSHAL "number into Go struct field SocketOpts.Config.socket-options.reuse-port of type "
               "bool"},
    {"listen-metrics-urls: bogus", ERR_UNSUPPORTED,
     "unexpected error setting up listen-metrics-urls: URL scheme must be http, https, unix, or "
     "unixs: bogus"},
    {"advertise-client-urls: bogus", ERR_UNSUPPORTED,
     "unexpected error setting up advertise-peer-urls: URL scheme must be http, https, unix, or "
     "unixs: bogus"},
    {"cors: bogus", ERR_UNSUPPORTED,
     "panic: new UniqueURLs should never fail: URL scheme must be http, https, unix, or unixs: "
     "bogus"},
    {"initial-cluster-state: foo", ERR_INVALID, "unexpected clusterState \"foo\""},
    {"v2-deprecation: not-yet", 0, ""},
    {"unknown: {a: {b: {c: {d: {e: [f]}}}}}", 0, ""},
};

static void test_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(file_cases); i++) {
        struct flags f;
        struct buf error = BUF_INIT;
        flags_init(&f);
        int err = flags_file(&f, slice_cstr(file_cases[i].content), &error);
        assert_string_equal(buf_cstr(&error), file_cases[i].error);
        assert_int_equal(err, file_cases[i].err);
        flags_deinit(&f);
        buf_deinit(&error);
    }
}

static void test_file_values(void **state)
{
    (void)state;
    static const char content[] = "Name: first\n"
                                  "name: \"a\\u00e9\"\n"
                                  "max-wals: 0x10\n"
                                  "snapshot-count: 1_0\n"
                                  "quota-backend-bytes: 1e9\n"
                                  "pre-vote: No\n"
                                  "watch-progress-notify-interval: 600000000000\n"
                                  "log-outputs: [stdout, 'stderr']\n"
                                  "socket-options: {reuse-port: true}\n"
                                  "advertise-client-urls: ''\n"
                                  "heartbeat-interval: ~\n"
                                  "metrics: !!str 5\n";
    struct flags f;
    struct buf error = BUF_INIT;
    char *argv[] = {"--max-snapshots=1", "--config-file=x"};
    flags_init(&f);
    assert_int_equal(flags_parse(&f, argv, 2, &error), 0);
    assert_int_equal(flags_file(&f, slice_cstr(content), &error), 0);
    assert_string_equal(flag_text(&f, FLAG_ID_NAME), "a\xc3\xa9");
    assert_int_equal(flag_uint(&f, FLAG_ID_MAX_WALS), 16);
    assert_int_equal(flag_uint(&f, FLAG_ID_SNAPSHOT_COUNT), 10);
    assert_int_equal(flag_int(&f, FLAG_ID_QUOTA_BACKEND_BYTES), 1000000000);
    assert_false(flag_bool(&f, FLAG_ID_PRE_VOTE));
    assert_int_equal(flag_ms(&f, FLAG_ID_WATCH_PROGRESS_NOTIFY_INTERVAL), 600000);
    assert_string_equal(flag_text(&f, FLAG_ID_LOG_OUTPUTS), "stdout,stderr");
    assert_true(flag_bool(&f, FLAG_ID_SOCKET_REUSE_PORT));
    assert_string_equal(flag_text(&f, FLAG_ID_ADVERTISE_CLIENT_URLS), "http://localhost:2379");
    assert_int_equal(flag_uint(&f, FLAG_ID_HEARTBEAT_INTERVAL), 100);
    assert_string_equal(flag_text(&f, FLAG_ID_METRICS), "5");
    /* The command line does not count any more. */
    assert_int_equal(flag_uint(&f, FLAG_ID_MAX_SNAPSHOTS), 5);
    assert_false(flag_is_given(&f, FLAG_ID_MAX_SNAPSHOTS));
    flags_deinit(&f);
    buf_deinit(&error);
}

/* ---- help ---- */

static bool has(struct buf *b, const char *text)
{
    return strstr(buf_cstr(b), text) != NULL;
}

/* The names of 3.5: command line, environment, file; the values go where the present names put
 * them. */
static void test_old_names(void **state)
{
    (void)state;
    struct flags f;
    struct buf error = BUF_INIT;
    char *argv[] = {"--experimental-initial-corrupt-check", "--experimental-corrupt-check-time",
                    "4h", "--experimental-compact-hash-check-enabled=false"};
    flags_init(&f);
    assert_int_equal(flags_parse(&f, argv, 4, &error), 0);
    assert_int_equal(flags_env(&f, "ETCD_EXPERIMENTAL_COMPACTION_BATCH_LIMIT", "5", &error), 0);
    assert_int_equal(flags_env(&f, "ETCD_EXPERIMENTAL_BOGUS", "5", &error), ERR_NOT_FOUND);
    assert_int_equal(flag_ms(&f, FLAG_ID_CORRUPT_CHECK_TIME), 4 * 3600 * 1000);
    assert_int_equal(flag_int(&f, FLAG_ID_COMPACTION_BATCH_LIMIT), 5);
    assert_string_equal(flag_text(&f, FLAG_ID_FEATURE_GATES),
                        "InitialCorruptCheck=true,CompactHashCheck=false");
    assert_int_equal(flags_old_check(&f, &error), 0);
    flags_deinit(&f);
    flags_init(&f);
    assert_int_equal(
        flags_file(&f,
                   slice_cstr("experimental-initial-corrupt-check: true\n"
                              "experimental-watch-progress-notify-interval: 5000000000\n"),
                   &error),
        0);
    assert_string_equal(flag_text(&f, FLAG_ID_FEATURE_GATES), "InitialCorruptCheck=true");
    assert_int_equal(flag_ms(&f, FLAG_ID_WATCH_PROGRESS_NOTIFY_INTERVAL), 5000);
    assert_int_equal(flags_file(&f, slice_cstr("experimental-initial-corrupt-check: 7\n"), &error),
                     ERR_INVALID);
    flags_deinit(&f);
    buf_deinit(&error);
}

/* Old and present name together: 3.6's texts. */
static void test_old_conflicts(void **state)
{
    (void)state;
    static const struct {
        const char *words[2];
        const char *error; /* "" = fine */
    } cases[] = {
        {{"--experimental-corrupt-check-time=5s", "--corrupt-check-time=6s"},
         "cannot set --experimental-corrupt-check-time and --corrupt-check-time at the same time, "
         "please use --corrupt-check-time only"},
        {{"--experimental-initial-corrupt-check=true", "--feature-gates=InitialCorruptCheck=false"},
         "cannot specify both flags: --experimental-initial-corrupt-check=true and "
         "--feature-gates=InitialCorruptCheck=false at the same time, please just use "
         "--feature-gates=InitialCorruptCheck=false"},
        {{"--feature-gates=InitialCorruptCheck=true", "--experimental-initial-corrupt-check"},
         "cannot specify both flags: --experimental-initial-corrupt-check=true and "
         "--feature-gates=InitialCorruptCheck=true at the same time, please just use "
         "--feature-gates=InitialCorruptCheck=true"},
        {{"--feature-gates=CompactHashCheck=true", "--experimental-initial-corrupt-check"}, ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char *argv[] = {(char *)(uintptr_t)cases[i].words[0], (char *)(uintptr_t)cases[i].words[1]};
        struct flags f;
        struct buf error = BUF_INIT;
        flags_init(&f);
        assert_int_equal(flags_parse(&f, argv, 2, &error), 0);
        assert_int_equal(flags_old_check(&f, &error), cases[i].error[0] == 0 ? 0 : ERR_INVALID);
        assert_string_equal(buf_cstr(&error), cases[i].error);
        flags_deinit(&f);
        buf_deinit(&error);
    }
}

static void test_help(void **state)
{
    (void)state;
    struct buf help = BUF_INIT, man = BUF_INIT, line = BUF_INIT;
    flags_help(&help);
    flags_man(&man);
    for (size_t i = 0; i < FLAG_COUNT; i++) {
        buf_clear(&line);
        buf_printf(&line, "\n  --%s", flag_spec((enum flag_id)i)->name);
        assert_true(has(&help, buf_cstr(&line)));
    }
    assert_true(has(&man, ".SH OPTIONS\n.SS Member\n.TP\n.B \\-\\-name\n"));
    buf_deinit(&help);
    buf_deinit(&man);
    buf_deinit(&line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command),       cmocka_unit_test(test_values),
        cmocka_unit_test(test_failure_keeps), cmocka_unit_test(test_gates),
        cmocka_unit_test(test_environment),   cmocka_unit_test(test_file),
        cmocka_unit_test(test_file_values),   cmocka_unit_test(test_help),
        cmocka_unit_test(test_old_names),     cmocka_unit_test(test_old_conflicts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
