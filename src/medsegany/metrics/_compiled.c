/* Surfaces of label maps, and distances between them. The same in numpy and scipy: _plain.py.

   A surface element sits on a corner between voxels, where the 2 x 2 x 2 voxels around it (2 x 2 in
   two dimensions) are neither all inside nor all outside an object. Which of them are inside is its
   code, a number from 1 to 254 (1 to 14); the voxel before the corner along every axis is the
   highest bit. Outside of the array there is nothing, so that an object at the border is closed.

   Distances are computed in float64 with the roundings of scipy.ndimage.distance_transform_edt:
   sqrt(((i s0)^2 + (j s1)^2) + (k s2)^2). Compile without contraction to fused multiply-add, and
   without -ffast-math. */

#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define CAPSULE "medsegany.metrics._compiled.surfaces"
#define LABELS(itemsize) ((itemsize) == 1 ? 256 : 65536)
#define LONGEST_AXIS ((1 << 18) - 2)

/* --- surface elements --------------------------------------------------------------------------*/

/* An element: z, y, x of its corner in 18 bits each, and its code in the lowest 8. */
typedef uint64_t Element;

static inline Element packed(int64_t z, int64_t y, int64_t x, unsigned code)
{
    return ((((uint64_t)z << 18 | (uint64_t)y) << 18 | (uint64_t)x) << 8) | code;
}

static inline int at_z(Element e) { return (int)(e >> 44); }
static inline int at_y(Element e) { return (int)(e >> 26) & 0x3FFFF; }
static inline int at_x(Element e) { return (int)(e >> 8) & 0x3FFFF; }
static inline int code_of(Element e) { return (int)(e & 0xFF); }

/* Elements come in unknown number, so they are kept in a chain of pieces and never moved. */
#define PIECE 1022
typedef struct Piece {
    struct Piece *next;
    int64_t count;
    Element elements[PIECE];
} Piece;

typedef struct {
    Piece *first, *last;
    int64_t count;
} Chain;

typedef struct {
    Chain *chains; /* by label */
    int labels;
    int planar;
    int failed; /* no memory */
} Surfaces;

static void add(Surfaces *all, unsigned label, Element e)
{
    Chain *chain = &all->chains[label];
    Piece *piece = chain->last;
    if (!piece || piece->count == PIECE) {
        piece = malloc(sizeof(Piece));
        if (!piece) {
            all->failed = 1;
            return;
        }
        piece->next = NULL;
        piece->count = 0;
        if (chain->last)
            chain->last->next = piece;
        else
            chain->first = piece;
        chain->last = piece;
    }
    piece->elements[piece->count++] = e;
    chain->count++;
}

static void drop(Surfaces *all)
{
    if (all->chains)
        for (int label = 0; label < all->labels; label++)
            for (Piece *piece = all->chains[label].first, *next; piece; piece = next) {
                next = piece->next;
                free(piece);
            }
    free(all->chains);
    free(all);
}

/* One corner whose voxels are not all alike: an element for each object among them. */
static inline void add_corner(Surfaces *all, const uint8_t *wanted, const unsigned v[8], int first,
                              int64_t z, int64_t y, int64_t x)
{
    for (int n = first; n < 8; n++) {
        unsigned label = v[n], code = 0;
        int seen = 0;
        if (!label || !wanted[label])
            continue;
        for (int m = first; m < n; m++)
            seen |= v[m] == label;
        if (seen)
            continue;
        for (int m = first; m < 8; m++)
            code |= (unsigned)(v[m] == label) << (7 - m);
        add(all, label, packed(z, y, x, code));
    }
}

/* Whether 64 bytes in each of the rows are all the same, namely these. */
static inline int all_are(const void *a, const void *b, const void *c, const void *d, uint64_t word)
{
    uint64_t wa[8], wb[8], wc[8], wd[8], other = 0;
    memcpy(wa, a, 64), memcpy(wb, b, 64), memcpy(wc, c, 64), memcpy(wd, d, 64);
    for (int n = 0; n < 8; n++)
        other |= (wa[n] ^ word) | (wb[n] ^ word) | (wc[n] ^ word) | (wd[n] ^ word);
    return !other;
}

/* Where a row begins and ends to hold anything. */
typedef struct {
    int64_t low, high; /* high is not included; low >= high: it holds nothing */
} Span;

static inline int holds_nothing(const void *block)
{
    uint64_t words[8], any = 0;
    memcpy(words, block, 64);
    for (int n = 0; n < 8; n++)
        any |= words[n];
    return !any;
}

