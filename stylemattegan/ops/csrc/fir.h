// The two inner loops: a FIR along a row and a FIR down a column of rows, 8 outputs at a time in registers.
#pragma once

#include <type_traits>

#include "axis.h"
#include "lanes.h"

namespace sm {

constexpr int AT_ONCE = SM_BYTES == 64 ? 8 : 4;
#define SM_INLINE inline __attribute__((always_inline))
#define SM_HERE __attribute__((always_inline))  // of a lambda

// f(first, number) over [0, count) in blocks of AT_ONCE. A lone sum waits for each of its additions, so the rest is done
// by a last block that overlaps the one before it, unless that would add twice.
template <class F>
SM_INLINE void in_blocks(int count, bool add, F f) {
  int i = 0;
  for (; i + AT_ONCE <= count; i += AT_ONCE) f(i, std::integral_constant<int, AT_ONCE>());
  if (i < count && !add && count >= AT_ONCE) return f(count - AT_ONCE, std::integral_constant<int, AT_ONCE>());
  for (; i + 2 <= count; i += 2) f(i, std::integral_constant<int, 2>());
  if (i < count) f(i, std::integral_constant<int, 1>());
}

// `COUNT` outputs, `out_step` apart, from windows that start STEP apart; each input is loaded once for all windows.
template <class T, int TAPS, int STEP, int COUNT>
SM_INLINE void row_block(Vec<T>* out, int out_step, const Vec<T>* in, const Vec<T> (&c)[TAPS], bool add) {
  Vec<T> sum[COUNT];
  for (int i = 0; i < COUNT; ++i) sum[i] = add ? out[i * out_step] : Vec<T>{};
#pragma GCC unroll 64
  for (int k = 0; k < TAPS + (COUNT - 1) * STEP; ++k) {
    const Vec<T> v = in[k];
#pragma GCC unroll 16
    for (int i = 0; i < COUNT; ++i)
      if (k >= i * STEP && k < i * STEP + TAPS) sum[i] += c[k - i * STEP] * v;
  }
  for (int i = 0; i < COUNT; ++i) out[i * out_step] = sum[i];
}

template <class T, int TAPS, int STEP>
void row_taps(Vec<T>* out, int out_step, const Vec<T>* in, const T* coef, int count, bool add) {
  Vec<T> c[TAPS];
  for (int k = 0; k < TAPS; ++k) c[k] = splat(coef[k]);
  in_blocks(count, add, [&](int i, auto at_once) {
    row_block<T, TAPS, STEP, at_once.value>(out + i * out_step, out_step, in + i * STEP, c, add);
  });
}

template <class T>
void row_any(Vec<T>* out, int out_step, const Vec<T>* in, int step, const T* coef, int taps, int count, bool add) {
  for (int i = 0; i < count; ++i) {
    Vec<T> sum = add ? out[i * out_step] : Vec<T>{};
    for (int k = 0; k < taps; ++k) sum += coef[k] * in[i * step + k];
    out[i * out_step] = sum;
  }
}

// Dispatch on the tap count: calls f(std::integral_constant-like) for a compiled one, else returns false.
#define SM_EACH_TAPS(CALL) CALL(1) CALL(2) CALL(3) CALL(4) CALL(6) CALL(8) CALL(12)

template <class T>
void row(const Axis<T>& axis, Vec<T>* out, const Vec<T>* in, bool add) {
  for (int q = 0; q < axis.phases && q < axis.out_size; ++q) {
    const int count = (axis.out_size - q + axis.phases - 1) / axis.phases;
    const T* coef = &axis.coef[static_cast<size_t>(q) * axis.taps];
    const Vec<T>* from = in + axis.start[q];
    if (axis.step == 1) switch (axis.taps) {
#define SM_CALL(N) case N: row_taps<T, N, 1>(out + q, axis.phases, from, coef, count, add); continue;
        SM_EACH_TAPS(SM_CALL)
#undef SM_CALL
      }
    if (axis.step == 2) switch (axis.taps) {
#define SM_CALL(N) case N: row_taps<T, N, 2>(out + q, axis.phases, from, coef, count, add); continue;
        SM_EACH_TAPS(SM_CALL)
#undef SM_CALL
      }
    row_any<T>(out + q, axis.phases, from, axis.step, coef, axis.taps, count, add);
  }
}

// Two output rows at once from TAPS + OFFSET rows: out_a starts at rows[0], out_b at rows[OFFSET]. B: is there an out_b?
template <class T, int TAPS, int OFFSET, bool B>
void columns_taps(Vec<T>* out_a, Vec<T>* out_b, const Vec<T>* const* rows, const T* coef_a, const T* coef_b, int count,
                  bool add) {
  Vec<T> a[TAPS], b[TAPS];
  const Vec<T>* from[TAPS + OFFSET];
  for (int k = 0; k < TAPS; ++k) a[k] = splat(coef_a[k]), b[k] = B ? splat(coef_b[k]) : Vec<T>{};
  for (int k = 0; k < TAPS + OFFSET; ++k) from[k] = rows[k];
  in_blocks(count, add, [&](int x, auto at_once) {
    Vec<T> sum_a[at_once.value], sum_b[at_once.value];
    for (int i = 0; i < at_once.value; ++i) {
      sum_a[i] = add ? out_a[x + i] : Vec<T>{};
      if (B) sum_b[i] = add ? out_b[x + i] : Vec<T>{};
    }
#pragma GCC unroll 16
    for (int k = 0; k < TAPS + OFFSET; ++k)
#pragma GCC unroll 8
      for (int i = 0; i < at_once.value; ++i) {
        const Vec<T> v = from[k][x + i];
        if (k < TAPS) sum_a[i] += a[k] * v;
        if (B && k >= OFFSET) sum_b[i] += b[k - OFFSET] * v;
      }
    for (int i = 0; i < at_once.value; ++i) {
      out_a[x + i] = sum_a[i];
      if (B) out_b[x + i] = sum_b[i];
    }
  });
}

// out[x] (+)= sum_k coef[k] rows[k][x]
template <class T>
void column(Vec<T>* out, const Vec<T>* const* rows, const T* coef, int taps, int count, bool add) {
  switch (taps) {
#define SM_CALL(N) case N: return columns_taps<T, N, 0, false>(out, nullptr, rows, coef, nullptr, count, add);
    SM_EACH_TAPS(SM_CALL)
#undef SM_CALL
  }
  for (int x = 0; x < count; ++x) {
    Vec<T> sum = add ? out[x] : Vec<T>{};
    for (int k = 0; k < taps; ++k) sum += coef[k] * rows[k][x];
    out[x] = sum;
  }
}

// Output rows o and o + 1 of the axis, of which the first starts at rows[0].
template <class T>
void two_columns(const Axis<T>& axis, int o, Vec<T>* out_a, Vec<T>* out_b, const Vec<T>* const* rows, int count,
                 bool add) {
  const T *a = axis.coefficients(o), *b = axis.coefficients(o + 1);
  const int offset = axis.first(o + 1) - axis.first(o);
  switch (offset * 100 + axis.taps) {
#define SM_CALL(N)                                                                     \
  case N: return columns_taps<T, N, 0, true>(out_a, out_b, rows, a, b, count, add);       \
  case 100 + N: return columns_taps<T, N, 1, true>(out_a, out_b, rows, a, b, count, add); \
  case 200 + N: return columns_taps<T, N, 2, true>(out_a, out_b, rows, a, b, count, add);
    SM_CALL(4) SM_CALL(6) SM_CALL(12)
#undef SM_CALL
  }
  column(out_a, rows, a, axis.taps, count, add);
  column(out_b, rows + offset, b, axis.taps, count, add);
}

}  // namespace sm
