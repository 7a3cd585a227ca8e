#include "exports.h"

SM_EXPORTS(float, f32)
SM_EXPORTS(double, f64)
SM_EXPORTS(sm::Half, f16)
SM_EXPORTS(sm::BFloat, bf16)