/* All corners between four rows of voxels: a (z-1, y-1), b (z-1, y), c (z, y-1), d (z, y).
   What is alike in all rows and all one value holds no surface: 64 bytes at once, then 8. */
#define WALK(T)                                                                                     \
    static Span span_##T(const T *row, int64_t width)                                               \
    {                                                                                               \
        enum { BLOCK = 64 / sizeof(T) };                                                            \
        int64_t low = 0, high = width;                                                              \
        while (low + BLOCK <= high && holds_nothing(row + low))                                     \
            low += BLOCK;                                                                           \
        while (low < high && !row[low])                                                             \
            low++;                                                                                  \
        while (high - BLOCK >= low && holds_nothing(row + high - BLOCK))                            \
            high -= BLOCK;                                                                          \
        while (high > low && !row[high - 1])                                                        \
            high--;                                                                                 \
        return (Span){low, high};                                                                   \
    }                                                                                               \
    static void walk_##T(Surfaces *all, const uint8_t *wanted, const T *a, const T *b, const T *c,  \
                         const T *d, Span span, int64_t width, int64_t z, int64_t y)                \
    {                                                                                               \
        enum { STEP = 8 / sizeof(T), BLOCK = 64 / sizeof(T) };                                      \
        const uint64_t ones = sizeof(T) == 1 ? 0x0101010101010101u : 0x0001000100010001u;           \
        unsigned v[8] = {0};                                                                        \
        int first = all->planar ? 4 : 0;                                                            \
        for (int64_t x = span.low; x <= span.high;) {                                               \
            if (v[1] == v[3] && v[3] == v[5] && v[5] == v[7] && x + STEP <= width) {                \
                uint64_t wa, wb, wc, wd, before = ones * (uint64_t)v[1];                            \
                if (x + BLOCK <= width && all_are(a + x, b + x, c + x, d + x, before)) {            \
                    x += BLOCK;                                                                     \
                    continue;                                                                       \
                }                                                                                   \
                memcpy(&wa, a + x, 8);                                                              \
                memcpy(&wb, b + x, 8);                                                              \
                memcpy(&wc, c + x, 8);                                                              \
                memcpy(&wd, d + x, 8);                                                              \
                if (wa == before && wb == before && wc == before && wd == before) {                 \
                    x += STEP;                                                                      \
                    continue;                                                                       \
                }                                                                                   \
            }                                                                                       \
            int64_t stop = x + STEP < span.high + 1 ? x + STEP : span.high + 1;                     \
            for (; x < stop; x++) {                                                                 \
                v[0] = v[1], v[2] = v[3], v[4] = v[5], v[6] = v[7];                                 \
                if (x < width)                                                                      \
                    v[1] = a[x], v[3] = b[x], v[5] = c[x], v[7] = d[x];                             \
                else                                                                                \
                    v[1] = v[3] = v[5] = v[7] = 0;                                                  \
                unsigned r = v[7];                                                                  \
                unsigned other = (v[4] ^ r) | (v[5] ^ r) | (v[6] ^ r);                              \
                if (!first)                                                                         \
                    other |= (v[0] ^ r) | (v[1] ^ r) | (v[2] ^ r) | (v[3] ^ r);                     \
                if (other)                                                                          \
                    add_corner(all, wanted, v, first, z, y, x);                                     \
            }                                                                                       \
        }                                                                                           \
    }

WALK(uint8_t)
WALK(uint16_t)

static Span joined(Span a, Span b)
{
    if (a.low >= a.high)
        return b;
    if (b.low >= b.high)
        return a;
    return (Span){a.low < b.low ? a.low : b.low, a.high > b.high ? a.high : b.high};
}

