/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/ctl_cmds: the tree of cairnctl's commands and flags; help, man page and completion come from
 * it.  Order is etcdctl's: suggestions for a mistyped name follow it.
 */
#include "cmd/ctl.h"
#include "cmd/ctl_kv_req.h"
#include "cmd/ctl_watch_req.h"
#include "cmd/utl.h"

#define END                                                                                        \
    {                                                                                              \
        .use = NULL                                                                                \
    }
#define FLAGS_END                                                                                  \
    {                                                                                              \
        .name = NULL                                                                               \
    }

const struct cli_group ctl_groups[] = {
    {"kv", "Key-value commands"},
    {"cluster", "Cluster maintenance commands"},
    {"concurrency", "Concurrency commands"},
    {"auth", "Authentication commands"},
    {"utility", "Utility commands"},
    {NULL, NULL},
};

static const struct cli_flag cluster_flag[] = {
    {"cluster", 0, CLI_BOOL, NULL, "use the client URLs of all members of the cluster"},
    FLAGS_END,
};

static const struct cli_flag compaction_flags[] = {
    {"physical", 0, CLI_BOOL, NULL, "wait until old revisions are gone from the database file"},
    FLAGS_END,
};

static const struct cli_flag txn_flags[] = {
    {"interactive", 'i', CLI_BOOL, NULL, "print a prompt before each section"},
    FLAGS_END,
};

static const struct cli_flag hashkv_flags[] = {
    {"rev", 0, CLI_INT64, NULL, "highest revision to hash, 0 for the latest"},
    FLAGS_END,
};

static const struct cli_flag keep_alive_flags[] = {
    {"once", 0, CLI_BOOL, NULL, "renew it once and end"},
    FLAGS_END,
};

static const struct cli_flag time_to_live_flags[] = {
    {"keys", 0, CLI_BOOL, NULL, "also list the keys of the lease"},
    FLAGS_END,
};

static const struct cli_flag member_add_flags[] = {
    {"peer-urls", 0, CLI_STRING, NULL, "peer URLs of the new member, comma separated"},
    {"learner", 0, CLI_BOOL, NULL, "add it as a learner, without a vote"},
    FLAGS_END,
};

static const struct cli_flag member_update_flags[] = {
    {"peer-urls", 0, CLI_STRING, NULL, "new peer URLs of the member, comma separated"},
    FLAGS_END,
};

static const struct cli_flag member_list_flags[] = {
    {"consistency", 0, CLI_STRING, "l", "l: linearizable, s: serializable (from one member)",
     .choices = "l s"},
    FLAGS_END,
};

static const struct cli_flag user_add_flags[] = {
    {"interactive", 0, CLI_BOOL, "true", "ask for the password; false: take a word from stdin"},
    {"new-user-password", 0, CLI_STRING, NULL, "password of the new user"},
    {"no-password", 0, CLI_BOOL, NULL, "a user known by the common name of its certificate only"},
    FLAGS_END,
};

static const struct cli_flag user_get_flags[] = {
    {"detail", 0, CLI_BOOL, NULL, "show the permissions of the user's roles"},
    FLAGS_END,
};

static const struct cli_flag user_passwd_flags[] = {
    {"interactive", 0, CLI_BOOL, "true", "ask for the password; false: take a word from stdin"},
    FLAGS_END,
};

static const struct cli_flag permission_flags[] = {
    {"prefix", 0, CLI_BOOL, NULL, "all keys that begin with <key>"},
    {"from-key", 0, CLI_BOOL, NULL, "all keys from <key> on, in byte order"},
    FLAGS_END,
};

static const struct cli_flag lock_flags[] = {
    {"ttl", 0, CLI_INT, "10", "seconds after which the lock of a holder that has gone is free"},
    FLAGS_END,
};

static const struct cli_flag elect_flags[] = {
    {"listen", 'l', CLI_BOOL, NULL, "print who leads, and every change"},
    FLAGS_END,
};

#define CHECK_FLAGS(prefix)                                                                        \
    {"load",                                                                                       \
     0,                                                                                            \
     CLI_STRING,                                                                                   \
     "s",                                                                                          \
     "size of the load: s(mall), m(edium), l(arge), xl (xLarge)",                                  \
     .choices = "small medium large xLarge"},                                                      \
        {"prefix", 0, CLI_STRING, prefix, "prefix of the keys to write"},                          \
        {"auto-compact", 0, CLI_BOOL, NULL, "compact up to the last revision afterwards"},         \
        {"auto-defrag", 0, CLI_BOOL, NULL, "defragment the members afterwards"}, FLAGS_END

