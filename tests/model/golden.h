// Reference cases made with transformers and PEFT: where they are, and how a padded reference batch
// becomes a padding-free one.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "engine/exec.h"
#include "formats/safetensors.h"

namespace dlm {

// Folders with a config.json below $DLM_TEST_DATA/goldens, or below the committed copies.
inline std::vector<fs::path> golden_folders() {
  const char* outside = std::getenv("DLM_TEST_DATA");
  const fs::path root = outside != nullptr && *outside != '\0' ? fs::path(outside) / "goldens"
                                                               : fs::path(DLM_TEST_SOURCE_DATA) / "goldens";
  std::vector<fs::path> folders;
  if (!fs::is_directory(root)) return folders;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (fs::exists(entry.path() / "config.json")) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

inline std::string golden_name(const ::testing::TestParamInfo<fs::path>& info) {
  std::string name = info.param.filename().string();
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

inline std::vector<int64_t> i64_values(const SafetensorsTensor& t) {
  const auto* p = reinterpret_cast<const int64_t*>(t.bytes.data());
  return {p, p + t.bytes.size() / 8};
}
inline std::span<const float> f32_values(const SafetensorsTensor& t) {
  return {reinterpret_cast<const float*>(t.bytes.data()), t.bytes.size() / 4};
}

// The golden batch without its pads; `kept` gives, for each token, its index in the padded batch.
struct GoldenBatch {
  Batch batch;
  std::vector<int64_t> kept;
  std::vector<int64_t> row_of;  // padded row of each token
};

inline GoldenBatch read_golden_batch(const SafetensorsFile& file) {
  const auto ids = i64_values(file.at("input_ids"));
  const auto mask = i64_values(file.at("attention_mask"));
  const auto labels = i64_values(file.at("labels"));
  const int64_t rows = file.at("input_ids").shape[0];
  const int64_t width = file.at("input_ids").shape[1];
  GoldenBatch out;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t begin = out.batch.num_tokens();
    for (int64_t i = 0; i < width; ++i) {
      const auto at = static_cast<size_t>(r * width + i);
      if (mask[at] == 0) continue;
      const bool has_next = i + 1 < width && mask[at + 1] != 0 && labels[at + 1] >= 0;
      out.batch.tokens.push_back(static_cast<int32_t>(ids[at]));
      out.batch.positions.push_back(static_cast<int32_t>(i));
      out.batch.labels.push_back(has_next ? static_cast<int32_t>(labels[at + 1]) : Batch::kNoLabel);
      out.kept.push_back(r * width + i);
      out.row_of.push_back(r);
    }
    out.batch.rows.push_back({begin, out.batch.num_tokens(), static_cast<uint64_t>(r)});
  }
  return out;
}

// |a - b| <= atol + rtol * |b|, and neither is NaN.
inline bool near(float a, float b, double atol, double rtol) {
  const double difference = std::abs(static_cast<double>(a) - static_cast<double>(b));
  return difference <= atol + rtol * std::abs(static_cast<double>(b));
}

}  // namespace dlm
