/* SPDX-License-Identifier: Apache-2.0
 *
 * cmd/print_table: tables with box characters, as etcdctl 3.7 draws them (cli.md 2.5 table).
 */
#include "cmd/print_impl.h"

#include "cmd/print_text.h"

void print_table_init(struct print_table *t, const char *const *headings, size_t columns,
                      size_t rows)
{
    *t = (struct print_table){.columns = columns, .headings = headings, .rows = rows};
    t->cells = mem_zalloc((columns * rows + 1) * sizeof(*t->cells));
}

void print_table_deinit(struct print_table *t)
{
    for (size_t i = 0; i < t->columns * t->rows; i++) {
        buf_deinit(&t->cells[i]);
    }
    mem_free(t->cells);
}

struct buf *print_cell(struct print_table *t, size_t row, size_t column)
{
    ensure(row < t->rows && column < t->columns);
    return &t->cells[row * t->columns + column];
}

static size_t column_width(const struct print_table *t, size_t column)
{
    size_t width = strlen(t->headings[column]);
    for (size_t row = 0; row < t->rows; row++) {
        size_t n = text_width(text_trim(buf_slice(&t->cells[row * t->columns + column])));
        width = n > width ? n : width;
    }
    return width;
}

static void rule(const struct print_table *t, const char *left, const char *middle,
                 const char *right, struct buf *out)
{
    buf_append_cstr(out, left);
    for (size_t c = 0; c < t->columns; c++) {
        buf_append_cstr(out, c > 0 ? middle : "");
        for (size_t i = 0; i < column_width(t, c) + 2; i++) {
            buf_append_cstr(out, "\u2500");
        }
    }
    buf_append_cstr(out, right);
    buf_append_byte(out, '\n');
}

static void cell(struct slice text, size_t left, size_t right, struct buf *out)
{
    buf_printf(out, "%*s", (int)left + 1, "");
    buf_append_slice(out, text);
    buf_printf(out, "%*s\u2502", (int)right + 1, "");
}

void print_table_draw(const struct print_table *t, struct buf *out)
{
    rule(t, "\u250c", "\u252c", "\u2510", out);
    buf_append_cstr(out, "\u2502");
    for (size_t c = 0; c < t->columns; c++) {
        struct slice heading = slice_cstr(t->headings[c]);
        size_t blank = column_width(t, c) - heading.len;
        cell(heading, blank / 2, blank - blank / 2, out);
    }
    buf_append_byte(out, '\n');
    if (t->rows > 0) {
        rule(t, "\u251c", "\u253c", "\u2524", out);
    }
    for (size_t row = 0; row < t->rows; row++) {
        buf_append_cstr(out, "\u2502");
        for (size_t c = 0; c < t->columns; c++) {
            struct slice text = text_trim(buf_slice(&t->cells[row * t->columns + c]));
            cell(text, column_width(t, c) - text_width(text), 0, out);
        }
        buf_append_byte(out, '\n');
    }
    rule(t, "\u2514", "\u2534", "\u2518", out);
}

void print_table_simple(const struct print_table *t, struct buf *out)
{
    for (size_t row = 0; row < t->rows; row++) {
        for (size_t c = 0; c < t->columns; c++) {
            buf_append_cstr(out, c > 0 ? ", " : "");
            buf_append_slice(out, buf_slice(&t->cells[row * t->columns + c]));
        }
        buf_append_byte(out, '\n');
    }
}