static const struct cli_flag check_perf_flags[] = {CHECK_FLAGS("/etcdctl-check-perf/")};
static const struct cli_flag check_datascale_flags[] = {CHECK_FLAGS("/etcdctl-check-datascale/")};

static const struct cli_flag mirror_flags[] = {
    {"prefix", 0, CLI_STRING, NULL, "copy the keys that begin with this alone"},
    {"rev", 0, CLI_INT64, NULL, "copy what happened from this revision on, 0 for everything"},
    {"max-txn-ops", 0, CLI_UINT64, "128", "most changes in one transaction"},
    {"dest-prefix", 0, CLI_STRING, NULL, "prefix that takes the place of --prefix there"},
    {"no-dest-prefix", 0, CLI_BOOL, NULL, "cut the prefix off there"},
    {"dest-cert", 0, CLI_STRING, NULL, "TLS certificate file for the destination"},
    {"dest-key", 0, CLI_STRING, NULL, "TLS key file for the destination"},
    {"dest-cacert", 0, CLI_STRING, NULL, "authorities that the destination is checked against"},
    {"dest-insecure-transport", 0, CLI_BOOL, "true",
     "no TLS to the destination unless a file or its URL asks for it"},
    {"dest-user", 0, CLI_STRING, NULL,
     "name[:password] for the destination; asks when there is no password"},
    {"dest-password", 0, CLI_STRING, NULL,
     "password for the destination (--dest-user is then the whole name)"},
    FLAGS_END,
};

static const struct cli_cmd check_cmds[] = {
    {.use = "perf [options]",
     .brief = "Measure whether the cluster keeps up with a load",
     .flags = check_perf_flags,
     .run = ctl_run_check_perf},
    {.use = "datascale [options]",
     .brief = "Measure how much memory a member takes for a number of keys",
     .detail = "Writes keys and compares the memory of the first endpoint before and after.",
     .flags = check_datascale_flags,
     .run = ctl_run_check_datascale},
    END,
};

static const struct cli_cmd alarm_cmds[] = {
    {.use = "disarm", .brief = "Take back all alarms", .run = ctl_run_alarm_disarm},
    {.use = "list", .brief = "List the alarms", .run = ctl_run_alarm_list},
    END,
};

static const struct cli_cmd endpoint_cmds[] = {
    {.use = "health",
     .brief = "Check that every endpoint of `--endpoints` can serve a request",
     .run = ctl_run_endpoint_health},
    {.use = "status",
     .brief = "Show version, size and raft state of every endpoint of `--endpoints`",
     .detail =
         "Shows the state of every endpoint.\n"
         "Simple format, comma separated: endpoint, ID, version, storage version, db size, in "
         "use, percentage not in use, quota, is leader, is learner, raft term, raft index, "
         "raft applied index, errors, downgrade target version, downgrade enabled.",
     .run = ctl_run_endpoint_status},
    {.use = "hashkv",
     .brief = "Show the hash of the key history of every endpoint of `--endpoints`",
     .persistent = hashkv_flags,
     .run = ctl_run_endpoint_hashkv},
    END,
};

static const struct cli_cmd lease_cmds[] = {
    {.use = "grant <ttl>", .brief = "Make a lease of so many seconds", .run = ctl_run_lease_grant},
    {.use = "revoke <leaseID>",
     .brief = "End a lease and delete its keys",
     .run = ctl_run_lease_revoke},
    {.use = "timetolive <leaseID> [options]",
     .brief = "Show the remaining time of a lease",
     .flags = time_to_live_flags,
     .run = ctl_run_lease_time_to_live},
    {.use = "list", .brief = "List the ids of all leases", .run = ctl_run_lease_list},
    {.use = "keep-alive [options] <leaseID>",
     .brief = "Renew a lease again and again",
     .flags = keep_alive_flags,
     .run = ctl_run_lease_keep_alive},
    END,
};

static const struct cli_cmd member_cmds[] = {
    {.use = "add <memberName> [options]",
     .brief = "Add a member to the cluster",
     .flags = member_add_flags,
     .run = ctl_run_member_add},
    {.use = "remove <memberID>",
     .brief = "Remove a member from the cluster",
     .run = ctl_run_member_remove},
    {.use = "update <memberID> [options]",
     .brief = "Change the peer URLs of a member",
     .flags = member_update_flags,
     .run = ctl_run_member_update},
    {.use = "list",
     .brief = "List the members of the cluster",
     .detail = "Lists the members.\n"
               "Simple format, comma separated: ID, status, name, peer URLs, client URLs, is "
               "learner.",
     .flags = member_list_flags,
     .run = ctl_run_member_list},
    {.use = "promote <memberID>", .brief = "Give a learner a vote", .run = ctl_run_member_promote},
    END,
};

