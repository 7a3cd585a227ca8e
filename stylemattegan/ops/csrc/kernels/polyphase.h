// FIR passes over a tile in shared memory. As in ../axis.h, zero insertion, padding and decimation are short dot
// products: out[q + phases j] = sum_k coef[q][k] in[start[q] + step j + k].
#pragma once

#include "platform.h"

namespace sm {

constexpr int RUN = 4;  // outputs of one phase that one call makes, each input loaded once for all

SM_BOTH int floor_div(int a, int b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
SM_BOTH int round_up(int a, int b) { return (a + b - 1) / b * b; }

// One axis of a side. before: padding; step and phases: down and up without their common factor; taps: of a phase.
struct AxisShape {
  int phases, step, taps, up, down, before, in, out;

  SM_BOTH int start(int q) const { return -floor_div(before - q * down, up); }  // ceil((q down - before) / up)
  SM_BOTH int granule() const { return phases * RUN; }
  // The first input that outputs from `o`, a multiple of the phases, read; and how many inputs n of them span.
  SM_BOTH int first(int o) const { return start(0) + floor_div(o, phases) * step; }
  SM_BOTH int span(int n) const { return step * (n / phases - 1) + taps + start(phases - 1) - start(0); }
};

struct SideShape {
  int pairs;
  AxisShape y, x;
  SM_BOTH int coefficients() const { return pairs * (y.phases * y.taps + x.phases * x.taps); }
  SM_BOTH int starts() const { return y.phases + x.phases; }
};

// Phases, step and taps known to the compiler, or 0.
template <int P, int S, int K>
struct Known {
  static constexpr int phases = P, step = S, taps = K;
  static bool fits(const AxisShape& axis) {
    return P == 0 || (axis.phases == P && axis.step == S && axis.taps == K);
  }
  static bool fits(const SideShape& side) { return fits(side.y) && fits(side.x); }
};

// A side's coefficients and starts in shared memory.
template <class A>
struct Taps {
  A* coef;
  int* start;

  SM_DEVICE void load(const SideShape& side, const A* from) const {
    A* coef = this->coef;
    int* start = this->start;
    phase(side.coefficients(), [=](int i) { coef[i] = from[i]; });
    phase(side.starts(), [=](int i) {
      start[i] = i < side.y.phases ? side.y.start(i) - side.y.start(0)
                                   : side.x.start(i - side.y.phases) - side.x.start(0);
    });
  }
  SM_DEVICE const A* y(const SideShape& side, int pair) const {
    return coef + pair * (side.y.phases * side.y.taps + side.x.phases * side.x.taps);
  }
  SM_DEVICE const A* x(const SideShape& side, int pair) const { return y(side, pair) + side.y.phases * side.y.taps; }
};

// Filters `lines` lines into `outs` outputs each (a multiple of the granule): emit(line, output, value). from: where the
// first output's window begins; along, across: distances of neighbours on a line and of lines.
template <class A, class K, class Emit>
SM_DEVICE void pass(const AxisShape& axis, const A* coef, const int* start, const A* from, int along, int across,
                    int lines, int outs, Emit emit) {
  const int phases = K::phases ? K::phases : axis.phases, step = K::phases ? K::step : axis.step;
  const int taps = K::phases ? K::taps : axis.taps;
  phase(lines * (outs / RUN), [=](int item) {
    const int line = item % lines, rest = item / lines, q = rest % phases, j = rest / phases * RUN;
    const A* in = from + line * across + (start[q] + step * j) * along;
    const A* c = coef + q * taps;
    A sum[RUN] = {};
    if constexpr (K::phases > 0) {
#pragma unroll
      for (int k = 0; k < K::taps + (RUN - 1) * K::step; ++k) {
        const A v = in[k * along];
#pragma unroll
        for (int r = 0; r < RUN; ++r)
          if (k >= r * K::step && k < r * K::step + K::taps) sum[r] += c[k - r * K::step] * v;
      }
    } else {
      for (int k = 0; k < taps; ++k)
        for (int r = 0; r < RUN; ++r) sum[r] += c[k] * in[(r * step + k) * along];
    }
#pragma unroll
    for (int r = 0; r < RUN; ++r) emit(line, q + phases * (j + r), sum[r]);
  });
}

}  // namespace sm
