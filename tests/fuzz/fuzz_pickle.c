/* pickle_parse: what is accepted lies within the file and can be read; everything else is one line. The input
 * is a whole archive; one that begins with another byte than 'P' is taken as data.pkl of an archive made
 * around it. */
#include <stdlib.h>

#include "model/pickle.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void put(struct buf *out, uint64_t x, int n_bytes) {
    for (int i = 0; i < n_bytes; i++) buf_add_char(out, (char)(i < 8 ? x >> (8 * i) & 0xff : 0));
}

static void put_entry(struct buf *archive, struct buf *list, const char *name, struct str data) {
    const size_t at = archive->len, n_name = str_from(name).len;
    put(archive, 0x04034b50, 4);
    put(archive, 0, 14);
    put(archive, data.len, 4);
    put(archive, data.len, 4);
    put(archive, n_name, 2);
    put(archive, 0, 2);
    buf_add(archive, name, n_name);
    buf_add(archive, data.ptr, data.len);
    put(list, 0x02014b50, 4);
    put(list, 0, 16);
    put(list, data.len, 4);
    put(list, data.len, 4);
    put(list, n_name, 2);
    put(list, 0, 12);
    put(list, at, 4);
    buf_add(list, name, n_name);
}

static struct buf archive_around(const uint8_t *bytes, size_t n) {
    struct buf archive = {0}, list = {0};
    put_entry(&archive, &list, "m/data.pkl", (struct str){(const char *)bytes, n});
    put_entry(&archive, &list, "m/data/0", (struct str){(const char *)bytes, n});
    const size_t at = archive.len;
    buf_add_str(&archive, buf_str(&list));
    put(&archive, 0x06054b50, 4);
    put(&archive, 0, 4);
    put(&archive, 2, 2);
    put(&archive, 2, 2);
    put(&archive, list.len, 4);
    put(&archive, at, 4);
    put(&archive, 0, 2);
    buf_free(&list);
    return archive;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
    struct weights w = {0};
    struct err e = {0};
    struct buf archive = {0};
    if (n > 0 && bytes[0] == 'P')
        buf_add(&archive, (const char *)bytes, n);
    else
        archive = archive_around(bytes, n);
    const unsigned char *all = (const unsigned char *)buf_cstr(&archive);
    if (pickle_parse(all, archive.len, "fuzz", &w, &e)) {
        unsigned sum = 0;
        for (size_t i = 0; i < w.n_tensors; i++) {
            const unsigned char *data = w.tensors[i].data;
            ASSERT(data >= all && w.tensors[i].n_bytes <= archive.len &&
                   data + w.tensors[i].n_bytes <= all + archive.len);
            for (size_t k = 0; k < w.tensors[i].n_bytes; k++) sum += data[k];
        }
        ASSERT(sum < UINT32_MAX);
    } else {
        ASSERT(e.code == ERR_INPUT && e.msg[0]);
    }
    weights_fini(&w);
    buf_free(&archive);
    return 0;
}
