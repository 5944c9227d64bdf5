#include "model/white.h"

bool white_is_space(uint32_t c) {
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

struct str white_strip(struct str s, bool left, bool right) {
    uint32_t c;
    int n;
    while (left && s.len && (n = str_utf8(s, 0, &c)) > 0 && white_is_space(c)) {
        s.ptr += n;
        s.len -= (size_t)n;
    }
    while (right && s.len) {
        size_t back = 1;
        while (back < s.len && back < 4 && ((unsigned char)s.ptr[s.len - back] & 0xc0) == 0x80) back++;
        n = str_utf8(s, s.len - back, &c);
        if (n != (int)back || !white_is_space(c)) break;
        s.len -= back;
    }
    return s;
}
