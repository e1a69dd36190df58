/* The functions of the MAP operation, as X(NAME, inputs, value): one list for the enum of ops.h,
 * for the CPU and for the kernels. A value is of the floats a, b and c; who includes this says what
 * the elementary functions in it are (MB_OF_EXP ...).
 *
 * D_ functions are derivatives: a is the gradient of the result, b and c are what the comment says.
 * Ties and edges are those of JAX, which Keras' gradients come from. */
#ifndef MB_DEVICE_MAP_FUNCTIONS_H
#define MB_DEVICE_MAP_FUNCTIONS_H

#define MB_MAP_UNARY(X)                                                                            \
    X(COPY, 1, a)                                                                                  \
    X(NEGATIVE, 1, -a)                                                                             \
    X(ABSOLUTE, 1, MB_OF_ABS(a))                                                                   \
    X(SIGN, 1, MB_OF_SIGN(a))                                                                      \
    X(SQUARE, 1, a *a)                                                                             \
    X(SQRT, 1, MB_OF_SQRT(a))                                                                      \
    X(RSQRT, 1, 1.0f / MB_OF_SQRT(a))                                                              \
    X(RECIPROCAL, 1, 1.0f / a)                                                                     \
    X(EXP, 1, MB_OF_EXP(a))                                                                        \
    X(EXPM1, 1, MB_OF_EXPM1(a))                                                                    \
    X(LOG, 1, MB_OF_LOG(a))                                                                        \
    X(LOG1P, 1, MB_OF_LOG1P(a))                                                                    \
    X(LOG2, 1, MB_OF_LOG2(a))                                                                      \
    X(LOG10, 1, MB_OF_LOG10(a))                                                                    \
    X(SIN, 1, MB_OF_SIN(a))                                                                        \
    X(COS, 1, MB_OF_COS(a))                                                                        \
    X(TAN, 1, MB_OF_TAN(a))                                                                        \
    X(SINH, 1, MB_OF_SINH(a))                                                                      \
    X(COSH, 1, MB_OF_COSH(a))                                                                      \
    X(TANH, 1, MB_OF_TANH(a))                                                                      \
    X(ARCTAN, 1, MB_OF_ATAN(a))                                                                    \
    X(ERF, 1, MB_OF_ERF(a))                                                                        \
    X(FLOOR, 1, MB_OF_FLOOR(a))                                                                    \
    X(CEIL, 1, -MB_OF_FLOOR(-a))                                                                   \
    X(ROUND, 1, MB_OF_ROUND(a))                                                                    \
    X(LOGICAL_NOT, 1, a != 0.0f ? 0.0f : 1.0f)                                                     \
    X(IS_NAN, 1, a != a ? 1.0f : 0.0f)

#define MB_MAP_BINARY(X)                                                                           \
    X(ADD, 2, a + b)                                                                               \
    X(SUBTRACT, 2, a - b)                                                                          \
    X(MULTIPLY, 2, a *b)                                                                           \
    X(DIVIDE, 2, a / b)                                                                            \
    X(FLOOR_DIVIDE, 2, MB_OF_FLOOR(a / b))                                                         \
    X(MOD, 2, MB_OF_MOD(a, b))                                                                     \
    X(POWER, 2, MB_OF_POW(a, b))                                                                   \
    X(MAXIMUM, 2, a > b || a != a ? a : b)                                                         \
    X(MINIMUM, 2, a < b || a != a ? a : b)                                                         \
    X(SQUARED_DIFFERENCE, 2, (a - b) * (a - b))                                                    \
    X(EQUAL, 2, a == b ? 1.0f : 0.0f)                                                              \
    X(NOT_EQUAL, 2, a != b ? 1.0f : 0.0f)                                                          \
    X(LESS, 2, a < b ? 1.0f : 0.0f)                                                                \
    X(LESS_EQUAL, 2, a <= b ? 1.0f : 0.0f)                                                         \
    X(GREATER, 2, a > b ? 1.0f : 0.0f)                                                             \
    X(GREATER_EQUAL, 2, a >= b ? 1.0f : 0.0f)                                                      \
    X(LOGICAL_AND, 2, a != 0.0f && b != 0.0f ? 1.0f : 0.0f)                                        \
    X(LOGICAL_OR, 2, a != 0.0f || b != 0.0f ? 1.0f : 0.0f)                                         \
    X(WHEN, 2, b != 0.0f ? a : 0.0f)       /* a where b holds */                                   \
    X(UNLESS, 2, b != 0.0f ? 0.0f : a)     /* a where b does not hold */                           \
    X(GATE, 2, a / (1.0f + MB_OF_EXP(-b))) /* a sigmoid(b) */                                      \
    X(SLOPE, 2, a > 0.0f ? a : a * b)      /* a, times b where it is negative */

