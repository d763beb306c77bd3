/* SPDX-License-Identifier: Apache-2.0
 *
 * os/errors: errno in, ERR_* out, and the text of the last failure of each thread.
 */
#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>

#include "os/impl.h"

enum { TEXT_BYTES = 128 };

/* Per thread on purpose: the disk is called on several lanes, as errno itself is. */
static _Thread_local int last_errno;
static _Thread_local char last_text[TEXT_BYTES];

struct errno_row {
    int errnum;
    int err;
};

static const struct errno_row rows[] = {
    {ENOMEM, ERR_NOMEM},           {EINVAL, ERR_INVALID},
    {EISDIR, ERR_INVALID},         {ENAMETOOLONG, ERR_INVALID},
    {EBADF, ERR_INVALID},          {ELOOP, ERR_INVALID},
    {EXDEV, ERR_INVALID},          {EAFNOSUPPORT, ERR_INVALID},
    {ENOENT, ERR_NOT_FOUND},       {ESRCH, ERR_NOT_FOUND},
    {EEXIST, ERR_EXISTS},          {EADDRINUSE, ERR_EXISTS},
    {ENOSPC, ERR_NO_SPACE},        {EDQUOT, ERR_NO_SPACE},
    {EACCES, ERR_ACCESS},          {EPERM, ERR_ACCESS},
    {EROFS, ERR_ACCESS},           {ENOTDIR, ERR_NOT_DIR},
    {ENOTEMPTY, ERR_NOT_EMPTY},    {EMFILE, ERR_TOO_MANY_FILES},
    {ENFILE, ERR_TOO_MANY_FILES},  {EBUSY, ERR_BUSY},
    {ETXTBSY, ERR_BUSY},           {EAGAIN, ERR_AGAIN},
    {EFBIG, ERR_TOO_LARGE},        {EOVERFLOW, ERR_TOO_LARGE},
    {ETIMEDOUT, ERR_TIMED_OUT},    {ECONNREFUSED, ERR_REFUSED},
    {EPIPE, ERR_CLOSED},           {ECONNRESET, ERR_NET},
    {ECONNABORTED, ERR_NET},       {ENETUNREACH, ERR_NET},
    {EHOSTUNREACH, ERR_NET},       {EADDRNOTAVAIL, ERR_NET},
    {ENOTCONN, ERR_NET},           {ENOSYS, ERR_UNSUPPORTED},
    {EOPNOTSUPP, ERR_UNSUPPORTED},
};

int os_err_from_errno(int errnum)
{
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (rows[i].errnum == errnum) {
            return rows[i].err;
        }
    }
    return ERR_IO;
}

static void text_set(const char *text)
{
    size_t n = strlen(text);
    n = n < TEXT_BYTES - 1 ? n : TEXT_BYTES - 1;
    memcpy(last_text, text, n);
    last_text[n] = 0;
}

int os_fail_with(int errnum)
{
    char text[TEXT_BYTES];
    last_errno = errnum;
    text_set(strerror_r(errnum, text, sizeof(text)));
    return os_err_from_errno(errnum);
}

int os_fail(void)
{
    return os_fail_with(errno);
}

int os_fail_uv(int status)
{
    switch (status) {
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
    case UV_EAI_FAIL:
    case UV_EAI_AGAIN:
    case UV_EAI_SERVICE:
    case UV_EAI_ADDRFAMILY:
    case UV_EAI_FAMILY:
        last_errno = 0;
        /* What Go says for an unknown host; etcd shows it to its users. */
        text_set("No such host");
        return ERR_NOT_FOUND;
    case UV_EAI_MEMORY: return os_fail_with(ENOMEM);
    default: break;
    }
    /* On this platform libuv's other numbers are negative errno values. */
    return os_fail_with(status <= UV_EAI_ADDRFAMILY ? EIO : -status);
}

const char *os_last_text(void)
{
    return last_text;
}

const char *os_last_text_go(void)
{
    static _Thread_local char text[TEXT_BYTES];
    memcpy(text, last_text, sizeof(text));
    text[0] = (char)tolower((unsigned char)text[0]);
    return text;
}

int os_last_errno(void)
{
    return last_errno;
}
