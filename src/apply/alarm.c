/* SPDX-License-Identifier: Apache-2.0
 *
 * apply/alarm: the replicated table of alarms (client-api 2.5.1).
 */
#include "apply/internal.h"

enum { ALARM_GET = 0, ALARM_ACTIVATE = 1, ALARM_DEACTIVATE = 2 };
enum { FIELD_ALARMS = 2 };

size_t apply_alarm_count(const struct apply *a)
{
    return a->alarm_count;
}

struct schema_alarm apply_alarm_at(const struct apply *a, size_t i)
{
    ensure(i < a->alarm_count);
    return a->alarms[i];
}

bool apply_has_alarm(const struct apply *a, int32_t type)
{
    for (size_t i = 0; i < a->alarm_count; i++) {
        if (a->alarms[i].type == type) {
            return true;
        }
    }
    return false;
}

static size_t alarm_find(const struct apply *a, struct schema_alarm alarm)
{
    size_t i = 0;
    while (i < a->alarm_count &&
           (a->alarms[i].member_id != alarm.member_id || a->alarms[i].type != alarm.type)) {
        i++;
    }
    return i;
}

static void append_row(struct buf *body, struct schema_alarm alarm)
{
    if (body == NULL) {
        return;
    }
    struct buf row = BUF_INIT;
    schema_alarm_encode(&row, alarm); /* the row in the bucket is an AlarmMember too */
    wire_append_message(body, FIELD_ALARMS, buf_slice(&row));
    buf_deinit(&row);
}

void apply_alarm_load(struct apply *a, struct schema_alarm alarm)
{
    if (alarm_find(a, alarm) < a->alarm_count || a->alarm_count >= APPLY_ALARMS_MAX) {
        return;
    }
    a->alarms = mem_realloc(a->alarms, (a->alarm_count + 1) * sizeof(*a->alarms));
    a->alarms[a->alarm_count++] = alarm;
}

static void activate(struct apply *a, struct schema_alarm alarm, struct buf *body)
{
    if (alarm.type == SCHEMA_ALARM_NONE) {
        return;
    }
    if (alarm_find(a, alarm) == a->alarm_count) {
        if (a->alarm_count == APPLY_ALARMS_MAX) {
            return; /* what would not be remembered is not stored: a start must be able to read it
                     */
        }
        schema_put_alarm(a->o.backend, alarm);
        apply_alarm_load(a, alarm);
    }
    append_row(body, alarm);
}

static void deactivate(struct apply *a, struct schema_alarm alarm, struct buf *body)
{
    size_t i = alarm_find(a, alarm);
    if (i == a->alarm_count) {
        return;
    }
    schema_delete_alarm(a->o.backend, alarm);
    for (a->alarm_count--; i < a->alarm_count; i++) {
        a->alarms[i] = a->alarms[i + 1];
    }
    append_row(body, alarm);
}

int apply_alarm_request(struct apply *a, struct buf *body)
{
    int64_t action = 0;
    struct schema_alarm alarm = {0};
    struct wire_scan s;
    for (wire_scan_init(&s, a->req.body); wire_scan_next(&s);) {
        if (s.type != WIRE_VARINT) {
            continue;
        }
        if (s.field == 1) {
            action = (int32_t)s.number;
        } else if (s.field == 2) {
            alarm.member_id = s.number;
        } else if (s.field == 3) {
            alarm.type = (int32_t)s.number;
        }
    }
    if (s.err != 0) {
        return s.err;
    }
    if (action == ALARM_ACTIVATE) {
        activate(a, alarm, body);
    } else if (action == ALARM_DEACTIVATE) {
        deactivate(a, alarm, body);
    } else if (action == ALARM_GET) {
        for (size_t i = 0; i < a->alarm_count; i++) {
            if (alarm.type == SCHEMA_ALARM_NONE || alarm.type == a->alarms[i].type) {
                append_row(body, a->alarms[i]);
            }
        }
    }
    return 0;
}
