#include "engine/cpu/gemm.h"

#include <omp.h>

#include <algorithm>
#include <dnnl.hpp>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/cpu/amx_gemm.h"
#include "engine/cpu/isa.h"
#include "engine/cpu/kernels.h"
#include "support/error.h"

namespace dlm {

namespace {

struct ShapeHash {
  size_t operator()(const GemmShape& s) const {
    uint64_t h = 1469598103934665603ULL;
    for (const int64_t v :
         {s.m, s.n, s.k, s.lda, s.ldb, s.ldc,
          static_cast<int64_t>(s.trans_a) | static_cast<int64_t>(s.trans_b) << 1 |
              static_cast<int64_t>(s.accumulate) << 2 | static_cast<int64_t>(s.input) << 3 |
              static_cast<int64_t>(s.output) << 6}) {
      h = (h ^ static_cast<uint64_t>(v)) * 1099511628211ULL;
    }
    return h;
  }
};

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine = [] {
    isa_tier();  // caps oneDNN before its first primitive
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return engine;
}

dnnl::memory::data_type data_type(DType dtype) {
  return dtype == DType::kBF16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
}

// One compiled product with its memory handles; owned by one thread.
struct Product {
  dnnl::matmul primitive;
  dnnl::memory a;
  dnnl::memory b;
  dnnl::memory c;
  std::unordered_map<int, dnnl::memory> arguments;
  size_t scratch_bytes = 0;
};

// What a thread needs to run products: its stream, its compiled products, one scratch buffer that
// grows to the largest need.
struct ThreadProducts {
  dnnl::stream stream{cpu_engine()};
  std::unordered_map<GemmShape, std::unique_ptr<Product>, ShapeHash> products;
  std::shared_ptr<std::byte> scratch;
  size_t scratch_bytes = 0;

  Product& get(const GemmShape& s) {
    auto& slot = products[s];
    if (slot == nullptr) slot = make(s);
    return *slot;
  }

  static std::unique_ptr<Product> make(const GemmShape& s) {
    using dnnl::memory;
    const auto in = data_type(s.input);
    const memory::dims a_strides = s.trans_a ? memory::dims{1, s.lda} : memory::dims{s.lda, 1};
    const memory::dims b_strides = s.trans_b ? memory::dims{1, s.ldb} : memory::dims{s.ldb, 1};
    const memory::desc a({s.m, s.k}, in, a_strides);
    const memory::desc b({s.k, s.n}, in, b_strides);
    const memory::desc c({s.m, s.n}, data_type(s.output), memory::dims{s.ldc, 1});
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (s.accumulate) {
      dnnl::post_ops post_ops;
      post_ops.append_sum(1.0f);
      attributes.set_post_ops(post_ops);
    }
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, b, c), attributes,
                                                   cpu_engine());
    auto product = std::make_unique<Product>();
    product->primitive = dnnl::matmul(description);
    product->a = memory(a, cpu_engine(), nullptr);
    product->b = memory(b, cpu_engine(), nullptr);
    product->c = memory(c, cpu_engine(), nullptr);
    product->scratch_bytes = description.scratchpad_desc().get_size();
    product->arguments = {
        {DNNL_ARG_SRC, product->a}, {DNNL_ARG_WEIGHTS, product->b}, {DNNL_ARG_DST, product->c}};
    if (product->scratch_bytes > 0) {
      product->arguments[DNNL_ARG_SCRATCHPAD] =
          memory(description.scratchpad_desc(), cpu_engine(), nullptr);
    }
    return product;
  }

  void run(const GemmShape& s, const void* a, const void* b, void* c) {
    Product& p = get(s);
    if (p.scratch_bytes > scratch_bytes) {
      scratch = allocate_aligned(p.scratch_bytes);
      scratch_bytes = p.scratch_bytes;
    }
    p.a.set_data_handle(const_cast<void*>(a));
    p.b.set_data_handle(const_cast<void*>(b));
    p.c.set_data_handle(c);
    if (p.scratch_bytes > 0) p.arguments[DNNL_ARG_SCRATCHPAD].set_data_handle(scratch.get());
    p.primitive.execute(stream, p.arguments);
  }
};

}  // namespace

void gemm(const GemmShape& shape, const void* a, const void* b, void* c) {
  if (gemm_widens_bf16() && shape.input == DType::kF32) {
    thread_local std::vector<float> memory;
    const auto needed = static_cast<size_t>(256 * (shape.m + 262));
    if (memory.size() < needed) memory.resize(needed);
    kernels(isa_tier())
        .gemm_f32(shape, static_cast<const float*>(a), b, static_cast<float*>(c), memory.data());
    return;
  }
  if (isa_tier() == IsaTier::kAmx && shape.input == DType::kBF16) {
    AmxProduct product;
    product.shape = shape;
    product.a = static_cast<const BF16*>(a);
    product.b = static_cast<const BF16*>(b);
    product.c = c;
    if (shape.accumulate) {
      product.addend = static_cast<const float*>(c);
      product.ld_addend = shape.ldc;
    }
    amx_product(product);
    return;
  }
  check(!shape.b_is_bf16 && !shape.b_is_packed, "gemm: bf16 beside f32, or a packed matrix");
  thread_local ThreadProducts products;
  GemmShape compiled = shape;  // oneDNN multiplies triangles whole
  compiled.triangle = Triangle::kNone;
  compiled.diagonal = 0;
  try {
    products.run(compiled, a, b, c);
  } catch (const dnnl::error& e) {
    throw Error(ErrorKind::kInternal,
                "oneDNN refuses a product of " + std::to_string(shape.m) + " x " +
                    std::to_string(shape.n) + " x " + std::to_string(shape.k) + " in " +
                    dtype_name(shape.input) + ": " + e.what(),
                "try training.precision: fp32");
  }
}

bool gemm_widens_bf16() {
  // oneDNN's f32 products change their bits with M on these tiers.
  return isa_tier() <= IsaTier::kAvx2;
}

size_t packed_panel_bytes(DType input, int64_t k) {
  // TDPBF16PS takes 32 numbers of k at a time.
  const int64_t lines = input == DType::kBF16 ? (k + 31) / 32 * 32 : k;
  return static_cast<size_t>(lines * kPackedCols) * dtype_size(input);
}

void gemm_pack(const GemmShape& shape, const void* b, void* to) {
  check(gemm_is_own(shape.input), "gemm_pack: a product of oneDNN's");
  if (shape.input == DType::kF32) {
    kernels(isa_tier()).gemm_f32_pack(shape, b, static_cast<float*>(to));
  } else {
    amx_pack(shape, static_cast<const BF16*>(b), static_cast<BF16*>(to));
  }
}

bool gemm_is_own(DType input) {
  return input == DType::kF32 ? gemm_widens_bf16() : isa_tier() == IsaTier::kAmx;
}

void use_one_openmp_thread() {
  omp_set_num_threads(1);
}

const char* onednn_version() {
  static const std::string text = [] {
    const dnnl_version_t* v = dnnl_version();
    return std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
           std::to_string(v->patch);
  }();
  return text.c_str();
}

}  // namespace dlm
