// Planning a GGUF model and writing it tensor by tensor. Rows are encoded in pieces by all workers
// while one of them writes the piece before; a row's bytes depend on that row alone, so the file is
// the same at any number of threads.
#include "export/gguf_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "export/gguf_keys.h"
#include "export/gguf_source.h"
#include "export/gguf_tensors.h"
#include "formats/ggml_blocks.h"
#include "formats/gguf.h"
#include "formats/gguf_names.h"
#include "support/error.h"

namespace dlm {
namespace {

constexpr const char* kTokenEmbedding = "token_embd.weight";
// Elements that one task encodes, and that one piece holds: 16 MB of bf16 at most.
constexpr int64_t kTaskElements = int64_t{1} << 16;
constexpr int64_t kPieceElements = int64_t{1} << 23;
// What the file system keeps for itself.
constexpr uint64_t kSpareDiskBytes = uint64_t{16} << 20;

// Everything about the file that is known before a weight is read.
class Model {
 public:
  Model(const GgufModelRequest& request, const Kernels& kernels)
      : request_(request),
        json_(parse_json(read_file(request.base / "config.json", size_t{16} << 20),
                         (request.base / "config.json").string())),
        config_(parse_model_config(json_, (request.base / "config.json").string())),
        source_(request.base, config_, request.adapter, request.adapter_weight, kernels),
        plans_(plan_gguf_tensors(config_, source_.has_own_head())) {
    choose_types();
    tokenizer = request.tokenizer;
    if (tokenizer == nullptr) {
      tokenizer = std::make_shared<const GgufTokenizer>(
          gguf_tokenizer(request.base, config_, json_, request.chat_template));
    }
    fields = gguf_model_keys(config_, json_, gguf_model_name(request.name, *tokenizer),
                             request.license, request.quant);
    fields.insert(fields.end(), tokenizer->keys.begin(), tokenizer->keys.end());
    if (request.imatrix != nullptr) add_imatrix_keys(*request.imatrix);
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  std::shared_ptr<const GgufTokenizer> tokenizer;
  std::vector<GgufField> fields;
  std::vector<GgufWriter::TensorInfo> tensors;

  const std::vector<GgufTensorPlan>& plans() const { return plans_; }
  GgufSource& source() { return source_; }
  std::string where() const { return request_.base.string(); }

  // f32 [matrices, columns], or empty: no weights for the errors of this tensor.
  std::vector<float> importance_of(const GgufTensorPlan& plan) const {
    if (request_.imatrix == nullptr || plan.sources.empty()) return {};
    std::vector<float> importance = request_.imatrix->importance(plan.name);
    if (importance.empty()) return {};
    const size_t expected = static_cast<size_t>(plan.columns()) * plan.sources.size();
    if (importance.size() != expected) {
      if (plan.name == kTokenEmbedding) return {};
      throw Error(ErrorKind::kExport,
                  "the importance matrix has " + std::to_string(importance.size()) +
                      " columns for \"" + plan.name + "\", the weight has " +
                      std::to_string(expected),
                  "collect it anew for this base");
    }
    if (!std::all_of(importance.begin(), importance.end(),
                     [](float x) { return std::isfinite(x); })) {
      throw Error(
          ErrorKind::kExport,
          "the importance matrix holds a number for \"" + plan.name + "\" that is not finite",
          "collect it anew for this base");
    }
    return importance;
  }

 private:
  void choose_types() {
    MixtureModel model;
    model.architecture = gguf_architecture(config_.model_type);
    model.num_layers = config_.num_layers;
    model.num_experts = config_.num_experts;
    model.num_heads = config_.num_heads;
    model.num_kv_heads = config_.num_kv_heads;
    std::vector<MixtureTensor> list;
    for (const GgufTensorPlan& plan : plans_) {
      list.push_back({plan.name, plan.shape});
      model.has_output_weight = model.has_output_weight || plan.name == "output.weight";
    }
    const std::vector<GgmlType> types = mixture_types(request_.quant, model, list);
    for (size_t i = 0; i < plans_.size(); ++i) {
      tensors.push_back({plans_[i].name, types[i], plans_[i].shape});
    }
  }

  void add_imatrix_keys(const Imatrix& imatrix) {
    fields.push_back({"quantize.imatrix.dataset", imatrix.dataset.substr(0, 127)});
    fields.push_back(
        {"quantize.imatrix.entries_count", static_cast<uint32_t>(imatrix.entries.size())});
    fields.push_back({"quantize.imatrix.chunks_count", static_cast<uint32_t>(imatrix.chunk_count)});
  }

  const GgufModelRequest& request_;
  Json json_;
  ModelConfig config_;
  GgufSource source_;
  std::vector<GgufTensorPlan> plans_;
};

// Encodes rows of one matrix.
class Encoder {
 public:
  Encoder(const GgufSource::Matrix& matrix, const GgufTensorPlan& plan, GgmlType type,
          const float* importance, const Kernels& kernels, const std::string& where)
      : matrix_(matrix),
        plan_(plan),
        type_(type),
        importance_(importance),
        kernels_(kernels),
        where_(where) {}