/* `spans` has room for the rows of two slices, `nothing` is an empty row. */
#define COLLECT(T)                                                                                  \
    static void collect_##T(Surfaces *all, const T *labels, const uint8_t *wanted, int64_t depth,   \
                            int64_t height, int64_t width, const T *nothing, Span *spans)           \
    {                                                                                               \
        const Span empty = {0, 0};                                                                  \
        for (int64_t z = 0; z <= (all->planar ? 0 : depth); z++) {                                  \
            Span *here = spans + (z & 1) * height, *above = spans + (1 - (z & 1)) * height;         \
            for (int64_t y = 0; y < height; y++)                                                    \
                here[y] = z < depth ? span_##T(labels + (z * height + y) * width, width) : empty;   \
            for (int64_t y = 0; y <= height && !all->failed; y++) {                                 \
                const T *row = labels + (z * height + y) * width;                                   \
                int64_t slice = height * width;                                                     \
                const T *d = z < depth && y < height ? row : nothing;                               \
                const T *c = z < depth && y > 0 ? row - width : nothing;                            \
                const T *b = z > 0 && y < height ? row - slice : nothing;                           \
                const T *a = z > 0 && y > 0 ? row - slice - width : nothing;                        \
                Span span = joined(y < height ? here[y] : empty, y > 0 ? here[y - 1] : empty);      \
                if (all->planar)                                                                    \
                    a = c, b = d;                                                                   \
                else if (z > 0)                                                                     \
                    span = joined(span, joined(y < height ? above[y] : empty,                       \
                                               y > 0 ? above[y - 1] : empty));                      \
                if (span.low < span.high)                                                           \
                    walk_##T(all, wanted, a, b, c, d, span, width, z, y);                           \
            }                                                                                       \
        }                                                                                           \
    }

COLLECT(uint8_t)
COLLECT(uint16_t)

/* Voxels by label: in the prediction, in the truth, in both. Empty words are skipped. */
#define COUNT(T)                                                                                    \
    static void count_##T(const T *a, const T *b, int64_t n, int64_t *in_a, int64_t *in_b,          \
                          int64_t *in_both)                                                         \
    {                                                                                               \
        enum { STEP = 8 / sizeof(T), BLOCK = 64 / sizeof(T) };                                      \
        int64_t i = 0;                                                                              \
        while (i < n) {                                                                             \
            if (i + BLOCK <= n && holds_nothing(a + i) && holds_nothing(b + i)) {                   \
                i += BLOCK;                                                                         \
                continue;                                                                           \
            }                                                                                       \
            int64_t stop = i + STEP < n ? i + STEP : n;                                             \
            if (stop - i == STEP) {                                                                 \
                uint64_t wa, wb;                                                                    \
                memcpy(&wa, a + i, 8);                                                              \
                memcpy(&wb, b + i, 8);                                                              \
                if (!(wa | wb)) {                                                                   \
                    i = stop;                                                                       \
                    continue;                                                                       \
                }                                                                                   \
                uint64_t ones = sizeof(T) == 1 ? 0x0101010101010101u : 0x0001000100010001u;         \
                if (wa == wb && wa == ones * (uint64_t)a[i]) {                                      \
                    in_a[a[i]] += STEP, in_b[a[i]] += STEP, in_both[a[i]] += STEP;                  \
                    i = stop;                                                                       \
                    continue;                                                                       \
                }                                                                                   \
            }                                                                                       \
            for (; i < stop; i++) {                                                                 \
                in_a[a[i]]++;                                                                       \
                in_b[b[i]]++;                                                                       \
                in_both[a[i]] += a[i] == b[i];                                                      \
            }                                                                                       \
        }                                                                                           \
    }

COUNT(uint8_t)
COUNT(uint16_t)

/* --- distances ---------------------------------------------------------------------------------*/

/* Elements of one surface that are equally far from the other one and equally large. */
typedef struct {
    double squared; /* mm^2 */
    int32_t size;   /* rank of its area */
    int32_t used;
    int64_t count;
} Group;

/* A hash table of groups. */
typedef struct {
    Group *slots;
    int64_t capacity, filled;
} Groups;

static int put(Groups *groups, double squared, int size, int64_t count);

static int grow(Groups *groups)
{
    Groups more = {calloc((size_t)groups->capacity * 2, sizeof(Group)), groups->capacity * 2, 0};
    if (!more.slots)
        return -1;
    for (int64_t n = 0; n < groups->capacity; n++) {
        Group *g = &groups->slots[n];
        if (g->used)
            put(&more, g->squared, g->size, g->count);
    }
    free(groups->slots);
    *groups = more;
    return 0;
}

static int put(Groups *groups, double squared, int size, int64_t count)
{
    uint64_t bits;
    memcpy(&bits, &squared, 8);
    /* The lower bits of a product know nothing of the upper bits of its factors. */
    bits = (bits + (uint64_t)size) * 0x9E3779B97F4A7C15u;
    int64_t at = (int64_t)((bits >> 32) & (uint64_t)(groups->capacity - 1));
    for (;; at = (at + 1) & (groups->capacity - 1)) {
        Group *g = &groups->slots[at];
        if (!g->used) {
            *g = (Group){squared, size, 1, count};
            if (++groups->filled * 2 > groups->capacity)
                return grow(groups);
            return 0;
        }
        if (g->squared == squared && g->size == size) {
            g->count += count;
            return 0;
        }
    }
}

