// A matrix product whose every element is summed in ascending order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "lanes.h"

namespace sm {

#if SM_BYTES == 64
constexpr int ROWS = 12;  // ROWS x 2 sums stay in registers: there are 32 of these, 16 of the shorter ones
#else
constexpr int ROWS = 6;
#endif

// c[r, :] = sum_k a[r row + k step] b[k, :] for R rows and N registers of columns; add: to what is there.
template <class T, int R, int N>
inline void tile(const T* a, int64_t row, int64_t step, const T* b, int64_t next, T* c, int64_t below, int terms,
                 bool add) {
  constexpr int L = LANES<T>;
  Vec<T> sums[R][N];
#pragma GCC unroll 24
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) sums[r][v] = add ? load(c + r * below + v * L, L) : Vec<T>{};
  for (int k = 0; k < terms; ++k, a += step, b += next) {
    Vec<T> columns[N];
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) columns[v] = load(b + v * L, L);
#pragma GCC unroll 24
    for (int r = 0; r < R; ++r) {
      const T each = a[r * row];
#pragma GCC unroll 2
      for (int v = 0; v < N; ++v) sums[r][v] += each * columns[v];
    }
  }
#pragma GCC unroll 24
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < N; ++v) store(c + r * below + v * L, sums[r][v], L);
}

template <class T, int N, int... R>
inline void rest(std::integer_sequence<int, R...>, int rows, const T* a, int64_t row, int64_t step, const T* b,
                 int64_t next, T* c, int64_t below, int terms, bool add) {
  ((rows == R + 1 ? tile<T, R + 1, N>(a, row, step, b, next, c, below, terms, add) : void()), ...);
}

// As `tile` for any number of rows; columns: one or two registers of them.
template <class T>
void multiply(const T* a, int64_t row, int64_t step, const T* b, int64_t next, T* c, int64_t below, int rows,
              int columns, int terms, bool add) {
  int r = 0;
  if (columns <= LANES<T>)
    for (; r + 2 * ROWS <= rows; r += 2 * ROWS)
      tile<T, 2 * ROWS, 1>(a + r * row, row, step, b, next, c + r * below, below, terms, add);
  for (; r < rows; r += ROWS) {
    const int some = std::min(ROWS, rows - r);
    const auto each = std::make_integer_sequence<int, ROWS>();
    if (columns > LANES<T>)
      rest<T, 2>(each, some, a + r * row, row, step, b, next, c + r * below, below, terms, add);
    else
      rest<T, 1>(each, some, a + r * row, row, step, b, next, c + r * below, below, terms, add);
  }
}

}  // namespace sm
