#include "engine/sampler.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"

#define GREEDY_BELOW 1e-5f
enum { BLOCK = 64 };

void sampler_init(struct sampler *s, int n_vocab) {
    s->p = mem_alloc_aligned(64, (size_t)n_vocab * sizeof *s->p);
    s->sums = mem_zalloc((size_t)n_vocab / BLOCK + 1, sizeof *s->sums);
    s->heap = mem_zalloc((size_t)n_vocab, sizeof *s->heap);
}

void sampler_fini(struct sampler *s) {
    free(s->p);
    free(s->sums);
    free(s->heap);
    *s = (struct sampler){0};
}

/* x = m 2^e with m in [sqrt(1/2), sqrt(2)), ln m = 2 artanh((m - 1) / (m + 1)). */
double sampler_log(double x) {
    int e;
    double m = frexp(x, &e);
    if (m < M_SQRT1_2) {
        m *= 2;
        e--;
    }
    double s = (m - 1) / (m + 1), s2 = s * s, sum = 0;
    for (int i = 21; i >= 1; i -= 2) sum = sum * s2 + 1.0 / i;
    return 2 * s * sum + e * M_LN2;
}

/* ---- without filters ---- */

static double block_sum(const float *p, int n) {
    float sum[4] = {0};
    int i = 0;
    for (; i + 4 <= n; i += 4)
        for (int j = 0; j < 4; j++) sum[j] += p[i + j];
    for (; i < n; i++) sum[i % 4] += p[i];
    return ((double)sum[0] + (double)sum[1]) + ((double)sum[2] + (double)sum[3]);
}

static int draw_in_order(const struct sampler *s, int n, double unit) {
    int n_blocks = (n + BLOCK - 1) / BLOCK, i_block = 0;
    double total = 0, below = 0;
    for (int i = 0; i < n_blocks; i++) {
        s->sums[i] = block_sum(s->p + i * BLOCK, MIN(BLOCK, n - i * BLOCK));
        total += s->sums[i];
    }
    double target = unit * total;
    while (i_block < n_blocks - 1 && below + s->sums[i_block] <= target) below += s->sums[i_block++];
    /* rounding may leave the target just above the last sum: then the last with any probability is drawn */
    int end = MIN(n, (i_block + 1) * BLOCK);
    for (int i = i_block * BLOCK; i < end; i++) {
        below += (double)s->p[i];
        if (below > target) return i;
    }
    while (end > 1 && !(s->p[end - 1] > 0)) end--;
    return end - 1;
}

/* ---- with filters ---- */

static bool nucleus(const struct engine_sampling *how) {
    return how->top_p > 0 && how->top_p < 1;
}

static bool before(struct candidate a, struct candidate b) {
    return a.p > b.p || (a.p == b.p && a.id < b.id);
}

static void sift_down(struct candidate *heap, int n, int i) {
    struct candidate moving = heap[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && before(heap[child + 1], heap[child])) child++;
        if (!before(heap[child], moving)) break;
        heap[i] = heap[child];
    }
    heap[i] = moving;
}

/* Those that pass min-p, without those too small for any nucleus of top_p: n tokens of less than (1 -
 * top_p) / n each leave top_p without them. */
static int gather(struct sampler *s, int n, const struct engine_sampling *how, double *total) {
    *total = 0;
    int n_kept = 0;
    for (int i = 0; i < n; i++)
        if (s->p[i] > 0 && s->p[i] >= how->min_p) *total += (double)s->p[i];
    double floor = how->top_k > 0 || !nucleus(how) ? 0 : 0.5 * (1 - (double)how->top_p) * *total / n;
    for (int i = 0; i < n; i++)
        if (s->p[i] > 0 && s->p[i] >= how->min_p && (double)s->p[i] >= floor)
            s->heap[n_kept++] = (struct candidate){s->p[i], i};
    return n_kept;
}

