/* The small floats against HDF5's own conversion of such types, and rounding at every place where
 * two codes meet. */
#include "base/number.h"

#include <check.h>
#include <hdf5.h>
#include <math.h>
#include <string.h>

/* A format as the tests see it. */
typedef struct {
    mb_number_t number;
    int bias; /* of E3M4 */
    unsigned codes, infinity;
} kind_t;

static const kind_t half = {MB_NUMBER_F16, 0, 65536, 0x7C00};
static const kind_t brain = {MB_NUMBER_BF16, 0, 65536, 0x7F80};

static kind_t eighth(int bias)
{
    return (kind_t){MB_NUMBER_E3M4, bias, 256, 0x70};
}

static float decode(kind_t k, unsigned code)
{
    if (k.number == MB_NUMBER_F16)
        return mb_f16_decode((uint16_t)code);
    if (k.number == MB_NUMBER_BF16)
        return mb_bf16_decode((uint16_t)code);
    return mb_e3m4_decode((uint8_t)code, k.bias);
}

static unsigned encode(kind_t k, float value)
{
    if (k.number == MB_NUMBER_F16)
        return mb_f16_encode(value);
    if (k.number == MB_NUMBER_BF16)
        return mb_bf16_encode(value);
    return mb_e3m4_encode(value, k.bias);
}

static bool same(float a, float b)
{
    return (isnan(a) && isnan(b)) || memcmp(&a, &b, sizeof a) == 0;
}

static void for_all_kinds(void (*check)(kind_t))
{
    check(half);
    check(brain);
    for (int bias = 1; bias <= MB_E3M4_MAX_BIAS; bias++)
        check(eighth(bias));
}

/* Sign, exponent and mantissa from the top down. */
static hid_t hdf5_type(kind_t k)
{
    size_t bits = (size_t)mb_number_bits(k.number);
    size_t mantissa = k.number == MB_NUMBER_F16 ? 10 : (k.number == MB_NUMBER_BF16 ? 7 : 4);
    size_t bias = k.number == MB_NUMBER_F16 ? 15 : (k.number == MB_NUMBER_BF16 ? 127 : 0);
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    H5Tset_fields(type, bits - 1, mantissa, bits - 1 - mantissa, 0, mantissa);
    H5Tset_precision(type, bits);
    H5Tset_size(type, bits / 8);
    H5Tset_ebias(type, bias > 0 ? bias : (size_t)k.bias);
    return type;
}

/* Codes go into a file in memory as they are, and come back as native floats. */
static void read_through_hdf5(kind_t k, const void *codes, float *values)
{
    hsize_t count = k.codes;
    hid_t plist = H5Pcreate(H5P_FILE_ACCESS), type = hdf5_type(k);
    H5Pset_fapl_core(plist, 1 << 20, 0);
    hid_t file = H5Fcreate("codes.h5", H5F_ACC_TRUNC, H5P_DEFAULT, plist);
    hid_t space = H5Screate_simple(1, &count, NULL);
    hid_t set = H5Dcreate2(file, "x", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, codes), 0);
    ck_assert_int_ge(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Fclose(file);
    H5Tclose(type);
    H5Pclose(plist);
}

static void check_decoding(kind_t k)
{
    static uint16_t wide[65536];
    static float theirs[65536], ours[65536];
    uint8_t narrow[256];
    for (unsigned code = 0; code < k.codes; code++) {
        wide[code] = (uint16_t)code;
        narrow[code % 256] = (uint8_t)code;
    }
    const void *codes = k.number == MB_NUMBER_E3M4 ? (const void *)narrow : wide;
    read_through_hdf5(k, codes, theirs);
    mb_number_decode(k.number, k.bias, codes, k.codes, ours);
    for (unsigned code = 0; code < k.codes; code++)
        ck_assert_msg(same(theirs[code], decode(k, code)) && same(theirs[code], ours[code]),
                      "%s, bias %d, code %#x: %.9g, in HDF5 %.9g", mb_number_name(k.number), k.bias,
                      code, (double)decode(k, code), (double)theirs[code]);
}

START_TEST(every_code_decodes_as_in_hdf5)
{
    for_all_kinds(check_decoding);
}
END_TEST

static void check_there_and_back(kind_t k)
{
    for (unsigned code = 0; code < k.codes; code++) {
        float value = decode(k, code);
        if (isnan(value))
            ck_assert(isnan(decode(k, encode(k, value))));
        else
            ck_assert_uint_eq(encode(k, value), code);
    }
}

START_TEST(every_number_encodes_to_the_code_it_came_from)
{
    for_all_kinds(check_there_and_back);
}
END_TEST

