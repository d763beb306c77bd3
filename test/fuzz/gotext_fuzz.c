/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: base_dep
 *
 * Text that users type: what is quoted unquotes to itself, what is encoded decodes, parsers and
 * their error texts agree.
 */
#include <math.h>
#include <stdlib.h>
#include <stdint.h>

#include "base/err.h"
#include "base/gotext.h"
#include "base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_quote(struct slice in)
{
    struct buf quoted = BUF_INIT, back = BUF_INIT;
    size_t len;
    gotext_quote(&quoted, in);
    ensure(gotext_quoted_prefix(buf_slice(&quoted), &len) == 0 && len == quoted.len);
    ensure(gotext_unquote(buf_slice(&quoted), &back) == 0);
    ensure(slice_equal(buf_slice(&back), in));
    buf_clear(&back);
    int err = gotext_unquote(in, &back);
    ensure(err == 0 || back.len == 0);
    ensure(err != 0 || (gotext_quoted_prefix(in, &len) == 0 && len == in.len));
    buf_deinit(&quoted);
    buf_deinit(&back);
}

static void check_base64(struct slice in)
{
    struct buf text = BUF_INIT, back = BUF_INIT;
    gotext_base64(&text, in);
    ensure(gotext_base64_decode(buf_slice(&text), &back) == 0);
    ensure(slice_equal(buf_slice(&back), in));
    (void)!gotext_base64_decode(in, &back);
    buf_clear(&text);
    gotext_json_string(&text, in);
    ensure(utf8_valid(text.data, text.len));
    buf_deinit(&text);
    buf_deinit(&back);
}

static void check_numbers(struct slice in)
{
    struct buf text = BUF_INIT;
    int64_t i, ns;
    uint64_t u;
    if (gotext_parse_int(in, 0, 64, &i) == 0 && i >= 0 && in.data[0] != '+' && in.data[0] != '-') {
        ensure(gotext_parse_uint(in, 0, 64, &u) == 0 && u == (uint64_t)i);
    }
    int err = gotext_parse_duration(in, &ns);
    gotext_duration_error(&text, in);
    ensure((err == 0) == (text.len == 0));
    buf_deinit(&text);
}

static void check_float(struct slice in)
{
    struct buf text = BUF_INIT;
    double v = 0;
    memcpy(&v, in.data, in.len < sizeof(v) ? in.len : sizeof(v));
    gotext_float(&text, v);
    ensure(isnan(v) || strtod(buf_cstr(&text), NULL) == v);
    if (isfinite(v)) {
        buf_clear(&text);
        gotext_json_float(&text, v);
        ensure(strtod(buf_cstr(&text), NULL) == v);
    }
    buf_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    check_quote(in);
    check_base64(in);
    check_numbers(in);
    if (size > 0) {
        check_float(in);
    }
    return 0;
}
