// The kernels of ops.cu on the CPU, for tests: right or wrong as those, and slow.
#include "exports.h"

SM_EXPORTS(float, f32)
SM_EXPORTS(double, f64)
#ifdef __FLT16_MAX__
SM_EXPORTS(sm::Half, f16)
#endif
SM_EXPORTS(sm::BFloat, bf16)

SM_EXPORT void sm_descending(int32_t yes) { sm::descending() = yes != 0; }