#define SNAPSHOT_EXAMPLE                                                                           \
    "  # Save the state of one member\n"                                                           \
    "  @ snapshot save --endpoints=127.0.0.1:2379 /backup/etcd.db\n"                               \
    "  \n"                                                                                         \
    "  # As a user, and with a time limit\n"                                                       \
    "  @ --user=root --password=secret --command-timeout=60s snapshot save /backup/etcd.db"

static const struct cli_cmd snapshot_cmds[] = {
    {.use = "save <filename>",
     .brief = "Save the state of one member to a file",
     .example = SNAPSHOT_EXAMPLE,
     .run = ctl_run_snapshot_save},
    /* As etcdctl 3.5 had them: scripts still call them.  Help does not show them. */
    {.use = "status <filename>",
     .brief = "Show what is in a snapshot file (moved to the offline tool)",
     .run = ctl_run_snapshot_status,
     .is_hidden = true},
    {.use = "restore <filename> [options]",
     .brief = "Make a data directory from a snapshot file (moved to the offline tool)",
     .flags = utl_restore_flags,
     .run = ctl_run_snapshot_restore,
     .is_hidden = true},
    END,
};

static const struct cli_cmd auth_cmds[] = {
    {.use = "enable", .brief = "Switch authentication on", .run = ctl_run_auth_enable},
    {.use = "disable", .brief = "Switch authentication off", .run = ctl_run_auth_disable},
    {.use = "status", .brief = "Show whether authentication is on", .run = ctl_run_auth_status},
    END,
};

static const struct cli_cmd user_cmds[] = {
    {.use = "add <user name or user:password> [options]",
     .brief = "Add a user",
     .flags = user_add_flags,
     .run = ctl_run_user_add},
    {.use = "delete <user name>", .brief = "Delete a user", .run = ctl_run_user_delete},
    {.use = "get <user name> [options]",
     .brief = "Show the roles of a user",
     .flags = user_get_flags,
     .run = ctl_run_user_get},
    {.use = "list", .brief = "List all users", .run = ctl_run_user_list},
    {.use = "passwd <user name> [options]",
     .brief = "Change the password of a user",
     .flags = user_passwd_flags,
     .run = ctl_run_user_passwd},
    {.use = "grant-role <user name> <role name>",
     .brief = "Give a role to a user",
     .run = ctl_run_user_grant_role},
    {.use = "revoke-role <user name> <role name>",
     .brief = "Take a role from a user",
     .run = ctl_run_user_revoke_role},
    END,
};

static const struct cli_cmd role_cmds[] = {
    {.use = "add <role name>", .brief = "Add a role", .run = ctl_run_role_add},
    {.use = "delete <role name>", .brief = "Delete a role", .run = ctl_run_role_delete},
    {.use = "get <role name>", .brief = "Show the permissions of a role", .run = ctl_run_role_get},
    {.use = "list", .brief = "List all roles", .run = ctl_run_role_list},
    {.use = "grant-permission [options] <role name> <permission type> <key> [endkey]",
     .brief = "Let a role read or write keys",
     .flags = permission_flags,
     .run = ctl_run_role_grant},
    {.use = "revoke-permission <role name> <key> [endkey]",
     .brief = "Take a permission from a role",
     .flags = permission_flags,
     .run = ctl_run_role_revoke},
    END,
};

static const struct cli_cmd downgrade_cmds[] = {
    {.use = "validate <TARGET_VERSION>",
     .brief = "Check that the cluster can go down to a version",
     .run = ctl_run_downgrade_validate},
    {.use = "enable <TARGET_VERSION>",
     .brief = "Begin to go down to a version",
     .run = ctl_run_downgrade_enable},
    {.use = "cancel", .brief = "Stop going down", .run = ctl_run_downgrade_cancel},
    END,
};

static const struct cli_flag upgrade_flags[] = {
    {"to", 0, CLI_STRING, "3.7", "version at which to stop", .choices = "3.6 3.7"},
    FLAGS_END,
};

static const struct cli_cmd upgrade_cmds[] = {
    {.use = "finish",
     .brief = "Raise the cluster to the newest version that all members can be",
     .detail =
         "Raises every Cairn member by one minor version, waits until the leader has raised the\n"
         "cluster, and goes on until --to is reached.\n\n"
         "From then on members of the older version cannot join, and going back takes\n"
         "`@ downgrade enable`.  Nothing is done while a member is down, or runs an older etcd.",
     .flags = upgrade_flags,
     .run = ctl_run_upgrade_finish},
    END,
};

