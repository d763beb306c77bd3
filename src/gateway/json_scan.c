/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/json_scan.h"

#include <stdio.h>

enum state {
    BEGIN_VALUE,
    BEGIN_VALUE_OR_EMPTY,  /* behind '[' */
    BEGIN_STRING_OR_EMPTY, /* behind '{' */
    BEGIN_STRING,          /* behind ',' in an object */
    END_VALUE,
    IN_STRING,
    IN_ESCAPE,
    IN_U, /* and the next three: hex digits to come */
    IN_U1,
    IN_U2,
    IN_U3,
    NUM_NEG,
    NUM_ZERO,
    NUM_INT,
    NUM_DOT,
    NUM_FRAC,
    NUM_E,
    NUM_E_SIGN,
    NUM_EXP,
    LITERAL, /* and what of LITERAL_TEXT comes next */
};

/* Literals one behind the other; a state is LITERAL + index of the byte that is wanted. */
static const char literal_text[] = "true\0false\0null";
static const char *const literal_name[] = {"true", "false", "null"};
static const int literal_at[] = {0, 5, 11};

/* What an open container waits for. */
enum { WANT_KEY, WANT_OBJECT_VALUE, WANT_ARRAY_VALUE };

enum step { STEP_GO, STEP_END, STEP_END_BEFORE, STEP_ERROR };

void json_scan_init(struct json_scan *s)
{
    memset(s, 0, sizeof(*s));
    s->stack = BUF_INIT;
}

void json_scan_deinit(struct json_scan *s)
{
    buf_deinit(&s->stack);
}