#define MB_MAP_TERNARY(X)                                                                          \
    X(WHERE, 3, a != 0.0f ? b : c)                                                                 \
    X(CLIP, 3, a<b ? b : a> c ? c : a)                                                             \
    X(WHEN_EQUAL, 3, b == c ? a : 0.0f)                                                            \
    X(MULTIPLY_ADD, 3, a *b + c)

#define MB_MAP_DERIVATIVES(X)                                                                      \
    X(D_ABSOLUTE, 2, a *MB_OF_SIGN(b))                                    /* b: the input */       \
    X(D_SQUARE, 2, 2.0f * a * b)                                          /* the input */          \
    X(D_SQRT, 2, 0.5f * a / b)                                            /* the result */         \
    X(D_RSQRT, 2, -0.5f * a * b * b * b)                                  /* the result */         \
    X(D_RECIPROCAL, 2, -a *b *b)                                          /* the result */         \
    X(D_EXPM1, 2, a *(b + 1.0f))                                          /* the result */         \
    X(D_LOG1P, 2, a / (1.0f + b))                                         /* the input */          \
    X(D_LOG2, 2, a / (b * 0.69314718056f))                                /* the input */          \
    X(D_LOG10, 2, a / (b * 2.30258509299f))                               /* the input */          \
    X(D_SIN, 2, a *MB_OF_COS(b))                                          /* the input */          \
    X(D_COS, 2, -a *MB_OF_SIN(b))                                         /* the input */          \
    X(D_TAN, 2, a *(1.0f + b * b))                                        /* the result */         \
    X(D_SINH, 2, a *MB_OF_COSH(b))                                        /* the input */          \
    X(D_COSH, 2, a *MB_OF_SINH(b))                                        /* the input */          \
    X(D_TANH, 2, a *(1.0f - b * b))                                       /* the result */         \
    X(D_ARCTAN, 2, a / (1.0f + b * b))                                    /* the input */          \
    X(D_ERF, 2, a * 1.12837916710f * MB_OF_EXP(-b * b))                   /* the input */          \
    X(D_DIVIDE, 3, -a *b / (c * c))                                       /* b / c, for c */       \
    X(D_POWER_BASE, 3, c == 0.0f ? 0.0f : a * c * MB_OF_POW(b, c - 1.0f)) /* b^c, for b */         \
    X(D_POWER_EXPONENT, 3, b == 0.0f ? 0.0f : a * MB_OF_LOG(b) * MB_OF_POW(b, c)) /* for c */      \
    X(D_LARGER, 3, b > c ? a : b == c ? 0.5f * a : 0.0f) /* the larger of b and c, for b */        \
    X(D_MOD, 3, -a *MB_OF_FLOOR(b / c))                  /* b mod c, for c */                      \
    X(D_GATE, 3,                                                                                   \
      a *b *MB_OF_EXP(-MB_OF_ABS(c)) /                                                             \
          ((1.0f + MB_OF_EXP(-MB_OF_ABS(c))) *                                                     \
           (1.0f + MB_OF_EXP(-MB_OF_ABS(c)))))            /* b gated by c, for c */                \
    X(D_SLOPE, 3, b > 0.0f ? a : b < 0.0f ? a * c : 0.0f) /* b with slope c, for b */              \
    X(D_SLOPE_BELOW, 2, b < 0.0f ? a * b : 0.0f)          /* for the slope */

#define MB_MAP_LIST(X) MB_MAP_UNARY(X) MB_MAP_BINARY(X) MB_MAP_TERNARY(X) MB_MAP_DERIVATIVES(X)

/* How many inputs one takes at most. */
#define MB_MAP_INPUTS 3

#endif
