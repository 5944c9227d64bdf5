/* Chat templates interpreted: against what jinja2 makes of them, who wrote which byte, refusals, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "model/template.h"
#include "template_cases.h"

static bool render(const char *source, const struct chat_message *messages, size_t n,
                   struct template_output *out, struct err *e) {
    const struct template_input in = {
        .messages = messages, .n_messages = n, .open_answer = true, .bos = STR("<s>"), .eos = STR("</s>")};
    struct template *t = template_new(str_from(source), e);
    bool done = t && template_render(t, &in, out, e);
    template_free(t);
    return done;
}

static void cases_are_as_recorded(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(template_cases); i++) {
        struct template_output out = {0};
        struct err e = {0};
        if (!render(template_cases[i].source, template_messages, 3, &out, &e))
            fail_msg("%s: %s", template_cases[i].source, e.msg);
        assert_string_equal(buf_cstr(&out.text), template_cases[i].wanted);
        assert_int_equal(out.text.len, out.marks.len);
        template_output_fini(&out);
    }
}

/* Contents of characters that no template has: exactly their bytes are not the template's, whatever is done
 * with them. */
static void others_bytes_are_known(void **state) {
    static const char *const more[] = {
        "{{ messages[0].content[::-1] ~ messages[1].content * 2 }}{{ messages|tojson }}",
        "{% set x %}{{ messages[0].content }}{% endset %}{{ x|replace('a', 'b')|upper }}{{ "
        "x.split('b')|join('-') }}",
        "{% macro f(x) %}<{{ x }}>{% endmacro %}{{ f(messages[0].content) }}{% filter trim %} {{ f(1) }}{% "
        "endfilter %}",
        "{{ '%' ~ messages[2].content|indent|title }}{{ messages|map(attribute='content')|join('|') }}",
        "{{ 'axbxc'.replace('x', messages[0].content) }}{{ messages[0].content.join(['a', 'b']) }}",
        "{% for c in messages[0].content %}{{ c }}{% endfor %}{{ (messages[0].content + 'x' + "
        "messages[1].content)[1:-1] }}",
        "{{ messages[0].content.replace('', '-') }}{{ ['b', messages[0].content]|sort|last }}{{ {'a': "
        "messages[0].content}.a }}",
    };
    const struct chat_message messages[] = {{CHAT_USER, STR("\xee\x80\x80\xee\x80\x81")},
                                            {CHAT_ASSISTANT, STR("\xee\x80\x82")},
                                            {CHAT_USER, STR(" \xee\x80\x83\n")}};
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(template_cases) + ARRAY_LEN(more); i++) {
        struct template_output out = {0};
        struct err e = {0};
        const char *source = i < ARRAY_LEN(more) ? more[i] : template_cases[i - ARRAY_LEN(more)].source;
        if (!render(source, messages, 3, &out, &e)) fail_msg("%s: %s", source, e.msg);
        for (size_t k = 0; k < out.text.len; k++) {
            bool foreign = (unsigned char)out.text.ptr[k] == 0xee ||
                           (k >= 1 && (unsigned char)out.text.ptr[k - 1] == 0xee) ||
                           (k >= 2 && (unsigned char)out.text.ptr[k - 2] == 0xee);
            bool space = strchr(" \n", out.text.ptr[k]); /* may be either's */
            if (!space && foreign == out.marks.ptr[k])
                fail_msg("%s: byte %zu of %s", source, k, buf_cstr(&out.text));
        }
        template_output_fini(&out);
    }
}

