// Elementwise ops over whole tensors.
#pragma once

#include "platform.h"

namespace sm {

constexpr int PIECE = 2048;  // elements per block

// y = clip(leaky(x) gain)
template <class T>
struct Act {
  typedef SumOf<T> A;
  const T* x;
  T* y;
  int64_t count;
  A slope, gain, clamp;

  SM_DEVICE void operator()(int64_t block, void*) const {
    const Act self = *this;
    phase(PIECE, [=](int i) {
      const int64_t at = block * PIECE + i;
      if (at >= self.count) return;
      A v = number(self.x[at]);
      v = (v > A(0) ? v : v * self.slope) * self.gain;
      v = v > self.clamp ? self.clamp : v;
      self.y[at] = stored<T>(v < -self.clamp ? -self.clamp : v);
    });
  }
};

// z = g dy/dx, from the output y: its sign is that of x. What was clipped has the value of the clamp as T holds it.
template <class T>
struct ActMasked {
  typedef SumOf<T> A;
  const T *g, *y;
  T* z;
  int64_t count;
  A slope, gain, clamp;

  SM_DEVICE void operator()(int64_t block, void*) const {
    const ActMasked self = *this;
    const A edge = number(stored<T>(self.clamp));
    phase(PIECE, [=](int i) {
      const int64_t at = block * PIECE + i;
      if (at >= self.count) return;
      const A y = number(self.y[at]), v = number(self.g[at]) * (y > A(0) ? self.gain : self.slope * self.gain);
      self.z[at] = stored<T>(y < edge && y > -edge ? v : A(0));
    });
  }
};

}  // namespace sm