  size_t row_bytes() const { return static_cast<size_t>(ggml_row_bytes(type_, plan_.columns())); }

  // `buffer`: memory of the worker.
  void encode(int64_t first, int64_t count, std::vector<float>& buffer, std::byte* out) const {
    const int64_t columns = plan_.columns();
    const auto out_of = [&](int64_t i) { return out + static_cast<size_t>(i) * row_bytes(); };
    if (!matrix_.stored_row(first, type_).empty()) {
      for (int64_t i = 0; i < count; ++i) {
        const auto stored = matrix_.stored_row(first + i, type_);
        std::memcpy(out_of(i), stored.data(), stored.size());
      }
    } else {
      buffer.resize(static_cast<size_t>(count * columns));
      for (int64_t i = 0; i < count; ++i) {
        float* row = buffer.data() + i * columns;
        matrix_.read(first + i, row);
        if (kernels_.all_finite(row, columns)) continue;
        fail(first + i, "holds a number that is not finite", "fetch the weights again");
      }
      kernels_.quantize_rows(type_, buffer.data(), count, columns, importance_, out);
    }
    for (int64_t i = 0; i < count; ++i) {
      if (ggml_row_is_finite(type_, out_of(i), columns)) continue;
      fail(first + i,
           "holds a number that " + std::string(ggml_traits(type_).name) + " cannot hold",
           "quantize to BF16 or F32 instead");
    }
  }

 private:
  [[noreturn]] void fail(int64_t row, const std::string& what, const std::string& hint) const {
    throw Error(ErrorKind::kBase,
                "tensor \"" + plan_.name + "\", row " + std::to_string(row) + ": " + what, hint,
                {where_});
  }

  const GgufSource::Matrix& matrix_;
  const GgufTensorPlan& plan_;
  GgmlType type_;
  const float* importance_;
  const Kernels& kernels_;
  const std::string& where_;
};

// Hands pieces to the writer on a worker, while the others encode the next one.
class PieceWriter {
 public:
  PieceWriter(GgufWriter& writer, Device& device,
              const std::function<void(uint64_t, uint64_t)>& on_progress)
      : writer_(writer), device_(device), on_progress_(on_progress) {}

