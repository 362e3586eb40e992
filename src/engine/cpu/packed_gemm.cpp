#include "engine/cpu/packed_gemm.h"

#include <dnnl.hpp>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/cpu/isa.h"
#include "support/error.h"

namespace dlm {

struct PackedMatrix::State {
  // A worker's handles: oneDNN primitives may run on many threads when nothing else is shared.
  struct Handles {
    dnnl::memory a;
    dnnl::memory c;
    std::unordered_map<int, dnnl::memory> arguments;
    dnnl::stream stream;
    std::shared_ptr<std::byte> scratch;
  };
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::matmul primitive;
  dnnl::memory packed;
  std::vector<Handles> workers;
};

PackedMatrix::PackedMatrix(const PackedShape& s, const void* b, int num_workers) {
  isa_tier();  // caps oneDNN before its first primitive
  state_ = std::make_unique<State>();
  try {
    using dnnl::memory;
    const auto type = s.dtype == DType::kBF16 ? memory::data_type::bf16 : memory::data_type::f32;
    const memory::desc a({s.m, s.k}, type, memory::dims{s.k, 1});
    const memory::desc c({s.m, s.n}, type, memory::dims{s.n, 1});
    const memory::desc plain({s.k, s.n}, type,
                             s.trans_b ? memory::dims{1, s.ldb} : memory::dims{s.ldb, 1});
    const memory::desc any({s.k, s.n}, type, memory::format_tag::any);
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(a, any, c), attributes,
                                                   state_->engine);
    state_->primitive = dnnl::matmul(description);
    state_->packed = memory(description.weights_desc(), state_->engine);
    dnnl::stream stream(state_->engine);
    memory from(plain, state_->engine, const_cast<void*>(b));
    dnnl::reorder(from, state_->packed).execute(stream, from, state_->packed);
    stream.wait();
    for (int worker = 0; worker < num_workers; ++worker) {
      State::Handles h;
      h.a = memory(a, state_->engine, nullptr);
      h.c = memory(c, state_->engine, nullptr);
      h.stream = dnnl::stream(state_->engine);
      h.arguments = {{DNNL_ARG_SRC, h.a}, {DNNL_ARG_WEIGHTS, state_->packed}, {DNNL_ARG_DST, h.c}};
      if (const size_t bytes = description.scratchpad_desc().get_size(); bytes > 0) {
        h.scratch = allocate_aligned(bytes);
        h.arguments[DNNL_ARG_SCRATCHPAD] =
            memory(description.scratchpad_desc(), state_->engine, h.scratch.get());
      }
      state_->workers.push_back(std::move(h));
    }
  } catch (const dnnl::error& e) {
    throw Error(ErrorKind::kInternal, "oneDNN refuses a packed product of " + std::to_string(s.m) +
                                          " x " + std::to_string(s.n) + " x " +
                                          std::to_string(s.k) + ": " + e.what());
  }
}

PackedMatrix::~PackedMatrix() = default;
PackedMatrix::PackedMatrix(PackedMatrix&&) noexcept = default;
PackedMatrix& PackedMatrix::operator=(PackedMatrix&&) noexcept = default;

void PackedMatrix::multiply(const void* a, void* c, int worker) {
  State::Handles& h = state_->workers[static_cast<size_t>(worker)];
  try {
    h.a.set_data_handle(const_cast<void*>(a));
    h.c.set_data_handle(c);
    state_->primitive.execute(h.stream, h.arguments);
  } catch (const dnnl::error& e) {
    throw Error(ErrorKind::kInternal, std::string("a packed product failed: ") + e.what());
  }
}

size_t PackedMatrix::packed_bytes() const {
  return state_->packed.get_desc().get_size();
}

}  // namespace dlm
