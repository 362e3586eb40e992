#include "export/importance.h"

#include <algorithm>

#include "engine/cpu/isa.h"
#include "infer/session.h"
#include "support/hash.h"

namespace dlm {

namespace {

// Of a label that names the document and nothing of the machine.
std::string dataset_label(const ExportInputs& inputs) {
  return "rows of dlm document " + inputs.prepared.document.frontmatter.dlm_id;
}

ImatrixSource source_of(const ExportInputs& inputs, const fs::path& adapter, bool merged,
                        const Device& device) {
  ImatrixSource source;
  source.base_sha256 = inputs.base_digest;
  if (merged) {
    source.adapter_sha256 = sha256_file_hex(adapter / kAdapterWeightsFile) +
                            sha256_file_hex(adapter / kAdapterConfigFile);
    source.adapter_weight = "1";
  }
  source.base_weights = trained_base_word(inputs.adapters.front().trained_base);
  source.rows_sha256 = inputs.prepared.rows_hash.hex();
  source.tokenizer_sha256 = sha256_file_hex(inputs.prepared.base.folder / "tokenizer.json");
  source.instruction_set = isa_name(device.tier());
  return source;
}

}  // namespace

TrainedModel load_trained(const ExportInputs& inputs, const fs::path& adapter, Device& device) {
  // A mix is no run of its own: its parts say what they were trained on.
  const BaseFormat format = trained_base_of(inputs.adapters.front().folder);
  TrainedModel trained;
  trained.decoder = Decoder::load_to_answer(inputs.prepared.base.folder, adapter,
                                            device.preferred_dtype(), format, device);
  trained.adapter = LoraAdapter::load(adapter, *trained.decoder);
  return trained;
}

std::optional<ImportanceReport> make_importance(const ExportInputs& inputs, TrainedModel& trained,
                                                const fs::path& adapter, bool merged,
                                                const fs::path& cache, const fs::path& folder,
                                                Device& device, std::string& notice) {
  ImatrixOptions options;
  options.dataset = dataset_label(inputs);
  const std::string key = imatrix_key(source_of(inputs, adapter, merged, device), options);
  ImportanceReport report;
  std::optional<ImatrixCollection> collection = cached_imatrix(cache, key);
  report.was_kept = collection.has_value();
  if (!collection) {
    collection = collect_imatrix(*trained.decoder, merged ? trained.adapter.get() : nullptr,
                                 token_rows(inputs.prepared), options, device);
    trained.decoder->release_pages();
    if (collection->imatrix) {
      make_folders(cache);
      store_imatrix(cache, *collection, key);
    }
  }
  notice = collection->notice;
  if (!collection->imatrix) return std::nullopt;
  store_imatrix(folder, *collection, key);
  report.num_tokens = collection->num_tokens;
  report.notice = collection->notice;
  report.sha256 = sha256_file_hex(folder / kImatrixGguf);
  report.imatrix = std::move(*collection->imatrix);
  return report;
}

}  // namespace dlm