/* What does not depend on the label. */
typedef struct {
    double spacing[3];
    const int16_t *offsets; /* (count, 3), nearest first */
    const double *reached;  /* (count,): the squared length of each */
    int64_t count;
    int complete; /* nothing is asked beyond the offsets */
    const uint8_t *size_of; /* code -> rank of its area */
    int sizes;
} Plan;

typedef struct {
    int low[3], high[3]; /* inclusive */
} Bounds;

static void widen(Bounds *box, const Element *e, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        int at[3] = {at_z(e[i]), at_y(e[i]), at_x(e[i])};
        for (int d = 0; d < 3; d++) {
            if (at[d] < box->low[d])
                box->low[d] = at[d];
            if (at[d] > box->high[d])
                box->high[d] = at[d];
        }
    }
}

static Element *gathered(const Chain *chain)
{
    Element *all = malloc((size_t)(chain->count ? chain->count : 1) * sizeof(Element));
    int64_t n = 0;
    if (all)
        for (Piece *p = chain->first; p; p = p->next) {
            memcpy(all + n, p->elements, (size_t)p->count * sizeof(Element));
            n += p->count;
        }
    return all;
}

/* Far elements, one way: boxes around 64 neighbours each, searched from the last answer on. */
enum { HERD = 64 };

static int by_herds(const Plan *plan, const Element *from, int64_t n, const Element *to, int64_t m,
                    const Bounds *around, double *squared)
{
    int64_t herds = (m + HERD - 1) / HERD;
    Bounds *boxes = malloc((size_t)herds * sizeof(Bounds));
    double *squares[3] = {NULL, NULL, NULL};
    int failed = !boxes;
    for (int d = 0; d < 3; d++) {
        int64_t length = around->high[d] - around->low[d] + 1;
        squares[d] = malloc((size_t)length * sizeof(double));
        failed |= !squares[d];
        for (int64_t i = 0; !failed && i < length; i++) {
            double mm = (double)i * plan->spacing[d];
            squares[d][i] = mm * mm;
        }
    }
    if (!failed) {
        for (int64_t h = 0; h < herds; h++) {
            int64_t count = h + 1 < herds ? HERD : m - h * HERD;
            Bounds empty = {{INT32_MAX, INT32_MAX, INT32_MAX}, {-1, -1, -1}};
            boxes[h] = empty;
            widen(&boxes[h], to + h * HERD, count);
        }
        int64_t last = 0;
        for (int64_t i = 0; i < n; i++) {
            int q[3] = {at_z(from[i]), at_y(from[i]), at_x(from[i])};
            double best = INFINITY;
            for (int64_t step = -1; step < herds; step++) {
                int64_t h = step < 0 ? last : step;
                double bound = 0;
                for (int d = 0; d < 3; d++) {
                    int gap = boxes[h].low[d] - q[d], other = q[d] - boxes[h].high[d];
                    gap = gap > other ? gap : other;
                    if (gap > 0)
                        bound += squares[d][gap];
                }
                if (bound > best)
                    continue;
                int64_t stop = (h + 1) * HERD < m ? (h + 1) * HERD : m;
                for (int64_t j = h * HERD; j < stop; j++) {
                    double s = squares[0][abs(at_z(to[j]) - q[0])] +
                               squares[1][abs(at_y(to[j]) - q[1])] +
                               squares[2][abs(at_x(to[j]) - q[2])];
                    if (s < best)
                        best = s, last = h;
                }
            }
            squared[i] = best;
        }
    }
    free(boxes);
    for (int d = 0; d < 3; d++)
        free(squares[d]);
    return failed ? -1 : 0;
}

/* Far elements, the other way: for every place of every plane the nearest element of that plane,
   by the lower envelope of parabolas (Felzenszwalb and Huttenlocher, 2012); then each far element
   looks through the planes, nearest first, until they are farther than what it has found. */
#define NONE INT16_MIN

typedef struct {
    int16_t dy, dx;
} Step;

