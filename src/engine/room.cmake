# One source, four compilations. -O3 because the kernels' inner loops want unrolling; GCC's vector
# types make -Wpsabi complain about passing them, which never crosses a file here, and its own AVX-512
# header trips -Wuninitialized and -Wmaybe-uninitialized.
find_package(OpenMP REQUIRED)
target_link_libraries(dlm_engine PRIVATE OpenMP::OpenMP_CXX)
set(kernel_flags -O3 -Wno-psabi -Wno-ignored-attributes -Wno-pedantic -Wno-maybe-uninitialized -Wno-uninitialized)
if(CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  list(REMOVE_ITEM kernel_flags -Wno-maybe-uninitialized)  # which it does not know
  list(APPEND kernel_flags -Wno-pass-failed)  # with sanitizers it leaves some loops rolled
endif()
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/engine/cpu/kernels_scalar.cpp PROPERTIES
  COMPILE_OPTIONS "${kernel_flags}")
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/engine/cpu/kernels_avx2.cpp PROPERTIES
  COMPILE_OPTIONS "${kernel_flags};-mavx2;-mfma;-mf16c")
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/engine/cpu/kernels_avx512.cpp PROPERTIES
  COMPILE_OPTIONS "${kernel_flags};-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mprefer-vector-width=512")
set_source_files_properties(${CMAKE_SOURCE_DIR}/src/engine/cpu/kernels_avx512_bf16.cpp PROPERTIES
  COMPILE_OPTIONS "${kernel_flags};-mavx2;-mfma;-mf16c;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512bf16;-mprefer-vector-width=512")
set_source_files_properties(
  ${CMAKE_SOURCE_DIR}/src/engine/cpu/amx_gemm.cpp ${CMAKE_SOURCE_DIR}/src/engine/cpu/amx_low_rank.cpp PROPERTIES
  COMPILE_OPTIONS "${kernel_flags};-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mavx512bf16;-mamx-tile;-mamx-bf16;-mprefer-vector-width=512")