static int draw_filtered(struct sampler *s, int n, const struct engine_sampling *how, double unit) {
    double total, mass = 0;
    int n_all = gather(s, n, how, &total), n_heap = n_all, n_kept = 0;
    for (int i = n_heap / 2 - 1; i >= 0; i--) sift_down(s->heap, n_heap, i);
    int n_most = how->top_k > 0 ? MIN(how->top_k, n_all) : n_all;
    double enough = how->top_k > 0 || !nucleus(how) ? INFINITY : (double)how->top_p * total;
    /* The heap shrinks from its end; the sorted survivors fill that end backwards. */
    while (n_kept < n_most && (n_kept == 0 || mass < enough)) {
        struct candidate best = s->heap[0];
        s->heap[0] = s->heap[--n_heap];
        if (n_heap > 0) sift_down(s->heap, n_heap, 0);
        s->heap[n_heap] = best;
        mass += (double)best.p;
        n_kept++;
    }
    const struct candidate *sorted_end = s->heap + n_all - 1; /* sorted_end[-i] is the i-th */
    if (how->top_k > 0 && nucleus(how)) {
        enough = (double)how->top_p * mass;
        double sum = (double)sorted_end[0].p;
        int n_nucleus = 1;
        while (n_nucleus < n_kept && sum < enough) sum += (double)sorted_end[-n_nucleus++].p;
        n_kept = n_nucleus;
        mass = sum;
    }
    double target = unit * mass, below = 0;
    for (int i = 0; i < n_kept; i++) {
        below += (double)sorted_end[-i].p;
        if (below > target) return sorted_end[-i].id;
    }
    return sorted_end[-(n_kept - 1)].id;
}

/* ---- a draw ---- */

static int largest(const float *logits, int n) {
    int best = 0;
    for (int i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

bool sampler_draw(struct sampler *s, const struct kernels *k, const float *logits, int n_vocab, int n_allowed,
                  const struct engine_sampling *how, double unit, int *token, float *logprob) {
    float max, allowed_max;
    float sum = k->exp_sum(s->p, logits, n_vocab, 1.0f, &max);
    if (!(sum >= 0.5f && sum <= 3e38f)) return false; /* a NaN or an infinity among the logits */
    if (how->temperature < GREEDY_BELOW) {
        *token = largest(logits, n_allowed);
    } else {
        if (how->temperature != 1.0f || n_allowed < n_vocab) {
            float tempered = k->exp_sum(s->p, logits, n_allowed, 1.0f / how->temperature, &allowed_max);
            if (!(tempered >= 0.5f)) return false; /* nothing is allowed */
        }
        bool filtered = how->top_k > 0 || nucleus(how) || how->min_p > 0;
        *token = filtered ? draw_filtered(s, n_allowed, how, unit) : draw_in_order(s, n_allowed, unit);
    }
    const double log_sum = sampler_log((double)sum);
    *logprob = (float)((double)logits[*token] - (double)max - log_sum);
    s->log_total = (double)max + log_sum;
    return true;
}

/* ---- confidence ---- */

/* A heap whose root is the smallest of those kept. */
static void sift_smallest(struct candidate *heap, int n, int i) {
    struct candidate moving = heap[i];
    for (int child; (child = 2 * i + 1) < n; i = child) {
        if (child + 1 < n && heap[child + 1].p < heap[child].p) child++;
        if (heap[child].p >= moving.p) break;
        heap[i] = heap[child];
    }
    heap[i] = moving;
}

float sampler_confidence(struct sampler *s, const float *logits, int n_vocab, int n_top) {
    struct candidate *heap = s->heap; /* p: logits */
    int n = MIN(n_top, n_vocab);
    for (int i = 0; i < n; i++) heap[i] = (struct candidate){logits[i], i};
    for (int i = n / 2 - 1; i >= 0; i--) sift_smallest(heap, n, i);
    for (int i = n; i < n_vocab; i++) {
        if (logits[i] <= heap[0].p) continue;
        heap[0] = (struct candidate){logits[i], i};
        sift_smallest(heap, n, 0);
    }
    double sum = 0;
    for (int n_left = n; n_left > 0; n_left--) { /* ascending, so the sum has one order */
        sum += s->log_total - (double)heap[0].p;
        heap[0] = heap[n_left - 1];
        sift_smallest(heap, n_left - 1, 0);
    }
    return (float)(sum / n);
}
