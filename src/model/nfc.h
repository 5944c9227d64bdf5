/* nfc.h - Unicode normalisation form C (utf8proc), in time near-linear in any text.
 *
 * Combining marks are put in order by a sort of ours: utf8proc's own takes quadratic time for a long run of
 * marks.
 */
#ifndef BROOD_NFC_H
#define BROOD_NFC_H

#include "base/str.h"

/* True if text is certainly in form C already: quick, and right for nearly all text. */
bool nfc_is_plain(struct str text);

/* Appends the normalised form of well-formed UTF-8 to *out. */
void nfc_add(struct buf *out, struct str text);

#endif