  void write_rows(const Encoder& encoder, int64_t rows, int64_t columns) {
    const int64_t rows_per_task =
        std::max<int64_t>(1, kTaskElements / std::max<int64_t>(columns, 1));
    const int64_t rows_per_piece =
        std::max<int64_t>(1, kPieceElements / (rows_per_task * std::max<int64_t>(columns, 1))) *
        rows_per_task;
    std::vector<std::vector<float>> buffers(static_cast<size_t>(device_.pool().num_threads()));
    for (int64_t first = 0; first < rows; first += rows_per_piece) {
      const int64_t count = std::min(rows_per_piece, rows - first);
      next_.resize(static_cast<size_t>(count) * encoder.row_bytes());
      const int64_t tasks = (count + rows_per_task - 1) / rows_per_task;
      device_.pool().run(tasks + 1, [&](int64_t task, int worker) {
        if (task == 0) return writer_.append(piece_);
        const int64_t begin = (task - 1) * rows_per_task;
        encoder.encode(first + begin, std::min(rows_per_task, count - begin),
                       buffers[static_cast<size_t>(worker)],
                       next_.data() + static_cast<size_t>(begin) * encoder.row_bytes());
      });
      report();
      std::swap(piece_, next_);
    }
  }

  void flush() {
    writer_.append(piece_);
    report();
    piece_.clear();
  }

 private:
  void report() {
    written_ += piece_.size();
    if (on_progress_) on_progress_(written_, writer_.file_bytes());
  }

  GgufWriter& writer_;
  Device& device_;
  const std::function<void(uint64_t, uint64_t)>& on_progress_;
  std::vector<std::byte> piece_, next_;
  uint64_t written_ = 0;
};

void check_disk(const fs::path& out, uint64_t bytes) {
  const uint64_t free = free_disk_bytes(out.parent_path().empty() ? "." : out.parent_path());
  if (free >= bytes + kSpareDiskBytes) return;
  throw Error(ErrorKind::kIo,
              "the file needs " + std::to_string(bytes) + " bytes and " +
                  std::to_string(kSpareDiskBytes) + " to spare, the disk has " +
                  std::to_string(free) + " free",
              "free some space and run the command again; nothing was changed", {out.string()});
}

void write_tensor(Model& model, size_t index, const Kernels& kernels, PieceWriter& writer) {
  const GgufTensorPlan& plan = model.plans()[index];
  const GgmlType type = model.tensors[index].type;
  const std::vector<float> importance = model.importance_of(plan);
  for (size_t i = 0; i < plan.sources.size(); ++i) {
    const GgufSource::Matrix matrix = model.source().matrix(plan, i);
    const float* weights =
        importance.empty() ? nullptr : importance.data() + i * static_cast<size_t>(plan.columns());
    const std::string where = model.where();
    writer.write_rows(Encoder(matrix, plan, type, weights, kernels, where), plan.rows_per_matrix(),
                      plan.columns());
    matrix.release();
  }
}

}  // namespace

GgufModelOutline outline_gguf_model(const GgufModelRequest& request) {
  const Model model(request, kernels(isa_tier()));
  GgufModelOutline outline;
  outline.tokenizer = model.tokenizer;
  outline.file_bytes = GgufWriter::file_bytes(model.fields, model.tensors);
  for (const GgufField& field : model.fields) {
    if (field.key == "tokenizer.ggml.add_bos_token") outline.adds_bos = std::get<bool>(field.value);
  }
  return outline;
}

GgufModelReport write_gguf_model(const GgufModelRequest& request, Device& device) {
  Model model(request, device.kernels());
  check_disk(request.out, GgufWriter::file_bytes(model.fields, model.tensors));
  GgufWriter writer(request.out, model.fields, model.tensors);
  PieceWriter pieces(writer, device, request.on_progress);
  for (size_t i = 0; i < model.plans().size(); ++i) {
    const GgufTensorPlan& plan = model.plans()[i];
    if (plan.sources.empty()) {
      pieces.flush();
      check(model.tensors[i].type == GgmlType::kF32, "a computed tensor is not f32");
      writer.append(std::as_bytes(std::span(plan.values)));
      continue;
    }
    write_tensor(model, i, device.kernels(), pieces);
  }
  pieces.flush();
  GgufModelReport report;
  report.sha256 = writer.finish();
  report.file_bytes = writer.file_bytes();
  report.num_tensors = static_cast<int64_t>(model.tensors.size());
  return report;
}

}  // namespace dlm