static int by_planes(const Plan *plan, const Element *from, int64_t n, const Element *to, int64_t m,
                     const Bounds *box, double *squared)
{
    int64_t depth = box->high[0] - box->low[0] + 1, height = box->high[1] - box->low[1] + 1,
            width = box->high[2] - box->low[2] + 1, plane = height * width;
    Step *near = malloc((size_t)(depth * plane) * sizeof(Step));
    int16_t *row = malloc((size_t)plane * sizeof(int16_t));
    uint8_t *asked = calloc((size_t)width, 1);
    uint8_t *holds = calloc((size_t)depth, 1);
    int64_t *parabola = malloc((size_t)height * sizeof(int64_t));
    double *floor_ = malloc((size_t)height * sizeof(double));
    double *begins = malloc((size_t)(height + 1) * sizeof(double));
    double *slope = malloc((size_t)height * sizeof(double));
    double *s0 = malloc((size_t)depth * sizeof(double));
    double *s1 = malloc((size_t)height * sizeof(double));
    double *s2 = malloc((size_t)width * sizeof(double));
    int failed = !near || !row || !asked || !holds || !parabola || !floor_ || !begins ||
                 !slope || !s0 || !s1 || !s2;
    if (failed)
        goto end;
    for (int64_t i = 0; i < depth; i++)
        s0[i] = ((double)i * plan->spacing[0]) * ((double)i * plan->spacing[0]);
    for (int64_t i = 0; i < height; i++)
        s1[i] = ((double)i * plan->spacing[1]) * ((double)i * plan->spacing[1]);
    for (int64_t i = 0; i < width; i++)
        s2[i] = ((double)i * plan->spacing[2]) * ((double)i * plan->spacing[2]);
    for (int64_t i = 0; i < n; i++)
        asked[at_x(from[i]) - box->low[2]] = 1;
    const double step = plan->spacing[1];
    for (int64_t i = 1; i < height; i++)
        slope[i] = 1 / (2 * (double)i * step);
    for (int64_t z = 0, j = 0; z < depth; z++) {
        /* The nearest element within each row. Elements come in the order of the array. */
        int64_t first = j;
        while (j < m && at_z(to[j]) - box->low[0] == z)
            j++;
        holds[z] = j > first;
        if (!holds[z])
            continue;
        for (int64_t i = 0; i < plane; i++)
            row[i] = NONE;
        for (int64_t i = first; i < j; i++)
            row[(at_y(to[i]) - box->low[1]) * width + at_x(to[i]) - box->low[2]] = 0;
        for (int64_t y = 0; y < height; y++) {
            int16_t *r = row + y * width;
            for (int64_t x = 1; x < width; x++)
                if (r[x] == NONE && r[x - 1] != NONE)
                    r[x] = (int16_t)(r[x - 1] + 1);
            for (int64_t x = width - 2; x >= 0; x--)
                if (r[x + 1] != NONE) {
                    int16_t other = (int16_t)(abs(r[x + 1]) + 1);
                    if (r[x] == NONE || other < r[x])
                        r[x] = other;
                }
        }
        Step *found = near + z * plane;
        for (int64_t x = 0; x < width; x++) {
            if (!asked[x])
                continue;
            int64_t k = -1;
            for (int64_t y = 0; y < height; y++) {
                int16_t dx = row[y * width + x];
                if (dx == NONE)
                    continue;
                double here = (double)y * step, bottom = s2[dx], start = -INFINITY;
                while (k >= 0) {
                    double there = (double)parabola[k] * step;
                    start = ((bottom + here * here) - (floor_[k] + there * there)) *
                            slope[y - parabola[k]];
                    if (start > begins[k])
                        break;
                    k--;
                }
                if (k < 0)
                    start = -INFINITY;
                k++;
                parabola[k] = y, floor_[k] = bottom, begins[k] = start;
            }
            begins[k + 1] = INFINITY;
            int64_t at = 0;
            for (int64_t y = 0; y < height; y++) {
                while (begins[at + 1] < (double)y * step)
                    at++;
                int64_t dy = parabola[at] > y ? parabola[at] - y : y - parabola[at];
                found[y * width + x] = (Step){(int16_t)dy, row[parabola[at] * width + x]};
            }
        }
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t z = at_z(from[i]) - box->low[0];
        int64_t place = (at_y(from[i]) - box->low[1]) * width + at_x(from[i]) - box->low[2];
        double best = INFINITY;
        for (int64_t away = 0; away < depth && s0[away] < best; away++)
            for (int side = 0; side < (away ? 2 : 1); side++) {
                int64_t other = side ? z + away : z - away;
                if (other < 0 || other >= depth || !holds[other])
                    continue;
                Step s = near[other * plane + place];
                double here = (s0[away] + s1[s.dy]) + s2[s.dx];
                if (here < best)
                    best = here;
            }
        squared[i] = best;
    }
end:
    free(near), free(row), free(asked), free(holds), free(parabola), free(floor_), free(begins);
    free(slope), free(s0), free(s1), free(s2);
    return failed ? -1 : 0;
}

