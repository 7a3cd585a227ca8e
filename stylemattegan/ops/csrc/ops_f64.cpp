#define SM_REAL double
#define SM_SUFFIX f64
#include "exports.h"
