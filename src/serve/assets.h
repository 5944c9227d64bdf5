/* assets.h - the files of the page, as the binary holds them: one row a file of src/serve/page/ (assets.c).
 *
 * The page is sent with a Content-Security-Policy that allows nothing but these files and requests to the
 * server itself: no script or style inside of HTML, no eval, nothing from elsewhere.
 */
#ifndef BROOD_SERVE_ASSETS_H
#define BROOD_SERVE_ASSETS_H

#include "base/str.h"

struct asset {
    const char *path; /* "/", "/assets/page.js" */
    const char *type; /* "text/html; charset=utf-8" */
    const char *bytes;
    size_t length;
};

bool asset_find(const char *path, struct asset *out);

#endif
