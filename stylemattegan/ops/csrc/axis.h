// What happens along one axis: zero insertion, padding or cropping, FIR, decimation, as a few short dot products.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace sm {

// Tap counts that have a kernel with its coefficients in registers; longer filters take the plain loop.
constexpr int TAP_COUNTS[] = {1, 2, 3, 4, 6, 8, 12};
constexpr int LARGEST_TAPS = 12;

inline int rounded_taps(int taps) {
  for (int count : TAP_COUNTS)
    if (taps <= count) return count;
  return taps;
}

inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

// out[q + phases j] = sum_k coef[q][k] in[start[q] + step j + k], in = 0 outside of [0, in_size).
template <class T>
struct Axis {
  int in_size, out_size, phases, step, taps;
  std::vector<int> start;
  std::vector<T> coef;  // phases x taps

  // w correlates: out[o] = sum_k w[k] z[o down + k - before], z[up i] = in[i], other z = 0.
  Axis(const double* w, int count, int up, int down, int before, int in, int out) : in_size(in), out_size(out) {
    int a = up, b = down;
    while (b) {
      const int rest = a % b;
      a = b;
      b = rest;
    }
    phases = up / a;
    step = down / a;
    taps = rounded_taps((count + up - 1) / up);
    start.resize(phases);
    coef.assign(static_cast<size_t>(phases) * taps, T(0));
    for (int q = 0; q < phases; ++q) {
      const int64_t first = -floor_div(-(static_cast<int64_t>(q) * down - before), up);  // ceil
      start[q] = static_cast<int>(first);
      int k = static_cast<int>(first * up + before - static_cast<int64_t>(q) * down);
      for (int i = 0; k < count; k += up, ++i) coef[static_cast<size_t>(q) * taps + i] = static_cast<T>(w[k]);
    }
  }

  const T* coefficients(int out) const { return &coef[static_cast<size_t>(out % phases) * taps]; }
  int first(int out) const { return start[out % phases] + step * (out / phases); }

  // How many input rows two successive outputs span.
  int span() const {
    int most = taps;
    for (int q = 0; q < phases && q + 1 < out_size; ++q) most = std::max(most, first(q + 1) - first(q) + taps);
    return most;
  }

  // How many zeros the dot products read before and after the input.
  int margin_before() const {
    int least = 0;
    for (int q = 0; q < phases && q < out_size; ++q) least = start[q] < least ? start[q] : least;
    return -least;
  }
  int margin_after() const {
    int most = in_size;
    for (int q = 0; q < phases && q < out_size; ++q) {
      const int last = first(q + (out_size - 1 - q) / phases * phases) + taps;
      most = last > most ? last : most;
    }
    return most - in_size;
  }
};

// A 2-D filter as a sum of outer products, with everything that happens around it.
template <class T>
struct Side {
  struct Pair {
    Axis<T> y, x;
  };
  std::vector<Pair> pairs;
  int margin_before = 0, margin_after = 0;  // along x

  // ints: pairs, then for y and for x: taps, up, down, before, in, out. taps: for each pair those of y, then of x.
  Side(const int32_t* ints, const double* w) {
    const int32_t *y = ints + 1, *x = ints + 7;
    for (int p = 0; p < ints[0]; ++p) {
      pairs.push_back({Axis<T>(w, y[0], y[1], y[2], y[3], y[4], y[5]),
                       Axis<T>(w + y[0], x[0], x[1], x[2], x[3], x[4], x[5])});
      w += y[0] + x[0];
    }
    margin_before = pairs[0].x.margin_before();
    margin_after = pairs[0].x.margin_after();
  }
  const Axis<T>& y() const { return pairs[0].y; }
  const Axis<T>& x() const { return pairs[0].x; }
};

}  // namespace sm