static void check_between(kind_t k, unsigned code, float low, float high)
{
    unsigned sign = k.codes / 2, even = code % 2 == 0 ? code : code + 1;
    float middle = low + (high - low) / 2;
    float below = nextafterf(middle, 0), above = nextafterf(middle, INFINITY);
    ck_assert_msg(encode(k, middle) == even, "%s, bias %d: %.9g becomes %#x, not %#x",
                  mb_number_name(k.number), k.bias, (double)middle, encode(k, middle), even);
    ck_assert_uint_eq(encode(k, below), code);
    ck_assert_uint_eq(encode(k, above), code + 1);
    ck_assert_uint_eq(encode(k, -middle), sign | even);
    ck_assert_uint_eq(encode(k, -below), sign | code);
    ck_assert_uint_eq(encode(k, -above), sign | (code + 1));
}

/* Zero, the subnormal numbers and the step to infinity among them: infinity stands where the next
 * number would. The steps are powers of two and few bits long, so middles are exact. */
static void check_middles(kind_t k)
{
    for (unsigned code = 0; code < k.infinity; code++) {
        float low = decode(k, code), high = decode(k, code + 1);
        if (code + 1 == k.infinity) {
            float half_step = (low - decode(k, code - 1)) / 2;
            high = low + half_step;
            ck_assert_uint_eq(encode(k, high), k.infinity);
            ck_assert_uint_eq(encode(k, nextafterf(high, 0)), code);
            ck_assert_uint_eq(encode(k, -high), k.codes / 2 | k.infinity);
            continue;
        }
        check_between(k, code, low, high);
    }
    ck_assert_uint_eq(encode(k, 0x1.fffffep127f), k.infinity);
    ck_assert_uint_eq(encode(k, 0x1p-149f), 0);
    ck_assert_uint_eq(encode(k, -0x1p-149f), k.codes / 2);
}

START_TEST(encoding_rounds_half_to_even_at_every_middle)
{
    for_all_kinds(check_middles);
}
END_TEST

START_TEST(many_numbers_are_encoded_as_one_is)
{
    const kind_t kinds[] = {half, brain, eighth(3), eighth(11)};
    float values[1000];
    uint32_t state = 1;
    for (int i = 0; i < 1000; i++) {
        state = state * 1664525u + 1013904223u;
        uint32_t bits = i % 2 == 0 ? state : 0x3A000000u + (state >> 5);
        memcpy(&values[i], &bits, sizeof bits);
    }
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        uint16_t wide[1000];
        mb_number_encode(kinds[i].number, kinds[i].bias, values, 999, wide);
        for (int j = 0; j < 999; j++) {
            unsigned code = kinds[i].codes == 256 ? ((const uint8_t *)wide)[j] : wide[j];
            ck_assert_uint_eq(code, encode(kinds[i], values[j]));
        }
    }
}
END_TEST

START_TEST(halves_of_bytes_decode_low_half_first)
{
    const uint8_t bytes[] = {0x70, 0x8F, 0xF9};
    const float with_sign[] = {0, 7, -1, -8, -7}, without[] = {0, 7, 15, 8, 9};
    float values[5];
    mb_number_decode(MB_NUMBER_I4, 0, bytes, 5, values);
    ck_assert_mem_eq(values, with_sign, sizeof values);
    mb_number_decode(MB_NUMBER_U4, 0, bytes, 5, values);
    ck_assert_mem_eq(values, without, sizeof values);
    ck_assert_int_eq(mb_number_bytes(MB_NUMBER_I4, 5), 3);
}
END_TEST

/* Scaled by the exponent's power of two, the kept places are the whole part. */
static float cut(float value, int kept_bits)
{
    int exponent;
    (void)frexpf(value, &exponent);
    exponent = exponent < -125 ? -125 : exponent; /* subnormal numbers share a last place */
    return (float)ldexp(rint(ldexp((double)value, kept_bits + 1 - exponent)),
                        exponent - kept_bits - 1);
}

START_TEST(float32_is_cut_to_mantissa_bits_by_half_to_even)
{
    uint32_t state = 7;
    for (int kept = 1; kept <= 22; kept++)
        for (int i = 0; i < 2000; i++) {
            state = state * 1664525u + 1013904223u;
            uint32_t bits = state;
            if (i % 3 == 0) /* a middle */
                bits = (bits & ~((1u << (23 - kept)) - 1)) | 1u << (22 - kept);
            if (i % 5 == 0) /* a subnormal number */
                bits &= 0x807FFFFFu;
            float value, rounded;
            memcpy(&value, &bits, sizeof bits);
            if (!isfinite(value))
                continue;
            mb_number_cut(kept, &value, 1, &rounded);
            ck_assert_msg(same(rounded, cut(value, kept)), "%a to %d bits: %a, not %a",
                          (double)value, kept, (double)rounded, (double)cut(value, kept));
        }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("number");
    TCase *t = tcase_create("number");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, every_code_decodes_as_in_hdf5);
    tcase_add_test(t, every_number_encodes_to_the_code_it_came_from);
    tcase_add_test(t, encoding_rounds_half_to_even_at_every_middle);
    tcase_add_test(t, many_numbers_are_encoded_as_one_is);
    tcase_add_test(t, halves_of_bytes_decode_low_half_first);
    tcase_add_test(t, float32_is_cut_to_mantissa_bits_by_half_to_even);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
