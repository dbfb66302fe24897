/* What each lane gets of the wrappers of gpu_ptx.cuh: by the formulas of the PTX ISA (9.7.15, "Matrix Fragments
 * for mma.m16n8k16 with floating point type", "... for mma.m16n8k32", "ldmatrix"; element by element, in double or int64), on the double, and,
 * where golden.txt is there, on the GPU it was taken on. */
#include <criterion/criterion.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cudaemu/golden_inputs.h"
#include "tests/support/program.h"

struct results {
    double mma[GOLDEN_CASES][32][4];
    uint32_t s8[GOLDEN_S8][32][4];
    uint32_t ldmatrix[2][32][4]; /* as it is, transposed */
    uint32_t copy[GOLDEN_COPIES][4];
    int lines;
};
enum { LINES = (GOLDEN_CASES + GOLDEN_S8) * 32 + 2 * 32 + GOLDEN_COPIES };

static double bf16_value(uint16_t half)
{
    const uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
/* Element i of a lane's registers, two to a register, the lower half first. */
static double element(enum golden_use use, int number, int lane, int count, int i)
{
    return bf16_value(golden_bf16(use, number, lane * count + i));
}

/* Fragments of A (8 elements a lane), B (4) and C (4) laid out as matrices. */
static void fill_matrices(int number, double a[16][16], double b[16][8], double c[16][8])
{
    for (int lane = 0; lane < 32; lane++) {
        const int group = lane >> 2, member = lane % 4;
        for (int i = 0; i < 8; i++) {
            int row = (i >= 0 && i < 2) || (i >= 4 && i < 6) ? group : group + 8;
            int column = i < 4 ? member * 2 + (i & 1) : member * 2 + (i & 1) + 8;
            a[row][column] = element(GOLDEN_A, number, lane, 8, i);
        }
        for (int i = 0; i < 4; i++) {
            int row = i < 2 ? member * 2 + (i & 1) : member * 2 + (i & 1) + 8;
            b[row][group] = element(GOLDEN_B, number, lane, 4, i);
        }
        for (int i = 0; i < 4; i++)
            c[i < 2 ? group : group + 8][member * 2 + (i & 1)] =
                (double)golden_value(GOLDEN_C, number, lane * 4 + i);
    }
}
/* Products of bf16 are exact; their sums are of float or, on GPUs, a little coarser. */
static void expect_mma(const struct results *found, const char *where)
{
    for (int number = 0; number < GOLDEN_CASES; number++) {
        double a[16][16], b[16][8], c[16][8];
        fill_matrices(number, a, b, c);
        for (int lane = 0; lane < 32; lane++)
            for (int i = 0; i < 4; i++) {
                const int row = i < 2 ? lane >> 2 : (lane >> 2) + 8,
                          column = lane % 4 * 2 + (i & 1);
                double sum = c[row][column], size = fabs(sum);
                for (int k = 0; k < 16; k++) {
                    sum += a[row][k] * b[k][column];
                    size += fabs(a[row][k] * b[k][column]);
                }
                const double limit = number < GOLDEN_WHOLE ? 0 : size * 0x1p-20;
                cr_expect(fabs(found->mma[number][lane][i] - sum) <= limit,
                          "%s: mma%d, lane %d, d[%d]: expected %.9g, found %.9g", where, number,
                          lane, i, sum, found->mma[number][lane][i]);
            }
    }
}
static int byte_of(enum golden_use use, int number, int lane, int registers, int i)
{
    const uint32_t word = golden_bytes(use, number, lane * registers + i / 4);
    return (int)(word >> 8 * (i % 4) & 255) - (word >> (8 * (i % 4) + 7) & 1 ? 256 : 0);
}
/* Fragments of A (16 elements a lane) and B (8) laid out as matrices; int32 wraps. */
static void expect_mma_s8(const struct results *found, const char *where)
{
    for (int number = 0; number < GOLDEN_S8; number++) {
        int a[16][32], b[32][8];
        for (int lane = 0; lane < 32; lane++) {
            const int group = lane >> 2, member = lane % 4;
            for (int i = 0; i < 16; i++) {
                int row = (i >= 0 && i < 4) || (i >= 8 && i < 12) ? group : group + 8;
                int column = i < 8 ? member * 4 + (i & 3) : member * 4 + (i & 3) + 16;
                a[row][column] = byte_of(GOLDEN_A8, number, lane, 4, i);
            }
            for (int i = 0; i < 8; i++) {
                int row = i < 4 ? member * 4 + (i & 3) : member * 4 + (i & 3) + 16;
                b[row][group] = byte_of(GOLDEN_B8, number, lane, 2, i);
            }
        }
        for (int lane = 0; lane < 32; lane++)
            for (int i = 0; i < 4; i++) {
                const int row = i < 2 ? lane >> 2 : (lane >> 2) + 8,
                          column = lane % 4 * 2 + (i & 1);
                int64_t sum = golden_s32(number, lane * 4 + i);
                for (int k = 0; k < 32; k++)
                    sum += a[row][k] * b[k][column];
                cr_expect(found->s8[number][lane][i] == (uint32_t)sum,
                          "%s: s8mma%d, lane %d, d[%d]: expected %08x, found %08x", where, number,
                          lane, i, (uint32_t)sum, found->s8[number][lane][i]);
            }
    }
}
static uint16_t tile_element(int matrix, int row, int column)
{
    const uint32_t word = golden_bits(GOLDEN_TILE, 0, ((matrix * 8 + row) * 8 + column) / 2);
    return (uint16_t)(column % 2 ? word >> 16 : word & 0xFFFF);
}
static void expect_ldmatrix(const struct results *found, const char *where)
{
    for (int lane = 0; lane < 32; lane++)
        for (int matrix = 0; matrix < 4; matrix++) {
            const int row = lane / 4, column = lane % 4 * 2;
            const uint32_t straight = (uint32_t)tile_element(matrix, row, column) |
                                      (uint32_t)tile_element(matrix, row, column + 1) << 16;
            const uint32_t turned = (uint32_t)tile_element(matrix, column, row) |
                                    (uint32_t)tile_element(matrix, column + 1, row) << 16;
            cr_expect(found->ldmatrix[0][lane][matrix] == straight,
                      "%s: ldmatrix4, lane %d, out[%d]: expected %08x, found %08x", where, lane,
                      matrix, straight, found->ldmatrix[0][lane][matrix]);
            cr_expect(found->ldmatrix[1][lane][matrix] == turned,
                      "%s: ldmatrix4_transposed, lane %d, out[%d]: expected %08x, found %08x",
                      where, lane, matrix, turned, found->ldmatrix[1][lane][matrix]);
        }
}
static void expect_copies(const struct results *found, const char *where)
{
    for (int piece = 0; piece < GOLDEN_COPIES; piece++)
        for (int i = 0; i < 4; i++) {
            const uint32_t right = piece % 3 == 0 ? 0 : golden_bits(GOLDEN_COPY, 0, piece * 4 + i);
            cr_expect(found->copy[piece][i] == right,
                      "%s: copy_async16, piece %d, word %d: expected %08x, found %08x", where,
                      piece, i, right, found->copy[piece][i]);
        }
}

static bool parse_line(struct results *into, const char *line)
{
    int number, lane;
    double reals[4];
    uint32_t words[4];
    char name[32];
    if (sscanf(line, "mma%d %d: %lf %lf %lf %lf", &number, &lane, &reals[0], &reals[1], &reals[2],
               &reals[3]) == 6) {
        if (number < 0 || number >= GOLDEN_CASES || lane < 0 || lane >= 32)
            return false;
        memcpy(into->mma[number][lane], reals, sizeof reals);
        return true;
    }
    if (sscanf(line, "s8mma%d %d: %x %x %x %x", &number, &lane, &words[0], &words[1], &words[2],
               &words[3]) == 6) {
        if (number < 0 || number >= GOLDEN_S8 || lane < 0 || lane >= 32)
            return false;
        memcpy(into->s8[number][lane], words, sizeof words);
        return true;
    }
    if (sscanf(line, "%31s %d: %x %x %x %x", name, &lane, &words[0], &words[1], &words[2],
               &words[3]) != 6 ||
        lane < 0)
        return false;
    const bool copy = strcmp(name, "copy_async16") == 0;
    const bool transposed = strcmp(name, "ldmatrix4_transposed") == 0;
    if (lane >= (copy ? GOLDEN_COPIES : 32) ||
        (!copy && !transposed && strcmp(name, "ldmatrix4") != 0))
        return false;
    memcpy(copy ? into->copy[lane] : into->ldmatrix[transposed][lane], words, sizeof words);
    return true;
}
static void expect_all(char *text, const char *where)
{
    struct results *found = calloc(1, sizeof *found);
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL;
         line = strtok_r(NULL, "\n", &rest)) {
        if (line[0] == '#')
            continue;
        cr_assert(parse_line(found, line), "%s: cannot read \"%s\"", where, line);
        found->lines++;
    }
    cr_assert(found->lines == LINES, "%s: expected %d lines, found %d", where, LINES, found->lines);
    expect_mma(found, where);
    expect_mma_s8(found, where);
    expect_ldmatrix(found, where);
    expect_copies(found, where);
    free(found);
}

/* Outputs are of the given inputs only, so formulas that hold for both hold between them. */
Test(golden, the_double_keeps_the_formulas)
{
    char path[PATH_MAX + 32];
    struct program program;
    const char *own = getenv("LNG_TEST_BINARY");
    cr_assert(own != NULL, "LNG_TEST_BINARY is not set: run through tests/run");
    snprintf(path, sizeof path, "%.*s/cudaemu/plain/golden", (int)(strrchr(own, '/') - own), own);
    setenv("LNG_TEST_BINARY", path, 1);
    program_run(&program, "", NULL, 0, NULL);
    cr_assert(program.status == 0, "status %d: %s", program.status, program.err);
    expect_all(program.out, "the double");
    program_release(&program);
}

Test(golden, the_gpu_keeps_the_formulas)
{
    char path[PATH_MAX + 32];
    const char *root = getenv("LNG_TEST_ROOT");
    cr_assert(root != NULL, "LNG_TEST_ROOT is not set: run through tests/run");
    snprintf(path, sizeof path, "%s/tests/cudaemu/golden.txt", root);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        cr_skip_test("no golden.txt yet: golden.cu has not been run on a GPU");
    static char text[1 << 16];
    const size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    expect_all(text, "golden.txt");
}