void json_scan_reset(struct json_scan *s)
{
    s->at = s->start = 0;
    s->state = BEGIN_VALUE;
    buf_clear(&s->stack);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Go's quoteChar: a byte is shown as the rune of that number. */
static void quote_char(uint8_t c, char out[16])
{
    static const char names[] = "abtnvfr"; /* from \a, which is 7, on */
    if (c == '\'') {
        (void)snprintf(out, 16, "'\\''");
    } else if (c == '\\') {
        (void)snprintf(out, 16, "'\\\\'");
    } else if (c >= 7 && c <= 13) {
        (void)snprintf(out, 16, "'\\%c'", names[c - 7]);
    } else if (c < 0x20 || c == 0x7f) {
        (void)snprintf(out, 16, "'\\x%02x'", c);
    } else if (c < 0x80) {
        (void)snprintf(out, 16, "'%c'", c);
    } else if (c < 0xa1 || c == 0xad) {
        (void)snprintf(out, 16, "'\\u%04x'", c);
    } else {
        (void)snprintf(out, 16, "'%c%c'", 0xc0 | c >> 6, 0x80 | (c & 0x3f));
    }
}

static enum step fail(struct json_scan *s, uint8_t c, const char *context)
{
    char quoted[16];
    quote_char(c, quoted);
    (void)snprintf(s->why, sizeof(s->why), "invalid character %s %s", quoted, context);
    return STEP_ERROR;
}

static enum step push(struct json_scan *s, uint8_t c, uint8_t want, int state)
{
    if (s->stack.len == JSON_SCAN_DEPTH_MAX) {
        return fail(s, c, "exceeded max depth");
    }
    buf_append_byte(&s->stack, want);
    s->state = state;
    return STEP_GO;
}

static enum step pop(struct json_scan *s)
{
    s->stack.len--;
    s->state = END_VALUE;
    return s->stack.len == 0 ? STEP_END : STEP_GO;
}

static enum step begin_value(struct json_scan *s, uint8_t c)
{
    switch (c) {
    case '{': return push(s, c, WANT_KEY, BEGIN_STRING_OR_EMPTY);
    case '[': return push(s, c, WANT_ARRAY_VALUE, BEGIN_VALUE_OR_EMPTY);
    case '"': s->state = IN_STRING; return STEP_GO;
    case '-': s->state = NUM_NEG; return STEP_GO;
    case '0': s->state = NUM_ZERO; return STEP_GO;
    case 't': s->state = LITERAL + literal_at[0] + 1; return STEP_GO;
    case 'f': s->state = LITERAL + literal_at[1] + 1; return STEP_GO;
    case 'n': s->state = LITERAL + literal_at[2] + 1; return STEP_GO;
    default: break;
    }
    if (c >= '1' && c <= '9') {
        s->state = NUM_INT;
        return STEP_GO;
    }
    return fail(s, c, "looking for beginning of value");
}

static enum step begin_string(struct json_scan *s, uint8_t c)
{
    if (c == '"') {
        s->state = IN_STRING;
        return STEP_GO;
    }
    return fail(s, c, "looking for beginning of object key string");
}

/* A value ended just before c. */
static enum step end_value(struct json_scan *s, uint8_t c)
{
    if (s->stack.len == 0) {
        return STEP_END_BEFORE; /* whatever c is: Go's decoder stops here, too */
    }
    s->state = END_VALUE;
    if (is_blank(c)) {
        return STEP_GO;
    }
    uint8_t *want = &s->stack.data[s->stack.len - 1];
    switch (*want) {
    case WANT_KEY:
        if (c != ':') {
            return fail(s, c, "after object key");
        }
        *want = WANT_OBJECT_VALUE;
        s->state = BEGIN_VALUE;
        return STEP_GO;
    case WANT_OBJECT_VALUE:
        if (c == ',') {
            *want = WANT_KEY;
            s->state = BEGIN_STRING;
            return STEP_GO;
        }
        return c == '}' ? pop(s) : fail(s, c, "after object key:value pair");
    default:
        if (c == ',') {
            s->state = BEGIN_VALUE;
            return STEP_GO;
        }
        return c == ']' ? pop(s) : fail(s, c, "after array element");
    }
}

static enum step in_string(struct json_scan *s, uint8_t c)
{
    if (c == '"') {
        s->state = END_VALUE;
    } else if (c == '\\') {
        s->state = IN_ESCAPE;
    } else if (c < 0x20) {
        return fail(s, c, "in string literal");
    }
    return STEP_GO;
}

static enum step in_escape(struct json_scan *s, uint8_t c)
{
    if (c == 'u') {
        s->state = IN_U;
        return STEP_GO;
    }
    if (c != 0 && strchr("bfnrt\\/\"", c) != NULL) {
        s->state = IN_STRING;
        return STEP_GO;
    }
    return fail(s, c, "in string escape code");
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static enum step in_u(struct json_scan *s, uint8_t c)
{
    uint8_t lower = c | 0x20;
    if (!is_digit(c) && (lower < 'a' || lower > 'f')) {
        return fail(s, c, "in \\u hexadecimal character escape");
    }
    s->state = s->state == IN_U3 ? IN_STRING : s->state + 1;
    return STEP_GO;
}

static enum step digits(struct json_scan *s, uint8_t c, bool may_dot, bool may_e)
{
    if (is_digit(c) && s->state != NUM_ZERO) {
        return STEP_GO;
    }
    if (may_dot && c == '.') {
        s->state = NUM_DOT;
        return STEP_GO;
    }
    if (may_e && (c == 'e' || c == 'E')) {
        s->state = NUM_E;
        return STEP_GO;
    }
    return end_value(s, c);
}

static enum step in_number(struct json_scan *s, uint8_t c)
{
    switch (s->state) {
    case NUM_NEG:
        if (!is_digit(c)) {
            return fail(s, c, "in numeric literal");
        }
        s->state = c == '0' ? NUM_ZERO : NUM_INT;
        return STEP_GO;
    case NUM_DOT:
        if (!is_digit(c)) {
            return fail(s, c, "after decimal point in numeric literal");
        }
        s->state = NUM_FRAC;
        return STEP_GO;
    case NUM_E:
    case NUM_E_SIGN:
        if (s->state == NUM_E && (c == '+' || c == '-')) {
            s->state = NUM_E_SIGN;
            return STEP_GO;
        }
        if (!is_digit(c)) {
            return fail(s, c, "in exponent of numeric literal");
        }
        s->state = NUM_EXP;
        return STEP_GO;
    case NUM_FRAC: return digits(s, c, false, true);
    case NUM_EXP: return digits(s, c, false, false);
    default: return digits(s, c, true, true);
    }
}

static enum step in_literal(struct json_scan *s, uint8_t c)
{
    int at = s->state - LITERAL;
    if (c == (uint8_t)literal_text[at]) {
        s->state = literal_text[at + 1] == 0 ? END_VALUE : s->state + 1;
        return STEP_GO;
    }
    int which = at >= literal_at[2] ? 2 : (at >= literal_at[1] ? 1 : 0);
    char context[48];
    (void)snprintf(context, sizeof(context), "in literal %s (expecting '%c')", literal_name[which],
                   literal_text[at]);
    return fail(s, c, context);
}

static enum step step(struct json_scan *s, uint8_t c)
{
    switch (s->state) {
    case BEGIN_VALUE: return is_blank(c) ? STEP_GO : begin_value(s, c);
    case BEGIN_VALUE_OR_EMPTY:
        if (is_blank(c)) {
            return STEP_GO;
        }
        return c == ']' ? pop(s) : begin_value(s, c);
    case BEGIN_STRING_OR_EMPTY:
        if (is_blank(c)) {
            return STEP_GO;
        }
        return c == '}' ? pop(s) : begin_string(s, c);
    case BEGIN_STRING: return is_blank(c) ? STEP_GO : begin_string(s, c);
    case END_VALUE: return end_value(s, c);
    case IN_STRING: return in_string(s, c);
    case IN_ESCAPE: return in_escape(s, c);
    case IN_U:
    case IN_U1:
    case IN_U2:
    case IN_U3: return in_u(s, c);
    default: return s->state >= LITERAL ? in_literal(s, c) : in_number(s, c);
    }
}

/* Nothing follows: a number or literal may be whole. */
static enum json_scan_result at_end(struct json_scan *s)
{
    if (s->state == BEGIN_VALUE && s->stack.len == 0) {
        return JSON_SCAN_EMPTY;
    }
    if (s->stack.len == 0 && step(s, ' ') == STEP_END_BEFORE) {
        return JSON_SCAN_VALUE;
    }
    (void)snprintf(s->why, sizeof(s->why), "unexpected EOF");
    return JSON_SCAN_ERROR;
}

enum json_scan_result json_scan_next(struct json_scan *s, struct slice in, bool is_end)
{
    while (s->at < in.len) {
        uint8_t c = in.data[s->at];
        if (s->state == BEGIN_VALUE && s->stack.len == 0) {
            s->start = s->at + (is_blank(c) ? 1 : 0);
        }
        switch (step(s, c)) {
        case STEP_GO: s->at++; break;
        case STEP_END: s->at++; return JSON_SCAN_VALUE;
        case STEP_END_BEFORE: return JSON_SCAN_VALUE;
        case STEP_ERROR: return JSON_SCAN_ERROR;
        }
    }
    return is_end ? at_end(s) : JSON_SCAN_MORE;
}

/* What follows the value, or why there is none; "" when all is well. */
static void judge_whole(struct json_scan *s, struct slice in, enum json_scan_result r)
{
    bool is_value = r == JSON_SCAN_VALUE;
    if (r == JSON_SCAN_MORE) {
        is_value = step(s, ' ') == STEP_END_BEFORE;
        if (!is_value && s->why[0] == 0) {
            (void)snprintf(s->why, sizeof(s->why), "unexpected end of JSON input");
        }
    }
    while (is_value && s->at < in.len && is_blank(in.data[s->at])) {
        s->at++;
    }
    if (is_value && s->at < in.len) {
        (void)fail(s, in.data[s->at], "after top-level value");
    }
}

void json_scan_whole(struct slice in, char why[JSON_SCAN_WHY_MAX])
{
    struct json_scan s;
    json_scan_init(&s);
    judge_whole(&s, in, json_scan_next(&s, in, false));
    memcpy(why, s.why, sizeof(s.why));
    json_scan_deinit(&s);
}
