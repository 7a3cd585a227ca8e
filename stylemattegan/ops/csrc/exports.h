// The C interface, once per number type. Every function returns 0, or 1 if memory ran out. No libtorch header is
// needed, so one binary serves every version of torch, and it compiles in seconds.
#include <new>

#include "chain.h"
#include "dense.h"
#include "pointwise.h"
#include "winograd.h"

#define SM_EXPORT extern "C" __attribute__((visibility("default")))
#define SM_NAME_(name, type) sm_##name##_##type
#define SM_NAME(name, type) SM_NAME_(name, type)
#define SM(name) SM_NAME(name, SM_SUFFIX)

typedef SM_REAL Real;
typedef sm::Side<Real> RealSide;

template <class F>
static int guarded(F f) {
  try {
    f();
    return 0;
  } catch (...) {
    return 1;
  }
}

static sm::Winograd<Real, sm::Stride1> plain(int64_t n, int height, int width, int padding, int in, int out) {
  const int grown = 2 * padding - 2;
  return {{}, {}, n, height, width, padding, height + grown, width + grown, in, out};
}

static sm::Winograd<Real, sm::Stride2> strided(const double* taps, int64_t n, int height, int width, int padding, int in,
                                               int out) {
  sm::Stride2<Real> along[2];
  for (int k = 0; k < 8; ++k) along[k / 4].taps[k % 4] = static_cast<Real>(taps[k]);
  const auto results = [&](int size) { return (size + 2 * padding - 3 - 3) / 2 + 1; };
  return {along[0], along[1], n, height, width, padding, results(height), results(width), in, out};
}

SM_EXPORT int SM(lanes)() { return sm::LANES<Real>; }

SM_EXPORT RealSide* SM(side_new)(const int32_t* ints, const double* taps) {
  try {
    return new RealSide(ints, taps);
  } catch (...) {
    return nullptr;
  }
}

SM_EXPORT void SM(side_free)(RealSide* side) { delete side; }

SM_EXPORT int SM(filtered_lrelu)(const RealSide* up, const RealSide* down, const Real* x, const Real* scale,
                                 const Real* b, Real* y, sm::Bits* positive, sm::Bits* clipped, uint8_t* clips,
                                 double slope, double clamp, int64_t n, int32_t c, sm::ParallelFor pool, int32_t threads) {
  const sm::Masks<Real> masks{positive, clipped, static_cast<Real>(slope), static_cast<Real>(clamp)};
  return guarded([&] { sm::filtered_lrelu(*up, *down, x, scale, b, y, masks, clips, n, c, {pool, threads}); });
}

SM_EXPORT int SM(masked)(const RealSide* up, const RealSide* down, const Real* g, const Real* x, const Real* scale,
                         Real* out, Real* sum_z, Real* sum_zx, sm::Bits* positive, sm::Bits* clipped, double slope,
                         int64_t n, int32_t c, sm::ParallelFor pool, int32_t threads) {
  const sm::Masks<Real> masks{positive, clipped, static_cast<Real>(slope), 0};
  return guarded([&] { sm::masked(*up, *down, g, x, scale, out, sum_z, sum_zx, masks, n, c, {pool, threads}); });
}

SM_EXPORT int SM(resample)(const RealSide* side, const Real* x, Real* y, int64_t n, int32_t c, sm::ParallelFor pool,
                           int32_t threads) {
  return guarded([&] { sm::resample(*side, x, y, n, c, {pool, threads}); });
}

SM_EXPORT int SM(act)(const Real* x, Real* y, int64_t count, double slope, double gain, double clamp,
                      sm::ParallelFor pool, int32_t threads) {
  return guarded([&] { sm::act<Real>(x, y, count, slope, gain, clamp, {pool, threads}); });
}

SM_EXPORT int SM(act_masked)(const Real* g, const Real* y, Real* z, int64_t count, double slope, double gain,
                             double clamp, sm::ParallelFor pool, int32_t threads) {
  return guarded([&] { sm::act_masked<Real>(g, y, z, count, slope, gain, clamp, {pool, threads}); });
}