/* From each element of one surface to the nearest of the other. */
static int measure(const Plan *plan, const Element *from, int64_t n, const Element *to, int64_t m,
                   Groups *groups)
{
    enum { FIRST = 192, LITTLE = 24, SAMPLE = 2048 };
    int reach[3] = {0, 0, 0};
    for (int64_t k = 0; k < plan->count; k++)
        for (int d = 0; d < 3; d++)
            if (plan->offsets[3 * k + d] > reach[d])
                reach[d] = plan->offsets[3 * k + d];
    Bounds grid = {{INT32_MAX, INT32_MAX, INT32_MAX}, {-1, -1, -1}};
    widen(&grid, to, m);
    Bounds both = grid;
    widen(&both, from, n);
    /* The grid holds the other surface and its surroundings, as far as the offsets reach. */
    int64_t size[3];
    for (int d = 0; d < 3; d++) {
        grid.low[d] -= reach[d];
        grid.high[d] += reach[d];
        size[d] = (int64_t)grid.high[d] - grid.low[d] + 1;
    }
    int failed = -1;
    uint8_t *there = calloc((size_t)(size[0] * size[1] * size[2]), 1);
    int64_t *delta = malloc((size_t)(plan->count + 1) * sizeof(int64_t));
    int64_t *hits = calloc((size_t)(plan->count * plan->sizes + 1), sizeof(int64_t));
    Element *far = malloc((size_t)(n + 1) * sizeof(Element));
    double *squared = NULL;
    int64_t lost = 0;
    if (!there || !delta || !hits || !far)
        goto end;
    for (int64_t k = 0; k < plan->count; k++)
        delta[k] = (plan->offsets[3 * k] * size[1] + plan->offsets[3 * k + 1]) * size[2] +
                   plan->offsets[3 * k + 2];
#define PLACE(e)                                                                                    \
    (((at_z(e) - grid.low[0]) * size[1] + (at_y(e) - grid.low[1])) * size[2] + at_x(e) - grid.low[2])
    for (int64_t j = 0; j < m; j++)
        there[PLACE(to[j])] = 1;
    int64_t first = plan->count < FIRST ? plan->count : FIRST;
    for (int round = 0; round < 2; round++) {
        int64_t from_k = round ? first : 0, to_k = round ? plan->count : first;
        int64_t asking = round ? lost : n;
        const Element *who = round ? far : from;
        lost = 0;
        for (int64_t i = 0; i < asking; i++) {
            Element e = who[i];
            int q[3] = {at_z(e), at_y(e), at_x(e)};
            int inside = 1, beyond = 0;
            for (int d = 0; d < 3; d++) {
                inside &= q[d] >= grid.low[d] + reach[d] && q[d] <= grid.high[d] - reach[d];
                beyond |= q[d] < grid.low[d] || q[d] > grid.high[d];
            }
            int64_t k = from_k;
            if (beyond)
                k = to_k;
            else if (inside) {
                const uint8_t *here = there + PLACE(e);
                while (k < to_k && !here[delta[k]])
                    k++;
            } else {
                /* Offsets may leave the grid. */
                for (; k < to_k; k++) {
                    int z = q[0] + plan->offsets[3 * k], y = q[1] + plan->offsets[3 * k + 1],
                        x = q[2] + plan->offsets[3 * k + 2];
                    if (z >= grid.low[0] && z <= grid.high[0] && y >= grid.low[1] &&
                        y <= grid.high[1] && x >= grid.low[2] && x <= grid.high[2] &&
                        there[((z - grid.low[0]) * size[1] + (y - grid.low[1])) * size[2] + x -
                              grid.low[2]])
                        break;
                }
            }
            if (k < to_k)
                hits[k * plan->sizes + plan->size_of[code_of(e)]]++;
            else
                far[lost++] = e;
            if (!round && i == SAMPLE && lost * 10 > SAMPLE * 9 && !plan->complete)
                to_k = first < LITTLE ? first : LITTLE; /* the surfaces lie far apart */
        }
        if (!round && lost * 8 > n && !plan->complete)
            break; /* many are far: looking farther one by one would only cost */
    }
    for (int64_t k = 0; k < plan->count; k++)
        for (int s = 0; s < plan->sizes; s++)
            if (hits[k * plan->sizes + s] &&
                put(groups, plan->reached[k], s, hits[k * plan->sizes + s]))
                goto end;
    if (lost) {
        squared = malloc((size_t)lost * sizeof(double));
        if (!squared)
            goto end;
        if (plan->complete) {
            for (int64_t i = 0; i < lost; i++)
                squared[i] = INFINITY;
        } else {
            double volume = 1;
            for (int d = 0; d < 3; d++)
                volume *= both.high[d] - both.low[d] + 1;
            double planes = volume * 8 + (double)lost * 100;
            double herds = (double)lost * ((double)m / HERD * 2 + 500);
            int narrow = both.high[1] - both.low[1] < 32000 && both.high[2] - both.low[2] < 32000;
            free(there), there = NULL; /* before the planes need memory */
            if (planes < herds && narrow) {
                if (by_planes(plan, far, lost, to, m, &both, squared))
                    goto end;
            } else if (by_herds(plan, far, lost, to, m, &both, squared))
                goto end;
        }
        for (int64_t i = 0; i < lost; i++)
            if (put(groups, squared[i], plan->size_of[code_of(far[i])], 1))
                goto end;
    }
    failed = 0;
end:
    free(there), free(delta), free(hits), free(far), free(squared);
    return failed;
}

