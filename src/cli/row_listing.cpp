#include "cli/row_listing.h"

#include <algorithm>

#include <fmt/format.h>

#include "support/json.h"

namespace dlm {

namespace {

const char* origin_word(RowOrigin origin) {
  switch (origin) {
    case RowOrigin::kDocument:
      return "document";
    case RowOrigin::kSource:
      return "source";
    case RowOrigin::kReplay:
      return "replay";
  }
  return "";
}

const char* side_word(const RowListing& listing, size_t row) {
  if (listing.copies[row] == 0) return "dropped";
  return listing.held_out[row] ? "held out" : "train";
}

// The row's tokens and the one behind them where it carries loss; those from `loss_begin` on do.
struct ShownRow {
  std::vector<int32_t> ids;
  size_t loss_begin = 0;
};

ShownRow shown(const TokenRow& row) {
  ShownRow out{row.tokens, std::max<size_t>(1, row.loss_begin.value_or(row.tokens.size()))};
  if (row.next >= 0) out.ids.push_back(row.next);
  out.loss_begin = std::min(out.loss_begin, out.ids.size());
  return out;
}

// Each piece is decoded alone, so a character that lies in both shows as U+FFFD.
std::string decoded(const RowListing& listing, std::span<const int32_t> ids) {
  return listing.prepared.format->tokenizer().decode(ids, false);
}

// Control characters, which a terminal would obey, become blanks.
std::string printable(std::string text) {
  for (char& c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f) c = ' ';
  }
  return text;
}

}  // namespace

RowListing list_rows(const Prepared& prepared) {
  RowListing listing{prepared, prepared.document.frontmatter.training.seed, {}, {}};
  listing.copies = row_copies(prepared, listing.seed);
  if (holds_out(num_trained_pairs(prepared, listing.copies))) {
    listing.held_out = held_out(prepared, listing.seed);
  } else {
    listing.held_out.assign(prepared.outlines.size(), false);
  }
  return listing;
}

void write_rows(const RowListing& listing, bool has_colour,
                const std::function<void(const std::string&)>& write) {
  const char* const open = has_colour ? "\033[32m" : "⟦";
  const char* const close = has_colour ? "\033[0m" : "⟧";
  const std::vector<RowOutline>& outlines = listing.prepared.outlines;
  for (size_t i = 0; i < outlines.size(); ++i) {
    const TokenRow row = token_row(listing.prepared, outlines[i]);
    const DocumentRow& source = listing.prepared.rows.rows[row.source];
    const ShownRow all = shown(row);
    const std::span<const int32_t> ids = all.ids;
    std::string head = fmt::format("row {}", i + 1);
    if (source.line > 0) head += fmt::format(", line {}", source.line);
    head += fmt::format(": {}, {}, {}, {} tokens, {} with loss",
                        source.kind == RowKind::kChat ? "pair" : "text", origin_word(source.origin),
                        side_word(listing, i), row.tokens.size(), row.num_labels());
    if (listing.copies[i] > 1) head += fmt::format(", {} copies", listing.copies[i]);
    std::string text = printable(decoded(listing, ids.first(all.loss_begin)));
    text += open + printable(decoded(listing, ids.subspan(all.loss_begin))) + close;
    write(head + "\n" + text + "\n\n");
  }
}

namespace {

Json row_json(const RowListing& listing, size_t i) {
  const TokenRow row = token_row(listing.prepared, listing.prepared.outlines[i]);
  const DocumentRow& source = listing.prepared.rows.rows[row.source];
  const ShownRow all = shown(row);
  const std::span<const int32_t> ids = all.ids;
  Json json = Json::object();
  json.set("line", source.line > 0 ? Json(source.line) : Json());
  json.set("kind", source.kind == RowKind::kChat ? "pair" : "text");
  json.set("origin", origin_word(source.origin));
  json.set("section_id", source.section->id);
  json.set("side", side_word(listing, i));
  json.set("copies", listing.copies[i]);
  json.set("num_tokens", static_cast<int64_t>(row.tokens.size()));
  json.set("num_loss_tokens", row.num_labels());
  Json numbers = Json::array();
  for (const int32_t id : ids) numbers.push_back(Json(static_cast<int64_t>(id)));
  json.set("ids", std::move(numbers));
  Json spans = Json::array(), pieces = Json::array();
  const auto add = [&](size_t begin, size_t end, bool has_loss) {
    if (begin == end) return;
    if (has_loss) {
      spans.push_back(
          Json::array({Json(static_cast<int64_t>(begin)), Json(static_cast<int64_t>(end))}));
    }
    pieces.push_back(
        Json::object({{"text", Json(decoded(listing, ids.subspan(begin, end - begin)))},
                      {"has_loss", Json(has_loss)}}));
  };
  add(0, all.loss_begin, false);
  add(all.loss_begin, ids.size(), true);
  json.set("loss_spans", std::move(spans));
  json.set("pieces", std::move(pieces));
  return json;
}

}  // namespace

void write_rows_json(const RowListing& listing,
                     const std::function<void(const std::string&)>& write) {
  const size_t num_rows = listing.prepared.outlines.size();
  if (num_rows == 0) {
    write("[]\n");
    return;
  }
  write("[\n");
  for (size_t i = 0; i < num_rows; ++i) {
    std::string text = "  ";
    for (const char c : row_json(listing, i).dump(2)) {
      text += c;
      if (c == '\n') text += "  ";
    }
    write(text + (i + 1 < num_rows ? ",\n" : "\n"));
  }
  write("]\n");
}

}  // namespace dlm
