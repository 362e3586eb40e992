// Elementary functions of f64 whose bits depend on no library: only additions, multiplications and
// divisions in a written order. For tables and schedules that reach results; hot loops have their
// own in the engine's kernels.
#pragma once

namespace dlm {

// Within 2e-16 of the true value for |x| up to 2^20.
double exact_sin(double x);
double exact_cos(double x);
// Relative error below 1e-15: x positive and normal; e^x neither overflows nor is subnormal.
double exact_log(double x);
double exact_exp(double x);
// base^exponent for a positive base: exp(exponent * log(base)), relative error below 1e-15 times
// the logarithm of the result.
double exact_pow(double base, double exponent);

}  // namespace dlm
