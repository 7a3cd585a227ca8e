// One register full of channels. All arithmetic of the ops is elementwise over channels, so nothing is ever shuffled.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) && defined(__AVX512DQ__)
#include <immintrin.h>
#define SM_BYTES 64
#elif defined(__AVX__)
#define SM_BYTES 32
#else
#define SM_BYTES 16
#endif

namespace sm {

template <class T>
struct Lanes;

template <>
struct Lanes<float> {
  typedef float V __attribute__((vector_size(SM_BYTES)));
  typedef int32_t I __attribute__((vector_size(SM_BYTES)));
};

template <>
struct Lanes<double> {
  typedef double V __attribute__((vector_size(SM_BYTES)));
  typedef int64_t I __attribute__((vector_size(SM_BYTES)));
};

template <class T>
using Vec = typename Lanes<T>::V;
template <class T>
using Ints = typename Lanes<T>::I;
template <class T>
constexpr int LANES = SM_BYTES / static_cast<int>(sizeof(T));
typedef uint16_t Bits;  // one bit per lane

template <class T>
inline Vec<T> splat(T value) {
  return Vec<T>{} + value;
}

#if SM_BYTES == 64
inline __m512 load_some(const float* from, int count) {
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << count) - 1), from);
}
inline __m512d load_some(const double* from, int count) {
  return _mm512_maskz_loadu_pd(static_cast<__mmask8>((1u << count) - 1), from);
}
inline void store_some(float* to, Vec<float> v, int count) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << count) - 1), (__m512)v);
}
inline void store_some(double* to, Vec<double> v, int count) {
  _mm512_mask_storeu_pd(to, static_cast<__mmask8>((1u << count) - 1), (__m512d)v);
}
#endif

// The first `count` lanes from memory, zeros after them.
template <class T>
inline Vec<T> load(const T* from, int count) {
#if SM_BYTES == 64
  return (Vec<T>)load_some(from, count);
#else
  Vec<T> v{};
  if (count == LANES<T>)
    std::memcpy(&v, from, sizeof(v));
  else
    for (int i = 0; i < count; ++i) v[i] = from[i];
  return v;
#endif
}

template <class T>
inline void store(T* to, Vec<T> v, int count) {
#if SM_BYTES == 64
  store_some(to, v, count);
#else
  if (count == LANES<T>)
    std::memcpy(to, &v, sizeof(v));
  else
    for (int i = 0; i < count; ++i) to[i] = v[i];
#endif
}

// Which lanes of a comparison (0 or -1 each) hold.
template <class T>
inline Bits pack(Ints<T> holds) {
#if SM_BYTES == 64
  if constexpr (sizeof(T) == 4)
    return static_cast<Bits>(_mm512_movepi32_mask(reinterpret_cast<__m512i&>(holds)));
  else
    return static_cast<Bits>(_mm512_movepi64_mask(reinterpret_cast<__m512i&>(holds)));
#else
  Bits bits = 0;
  for (int i = 0; i < LANES<T>; ++i) bits |= static_cast<Bits>((holds[i] & 1) << i);
  return bits;
#endif
}

template <class T>
inline Ints<T> unpack(Bits bits) {
  Ints<T> each{};
  for (int i = 0; i < LANES<T>; ++i) each[i] = 1 << i;  // folded to a constant
  return (each & static_cast<decltype(each[0] + 0)>(bits)) != 0;
}

// v where positive, v slope elsewhere (also where v is not a number); bits: where.
template <class T>
inline Vec<T> leaky_by(Vec<T> v, T slope, Bits bits) {
#if SM_BYTES == 64
  if constexpr (sizeof(T) == 4)
    return (Vec<T>)_mm512_mask_mul_ps((__m512)v, static_cast<__mmask16>(~bits), (__m512)v, _mm512_set1_ps(slope));
  else
    return (Vec<T>)_mm512_mask_mul_pd((__m512d)v, static_cast<__mmask8>(~bits), (__m512d)v, _mm512_set1_pd(slope));
#else
  return unpack<T>(bits) ? v : v * slope;
#endif
}

template <class T>
inline Vec<T> leaky(Vec<T> v, T slope, Bits& bits) {
#if SM_BYTES == 64
  if constexpr (sizeof(T) == 4)
    bits = _mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_GT_OQ);
  else
    bits = _mm512_cmp_pd_mask((__m512d)v, _mm512_setzero_pd(), _CMP_GT_OQ);
  return leaky_by(v, slope, bits);
#else
  const Ints<T> up = v > Vec<T>{};
  bits = pack<T>(up);
  return up ? v : v * slope;
#endif
}

}  // namespace sm