static const char *const refused[][2] = {
    {"a\nb\n{% include 'x' %}", "line 3: the tag \"include\""},
    {"{% for m in [] %}", "a tag \"endfor\" is missing"},
    {"{% block x %}{% endblock %}", "\"block\""},
    {"{% call f() %}{% endcall %}", "\"call\""},
    {"{% autoescape true %}{% endautoescape %}", "\"autoescape\""},
    {"{% do x %}", "\"do\""},
    {"{{ 1.5 }}", "fraction"},
    {"{{ 1 / 2 }}", "/ is not supported"},
    {"\n{{ [1]|groupby('x') }}", "line 2: the filter \"groupby\""},
    {"{{ 'a'|format(1) }}", "\"format\""},
    {"{{ 'a' is filter }}", "the test \"filter\""},
    {"{{ 'a'.zfill(3) }}", "\"zfill\""},
    {"{{ cycler('a') }}", "\"cycler\""},
    {"{{ '%s' % 1 }}", "% with a text"},
    {"{{ messages.append(1) }}", "cannot change"},
    {"{{ messages[0].pop('role') }}", "cannot change"},
    {"{% set messages[0].role = 1 %}", "unexpected"},
    {"{% set messages.x = 1 %}", "only a namespace"},
    {"{% for x in y recursive %}{% endfor %}", "recursive"},
    {"{{ f(*x) }}", "by * or **"},
    {"{{ 'a'|safe + 'b' }}", "safe"},
    {"{{ 'a'|safe ~ 'b' }}", "safe"},
    {"{{ nothing.x }}", "\"nothing\" is not defined"},
    {"{{ nothing + 1 }}", "\"nothing\" is not defined"},
    {"{{ nothing(1) }}", "\"nothing\""},
    {"{{ none.x.y }}", "\"x\" is not defined"},
    {"{% for x in none %}{% endfor %}", "none cannot be gone through"},
    {"{% for a, b in [1] %}{% endfor %}", "cannot be gone through"},
    {"{% for a, b in [[1]] %}{% endfor %}", "2 names"},
    {"{{ 1 < 'a' }}", "between a number and a text"},
    {"{{ 1 // 0 }}", "division by zero"},
    {"{{ 9999999999 * 9999999999 }}", "too large"},
    {"{{ messages|map('upper') }}", "|list"},
    {"{{ '\\N{DASH}' }}", "escape"},
    {"{{ 'a", "closing quote"},
    {"{{ (1 }}", "closes nothing"},
    {"{{ 1 ) }}", "closes nothing"},
    {"{{ x", "without its }}"},
    {"{% if x ", "without its %}"},
    {"{# x", "without its #}"},
    {"{% raw %}x", "endraw"},
    {"{% if x %}", "\"endif\" is missing"},
    {"{% endif %}", "\"endif\""},
    {"{{ }}", "unexpected"},
    {"{{ 1 2 }}", "unexpected"},
    {"{{ $ }}", "unexpected character"},
    {"{% break %}", "outside of its loop"},
    {"{% for x in [1] %}{% macro f() %}{% break %}{% endmacro %}{{ f() }}{% endfor %}",
     "outside of its loop"},
    {"{% macro f(a) %}{% endmacro %}{{ f(1, 2) }}", "does not take"},
    {"{% macro f(a) %}{% endmacro %}{{ f(b=2) }}", "does not take"},
    {"{{ 'a'.split(x=1) }}", "\"x\""},
    {"{{ range(1000000) }}", "over 100000 long"},
    {"{{ strftime_now('%c') }}", "%c"},
    {"{{ '\xc3\x9f'|upper }}", "U+00DF"},
    {"{{ raise_exception('Only ' ~ 'this') }}", "refuses this conversation: Only this"},
    {"{{ {'a': 1}['b'].c }}", "\"b\" is not defined"},
    {"{{ {[]: 1} }}", "a key"},
};

static void what_is_not_understood_is_named(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct template_output out = {0};
        struct err e = {0};
        if (render(refused[i][0], template_messages, 3, &out, &e)) fail_msg("%s is accepted", refused[i][0]);
        if (!strstr(e.msg, refused[i][1])) fail_msg("%s: %s", refused[i][0], e.msg);
        assert_int_equal(e.code, ERR_INPUT);
        assert_non_null(strstr(e.msg, "line "));
        assert_int_equal(out.text.len, 0);
        template_output_fini(&out);
    }
}

