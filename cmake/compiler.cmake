# Warnings are errors, float contraction is off everywhere (a fused multiply-add changes bytes that
# must not depend on the compiler), and release keeps its invariant checks.
add_library(dlm_options INTERFACE)
target_compile_options(dlm_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Werror
  -ffp-contract=off -fno-math-errno -fno-trapping-math)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 reports false positives of these two inside its own standard library at -O2.
  target_compile_options(dlm_options INTERFACE -Wno-restrict -Wno-stringop-overflow)
endif()
if(DLM_SANITIZE)
  target_compile_options(dlm_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all
                         -fno-omit-frame-pointer)
  target_link_options(dlm_options INTERFACE -fsanitize=address,undefined)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # Instrumented, the regular expressions of its library look to GCC 12 as if they read nothing set.
    target_compile_options(dlm_options INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(DLM_FUZZ)
  target_compile_options(dlm_options INTERFACE -fsanitize=fuzzer-no-link,address,undefined
                         -fno-sanitize-recover=all)
  target_link_options(dlm_options INTERFACE -fsanitize=address,undefined)
endif()
