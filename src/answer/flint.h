/* flint.h - the mathematics libraries under one roof: FLINT 3, or FLINT 2 beside Arb and Calcium (private to
 * the room). */
#ifndef BROOD_ANSWER_FLINT_H
#define BROOD_ANSWER_FLINT_H

#include <flint/fmpq.h>
#if __has_include(<flint/ca.h>)
#include <flint/acb.h>
#include <flint/ca.h>
#include <flint/fmpz_mpoly_q.h>
#else
#include <acb.h>
#include <calcium/ca.h>
#include <calcium/fmpz_mpoly_q.h>
#endif

#endif
