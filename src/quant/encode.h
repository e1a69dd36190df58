/* A tensor of float32 encoded in a format, and the error that this makes. No I/O, no device. */
#ifndef MB_QUANT_ENCODE_H
#define MB_QUANT_ENCODE_H

#include "quant/format.h"

/* How the codes are found. */
typedef enum {
    MB_METHOD_NEAREST =
        0,          /* scales from the largest magnitude, each weight rounded to the nearest */
    MB_METHOD_MSE,  /* scales (E3M4: bias) that make the summed squared error smallest */
    MB_METHOD_GPTQ, /* rows in turn, each row's error fed into those not yet rounded, by the inputs'
                       covariance (Frantar et al., GPTQ, ICLR 2023) */
    MB_METHOD_AWQ,  /* rows scaled by how large their inputs are (Lin et al., AWQ, MLSys 2024) */
    MB_METHOD_COUNT
} mb_method_t;
mb_status_t mb_method_parse(const char *text, mb_method_t *out); /* nearest, mse, gptq, awq */
const char *mb_method_name(mb_method_t method);

/* What is lost. All of decoded minus original; plain data, travels between ranks. */
typedef struct {
    double rmse, max_abs;
    double max_relative; /* largest |error| / |original| over originals that are not 0 */
    double sqnr_db;      /* 10 log10(sum original^2 / sum error^2); INFINITY without error */
} mb_loss_of_accuracy_t;

/* What a file says of an encoded tensor. Plain data: travels between ranks. */
typedef enum {
    MB_PART_VALUES = 0, /* of a deflated format: the packed bytes */
    MB_PART_SCALES,
    MB_PART_ZEROS, /* packed two to a byte, rows of scales padded to whole bytes */
    MB_PART_ROW_SCALES,
    MB_PART_COUNT
} mb_part_t;

typedef struct {
    mb_format_t format;
    mb_view_t view;
    mb_method_t method;           /* the one that was used in the end */
    mb_matrix_t layout;           /* pointers NULL */
    int64_t bytes[MB_PART_COUNT]; /* in the file */
    mb_loss_of_accuracy_t loss;
    uint32_t crc; /* CRC-32C of the parts' bytes, one after the other */
} mb_encoding_t;

typedef struct {
    mb_encoding_t encoding;
    void *parts[MB_PART_COUNT]; /* as in the file; NULL where bytes is 0 */
    mb_matrix_t
        matrix; /* for use in memory: pointers into parts, and zeros unpacked and column sums
                   in memory of its own. Of a deflated format: F32, rounded and unpacked. */
    void *own[3];
} mb_encoded_t;

/* Calibration: of what a matrix is multiplied by. */
typedef struct {
    int64_t count;           /* rows seen; 0: none (the method falls back to mse) */
    const float *covariance; /* [rows, rows]: sum of x^T x; only the lower triangle need be set */
} mb_calibration_t;

/* Encodes VALUES [view.rows, view.columns]. WHERE names the tensor ("q.h5: tensor 'dense/kernel'").
 * MB_ERR_NUMERIC names it and the place when a value is NaN or infinite, or too large for the
 * format (with formats that would do). GPTQ and AWQ for formats without scales, lookups, and
 * without calibration are MSE; encoding.method says which. Deterministic: the same on any machine
 * with the same arithmetic. */
mb_status_t mb_encode(const mb_format_t *format, mb_method_t method, const mb_view_t *view,
                      const float *values, const mb_calibration_t *calibration, const char *where,
                      mb_encoded_t *out);
void mb_encoded_free(mb_encoded_t *encoded);

/* All values, as the kernels see them: view.rows * view.columns floats. */
void mb_matrix_decode(const mb_matrix_t *matrix, float *values);
/* Rows [first, first + count). */
void mb_matrix_decode_rows(const mb_matrix_t *matrix, int64_t first, int64_t count, float *values);

/* Parts read from a file become a matrix for use in memory: unpacks zeros, sums columns. Takes
 * layout and parts; out->parts stay the caller's until mb_encoded_free, which frees them. */
mb_status_t mb_encoded_adopt(const mb_encoding_t *encoding, void *parts[MB_PART_COUNT],
                             mb_encoded_t *out);
/* sums[c] += codes of COUNT rows of an I8 matrix, whose bytes are given. */
void mb_matrix_sum_columns(const int8_t *codes, int64_t count, int64_t columns, int32_t *sums);
void mb_matrix_unpack_zeros(const mb_matrix_t *layout, const uint8_t *packed, uint8_t *zeros);

void mb_measure(const float *original, const float *decoded, int64_t count,
                mb_loss_of_accuracy_t *out);

#endif