/* What is Cairn's own comes first: ctl_root_etcd begins behind it. */
enum { OWN_CMDS = 1 };

static const struct cli_cmd root_cmds[] = {
    {.use = "upgrade <subcommand>",
     .brief = "Finish a rolling upgrade. See `@ upgrade --help`",
     .detail = "Finish a rolling upgrade",
     .group = "cluster",
     .subs = upgrade_cmds},
    {.use = "get [options] <key> [range_end]",
     .brief = "Read a key or a range of keys",
     .group = "kv",
     .flags = ctl_get_flags,
     .run = ctl_run_get},
    {.use = "put [options] <key> <value> (<value> can also be given from stdin)",
     .brief = "Store a value under a key",
     .detail = "Stores a value under a key.\n\n"
               "Without <value>, and without --ignore-value, the value is all of standard input.\n"
               "A key or value that begins with '-' needs '--' before it: @ put -- <key> <value>",
     .group = "kv",
     .flags = ctl_put_flags,
     .run = ctl_run_put},
    {.use = "del [options] <key> [range_end]",
     .brief = "Delete a key or the range of keys [key, range_end)",
     .group = "kv",
     .flags = ctl_del_flags,
     .run = ctl_run_del},
    {.use = "txn [options]",
     .brief = "Run several requests as one transaction",
     .detail =
         "Reads a transaction from standard input and runs it: three sections, each ended by an\n"
         "empty line.  The first holds conditions; if all are true the requests of the second\n"
         "section run, otherwise those of the third.\n\n"
         "  mod(\"key1\") > \"0\"\n\n"
         "  put key1 \"changed\"\n\n"
         "  put key1 \"created\"\n"
         "  get key2\n\n"
         "Conditions compare create, mod, version, value or lease of a key by =, !=, < or >.",
     .group = "kv",
     .flags = txn_flags,
     .run = ctl_run_txn},
    {.use = "compaction [options] <revision>",
     .brief = "Forget the history before a revision",
     .group = "kv",
     .flags = compaction_flags,
     .run = ctl_run_compaction},
    {.use = "alarm <subcommand>",
     .brief = "Alarms. See `@ alarm --help`",
     .detail = "Alarms",
     .group = "cluster",
     .subs = alarm_cmds},
    {.use = "defrag",
     .brief = "Give unused space of the members' database files back",
     .group = "cluster",
     .persistent = cluster_flag,
     .run = ctl_run_defrag},
    {.use = "endpoint <subcommand>",
     .brief = "State of the members behind the endpoints. See `@ endpoint --help`",
     .detail = "State of the members behind the endpoints",
     .group = "cluster",
     .persistent = cluster_flag,
     .subs = endpoint_cmds},
    {.use = "move-leader <transferee-member-id>",
     .brief = "Hand the leadership to another member",
     .group = "cluster",
     .run = ctl_run_move_leader},
    {.use = "watch [options] [key or prefix] [range_end] [--] [exec-command arg1 arg2 ...]",
     .brief = "Watch keys for changes",
     .detail = "Prints every change of a key, a range or a prefix, and runs a command for each.",
     .group = "kv",
     .flags = ctl_watch_flags,
     .run = ctl_run_watch_cmd},
    {.use = "version",
     .brief = "Print the version of @",
     .group = "utility",
     .run = ctl_run_version},
    {.use = "lease <subcommand>",
     .brief = "Leases. See `@ lease --help`",
     .detail = "Leases",
     .group = "kv",
     .subs = lease_cmds},
    {.use = "member <subcommand>",
     .brief = "Members of the cluster. See `@ member --help`",
     .detail = "Members of the cluster",
     .group = "cluster",
     .subs = member_cmds},
    {.use = "snapshot <subcommand>",
     .brief = "Copies of a member's state",
     .example = SNAPSHOT_EXAMPLE,
     .group = "cluster",
     .subs = snapshot_cmds},
    {.use = "make-mirror [options] <destination>",
     .brief = "Copy keys to another cluster, and every change from then on",
     .group = "utility",
     .flags = mirror_flags,
     .run = ctl_run_make_mirror},
    {.use = "lock <lockname> [exec-command arg1 arg2 ...]",
     .brief = "Take a lock, hold it until a signal or until a command ends",
     .group = "concurrency",
     .flags = lock_flags,
     .run = ctl_run_lock},
    {.use = "elect <election-name> [proposal]",
     .brief = "Take part in an election, or watch one",
     .group = "concurrency",
     .flags = elect_flags,
     .run = ctl_run_elect},
    {.use = "auth <enable or disable>",
     .brief = "Switch authentication on or off. See `@ auth --help`",
     .detail = "Switch authentication on or off",
     .group = "auth",
     .subs = auth_cmds},
    {.use = "user <subcommand>",
     .brief = "Users. See `@ user --help`",
     .detail = "Users",
     .group = "auth",
     .subs = user_cmds},
    {.use = "role <subcommand>",
     .brief = "Roles. See `@ role --help`",
     .detail = "Roles",
     .group = "auth",
     .subs = role_cmds},
    {.use = "check <subcommand>",
     .brief = "Measurements of the cluster. See `@ check --help`",
     .detail = "Measurements of the cluster",
     .group = "utility",
     .subs = check_cmds},
    {.use = "completion [bash|zsh|fish|powershell]",
     .brief = "Print a completion script for a shell",
     .detail = "Prints a script that completes commands and flags of @.\n\n"
               "  bash:        source <(@ completion bash)\n"
               "  zsh:         @ completion zsh > \"${fpath[1]}/_@\"\n"
               "  fish:        @ completion fish > ~/.config/fish/completions/@.fish\n"
               "  powershell:  @ completion powershell | Out-String | Invoke-Expression",
     .group = "utility",
     .run = ctl_run_completion,
     .args = CLI_ARGS_SHELL,
     .is_without_flags = true},
    {.use = "downgrade <TARGET_VERSION>",
     .brief = "Go down to an older version. See `@ downgrade --help`",
     .detail = "Go down to an older version",
     .group = "cluster",
     .subs = downgrade_cmds},
    {.use = "options",
     .brief = "Show the flags that every command takes",
     .group = "utility",
     .run = ctl_run_options},
    {.use = "help [command]",
     .brief = "Help about any command",
     .detail = "Shows the help of a command: @ help <command> [subcommand]",
     .group = "utility",
     .is_help = true},
    END,
};

