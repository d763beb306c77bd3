/* SPDX-License-Identifier: Apache-2.0
 *
 * deps: gateway_json_dep
 *
 * test/fuzz/gateway_json_fuzz: bodies of the JSON gateway.  The first byte says which message and
 * which form; what is taken goes back to JSON, and that is read again.
 */
#include <stddef.h>
#include <stdint.h>

#include "gateway/json_in.h"
#include "gateway/json_out.h"
#include "gateway/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void back(const struct json_message *m, struct slice msg, struct buf *json)
{
    struct json_out o;
    json_out_init(&o, false);
    json_out_begin(&o, m, msg.len, json);
    for (size_t at = 0; at < msg.len; at += 7) {
        size_t n = msg.len - at < 7 ? msg.len - at : 7;
        if (json_out_feed(&o, slice_make(msg.data + at, n)) != 0) {
            break;
        }
    }
    json_out_deinit(&o);
}

static void value_try(enum json_form form, const struct json_message *m, struct slice value)
{
    struct buf msg = BUF_INIT, why = BUF_INIT, json = BUF_INIT, again = BUF_INIT;
    int err = json_to_proto(form, m, value, &msg, &why);
    ensure((err == 0) == (why.len == 0));
    if (err == 0 && form == JSON_FORM_OLD) { /* fields in order, each once */
        struct json_scan s;
        back(m, buf_slice(&msg), &json);
        json_scan_init(&s);
        if (json_scan_next(&s, buf_slice(&json), true) == JSON_SCAN_VALUE) {
            (void)json_to_proto(form, m, buf_slice(&json), &again, &why);
        }
        json_scan_deinit(&s);
    } else if (err == 0) {
        back(m, buf_slice(&msg), &json);
    }
    buf_deinit(&msg);
    buf_deinit(&why);
    buf_deinit(&json);
    buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) {
        return 0;
    }
    struct slice in = slice_make(data + 1, size - 1);
    const struct json_message *m =
        json_message_at((enum json_message_id)((data[0] >> 1) % JSON_MSG_COUNT));
    enum json_form form = (data[0] & 1) != 0 ? JSON_FORM_NEW : JSON_FORM_OLD;
    struct json_scan s;
    json_scan_init(&s);
    while (json_scan_next(&s, in, true) == JSON_SCAN_VALUE) {
        value_try(form, m, slice_make(in.data + s.start, s.at - s.start));
        in = slice_skip(in, s.at);
        json_scan_reset(&s);
    }
    json_scan_deinit(&s);
    return 0;
}
