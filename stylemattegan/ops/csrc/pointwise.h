// Elementwise ops over whole tensors, and products with one number per plane.
#pragma once

#include <limits>

#include "blocks.h"

namespace sm {

constexpr int64_t PIECE = 1 << 14;  // elements per task: fixed, so that nothing depends on the number of threads

template <class F>
void pieces(const Workers& workers, int64_t count, F f) {
  share(workers, (count + PIECE - 1) / PIECE, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) f(i * PIECE, std::min(count, (i + 1) * PIECE));
  });
}

// clip(leaky(v)) of one register, in the very steps of `act` with a gain of 1.
template <class T>
struct Bend {
  T slope = 1, clamp = std::numeric_limits<T>::infinity();
  Vec<T> operator()(Vec<T> v) const {
    v = v > Vec<T>{} ? v : v * slope;
    v = v > splat(clamp) ? splat(clamp) : v;
    return v < splat(-clamp) ? splat(-clamp) : v;
  }
};

// y = clip(leaky(x) gain)
template <class T>
void act(const T* x, T* y, int64_t count, T slope, T gain, T clamp, const Workers& workers) {
  pieces(workers, count, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T v = (x[i] > 0 ? x[i] : x[i] * slope) * gain;
      v = v > clamp ? clamp : v;
      y[i] = v < -clamp ? -clamp : v;
    }
  });
}

// z = g dy/dx, from the output y: its sign is that of x.
template <class T>
void act_masked(const T* g, const T* y, T* z, int64_t count, T slope, T gain, T clamp, const Workers& workers) {
  const T below = slope * gain;
  pieces(workers, count, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T v = g[i] * (y[i] > 0 ? gain : below);
      z[i] = y[i] < clamp && y[i] > -clamp ? v : T(0);
    }
  });
}

// y = x s, s (N, C), channels last.
template <class T>
void scale_planes(const T* x, const T* s, T* y, int64_t n, int64_t area, int c, const Workers& workers) {
  share(workers, n, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin * area; i < end * area; ++i) {
      const T* each = s + i / area * c;
      for (int k = 0; k < c; ++k) y[i * c + k] = x[i * c + k] * each[k];
    }
  });
}

// z = g s and total[n, c] = sum over the plane of g x.
template <class T>
void scale_planes_backward(const T* g, const T* x, const T* s, T* z, T* total, int64_t n, int64_t area, int c,
                           const Workers& workers) {
  share(workers, Block<T>::count(n, c), [=](int64_t begin, int64_t end) {
    for (int64_t index = begin; index < end; ++index) {
      const Block<T> block(index, c);
      const Vec<T> each = block.of_plane(s, 0);
      double sums[LANES<T>] = {};
      const int64_t start = block.sample * area * c + block.channel;
      for (int64_t piece = 0; piece < area; piece += 64) {
        Vec<T> sum{};
        for (int64_t i = piece; i < std::min(area, piece + 64); ++i) {
          const int64_t at = start + i * c;
          const Vec<T> v = load(g + at, block.lanes);
          sum += v * load(x + at, block.lanes);
          store(z + at, v * each, block.lanes);
        }
        for (int k = 0; k < LANES<T>; ++k) sums[k] += sum[k];
      }
      for (int k = 0; k < block.lanes; ++k) total[block.sample * c + block.channel + k] = static_cast<T>(sums[k]);
    }
  });
}

}  // namespace sm