static const struct cli_flag root_flags[] = {
    {"endpoints", 0, CLI_STRINGS, "127.0.0.1:2379", "addresses of the members, comma separated"},
    {"debug", 0, CLI_BOOL, NULL, "print all settings on stderr"},
    {"write-out", 'w', CLI_STRING, "simple",
     "output format (fields, json, protobuf, simple, table)",
     .choices = "fields json protobuf simple table"},
    {"hex", 0, CLI_BOOL, NULL, "print keys, values and ids in hexadecimal"},
    {"dial-timeout", 0, CLI_DURATION, "2s", "time limit of the login"},
    {"command-timeout", 0, CLI_DURATION, "5s", "time limit of one request"},
    {"keepalive-time", 0, CLI_DURATION, "2s", "pause between pings of a connection"},
    {"keepalive-timeout", 0, CLI_DURATION, "6s", "wait for the answer to a ping"},
    {"max-request-bytes", 0, CLI_INT, NULL, "largest request to send, 0 for 2 MiB"},
    {"max-recv-bytes", 0, CLI_INT, NULL, "largest answer to take, 0 for 2147483647"},
    {"insecure-transport", 0, CLI_BOOL, "true", "no TLS unless an endpoint or a flag asks for it"},
    {"insecure-discovery", 0, CLI_BOOL, "true", "take http endpoints from SRV records as well"},
    {"insecure-skip-tls-verify", 0, CLI_BOOL, NULL,
     "TLS without checking the server's certificate (for tests)"},
    {"cert", 0, CLI_STRING, NULL, "TLS certificate file of this client"},
    {"key", 0, CLI_STRING, NULL, "TLS key file of this client"},
    {"cacert", 0, CLI_STRING, NULL, "file of the authorities that servers are checked against"},
    {"auth-jwt-token", 0, CLI_STRING, NULL, "token to send instead of a login"},
    {"user", 0, CLI_STRING, NULL, "name[:password] for the login; asks when there is no password"},
    {"password", 0, CLI_STRING, NULL, "password for the login (--user is then the whole name)"},
    {"discovery-srv", 'd', CLI_STRING, NULL, "domain whose SRV records name the endpoints"},
    {"discovery-srv-name", 0, CLI_STRING, NULL, "suffix of the service name in SRV records"},
    FLAGS_END,
};

const struct cli_cmd ctl_root = {
    .use = "@",
    .brief = "A command line client for etcd and Cairn.",
    .persistent = root_flags,
    .subs = root_cmds,
};

const struct cli_cmd ctl_root_etcd = {
    .use = "@",
    .brief = "A command line client for etcd and Cairn.",
    .persistent = root_flags,
    .subs = root_cmds + OWN_CMDS,
};