static int by_distance(const void *a, const void *b)
{
    const Group *x = a, *y = b;
    if (x->squared != y->squared)
        return x->squared < y->squared ? -1 : 1;
    return x->size - y->size;
}

/* --- for Python --------------------------------------------------------------------------------*/

static void forget(PyObject *capsule)
{
    Surfaces *all = PyCapsule_GetPointer(capsule, CAPSULE);
    if (all)
        drop(all);
}

static PyObject *surfaces(PyObject *self, PyObject *args)
{
    Py_buffer labels, wanted;
    Py_ssize_t itemsize, depth, height, width;
    int planar;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*nnnnp", &labels, &wanted, &itemsize, &depth, &height, &width,
                          &planar))
        return NULL;
    PyObject *result = NULL;
    void *nothing = NULL;
    Span *spans = NULL;
    Surfaces *all = NULL;
    if ((itemsize != 1 && itemsize != 2) || wanted.len != LABELS(itemsize) ||
        labels.len != itemsize * depth * height * width || depth > LONGEST_AXIS ||
        height > LONGEST_AXIS || width > LONGEST_AXIS) {
        PyErr_SetString(PyExc_ValueError, "surfaces: sizes do not fit");
        goto end;
    }
    nothing = calloc((size_t)width + 1, (size_t)itemsize);
    spans = calloc((size_t)height * 2 + 1, sizeof(Span));
    all = calloc(1, sizeof(Surfaces));
    if (all)
        all->chains = calloc((size_t)wanted.len, sizeof(Chain));
    if (!nothing || !spans || !all || !all->chains) {
        PyErr_NoMemory();
        goto end;
    }
    all->labels = (int)wanted.len;
    all->planar = planar;
    Py_BEGIN_ALLOW_THREADS
    if (itemsize == 1)
        collect_uint8_t(all, labels.buf, wanted.buf, depth, height, width, nothing, spans);
    else
        collect_uint16_t(all, labels.buf, wanted.buf, depth, height, width, nothing, spans);
    Py_END_ALLOW_THREADS
    if (all->failed) {
        PyErr_NoMemory();
        goto end;
    }
    result = PyCapsule_New(all, CAPSULE, forget);
end:
    if (!result && all)
        drop(all);
    free(nothing);
    free(spans);
    PyBuffer_Release(&labels);
    PyBuffer_Release(&wanted);
    return result;
}

static PyObject *counts(PyObject *self, PyObject *args)
{
    Py_buffer a, b;
    Py_ssize_t itemsize;
    (void)self;
    if (!PyArg_ParseTuple(args, "y*y*n", &a, &b, &itemsize))
        return NULL;
    PyObject *result = NULL;
    Py_ssize_t labels = LABELS(itemsize), bytes = labels * (Py_ssize_t)sizeof(int64_t);
    if ((itemsize != 1 && itemsize != 2) || a.len != b.len) {
        PyErr_SetString(PyExc_ValueError, "counts: sizes do not fit");
        goto end;
    }
    result = PyBytes_FromStringAndSize(NULL, 3 * bytes);
    if (!result)
        goto end;
    int64_t *in_a = (int64_t *)PyBytes_AsString(result);
    memset(in_a, 0, (size_t)(3 * bytes));
    Py_BEGIN_ALLOW_THREADS
    if (itemsize == 1)
        count_uint8_t(a.buf, b.buf, a.len, in_a, in_a + labels, in_a + 2 * labels);
    else
        count_uint16_t(a.buf, b.buf, a.len / 2, in_a, in_a + labels, in_a + 2 * labels);
    Py_END_ALLOW_THREADS
end:
    PyBuffer_Release(&a);
    PyBuffer_Release(&b);
    return result;
}