static void repeated(struct buf *out, const char *part, int n) {
    for (int i = 0; i < n; i++) buf_add_str(out, str_from(part));
}

static void any_template_ends(void **state) {
    static const char *const sources[] = {
        "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f(n) %}{{ f(n + 1) ~ f(n + 1) }}{% endmacro %}{{ f(0) }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x='ab') %}{% for a in range(99999) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for a in range(99999) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
        "{% set n = namespace(x=[]) %}{% for a in range(9999) %}{% set n.x = [n.x, n.x] %}{% endfor%}{{n.x}}",
        "{{ 'abc' * 999999999 }}",
        "{{ 'aaaaaaaaaa'.replace('a', 'b' * 4000000) }}",
        "{{ 'a' * 1000000 }}{% for a in range(99999) %}{{ 'b' * 100000 }}{% endfor %}",
        "{% set x = 'a' * 1000000 %}{% for a in range(99999) %}{% if 'b' in x %}{% endif %}{% endfor %}",
    };
    struct buf source = {0};
    struct template_output out = {0};
    struct err e = {0};
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        assert_false(render(sources[i], template_messages, 3, &out, &e));
        assert_int_equal(e.code, ERR_INPUT);
    }
    const char *const opening[] = {"{{ (",  "{% if x %}", "{{ [",    "{{ not ",
                                   "{{ - ", "{{ x if ",   "{{ x.a[", "{{ f("};
    for (size_t i = 0; i < ARRAY_LEN(opening); i++) {
        buf_clear(&source);
        buf_add_str(&source, STR("{{ "));
        if (opening[i][1] == '%') buf_clear(&source);
        repeated(&source, opening[i] + (opening[i][1] == '{' ? 3 : 0), 20000);
        assert_false(render(buf_cstr(&source), template_messages, 3, &out, &e));
    }
    buf_clear(&source);
    repeated(&source, "x", (1 << 20) + 1);
    assert_false(render(buf_cstr(&source), template_messages, 3, &out, &e));
    assert_non_null(strstr(e.msg, "allowed"));
    buf_free(&source);
    template_output_fini(&out);
}

/* A template cut off anywhere is read or refused, never misread into a crash. */
static void broken_templates_end_well(void **state) {
    UNUSED(state);
    for (size_t i = 0; i < ARRAY_LEN(template_cases); i++) {
        char *source = mem_strdup(template_cases[i].source);
        for (size_t n = strlen(source); n-- > 0;) {
            struct template_output out = {0};
            struct err e = {0};
            source[n] = '\0';
            if (!render(source, template_messages, 3, &out, &e)) assert_true(e.code == ERR_INPUT && e.msg[0]);
            template_output_fini(&out);
        }
        free(source);
    }
}

static void contents_may_be_any_bytes(void **state) {
    static const char source[] = "{% for m in messages %}{{ m.content|trim }}{{ m.content|upper }}{{ "
                                 "m.content[::-1] }}{{ m.content|length }}"
                                 "{{ m.content.split() }}{{ m.content|tojson }}{{ m.content.splitlines() "
                                 "}}{{ m.content.strip('a') }}{% endfor %}";
    UNUSED(state);
    for (int i = 0; i < 256; i++) {
        char bytes[] = {'a', (char)i, ' ', (char)(i ^ 0x55), (char)(255 - i), 'b'};
        const struct chat_message message = {CHAT_USER, {bytes, sizeof bytes}};
        struct template_output out = {0};
        struct err e = {0};
        if (!render(source, &message, 1, &out, &e)) assert_non_null(strstr(e.msg, "U+"));
        assert_int_equal(out.text.len, out.marks.len);
        template_output_fini(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_are_as_recorded),           cmocka_unit_test(others_bytes_are_known),
        cmocka_unit_test(what_is_not_understood_is_named), cmocka_unit_test(any_template_ends),
        cmocka_unit_test(broken_templates_end_well),       cmocka_unit_test(contents_may_be_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
