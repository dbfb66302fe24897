/* Which instructions this machine has, and may be used. */
#include <cpuid.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernels/cpu/cpu_device.h"

/* The processor has AMX with bf16 and int8, the system saves its tiles, and grants them to this process. */
static bool has_amx(void)
{
    enum { AMX = 1 << 22 | 1 << 24 | 1 << 25, OSXSAVE = 1 << 27, TILE_STATE = 3 << 17 };
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XTILEDATA = 18 };
    unsigned a, b, c, d, low, high;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & OSXSAVE))
        return false;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & AMX) != AMX)
        return false;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (low & TILE_STATE) == TILE_STATE &&
           syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XTILEDATA) == 0;
}

/* Small integers are exact in bf16 and in f32 sums, so tiles that work agree to the bit with a loop. */
static bool tiles_work(const struct lng_simd *simd)
{
    enum { ROWS = 32, PAIRS = 32, COLS = 32 };
    static const uint16_t values[4] = {0x3F80, 0xBF80, 0x4000, 0x0000}; /* 1, -1, 2, 0 */
    static const float reals[4] = {1, -1, 2, 0};
    uint32_t a[ROWS * PAIRS], b[PAIRS * COLS];
    float c[ROWS * COLS];
    for (int i = 0; i < ROWS * PAIRS; i++)
        a[i] = values[i * 7 / 5 % 4] | (uint32_t)values[i * 3 / 4 % 4] << 16;
    for (int i = 0; i < PAIRS * COLS; i++)
        b[i] = values[i * 5 / 3 % 4] | (uint32_t)values[i * 9 / 7 % 4] << 16;
    simd->gemm_amx(&(struct lng_gemm){.a = a,
                                      .a_row = PAIRS,
                                      .a_k = 1,
                                      .b = b,
                                      .b_panel = PAIRS * COLS,
                                      .c = c,
                                      .c_row = COLS,
                                      .m = ROWS,
                                      .n = COLS,
                                      .k = PAIRS});
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLS; j++) {
            float sum = 0;
            for (int k = 0; k < PAIRS; k++) {
                int x = i * PAIRS + k, y = k * COLS + j;
                sum += reals[x * 7 / 5 % 4] * reals[y * 5 / 3 % 4] +
                       reals[x * 3 / 4 % 4] * reals[y * 9 / 7 % 4];
            }
            if (c[i * COLS + j] != sum)
                return false;
        }
    return true;
}

/* The same bytes are summed without tiles; not all sums are zero. */
static bool byte_tiles_work(const struct lng_simd *simd)
{
    enum { ROWS = 32, QUADS = 32, COLS = 32 };
    uint32_t a[ROWS * QUADS], b[QUADS * COLS];
    float c[2][ROWS * COLS], scales[COLS];
    int32_t less[COLS];
    struct lng_gemm_i8 g = {.gemm = {.a = a,
                                     .a_row = QUADS,
                                     .a_k = 1,
                                     .b = b,
                                     .b_panel = QUADS * COLS,
                                     .c_row = COLS,
                                     .m = ROWS,
                                     .n = COLS,
                                     .k = QUADS},
                            .row_scales = scales,
                            .col_scales = scales,
                            .less = less};
    for (uint32_t i = 0; i < ROWS * QUADS; i++)
        a[i] = i * 2654435761u;
    for (uint32_t i = 0; i < QUADS * COLS; i++)
        b[i] = i * 2246822519u + 1;
    for (int i = 0; i < COLS; i++) {
        scales[i] = 1;
        less[i] = i;
    }
    g.gemm.c = c[0];
    simd->gemm_i8_vnni(&g);
    g.gemm.c = c[1];
    simd->gemm_i8_amx(&g);
    return c[0][0] != 0 && memcmp(c[0], c[1], sizeof c[0]) == 0;
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

static bool has_avx512(void)
{
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

/* base < avx2 < avx512 < amx. Without AMX hardware the last one runs its layout on AVX512_BF16: so that
 * tests reach it anywhere. */
enum lng_status lng_cpu_choose_isa(struct lng_cpu *cpu)
{
    const bool avx2 = has_avx2(), avx512 = has_avx512();
    const bool bf16 = avx512 && __builtin_cpu_supports("avx512bf16");
    const char *wanted = getenv("LNG_CPU_ISA");
    const bool free = !wanted || !*wanted, amx_wanted = !free && strcmp(wanted, "amx") == 0;
    if (free)
        cpu->simd = avx512 ? &lng_simd_avx512 : avx2 ? &lng_simd_avx2 : &lng_simd_base;
    else if ((avx512 && strcmp(wanted, "avx512") == 0) || (bf16 && amx_wanted))
        cpu->simd = &lng_simd_avx512;
    else if (avx2 && strcmp(wanted, "avx2") == 0)
        cpu->simd = &lng_simd_avx2;
    else if (strcmp(wanted, "base") == 0)
        cpu->simd = &lng_simd_base;
    else
        return lng_fail(
            LNG_ERR_UNSUPPORTED, "LNG_CPU_ISA: expected base%s%s%s on this machine, found '%.40s'",
            avx2 ? ", avx2" : "", avx512 ? ", avx512" : "", bf16 ? ", amx" : "", wanted);
    cpu->bf16 = bf16 && cpu->simd == &lng_simd_avx512;
    cpu->vnni = cpu->simd == &lng_simd_avx512 && __builtin_cpu_supports("avx512vnni");
    const bool amx = cpu->bf16 && cpu->vnni && (free || amx_wanted) && has_amx() &&
                     tiles_work(cpu->simd) && byte_tiles_work(cpu->simd);
    cpu->tiles = amx || amx_wanted;
    cpu->gemm_tiles = amx ? cpu->simd->gemm_amx : cpu->simd->gemm_bf16;
    cpu->gemm_i8 = amx         ? cpu->simd->gemm_i8_amx
                   : cpu->vnni ? cpu->simd->gemm_i8_vnni
                               : cpu->simd->gemm_i8;
    return LNG_OK;
}