/* Three arrays as bytes: squared distances, ranks of areas (int64), counts (int64). */
static PyObject *told(const Groups *groups)
{
    Group *all = malloc((size_t)(groups->filled ? groups->filled : 1) * sizeof(Group));
    PyObject *parts[3] = {NULL, NULL, NULL};
    if (!all)
        return PyErr_NoMemory();
    int64_t n = 0;
    for (int64_t i = 0; i < groups->capacity; i++)
        if (groups->slots[i].used)
            all[n++] = groups->slots[i];
    qsort(all, (size_t)n, sizeof(Group), by_distance);
    for (int p = 0; p < 3; p++) {
        parts[p] = PyBytes_FromStringAndSize(NULL, n * 8);
        if (!parts[p])
            goto failed;
        for (int64_t i = 0; i < n; i++) {
            int64_t number = p == 1 ? all[i].size : all[i].count;
            const void *value = p ? (const void *)&number : (const void *)&all[i].squared;
            memcpy(PyBytes_AsString(parts[p]) + 8 * i, value, 8);
        }
    }
    free(all);
    return Py_BuildValue("(NNN)", parts[0], parts[1], parts[2]);
failed:
    free(all);
    for (int p = 0; p < 3; p++)
        Py_XDECREF(parts[p]);
    return NULL;
}

static PyObject *distances(PyObject *self, PyObject *args)
{
    PyObject *one, *other;
    Py_buffer offsets = {0}, reached = {0}, size_of = {0};
    unsigned label;
    Plan plan;
    PyObject *result = NULL;
    (void)self;
    if (!PyArg_ParseTuple(args, "OOI(ddd)y*y*y*ip", &one, &other, &label, &plan.spacing[0],
                          &plan.spacing[1], &plan.spacing[2], &offsets, &reached, &size_of,
                          &plan.sizes, &plan.complete))
        return NULL;
    Surfaces *a = PyCapsule_GetPointer(one, CAPSULE);
    Surfaces *b = a ? PyCapsule_GetPointer(other, CAPSULE) : NULL;
    if (!b)
        goto end;
    plan.count = reached.len / 8;
    if ((int)label >= a->labels || (int)label >= b->labels || offsets.len != plan.count * 6 || size_of.len != 256) {
        PyErr_SetString(PyExc_ValueError, "distances: sizes do not fit");
        goto end;
    }
    plan.offsets = offsets.buf;
    plan.reached = reached.buf;
    plan.size_of = size_of.buf;
    const Chain *from = &a->chains[label], *to = &b->chains[label];
    Groups groups = {calloc(1024, sizeof(Group)), 1024, 0};
    Element *these = NULL, *those = NULL;
    int failed = !groups.slots;
    Py_BEGIN_ALLOW_THREADS
    these = gathered(from);
    those = gathered(to);
    failed |= !these || !those;
    if (!failed && from->count && to->count)
        failed = measure(&plan, these, from->count, those, to->count, &groups);
    else
        for (int64_t i = 0; i < from->count && !failed; i++)
            failed = put(&groups, INFINITY, plan.size_of[code_of(these[i])], 1);
    Py_END_ALLOW_THREADS
    result = failed ? PyErr_NoMemory() : told(&groups);
    free(these), free(those), free(groups.slots);
end:
    PyBuffer_Release(&offsets);
    PyBuffer_Release(&reached);
    PyBuffer_Release(&size_of);
    return result;
}

static PyMethodDef methods[] = {
    {"surfaces", surfaces, METH_VARARGS,
     "surfaces(labels, wanted, itemsize, depth, height, width, planar) -> capsule"},
    {"counts", counts, METH_VARARGS, "counts(prediction, truth, itemsize) -> bytes"},
    {"distances", distances, METH_VARARGS,
     "distances(from, to, label, spacing, offsets, reached, size_of, sizes, complete) -> "
     "(squared distances, ranks of areas, counts), as bytes"},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT, "_compiled", "Surfaces of label maps.", -1, methods, NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__compiled(void) { return PyModule_Create(&module); }
