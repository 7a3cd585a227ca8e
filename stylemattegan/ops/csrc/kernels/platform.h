// Where the kernels run. nvcc makes CUDA of them; a plain C++ compiler makes an emulation that runs the same source on
// the CPU, block after block, so that every machine can check their arithmetic.
//
// A kernel is a struct with `operator()(int64_t block, void* shared) const` made of phases: phase(count, f) calls f(i)
// once for each i < count, by whichever thread, and ends with a barrier. So no barrier can be forgotten; that no call
// needs another one of the same phase is tested by running them in ascending and in descending order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#ifdef __CUDACC__
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#define SM_DEVICE __device__ __forceinline__
#define SM_BOTH __host__ __device__ inline
#else
#include <cmath>
#include <limits>
#include <vector>
#define SM_DEVICE inline
#define SM_BOTH inline
#endif

namespace sm {

// The number type that sums of T are made in.
template <class T>
struct Sum {
  typedef float Type;
};
template <>
struct Sum<double> {
  typedef double Type;
};
template <class T>
using SumOf = typename Sum<T>::Type;

#ifdef __CUDACC__

constexpr int THREADS = 256;
constexpr size_t ALWAYS_SHARED = 48 << 10;  // bytes of shared memory that need not be asked for

typedef __half Half;
typedef __nv_bfloat16 BFloat;
SM_DEVICE float number(Half v) { return __half2float(v); }
SM_DEVICE float number(BFloat v) { return __bfloat162float(v); }
template <class T>
SM_DEVICE T rounded(float v);
template <>
SM_DEVICE Half rounded<Half>(float v) { return __float2half_rn(v); }
template <>
SM_DEVICE BFloat rounded<BFloat>(float v) { return __float2bfloat16_rn(v); }

template <class F>
SM_DEVICE void phase(int count, F f) {
  for (int i = threadIdx.x; i < count; i += blockDim.x) f(i);
  __syncthreads();
}

template <class Body>
__global__ void __launch_bounds__(THREADS) run(const Body body) {
  extern __shared__ __align__(16) unsigned char shared[];
  body(blockIdx.x, shared);
}

// Makes `device` current and what was current before so again.
struct OnDevice {
  int before = 0, device;
  cudaError_t error;
  explicit OnDevice(int device) : device(device), error(cudaGetDevice(&before)) {
    if (!error && before != device) error = cudaSetDevice(device);
  }
  ~OnDevice() {
    if (before != device) cudaSetDevice(before);
  }
};

// 0, or CUDA's error number.
template <class Body>
int launch(const Body& body, int64_t blocks, size_t shared, int device, void* stream) {
  if (blocks == 0) return 0;
  if (blocks > INT32_MAX) return cudaErrorInvalidConfiguration;
  const OnDevice current(device);
  cudaError_t error = current.error;
  if (!error && shared > ALWAYS_SHARED)
    error = cudaFuncSetAttribute(run<Body>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
  if (error) return error;
  run<<<static_cast<unsigned>(blocks), THREADS, shared, static_cast<cudaStream_t>(stream)>>>(body);
  return cudaGetLastError();
}

#else

struct BFloat {
  uint16_t bits;
};
inline float number(BFloat v) {
  const uint32_t bits = static_cast<uint32_t>(v.bits) << 16;
  float f;
  std::memcpy(&f, &bits, sizeof(f));
  return f;
}
template <class T>
inline T rounded(float v);
template <>
inline BFloat rounded<BFloat>(float v) {
  if (v != v) return {0x7fc0};
  uint32_t bits;
  std::memcpy(&bits, &v, sizeof(v));
  return {static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16)};  // to the nearest, ties to even
}
#ifdef __FLT16_MAX__
typedef _Float16 Half;
inline float number(Half v) { return static_cast<float>(v); }
template <>
inline Half rounded<Half>(float v) { return static_cast<Half>(v); }
#endif

inline bool& descending() {
  static bool order = false;
  return order;
}

template <class F>
inline void phase(int count, F f) {
  for (int i = 0; i < count; ++i) f(descending() ? count - 1 - i : i);
}

// What a block leaves uninitialised is not a number to it.
template <class Body>
int launch(const Body& body, int64_t blocks, size_t shared, int, void*) {
  std::vector<double> memory((shared + 7) / 8);
  for (int64_t i = 0; i < blocks; ++i) {
    std::memset(memory.data(), 0xff, memory.size() * sizeof(double));
    body(descending() ? blocks - 1 - i : i, memory.data());
  }
  return 0;
}

#endif

SM_DEVICE float number(float v) { return v; }
SM_DEVICE double number(double v) { return v; }
template <>
SM_DEVICE float rounded<float>(float v) { return v; }
template <class T>
SM_DEVICE T stored(SumOf<T> v) {
  if constexpr (sizeof(T) == 8)
    return v;
  else
    return rounded<T>(v);
}

}  // namespace sm
