// The C interface of the kernels: pointers, sizes and a stream, once per number type. 0: done; -1: the filters are too
// large for a tile in shared memory; else CUDA's error number. No header of torch is needed.
#pragma once

#include "filtered.h"
#include "pointwise.h"

namespace sm {

constexpr size_t LARGEST_SHARED = 64 << 10;  // bytes; every GPU since 2018 has them
constexpr int TILES[][2] = {{16, 32}, {16, 16}, {8, 16}, {4, 16}, {2, 16}, {1, 1}};  // rows, columns, before rounding

// ints: pairs, then for y and for x: taps, up, down, before, in, out.
inline AxisShape axis_of(const int32_t* ints) {
  int a = ints[1], b = ints[2];
  while (b) {
    const int rest = a % b;
    a = b, b = rest;
  }
  return {ints[1] / a, ints[2] / a, (ints[0] + ints[1] - 1) / ints[1], ints[1], ints[2], ints[3], ints[4], ints[5]};
}
inline SideShape side_of(const int32_t* ints) { return {ints[0], axis_of(ints + 1), axis_of(ints + 7)}; }

// Runs body with the largest tile that shared memory holds. whole: the columns of a tile must fill words of the mask.
template <class Body>
int launch_tiles(Body body, const SideShape& out, bool whole, int64_t planes, int device, void* stream) {
  for (const auto& tile : TILES) {
    const int width = round_up(tile[1], whole ? (out.x.granule() > PACKED ? out.x.granule() : PACKED) : out.x.granule());
    body.grid = grid_of(out, round_up(tile[0], out.y.granule()), width);
    const size_t shared = body.shared();
    if (shared <= LARGEST_SHARED)
      return launch(body, planes * body.grid.tiles_y * body.grid.tiles_x, shared, device, stream);
  }
  return -1;
}

template <class T>
struct FilteredCall {
  const int32_t *up, *down;
  const SumOf<T>*up_coef, *down_coef;
  const T *x, *scale, *b;
  T* y;
  uint32_t* mask;
  double slope, clamp;
  int64_t planes;
  int channels, device;
  void* stream;

  template <class U, class D, bool MASKED>
  int as() const {
    const SideShape u = side_of(up), d = side_of(down);
    const Filtered<T, U, D, MASKED> body{u, d, Grid{}, up_coef, down_coef, x, scale, b, y, mask, channels,
                                         static_cast<SumOf<T>>(slope), static_cast<SumOf<T>>(clamp)};
    return launch_tiles(body, d, !MASKED && mask, planes, device, stream);
  }
  template <class U, class D>
  bool fits() const {
    return U::fits(side_of(up)) && D::fits(side_of(down));
  }
  // The two shapes of the published networks and their adjoints have kernels of their own.
  template <bool MASKED>
  int run() const {
    typedef Known<2, 1, 6> Up2;
    typedef Known<4, 1, 6> Up4;
    typedef Known<1, 2, 12> Down2;
    typedef Known<1, 4, 24> Down4;
    typedef Known<0, 0, 0> Any;
    if constexpr (sizeof(T) < 8) {
      if (fits<Up2, Down2>()) return as<Up2, Down2, MASKED>();
      if (fits<Up4, Down2>()) return as<Up4, Down2, MASKED>();
      if (MASKED && fits<Up2, Down4>()) return as<Up2, Down4, MASKED>();
    }
    return as<Any, Any, MASKED>();
  }
};

template <class T>
int resample(const int32_t* ints, const SumOf<T>* coef, const T* x, T* y, int64_t planes, int device, void* stream) {
  const SideShape side = side_of(ints);
  if constexpr (sizeof(T) < 8) {
    typedef Known<1, 2, 4> Half4;  // [1, 3, 3, 1] of the discriminator, and its adjoint
    typedef Known<2, 1, 2> Twice4;
    if (Half4::fits(side)) return launch_tiles(Resample<T, Half4>{side, Grid{}, coef, x, y}, side, false, planes, device, stream);
    if (Twice4::fits(side)) return launch_tiles(Resample<T, Twice4>{side, Grid{}, coef, x, y}, side, false, planes, device, stream);
  }
  return launch_tiles(Resample<T, Known<0, 0, 0>>{side, Grid{}, coef, x, y}, side, false, planes, device, stream);
}

}  // namespace sm

#define SM_EXPORT extern "C" __attribute__((visibility("default")))

#define SM_EXPORTS(T, SUFFIX)                                                                                          \
  SM_EXPORT int sm_filtered_lrelu_##SUFFIX(const int32_t* up, const sm::SumOf<T>* up_coef, const int32_t* down,        \
                                           const sm::SumOf<T>* down_coef, const T* x, const T* scale, const T* b, T* y, \
                                           uint32_t* mask, double slope, double clamp, int64_t planes, int32_t channels, \
                                           int32_t device, void* stream) {                                             \
    return sm::FilteredCall<T>{up,   down,  up_coef, down_coef, x,        scale,  b,     y,                             \
                               mask, slope, clamp,   planes,    channels, device, stream}                              \
        .template run<false>();                                                                                        \
  }                                                                                                                    \
  SM_EXPORT int sm_masked_##SUFFIX(const int32_t* up, const sm::SumOf<T>* up_coef, const int32_t* down,                \
                                   const sm::SumOf<T>* down_coef, const T* g, T* z, uint32_t* mask, double slope,      \
                                   int64_t planes, int32_t device, void* stream) {                                     \
    return sm::FilteredCall<T>{up, down, up_coef, down_coef, g, nullptr, nullptr, z, mask, slope, 0, planes, 1,        \
                               device, stream}                                                                         \
        .template run<true>();                                                                                         \
  }                                                                                                                    \
  SM_EXPORT int sm_resample_##SUFFIX(const int32_t* ints, const sm::SumOf<T>* coef, const T* x, T* y, int64_t planes,  \
                                     int32_t device, void* stream) {                                                   \
    return sm::resample<T>(ints, coef, x, y, planes, device, stream);                                                  \
  }                                                                                                                    \
  SM_EXPORT int sm_act_##SUFFIX(const T* x, T* y, int64_t count, double slope, double gain, double clamp,              \
                                int32_t device, void* stream) {                                                        \
    typedef sm::SumOf<T> A;                                                                                            \
    const sm::Act<T> body{x, y, count, static_cast<A>(slope), static_cast<A>(gain), static_cast<A>(clamp)};            \
    return sm::launch(body, (count + sm::PIECE - 1) / sm::PIECE, 0, device, stream);                                   \
  }                                                                                                                    \
  SM_EXPORT int sm_act_masked_##SUFFIX(const T* g, const T* y, T* z, int64_t count, double slope, double gain,         \
                                       double clamp, int32_t device, void* stream) {                                   \
    typedef sm::SumOf<T> A;                                                                                            \
    const sm::ActMasked<T> body{g, y, z, count, static_cast<A>(slope), static_cast<A>(gain), static_cast<A>(clamp)};   \
    return sm::launch(body, (count + sm::PIECE - 1) / sm::PIECE, 0, device, stream);                                   \
  }
