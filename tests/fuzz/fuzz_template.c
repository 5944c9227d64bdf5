/* The template interpreter: any template on any contents ends, within its limits; what it writes is marked
 * byte by byte, and rendering twice gives the same.
 *
 * The input is the template up to the first NUL, then the contents of three messages up to a NUL each. Bytes
 * of contents above 0x7f that the template does not have are never marked as its own.
 */
#include "base/mem.h"
#include "model/template.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static struct str take_part(struct str *rest) {
    const char *end = rest->len ? memchr(rest->ptr, 0, rest->len) : NULL;
    struct str part = {rest->ptr, end ? (size_t)(end - rest->ptr) : rest->len};
    size_t n_taken = part.len + (end != NULL);
    rest->ptr += n_taken;
    rest->len -= n_taken;
    return part;
}

static void check_marks(const struct template_output *o, struct str source) {
    bool is_ascii = true;
    for (size_t i = 0; i < source.len; i++)
        is_ascii &= (unsigned char)source.ptr[i] < 0x80 && source.ptr[i] != '\\';
    for (size_t i = 0; i < o->text.len; i++) {
        ASSERT(o->marks.ptr[i] == 0 || o->marks.ptr[i] == 1);
        ASSERT(!is_ascii || (unsigned char)o->text.ptr[i] < 0x80 || o->marks.ptr[i] == 0);
    }
}

static void check(const struct template *t, struct str source, const struct chat_message *messages,
                  size_t n) {
    struct template_input in = {.messages = messages, .n_messages = n, .bos = STR("<s>"), .eos = STR("</s>")};
    struct template_output out = {0}, again = {0};
    for (int open_answer = 0; open_answer < 2; open_answer++) {
        struct err e = {0};
        in.open_answer = open_answer;
        bool done = template_render(t, &in, &out, &e);
        ASSERT(out.text.len == out.marks.len &&
               (done || (out.text.len == 0 && e.code == ERR_INPUT && e.msg[0])));
        check_marks(&out, source);
        ASSERT(template_render(t, &in, &again, &e) == done);
        ASSERT(str_equal(buf_str(&out.text), buf_str(&again.text)));
        ASSERT(str_equal(buf_str(&out.marks), buf_str(&again.marks)));
    }
    template_output_fini(&out);
    template_output_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct str rest = {(const char *)bytes, n}, source = take_part(&rest);
    struct chat_message messages[3];
    struct err e = {0};
    for (size_t i = 0; i < 3; i++) messages[i] = (struct chat_message){(enum chat_role)i, take_part(&rest)};
    struct template *t = template_new(source, &e);
    if (!t) {
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
        return 0;
    }
    check(t, source, messages, 3);
    check(t, source, messages + 1, 1);
    template_free(t);
    return 0;
}