SM_EXPORT int SM(scale_planes)(const Real* x, const Real* s, Real* y, int64_t n, int64_t area, int32_t c,
                               sm::ParallelFor pool, int32_t threads) {
  return guarded([&] { sm::scale_planes<Real>(x, s, y, n, area, c, {pool, threads}); });
}

SM_EXPORT int SM(scale_planes_backward)(const Real* g, const Real* x, const Real* s, Real* z, Real* total, int64_t n,
                                        int64_t area, int32_t c, sm::ParallelFor pool, int32_t threads) {
  return guarded([&] { sm::scale_planes_backward<Real>(g, x, s, z, total, n, area, c, {pool, threads}); });
}

// padding: zeros around x. swapped: w is (in, out, 3, 3) and turned by half a turn. y = clip(leaky(convolution + bias)).
SM_EXPORT int SM(winograd)(const Real* x, const Real* w, const Real* bias, Real* y, double slope, double clamp, int64_t n,
                           int32_t height, int32_t width, int32_t padding, int32_t in, int32_t out, int32_t swapped,
                           sm::ParallelFor pool, int32_t threads) {
  const sm::Bend<Real> bend{static_cast<Real>(slope), static_cast<Real>(clamp)};
  return guarded([&] {
    plain(n, height, width, padding, in, out).forward(x, w, bias, swapped != 0, bend, y, {pool, threads});
  });
}

SM_EXPORT int SM(winograd_weight)(const Real* x, const Real* g, Real* gw, int64_t n, int32_t height, int32_t width,
                                  int32_t padding, int32_t in, int32_t out, sm::ParallelFor pool, int32_t threads) {
  return guarded([&] { plain(n, height, width, padding, in, out).weight_gradient(x, g, gw, {pool, threads}); });
}

// taps: 4 along y, then 4 along x. padding: zeros around x, which the blur sees.
SM_EXPORT int SM(blurred)(const double* taps, const Real* x, const Real* w, const Real* bias, Real* y, double slope,
                          double clamp, int64_t n, int32_t height, int32_t width, int32_t padding, int32_t in,
                          int32_t out, sm::ParallelFor pool, int32_t threads) {
  const sm::Bend<Real> bend{static_cast<Real>(slope), static_cast<Real>(clamp)};
  return guarded([&] {
    strided(taps, n, height, width, padding, in, out).forward(x, w, bias, false, bend, y, {pool, threads});
  });
}

SM_EXPORT int SM(blurred_input)(const double* taps, const Real* g, const Real* w, Real* gx, int64_t n, int32_t height,
                                int32_t width, int32_t padding, int32_t in, int32_t out, sm::ParallelFor pool,
                                int32_t threads) {
  return guarded([&] { strided(taps, n, height, width, padding, in, out).backward(g, w, gx, {pool, threads}); });
}

SM_EXPORT int SM(blurred_weight)(const double* taps, const Real* x, const Real* g, Real* gw, int64_t n, int32_t height,
                                 int32_t width, int32_t padding, int32_t in, int32_t out, sm::ParallelFor pool,
                                 int32_t threads) {
  return guarded([&] { strided(taps, n, height, width, padding, in, out).weight_gradient(x, g, gw, {pool, threads}); });
}

// swapped: w is (in, out).
SM_EXPORT int SM(dense)(const Real* x, const Real* w, const Real* bias, Real* y, double slope, double clamp,
                        int64_t samples, int32_t in, int32_t out, int32_t swapped, sm::ParallelFor pool,
                        int32_t threads) {
  const sm::Bend<Real> bend{static_cast<Real>(slope), static_cast<Real>(clamp)};
  const bool linear = slope == 1 && clamp == std::numeric_limits<double>::infinity();
  return guarded([&] {
    sm::Dense<Real>(samples, in, out).forward(x, w, bias, swapped != 0, linear ? nullptr : &bend, y, {pool, threads});
  });
}

SM_EXPORT int SM(dense_weight)(const Real* x, const Real* g, Real* gw, int64_t samples, int32_t in, int32_t out,
                               sm::ParallelFor pool, int32_t threads) {
  return guarded([&] { sm::Dense<Real>(samples, in, out).weight_gradient(x, g, gw, {pool, threads}); });
}
