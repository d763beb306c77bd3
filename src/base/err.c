/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <string.h>

struct err_row {
    const char *name;
    const char *text;
    enum grpc_code code;
};

static const struct err_row env_rows[] = {
    {"OK", "ok", GRPC_OK},
#define ERR(n, t) {"ERR_" #n, t, GRPC_UNKNOWN},
#include "base/err.def"
#undef ERR
};

static const struct err_row rpc_rows[] = {
    {"OK", "ok", GRPC_OK},
#define ETCD_ERR(n, c, t) {"ERR_RPC_" #n, t, GRPC_##c},
#include "api/errors.def"
#undef ETCD_ERR
};

static const struct err_row unknown_row = {"ERR_?", "unknown error", GRPC_UNKNOWN};

static const struct err_row *row_of(int err)
{
    if (err <= 0 && -err < (int)ARRAY_LEN(env_rows)) {
        return &env_rows[-err];
    }
    int idx = -err - ERR_RPC_FIRST_POS;
    if (idx > 0 && idx < (int)ARRAY_LEN(rpc_rows)) {
        return &rpc_rows[idx];
    }
    return &unknown_row;
}

const char *err_text(int err)
{
    return row_of(err)->text;
}

const char *err_name(int err)
{
    return row_of(err)->name;
}

int err_is_rpc(int err)
{
    return -err > ERR_RPC_FIRST_POS && -err < (int)ERR_RPC_POS_END;
}

enum grpc_code err_grpc_code(int err)
{
    return row_of(err)->code;
}

int err_rpc_from_text(const char *text, unsigned long len)
{
    for (size_t i = 1; i < ARRAY_LEN(rpc_rows); i++) {
        if (strlen(rpc_rows[i].text) == len && memcmp(rpc_rows[i].text, text, len) == 0) {
            return -(ERR_RPC_FIRST_POS + (int)i);
        }
    }
    return 0;
}
