#define SM_REAL float
#define SM_SUFFIX f32
#include "exports.h"
